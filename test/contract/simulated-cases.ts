/** The known CPUs, and the cases of all selftests on them, as far as a simulated kernel can answer them. */
import { catalogueEntry, catalogueNames } from '../../lib/catalogue/catalogue.ts'
import type { RuleId } from '../../lib/contract/rules.ts'
import { type PlannedCase, planCases } from '../../lib/harness/plan.ts'
import {
  type CaseContext,
  type FrameCase,
  isTrial,
  type Selftest,
  type SelftestCase,
  traitsByTheManual,
} from '../../lib/harness/selftest.ts'
import { loadSelftests } from '../../lib/harness/selftests.ts'
import { createLayout, type Layout } from '../../lib/xstate/layout.ts'
import { knownSource } from '../xstate/arbitrary.ts'
import type { Machine } from './simulated-kernel.ts'
import { cpuOf, limitsOf, simulatedRaises } from './simulated-probe.ts'

export const selftests: readonly Selftest[] = await loadSelftests()

/** A layout of a machine's own: they are told apart by it. */
const own = (name: string): Layout => createLayout(knownSource(name))

/** A machine that shows XSAVES, and nothing to save by it. */
const emptyXsaves = ['sse-only with XSAVES', { layout: own('sse-only'), xsaves: true }] as const

/** An emulator with AVX-512, whose kernel does without XSAVES. */
const forgetful = [
  'skylake-sp that loses ZMM_Hi256 with AVX',
  { layout: own('skylake-sp'), xsaves: false, losesZmmHi256: true },
] as const

export const knownMachines: readonly (readonly [name: string, machine: Omit<Machine, 'generation'>])[] = [
  ...catalogueNames()
    .map(name => catalogueEntry(name))
    .filter(({ layout }) => layout.xsave)
    .map(({ name, layout, compacts }) => [name, { layout, xsaves: compacts }] as const),
  emptyXsaves,
  forgetful,
]

export const machineNamed = (name: string): Omit<Machine, 'generation'> => {
  const found = knownMachines.find(([known]) => known === name)
  if (found === undefined) throw new Error(`no machine is called ${name}`)
  return found[1]
}

const isPlanned = (one: object): one is PlannedCase => !('reason' in one)

/** What of a selftest runs there, for each ABI. */
export const plannedOn = (layout: Layout, selftest: Selftest): PlannedCase[] =>
  planCases(selftest, {
    layout,
    expected: layout,
    limits: limitsOf(layout),
    cpu: cpuOf(layout, xsavesOf(layout)),
    traits: { ...traitsByTheManual, keepsZmmHi256: machineOf(layout)?.losesZmmHi256 !== true },
    permissions: [],
    long: true,
    lack: () => null,
  }).filter(isPlanned)

const machineOf = (layout: Layout): Omit<Machine, 'generation'> | undefined =>
  knownMachines.find(([, machine]) => machine.layout === layout)?.[1]

const xsavesOf = (layout: Layout): boolean => machineOf(layout)?.xsaves ?? true

/** A frame that needs no other thread, no time, no luck and no stack of its own. */
export const isSimulated = (test: SelftestCase): test is FrameCase =>
  !isTrial(test) &&
  test.stack === undefined &&
  test.reached === undefined &&
  simulatedRaises.includes(test.raise ?? 'tgkill')

export const ruleOfPlanned = ({ test: { rule }, context }: PlannedCase): RuleId =>
  typeof rule === 'function' ? rule(context) : rule

/** A context as the fingerprint has it. */
export const contextOf = (layout: Layout): CaseContext => ({
  layout,
  expected: layout,
  limits: limitsOf(layout),
  cpu: cpuOf(layout, xsavesOf(layout)),
  abi: 'x86_64',
  components: [],
  seed: 1,
})
