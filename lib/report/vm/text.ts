/** All machines for people: the matrix first, then what its columns and rows are, then whatever is not a plain pass. */
import { exitCodes } from '../../harness/results.ts'
import { vmExitCode } from '../../vm/exit-code.ts'
import type { MachineResult, VmReport } from '../../vm/machine.ts'
import { labelled, type Paint, type Style } from '../style.ts'
import { oneLine, plural, seconds } from '../text.ts'
import { groupBy } from '../verdicts.ts'
import { detailBlocks, onlyRunLines } from './details.ts'
import { columnLines, cpusOf, kernelLines, matrixLines } from './matrix.ts'
import { pairBlocks } from './pairs.ts'
import { outcomeOf } from './words.ts'

const longestText = 200

type Word = 'PASS' | 'FAIL' | 'SKIP' | 'BROKEN' | 'INTERRUPTED'

const words: ReadonlyMap<number, Word> = new Map([
  [exitCodes.ok, 'PASS'],
  [exitCodes.fail, 'FAIL'],
  [exitCodes.skip, 'SKIP'],
  [exitCodes.broken, 'BROKEN'],
])

const paints: Readonly<Record<Word, (colors: Style['colors']) => Paint>> = {
  PASS: colors => colors.green,
  FAIL: colors => colors.red,
  SKIP: colors => colors.yellow,
  BROKEN: colors => colors.magenta,
  INTERRUPTED: colors => colors.yellow,
}

const isInterrupted = ({ interrupted, machines }: VmReport): boolean =>
  interrupted || machines.some(({ status }) => status === 'interrupted')

/** The whole in one word. What ended early has not passed. */
const wordOf = (report: VmReport): Word => {
  const word = words.get(vmExitCode(report)) ?? 'BROKEN'
  const bad = report.machines.some(machine => ['broken', 'refused'].includes(outcomeOf(machine)))
  return isInterrupted(report) && word !== 'FAIL' && !bad ? 'INTERRUPTED' : word
}

const totalLines = (report: VmReport, style: Style): string[] => {
  const { machines, durationMs } = report
  const word = wordOf(report)
  const counts = [...groupBy(machines, outcomeOf)].map(([outcome, ofIt]) => `${ofIt.length} ${outcome}`)
  const cases = machines.reduce((sum, { bundle }) => sum + (bundle?.cases.length ?? 0), 0)
  const text =
    machines.length === 0
      ? `no machine ran in ${seconds(durationMs)}: that is no success`
      : `${plural(machines.length, 'machine')} in ${seconds(durationMs)}: ${counts.join(', ')}; ${plural(cases, 'case')}`
  const { colors } = style
  return labelled(`${word}  `, text, style, undefined, label => colors.bold(paints[word](colors)(label)))
}

/** What was demanded of all. */
const demandLines = ({ require, rule }: VmReport, style: Style): string[] => [
  ...(require === null ? [] : labelled('Required  ', require, style)),
  ...(rule === null ? [] : labelled('Judged by ', oneLine(rule, longestText), style)),
]

const onlyLines = (machines: readonly MachineResult[], style: Style): string[] => {
  const [only] = machines
  return only === undefined || machines.length > 1 ? [] : onlyRunLines(only, style)
}

/** All machines as text for people, in `style.columns` columns. */
export const vmText = (report: VmReport, style: Style): string => {
  const { machines } = report
  const cpus = cpusOf(machines)
  const single = machines.length === 1
  const sections = [
    machines.length === 0 ? [] : matrixLines(machines, style),
    [...columnLines(machines, style), ...demandLines(report, style)],
    single ? onlyLines(machines, style) : [],
    kernelLines(machines, style),
    ...detailBlocks(machines, cpus.length, style),
    ...pairBlocks(machines, cpus, style),
    totalLines(report, style),
  ]
  return sections
    .filter(lines => lines.length > 0)
    .map(lines => `${lines.join('\n')}\n`)
    .join('\n')
}
