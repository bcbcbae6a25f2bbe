/** The one way of running selftests: `npm test`, `sigframe run` and CI all come here. */
import { type Generation, type GenerationId, generationOf, generations } from '../contract/generations.ts'
import { type RuleId, ruleOf } from '../contract/rules.ts'
import { treatmentText } from '../contract/treatment.ts'
import { type Demands, judge, tellingRules } from '../contract/verdict.ts'
import { outOfRange } from '../errors.ts'
import { type OpenOptions, openSync, type Probe, permissible } from '../probe/session.ts'
import { toolVersion } from '../version.ts'
import type { ComponentName } from '../xstate/components.ts'
import { type HostCpu, readHostCpu } from '../xstate/host.ts'
import type { Layout } from '../xstate/layout.ts'
import { type Execution, executeCase } from './execute.ts'
import { describeHost, describeKernel, fingerprintKernel, readTaint } from './host.ts'
import { matcher } from './ids.ts'
import { abi, type PlannedCase, planCases, planLacking, planWithoutXsave, type SkippedCase } from './plan.ts'
import { reproOf } from './repro.ts'
import type { Bundle, CaseResult, HostResult, KernelResult } from './results.ts'
import type { CaseContext, Selftest } from './selftest.ts'
import { loadSelftests } from './selftests.ts'

export interface RunOptions {
  /** Names of selftests, ids, or beginnings of ids up to a slash; `*` stands for anything. Empty: all. */
  readonly select: readonly string[]
  readonly require: GenerationId | null
  /** What must not be lost since. */
  readonly baseline: Bundle | null
  /** Called as cases end, in order. */
  readonly onCase?: (result: CaseResult) => void
  readonly signal?: AbortSignal
}

/** Upstream has the portable rules from here on: a kernel that claims to be newer and lacks them is told so. */
const portableSince = [7, 4] as const

const seed = 1
const casesAtOnce = 32

/** What every case of a run is judged by. */
interface Judging {
  readonly kernel: Generation
  readonly demands: Demands
}

const ruleFor = (planned: PlannedCase, context: CaseContext): RuleId => {
  const { rule } = planned.test
  return typeof rule === 'function' ? rule(context) : rule
}

const verdictOf = (
  done: Execution,
  rule: RuleId,
  { kernel, demands }: Judging,
): Pick<CaseResult, 'verdict' | 'reason'> => {
  if (done.kind === 'lost') return { verdict: done.how, reason: done.text }
  if (done.kind === 'broken') return { verdict: 'broken', reason: done.text }
  return judge(rule, done.observed, kernel, demands)
}

const runCase = (probe: Probe, planned: PlannedCase, judging: Judging): CaseResult => {
  const context = { layout: probe.layout, expected: probe.expected, components: planned.components, seed }
  const rule = ruleFor(planned, context)
  const started = performance.now()
  const done = executeCase(probe, planned.test, context)
  const durationUs = Math.round((performance.now() - started) * 1000)
  const verdict = verdictOf(done, rule, judging)
  return {
    id: planned.id,
    selftest: planned.selftest,
    case: planned.name,
    abi,
    components: planned.components,
    placement: planned.test.placement ?? 'stack',
    rules: [rule],
    ...verdict,
    observed: done.text,
    expected: treatmentText[ruleOf(rule).holds],
    durationUs,
    repro: verdict.verdict === 'pass' ? null : reproOf(planned.test, context),
  }
}

const skipped = ({ id, selftest, name, test, components, reason }: SkippedCase): CaseResult => ({
  id,
  selftest,
  case: name,
  abi,
  components,
  placement: test?.placement ?? 'stack',
  rules: test !== null && typeof test.rule === 'string' ? [test.rule] : [],
  verdict: 'skip',
  reason,
  observed: '',
  expected: '',
  durationUs: 0,
  repro: null,
})

