/** Who notices which mistake of a kernel: the selftests by a verdict that changes, a short fuzz by a frame. */
import { behaviour, type GenerationId, generationOf } from '../../lib/contract/generations.ts'
import type { RuleId } from '../../lib/contract/rules.ts'
import { judge } from '../../lib/contract/verdict.ts'
import { type Execution, executeCase } from '../../lib/harness/execute.ts'
import type { PlannedCase } from '../../lib/harness/plan.ts'
import { isSimulated, machineNamed, plannedOn, ruleOfPlanned, selftests } from './simulated-cases.ts'
import { type FuzzedFrame, firstFinding, simulatedSubject } from './simulated-fuzz.ts'
import { type Machine, type Slip, slips } from './simulated-kernel.ts'
import { simulatedProbe } from './simulated-probe.ts'
import { noticed } from './slip-notices.ts'

/** Where a mistake shows. */
export interface Place {
  readonly on: GenerationId
  /** The CPU. */
  readonly machine: string
}

export const placeOf = (slip: Slip): Place => {
  const { on = 'classic', machine = 'haswell' } = noticed[slip]
  return { on, machine }
}

const machineOf = (slip: Slip | undefined, { on, machine }: Place): Machine => ({
  ...machineNamed(machine),
  generation: on,
  slip,
})

const none = { require: null, held: new Set<RuleId>() }

const verdictOf = (done: Execution, rule: RuleId, on: GenerationId): string =>
  done.kind === 'observed' ? judge(rule, done.observed, generationOf(on), none).verdict : done.kind

export const nameOf = ({ selftest, name }: PlannedCase): string => `${selftest}/${name}`

const plans = new Map<string, readonly PlannedCase[]>()

/** Every case that a simulated kernel can answer. */
const plannedFor = (machine: string): readonly PlannedCase[] => {
  const known = plans.get(machine)
  if (known !== undefined) return known
  const { layout } = machineNamed(machine)
  const planned = selftests.flatMap(one => plannedOn(layout, one)).filter(one => isSimulated(one.test))
  plans.set(machine, planned)
  return planned
}

const verdictsOf = (
  slip: Slip | undefined,
  place: Place,
  planned: readonly PlannedCase[],
): readonly string[] => {
  const { probe } = simulatedProbe(machineOf(slip, place))
  return planned.map(one =>
    verdictOf(executeCase(probe, one.test, one.context), ruleOfPlanned(one), place.on),
  )
}

const goodVerdicts = new Map<string, readonly string[]>()

const goodOf = (place: Place): readonly string[] => {
  const key = `${place.on} ${place.machine}`
  const known = goodVerdicts.get(key)
  if (known !== undefined) return known
  const verdicts = verdictsOf(undefined, place, plannedFor(place.machine))
  goodVerdicts.set(key, verdicts)
  return verdicts
}

/** The cases that a kernel without a mistake is judged otherwise by than its generation would have it. */
export const misjudged = (place: Place): string[] => {
  const generation = generationOf(place.on)
  return plannedFor(place.machine).flatMap((one, i) => {
    const rule = ruleOfPlanned(one)
    const meant = judge(rule, behaviour(generation, rule), generation, none).verdict
    const verdict = goodOf(place)[i] as string
    return verdict === meant ? [] : [`${nameOf(one)}: ${verdict}, not ${meant}`]
  })
}

/**
 * The cases whose verdict a mistake changes, by name.
 * @param names those that are looked at; all if left out
 */
export const tellingCases = (slip: Slip, place: Place, names?: ReadonlySet<string>): string[] => {
  const good = goodOf(place)
  const planned = plannedFor(place.machine)
  const chosen = planned.flatMap((one, i) => (names?.has(nameOf(one)) === false ? [] : [i]))
  const verdicts = verdictsOf(
    slip,
    place,
    chosen.map(i => planned[i] as PlannedCase),
  )
  const changed = chosen.filter((i, n) => verdicts[n] !== good[i])
  return [...new Set(changed.map(i => nameOf(planned[i] as PlannedCase)))]
}

