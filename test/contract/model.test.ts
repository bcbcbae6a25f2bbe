/** What holds of the model whatever the frame: for drawn frames, on every known CPU, for every generation. Pure. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { generations } from '../../lib/contract/generations.ts'
import type { Policy } from '../../lib/contract/policy.ts'
import type { SentFrame } from '../../lib/contract/predict/frame.ts'
import type { HardwareAnswer } from '../../lib/contract/predict/hardware.ts'
import { type Ended, isOf32, type Prediction, predict, steps } from '../../lib/contract/predict/predict.ts'
import { outcomeOf, stepOf } from '../../lib/contract/predict/trail.ts'
import { decidedBy, decisionsOf } from '../../lib/contract/predict/words.ts'
import type { RuleId } from '../../lib/contract/rules.ts'
import { type Abi, abis, isIa32 } from '../../lib/frame/abi.ts'
import type { EditOp } from '../../lib/frame/edit.ts'
import type { DrawnFrame } from '../../lib/fuzz/grammar.ts'
import { frameOf } from '../../lib/harness/explain.ts'
import { initMxcsr } from '../../lib/xstate/image.ts'
import { legacyFeatures } from '../../lib/xstate/layout.ts'
import { createRandom, randomImage } from '../../lib/xstate/random.ts'
import { grammarOf, withXsave } from '../fuzz/frames.ts'
import { known } from '../xstate/arbitrary.ts'

const layouts = withXsave.map(known)
const grammars = new Map(layouts.map(layout => [layout, grammarOf(layout, 0.2)]))

interface Drawn {
  readonly frame: SentFrame
  readonly edit: readonly EditOp[]
  readonly layout: (typeof layouts)[number]
  readonly compacts: boolean
  readonly avxLoadsMxcsr: boolean
  readonly keepsPointers: boolean
  readonly keepsZmmHi256: boolean
}

const anyDrawn: fc.Arbitrary<Drawn> = fc
  .record({
    layout: fc.constantFrom(...layouts),
    seed: fc.nat(1 << 30),
    compacts: fc.boolean(),
    avxLoadsMxcsr: fc.boolean(),
    keepsPointers: fc.boolean(),
    keepsZmmHi256: fc.boolean(),
  })
  .map(({ layout, seed, ...task }) => {
    const { abi, edit, load }: DrawnFrame = grammars.get(layout)!(createRandom(seed))
    const frame = frameOf({ abi, layout, edit, load: randomImage(layout, { seed: load }) })
    return { frame, edit, layout, ...task }
  })

const anyPolicy = fc.constantFrom(...generations.map(({ policy }) => policy))
const numRuns = 800

/** What hardware may answer; what it loads is another image. */
const answersOf = ({ layout }: Drawn): HardwareAnswer[] => [
  'fault',
  'page fault',
  randomImage(layout, { seed: 99 }).bytes,
]

/** With every answer that there can be, where one is asked for. */
const predictions = (drawn: Drawn, policy: Policy): Prediction[] => {
  const first = predict(drawn.frame, drawn, policy)
  if (first.end !== 'ask') return [first]
  return answersOf(drawn).map(answer => predict(drawn.frame, drawn, policy, answer))
}

const isEnded = (one: Prediction): one is Ended => one.end !== 'ask' && one.end !== 'unknown'
const endings = (drawn: Drawn, policy: Policy): Ended[] => predictions(drawn, policy).filter(isEnded)

const always = (holds: (drawn: Drawn, policy: Policy) => void, runs = numRuns): void => {
  fc.assert(fc.property(anyDrawn, anyPolicy, holds), { numRuns: runs, seed: 5 })
}

/** How often something was met: a property of nothing is none. */
const counting = () => {
  const counts: Record<string, number> = {}
  return { counts, count: (what: string): number => (counts[what] = (counts[what] ?? 0) + 1) }
}

