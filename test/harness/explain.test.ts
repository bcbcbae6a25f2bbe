/** Saved probes walked through the decisions, on layouts of machines that are not here. */
import { describe, expect, test } from 'vitest'
import { type GenerationId, generationOf, generations } from '../../lib/contract/generations.ts'
import type { HardwareAsk } from '../../lib/contract/predict/hardware.ts'
import type { Task } from '../../lib/contract/predict/task.ts'
import { abis, isIa32 } from '../../lib/frame/abi.ts'
import type { EditOp } from '../../lib/frame/edit.ts'
import { type Explained, explain, frameOf, type Oracle } from '../../lib/harness/explain.ts'
import type { SavedProbe } from '../../lib/report/probe-file.ts'
import { initMxcsr, XsaveImage } from '../../lib/xstate/image.ts'
import { randomImage } from '../../lib/xstate/random.ts'
import { known } from '../xstate/arbitrary.ts'

const layout = known('zen4')
const task: Task = { layout, compacts: true, avxLoadsMxcsr: true, keepsPointers: true, keepsZmmHi256: true }
const load = randomImage(layout, { seed: 1 })

const saved = (edit: readonly EditOp[], change: Partial<SavedProbe> = {}): SavedProbe => ({
  host: null,
  layout,
  permissions: [],
  abi: 'x86_64',
  raise: 'tgkill',
  stack: null,
  load,
  poison: randomImage(layout, { seed: 2 }),
  edit,
  kernel: null,
  finding: null,
  ...change,
})

const explained = (
  one: SavedProbe,
  id: GenerationId = 'classic',
  oracle: Oracle = null,
  of: Task = task,
): Explained => {
  const found = explain(one, generationOf(id), of, oracle)
  if (typeof found === 'string') throw new Error(found)
  return found
}

const originsOf = ({ registers }: Explained): Record<string, string> =>
  Object.fromEntries(registers.map(({ name, origin }) => [name, origin]))

const outcome = ({ predicted: { end }, decisions }: Explained): unknown[] => [
  end,
  decisions.findLast(({ said }) => !['passes', 'left out'].includes(said))?.step.rule ?? null,
]

/** Asked of the CPU: a format that no kernel writes. */
const compacted: EditOp = { op: 'or', field: 'xcompBv', value: 1n << 63n }

describe('the frame that an edit makes of what a kernel writes', () => {
  test.each(abis)('%s: nothing but what the kernel writes', abi => {
    const frame = frameOf({ abi, layout, load, edit: [] })
    expect(frame).toMatchObject({ abi, pointer: 'mapped', misalignedBy: 0, pages: [], blocksSigsegv: false })
    expect(frame.area.length).toBe(layout.size + 4)
    expect(frame.area.slice(576, layout.size)).toEqual(load.bytes.slice(576))
    expect(frame.fsave?.length ?? null).toBe(isIa32(abi) ? 112 : null)
  })

  test('bytes, places, pages, pointers and masks are as edited', () => {
    const of = (...edit: EditOp[]) => frameOf({ abi: 'x86_64', layout, load, edit })
    expect(of({ op: 'write', at: 600, bytes: '0102' }).area.slice(600, 602)).toEqual(Uint8Array.of(1, 2))
    expect(of({ op: 'move', at: 65 }).misalignedBy).toBe(1)
    expect(of({ op: 'move' }, { op: 'pages', at: 0, length: 1, state: 'hole' }).pages[0]).toEqual({
      from: 0,
      end: 4096,
      reach: 'unreadable',
    })
    expect(of({ op: 'pointer', address: 0n }).pointer).toBe('null')
    expect(of({ op: 'pointer', address: 1n }).pointer).toBe('unreachable')
    expect(of({ op: 'or', field: 'head.sigmask', value: 1n << 10n }).blocksSigsegv).toBe(true)
  })
})

