/**
 * The kernel's own complaints: warnings, call traces and taint that appear while it is probed are failures,
 * whatever became of the frames. Pure: kernel-log.ts reads, this tells.
 */
import type { LogReading, LogRecord, Watched } from './kernel-log.ts'
import type { LogResult } from './results.ts'
import { isForeignBadFrame, type Splat, splatsIn } from './splats.ts'

/** What a run as a whole fails for. */
export interface Failure {
  readonly name: 'log' | 'taint' | 'boot'
  readonly reason: string
  /** The complaints in one line. */
  readonly quote: string
  readonly expected: string
}

export interface Complaints {
  readonly failures: readonly Failure[]
  /** Lines that must not be overlooked, and are no failure. */
  readonly warnings: readonly string[]
  readonly log: LogResult
  /** Why the taint tells less than it could; empty where it tells all. */
  readonly taintReason: string
}

const mostQuoted = 10
const mostWarnings = 5
const longestTitle = 300

const count = (number: number, one: string): string => `${number} ${one}${number === 1 ? '' : 's'}`

const was = (number: number, one: string): string => `${count(number, one)} ${number === 1 ? 'was' : 'were'}`

/** The first of them, and how many more there are. */
const firstOf = (texts: readonly string[], most: number): string[] => [
  ...texts.slice(0, most),
  ...(texts.length > most ? [`and ${texts.length - most} more`] : []),
]

const short = (text: string): string => text.slice(0, longestTitle)

const quoted = ({ lines, more }: Splat): string[] => [
  ...lines,
  ...(more === 0 ? [] : [`… (${count(more, 'more line')})`]),
]

const logFailure = (splats: readonly Splat[]): Failure[] =>
  splats.length === 0
    ? []
    : [
        {
          name: 'log',
          reason: `${count(splats.length, 'complaint')} in the kernel's log during the run`,
          quote: firstOf(
            splats.map(({ title }) => short(title)),
            mostQuoted,
          ).join('; '),
          expected: 'no warning and no call trace',
        },
      ]

// User space may write to /dev/kmsg too: only the kernel itself can fail a kernel.
const ofKernel = ({ records }: LogReading): LogRecord[] => records.filter(({ facility }) => facility === 0)

/** What prints once a boot may have printed before: whose fault it was then, nobody can tell. */
const earlier = (before: LogReading): string[] => {
  const titles = splatsIn(ofKernel(before)).flatMap(({ ofFpu, title }) => (ofFpu ? [short(title)] : []))
  return firstOf(
    [...new Set(titles)].map(
      title => `The kernel's log has an FPU complaint of this boot from before the run: ${title}`,
    ),
    mostWarnings,
  )
}

/** Where frames of others are refused meanwhile, it is their fault or that of what is tested here. */
const foreign = (records: readonly LogRecord[]): string[] => {
  const found = records.filter(isForeignBadFrame)
  return found
    .slice(0, 1)
    .map(
      ({ text }) =>
        `${was(found.length, 'signal frame')} refused to other processes during the run: ${short(text)}`,
    )
}

const missedBefore = ({ lost }: LogReading): string[] =>
  lost === 0 ? [] : [`${was(lost, 'record')} overwritten before the run began`]

const missedDuring = ({ lost, ended }: LogReading): string[] => [
  ...(lost === 0 ? [] : [`${was(lost, 'record')} overwritten during the run, unread`]),
  ...(ended ? [] : ['its end was not reached, so fast does it grow']),
]

interface OfLog {
  readonly failures: readonly Failure[]
  readonly warnings: readonly string[]
  readonly log: Omit<LogResult, 'onceCleared'>
}

const unwatched = (reason: string): OfLog => ({
  failures: [],
  warnings: [],
  log: { watched: false, reason, lines: [] },
})

const ofLog = (log: Watched['log']): OfLog => {
  if (typeof log === 'string') return unwatched(log)
  const { before, during } = log
  // Where the run begins in it is not known.
  if (!before.ended) return unwatched('its end was not reached, so fast does it grow')
  const records = ofKernel(during)
  const splats = splatsIn(records)
  const missed = missedDuring(during)
  return {
    failures: logFailure(splats),
    warnings: [
      ...earlier(before),
      ...foreign(records),
      ...missed.map(text => `The kernel's log was not seen in full: ${text}.`),
    ],
    log: {
      watched: true,
      reason: [...missedBefore(before), ...missed].join('; '),
      lines: splats.slice(0, mostQuoted).flatMap(quoted),
    },
  }
}

/** The taints of a kernel gone wrong. The other letters tell of what was loaded into it, or done to it. */
const taints = [
  { bit: 5, letter: 'B', text: 'a bad page' },
  { bit: 7, letter: 'D', text: 'an oops or a BUG' },
  { bit: 9, letter: 'W', text: 'a warning' },
  { bit: 14, letter: 'L', text: 'a soft lockup' },
] as const

const has = (taint: number, bit: number): boolean => Math.floor(taint / 2 ** bit) % 2 === 1

const lettersOf = (of: readonly { readonly letter: string }[]): string =>
  of.map(({ letter }) => letter).join(' and ')

const taintFailure = (before: number, after: number): Failure[] => {
  const gained = taints.filter(({ bit }) => has(after, bit) && !has(before, bit))
  if (gained.length === 0) return []
  const meanings = gained.map(({ letter, text }) => `${letter} (${text})`).join(', ')
  return [
    {
      name: 'taint',
      reason: `the kernel became tainted ${lettersOf(gained)} during the run`,
      quote: `${meanings}: taint ${before} before, ${after} after`,
      expected: 'none of the taints B, D, W and L that was not there before',
    },
  ]
}

const ofTaint = (
  before: number | string,
  after: number | string,
): Pick<Complaints, 'failures' | 'taintReason'> => {
  if (typeof before === 'string') return { failures: [], taintReason: before }
  if (typeof after === 'string') return { failures: [], taintReason: after }
  const old = taints.filter(({ bit }) => has(before, bit))
  return {
    failures: taintFailure(before, after),
    taintReason: old.length === 0 ? '' : `already ${lettersOf(old)} before the run: another would not show`,
  }
}

/** What the kernel complained of around a run. */
export const complaintsOf = ({ log, onceCleared, taintBefore, taintAfter }: Watched): Complaints => {
  const told = ofLog(log)
  const { failures, taintReason } = ofTaint(taintBefore, taintAfter)
  return {
    failures: [...told.failures, ...failures],
    warnings: told.warnings,
    log: { ...told.log, onceCleared },
    taintReason,
  }
}
