/** What the user is told when something does not work, and the exit code that goes with it. */
import { exitCodes } from '../harness/results.ts'
import { oneLine } from '../report/text.ts'

/** The user's mistake; the message says what was wrong, with what, and what to do. */
export class UsageError extends Error {
  override name = 'UsageError'
}

/** Nothing can be probed on this machine; the message says why. */
const isUnavailable = (error: unknown): error is Error =>
  error instanceof Error && error.name === 'NativeUnavailableError'

const usageErrors: ReadonlySet<string> = new Set([
  'UsageError',
  'BundleError',
  'CpuFileError',
  'HostError',
  'InfoFileError',
  'MatrixFileError',
  'ProbeFileError',
  'FrameFileError',
  'VmReportError',
  'CollectionError',
  'MergeError',
  'CommanderError',
  'InvalidArgumentError',
])

/** Whether sigframe can probe on machines of this kind at all. There, a missing addon is a fault and no skip. */
const isSupported = (): boolean => process.platform === 'linux' && process.arch === 'x64'

/** Whether this machine is of a kind that cannot be probed: all there is to run is skipped. */
export const isSkip = (error: unknown): error is Error => isUnavailable(error) && !isSupported()

/** The exit code for what a command threw. */
export const exitCodeFor = (error: unknown): number => {
  if (isSkip(error)) return exitCodes.skip
  return error instanceof Error && usageErrors.has(error.name) ? exitCodes.usage : exitCodes.broken
}

const messageOf = (error: unknown): string => {
  if (!(error instanceof Error)) return String(error)
  return error.message || error.name
}

const isExplained = (error: unknown): boolean =>
  isUnavailable(error) || exitCodeFor(error) === exitCodes.usage || error instanceof ExplainedError

/** No user's mistake and no fault of ours: the disk is full. */
export class ExplainedError extends Error {
  override name = 'ExplainedError'
}

/** What is printed: one line, with the stack behind it where SIGFRAME_DEBUG is set. */
export const errorText = (error: unknown, debug = Boolean(process.env.SIGFRAME_DEBUG)): string => {
  const hint = isExplained(error)
    ? ''
    : '; this is a fault of sigframe: please report it, with what SIGFRAME_DEBUG=1 prints'
  const stack = debug && error instanceof Error ? `${error.stack}\n` : ''
  return `sigframe: ${oneLine(messageOf(error))}${hint}\n${stack}`
}
