/** Runs on the kernel that is there: what it finds is its business, how it is reported is ours. */
import { beforeAll, describe, expect, test } from 'vitest'
import { behaviour, generationOf } from '../../lib/contract/generations.ts'
import { ruleOf } from '../../lib/contract/rules.ts'
import { abis } from '../../lib/frame/abi.ts'
import { type KernelSources, type LogSource, runningKernel } from '../../lib/harness/kernel-log.ts'
import { listSelftests } from '../../lib/harness/listing.ts'
import { observeHost } from '../../lib/harness/observe.ts'
import {
  type Bundle,
  type CaseResult,
  countVerdicts,
  exitCodeOf,
  isOfTheRun,
} from '../../lib/harness/results.ts'
import { runSelftests } from '../../lib/harness/run.ts'
import { nativeProblem } from '../../lib/native.ts'
import { badState, oldWarning, ownFaults } from './splat-samples.ts'

const problem = nativeProblem()
const plain = { select: [], require: null, baseline: null }

const caseOf = (verdict: CaseResult['verdict'], rest: Partial<CaseResult> = {}): CaseResult => ({
  id: 'a/b/x86_64/all',
  selftest: 'a',
  case: 'b',
  abi: 'x86_64',
  components: [],
  placement: 'stack',
  rules: [],
  verdict,
  reason: '',
  observed: '',
  expected: '',
  durationUs: 0,
  bytes: null,
  repro: null,
  ...rest,
})

describe('exit codes', () => {
  test.each([
    [['pass', 'xfail', 'skip'], 0],
    [['pass', 'fail'], 1],
    [['timeout'], 1],
    [['crash', 'pass'], 1],
    [['stuck', 'pass'], 1],
    [['skip', 'skip'], 4],
    [['fail', 'broken'], 70],
    [[], 70],
  ] as const)('%s is %i', (verdicts, code) => {
    expect(exitCodeOf(verdicts.map(verdict => caseOf(verdict)))).toBe(code)
  })
})

test('a listing needs no host', async () => {
  const listing = await listSelftests()
  expect(listing.map(({ selftest }) => selftest)).toContain('sigframe_fpu_portability')
  for (const { cases, summary } of listing) {
    expect(summary).toMatch(/\.$/)
    for (const one of cases) expect(one.summary).toMatch(/\.$/)
  }
})

test('a listing says whose frames a case is for, and what takes long', async () => {
  const listing = await listSelftests()
  const find = (selftest: string, name: string) =>
    listing.find(one => one.selftest === selftest)?.cases.find(one => one.name === name)
  expect(find('untouched_frame', 'restores')).toMatchObject({ abis, long: false })
  expect(find('ia32_frame', 'x87_tag')).toMatchObject({ abis: ['ia32-rt', 'ia32'], long: false })
  expect(find('frame_placement', 'eviction_race')).toMatchObject({ long: true })
})

