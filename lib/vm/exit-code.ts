/** The exit code of `sigframe vm`: that of a run, over all its machines. */
import { exitCodeOf, exitCodes } from '../harness/results.ts'
import type { MachineResult, VmReport } from './machine.ts'

/** Whether a frame of another machine met with what no kernel of this one's generation does. */
export const isMisread = ({ replayed }: Pick<MachineResult, 'replayed'>): boolean =>
  replayed.some(({ asExpected }) => asExpected === false)

const codeOfRun = (machine: MachineResult): number => {
  const code = machine.bundle === null ? exitCodes.broken : exitCodeOf(machine.bundle.cases)
  return code !== exitCodes.broken && isMisread(machine) ? exitCodes.fail : code
}

/** The exit code of one machine alone; null where Ctrl-C came first. */
export const machineExitCode = (machine: MachineResult): number | null => {
  switch (machine.status) {
    case 'ran':
      return codeOfRun(machine)
    case 'broken':
    case 'refused':
      return exitCodes.broken
    case 'skipped':
      return exitCodes.skip
    case 'interrupted':
      return null
    default:
      return exitCodes.fail
  }
}

/**
 * 70 where a machine is broken or refused, else 1 where one fails, else 0 where one passed; those that were skipped
 * beside it change nothing. All skipped is 4. None that ran is no success, whatever kept it.
 */
export const vmExitCode = ({ machines }: Pick<VmReport, 'machines'>): number => {
  const codes = new Set(machines.map(machineExitCode))
  for (const code of [exitCodes.broken, exitCodes.fail, exitCodes.ok]) if (codes.has(code)) return code
  return codes.has(exitCodes.skip) && !codes.has(null) ? exitCodes.skip : exitCodes.broken
}
