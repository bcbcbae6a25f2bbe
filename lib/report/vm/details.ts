/** What is to be said of machines beyond their cells in the matrix; alike machines together. */
import { countVerdicts } from '../../harness/results.ts'
import type { MachineResult } from '../../vm/machine.ts'
import { kernelLines } from '../pretty.ts'
import { failureLines } from '../pretty-failures.ts'
import { logLines } from '../pretty-log.ts'
import { noteLines } from '../pretty-notes.ts'
import { labelled, type Paint, type Style } from '../style.ts'
import { cut, oneLine, plural, widthOf } from '../text.ts'
import { type CommandOf, failures, groupBy, verdictOrder } from '../verdicts.ts'
import {
  cellPaint,
  cellText,
  commandIn,
  isPlain,
  isToTheLetter,
  namesOf,
  outcomeOf,
  phaseText,
} from './words.ts'

const margin = '  '
const labelWidth = 10
const longestText = 1000
/** Of the kinds of failure in a machine, so many are shown. */
const shownFailures = 4
/** Lines of the console. */
const shownConsole = 32
const shownWarnings = 5
/** What has to be configured is told in full, in all that can be. */
const shownOptions = 60

const fact = (label: string, text: string, style: Style, paint?: Paint): string[] =>
  text === ''
    ? []
    : labelled(
        `${margin}${label.padEnd(labelWidth)}`,
        oneLine(text, longestText),
        style,
        paint,
        style.colors.dim,
      )

/** Facts with one label, the first few of them. */
const facts = (
  label: string,
  texts: readonly string[],
  style: Style,
  paint?: Paint,
  most = shownWarnings,
): string[] => {
  const more = texts.length - most
  return [
    ...texts.slice(0, most).flatMap((text, i) => fact(i === 0 ? label : '', text, style, paint)),
    ...(more > 0 ? fact('', `and ${more} more: --format json has all`, style) : []),
  ]
}

const indented = (lines: readonly string[]): string[] => lines.map(line => (line === '' ? '' : margin + line))

const narrower = (style: Style): Style => ({ ...style, columns: style.columns - margin.length })

/** Why it ended as it did. */
const endLines = (machine: MachineResult, style: Style): string[] => {
  const { status, reason, phase } = machine
  if (status === 'ran') return []
  // The others never had a kernel that could be at fault.
  const when = status === 'skipped' || status === 'interrupted' ? '' : ` (${phaseText[phase]})`
  return fact('why', `${reason || status}${when}`, style)
}

const consoleLines = ({ console }: MachineResult, { columns, colors }: Style): string[] => {
  if (console.length === 0) return []
  const shown = console.slice(0, shownConsole)
  return [
    colors.dim(cut(`${margin}console`, columns)),
    ...shown.map(line =>
      colors.red(cut(`${margin}${margin}${oneLine(line, longestText)}`, columns).trimEnd()),
    ),
  ]
}

const countsText = ({ bundle }: MachineResult): string => {
  if (bundle === null) return ''
  const counts = countVerdicts(bundle.cases)
  const parts = verdictOrder.filter(one => counts[one] > 0).map(one => `${counts[one]} ${one}`)
  return parts.join(', ') || 'none ran: that is no success'
}

/** Frames of other machines are told of by pairs of machines. */
const framesText = ({ replayed, bundle }: MachineResult): string => {
  const missed = replayed.filter(({ asExpected }) => asExpected === false).length
  const generation = bundle?.kernel?.generation ?? 'such'
  return missed === 0 ? '' : `${missed} of other machines: not as ${generation} kernels do, see below`
}

const deviationLines = ({ bundle }: MachineResult, style: Style): string[] => {
  const kernel = bundle?.kernel ?? null
  if (kernel === null || isToTheLetter(kernel)) return []
  return [
    ...fact('kernel', kernel.headline || (kernel.generation ?? ''), style, style.colors.yellow),
    ...facts('deviates', kernel.deviations, style, style.colors.yellow),
  ]
}

const warningLines = ({ warnings, bundle }: MachineResult, style: Style): string[] =>
  facts('warning', [...warnings, ...(bundle?.warnings ?? [])], style, style.colors.yellow)

const uncommanded: CommandOf = () => null

const firstFailures = (machine: MachineResult, style: Style): string[] => {
  const blocks = failureLines(machine.bundle?.cases ?? [], narrower(style), uncommanded)
  const more = blocks.length - shownFailures
  return [
    ...blocks.slice(0, shownFailures).flatMap(indented),
    ...(more > 0
      ? labelled(margin, `and ${plural(more, 'more kind')} of failure: --format json has all`, style)
      : []),
  ]
}

/** The command that repeats the worst failure. Not wrapped as text is: what is copied must be what runs. */
const repeatLines = (machine: MachineResult, { columns, colors }: Style): string[] => {
  const command = failures
    .flatMap(verdict => (machine.bundle?.cases ?? []).filter(one => one.verdict === verdict))
    .map(commandIn(machine))
    .find(one => one !== null)
  if (command === undefined) return []
  const label = `${margin}${'repeat'.padEnd(labelWidth)}`
  const whole = command.join(' ')
  const lines = widthOf(label + whole) <= columns ? [whole] : [`${command[0]} \\`, `${margin}${command[1]}`]
  return lines.map((line, i) => (i === 0 ? colors.dim(label) : ' '.repeat(label.length)) + line)
}

/** Everything on a machine but what is its own alone. */
const body = (machine: MachineResult, style: Style): string[] => {
  const { attempts, lacks, wants } = machine
  return [
    ...endLines(machine, style),
    ...(attempts > 1 ? fact('boots', `it took ${attempts}`, style) : []),
    ...facts('lacks', lacks, style, style.colors.red, shownOptions),
    ...facts('skips for', wants, style, undefined, shownOptions),
    ...deviationLines(machine, style),
    ...fact('cases', countsText(machine), style),
    ...fact('frames', framesText(machine), style, style.colors.red),
    ...warningLines(machine, style),
    ...firstFailures(machine, style),
    ...indented(logLines(machine.bundle?.kernel ?? null, narrower(style))),
    ...consoleLines(machine, style),
  ]
}

/** The worst first; those that passed with a remark last. */
const ranks = ['broken', 'refused', 'skip', 'skipped', 'interrupted', 'pass']

const rankOf = (machine: MachineResult): number => {
  const outcome = outcomeOf(machine)
  if (outcome === 'broken' || outcome === 'refused') return 0
  return 1 + Math.max(0, ranks.indexOf(outcome))
}

const block = (alike: readonly MachineResult[], cpus: number, style: Style): string[] => {
  const [first] = alike as [MachineResult]
  const paint = cellPaint(first, style)
  const bold = (text: string): string => style.colors.bold(text)
  return [
    ...labelled(`${cellText(first)}  `, namesOf(alike, cpus), style, bold, label => bold(paint(label))),
    ...body(first, style),
    ...repeatLines(first, style),
  ]
}

/** A block for each kind of machine that is not a plain pass, alike ones together. */
export const detailBlocks = (machines: readonly MachineResult[], cpus: number, style: Style): string[][] => {
  const told = machines.filter(machine => !isPlain(machine)).toSorted((a, b) => rankOf(a) - rankOf(b))
  const groups = groupBy(told, machine => [cellText(machine), ...body(machine, style)].join('\n'))
  return [...groups.values()].map(alike => block(alike, cpus, style))
}

/** Where there is one machine alone, what a run on it says. */
export const onlyRunLines = ({ bundle }: MachineResult, style: Style): string[] =>
  bundle === null ? [] : [...kernelLines(bundle.kernel, style), ...noteLines(bundle.cases, style)]
