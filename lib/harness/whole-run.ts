/** What a run fails for as a whole, whatever its cases say one by one. */
import type { Generation } from '../contract/generations.ts'
import type { RuleId } from '../contract/rules.ts'
import { tellingRules } from '../contract/verdict.ts'
import type { Failure } from './complaints.ts'
import type { Bundle, CaseResult } from './results.ts'

/** A failure of the run as a whole. */
const failureOf = (
  selftest: string,
  name: string,
  reason: string,
  expected: string,
  observed = '',
): CaseResult => ({
  id: `${selftest}/${name}/x86_64/all`,
  selftest,
  case: name,
  abi: 'x86_64',
  components: [],
  placement: 'stack',
  rules: [],
  verdict: 'fail',
  reason,
  observed,
  expected,
  durationUs: 0,
  repro: null,
})

const executedRules = (cases: readonly CaseResult[]): ReadonlySet<RuleId> =>
  new Set(cases.filter(({ verdict }) => verdict !== 'skip').flatMap(({ rules }) => rules))

/** `--require` where no case that was run could tell the generation from others is no success. */
export const untold = (require: Generation | null, cases: readonly CaseResult[]): CaseResult[] => {
  if (require === null) return []
  const telling = tellingRules(require)
  if ([...executedRules(cases)].some(rule => telling.has(rule))) return []
  const reason = `no case that was run could tell ${require.id} from other generations`
  return [failureOf('require', require.id, reason, `a case that tells ${require.id}`)]
}

/** Nor is a whole run that could not look at a rule which held in the baseline. */
export const unlooked = (held: ReadonlySet<RuleId>, cases: readonly CaseResult[]): CaseResult[] => {
  const executed = executedRules(cases)
  return [...held]
    .filter(rule => !executed.has(rule))
    .map(rule =>
      failureOf(
        'baseline',
        rule,
        'the rule held in the baseline, and no case of this run could tell',
        'a case that tells',
      ),
    )
}

/** A kernel that harms never passes, whatever was selected. */
export const harmed = ({ id, harm }: Generation, cases: readonly CaseResult[]): CaseResult[] =>
  harm === undefined || cases.some(({ verdict }) => verdict === 'fail')
    ? []
    : [failureOf('kernel', id, harm, 'a kernel that loses nothing silently')]

/** Nor does one that complains itself. */
export const complained = (failures: readonly Failure[]): CaseResult[] =>
  failures.map(({ name, reason, quote, expected }) => failureOf('kernel', name, reason, expected, quote))

/** The rules that held in a baseline. */
export const heldIn = (baseline: Bundle | null): Set<RuleId> => {
  const held = new Set<RuleId>()
  const lost = new Set<RuleId>()
  for (const { rules, verdict } of baseline?.cases ?? []) {
    for (const rule of rules) {
      if (verdict === 'pass') held.add(rule)
      else if (verdict !== 'skip') lost.add(rule)
    }
  }
  for (const rule of lost) held.delete(rule)
  return held
}
