/** From selftests to the cases of a host: which run, in which session, for which ABI, with which components. */
import { type Abi, abis } from '../frame/abi.ts'
import type { EditLimits } from '../frame/edit.ts'
import { type ComponentName, componentAt, isKnownComponent } from '../xstate/components.ts'
import type { HostCpu } from '../xstate/host.ts'
import type { Layout } from '../xstate/layout.ts'
import { formatId } from './ids.ts'
import type { CaseContext, Selftest, SelftestCase, Traits } from './selftest.ts'
import { componentSets, permittedSets, userComponents } from './variants.ts'

/** Seed of whatever is random in a case. */
const seed = 1

/** A case with everything that it needs to run. */
export interface PlannedCase {
  readonly id: string
  readonly selftest: string
  readonly name: string
  readonly test: SelftestCase
  readonly context: CaseContext
  /** What its session has asked of the kernel; empty for the plain one. */
  readonly permissions: readonly ComponentName[]
}

/** A case that cannot run here. */
export interface SkippedCase {
  readonly id: string
  readonly selftest: string
  readonly name: string
  readonly test: SelftestCase | null
  readonly abi: Abi
  readonly components: readonly ComponentName[]
  readonly reason: string
}

/** A session that cases run in. */
export interface PlanSession {
  readonly layout: Layout
  readonly expected: Layout
  readonly limits: EditLimits
  readonly cpu: HostCpu
  readonly traits: Traits
  readonly permissions: readonly ComponentName[]
  /** Whether cases that take long are wanted. */
  readonly long: boolean
  /** Why it has no frames of an ABI; null where it has. */
  lack(abi: Abi): string | null
}

const namesOf = ({ layout }: PlanSession): ComponentName[] =>
  layout.extended.map(({ name }) => name).filter(name => isKnownComponent(name))

const setsFor = (session: PlanSession): ComponentName[][] => {
  const names = namesOf(session)
  const { permissions } = session
  if (permissions.length === 0) return componentSets(names)
  return permittedSets(
    names,
    permissions.filter(name => names.includes(name)),
  )
}

/** With a permission the other components are as without it. */
const singlesFor = (session: PlanSession): ComponentName[][] =>
  namesOf(session)
    .filter(name => session.permissions.length === 0 || session.permissions.includes(name))
    .map(name => [name])

const variantsOf = (selftest: Selftest, session: PlanSession): (readonly ComponentName[] | 'all')[] => {
  switch (selftest.variants) {
    case 'once':
      return ['all']
    case 'single components':
      return singlesFor(session)
    case 'each component':
      return setsFor(session)
  }
}

const isFor = (test: SelftestCase, abi: Abi): boolean => test.abis === undefined || test.abis.includes(abi)

/** Why a case does not run in a session, or null. */
const obstacle = (test: SelftestCase, context: CaseContext, session: PlanSession): string | null =>
  test.needs?.(context, session.traits) ??
  (test.long === true && !session.long ? 'it takes long: --long runs it' : null)

const plan = (
  selftest: Selftest,
  [name, test]: readonly [string, SelftestCase],
  session: PlanSession,
  abi: Abi,
  components: readonly ComponentName[] | 'all',
): PlannedCase | SkippedCase => {
  const { layout, expected, limits, cpu, permissions } = session
  const id = formatId({ selftest: selftest.name, case: name, abi, components, permissions })
  const names = components === 'all' ? layout.extended.map(c => c.name) : components
  const context = { layout, expected, limits, cpu, abi, components: names, seed }
  const reason = obstacle(test, context, session)
  const about = { id, selftest: selftest.name, name, test }
  return reason === null ? { ...about, context, permissions } : { ...about, abi, components: names, reason }
}

/** The cases of a selftest in one session. */
export const planCases = (selftest: Selftest, session: PlanSession): (PlannedCase | SkippedCase)[] => {
  if (selftest.session === 'plain' && session.permissions.length > 0) return []
  const variants = variantsOf(selftest, session)
  return abis
    .filter(abi => session.lack(abi) === null)
    .flatMap(abi =>
      Object.entries(selftest.cases)
        .filter(([, test]) => isFor(test, abi))
        .flatMap(entry =>
          [...(entry[1].withLegacy === true ? [[]] : []), ...variants].map(components =>
            plan(selftest, entry, session, abi, components),
          ),
        ),
    )
}

const skip = (
  selftest: Selftest,
  name: string,
  test: SelftestCase | null,
  abi: Abi,
  components: readonly ComponentName[] | 'all',
  reason: string,
): SkippedCase => ({
  id: formatId({ selftest: selftest.name, case: name, abi, components, permissions: [] }),
  selftest: selftest.name,
  name,
  test,
  abi,
  components: components === 'all' ? [] : components,
  reason,
})

/** The ABIs that a selftest has cases for. */
const abisOf = (selftest: Selftest): Abi[] =>
  abis.filter(abi => Object.values(selftest.cases).some(test => isFor(test, abi)))

/** Where there is no XSAVE, every case is skipped for that. */
export const planWithoutXsave = (selftest: Selftest): SkippedCase[] =>
  Object.entries(selftest.cases).map(([name, test]) =>
    skip(
      selftest,
      name,
      test,
      test.abis?.[0] ?? 'x86_64',
      'all',
      'this host has no XSAVE: its frames have no extended state',
    ),
  )

/** What a selftest would do for ABIs that this host lacks: one skip for each. */
export const planLackingAbis = (selftest: Selftest, lack: PlanSession['lack']): SkippedCase[] =>
  abisOf(selftest).flatMap(abi => {
    const reason = lack(abi)
    return reason === null ? [] : [skip(selftest, 'abi', null, abi, 'all', reason)]
  })

const whyLacking = (name: ComponentName, cpu: HostCpu, expected: Layout): string => {
  if (expected.has(name)) return `this kernel has enabled ${name} but leaves it out of its frames`
  const found = cpu.components.find(({ index }) => componentAt(index).name === name)
  return found === undefined ? `this CPU has no ${name}` : `this kernel has not enabled ${name}`
}

/** What a selftest would do for components that this host lacks: one skip for each. */
export const planLacking = (
  selftest: Selftest,
  cpu: HostCpu,
  expected: Layout,
  has: ReadonlySet<ComponentName>,
): SkippedCase[] =>
  selftest.variants === 'once'
    ? []
    : userComponents
        .filter(name => !has.has(name))
        .map(name =>
          skip(
            selftest,
            'component',
            null,
            abisOf(selftest)[0] ?? 'x86_64',
            [name],
            whyLacking(name, cpu, expected),
          ),
        )
