/** What PID 1 and the run said over the second serial port. Pure. */
import { answerText, lineOf } from './guest/channel.ts'

export interface Said {
  /** Whether PID 1 ran at all. */
  readonly booted: boolean
  /** uname -r; null before PID 1. */
  readonly release: string | null
  /** Whether Node was started. */
  readonly started: boolean
  readonly lacks: readonly string[]
  readonly wants: readonly string[]
  /** That the time inside was over, and the tasks there were then. */
  readonly late: string | null
  readonly tasks: readonly string[]
  readonly unkillable: readonly string[]
  /** How often the kernel killed for want of memory. */
  readonly oom: number
  /** How Node ended: `exit code 70`, `signal 9`; null where it did not. */
  readonly ended: string | null
  /** What PID 1 or the run says went wrong in itself. */
  readonly failed: string | null
  /** The last case that was told. */
  readonly lastCase: string | null
  /** The answer's text; null where none arrived whole. */
  readonly answer: string | null
  /** Whether a line of an answer was begun. */
  readonly answered: boolean
  /** Whether PID 1 came to its end. */
  readonly ends: boolean
}

/** Of the lines: native/init/main.cc has the same. */
const version = '1'

/** Lines of one kind, each without the kind. */
const restsOf = (lines: readonly string[], kind: string): readonly string[] =>
  lines
    .map(lineOf)
    .filter(line => line.kind === kind)
    .map(({ rest }) => rest)

const option = (rest: string): string => {
  const { kind, rest: what } = lineOf(rest)
  return what === '' ? kind : `${kind} (${what})`
}

const endOf = (lines: readonly string[]): string | null => {
  const code = restsOf(lines, 'exit').at(-1)
  if (code !== undefined) return `exit code ${code}`
  const signal = restsOf(lines, 'killed').at(-1)
  return signal === undefined ? null : `signal ${signal}`
}

/** What PID 1 marks its lines with on the console, where there is no second port. */
export const channelPrefix = 'sigframe: '

/** The channel's lines: those of the data port, or where there is none those that PID 1 marks on the console. */
export const channelLines = (data: string, console: readonly string[]): readonly string[] => {
  const lines = data.split('\n').map(line => line.replace(/\r$/, ''))
  return lines.some(line => line.startsWith('boot '))
    ? lines
    : console.filter(line => line.startsWith(channelPrefix)).map(line => line.slice(channelPrefix.length))
}

export const saidIn = (lines: readonly string[]): Said => {
  const boot = restsOf(lines, 'boot')[0]
  const result = restsOf(lines, 'result').at(-1)
  const { kind: spoken } = lineOf(boot ?? version)
  const strange = spoken === version ? null : `PID 1 speaks version ${spoken} of the channel, not ${version}`
  return {
    booted: boot !== undefined,
    release: boot === undefined ? null : lineOf(boot).rest,
    started: restsOf(lines, 'start').length > 0,
    lacks: restsOf(lines, 'lacks').map(option),
    wants: restsOf(lines, 'wants').map(option),
    late: restsOf(lines, 'late')[0] ?? null,
    tasks: restsOf(lines, 'task'),
    unkillable: restsOf(lines, 'unkillable'),
    oom: Number(restsOf(lines, 'oom').at(-1) ?? 0),
    ended: endOf(lines),
    failed: strange ?? restsOf(lines, 'failed')[0] ?? restsOf(lines, 'broken')[0] ?? null,
    lastCase: restsOf(lines, 'case').at(-1) ?? null,
    answer: result === undefined ? null : answerText(result),
    answered: result !== undefined,
    ends: restsOf(lines, 'end').length > 0,
  }
}
