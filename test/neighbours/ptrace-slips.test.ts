/** What the ptrace cases notice: the kernel's true answers, and the same with a slip in them. */
import { beforeEach, describe, expect, it, type TestContext } from 'vitest'
import { ruleOf } from '../../lib/contract/rules.ts'
import { type CaseContext, isTrial, type Trial, type TrialCase } from '../../lib/harness/selftest.ts'
import type { RegsetAnswer } from '../../lib/neighbours/ptrace/answer.ts'
import type { RegsetAsk } from '../../lib/neighbours/ptrace/ask.ts'
import type { CallResult, RegsetCall } from '../../lib/neighbours/ptrace/calls.ts'
import type { Probe } from '../../lib/probe/session.ts'
import { randomImage } from '../../lib/xstate/random.ts'
import regsetSelftest from '../../selftests/ptrace_regset.ts'
import xstateSelftest from '../../selftests/ptrace_xstate.ts'
import { needsProbes, session } from '../probe/support.ts'

beforeEach(needsProbes)

/** What a slip changes: how a question is asked of the true kernel, and what is told of it. */
type Slip = (probe: Probe, ask: RegsetAsk) => RegsetAnswer

/** The parts of an answer that a slip may change. */
interface Told {
  readonly kind: 'done'
  readonly loaded: readonly CallResult[]
  readonly ended: readonly CallResult[]
  readonly after: unknown
  readonly seen: unknown
}

const told = (answer: RegsetAnswer): Told => {
  if (answer.kind !== 'done') throw new Error(`${answer.kind} instead of a second stop`)
  const { loaded, ended, after, seen } = answer
  return { kind: 'done', loaded, ended, after, seen }
}

const asAnswer = (one: Told): RegsetAnswer => one as unknown as RegsetAnswer

/** Changes what calls gave. */
const retold =
  (change: (result: CallResult, call: RegsetCall, probe: Probe) => CallResult): Slip =>
  (probe, ask) => {
    const truth = told(probe.regset(ask))
    const each = (results: readonly CallResult[], calls: readonly RegsetCall[] = []) =>
      results.map((result, i) => change(result, calls[i]!, probe))
    return asAnswer({ ...truth, loaded: each(truth.loaded, ask.loaded), ended: each(truth.ended, ask.ended) })
  }

/** Does something else than is asked, but tells of each call that sets what the kernel told. */
const instead =
  (other: (call: RegsetCall, errno: string | null, probe: Probe) => RegsetCall): Slip =>
  (probe, ask) => {
    const truth = told(probe.regset(ask))
    const swap = (calls: readonly RegsetCall[] = [], results: readonly CallResult[]) =>
      calls.map((call, i) => (call.call === 'set' ? other(call, results[i]!.errno, probe) : call))
    const done = told(
      probe.regset({ ...ask, loaded: swap(ask.loaded, truth.loaded), ended: swap(ask.ended, truth.ended) }),
    )
    const mixed = (
      calls: readonly RegsetCall[] = [],
      was: readonly CallResult[],
      is: readonly CallResult[],
    ) => calls.map((call, i) => (call.call === 'set' ? was[i]! : is[i]!))
    return asAnswer({
      ...done,
      loaded: mixed(ask.loaded, truth.loaded, done.loaded),
      ended: mixed(ask.ended, truth.ended, done.ended),
    })
  }

const strangers = (probe: Probe) => randomImage(probe.layout, { seed: 4711 })

const strangersRegset = (probe: Probe): Uint8Array =>
  told(probe.regset({ load: strangers(probe), loaded: [{ call: 'get' }] })).loaded[0]!.bytes

const spoilBytes = (result: CallResult, at: number, value: number): CallResult => {
  if (result.bytes.length <= at) return result
  const bytes = result.bytes.slice()
  bytes[at] = (bytes[at] ?? 0) ^ value
  return { ...result, bytes }
}

