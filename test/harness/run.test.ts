/** Runs on the kernel that is there: what it finds is its business, how it is reported is ours. */
import { beforeAll, describe, expect, test } from 'vitest'
import { generationOf } from '../../lib/contract/generations.ts'
import { listSelftests } from '../../lib/harness/listing.ts'
import { observeHost } from '../../lib/harness/observe.ts'
import { type Bundle, type CaseResult, countVerdicts, exitCodeOf } from '../../lib/harness/results.ts'
import { runSelftests } from '../../lib/harness/run.ts'
import { nativeProblem } from '../../lib/native.ts'

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
    const verdicts = (one: Bundle) =>
      one.cases.map(({ id, verdict, observed }) => `${id} ${verdict} ${observed}`)
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
    const { kernel, layout, host } = await observeHost()
    expect(kernel?.generation).toBe(bundle.kernel.generation)
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

  test('--require portable fails just where the rules do not hold', async context => {
    if (bundle.kernel?.generation == null) return context.skip('no frame of this host can tell')
    const one = await runSelftests({ ...plain, require: 'portable' })
    const wanted = new Set(['too-small-is-rejected', 'extended-size-has-room-for-magic2'])
    const lacking = bundle.cases.filter(c => c.verdict === 'xfail' && c.rules.some(rule => wanted.has(rule)))
    const failing = one.cases.filter(({ verdict }) => verdict === 'fail').map(({ id }) => id)
    expect(failing).toEqual(expect.arrayContaining(lacking.map(({ id }) => id)))
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

  test('an aborted run stops', async () => {
    await expect(runSelftests({ ...plain, signal: AbortSignal.abort(new Error('enough')) })).rejects.toThrow(
      'enough',
    )
  })
})
