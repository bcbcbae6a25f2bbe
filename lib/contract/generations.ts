/**
 * The kernel generations: for each, only what it does otherwise than the rules say. To add one for a new patch
 * series is one entry here. Kernels are told by what they do; the versions are for people.
 */
import { wrongType } from '../errors.ts'
import { type RuleId, ruleOf } from './rules.ts'
import type { Treatment } from './treatment.ts'

export type GenerationId = 'classic' | 'regressed' | 'portable' | 'larger'

export interface Generation {
  readonly id: GenerationId
  readonly kernels: string
  /** One sentence for people. */
  readonly summary: string
  /** What is wrong with it, and what repairs it; undefined where nothing is. */
  readonly harm?: string
  /** The commits that brought the harm and repaired it. */
  readonly commits?: string
  /** Rules that do not hold here, and what happens instead. */
  readonly differs: Readonly<Partial<Record<RuleId, Treatment>>>
}

const beforeLarger = {
  'larger-frame-restores': 'fx-only',
  'unsupported-xfeatures-are-rejected': 'fx-only',
} as const satisfies Generation['differs']

/** Older first: of two that fit equally well, the older is named. */
export const generations: readonly Generation[] = Object.freeze([
  {
    id: 'classic',
    kernels: 'up to 6.14; 6.18.35+, 7.0.12+, 7.1 to 7.3',
    summary: 'believes the frame’s xstate_size, does not ask whether it is large enough',
    differs: {
      ...beforeLarger,
      'extended-size-has-room-for-magic2': 'restored',
      'too-small-is-rejected': 'restored',
      'only-the-required-size-is-faulted-in': 'rejected',
    },
  },
  {
    id: 'regressed',
    kernels: '6.15 to 6.17, 6.18.0 to 6.18.34, 6.19, 7.0.0 to 7.0.11',
    summary: 'looks for MAGIC2 at the host’s size and ignores the frame’s xstate_size',
    harm:
      'A frame from a CPU with fewer components silently loses all state above SSE (the upper halves of YMM ' +
      'first): a migrated process goes on with wrong numbers. Since 6.15 (dc8aa31a7ac2); repaired by ' +
      '44eeff9bc467 in 7.1, 7.0.12 and 6.18.35.',
    commits: 'since dc8aa31a7ac2, repaired by 44eeff9bc467',
    differs: {
      ...beforeLarger,
      'size-below-576-is-fx-only': 'restored',
      'size-above-user-size-is-fx-only': 'restored',
      'size-above-extended-size-is-fx-only': 'restored',
      'extended-size-has-room-for-magic2': 'restored',
      'too-small-is-rejected': 'fx-only',
      'shrunk-frame-restores': 'fx-only',
      'frame-may-end-a-mapping': 'rejected',
      'ia32-reads-what-xstate-bv-names': 'rejected',
      'only-the-required-size-is-faulted-in': 'rejected',
    },
  },
  {
    id: 'portable',
    kernels: 'x86/fpu since 3d69596c684b..391cac638edd, expected in 7.4',
    summary: 'believes the frame’s xstate_size and rejects one that is too small',
    differs: { ...beforeLarger, 'ia32-reads-what-xstate-bv-names': 'rejected' },
  },
  {
    id: 'larger',
    kernels: 'none that is merged (proposed: v3 09/10 and 10/10 of 15 June 2026)',
    summary: 'as portable, and accepts frames larger than the task’s own',
    differs: {
      'size-above-user-size-is-fx-only': 'restored',
      'ia32-reads-what-xstate-bv-names': 'rejected',
    },
  },
] as const satisfies readonly Generation[])

const ids = generations.map(generation => generation.id)

/** @throws TypeError that lists the generations */
export const generationOf = (id: string, field = 'generation'): Generation => {
  const found = generations.find(generation => generation.id === id)
  if (found === undefined) throw wrongType(field, id, `one of ${ids.join(' ')}`)
  return found
}

/** What kernels of a generation do where a rule applies. */
export const behaviour = (generation: Generation, rule: RuleId): Treatment =>
  generation.differs[rule] ?? ruleOf(rule).holds
