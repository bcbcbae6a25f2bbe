/** From what was observed of a rule to a verdict. */
import { type Demand, wants } from './demand.ts'
import { behaviour, type Generation, generationsThat } from './generations.ts'
import { type Rule, type RuleId, ruleOf } from './rules.ts'
import { type Observed, treatmentText } from './treatment.ts'

export interface Judgement {
  readonly verdict: 'pass' | 'xfail' | 'fail'
  /** Empty for a plain pass. */
  readonly reason: string
}

/** What is demanded beyond what the kernel's generation promises. */
export interface Demands {
  /** `--require`: every rule that holds in this generation, or that is of this proposal, must hold. */
  readonly require: Demand | null
  /** `--baseline`: rules that held there must hold. */
  readonly held: ReadonlySet<RuleId>
}

const brings = (rule: Rule): string =>
  rule.status === 'proposed' ? `proposed: ${rule.commit}` : `${rule.status}: ${rule.commit}`

/** A rule that no generation brought: before it, kernels of each did otherwise. */
const isBefore = ({ before }: Rule, observed: Observed): boolean =>
  before?.some(treatment => treatment === observed) === true

/** Whether a rule holds in a generation. */
export const isIn = (generation: Generation, rule: Rule): boolean =>
  behaviour(generation, rule.id) === rule.holds

const passing = (rule: Rule, kernel: Generation): Judgement => ({
  verdict: 'pass',
  reason:
    rule.status !== 'established' && !isIn(kernel, rule) ? `ahead of ${kernel.id}: ${brings(rule)}` : '',
})

/** A rule that a later generation gives up on purpose. */
const superseded = (rule: Rule, kernel: Generation, observed: Observed): boolean =>
  rule.status === 'established' && kernel.harm === undefined && behaviour(kernel, rule.id) === observed

const failing = (rule: Rule, kernel: Generation, observed: Observed): Judgement => {
  const known = generationsThat(rule.id, observed)
  if (known.length === 0)
    return { verdict: 'fail', reason: `no kernel generation does this: ${treatmentText[observed]}` }
  if (kernel.harm !== undefined && known.includes(kernel))
    return { verdict: 'fail', reason: `as ${kernel.id} kernels do: ${kernel.commits}` }
  return {
    verdict: 'fail',
    reason: `as ${known.map(({ id }) => id).join(' and ')} kernels do, but this one is ${kernel.id}`,
  }
}

/**
 * Judges one observation.
 * @param id the rule that the frame reached
 * @param kernel the generation that the kernel was told to be
 */
export const judge = (id: RuleId, observed: Observed, kernel: Generation, demands: Demands): Judgement => {
  const rule = ruleOf(id)
  if (observed === rule.holds) return passing(rule, kernel)
  if (superseded(rule, kernel, observed)) return { verdict: 'pass', reason: `superseded in ${kernel.id}` }
  const { require, held } = demands
  const lacking = require !== null && wants(require, rule)
  // A rule that no generation brought is demanded by what proposes it alone.
  const isDemanded = lacking && rule.proposal === require.id
  if (isBefore(rule, observed) && !held.has(id) && !isDemanded)
    return { verdict: 'xfail', reason: brings(rule) }
  if (held.has(id)) return { verdict: 'fail', reason: 'the rule held in the baseline and holds no longer' }
  if (lacking) return { verdict: 'fail', reason: `--require ${require.id} wants it: ${brings(rule)}` }
  if (rule.status !== 'established' && !isIn(kernel, rule) && observed === behaviour(kernel, id))
    return { verdict: 'xfail', reason: brings(rule) }
  return failing(rule, kernel, observed)
}