describe.skipIf(problem !== undefined)(`on this kernel${problem === undefined ? '' : `: ${problem}`}`, () => {
  let bundle: Bundle
  const seen: string[] = []

  beforeAll(async () => {
    bundle = await runSelftests({ ...plain, onCase: ({ id }) => seen.push(id) })
  })

  test('every case has one verdict, in order, and none is broken', () => {
    expect(seen).toEqual(bundle.cases.map(({ id }) => id))
    expect(new Set(seen).size).toBe(seen.length)
    expect(countVerdicts(bundle.cases).broken).toBe(0)
  })

  test('the same run again has the same verdicts', async () => {
    const again = await runSelftests(plain)
    // What was counted is the machine's business, and its load's.
    const verdicts = (one: Bundle) =>
      one.cases.map(({ id, verdict, observed }) => `${id} ${verdict} ${observed.replaceAll(/\d+/g, 'n')}`)
    expect(verdicts(again)).toEqual(verdicts(bundle))
  })

  test('all that is not a pass says why', () => {
    for (const { id, verdict, reason } of bundle.cases)
      if (verdict !== 'pass') expect(reason, id).not.toBe('')
  })

  test('the kernel is told with its evidence', async context => {
    if (bundle.kernel?.generation == null) return context.skip('no frame of this host can tell')
    expect(generationOf(bundle.kernel.generation).id).toBe(bundle.kernel.generation)
    expect(bundle.kernel.evidence.length).toBeGreaterThan(0)
    const { headline, deviations, evidence } = bundle.kernel
    expect(headline).toContain(bundle.kernel.generation)
    expect(evidence.filter(({ deviation }) => deviation !== null)).toHaveLength(deviations.length)
    for (const { asGeneration, deviation } of evidence) expect(deviation === null).toBe(asGeneration)
    const { kernel, layout, host } = await observeHost()
    expect(kernel?.generation).toBe(bundle.kernel.generation)
    expect(kernel?.headline).toBe(headline)
    expect(host.userSize).toBe(layout.size)
  })

  test('names that select nothing are refused, with what there is', async () => {
    await expect(runSelftests({ ...plain, select: ['no_such'] })).rejects.toThrow(/no_such.*untouched_frame/)
    const one = await runSelftests({ ...plain, select: ['untouched_frame/restores'] })
    expect(new Set(one.cases.map(({ case: name }) => name)).has('restores')).toBe(true)
    expect(one.cases.length).toBeLessThan(bundle.cases.length)
  })

  test('--require without a case that could tell is no success', async () => {
    const one = await runSelftests({ ...plain, select: ['untouched_frame'], require: 'portable' })
    const last = one.cases.at(-1)
    expect(last?.verdict).toBe('fail')
    expect(last?.reason).toContain('no case that was run could tell portable')
    expect(exitCodeOf(one.cases)).not.toBe(0)
  })

  test('nor is it of what is proposed', async () => {
    const one = await runSelftests({ ...plain, select: ['untouched_frame'], require: 'hwcap-inheritance' })
    const failing = one.cases.filter(({ verdict }) => verdict === 'fail')
    expect(failing.map(({ id, reason }) => [id, reason])).toEqual([
      [
        'require/hwcap-inheritance/x86_64/all',
        'no case that was run could tell hwcap-inheritance from what is merged',
      ],
    ])
  })

  test('--require what is proposed fails what is not inherited, and nothing else', async () => {
    const [asked, demanded] = [
      await runSelftests({ ...plain, select: ['hwcap'] }),
      await runSelftests({ ...plain, select: ['hwcap'], require: 'hwcap-inheritance' }),
    ].map(({ cases }) => new Map(cases.map(({ id, verdict }) => [id, verdict])))
    for (const [id, verdict] of asked!)
      expect(`${id} ${demanded!.get(id)}`).toBe(`${id} ${verdict === 'xfail' ? 'fail' : verdict}`)
  })

  test('--require fails for what the telling frames met with, though no selected case ran into it', async context => {
    if (bundle.kernel?.generation == null) return context.skip('no frame of this host can tell')
    const larger = generationOf('larger')
    const lacking = bundle.kernel.evidence
      .filter(
        ({ rule, observed }) =>
          behaviour(larger, rule) === ruleOf(rule).holds && observed !== behaviour(larger, rule),
      )
      .map(({ rule }) => `require/${rule}/x86_64/all`)
    const one = await runSelftests({ ...plain, select: ['untouched_frame'], require: 'larger' })
    const failing = one.cases.filter(({ verdict }) => verdict === 'fail').map(({ id }) => id)
    expect(failing).toEqual([...lacking, 'require/larger/x86_64/all'])
  })

  test('--require portable fails just where the rules do not hold', async context => {
    if (bundle.kernel?.generation == null) return context.skip('no frame of this host can tell')
    const one = await runSelftests({ ...plain, require: 'portable' })
    const wanted = new Set(['too-small-is-rejected', 'extended-size-has-room-for-magic2'])
    const lacking = bundle.cases.filter(c => c.verdict === 'xfail' && c.rules.some(rule => wanted.has(rule)))
    const failing = one.cases.filter(({ verdict }) => verdict === 'fail').map(({ id }) => id)
    expect(failing).toEqual(expect.arrayContaining(lacking.map(({ id }) => id)))
    // What was restored and should have been refused: the registers tell, byte by byte. Only failures are told of so.
    const restored = one.cases.filter(c => failing.includes(c.id) && c.observed === 'restored by XRSTOR')
    expect(restored.filter(({ bytes, repro }) => repro !== null && bytes === null)).toEqual([])
    const told = one.cases.filter(({ bytes }) => bytes !== null)
    expect(told.map(({ id }) => id).filter(id => !failing.includes(id))).toEqual([])
  })

  test('--require a generation that harms is refused', async () => {
    await expect(runSelftests({ ...plain, require: 'regressed' })).rejects.toThrow(
      /must be one of classic portable/,
    )
  })

  test('a baseline holds what it held', async context => {
    const xfail = bundle.cases.find(({ verdict }) => verdict === 'xfail')
    if (xfail === undefined) return context.skip('no rule is missing on this kernel')
    const held = { ...bundle, cases: [{ ...xfail, verdict: 'pass' as const }] }
    const one = await runSelftests({ ...plain, select: [xfail.id], baseline: held })
    expect(one.cases[0]?.verdict).toBe('fail')
    expect(one.cases[0]?.reason).toContain('baseline')
    const same = await runSelftests({ ...plain, select: [xfail.id], baseline: bundle })
    expect(same.cases[0]?.verdict).toBe('xfail')
  })

  test('a baseline’s rule that no case could look at is no success', async () => {
    const pass = bundle.cases.find(({ verdict }) => verdict === 'pass')
    const foreign = { ...(pass as CaseResult), rules: ['no-such-rule' as never] }
    const one = await runSelftests({ ...plain, baseline: { ...bundle, cases: [foreign] } })
    expect(one.cases.at(-1)).toMatchObject({ id: 'baseline/no-such-rule/x86_64/all', verdict: 'fail' })
  })

  describe('the kernel’s own complaints', () => {
    const select = ['untouched_frame/restores']
    const again = Object.assign(new Error('EAGAIN'), { code: 'EAGAIN' })

    /** A run with a kernel that printed `before` and prints `during` after the first case. */
    const runWith = async (
      before: readonly string[],
      during: readonly string[],
      { facility = 0, taint = 0 } = {},
    ): Promise<{ one: Bundle; told: string[]; closed: number }> => {
      const left = [...before]
      let seq = 0
      let closed = 0
      let taintNow = 0
      const log: LogSource = {
        read: into => {
          const text = left.shift()
          if (text === undefined) throw again
          return Buffer.from(into.buffer).write(`${facility * 8 + 4},${seq++},1000000,-;${text}\n`)
        },
        close: () => {
          closed += 1
        },
      }
      const kernel: KernelSources = { openLog: () => log, readTaint: () => taintNow, clearOnce: null }
      const told: string[] = []
      const onCase = ({ id }: CaseResult): void => {
        if (told.length === 0) left.push(...during)
        told.push(id)
        taintNow = taint
      }
      return { one: await runSelftests({ ...plain, select, kernel, onCase }), told, closed }
    }

    test('none: nothing is told but that they were listened for', async () => {
      const { one, closed } = await runWith(ownFaults, ownFaults)
      expect(countVerdicts(one.cases).fail).toBe(0)
      expect(one.warnings).toEqual([])
      expect(one.kernel?.log).toEqual({ watched: true, reason: '', onceCleared: false, lines: [] })
      expect(closed).toBe(1)
    })

    test('a warning and a taint during the run fail it, whatever its cases say', async () => {
      const { one, told } = await runWith([], [...ownFaults, ...oldWarning], { taint: 512 })
      const ids = ['kernel/log/x86_64/all', 'kernel/taint/x86_64/all']
      const failing = one.cases.filter(({ verdict }) => verdict === 'fail')
      expect(failing.map(({ id }) => id)).toEqual(ids)
      expect(failing.every(isOfTheRun)).toBe(true)
      expect(told.slice(-2)).toEqual(ids)
      expect(failing[0]?.observed).toBe(oldWarning[1])
      expect(one.kernel).toMatchObject({ taintBefore: 0, taintAfter: 512, log: { lines: oldWarning } })
      expect(exitCodeOf(one.cases)).toBe(1)
    })

    test('from before the run: told', async () => {
      const { one } = await runWith(badState, [])
      expect(countVerdicts(one.cases).fail).toBe(0)
      expect(one.warnings).toEqual([expect.stringContaining(badState[1] ?? '')])
    })

    test('written by user space: nobody’s', async () => {
      const { one } = await runWith(oldWarning, oldWarning, { facility: 1 })
      expect(countVerdicts(one.cases).fail).toBe(0)
      expect(one.warnings).toEqual([])
    })

    test('that cannot be listened for: told, and no failure', async () => {
      const openLog = () => {
        throw Object.assign(new Error(), { code: 'EPERM' })
      }
      const one = await runSelftests({
        ...plain,
        select,
        kernel: { ...runningKernel, openLog, clearOnce: null },
      })
      expect(countVerdicts(one.cases).fail).toBe(0)
      expect(one.kernel?.log).toMatchObject({ watched: false, reason: expect.stringContaining('EPERM') })
    })

    test('the log is closed whatever becomes of the run', async () => {
      let closed = 0
      const log: LogSource = {
        read: () => {
          throw again
        },
        close: () => {
          closed += 1
        },
      }
      const kernel: KernelSources = { openLog: () => log, readTaint: () => 0, clearOnce: null }
      const signal = AbortSignal.abort(new Error('enough'))
      await expect(runSelftests({ ...plain, kernel, signal })).rejects.toThrow('enough')
      expect(closed).toBe(1)
    })
  })

  test('an aborted run stops', async () => {
    await expect(runSelftests({ ...plain, signal: AbortSignal.abort(new Error('enough')) })).rejects.toThrow(
      'enough',
    )
  })
})
