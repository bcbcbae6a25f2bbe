/** The bugs of the past and what would have caught them, for people. */
import type { PastBug } from '../contract/history.ts'
import { labelled, type Style } from './style.ts'

const margin = '  '
const inner = '    '

const bugText = (bug: PastBug, style: Style): string[] => {
  const { colors } = style
  const { id, cve, what, kernels, cases, proves } = bug
  const title = [id, cve, kernels === '' ? undefined : kernels].filter(part => part !== undefined).join(' · ')
  return [
    ...labelled(margin, title, style, colors.cyan),
    ...labelled(inner, what, style),
    ...labelled(inner, `caught by ${cases.join(', ')}`, style, colors.dim),
    ...(proves === undefined ? [] : labelled(inner, `proves here: ${proves}`, style, colors.dim)),
  ]
}

/** Each bug with the cases that would have caught it; nothing where there are none. */
export const historyText = (bugs: readonly PastBug[], style: Style): string =>
  bugs.length === 0
    ? ''
    : [style.colors.bold('Past bugs'), ...bugs.flatMap(bug => bugText(bug, style)), ''].join('\n')
