/** Whole selftests as C programs: they say of this kernel what the engine says of it. */
import { expect, test } from 'vitest'
import { behaviour, generationOf } from '../../lib/contract/generations.ts'
import { ruleOf } from '../../lib/contract/rules.ts'
import { executeCase } from '../../lib/harness/execute.ts'
import { type PlannedCase, planCases } from '../../lib/harness/plan.ts'
import type { Selftest } from '../../lib/harness/selftest.ts'
import { loadSelftests } from '../../lib/harness/selftests.ts'
import { traitsOf } from '../../lib/harness/task.ts'
import { type Probe, permissible } from '../../lib/probe/session.ts'
import { reproducibleCase } from '../../lib/reproducer/case.ts'
import { isSkipped } from '../../lib/reproducer/model.ts'
import { cSelftest } from '../../lib/reproducer/reproducer.ts'
import type { ComponentName } from '../../lib/xstate/components.ts'
import { needsProbes, session } from '../probe/support.ts'
import { compiled, needsGcc, type Outcome, ran, readTap } from './compiler.ts'

const plannedIn = (probe: Probe, selftest: Selftest, permissions: readonly ComponentName[]): PlannedCase[] =>
  planCases(selftest, {
    layout: probe.layout,
    expected: probe.expected,
    limits: probe.limits,
    cpu: probe.cpu,
    traits: traitsOf(probe),
    permissions,
    long: false,
    lack: abi => probe.lack(abi),
  }).filter((one): one is PlannedCase => !('reason' in one))

/** What the engine finds of a case: whether its rule holds here. */
const byEngine = (probe: Probe, { test: one, context }: PlannedCase): Outcome => {
  const done = executeCase(probe, one, context)
  if (done.kind === 'unable') return 'skip'
  const { holds, status } = ruleOf(typeof one.rule === 'function' ? one.rule(context) : one.rule)
  if (done.kind === 'observed' && done.observed === holds) return 'pass'
  return status === 'established' ? 'fail' : 'xfail'
}

/** Runs a selftest both ways in a session. */
const compare = (probe: Probe, selftest: Selftest, permissions: readonly ComponentName[]): void => {
  const planned = plannedIn(probe, selftest, permissions)
  const tests = planned.map(one => reproducibleCase(one))
  const { code, out } = ran(compiled(cSelftest(selftest, tests)))
  const { outcomes, totals } = readTap(out)
  expect([...outcomes.keys()]).toEqual(planned.map(({ id }) => id))
  expect(code).toBe(totals.fail > 0 ? 1 : totals.pass + totals.xfail > 0 ? 0 : 4)
  const differing = planned.flatMap((one, i) => {
    if (isSkipped(tests[i]!)) return outcomes.get(one.id) === 'skip' ? [] : [`${one.id}: not skipped`]
    const [is, meant] = [outcomes.get(one.id), byEngine(probe, one)]
    return is === meant ? [] : [`${one.id}: ${is}, but ${meant} by the engine`]
  })
  expect(differing, out.slice(0, 4000)).toEqual([])
}

const selftests = await loadSelftests()

for (const selftest of selftests) {
  test(selftest.name, ctx => {
    needsProbes(ctx)
    needsGcc(ctx)
    const probe = session({}, ctx)
    if (!probe.layout.xsave) ctx.skip('this host has no XSAVE')
    compare(probe, selftest, [])
  })
}

test('what is demanded is no XFAIL', ctx => {
  needsProbes(ctx)
  needsGcc(ctx)
  const probe = session({}, ctx)
  if (!probe.layout.xsave) ctx.skip('this host has no XSAVE')
  const selftest = selftests.find(({ name }) => name === 'fx_only_fallback')!
  const planned = plannedIn(probe, selftest, [])
  const tests = planned.map(one => reproducibleCase(one, generationOf('portable')))
  const { outcomes } = readTap(ran(compiled(cSelftest(selftest, tests))).out)
  for (const one of planned) {
    if (outcomes.get(one.id) === 'skip') continue
    const rule = typeof one.test.rule === 'function' ? one.test.rule(one.context) : one.test.rule
    const found = byEngine(probe, one)
    const isDemanded = behaviour(generationOf('portable'), rule) === ruleOf(rule).holds
    expect(`${one.id}: ${outcomes.get(one.id)}`).toBe(
      `${one.id}: ${found === 'xfail' && isDemanded ? 'fail' : found}`,
    )
  }
})

test.for(['fx_only_fallback', 'sigframe_fpu_portability'])('%s with tile data', (name, ctx) => {
  needsProbes(ctx)
  needsGcc(ctx)
  const permissions = permissible(session({}, ctx).cpu)
  if (permissions.length === 0) ctx.skip('this host has nothing to ask the kernel for')
  compare(session({ permissions }, ctx), selftests.find(one => one.name === name)!, permissions)
})