const slips = {
  'sets nothing': instead(() => ({ call: 'get', size: 0 })),
  'sets what it refuses': instead((call, errno, probe) =>
    errno === null ? call : { call: 'set', bytes: strangersRegset(probe) },
  ),
  'sets another state': instead((call, errno, probe) =>
    errno === null ? { call: 'set', bytes: strangersRegset(probe) } : call,
  ),
  'refuses nothing': retold(result => ({ ...result, errno: null })),
  'refuses with another errno': retold(result =>
    result.errno === null ? result : { ...result, errno: result.errno === 'EINVAL' ? 'EFAULT' : 'EINVAL' },
  ),
  'refuses everything': retold(result => ({
    ...result,
    errno: result.errno ?? 'EIO',
    bytes: new Uint8Array(0),
  })),
  'reads another state': retold((result, call, probe) =>
    result.bytes.length === 0 || call.note === 'fp'
      ? result
      : { ...result, bytes: strangersRegset(probe).subarray(0, result.bytes.length) },
  ),
  'tells a larger size': retold((result, { call }) =>
    call === 'get' ? { ...result, size: result.size + 8n } : result,
  ),
  'writes behind what it reads': retold((result, { call }) =>
    call === 'get' ? { ...result, overran: true } : result,
  ),
  'has a magic in the sw bytes': retold(result => spoilBytes(result, 472, 0xff)),
  'has other features in the sw bytes': retold(result => spoilBytes(result, 464, 0x04)),
  'leaves another state in the registers': (probe, ask) => {
    const truth = told(probe.regset(ask))
    return asAnswer({ ...truth, after: told(probe.regset({ load: strangers(probe) })).after })
  },
  'writes another frame': (probe, ask) => {
    const truth = told(probe.regset(ask))
    if (truth.seen === null) return asAnswer(truth)
    const { loaded: _, ...rest } = ask
    const other = told(probe.regset({ ...rest, load: strangers(probe) }))
    return asAnswer({ ...truth, seen: other.seen })
  },
} satisfies Record<string, Slip>

