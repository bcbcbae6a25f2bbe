/** A collection for people: hosts and what was counted on them, then whatever is not a plain pass. */
import { countVerdicts, exitCodes, type Verdict } from '../harness/results.ts'
import type { CollectedHost, Collection } from '../merge/collection.ts'
import { collectionExitCode, hostExitCode } from '../merge/outcome.ts'
import { vmExitCode } from '../vm/exit-code.ts'
import { labelled, type Paint, type Style, verdictPaint } from './style.ts'
import { oneLine, plural } from './text.ts'
import { groupBy, isFailure, verdictOrder } from './verdicts.ts'
import { type Cell, plainCell, tables } from './vm/table.ts'

const longestText = 400

type Word = 'PASS' | 'FAIL' | 'ERROR'

const wordOf = (code: number): Word =>
  code === exitCodes.ok ? 'PASS' : code === exitCodes.fail ? 'FAIL' : 'ERROR'

const wordPaint = (word: Word, { colors }: Style): Paint =>
  ({ PASS: colors.green, FAIL: colors.red, ERROR: colors.magenta })[word]

/** People look for these even where there is none. */
const always: ReadonlySet<Verdict> = new Set<Verdict>(['pass', 'xfail', 'fail', 'skip'])

const countsOf = (host: CollectedHost): Record<Verdict, number> => countVerdicts(host.bundle?.cases ?? [])

const countCell = (host: CollectedHost, verdict: Verdict, { colors }: Style): Cell => {
  const count = countsOf(host)[verdict]
  const paint = count === 0 ? colors.dim : verdictPaint(verdict, colors)
  return { ...plainCell(count === 0 ? '-' : String(count), paint), right: true }
}

const generationText = ({ bundle }: CollectedHost): string => {
  const kernel = bundle?.kernel
  if (kernel === undefined || kernel === null) return '-'
  if (kernel.generation === null) return 'not told'
  return kernel.deviations.length === 0 ? kernel.generation : `${kernel.generation}, deviates`
}

const hostRow = (host: CollectedHost, verdicts: readonly Verdict[], style: Style): Cell[] => {
  const { name, bundle } = host
  const word = wordOf(hostExitCode(host))
  return [
    plainCell(oneLine(name)),
    plainCell(word, wordPaint(word, style)),
    ...verdicts.map(verdict => countCell(host, verdict, style)),
    plainCell(generationText(host)),
    plainCell(oneLine(bundle?.kernel?.release ?? '-', longestText)),
    plainCell(bundle === null ? '-' : oneLine(bundle.host.brand || bundle.host.vendor || '-', longestText)),
  ]
}

const hostLines = (hosts: readonly CollectedHost[], style: Style): string[] => {
  if (hosts.length === 0) return []
  const counts = hosts.map(countsOf)
  const verdicts = verdictOrder.filter(verdict => always.has(verdict) || counts.some(one => one[verdict] > 0))
  const { bold } = style.colors
  const head = [
    plainCell('Host', bold),
    plainCell('Result', bold),
    ...verdicts.map(verdict => ({ ...plainCell(verdict, bold), right: true as const })),
    ...['Generation', 'Kernel', 'CPU'].map(text => plainCell(text, bold)),
  ]
  const rows = hosts.map(host => hostRow(host, verdicts, style))
  return tables(head, rows, style).flatMap((table, i) => (i === 0 ? table : ['', ...table]))
}

/** What went wrong on a host, in a few words. */
const whyOf = ({ problem, bundle }: CollectedHost): string | null => {
  if (problem !== null || bundle === null)
    return oneLine(problem ?? 'there is nothing to be read', longestText)
  const failed = bundle.cases.filter(isFailure)
  if (failed.length === 0) return null
  const byRule = groupBy(failed, ({ verdict, rules, selftest }) => `${verdict}: ${rules[0] ?? selftest}`)
  const counts = [...byRule].map(([what, { length }]) => `${length} × ${what}`)
  return oneLine(counts.join(', '), longestText)
}

const troubleLines = (hosts: readonly CollectedHost[], style: Style): string[] =>
  hosts.flatMap(host => {
    const why = whyOf(host)
    if (why === null) return []
    const word = wordOf(hostExitCode(host))
    const paint = wordPaint(word, style)
    return labelled(`${word.padEnd(5)}  `, `${oneLine(host.name)}: ${why}`, style, undefined, paint)
  })

const otherLines = ({ vms, matrices }: Collection, style: Style): string[] => [
  ...vms.flatMap(({ name, report }) => {
    const word = wordOf(vmExitCode(report))
    const statuses = [...groupBy(report.machines, ({ status }) => status)]
    const counts = statuses.map(([status, { length }]) => `${length} ${status}`).join(', ')
    const text = `${oneLine(name)}: ${plural(report.machines.length, 'virtual machine')}${counts === '' ? '' : `: ${counts}`}`
    return labelled(`${word.padEnd(5)}  `, text, style, undefined, wordPaint(word, style))
  }),
  ...matrices.flatMap(({ name, matrix }) =>
    labelled(
      'pairs  ',
      `${oneLine(name)}: ${plural(matrix.hosts.length, 'host')}, ${plural(matrix.generations.length, 'generation')}`,
      style,
    ),
  ),
]

const totalLines = (collection: Collection, style: Style): string[] => {
  const { hosts, vms } = collection
  const word = wordOf(collectionExitCode(collection))
  const counts = [...groupBy(hosts, host => wordOf(hostExitCode(host)))].map(
    ([one, { length }]) => `${length} ${one}`,
  )
  const cases = hosts.reduce((sum, { bundle }) => sum + (bundle?.cases.length ?? 0), 0)
  const text =
    hosts.length === 0 && vms.length === 0
      ? 'no host: that is no success'
      : `${plural(hosts.length, 'host')}${counts.length === 0 ? '' : `: ${counts.join(', ')}`}; ${plural(cases, 'case')}`
  const paint = wordPaint(word, style)
  return labelled(`${word.padEnd(5)}  `, text, style, undefined, label => style.colors.bold(paint(label)))
}

/** The collection in `style.columns` columns. */
export const collectionTable = (collection: Collection, style: Style): string => {
  const sections = [
    hostLines(collection.hosts, style),
    [...troubleLines(collection.hosts, style), ...otherLines(collection, style)],
    totalLines(collection, style),
  ]
  return `${sections
    .filter(lines => lines.length > 0)
    .map(lines => lines.join('\n'))
    .join('\n\n')}\n`
}
