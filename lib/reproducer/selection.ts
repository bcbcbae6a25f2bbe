/** What `sigframe run` would run, as a C program: a case, or a selftest, for this host's frames or another CPU's. */
import { catalogueLayout } from '../catalogue/catalogue.ts'
import { type DemandId, demandOf } from '../contract/demand.ts'
import { outOfRange } from '../errors.ts'
import { type PlannedCase, planCases, planWithoutXsave, type SkippedCase } from '../harness/plan.ts'
import { select } from '../harness/selection.ts'
import { type Selftest, traitsByTheManual } from '../harness/selftest.ts'
import { loadSelftests } from '../harness/selftests.ts'
import { planAll, Sessions } from '../harness/sessions.ts'
import { hostOfLayout, limitsOfLayout } from '../probe/geometry.ts'
import { type ComponentName, componentAt } from '../xstate/components.ts'
import { readHostCpu } from '../xstate/host.ts'
import type { Layout } from '../xstate/layout.ts'
import { reproducibleCase } from './case.ts'
import { isSkipped, type Reproducible, type SkippedTest } from './model.ts'
import { cReproducer, cSelftest } from './reproducer.ts'

export interface Selection {
  /** As for a run. */
  readonly select: readonly string[]
  readonly long: boolean
  /** What is demanded; what is newer is an XFAIL otherwise. */
  readonly require: DemandId | null
  /** Whose frames: a name of the catalogue; this host's if left out. */
  readonly layout?: string
}

type Cases = readonly (PlannedCase | SkippedCase)[]

const permittedOf = (layout: Layout): ComponentName[] =>
  layout
    .toJSON()
    .components.filter(({ index, xfd }) => xfd && (layout.features >> BigInt(index)) & 1n)
    .map(({ index }) => componentAt(index).name)

const casesOn = (selftests: readonly Selftest[], name: string, long: boolean): Cases => {
  const layout = catalogueLayout(name, 'layout')
  if (!layout.xsave) return selftests.flatMap(planWithoutXsave)
  const session = {
    layout,
    expected: layout,
    limits: limitsOfLayout(layout),
    cpu: hostOfLayout(layout),
    traits: traitsByTheManual,
    permissions: permittedOf(layout),
    long,
    lack: () => null,
  }
  return selftests.flatMap(one => planCases(one, session))
}

const casesHere = async (selftests: readonly Selftest[], long: boolean): Promise<Cases> => {
  const sessions = new Sessions()
  try {
    return planAll(selftests, sessions, readHostCpu(), long).cases
  } finally {
    await sessions.close()
  }
}

/**
 * A case that is named alone becomes a reproducer; more of one selftest become a selftest.
 * @throws RangeError for names of nothing, for a layout that the catalogue lacks, of more than one selftest, or of a case that cannot be a C program;
 *   NativeUnavailableError where nothing can be probed and no layout is named
 */
export const cOfSelection = async ({ select: names, long, layout, require }: Selection): Promise<string> => {
  const selftests = await loadSelftests()
  const all = layout === undefined ? await casesHere(selftests, long) : casesOn(selftests, layout, long)
  const chosen = select(
    all,
    names,
    selftests.map(({ name }) => name),
  )
  const [first] = chosen
  if (first === undefined) throw outOfRange('name', names.join(' '), 'which selects no case')
  const others = new Set(chosen.map(({ selftest }) => selftest))
  if (others.size > 1)
    throw outOfRange('name', names.join(' '), `which selects ${others.size} selftests: a C program is of one`)
  const demand = require === null ? null : demandOf(require)
  // What is no generation's says nothing of frames.
  const demanded = demand !== null && 'policy' in demand ? demand : null
  const tests = chosen.map(one => reproducibleCase(one, demanded))
  const [test] = tests
  if (tests.every(isSkipped))
    throw outOfRange(
      'name',
      names.join(' '),
      `of which nothing can be a C program: ${(tests[0] as SkippedTest).skip}`,
    )
  if (tests.length > 1 || test === undefined) {
    const { name, summary } = selftests.find(one => one.name === first.selftest) as Selftest
    return cSelftest({ name, summary }, tests)
  }
  return cReproducer(test as Reproducible)
}