/** A short fuzz: most mistakes take it some hundred frames, the rarest some thousand. */
export const fuzzSeed = 7
export const fuzzRuns = 10_000

export const subjectOf = (slip: Slip) => simulatedSubject(machineOf(slip, placeOf(slip)))

/** The first frame that shows it. */
export const tellingFrame = (slip: Slip): FuzzedFrame | null =>
  noticed[slip].fuzz === false ? null : firstFinding(subjectOf(slip), fuzzSeed, fuzzRuns)

export interface Row {
  readonly slip: Slip
  readonly place: Place
  /** Names of the cases that tell. */
  readonly cases: readonly string[]
  /** The number of the first frame that tells, from 1 on; null where none does. */
  readonly frame: number | null
}

/** Those first that are about it. */
const inOrder = (cases: readonly string[], chief: readonly string[]): string[] => [
  ...chief.filter(name => cases.includes(name)),
  ...cases.filter(name => !chief.includes(name)),
]

export const rowOf = (slip: Slip): Row => {
  const place = placeOf(slip)
  const found = tellingFrame(slip)
  return {
    slip,
    place,
    cases: inOrder(tellingCases(slip, place), noticed[slip].by),
    frame: found === null ? null : found.index + 1,
  }
}

const widths = { slip: 50, place: 18, frame: 5 } as const
const widest = 120

const cut = (text: string, width: number): string =>
  text.length > width ? `${text.slice(0, width - 1)}…` : text

const line = (slip: string, place: string, frame: string, cases: string): string => {
  const cells = [slip.padEnd(widths.slip), place.padEnd(widths.place), frame.padStart(widths.frame)]
  return cut(`${cells.join(' ')}  ${cases}`, widest)
}

const shortMachine = (name: string): string => name.replace('sapphire-rapids', 'spr')

/** A row in one line. */
export const rowText = ({ slip, place: { on, machine }, cases, frame }: Row): string => {
  const counted = cases.length === 0 ? '-' : `${`${cases.length}`.padStart(3)} ${cases[0]}`
  return line(slip, `${on} ${shortMachine(machine)}`, frame === null ? '-' : `${frame}`, counted)
}

export const headText = line('slip', 'generation, CPU', 'fuzz', 'selftest cases')

export const isMissed = ({ cases, frame }: Row): boolean => cases.length === 0 && frame === null

/** The last line. */
export const totalText = (rows: readonly Row[]): string => {
  const selftested = rows.filter(({ cases }) => cases.length > 0).length
  const found = rows.filter(({ frame }) => frame !== null).length
  const missed = rows.filter(isMissed).length
  return `${rows.length} slips, ${selftested} noticed by selftests, ${found} by fuzz, ${missed} by neither`
}

/** Prints rows as they come. @returns whether every mistake is noticed by somebody */
export const printRows = (rows: Iterable<Row>, write: (line: string) => void): boolean => {
  const printed: Row[] = []
  write(headText)
  for (const row of rows) {
    write(rowText(row))
    printed.push(row)
  }
  write(totalText(printed))
  return !printed.some(isMissed)
}

function* rowsOf(chosen: readonly Slip[]): Generator<Row> {
  for (const slip of chosen) yield rowOf(slip)
}

const slipNamed = (name: string): Slip => {
  const found = slips.find(slip => slip === name)
  if (found === undefined) throw new RangeError(`slip is ${name}, must be one of:\n  ${slips.join('\n  ')}`)
  return found
}

/**
 * @param names of slips; all if there are none
 * @throws RangeError for a name that there is not
 */
export const printTable = (names: readonly string[], write: (line: string) => void): boolean =>
  printRows(rowsOf(names.length === 0 ? slips : names.map(slipNamed)), write)
