/** All machines as JUnit: a suite for each. */
import type { MachineResult, VmReport } from '../../vm/machine.ts'
import {
  bundleOutput,
  bundleProperties,
  junitDocument,
  nameText,
  type Suite,
  type Testcase,
  testcaseFor,
  testcasesOf,
} from '../junit.ts'
import { casesOf, commandIn, cpuName, emulatorText, kernelName, layoutText, machineName } from './words.ts'

/** Readers take what stands before the last point for a package. */
const className = (machine: MachineResult): string => nameText(`${kernelName(machine)}.${cpuName(machine)}`)

/** A machine that did not end as it should is an error, whatever its cases say. */
const endOf = (machine: MachineResult): Testcase[] => {
  const { status, reason, bundle, console, lacks } = machine
  if (status === 'ran' && bundle !== null) return []
  const skipped = status === 'skipped' || status === 'interrupted'
  return [
    testcaseFor('machine', `${className(machine)}.machine`, {
      kind: skipped ? 'skipped' : 'error',
      type: status === 'ran' ? 'broken' : status,
      message: status === 'ran' ? 'it ran, but there are no results' : `${status}: ${reason}`,
      output: [...lacks.map(text => `lacks ${text}`), ...console],
    }),
  ]
}

const runOf = (machine: MachineResult): Testcase[] => {
  if (machine.bundle === null) return []
  const commandOf = commandIn(machine)
  return testcasesOf(casesOf(machine), className(machine), one => commandOf(one)?.join(' ') ?? null)
}

const propertiesOf = (machine: MachineResult): Record<string, string> => {
  const { kernel, cpu, bundle, status, attempts, phase } = machine
  return {
    ...(bundle === null ? {} : { ...bundleProperties(bundle), layout: layoutText(bundle.host) }),
    image: kernel.path,
    cpu: cpu.name,
    model: cpu.model,
    emulator: emulatorText(machine) ?? `${cpu.emulator}: not found`,
    status,
    phase,
    boots: String(attempts),
  }
}

const suiteOf = (machine: MachineResult, startedAt: string): Suite => {
  const { bundle, durationMs, warnings, wants } = machine
  return {
    name: machineName(machine),
    durationMs,
    startedAt: bundle?.startedAt ?? startedAt,
    properties: propertiesOf(machine),
    testcases: [...runOf(machine), ...endOf(machine)],
    output: [
      ...warnings.map(text => `WARNING: ${nameText(text)}`),
      ...wants.map(text => `cases skipped for: ${nameText(text)}`),
      ...(bundle === null ? [] : bundleOutput(bundle)),
    ],
  }
}

/** All machines as JUnit. */
export const vmJunit = ({ machines, startedAt, durationMs }: VmReport): string =>
  junitDocument(
    'sigframe vm',
    durationMs,
    machines.map(machine => suiteOf(machine, startedAt)),
  )
