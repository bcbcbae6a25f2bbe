import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { classify, indistinct, witnessOps } from '../../lib/contract/classify.ts'
import { type Abi, abis, isIa32 } from '../../lib/frame/abi.ts'
import type { EditOp } from '../../lib/frame/edit.ts'
import type { Returned, Seen } from '../../lib/probe/result.ts'
import type { ComponentName } from '../../lib/xstate/components.ts'
import { initMxcsr, type XsaveImage } from '../../lib/xstate/image.ts'
import type { Layout } from '../../lib/xstate/layout.ts'
import { randomImage } from '../../lib/xstate/random.ts'
import { knownMachines, machineNamed } from './simulated-cases.ts'
import { simulatedProbe } from './simulated-probe.ts'

const sessions = knownMachines
  .filter(([, { layout }]) => layout.extended.length > 0)
  .map(([, machine]) => simulatedProbe({ ...machine, generation: 'classic' }).probe)
const anySession = fc.constantFrom(...sessions)
const anyAbi = fc.constantFrom(...abis)
const seeds = fc.integer({ min: 1, max: 1000 })

const session = simulatedProbe({ ...machineNamed('zen4'), generation: 'classic' }).probe
const { layout } = session

const edits = {
  restored: [],
  'fx-only': [{ op: 'set', field: 'sw.magic1', value: 0 }],
  rejected: [{ op: 'or', field: 'xcompBv', value: 1 }],
  init: [{ op: 'pointer', address: 0n }],
  astray: [{ op: 'set', field: 'head.cs', value: 0 }],
} as const satisfies Record<string, readonly EditOp[]>

type Treated = keyof typeof edits

/** A frame and its witness through a simulated kernel. */
const pairOf = (probe: typeof session, edit: readonly EditOp[], abi: Abi = 'x86_64', seed = 1) =>
  probe.runMany(
    [edit, [...edit, ...witnessOps]].map(one => ({
      abi,
      load: randomImage(probe.layout, { seed }),
      edit: one,
    })),
  ) as [Returned, Returned]

const observed = ([seen, witness]: readonly [Seen, Seen], of: Layout = layout) =>
  classify(seen, witness, of).observed

/** The pair, what it left in the registers changed. */
const left = (
  pair: readonly [Returned, Returned],
  change: (after: XsaveImage, poison: XsaveImage) => void,
) => {
  for (const { after, poison } of pair) change(after, poison)
  return pair
}

const keep =
  (name: ComponentName) =>
  (after: XsaveImage, poison: XsaveImage): void => {
    const { mask, ranges } = after.layout.component(name)
    for (const { offset, size } of ranges)
      after.bytes.set(poison.bytes.subarray(offset, offset + size), offset)
    after.xstateBv |= mask
  }

