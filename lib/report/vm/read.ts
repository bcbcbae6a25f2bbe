/**
 * Reading what `sigframe vm --json` wrote. Nothing in the file is trusted: whatever is wrong with it ends in one
 * `VmReportError`, whose message is one line and names the file, the field, the value and the limit.
 */
import { show } from '../../errors.ts'
import { checkCapturedFrames } from '../../foreign/check.ts'
import type { Bundle } from '../../harness/results.ts'
import type { MachineResult, VmReport } from '../../vm/machine.ts'
import { deepest, longestArray, longestCases } from '../bundle-limits.ts'
import { checkSchema, type FileKind, parseBounded, readText, wrongField, wrongPart } from '../checked-file.ts'

/** A report that cannot be used; the message is for the user. */
export class VmReportError extends Error {
  override name = 'VmReportError'
}

/** Bytes of a file: those of seventy machines on which all was run. Not far above lies what one string can hold. */
export const largestVmReport = 256 << 20
/** Frames of all other machines are sent on each. */
const longestReplayed = 100_000

const longestAt = (path: readonly PropertyKey[]): number => {
  const [machines, , at, cases] = path
  if (machines !== 'machines') return longestArray
  if (path.length === 3 && at === 'replayed') return longestReplayed
  return path.length === 4 && at === 'bundle' && cases === 'cases' ? longestCases : longestArray
}

const kind: FileKind = {
  noun: 'vm report',
  createError: message => new VmReportError(message),
  largest: largestVmReport,
  longestAt,
  // A bundle lies in a machine, which lies in the list of them.
  deepest: deepest + 3,
}

type Path = readonly PropertyKey[]

/** Refuses the second of two with one key. */
const checkDistinct = (keys: readonly string[], at: (i: number) => Path, file: string): void => {
  const seen = new Map<string, number>()
  keys.forEach((key, i) => {
    const first = seen.get(key)
    if (first !== undefined)
      throw wrongField(kind, file, at(i), `is ${show(key)}, must not be that of number ${first} too`)
    seen.set(key, i)
  })
}

type Schemas = typeof import('./schema.ts') & typeof import('../bundle-schema.ts')

const checkMachine = (value: unknown, i: number, file: string, schemas: Schemas): MachineResult => {
  const at = ['machines', i]
  const shell = checkSchema(kind, file, schemas.machineShellSchema, value, at)
  const inCases = [...at, 'bundle', 'cases']
  const cases = (shell.bundle?.cases ?? []).map((one, j) =>
    checkSchema(kind, file, schemas.caseSchema, one, [...inCases, j]),
  )
  checkDistinct(
    cases.map(({ id }) => id),
    j => [...inCases, j, 'id'],
    file,
  )
  const bundle: Bundle | null = shell.bundle === null ? null : { ...shell.bundle, cases }
  // What a schema cannot say: that the bytes are those of the layout, and the layout one that can be.
  const frames = checkCapturedFrames(shell.frames, `machines[${i}].frames`)
  return { ...shell, bundle, frames }
}

/**
 * The report of a text.
 * @param file how messages call it
 * @throws VmReportError
 */
export const parseVmReport = async (text: string, file: string): Promise<VmReport> => {
  const value = parseBounded(kind, file, text)
  // Loading zod takes longer than many a run: only those pay for it who read a report.
  const schemas = { ...(await import('./schema.ts')), ...(await import('../bundle-schema.ts')) }
  const shell = checkSchema(kind, file, schemas.vmShellSchema, value)
  try {
    const machines = shell.machines.map((one, i) => checkMachine(one, i, file, schemas))
    checkDistinct(
      machines.map(({ kernel, cpu }) => `${kernel.name} on ${cpu.name}`),
      i => ['machines', i],
      file,
    )
    return { ...shell, machines }
  } catch (error) {
    if (error instanceof TypeError || error instanceof RangeError) throw wrongPart(kind, file, error.message)
    throw error
  }
}

/** The report in a file. @throws VmReportError */
export const readVmReport = async (file: string): Promise<VmReport> =>
  await parseVmReport(readText(kind, file), file)
