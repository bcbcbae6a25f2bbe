/** The kernel's own complaints for people. */
import type { KernelResult } from '../harness/results.ts'
import { firstLines, logText, taintText } from './kernel-watch.ts'
import { labelled, type Style } from './style.ts'
import { cut } from './text.ts'

const indent = '  '

/** What readers should know of the watching; nothing where all was seen. */
export const watchNotes = (kernel: KernelResult): string[] => {
  const { log } = kernel
  const taint = taintText(kernel)
  return [
    ...(log !== null && (!log.watched || log.reason !== '') ? [`log ${logText(log)}`] : []),
    ...(taint === '' ? [] : [`taint ${taint}`]),
  ]
}

/** What stood in the log, a line each: cut, not wrapped, as people know call traces. */
export const logLines = (kernel: KernelResult | null, style: Style): string[] => {
  const { colors, columns } = style
  const { lines, more } = firstLines(kernel)
  if (lines.length === 0) return []
  return [
    colors.bold('Kernel log'),
    ...lines.map(line => colors.red(cut(indent + line, columns))),
    ...(more === null ? [] : labelled(indent, more, style)),
  ]
}
