/** From selftests to the cases of a host: which run, in which session, with which components. */
import { type ComponentName, componentAt, isKnownComponent } from '../xstate/components.ts'
import type { HostCpu } from '../xstate/host.ts'
import type { Layout } from '../xstate/layout.ts'
import { formatId } from './ids.ts'
import type { Selftest, SelftestCase } from './selftest.ts'
import { componentSets, permittedSets, userComponents } from './variants.ts'

export const abi = 'x86_64'

/** A case with everything that it needs to run. */
export interface PlannedCase {
  readonly id: string
  readonly selftest: string
  readonly name: string
  readonly test: SelftestCase
  readonly components: readonly ComponentName[]
  /** What its session has asked of the kernel; empty for the plain one. */
  readonly permissions: readonly ComponentName[]
}

/** A case that cannot run here. */
export interface SkippedCase {
  readonly id: string
  readonly selftest: string
  readonly name: string
  readonly test: SelftestCase | null
  readonly components: readonly ComponentName[]
  readonly reason: string
}

/** A session that cases run in. */
export interface PlanSession {
  readonly layout: Layout
  readonly permissions: readonly ComponentName[]
}

const setsFor = ({ layout, permissions }: PlanSession): ComponentName[][] => {
  const names = layout.extended.map(({ name }) => name).filter(name => isKnownComponent(name))
  if (permissions.length === 0) return componentSets(names)
  return permittedSets(
    names,
    permissions.filter(name => names.includes(name)),
  )
}

const planned = (
  selftest: Selftest,
  [name, test]: readonly [string, SelftestCase],
  { permissions }: PlanSession,
  components: readonly ComponentName[] | 'all',
  layout: Layout,
): PlannedCase => ({
  id: formatId({ selftest: selftest.name, case: name, abi, components, permissions }),
  selftest: selftest.name,
  name,
  test,
  components: components === 'all' ? layout.extended.map(c => c.name) : components,
  permissions,
})

/** The cases of a selftest in one session. */
export const planCases = (selftest: Selftest, session: PlanSession): PlannedCase[] => {
  const { layout } = session
  const sets: (readonly ComponentName[] | 'all')[] = selftest.variants === 'once' ? ['all'] : setsFor(session)
  return Object.entries(selftest.cases).flatMap(entry =>
    [...(entry[1].withLegacy === true ? [[]] : []), ...sets].map(components =>
      planned(selftest, entry, session, components, layout),
    ),
  )
}

/** Where there is no XSAVE, every case is skipped for that. */
export const planWithoutXsave = (selftest: Selftest): SkippedCase[] =>
  Object.entries(selftest.cases).map(([name, test]) => ({
    id: formatId({ selftest: selftest.name, case: name, abi, components: 'all', permissions: [] }),
    selftest: selftest.name,
    name,
    test,
    components: [],
    reason: 'this host has no XSAVE: its frames have no extended state',
  }))

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
        .map(name => ({
          id: formatId({
            selftest: selftest.name,
            case: 'component',
            abi,
            components: [name],
            permissions: [],
          }),
          selftest: selftest.name,
          name: 'component',
          test: null,
          components: [name],
          reason: whyLacking(name, cpu, expected),
        }))
