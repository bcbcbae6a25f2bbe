/** Where a kernel does otherwise than its generation: which way, who else does so, and all of it in words. */
import { type Generation, type GenerationId, generations, generationsThat } from './generations.ts'
import { type RuleId, ruleOf } from './rules.ts'
import type { Observed } from './treatment.ts'

/** `ahead`: as a later generation that does no harm. `behind`: as another. `otherwise`: as none. */
export type DeviationKind = 'ahead' | 'behind' | 'otherwise'

export interface Deviation {
  readonly rule: RuleId
  readonly observed: Observed
  readonly kind: DeviationKind
  /** The generations that do so. */
  readonly as: readonly GenerationId[]
  /** "as portable, except that a frame … is still accepted, as classic kernels do" */
  readonly text: string
}

/** A treatment as a predicate: what stands before an adverb, and what behind it. */
const predicates: Readonly<Record<Observed, readonly [auxiliary: string, rest: string]>> = {
  restored: ['is', 'restored'],
  'fx-only': ['', 'falls back to FX-only without a word'],
  rejected: ['is', 'rejected with SIGSEGV'],
  init: ['', 'puts all user state to init'],
  astray: ['is', 'restored and leads to a signal'],
  killed: ['', 'ends the process by SIGSEGV'],
  undelivered: ['is', 'not delivered but a SIGSEGV'],
  refused: ['is', 'refused with an errno'],
  kept: ['is', 'taken and not heeded'],
  forgotten: ['is', 'gone after exec'],
  'as-stated': ['is', 'treated as the rule says'],
  unexplained: ['is', 'treated as no rule explains'],
}

/** Where a rule is about what is not to be believed, restoring is believing. */
const predicateOf = (rule: RuleId, observed: Observed): readonly [string, string] =>
  observed === 'restored' && ruleOf(rule).holds !== 'restored' ? ['is', 'accepted'] : predicates[observed]

const isOlder = (id: GenerationId, than: Generation): boolean =>
  generations.findIndex(one => one.id === id) < generations.indexOf(than)

const kindOf = (generation: Generation, known: readonly Generation[]): DeviationKind => {
  if (known.length === 0) return 'otherwise'
  const later = generations.slice(generations.indexOf(generation) + 1)
  return known.some(one => one.harm === undefined && later.includes(one)) ? 'ahead' : 'behind'
}

type Bare = Omit<Deviation, 'text'>

/** `already` what later kernels do, `still` what older ones did. */
const adverbOf = (generation: Generation, { kind, as }: Bare): string => {
  if (kind === 'ahead') return 'already'
  return as.some(id => isOlder(id, generation)) ? 'still' : ''
}

/** "a frame … is still accepted" */
const clauseOf = (generation: Generation, bare: Bare): string => {
  const { rule, observed } = bare
  const [auxiliary, rest] = predicateOf(rule, observed)
  const situation = ruleOf(rule).situation ?? `a frame of ${rule}`
  return [situation, auxiliary, adverbOf(generation, bare), rest].filter(part => part !== '').join(' ')
}

const listed = (ids: readonly string[]): string =>
  ids.length < 2 ? ids.join('') : `${ids.slice(0, -1).join(', ')} and ${ids.at(-1)}`

const attribution = ({ kind, rule, as }: Bare): string => {
  if (kind === 'otherwise') return 'which no known generation does'
  const doers = `as ${listed(as)} kernels do`
  return kind === 'ahead' ? `${doers} (${ruleOf(rule).commit})` : doers
}

/** What a kernel of a generation was seen to do otherwise. */
export const deviationOf = (generation: Generation, rule: RuleId, observed: Observed): Deviation => {
  const known = generationsThat(rule, observed)
  const bare = { rule, observed, kind: kindOf(generation, known), as: known.map(({ id }) => id) }
  const text = `as ${generation.id}, except that ${clauseOf(generation, bare)}, ${attribution(bare)}`
  return { ...bare, text }
}

/** The same with its rule before it, for reports. */
export const deviationText = ({ rule, text }: Deviation): string => `${rule}: ${text}`

/** What a kernel is, in one line. */
export const headlineOf = (generation: Generation, deviations: readonly Deviation[]): string => {
  const { id } = generation
  if (deviations.length === 0) return id
  if (deviations.some(({ kind }) => kind === 'otherwise')) return `no known generation; nearest: ${id}`
  if (deviations.every(({ kind }) => kind === 'ahead')) {
    const rules = deviations.map(({ rule }) => rule).join(', ')
    return `${id}, ahead in ${deviations.length} ${deviations.length === 1 ? 'rule' : 'rules'}: ${rules}`
  }
  return `as ${id}, except that ${deviations.map(one => clauseOf(generation, one)).join(', and that ')}`
}
