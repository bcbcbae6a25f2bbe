/**
 * All machines as KTAP version 1: a test for each machine, in it what `sigframe run --format ktap` prints there. A
 * machine that did not end as it should is not ok, whatever its cases say.
 */
import { countVerdicts, exitCodes, type Verdict } from '../../harness/results.ts'
import { machineExitCode } from '../../vm/exit-code.ts'
import type { MachineResult, VmReport } from '../../vm/machine.ts'
import { bundleLines, data, diagnostic, indent, resultLine, toText, totals, version } from '../ktap.ts'
import { plural } from '../text.ts'
import { casesOf, commandIn, emulatorText, machineName } from './words.ts'

/** Of the console's last lines, so many. */
const shownConsole = 15

const told = ({ status, reason }: MachineResult): string =>
  data(reason === '' ? status : `${status}: ${reason}`)

const isEmpty = (machine: MachineResult): boolean => casesOf(machine).length === 0

/** What a machine's end is in the words of kselftest; empty where its run says all. */
const directiveOf = (machine: MachineResult): string => {
  switch (machine.status) {
    case 'ran':
      if (isEmpty(machine)) return 'ERROR broken: it ran, but there are no results'
      return machineExitCode(machine) === exitCodes.skip ? 'SKIP every case was skipped' : ''
    case 'timeout':
      return `TIMEOUT ${data(machine.reason)}`
    case 'skipped':
      return `SKIP ${data(machine.reason)}`
    case 'interrupted':
      return `SKIP ${told(machine)}`
    default:
      return `ERROR ${told(machine)}`
  }
}

/** What a machine is counted as beside its cases. */
const verdictOf = (machine: MachineResult): Verdict | null => {
  switch (machine.status) {
    case 'ran':
      return isEmpty(machine) ? 'broken' : null
    case 'timeout':
      return 'timeout'
    case 'skipped':
    case 'interrupted':
      return 'skip'
    case 'stuck':
      return 'stuck'
    default:
      return 'broken'
  }
}

const isOk = (machine: MachineResult): boolean => {
  const code = machineExitCode(machine)
  return code === null || code === exitCodes.ok || code === exitCodes.skip
}

/** The run in it, frames of other machines included. */
const nestedLines = (machine: MachineResult): string[] => {
  const { bundle } = machine
  // Of a test without subtests KTAP has no plan.
  if (bundle === null || isEmpty(machine)) return []
  const commandOf = commandIn(machine)
  return bundleLines({ ...bundle, cases: casesOf(machine) }, one => commandOf(one)?.join(' ') ?? null).map(
    line => indent + line,
  )
}

const about = (machine: MachineResult): string[] => {
  const { lacks, wants, warnings, console, attempts } = machine
  const emulator = emulatorText(machine)
  return [
    diagnostic('cpu', `${machine.cpu.name}, ${machine.cpu.model}`),
    ...(emulator === null ? [] : [diagnostic('emulator', emulator)]),
    ...(attempts > 1 ? [diagnostic('boots', String(attempts))] : []),
    ...lacks.map(text => diagnostic('lacks', text)),
    ...wants.map(text => diagnostic('skips for', text)),
    ...warnings.map(text => diagnostic('WARNING', text)),
    ...console.slice(-shownConsole).map(line => diagnostic('console', line)),
  ]
}

const machineLines = (machine: MachineResult, number: number): string[] => [
  ...nestedLines(machine),
  ...about(machine),
  resultLine(isOk(machine), number, machineName(machine), directiveOf(machine)),
]

const allTotals = (machines: readonly MachineResult[]): string => {
  const counts = countVerdicts(machines.flatMap(casesOf))
  for (const machine of machines) {
    const verdict = verdictOf(machine)
    if (verdict !== null) counts[verdict] += 1
  }
  return totals(counts)
}

/** All machines as KTAP. */
export const vmKtap = (report: VmReport): string => {
  const { machines, tool, require, rule } = report
  return toText([
    version,
    `1..${machines.length}`,
    diagnostic('tool', `${tool.name} ${tool.version}`),
    ...(require === null ? [] : [diagnostic('required', require)]),
    ...(rule === null ? [] : [diagnostic('judged by', rule)]),
    ...(report.interrupted ? [diagnostic('WARNING', 'interrupted: this is not all')] : []),
    ...(machines.length === 0
      ? [diagnostic('broken', `${plural(0, 'machine')} ran: that is no success`)]
      : []),
    ...machines.flatMap((machine, i) => machineLines(machine, i + 1)),
    allTotals(machines),
  ])
}
