/** Where selftests ran or should have: hosts and virtual machines alike. Pure. */
import { type Bundle, type CaseResult, countVerdicts, type HostResult } from '../../harness/results.ts'
import type { CollectedHost, Collection } from '../../merge/collection.ts'
import { machineExitCode } from '../../vm/exit-code.ts'
import type { MachineResult } from '../../vm/machine.ts'
import { oneLine } from '../text.ts'
import { type CommandOf, isFailure, repeatCommand, runVerdict, verdictOrder } from '../verdicts.ts'
import { casesOf, cellText, commandIn, cpuName, kernelName } from '../vm/words.ts'
import { longestName, mostPlaces } from './bounds.ts'

/** How it stands with something, for its colour: `error` is what should have told something and did not. */
export type Tone = 'good' | 'bad' | 'error' | 'quiet'

export interface Place {
  /** Once on a page: `host-3`, `vm-0-12`. */
  readonly id: string
  readonly name: string
  readonly kind: 'host' | 'machine'
  readonly tone: Tone
  /** The outcome in a few words: `PASS`, `regressed FAIL 12`. */
  readonly word: string
  /** Why it counts as an error, or did not run to its end; empty where it did. */
  readonly problem: string
  readonly kernel: string
  readonly cpu: string
  readonly bundle: Bundle | null
  readonly machine: MachineResult | null
  readonly cases: readonly CaseResult[]
  readonly commandOf: CommandOf
  /** Whether the page has room for what is known of it: then links lead there. */
  readonly shown: boolean
}

const unnamed = 'unnamed'

const nameText = (text: string): string => oneLine(text, longestName) || unnamed

const cpuOf = ({ brand, vendor, family, model }: HostResult): string =>
  oneLine(brand, longestName) || nameText(`${vendor} family ${family} model ${model}`)

const tones = { PASS: 'good', FAIL: 'bad', SKIP: 'quiet', BROKEN: 'error' } as const

const failedText = (cases: readonly CaseResult[]): string => {
  const failed = cases.filter(isFailure).length
  return failed === 0 ? '' : ` ${failed}`
}

const hostPlace = ({ name, problem, bundle }: CollectedHost, i: number): Place => {
  const verdict = bundle === null ? 'BROKEN' : runVerdict(bundle)
  const cases = bundle?.cases ?? []
  const failed = problem !== null || bundle === null
  return {
    id: `host-${i}`,
    name: nameText(name),
    kind: 'host',
    tone: failed ? 'error' : tones[verdict],
    word: failed ? 'ERROR' : `${verdict}${failedText(cases)}`,
    problem: problem ?? (bundle === null ? 'there are no results of it' : ''),
    kernel: bundle?.kernel == null ? 'not told' : nameText(bundle.kernel.release),
    cpu: bundle === null ? 'not told' : cpuOf(bundle.host),
    bundle,
    machine: null,
    cases,
    commandOf: repeatCommand,
    shown: true,
  }
}

const machineTone = (machine: MachineResult): Tone => {
  switch (machineExitCode(machine)) {
    case 0:
      return 'good'
    case 1:
      return 'bad'
    case 70:
      return 'error'
    default:
      return 'quiet'
  }
}

const machinePlace = (machine: MachineResult, id: string): Place => {
  const inIt = commandIn(machine)
  return {
    id,
    name: `${kernelName(machine)} on ${cpuName(machine)}`,
    kind: 'machine',
    tone: machineTone(machine),
    word: cellText(machine),
    problem: machine.status === 'ran' ? '' : machine.reason || machine.status,
    kernel: kernelName(machine),
    cpu: cpuName(machine),
    bundle: machine.bundle,
    machine,
    cases: casesOf(machine),
    commandOf: one => inIt(one)?.join(' ') ?? null,
    shown: true,
  }
}

/** Places that make one matrix: those of a file of virtual machines, or the hosts. */
export interface PlaceTable {
  readonly id: string
  readonly title: string
  readonly places: readonly Place[]
}

const allTables = ({ hosts, vms }: Collection): PlaceTable[] =>
  [
    { id: 'hosts', title: 'Hosts', places: hosts.map(hostPlace) },
    ...vms.map(({ name, report }, i) => ({
      id: `vm-${i}`,
      title: `Virtual machines of ${nameText(name)}`,
      places: report.machines.map((machine, j) => machinePlace(machine, `vm-${i}-${j}`)),
    })),
  ].filter(({ places }) => places.length > 0)

const ranks: readonly Tone[] = ['error', 'bad', 'quiet', 'good']

/** The worst first, otherwise as they came. */
export const worstFirst = (places: readonly Place[]): Place[] =>
  places.toSorted((a, b) => ranks.indexOf(a.tone) - ranks.indexOf(b.tone))

/** The hosts, and the machines of each file; empty ones are left out. Where there are too many, the worst are shown. */
export const placeTables = (collection: Collection): PlaceTable[] => {
  const tables = allTables(collection)
  const all = tables.flatMap(({ places }) => places)
  if (all.length <= mostPlaces) return tables
  const kept = new Set(worstFirst(all).slice(0, mostPlaces))
  return tables.map(table => ({
    ...table,
    places: table.places.map(place => (kept.has(place) ? place : { ...place, shown: false })),
  }))
}

/** `1744 pass, 239 xfail, 382 fail`; empty where no case ran. */
export const countsText = (cases: readonly CaseResult[]): string => {
  const counts = countVerdicts(cases)
  return verdictOrder
    .filter(one => counts[one] > 0)
    .map(one => `${counts[one]} ${one}`)
    .join(', ')
}