describe('a prediction', () => {
  test('is one of the ends that there are, and answered once, is not asked for again', () => {
    const { counts, count } = counting()
    always((drawn, policy) => {
      const first = predict(drawn.frame, drawn, policy)
      count(first.end)
      if (first.end === 'ask') for (const one of predictions(drawn, policy)) expect(one.end).not.toBe('ask')
    }, 1500)
    for (const end of ['restored', 'fx-only', 'init', 'rejected', 'killed', 'ask'])
      expect([end, (counts[end] ?? 0) > 0]).toEqual([end, true])
  })

  test('is the same each time, and leaves the frame as it was', () => {
    always((drawn, policy) => {
      const before = drawn.frame.area.slice()
      expect(predict(drawn.frame, drawn, policy)).toEqual(predict(drawn.frame, drawn, policy))
      expect(Buffer.compare(before, drawn.frame.area)).toBe(0)
    }, 300)
  })

  test('of what faults in the hardware is a rejection', () => {
    const { counts, count } = counting()
    always((drawn, policy) => {
      if (predict(drawn.frame, drawn, policy).end !== 'ask') return
      const { end } = predict(drawn.frame, drawn, policy, 'fault')
      if (drawn.frame.blocksSigsegv) expect(end).toBe('killed')
      else expect(end).toBe('rejected')
      count(end)
    })
    expect(counts.rejected).toBeGreaterThan(20)
  })

  test('of what the hardware loads is no rejection', () => {
    const { counts, count } = counting()
    always((drawn, policy) => {
      if (predict(drawn.frame, drawn, policy).end !== 'ask') return
      const answer = randomImage(drawn.layout, { seed: 99 }).bytes
      const end = predict(drawn.frame, drawn, policy, answer)
      count(end.end)
      expect(['restored', 'fx-only', 'unknown']).toContain(end.end)
      if (!isEnded(end)) return
      expect(end.registers.loaded & ~drawn.layout.features).toBe(0n)
    })
    expect((counts.restored ?? 0) + (counts['fx-only'] ?? 0)).toBeGreaterThan(20)
  })
})

describe('registers', () => {
  test('FX-only leaves exactly x87 and SSE, the frame’s MXCSR, and the keys at init', () => {
    const { counts, count } = counting()
    always((drawn, policy) => {
      for (const { end, registers } of endings(drawn, policy)) {
        if (end !== 'fx-only') continue
        count(drawn.frame.abi)
        expect(registers.loaded).toBe(legacyFeatures)
        expect(registers.keys).toBe('init')
      }
    })
    for (const abi of abis) expect([abi, (counts[abi] ?? 0) > 20]).toEqual([abi, true])
  })

  test('a rejection, and a null pointer, leave everything at init and the keys closed', () => {
    const { counts, count } = counting()
    always((drawn, policy) => {
      for (const { end, registers } of endings(drawn, policy)) {
        if (end !== 'rejected' && end !== 'init' && end !== 'killed') continue
        count(end)
        expect(registers).toMatchObject({ loaded: 0n, mxcsr: initMxcsr, keys: 'default' })
      }
    })
    expect(counts.rejected).toBeGreaterThan(100)
    expect(counts.init).toBeGreaterThan(5)
  })

  test('nothing is loaded that the task has not, or that the frame does not name', () => {
    const { counts, count } = counting()
    always((drawn, policy) => {
      for (const { end, registers } of endings(drawn, policy)) {
        if (end !== 'restored') continue
        count(end)
        const { area } = drawn.frame
        const xfeatures = new DataView(area.buffer, area.byteOffset).getBigUint64(472, true)
        expect(registers.loaded & ~drawn.layout.features).toBe(0n)
        expect(registers.loaded & ~xfeatures).toBe(0n)
      }
    })
    expect(counts.restored).toBeGreaterThan(100)
  })

  test('there are bytes for what is loaded, as far as the record goes', () => {
    always((drawn, policy) => {
      for (const { registers } of endings(drawn, policy))
        for (const { mask, end, index } of drawn.layout.components) {
          if ((registers.loaded & mask) === 0n) continue
          const { length } = index === 0 ? registers.x87 : registers.area
          expect(length).toBeGreaterThanOrEqual(index === 0 ? 160 : end)
        }
    })
  })
})

