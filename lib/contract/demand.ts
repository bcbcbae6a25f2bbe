/** What `--require` can ask of a kernel: all of a generation, or of a proposal that makes none. */
import { outOfRange } from '../errors.ts'
import { behaviour, type Generation, type GenerationId, generations } from './generations.ts'
import { type Proposal, type ProposalId, proposals } from './proposals.ts'
import { type Rule, type RuleId, rules } from './rules.ts'

export type DemandId = GenerationId | ProposalId
export type Demand = Generation | Proposal<ProposalId>

const demands: readonly Demand[] = [...generations.filter(({ harm }) => harm === undefined), ...proposals]

/** What a kernel can be asked to be. */
export const requirable: readonly DemandId[] = demands.map(({ id }) => id)

/** @throws RangeError that lists what can be required */
export const demandOf = (id: string, field = 'require'): Demand => {
  const found = demands.find(demand => demand.id === id)
  if (found === undefined) throw outOfRange(field, id, `must be one of ${requirable.join(' ')}`)
  return found
}

/** Whether a demand wants a rule to hold. */
export const wants = (demand: Demand, rule: Rule): boolean =>
  'policy' in demand ? behaviour(demand, rule.id) === rule.holds : rule.proposal === demand.id

/** The rules by which what is demanded is told from anything else. */
export const tellingRules = (demand: Demand): ReadonlySet<RuleId> =>
  new Set(
    rules
      .filter(rule =>
        'policy' in demand
          ? generations.some(other => behaviour(other, rule.id) !== behaviour(demand, rule.id))
          : wants(demand, rule),
      )
      .map(({ id }) => id),
  )