/** A session with a slip in what it tells of regsets. */
const slipping = (probe: Probe, slip: Slip): Probe =>
  new Proxy(probe, {
    get: (target, name) => {
      if (name === 'regset') return (ask: RegsetAsk) => slip(target, ask)
      const value: unknown = Reflect.get(target, name, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })

const contextOf = ({ layout, expected, limits, cpu }: Probe): CaseContext => ({
  layout,
  expected,
  limits,
  cpu,
  abi: 'x86_64',
  components: layout.has('avx') ? ['avx'] : [],
  seed: 1,
})

const tracing = (ctx: TestContext): Probe => {
  const probe = session()
  if (!probe.layout.has('avx')) ctx.skip('this task has nothing above SSE')
  const answer = probe.regset({ loaded: [{ call: 'get' }] })
  if (answer.kind !== 'done') ctx.skip('nothing can be traced here')
  else if (answer.loaded[0]?.errno !== null) ctx.skip('no regset can be read here')
  return probe
}

const isTrialEntry = (entry: [string, unknown]): entry is [string, TrialCase] =>
  isTrial(entry[1] as TrialCase)

const run = (probe: Probe, test: TrialCase, context: CaseContext): Trial['observed'] | string => {
  const found = test.trial(probe, context)
  if ('lost' in found) return `lost: ${found.lost}`
  return 'unable' in found ? `unable: ${found.unable}` : found.observed
}

const ruleIn = (test: TrialCase, context: CaseContext) =>
  ruleOf(typeof test.rule === 'function' ? test.rule(context) : test.rule)

/** The slips that each case must notice. */
const refusals = [
  'sets what it refuses',
  'refuses nothing',
  'refuses with another errno',
  'leaves another state in the registers',
] as const
const sets = [
  'sets nothing',
  'sets another state',
  'refuses everything',
  'leaves another state in the registers',
] as const

const noticed: Readonly<Record<string, readonly (keyof typeof slips)[]>> = {
  read: ['reads another state', 'refuses everything'],
  inject: [...sets, 'reads another state'],
  left_out: [...sets, 'reads another state'],
  shown_by_frame: [...sets, 'reads another state', 'writes another frame'],
  shows_frame: ['reads another state', 'writes another frame', 'refuses everything'],
  covers_host: ['tells a larger size', 'refuses everything'],
  odd_size: [...refusals, 'writes behind what it reads'],
  read_larger: ['writes behind what it reads', 'refuses everything'],
  read_smaller: ['tells a larger size', 'writes behind what it reads', 'refuses everything'],
  set_smaller: refusals,
  set_larger: [...sets, 'reads another state'],
  bad_buffer: [...refusals, 'writes behind what it reads'],
  unsupported_xstate_bv: refusals,
  supervisor_bits: refusals,
  tiles_without_use: refusals,
  xcomp_bv: refusals,
  reserved_header: refusals,
  reserved_mxcsr: refusals,
  unused_mxcsr: sets,
  sw_bytes: ['has a magic in the sw bytes', 'has other features in the sw bytes', 'refuses everything'],
  sw_bytes_set: [...sets, 'reads another state'],
  checkpoint: ['reads another state', 'refuses everything'],
  fp_agrees: ['reads another state', 'refuses everything'],
  fp_set: [...sets, 'reads another state'],
  fp_set_smaller: refusals,
}

const cases = [...Object.entries(xstateSelftest.cases), ...Object.entries(regsetSelftest.cases)].filter(
  isTrialEntry,
)

describe('each case', () => {
  it.for(cases)('%s holds, and notices what it is about', ([name, test], ctx) => {
    const probe = tracing(ctx)
    const context = contextOf(probe)
    const why = test.needs?.(context, { keepsZmmHi256: true, checksMxcsr: true }) ?? null
    if (why !== null) ctx.skip(why)
    const { holds, before } = ruleIn(test, context)
    expect([holds, ...(before ?? [])]).toContain(run(probe, test, context))
    const found = (Object.keys(slips) as (keyof typeof slips)[]).filter(
      slip => run(slipping(probe, slips[slip]), test, context) !== holds,
    )
    const wanted = noticed[name] ?? []
    expect(wanted).not.toEqual([])
    expect(wanted.filter(slip => !found.includes(slip))).toEqual([])
  })

  it.for(cases)('%s says of a sandbox that forbids it what it is', ([name, test], ctx) => {
    const probe = tracing(ctx)
    const context = contextOf(probe)
    const why = test.needs?.(context, { keepsZmmHi256: true, checksMxcsr: true }) ?? null
    if (why !== null) ctx.skip(why)
    const forbidden = retold(result => ({ ...result, errno: 'EPERM', bytes: new Uint8Array(0) }))
    expect(run(slipping(probe, forbidden), test, context)).toMatch(/^unable: .* is refused here with EPERM$/)
    const refused: Slip = () => ({ kind: 'refused', call: 'PTRACE_TRACEME', errno: 'EPERM' })
    expect([name, run(slipping(probe, refused), test, context)]).toEqual([
      name,
      'unable: PTRACE_TRACEME is refused here with EPERM',
    ])
    const died: Slip = () => ({ kind: 'died', where: null, signal: 'SIGKILL', code: null })
    expect(run(slipping(probe, died), test, context)).toBe('lost: crash')
    const filtered: Slip = () => ({ kind: 'died', where: null, signal: 'SIGSYS', code: null })
    expect(run(slipping(probe, filtered), test, context)).toMatch(/^unable: a seccomp filter ended/)
    const slow: Slip = () => ({ kind: 'timeout', timeoutMs: 1 })
    expect(run(slipping(probe, slow), test, context)).toBe('lost: timeout')
  })

  it('every slip is noticed by one at least', () => {
    const all = new Set(Object.values(noticed).flat())
    expect(Object.keys(slips).filter(slip => !all.has(slip as keyof typeof slips))).toEqual([])
  })
})
