/** What a run fails for as a whole, whatever its cases say one by one. */
import { type Demand, tellingRules, wants } from '../contract/demand.ts'
import type { Deviation } from '../contract/deviation.ts'
import type { Evidence, Fingerprint } from '../contract/fingerprint.ts'
import type { Generation } from '../contract/generations.ts'
import { type RuleId, ruleOf } from '../contract/rules.ts'
import { treatmentText } from '../contract/treatment.ts'
import { judge } from '../contract/verdict.ts'
import type { Failure } from './complaints.ts'
import type { Bundle, CaseResult, KernelResult } from './results.ts'

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
  bytes: null,
  durationUs: 0,
  repro: null,
})

const executedRules = (cases: readonly CaseResult[]): ReadonlySet<RuleId> =>
  new Set(cases.filter(({ verdict }) => verdict !== 'skip').flatMap(({ rules }) => rules))

/** A failure of the run for what a telling frame met with. */
const failureAt = (selftest: string, { rule, observed, seen }: Evidence, reason: string): CaseResult => ({
  ...failureOf(selftest, rule, reason, treatmentText[ruleOf(rule).holds], seen ?? treatmentText[observed]),
  rules: [rule],
})

/** What no generation does, or what breaks a rule that every good kernel keeps; the rest is a kernel between two. */
const isFault = ({ rule, kind }: Deviation): boolean =>
  kind === 'otherwise' || (kind === 'behind' && ruleOf(rule).status === 'established')

/**
 * What the telling frames fail a run for, whatever was selected: behaviour of no generation, and each rule of the
 * generation or proposal that was demanded. Where a case has failed for a rule, that is enough.
 */
const deviating = (
  { generation, evidence }: Fingerprint,
  require: Demand | null,
  cases: readonly CaseResult[],
): CaseResult[] => {
  const failed = new Set(cases.filter(({ verdict }) => verdict === 'fail').flatMap(({ rules }) => rules))
  const reasonOf = ({ rule, observed }: Evidence, wanted: Demand | null): string | null => {
    const { verdict, reason } = judge(rule, observed, generation, { require: wanted, held: new Set() })
    return verdict === 'fail' ? reason : null
  }
  return evidence
    .filter(({ rule }) => !failed.has(rule))
    .flatMap(one => {
      const fault = one.deviation !== null && isFault(one.deviation) ? reasonOf(one, null) : null
      if (fault !== null) return [failureAt('kernel', one, fault)]
      if (require === null || !wants(require, ruleOf(one.rule))) return []
      const lacking = reasonOf(one, require)
      return lacking === null ? [] : [failureAt('require', one, lacking)]
    })
}

/** `--require` where no case that was run could tell the generation from others is no success. */
const untold = (require: Demand | null, cases: readonly CaseResult[]): CaseResult[] => {
  if (require === null) return []
  const telling = tellingRules(require)
  if ([...executedRules(cases)].some(rule => telling.has(rule))) return []
  const others = 'policy' in require ? 'other generations' : 'what is merged'
  const reason = `no case that was run could tell ${require.id} from ${others}`
  return [failureOf('require', require.id, reason, `a case that tells ${require.id}`)]
}

/** Nor is a whole run that could not look at a rule which held in the baseline. */
const unlooked = (held: ReadonlySet<RuleId>, cases: readonly CaseResult[]): CaseResult[] => {
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
const harmed = ({ id, harm }: Generation, cases: readonly CaseResult[]): CaseResult[] =>
  harm === undefined || cases.some(({ verdict }) => verdict === 'fail')
    ? []
    : [failureOf('kernel', id, harm, 'a kernel that loses nothing silently')]

/** Nor does one that complains itself. */
export const complained = (failures: readonly Failure[]): CaseResult[] =>
  failures.map(({ name, reason, quote, expected }) => failureOf('kernel', name, reason, expected, quote))

/** What a run is judged by as a whole. */
export interface WholeRun {
  readonly found: Fingerprint
  readonly require: Demand | null
  /** The rules that held in the baseline. */
  readonly held: ReadonlySet<RuleId>
  /** Whether no case was left out by name. */
  readonly all: boolean
}

/** All that the kernel's behaviour fails a run for beyond its cases. */
export const failuresOfTheRun = (
  { found, require, held, all }: WholeRun,
  cases: readonly CaseResult[],
): CaseResult[] => {
  const failures = [
    ...deviating(found, require, cases),
    ...untold(require, cases),
    ...(all ? unlooked(held, cases) : []),
  ]
  return [
    ...failures,
    ...(found.evidence.length > 0 ? harmed(found.generation, [...cases, ...failures]) : []),
  ]
}

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

/** Upstream has the portable rules from here on. */
const portableSince = '7.4'

const numbersOf = (version: string): number[] => (/^(\d+)\.(\d+)/.exec(version) ?? []).slice(1).map(Number)

/** Whether a release claims to be a version, or newer. */
const claims = (release: string, version: string): boolean => {
  const [major = 0, minor = 0] = numbersOf(release)
  const [since = 0, sinceMinor = 0] = numbersOf(version)
  return major > since || (major === since && minor >= sinceMinor)
}

/** The rules that a version brought and cases have found to be lacking, with that version. */
const lackedRules = (cases: readonly CaseResult[]): ReadonlyMap<RuleId, string> =>
  new Map(
    cases
      .filter(({ verdict }) => verdict === 'xfail')
      .flatMap(({ rules }) => rules)
      .flatMap(id => {
        const version = /^since (\d+\.\d+)$/.exec(ruleOf(id).status)?.[1]
        return version === undefined ? [] : [[id, version] as const]
      }),
  )

/**
 * What upstream of a kernel's version has and it lacks: a lost fix must not hide as xfail. Versions mislead, so these
 * are warnings and no verdicts.
 */
export const belied = (
  { release, generation }: Pick<KernelResult, 'release' | 'generation'>,
  cases: readonly CaseResult[],
): string[] => {
  const lines = [...lackedRules(cases)]
    .filter(([, version]) => claims(release, version))
    .map(
      ([id, version]) =>
        `Linux ${release} claims to be ${version} or newer, where upstream has ${id}, but does otherwise.`,
    )
  if (!claims(release, portableSince) || (generation !== 'classic' && generation !== 'regressed'))
    return lines
  return [
    `Linux ${release} claims to be ${portableSince} or newer, where upstream has the portable rules, but behaves as ${generation}.`,
    ...lines,
  ]
}
