/**
 * Tells a kernel's generation by what it does: a small fixed set of frames, whatever cases were asked for, and the
 * generation that deviates least from what was seen.
 */
import type { EditOp } from '../frame/edit.ts'
import { type Layout, minXsaveSize } from '../xstate/layout.ts'
import { type Deviation, deviationOf, headlineOf } from './deviation.ts'
import { enlarge, futureFeature, resizeTo, shrinkTo } from './frames.ts'
import { behaviour, type Generation, generations } from './generations.ts'
import type { RuleId } from './rules.ts'
import type { Observed } from './treatment.ts'

/** A frame that tells generations apart by one rule. */
export interface TellingFrame {
  readonly rule: RuleId
  readonly edit: readonly EditOp[]
  /** Where the fpstate lies when it is sent; on the stack if left out. */
  readonly placement?: 'spare'
}

/** The frames that this layout can have; one without extended components has none that are too small. */
export const tellingFrames = (layout: Layout): TellingFrame[] => {
  if (!layout.xsave) return []
  const size = layout.size
  const frames: TellingFrame[] = [
    { rule: 'size-below-576-is-fx-only', edit: [{ op: 'resize', xstateSize: minXsaveSize - 1 }] },
    {
      rule: 'size-above-extended-size-is-fx-only',
      edit: [{ op: 'set', field: 'sw.extendedSize', value: size - 1 }],
    },
    {
      rule: 'extended-size-has-room-for-magic2',
      edit: [{ op: 'set', field: 'sw.extendedSize', value: size }],
    },
    { rule: 'larger-frame-restores', edit: enlarge(layout), placement: 'spare' },
    {
      rule: 'unsupported-xfeatures-are-rejected',
      placement: 'spare',
      edit: [...enlarge(layout), { op: 'or', field: 'xstateBv', value: futureFeature }],
    },
  ]
  if (layout.extended.length === 0) return frames
  return [
    ...frames,
    { rule: 'too-small-is-rejected', edit: resizeTo(minXsaveSize) },
    { rule: 'shrunk-frame-restores', edit: shrinkTo(layout, []) },
  ]
}

/** What was seen of one rule. */
export interface Evidence {
  readonly rule: RuleId
  readonly observed: Observed
  /** The same in words, where there is more to say. */
  readonly seen?: string
}

export interface Fingerprint {
  readonly generation: Generation
  readonly evidence: readonly (Evidence & {
    readonly asGeneration: boolean
    /** Null where the kernel does as its generation. */
    readonly deviation: Deviation | null
  })[]
  /** The rules in which the kernel does otherwise than its generation. */
  readonly deviations: readonly Deviation[]
  /** What the kernel is, in one line. */
  readonly headline: string
}

const deviates = (generation: Generation, { rule, observed }: Evidence): boolean =>
  behaviour(generation, rule) !== observed

/** The generation with the fewest deviations; of two that fit equally well, the older. */
export const fingerprint = (evidence: readonly Evidence[]): Fingerprint => {
  const count = (generation: Generation): number => evidence.filter(e => deviates(generation, e)).length
  const generation = generations.reduce((best, next) => (count(next) < count(best) ? next : best))
  const judged = evidence.map(e => {
    const asGeneration = !deviates(generation, e)
    return {
      ...e,
      asGeneration,
      deviation: asGeneration ? null : deviationOf(generation, e.rule, e.observed),
    }
  })
  const deviations = judged.flatMap(({ deviation }) => (deviation === null ? [] : [deviation]))
  return { generation, evidence: judged, deviations, headline: headlineOf(generation, deviations) }
}
