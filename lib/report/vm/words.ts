/** What the reports say of one machine in a few words. */
import { type CaseResult, countVerdicts, exitCodes, type KernelResult } from '../../harness/results.ts'
import { isMisread, machineExitCode } from '../../vm/exit-code.ts'
import type { Acceleration, MachinePhase, MachineResult } from '../../vm/machine.ts'
import { labelled, type Paint, type Style } from '../style.ts'
import { oneLine, shellQuoted, widthOf } from '../text.ts'
import { groupBy, headline, isFailure, repeatCommand } from '../verdicts.ts'
import { replayCases, replaySelftest } from './replays.ts'

const longestName = 200

export const kernelName = ({ kernel }: Pick<MachineResult, 'kernel'>): string =>
  oneLine(kernel.name, longestName) || 'unnamed'

export const cpuName = ({ cpu }: Pick<MachineResult, 'cpu'>): string =>
  oneLine(cpu.name, longestName) || 'unnamed'

/** What KTAP and JUnit call a machine. */
export const machineName = (machine: MachineResult): string => `${kernelName(machine)}/${cpuName(machine)}`

const longestWhy = 200

const accelerations: Readonly<Record<Acceleration, string>> = {
  kvm: 'hardware acceleration (kvm)',
  tcg: 'software emulation (tcg)',
  interpreter: 'its own interpreter',
}

/** `qemu 7.2.22, software emulation (tcg)`; null where no emulator was found. */
export const emulatorText = ({ cpu, emulator }: Pick<MachineResult, 'cpu' | 'emulator'>): string | null =>
  emulator === null
    ? null
    : `${cpu.emulator} ${oneLine(emulator.version, longestName)}, ${accelerations[emulator.acceleration]}${
        emulator.why === '' ? '' : `: ${oneLine(emulator.why, longestWhy)}`
      }`

/** When it ended, where that says something. */
export const phaseText: Readonly<Record<MachinePhase, string>> = {
  emulator: 'before the kernel started',
  boot: 'while booting',
  probes: 'while the selftests ran',
  end: 'after the selftests',
}

/** Components of a layout by their names, x87 and SSE first. */
const componentsText = ({ userFeatures, leafD }: Layout): string => {
  const mask = BigInt(userFeatures)
  const names = leafD.filter(({ index }) => (mask >> BigInt(index)) & 1n).map(({ name }) => name)
  return oneLine(['x87', 'sse', ...names].join(' '))
}

type Layout = NonNullable<MachineResult['bundle']>['host']

/** Which frames a machine has. */
export const layoutText = (host: Layout): string =>
  BigInt(host.xcr0) === 0n
    ? `no XSAVE, frames of ${host.userSize} bytes`
    : `XCR0 ${host.xcr0}, frames of ${host.userSize} bytes: ${componentsText(host)}`

/** Whether the kernel is its generation to the letter, as far as could be told. */
export const isToTheLetter = (kernel: KernelResult | null): boolean =>
  kernel === null ||
  kernel.generation === null ||
  (headline(kernel) === kernel.generation && kernel.deviations.length === 0)

/** The generation in one word: a `*` for what is not to the letter, `unknown` for what no generation does. */
const toldAs = (kernel: KernelResult | null): string => {
  if (kernel === null || kernel.generation === null) return ''
  if (kernel.evidence.some(({ deviation }) => deviation === 'otherwise')) return 'unknown'
  return isToTheLetter(kernel) ? kernel.generation : `${kernel.generation}*`
}

/** How a machine is counted. */
export const outcomeOf = (machine: MachineResult): string => {
  if (machine.status !== 'ran') return machine.status
  switch (machineExitCode(machine)) {
    case exitCodes.ok:
      return 'pass'
    case exitCodes.fail:
      return 'fail'
    case exitCodes.skip:
      return 'skip'
    default:
      return 'broken'
  }
}

/** Everything that a machine was asked: the cases of its run, and the frames of others. */
export const casesOf = (machine: MachineResult): CaseResult[] =>
  machine.bundle === null ? [] : [...machine.bundle.cases, ...replayCases(machine)]

const ranText = (machine: MachineResult): string => {
  const cases = casesOf(machine)
  const { broken } = countVerdicts(cases)
  const failed = cases.filter(isFailure).length - broken
  const words = {
    pass: 'PASS',
    fail: `FAIL ${failed}`,
    skip: 'SKIP',
    broken: broken > 0 ? `BROKEN ${broken}` : 'BROKEN',
  }
  const word = words[outcomeOf(machine) as keyof typeof words]
  return `${toldAs(machine.bundle?.kernel ?? null)} ${word}`.trim()
}

/** A machine as a cell of the matrix: `regressed FAIL 12`, `lacks 3`, `panic`. */
export const cellText = (machine: MachineResult): string => {
  const { status, lacks } = machine
  if (status === 'ran') return ranText(machine)
  return status === 'lacks' && lacks.length > 0 ? `lacks ${lacks.length}` : status
}

export const cellPaint = (machine: MachineResult, { colors }: Style): Paint => {
  switch (machineExitCode(machine)) {
    case exitCodes.ok:
      return colors.green
    case exitCodes.fail:
      return colors.red
    case exitCodes.broken:
      return colors.magenta
    default:
      return colors.yellow
  }
}

/** Whether there is nothing to say of a machine beyond its cell. */
export const isPlain = (machine: MachineResult): boolean => {
  const { bundle, wants, warnings, attempts } = machine
  return (
    outcomeOf(machine) === 'pass' &&
    !isMisread(machine) &&
    isToTheLetter(bundle?.kernel ?? null) &&
    attempts <= 1 &&
    [...wants, ...warnings, ...(bundle?.warnings ?? []), ...(bundle?.kernel?.log?.lines ?? [])].length === 0
  )
}

/** Machines in words: kernels with the same CPUs together. @param cpus how many CPUs the report has */
export const namesOf = (machines: readonly MachineResult[], cpus: number): string => {
  const byKernel = [...groupBy(machines, kernelName)].map(([kernel, ofIt]) => ({
    kernel,
    cpus: [...new Set(ofIt.map(cpuName))],
  }))
  const groups = groupBy(byKernel, one => one.cpus.join(', '))
  return [...groups]
    .map(([names, ofIt]) => {
      const all = cpus > 1 && ofIt[0]?.cpus.length === cpus
      return `${ofIt.map(({ kernel }) => kernel).join(' ')} on ${all ? `all ${cpus} CPUs` : names}`
    })
    .join('; ')
}

const word = (text: string): string => (/^[\w.,:+/@%-]+$/.test(text) ? text : shellQuoted(text))

/** The command that repeats a case in a machine, in two parts; null where none does. */
export const commandIn =
  ({ kernel, cpu }: MachineResult) =>
  (one: CaseResult): readonly [string, string] | null => {
    const command = one.selftest === replaySelftest ? null : repeatCommand(one)
    if (command === null) return null
    // A kernel by its version is found anywhere, a file by its path.
    const which = /^\w+:[\w.+~-]+$/.test(kernel.name) ? kernel.name : kernel.path
    return [
      command.replace(/^sigframe run /, 'sigframe vm '),
      `--kernel ${word(oneLine(which))} --cpu ${word(oneLine(cpu.name))}`,
    ]
  }

/** A text behind its label, or below it where that is long. */
export const shortLabelled = (label: string, text: string, style: Style): string[] =>
  widthOf(label) <= style.columns / 2
    ? labelled(label, text, style)
    : [...labelled('', label.trimEnd(), style, style.colors.bold), ...labelled('  ', text, style)]
