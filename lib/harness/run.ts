/** The one way of running selftests: `npm test`, `sigframe run` and CI all come here. */
import { type Demand, type DemandId, demandOf } from '../contract/demand.ts'
import type { Generation } from '../contract/generations.ts'
import { type RuleId, ruleOf } from '../contract/rules.ts'
import { treatmentText } from '../contract/treatment.ts'
import { type Demands, judge } from '../contract/verdict.ts'
import type { Seen } from '../probe/result.ts'
import type { Probe } from '../probe/session.ts'
import { toolVersion } from '../version.ts'
import { readHostCpu } from '../xstate/host.ts'
import { bytesOf } from './bytes.ts'
import { complaintsOf } from './complaints.ts'
import { type Execution, executeCase } from './execute.ts'
import { describeHost, describeKernel, fingerprintKernel } from './host.ts'
import { type KernelSources, runningKernel, watchKernel } from './kernel-log.ts'
import type { PlannedCase, SkippedCase } from './plan.ts'
import { reproOf } from './repro.ts'
import type { Bundle, CaseResult } from './results.ts'
import { select } from './selection.ts'
import { loadSelftests } from './selftests.ts'
import { planAll, Sessions } from './sessions.ts'
import { belied, complained, failuresOfTheRun, heldIn } from './whole-run.ts'

export interface RunOptions {
  /** Names of selftests, ids, or beginnings of ids up to a slash; `*` stands for anything. Empty: all. */
  readonly select: readonly string[]
  readonly require: DemandId | null
  /** What must not be lost since. */
  readonly baseline: Bundle | null
  /** Called as cases begin, in order, with their ids: the last one told is the one that the kernel did not survive. */
  readonly onStart?: (id: string) => void
  /** Called as cases end, in order. */
  readonly onCase?: (result: CaseResult) => void
  readonly signal?: AbortSignal
  /** Whether cases that take long are run too. */
  readonly long?: boolean
  /** Where the kernel's complaints are read; the running kernel's if left out. */
  readonly kernel?: KernelSources
}

const casesAtOnce = 32

/** What every case of a run is judged by. */
interface Judging {
  readonly kernel: Generation
  readonly demands: Demands
}

const ruleFor = ({ test: { rule }, context }: PlannedCase): RuleId =>
  typeof rule === 'function' ? rule(context) : rule

const verdictOf = (
  done: Execution,
  rule: RuleId,
  { kernel, demands }: Judging,
): Pick<CaseResult, 'verdict' | 'reason'> => {
  if (done.kind === 'lost') return { verdict: done.how, reason: done.text }
  if (done.kind === 'broken') return { verdict: 'broken', reason: done.text }
  if (done.kind === 'unable') return { verdict: 'skip', reason: done.text }
  return judge(rule, done.observed, kernel, demands)
}

const runCase = (probe: Probe, planned: PlannedCase, judging: Judging): CaseResult => {
  const { context } = planned
  const rule = ruleFor(planned)
  const started = performance.now()
  const pairs: (readonly [Seen, Seen])[] = []
  const done = executeCase(probe, planned.test, context, pair => pairs.push(pair))
  const durationUs = Math.round((performance.now() - started) * 1000)
  const verdict = verdictOf(done, rule, judging)
  const { holds } = ruleOf(rule)
  const [pair] = pairs
  return {
    id: planned.id,
    selftest: planned.selftest,
    case: planned.name,
    abi: context.abi,
    components: context.components,
    placement: planned.test.placement ?? 'stack',
    rules: [rule],
    ...verdict,
    observed: done.text,
    expected: treatmentText[holds],
    bytes: verdict.verdict === 'fail' && pair !== undefined ? bytesOf(holds, pair, context.layout) : null,
    durationUs,
    repro: verdict.verdict === 'pass' || verdict.verdict === 'skip' ? null : reproOf(planned.test, context),
  }
}

const skipped = ({ id, selftest, name, test, abi, components, reason }: SkippedCase): CaseResult => ({
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
  bytes: null,
  durationUs: 0,
  repro: null,
})

const checkRequire = (id: DemandId | null): Demand | null => (id === null ? null : demandOf(id))

const abortIfAsked = (signal: AbortSignal | undefined): void => {
  if (signal?.aborted === true) throw signal.reason ?? new Error('aborted')
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
  const watch = watchKernel(options.kernel ?? runningKernel)
  const sessions = new Sessions()
  try {
    const plain = sessions.get([]) as Probe
    const plan = planAll(selftests, sessions, cpu, options.long ?? false)
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
      if (!('reason' in one)) options.onStart?.(one.id)
      add('reason' in one ? skipped(one) : runCase(sessions.get(one.permissions) as Probe, one, judging))
    }
    const { held } = judging.demands
    failuresOfTheRun({ found, require, held, all: options.select.length === 0 }, cases).forEach(add)
    const host = describeHost(cpu, plain)
    // A process that ends has its state taken down: what the kernel says of that belongs to the run.
    await sessions.close()
    const watched = watch.end()
    const complaints = complaintsOf(watched)
    complained(complaints.failures).forEach(add)
    const kernel = describeKernel(found, watched, complaints)
    return {
      bundleVersion: 1,
      tool: { name: 'sigframe', version: toolVersion() },
      startedAt: startedAt.toISOString(),
      durationMs: Math.round(performance.now() - started),
      host,
      kernel,
      warnings: [...belied(kernel, cases), ...complaints.warnings],
      cases,
    }
  } finally {
    watch.close()
    await sessions.close()
  }
}