describe('a frame that came back', () => {
  test('a dropped component is told from a restored one, in every ABI', () => {
    fc.assert(
      fc.property(
        anySession,
        anyAbi,
        seeds,
        fc.constantFrom('restored', 'fx-only'),
        (probe, abi, seed, treated) => {
          const [seen, witness] = pairOf(probe, edits[treated as Treated], abi, seed)
          expect(indistinct(seen, witness, probe.layout)).toBeNull()
          expect(classify(seen, witness, probe.layout).observed).toBe(treated)
        },
      ),
    )
  })

  test('no treatment explains a component that was kept', () => {
    fc.assert(
      fc.property(anySession, anyAbi, seeds, fc.nat(), (probe, abi, seed, pick) => {
        const { components } = probe.layout
        const { name } = components[pick % components.length] as (typeof components)[number]
        for (const treated of ['restored', 'fx-only'] as const) {
          const [seen, witness] = left(pairOf(probe, edits[treated], abi, seed), keep(name))
          const found = classify(seen, witness, probe.layout)
          expect(found.observed).toBe('unexplained')
          expect(found.text).toContain(`${name} kept from before the return`)
        }
      }),
    )
  })

  test('no treatment explains a frame that is restored and its witness that is not', () => {
    const [restored] = pairOf(session, edits.restored)
    const [, legacy] = pairOf(session, edits['fx-only'])
    expect(observed([restored, legacy])).toBe('unexplained')
  })

  test('the lost components are named', () => {
    const [seen, witness] = pairOf(session, edits['fx-only'])
    expect(classify(seen, witness, layout).text).toMatch(/\(lost: avx opmask zmm_hi256 hi16_zmm pkru\)$/)
  })

  test.each(['restored', 'fx-only'] as const)('%s: an MXCSR of nobody’s is no treatment', treated => {
    const pair = left(pairOf(session, edits[treated]), after => {
      after.mxcsr ^= 0x6000
    })
    expect(classify(...pair, layout).text).toContain('mxcsr is not the frame’s')
  })

  const atInit = (after: XsaveImage): void => {
    after.mxcsr = initMxcsr
  }

  test('MXCSR may be at init where components go there behind the load, and only there', () => {
    const masked: EditOp[] = [{ op: 'and', field: 'sw.xfeatures', value: 7 }]
    expect(observed(left(pairOf(session, masked), atInit))).toBe('restored')
    expect(observed(left(pairOf(session, edits['fx-only']), atInit))).toBe('fx-only')
    expect(observed(left(pairOf(session, edits.restored), atInit))).toBe('unexplained')
  })

  test('a 32-bit frame’s MXCSR is believed with SSE alone, a 64-bit one’s always', () => {
    const withoutSse: EditOp[] = [{ op: 'and', field: 'xstateBv', value: layout.features & ~2n }]
    for (const abi of abis)
      expect(observed(left(pairOf(session, withoutSse, abi), atInit))).toBe(
        isIa32(abi) ? 'restored' : 'unexplained',
      )
  })

  test('a poison that is the same as what is expected is indistinct', () => {
    const same = { load: randomImage(layout, { seed: 5 }), poison: randomImage(layout, { seed: 5 }) }
    const [seen, witness] = session.runMany([same, { ...same, edit: witnessOps }]) as [Returned, Returned]
    expect(indistinct(seen, witness, layout)).toContain('the poison has the same')
  })

  test('a witness without legacy state to lose tells nothing', () => {
    const load = randomImage(layout, { seed: 5, components: layout.features & ~3n })
    const [seen, witness] = session.runMany([{ load }, { load, edit: witnessOps }]) as [Returned, Returned]
    expect(indistinct(seen, witness, layout)).toBe('the witness has no legacy state to lose')
  })
})

describe('32-bit frames', () => {
  const number = '0123456789abcdef0040'

  test.each(['ia32-rt', 'ia32'] as const)('%s: x87 is the fsave header’s', abi => {
    const header: EditOp[] = [{ op: 'write', region: 'fsave', at: 28, bytes: number }]
    const area: EditOp[] = [{ op: 'write', at: 32, bytes: number }]
    for (const edit of [header, area]) {
      expect(observed(pairOf(session, edit, abi))).toBe('restored')
      expect(observed(pairOf(session, [...edit, ...edits['fx-only']], abi))).toBe('fx-only')
    }
  })

  test('x87 of the area is unexplained', () => {
    const wrong = simulatedProbe({
      ...machineNamed('zen4'),
      generation: 'classic',
      slip: 'ia32: x87 is the area’s',
    })
    const found = classify(
      ...pairOf(wrong.probe, [{ op: 'write', at: 32, bytes: number }], 'ia32'),
      wrong.probe.layout,
    )
    expect(found.observed).toBe('unexplained')
    expect(found.text).toContain('x87 of unknown origin')
  })
})

describe('init', () => {
  test.each(abis)('%s: no fpstate, and all at init', abi => {
    expect(observed(pairOf(session, edits.init, abi))).toBe('init')
  })

  test('but for PKRU, whose default is the kernel’s', () => {
    const pair = (pkru: number) =>
      left(pairOf(session, edits.init), after => {
        after.pkru = pkru
      })
    expect(observed(pair(0x5555_5554))).toBe('init')
    expect(observed(pair(0))).toBe('init')
  })

  test.each(layout.components.filter(({ name }) => name !== 'pkru').map(({ name }) => name))(
    'not with %s left',
    name => {
      expect(observed(left(pairOf(session, edits.init), keep(name)))).toBe('unexplained')
    },
  )

  test('nor with MXCSR left', () => {
    const pair = left(pairOf(session, edits.init), (after, poison) => {
      after.mxcsr = poison.mxcsr
    })
    expect(observed(pair)).toBe('unexplained')
  })

  test('a frame with an fpstate that leaves all at init is none', () => {
    const [seen] = pairOf(session, edits.init)
    const [restored] = pairOf(session, edits.restored)
    expect(
      observed([
        { ...restored, after: seen.after },
        { ...restored, after: seen.after },
      ] as never),
    ).toBe('unexplained')
  })
})

/** Both of a pair with other properties. */
const but = (pair: readonly Seen[], changes: object): readonly [Seen, Seen] =>
  pair.map(one => ({ ...one, ...changes })) as unknown as [Seen, Seen]