describe('the trail', () => {
  test('begins with the null pointer, goes in order, and each step says what it can say', () => {
    always((drawn, policy) => {
      for (const { trail } of endings(drawn, policy)) {
        expect(decisionsOf(trail)[0]?.step.rule).toBe('null-fpstate-is-init')
        const indices = trail.map(stepOf)
        expect(indices).toEqual([...new Set(indices)].sort((a, b) => a - b))
        for (const mark of trail) {
          const { says, when } = steps[stepOf(mark)]!
          expect(says).toContain(outcomeOf(mark))
          expect(when?.(policy) ?? true).toBe(true)
          const of32 = isOf32(stepOf(mark))
          if (of32 !== null) expect(of32).toBe(isIa32(drawn.frame.abi))
        }
      }
    })
  })

  test('has one last word, which is the end', () => {
    const { counts, count } = counting()
    always((drawn, policy) => {
      for (const ended of endings(drawn, policy)) {
        const by = decidedBy(ended)
        count(ended.end)
        if (ended.end === 'restored') expect(by).toBeNull()
        else expect(by?.said).toBe(ended.end === 'killed' ? 'rejected' : ended.end)
        const last = decisionsOf(ended.trail).at(-1)
        if (ended.end === 'rejected' || ended.end === 'killed') {
          expect(last?.step.rule).toBe('blocked-sigsegv-kills')
          expect(last?.said).toBe(ended.end === 'killed' ? 'killed' : 'passes')
          expect(ended.end === 'killed').toBe(drawn.frame.blocksSigsegv)
        } else expect(last?.step.rule).not.toBe('blocked-sigsegv-kills')
      }
    })
    expect(Object.keys(counts).sort()).toEqual(['fx-only', 'init', 'killed', 'rejected', 'restored'])
  })
})

const sameBytes = (one: Uint8Array, other: Uint8Array): boolean => Buffer.compare(one, other) === 0

/** The same end, and the same in the registers. */
const sameFate = (one: Prediction, other: Prediction): boolean => {
  if (!isEnded(one) || !isEnded(other)) return one.end === other.end
  const [a, b] = [one.registers, other.registers]
  return (
    one.end === other.end &&
    a.loaded === b.loaded &&
    a.mxcsr === b.mxcsr &&
    a.keys === b.keys &&
    a.pointers === b.pointers &&
    sameBytes(a.area, b.area) &&
    sameBytes(a.x87, b.x87)
  )
}

const sameFates = (some: readonly Prediction[], others: readonly Prediction[]): boolean =>
  some.length === others.length && some.every((one, i) => sameFate(one, others[i] as Prediction))

