/** How the kernel was watched for complaints of its own, in words that all reports use. */
import type { KernelResult, LogResult } from '../harness/results.ts'
import { oneLine, plural } from './text.ts'

/** Of a call trace the first lines tell most; the bundle has more. */
const shownLines = 12
const longestText = 1000

const text = (reason: string): string => oneLine(reason, longestText)

/** How the log was watched. */
export const logText = ({ watched, reason }: LogResult): string => {
  const words = watched ? 'watched from boot on' : 'not watched'
  return reason === '' ? words : `${words}; ${text(reason)}`
}

/** What the taint could not tell; empty where it could tell all. */
export const taintText = ({ taintBefore, taintAfter, taintReason }: KernelResult): string => {
  if (taintReason === '') return ''
  const watched = taintBefore !== null && taintAfter !== null
  return `${watched ? 'watched' : 'not watched'}; ${text(taintReason)}`
}

/** The first lines of what the kernel complained of, and how many more a bundle has. */
export const firstLines = (kernel: KernelResult | null): { lines: string[]; more: string | null } => {
  const lines = kernel?.log?.lines ?? []
  const more = lines.length - shownLines
  return {
    lines: lines.slice(0, shownLines).map(text),
    more: more > 0 ? `and ${plural(more, 'more line')}: --format json has them` : null,
  }
}