describe('rejected', () => {
  test.each(abis)('%s: the kernel’s own SIGSEGV, and all at init', abi => {
    expect(observed(pairOf(session, edits.rejected, abi))).toBe('rejected')
  })

  test.each([
    [{ signal: 'SIGBUS' }],
    [{ siCode: 1 }],
    [{ siAddr: 4096n }],
    [{ where: 'load' }],
    [{ where: 'handler' }],
  ])('not with %o', changes => {
    expect(observed(but(pairOf(session, edits.rejected), changes))).toBe('unexplained')
  })

  test.each(layout.components.filter(({ name }) => name !== 'pkru').map(({ name }) => name))(
    'not with %s left in the registers',
    name => {
      const found = classify(...left(pairOf(session, edits.rejected), keep(name)), layout)
      expect(found.observed).toBe('unexplained')
      expect(found.text).toContain(`, not at init: ${name}`)
    },
  )

  test('nor with MXCSR left', () => {
    const pair = left(pairOf(session, edits.rejected), (after, poison) => {
      after.mxcsr = poison.mxcsr
    })
    expect(classify(...pair, layout).text).toContain(', not at init: mxcsr')
  })

  test('whatever PKRU is: its value has a rule of its own', () => {
    expect(observed(left(pairOf(session, edits.rejected), keep('pkru')))).toBe('rejected')
  })

  test('not where its witness is not', () => {
    const [seen] = pairOf(session, edits.rejected)
    const [, witness] = pairOf(session, edits.restored)
    expect(observed([seen, witness])).toBe('unexplained')
  })
})

describe('astray', () => {
  test.each(abis)('%s: restored, and then the kernel’s own SIGSEGV at the same place', abi => {
    expect(observed(pairOf(session, edits.astray, abi))).toBe('astray')
  })

  test('also where there is nothing above SSE, and a witness that is restored is at init', () => {
    const bare = simulatedProbe({ ...machineNamed('sse-only with XSAVES'), generation: 'classic' }).probe
    for (const abi of abis) {
      expect(observed(pairOf(bare, edits.astray, abi), bare.layout)).toBe('astray')
      expect(observed(pairOf(bare, edits.rejected, abi), bare.layout)).toBe('rejected')
    }
  })

  test('not with a component that is neither restored nor at init', () => {
    expect(observed(left(pairOf(session, edits.astray), keep('avx')))).toBe('unexplained')
  })

  test('a signal behind the return, where nothing could be saved', () => {
    const after = {
      kind: 'signal',
      where: 'after',
      signal: 'SIGTRAP',
      siCode: 2,
      siAddr: 0n,
    } as unknown as Seen
    expect(observed([after, after])).toBe('astray')
  })
})

describe('killed and undelivered', () => {
  const died = (changes: object = {}): Seen =>
    ({ kind: 'died', where: 'sigreturn', signal: 'SIGSEGV', code: null, ...changes }) as unknown as Seen

  test('a fork that SIGSEGV ends at the return', () => {
    expect(observed([died(), died()])).toBe('killed')
  })

  test.each([
    [{ signal: 'SIGKILL' }],
    [{ signal: null, code: 82 }],
    [{ where: null }],
    [{ where: 'after' }],
    [{ where: 'delivery' }],
  ])('not with %o', changes => {
    expect(observed([died(changes), died(changes)])).toBe('unexplained')
  })

  const undelivered = (changes: object = {}): Seen =>
    ({
      kind: 'signal',
      where: 'delivery',
      signal: 'SIGSEGV',
      siCode: 128,
      siAddr: 0n,
      ...changes,
    }) as unknown as Seen

  test('the kernel’s own SIGSEGV instead of a frame', () => {
    expect(observed([undelivered(), undelivered()])).toBe('undelivered')
  })

  test.each([[{ signal: 'SIGBUS' }], [{ siCode: 1 }], [{ siAddr: 1n }]])('not with %o', changes => {
    expect(observed([undelivered(changes), undelivered(changes)])).toBe('unexplained')
  })

  test('a frame that dies and a witness that is rejected are nothing', () => {
    const [, witness] = pairOf(session, edits.rejected)
    expect(observed([died(), witness])).toBe('unexplained')
  })
})

test.each(['timeout', 'stuck', 'refused'])('what has no treatment is unexplained: %s', kind => {
  const seen = { kind } as unknown as Seen
  const found = classify(seen, seen, layout)
  expect(found).toEqual({ observed: 'unexplained', text: `frame: ${kind}; witness: ${kind}` })
})