/** The selected cases. @throws RangeError for a pattern that selects none, naming what there is */
const select = <T extends { readonly id: string }>(
  cases: readonly T[],
  patterns: readonly string[],
  names: readonly string[],
): T[] => {
  const matchers = patterns.map(matcher)
  matchers.forEach((matches, i) => {
    if (!cases.some(({ id }) => matches(id)))
      throw outOfRange('name', patterns[i], `which selects no case: the selftests are ${names.join(' ')}`)
  })
  return patterns.length === 0 ? [...cases] : cases.filter(({ id }) => matchers.some(matches => matches(id)))
}

const heldIn = (baseline: Bundle | null): Set<RuleId> => {
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

const requirable = generations.filter(({ harm }) => harm === undefined).map(({ id }) => id)

const checkRequire = (id: GenerationId | null): Generation | null => {
  if (id === null) return null
  const generation = generationOf(id, 'require')
  if (generation.harm !== undefined) throw outOfRange('require', id, `must be one of ${requirable.join(' ')}`)
  return generation
}

/** A failure of the run as a whole. */
const failureOf = (selftest: string, name: string, reason: string, expected: string): CaseResult => ({
  id: `${selftest}/${name}/${abi}/all`,
  selftest,
  case: name,
  abi,
  components: [],
  placement: 'stack',
  rules: [],
  verdict: 'fail',
  reason,
  observed: '',
  expected,
  durationUs: 0,
  repro: null,
})

const executedRules = (cases: readonly CaseResult[]): ReadonlySet<RuleId> =>
  new Set(cases.filter(({ verdict }) => verdict !== 'skip').flatMap(({ rules }) => rules))

/** `--require` where no case that was run could tell the generation from others is no success. */
const untold = (require: Generation | null, cases: readonly CaseResult[]): CaseResult[] => {
  if (require === null) return []
  const telling = tellingRules(require)
  if ([...executedRules(cases)].some(rule => telling.has(rule))) return []
  const reason = `no case that was run could tell ${require.id} from other generations`
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

const versionOf = (release: string): [number, number] | null => {
  const found = /^(\d+)\.(\d+)/.exec(release)
  return found === null ? null : [Number(found[1]), Number(found[2])]
}

/** A lost fix must not hide as xfail: versions mislead, so it is a warning and no verdict. */
const warningsFor = (kernel: KernelResult): string[] => {
  const version = versionOf(kernel.release)
  const [major, minor] = portableSince
  if (version === null || version[0] < major || (version[0] === major && version[1] < minor)) return []
  if (kernel.generation === null || kernel.generation === 'portable' || kernel.generation === 'larger')
    return []
  return [
    `Linux ${kernel.release} claims to be ${major}.${minor} or newer, where upstream has the portable rules, but behaves as ${kernel.generation}.`,
  ]
}

const abortIfAsked = (signal: AbortSignal | undefined): void => {
  if (signal?.aborted === true) throw signal.reason ?? new Error('aborted')
}

/** The sessions of a run: the plain one, and one with each permission that the host's kernel can give. */
class Sessions {
  readonly #open = new Map<string, Probe | string>()

  /** The session, or why there is none. */
  get(permissions: readonly ComponentName[]): Probe | string {
    const key = permissions.join('+')
    const known = this.#open.get(key)
    if (known !== undefined) return known
    const opened = this.#try({ permissions })
    this.#open.set(key, opened)
    return opened
  }

  #try(options: OpenOptions): Probe | string {
    if (options.permissions?.length === 0) return openSync(options)
    try {
      return openSync(options)
    } catch (error) {
      // Whoever runs us may be refused what the kernel gives others.
      return (error as Error).message
    }
  }

  async close(): Promise<void> {
    for (const session of this.#open.values()) if (typeof session !== 'string') await session.close()
  }
}

interface Plan {
  readonly cases: readonly (PlannedCase | SkippedCase)[]
}

const planAll = (selftests: readonly Selftest[], sessions: Sessions, cpu: HostCpu): Plan => {
  const plain = sessions.get([]) as Probe
  if (!plain.layout.xsave) return { cases: selftests.flatMap(planWithoutXsave) }
  const permitted = permissible(cpu)
  const more = permitted.length === 0 ? null : sessions.get(permitted)
  const has = new Set(plain.layout.extended.map(({ name }) => name))
  if (more !== null && typeof more !== 'string') {
    for (const name of permitted) if (more.layout.has(name)) has.add(name)
  }
  const cases = selftests.flatMap(one => [
    ...planCases(one, { layout: plain.layout, permissions: [] }),
    ...(more === null || typeof more === 'string'
      ? []
      : planCases(one, { layout: more.layout, permissions: permitted })),
    ...planLacking(one, cpu, plain.expected, has).map(skip =>
      typeof more === 'string' && permitted.includes(skip.components[0] as ComponentName)
        ? { ...skip, reason: `its permission was refused: ${more}` }
        : skip,
    ),
  ])
  return { cases }
}

/**
 * Runs selftests on the running kernel.
 * @throws NativeUnavailableError where nothing can be probed, RangeError for a name that selects nothing
 */
export const runSelftests = async (options: RunOptions): Promise<Bundle> => {
  const startedAt = new Date()
  const started = performance.now()
  const require = checkRequire(options.require)
  const selftests = await loadSelftests()
  const cpu = readHostCpu()
  const sessions = new Sessions()
  try {
    const plain = sessions.get([]) as Probe
    const taintBefore = readTaint()
    const plan = planAll(selftests, sessions, cpu)
    const chosen = select(
      plan.cases,
      options.select,
      selftests.map(({ name }) => name),
    )
    const found = fingerprintKernel(plain)
    const judging = { kernel: found.generation, demands: { require, held: heldIn(options.baseline) } }
    const cases: CaseResult[] = []
    const add = (result: CaseResult): void => {
      cases.push(result)
      options.onCase?.(result)
    }
    for (const [i, one] of chosen.entries()) {
      // Probes block the thread: now and then others get their turn, and an abort is heard.
      if (i % casesAtOnce === 0) await new Promise(resolve => setImmediate(resolve))
      abortIfAsked(options.signal)
      add('reason' in one ? skipped(one) : runCase(sessions.get(one.permissions) as Probe, one, judging))
    }
    untold(require, cases).forEach(add)
    if (options.select.length === 0) unlooked(judging.demands.held, cases).forEach(add)
    if (found.evidence.length > 0) harmed(found.generation, cases).forEach(add)
    const kernel = describeKernel(found, taintBefore)
    return {
      bundleVersion: 1,
      tool: { name: 'sigframe', version: toolVersion() },
      startedAt: startedAt.toISOString(),
      durationMs: Math.round(performance.now() - started),
      host: describeHost(cpu, plain),
      kernel,
      warnings: warningsFor(kernel),
      cases,
    }
  } finally {
    await sessions.close()
  }
}

/** What a selftest has to offer, without running it: works on any machine. */
export interface Listing {
  readonly selftest: string
  readonly summary: string
  readonly cases: readonly {
    readonly name: string
    readonly summary: string
    /** Empty where the rule depends on the components. */
    readonly rules: readonly RuleId[]
    readonly commit: string
  }[]
}

export const listSelftests = async (): Promise<readonly Listing[]> =>
  (await loadSelftests()).map(({ name, summary, cases }) => ({
    selftest: name,
    summary,
    cases: Object.entries(cases).map(([caseName, { summary, rule, commit }]) => ({
      name: caseName,
      summary,
      rules: typeof rule === 'string' ? [rule] : [],
      commit,
    })),
  }))

/** For `sigframe info`: the host, its layout, and the kernel's generation. @throws NativeUnavailableError */
export const observeHost = async (): Promise<{
  host: HostResult
  kernel: KernelResult | null
  layout: Layout
  sw: Probe['sw']
}> => {
  const cpu = readHostCpu()
  const probe = openSync()
  try {
    const kernel = describeKernel(fingerprintKernel(probe), readTaint())
    return { host: describeHost(cpu, probe), kernel, layout: probe.layout, sw: probe.sw }
  } finally {
    await probe.close()
  }
}
