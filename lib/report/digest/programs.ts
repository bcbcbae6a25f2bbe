/** C programs of failures that are told in full, for their hosts' frames: a few, since each is long. */
import { type GenerationId, generationOf, generations } from '../../contract/generations.ts'
import { type PlannedCase, planCases, type SkippedCase } from '../../harness/plan.ts'
import { plainOp } from '../../harness/repro.ts'
import type { CaseResult } from '../../harness/results.ts'
import { isTrial, type Selftest, traitsByTheManual } from '../../harness/selftest.ts'
import { loadSelftests } from '../../harness/selftests.ts'
import { hostOfLayout, limitsOfLayout } from '../../probe/geometry.ts'
import { reproducibleCase } from '../../reproducer/case.ts'
import { isSkipped } from '../../reproducer/model.ts'
import { cReproducer } from '../../reproducer/reproducer.ts'
import { type ComponentName, componentAt } from '../../xstate/components.ts'
import type { Layout } from '../../xstate/layout.ts'
import { mostPrograms } from './bounds.ts'
import { type Digest, programKey } from './digest.ts'
import type { Failed } from './failures.ts'
import { hostLayout } from './layouts.ts'

/** What a case's session had asked its kernel for, as the id says: `…@xtiledata`. */
const permissionsIn = (id: string): readonly string[] => id.split('@')[1]?.split('+') ?? []

/** The layout of the session that a case ran in: a host's own, with what was asked for; null where no host has that. */
const sessionLayout = (layout: Layout, permissions: readonly string[]): Layout | null => {
  const asked = layout
    .toJSON()
    .components.filter(({ index }) => permissions.includes(componentAt(index).name))
  if (asked.length !== permissions.length) return null
  return layout.withFeatures(asked.reduce((sum, { index }) => sum | (1n << BigInt(index)), layout.features))
}

const casesOn = (
  selftest: Selftest,
  layout: Layout,
  permissions: readonly string[],
): readonly (PlannedCase | SkippedCase)[] =>
  planCases(selftest, {
    layout,
    expected: layout,
    limits: limitsOfLayout(layout),
    cpu: hostOfLayout(layout),
    traits: traitsByTheManual,
    permissions: permissions as readonly ComponentName[],
    long: true,
    lack: () => null,
  })

/** The generation that was demanded of a case, by its reason. */
const demandedOf = ({ reason }: CaseResult): GenerationId | null => {
  const id = /^--require ([a-z-]+)/.exec(reason)?.[1]
  return generations.find(one => one.id === id)?.id ?? null
}

/** Whether the case is here what it was when it failed: another version may send another frame by the same id. */
const sameEdit = ({ test, context }: PlannedCase, { repro }: CaseResult): boolean =>
  repro !== null &&
  !isTrial(test) &&
  repro.seed === context.seed &&
  JSON.stringify(test.edit(context).map(plainOp)) === JSON.stringify(repro.edit)

const programOf = ({ place, one }: Failed, selftests: readonly Selftest[]): string | null => {
  const selftest = selftests.find(({ name }) => name === one.selftest)
  const own = place.bundle === null ? null : hostLayout(place.bundle.host)
  if (selftest === undefined || own === null || !own.xsave || one.repro === null) return null
  const permissions = permissionsIn(one.id)
  const layout = sessionLayout(own, permissions)
  if (layout === null) return null
  const planned = casesOn(selftest, layout, permissions).find(({ id }) => id === one.id)
  if (planned === undefined || 'reason' in planned || !sameEdit(planned, one)) return null
  const demanded = demandedOf(one)
  const test = reproducibleCase(planned, demanded === null ? null : generationOf(demanded))
  return isSkipped(test) ? null : cReproducer(test)
}

/** What cannot be a C program has none; one program for each kind of failure, the first that has one. */
export const programsOf = async ({
  failures,
}: Pick<Digest, 'failures'>): Promise<ReadonlyMap<string, string>> => {
  const programs = new Map<string, string>()
  if (failures.length === 0) return programs
  const selftests = await loadSelftests()
  for (const { examples } of failures) {
    if (programs.size >= mostPrograms) break
    for (const failed of examples) {
      const text = programFor(failed, selftests)
      if (text === null) continue
      programs.set(programKey(failed.place, failed.one.id), text)
      break
    }
  }
  return programs
}

/** A file may say what no layout, no edit allows: then there is none. */
const programFor = (failed: Failed, selftests: readonly Selftest[]): string | null => {
  try {
    return programOf(failed, selftests)
  } catch (error) {
    if (error instanceof RangeError || error instanceof TypeError) return null
    throw error
  }
}