describe('what becomes of it', () => {
  test('of what was not changed: all is from the frame', () => {
    for (const abi of abis) {
      const found = explained(saved([], { abi }))
      expect(outcome(found)).toEqual(['restored', null])
      expect(found.mxcsr).toBe(load.mxcsr)
      expect(found.asked).toBe(false)
      for (const { name, origin } of found.registers)
        expect([name, origin]).toEqual([name, name === 'x87' && isIa32(abi) ? 'fsave header' : 'frame'])
    }
  })

  test.each<[string, readonly EditOp[], unknown[]]>([
    ['no MAGIC1', [{ op: 'set', field: 'sw.magic1', value: 0 }], ['fx-only', 'magic1-is-required']],
    ['a null pointer', [{ op: 'pointer', address: 0n }], ['init', 'null-fpstate-is-init']],
    [
      'a pointer to nowhere',
      [{ op: 'pointer', address: 8n }],
      ['rejected', 'unreachable-fpstate-is-rejected'],
    ],
    [
      'one that blocks SIGSEGV',
      [
        { op: 'pointer', address: 8n },
        { op: 'or', field: 'head.sigmask', value: 1n << 10n },
      ],
      ['killed', 'blocked-sigsegv-kills'],
    ],
  ])('%s', (_, edit, wanted) => {
    for (const { id } of generations) expect(outcome(explained(saved(edit), id))).toEqual(wanted)
  })

  test('generations differ where they differ', () => {
    const small = saved([{ op: 'resize', xstateSize: layout.end('avx') }, { op: 'magic2' }])
    expect(outcome(explained(small, 'classic'))).toEqual(['restored', null])
    expect(outcome(explained(small, 'portable'))).toEqual(['rejected', 'too-small-is-rejected'])
    const portableFrame = saved([
      { op: 'resize', xstateSize: layout.end('avx') },
      { op: 'and', field: 'sw.xfeatures', value: 7n },
      { op: 'and', field: 'xstateBv', value: 7n },
      { op: 'magic2', clearTail: true },
    ])
    expect(outcome(explained(portableFrame, 'regressed'))).toEqual(['fx-only', 'magic2-is-required'])
    expect(originsOf(explained(portableFrame, 'portable'))).toMatchObject({ avx: 'frame', opmask: 'init' })
  })

  test('registers: nothing of a process that ends, defaults of a rejection, init of what is not there', () => {
    const killed = explained(
      saved([
        { op: 'pointer', address: 8n },
        { op: 'or', field: 'head.sigmask', value: 1n << 10n },
      ]),
    )
    expect([killed.registers, killed.mxcsr]).toEqual([[], null])
    const rejected = explained(saved([{ op: 'pointer', address: 8n }]))
    expect(rejected.mxcsr).toBe(initMxcsr)
    for (const [name, origin] of Object.entries(originsOf(rejected)))
      expect([name, origin]).toEqual([name, name === 'pkru' ? 'default' : 'init'])
    const fxOnly = originsOf(explained(saved([{ op: 'set', field: 'sw.magic1', value: 0 }])))
    expect(fxOnly).toMatchObject({ x87: 'frame', sse: 'frame', avx: 'init', pkru: 'init' })
    const without = originsOf(
      explained(saved([{ op: 'and', field: 'xstateBv', value: ~4n & layout.features }])),
    )
    expect(without).toMatchObject({ sse: 'frame', avx: 'init', opmask: 'frame' })
  })

  test('MXCSR that nobody says', () => {
    const old: Task = { ...task, compacts: false }
    const one = saved([{ op: 'and', field: 'xstateBv', value: ~7n & layout.features }], { abi: 'ia32' })
    expect(explained(one, 'classic', null, old).mxcsr).toBeNull()
    expect(explained(one).mxcsr).toBe(initMxcsr)
  })
})

describe('what hangs on the CPU', () => {
  const one = saved([compacted])

  test('without one nobody can say', () => {
    const wanted =
      /^it hangs on what the CPU makes of odd bytes: ask on a machine whose tasks have the layout/
    expect(explain(one, generationOf('classic'), task, null)).toMatch(wanted)
    expect(explain(one, generationOf('classic'), task, () => null)).toMatch(wanted)
  })

  test('it is asked once, with the frame’s bytes, and before it the registers hold what the handler left', () => {
    const asked: [HardwareAsk, SavedProbe['poison']][] = []
    const found = explained(one, 'portable', (...all) => {
      asked.push(all)
      return 'fault'
    })
    expect(outcome(found)).toEqual(['rejected', 'corrupt-xcomp-bv-is-rejected'])
    expect(found.asked).toBe(true)
    expect(asked).toHaveLength(1)
    const [[ask, before]] = asked as [(typeof asked)[number]]
    expect(before).toBe(one.poison)
    expect(ask).toMatchObject({ instruction: 'xrstor', mask: layout.features, misalignedBy: 0, endsAt: null })
    expect(ask.bytes).toEqual(frameOf(one).area.slice(0, layout.size))
  })

  test('what it loads is what the registers hold', () => {
    const after = new XsaveImage(randomImage(layout, { seed: 9 }).bytes, layout)
    after.xstateBv &= ~4n
    const found = explained(one, 'portable', () => after.bytes)
    expect(outcome(found)).toEqual(['restored', null])
    expect(originsOf(found)).toMatchObject({ x87: 'CPU', sse: 'CPU', avx: 'init', opmask: 'CPU' })
    expect(found.mxcsr).toBe(after.mxcsr)
  })

  test('where nothing is odd it is not asked', () => {
    const never: Oracle = () => {
      throw new Error('asked')
    }
    expect(explained(saved([]), 'portable', never).asked).toBe(false)
  })
})

test('bytes that lie below the frame are in no record', () => {
  const below = saved([{ op: 'pointer', by: -64 }])
  expect(explain(below, generationOf('classic'), task, null)).toBe(
    'it hangs on bytes that the frame leaves to chance',
  )
})

test('a host without XSAVE: nobody looks at the sw bytes', () => {
  const old = known('nehalem')
  const one = saved([], {
    layout: old,
    load: randomImage(old, { seed: 1 }),
    poison: randomImage(old, { seed: 2 }),
  })
  const found = explained(one, 'portable', null, {
    layout: old,
    compacts: false,
    avxLoadsMxcsr: false,
    keepsPointers: false,
    keepsZmmHi256: true,
  })
  expect(outcome(found)).toEqual(['fx-only', null])
  expect(originsOf(found)).toEqual({ x87: 'frame', sse: 'frame' })
})