describe('generations', () => {
  /** Touches neither sizes, nor MAGICs, nor whose components there are, nor where all of it lies. */
  const isPlain = ({ op, ...rest }: EditOp): boolean => {
    const field = 'field' in rest ? rest.field : ''
    if (
      field.startsWith('sw.') ||
      op === 'resize' ||
      op === 'magic2' ||
      op === 'move' ||
      op === 'pages' ||
      op === 'pointer'
    )
      return false
    if (op === 'write' || op === 'fill') {
      const { at, region } = rest as { at: number; region?: string }
      return region === 'fsave' || region === 'head' || at >= 576 || at < 400
    }
    return true
  }

  const anyPlain: fc.Arbitrary<Drawn> = anyDrawn
    .map(drawn => ({ ...drawn, edit: drawn.edit.filter(isPlain) }))
    .map(drawn => {
      const load = randomImage(drawn.layout, { seed: 1 })
      try {
        return {
          ...drawn,
          frame: frameOf({ abi: drawn.frame.abi, layout: drawn.layout, edit: drawn.edit, load }),
        }
      } catch {
        return {
          ...drawn,
          edit: [],
          frame: frameOf({ abi: drawn.frame.abi, layout: drawn.layout, edit: [], load }),
        }
      }
    })

  const keepsSizes = ({ frame: { area }, layout }: Drawn): boolean => {
    const view = new DataView(area.buffer, area.byteOffset, area.byteLength)
    return (
      view.getUint32(464, true) === 0x46505853 &&
      view.getUint32(468, true) === layout.size + 4 &&
      view.getBigUint64(472, true) === layout.features &&
      view.getUint32(480, true) === layout.size &&
      view.getUint32(layout.size, true) === 0x46505845
    )
  }

  test('agree on every frame whose sizes and MAGICs are as the kernel wrote them', () => {
    const { counts, count } = counting()
    fc.assert(
      fc.property(anyPlain, drawn => {
        if (!keepsSizes(drawn)) return
        const [first = [], ...others] = generations.map(({ policy }) => predictions(drawn, policy))
        count(drawn.edit.length === 0 ? 'untouched' : 'edited')
        for (const other of others) expect(sameFates(first, other)).toBe(true)
      }),
      { numRuns, seed: 6 },
    )
    expect(counts.edited).toBeGreaterThan(numRuns / 5)
  })

  /** Pairs of policies that differ in one field, and the rules that say so. */
  const fields: readonly (readonly [keyof Policy, Partial<Policy>, readonly RuleId[]])[] = [
    ['aboveUserSize', { aboveUserSize: 'believed' }, ['size-above-user-size-is-fx-only']],
    ['magic2Room', { magic2Room: 'asked' }, ['extended-size-has-room-for-magic2']],
    ['tooSmall', { tooSmall: 'rejected' }, ['too-small-is-rejected']],
    [
      'magic2At',
      { magic2At: 'user_size' },
      [
        'size-below-576-is-fx-only',
        'size-above-user-size-is-fx-only',
        'size-above-extended-size-is-fx-only',
        'magic2-is-readable',
        'magic2-is-required',
      ],
    ],
    ['faultsIn', { faultsIn: 'required size' }, ['absent-pages-are-faulted-in']],
  ]

  const classic = generations[0]!.policy

  /** Whether the way of a frame, as far as it is known, has one of these saying something. */
  const saysOtherwise = (all: readonly Prediction[], rules: readonly RuleId[]): boolean =>
    all.some(
      one =>
        isEnded(one) &&
        decisionsOf(one.trail).some(({ step: { rule }, said }) => said !== 'passes' && rules.includes(rule)),
    )

  test.each(fields)('that differ in %s differ only where its rules say so', (_, change, rules) => {
    const { counts, count } = counting()
    const other: Policy = { ...classic, ...change }
    fc.assert(
      fc.property(anyDrawn, drawn => {
        const [one, two] = [predictions(drawn, classic), predictions(drawn, other)]
        // What hangs on what nobody knows is no difference.
        if (![...one, ...two].every(isEnded) || sameFates(one, two)) return
        count('differ')
        expect(saysOtherwise([...one, ...two], rules)).toBe(true)
      }),
      { numRuns: 1500, seed: 8 },
    )
    // Frames for which that of pages counts are rare: see below.
    if (change.faultsIn === undefined) expect(counts.differ).toBeGreaterThan(5)
  })
})

test('how much is faulted in counts where what lies behind cannot be had', () => {
  const layout = known('sapphire-rapids-tiles')
  const edit: readonly EditOp[] = [
    { op: 'resize', xstateSize: 832 },
    { op: 'set', field: 'sw.xfeatures', value: 7n },
    { op: 'and', field: 'xstateBv', value: 7n },
    { op: 'magic2', clearTail: true },
    { op: 'move', at: 4096 - 320 },
    { op: 'pages', at: 0, length: 1, state: 'evicted' },
    { op: 'pages', at: 8192, length: 1, state: 'unreadable' },
  ]
  const frame = frameOf({ abi: 'x86_64', layout, edit, load: randomImage(layout, { seed: 1 }) })
  const task = { layout, compacts: true, avxLoadsMxcsr: true, keepsPointers: true, keepsZmmHi256: true }
  const ends = generations.map(({ policy }) => {
    const { end } = predict(frame, task, policy)
    return [policy.faultsIn, end]
  })
  expect(ends[0]).toEqual(['user_size', 'rejected'])
  expect(ends[2]).toEqual(['required size', 'restored'])
  expect(predict(frame, task, { ...generations[0]!.policy, faultsIn: 'required size' }).end).toBe('restored')
})

test.each(abis)('%s: a frame that nobody changed is restored, whoever gets it', (abi: Abi) => {
  for (const layout of layouts)
    for (const { id, policy } of generations) {
      const load = randomImage(layout, { seed: 3 })
      const one = predict(
        frameOf({ abi, layout, edit: [], load }),
        { layout, compacts: true, avxLoadsMxcsr: true, keepsPointers: true, keepsZmmHi256: true },
        policy,
      )
      expect([id, one.end]).toEqual([id, 'restored'])
      if (isEnded(one)) expect(one.registers).toMatchObject({ loaded: layout.features, mxcsr: load.mxcsr })
    }
})
