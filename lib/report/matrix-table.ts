/** The tables of a pair matrix: a character for each pair, CPUs that fare alike in one row and one column. */
import type { GenerationId } from '../contract/generations.ts'
import type { Pair, PairMatrix } from '../matrix/matrix.ts'
import type { Paint, Style } from './style.ts'
import { cut, oneLine, padEnd, padStart, widthOf } from './text.ts'

export interface LegendEntry {
  readonly symbol: string
  readonly meaning: string
  readonly paint: Paint
}

export interface MatrixTable {
  readonly legend: readonly LegendEntry[]
  /** CPUs whose names are cut in the tables, by their numbers. */
  readonly cut: readonly (readonly [number: string, names: string])[]
  readonly lines: (generation: GenerationId) => string[]
}

/** x is taken. */
const letters = 'abcdefghijklmnopqrstuvwyzABCDEFGHIJKLMNOPQRSTUVWYZ'
/** Where letters do not suffice. */
const someUnused = '~'

const symbols = { works: '+', rejected: 'x', silent: '!', unknown: '?', none: ' ' } as const

const meanings: Readonly<Record<string, string>> = {
  '+': 'works: all of the frame arrives, whatever is in use',
  x: 'breaks, with SIGSEGV',
  '!': 'breaks silently: nothing beyond x87 and SSE arrives, or PKRU is another',
  '?': 'hangs on what nobody here can say',
  [someUnused]: 'works if some components are unused',
}

const unusedOf = ({ unused }: Pair): string => unused.join(' ')

/** A letter for each set of components that must be unused, in the order in which they come. */
const lettersOf = (pairs: readonly Pair[]): ReadonlyMap<string, string> => {
  const sets = new Set(pairs.filter(({ outcome }) => outcome === 'works if unused').map(unusedOf))
  return new Map([...sets].map((set, i) => [set, letters[i] ?? someUnused]))
}

const symbolOf = (pair: Pair, sets: ReadonlyMap<string, string>): string => {
  switch (pair.outcome) {
    case 'works':
      return symbols.works
    case 'works if unused':
      return sets.get(unusedOf(pair)) ?? someUnused
    case 'breaks':
      return pair.silent ? symbols.silent : symbols.rejected
    case 'unknown':
      return symbols.unknown
  }
}

const paintOf = (symbol: string, { colors }: Style): Paint => {
  switch (symbol) {
    case symbols.works:
      return colors.green
    case symbols.rejected:
      return colors.red
    case symbols.silent:
      return line => colors.bold(colors.red(line))
    case symbols.unknown:
      return colors.dim
    default:
      return colors.yellow
  }
}

const mark = ({ evidence }: Pair): string => (evidence === 'live' ? "'" : ' ')

/** The pairs by generation and side. */
type Cells = ReadonlyMap<string, string>

const keyOf = (generation: string, from: string, to: string): string => JSON.stringify([generation, from, to])

const cellsOf = ({ pairs }: PairMatrix, sets: ReadonlyMap<string, string>): Cells =>
  new Map(pairs.map(pair => [keyOf(pair.generation, pair.from, pair.to), symbolOf(pair, sets) + mark(pair)]))

/** CPUs that are told of together. */
interface Group {
  readonly number: number
  readonly names: readonly [string, ...string[]]
}

/** Those that fare alike as sources and as destinations, everywhere. */
const groupsOf = ({ hosts, generations }: PairMatrix, cells: Cells): Group[] => {
  const names = hosts.map(({ name }) => name)
  const fares = (name: string): string =>
    JSON.stringify(
      generations.map(id =>
        names.map(other => [cells.get(keyOf(id, name, other)), cells.get(keyOf(id, other, name))]),
      ),
    )
  const groups = new Map<string, [string, ...string[]]>()
  for (const name of names) {
    const group = groups.get(fares(name))
    if (group === undefined) groups.set(fares(name), [name])
    else group.push(name)
  }
  return [...groups.values()].map((same, i) => ({ number: i + 1, names: same }))
}

/** Columns of the table next to each other. */
const cellWidth = 2
/** Names are cut so far, to have all columns in one table; what then has no room goes to another. */
const shortestLabel = 16
const longestLabel = 40
const longestName = 200
const longestNames = 2000

const labelOf = ({ names }: Group): string => oneLine(names.join(', '), longestNames)

const chunks = <T>(all: readonly T[], size: number): T[][] =>
  Array.from({ length: Math.ceil(all.length / size) }, (_, i) => all.slice(i * size, (i + 1) * size))

/** Numbers from the top down, so that a column needs no more than its cells. */
const headLines = (columns: readonly Group[], indent: string, { colors }: Style): string[] => {
  const digits = Math.max(...columns.map(({ number }) => String(number).length))
  return Array.from({ length: digits }, (_, row) =>
    colors.dim(
      (indent + columns.map(({ number }) => padStart(String(number), digits)[row]).join(' ')).trimEnd(),
    ),
  )
}

const digitsOf = (rows: readonly Group[]): number =>
  Math.max(1, ...rows.map(({ number }) => String(number).length))

/** What stands before the cells: a number, a name, and the spaces behind them. */
const indentOf = (rows: readonly Group[], label: number): number => digitsOf(rows) + 1 + label + 2

const labelWidth = (rows: readonly Group[], columns: readonly Group[], style: Style): number => {
  const longest = Math.max(0, ...rows.map(one => widthOf(labelOf(one))))
  const room = style.columns - indentOf(rows, 0) - cellWidth * columns.length
  return Math.min(longest, longestLabel, Math.max(shortestLabel, room))
}

/** One table, as wide as it may be; or several. */
const tablesOf = (
  rows: readonly Group[],
  columns: readonly Group[],
  cellOf: (from: Group, to: Group) => string,
  style: Style,
): string[] => {
  const digits = digitsOf(rows)
  const label = labelWidth(rows, columns, style)
  const indent = ' '.repeat(indentOf(rows, label))
  const most = Math.max(1, Math.floor((style.columns - indent.length) / cellWidth))
  return chunks(columns, most).flatMap((some, i) => [
    ...(i === 0 ? [] : ['']),
    ...headLines(some, indent, style),
    ...rows.map(row => {
      const cells = some.map((column, at) => {
        const cell = cellOf(row, column)
        const [symbol = '', ...mark] = at === some.length - 1 ? cell.trimEnd() : cell
        return paintOf(symbol, style)(symbol) + mark.join('')
      })
      const name = padEnd(cut(labelOf(row), label), label)
      return `${padStart(String(row.number), digits)} ${name}  ${cells.join('')}`.trimEnd()
    }),
  ])
}

const isSide = ({ pairs }: PairMatrix, side: 'from' | 'to', { names }: Group): boolean =>
  pairs.some(pair => pair[side] === names[0])

export const matrixTable = (matrix: PairMatrix, style: Style): MatrixTable => {
  const sets = lettersOf(matrix.pairs)
  const cells = cellsOf(matrix, sets)
  const groups = groupsOf(matrix, cells)
  const rows = groups.filter(group => isSide(matrix, 'from', group))
  const columns = groups.filter(group => isSide(matrix, 'to', group))
  const used = new Set([...cells.values()].map(cell => cell[0] as string))
  const legend = (symbol: string, meaning: string): LegendEntry[] =>
    used.has(symbol) ? [{ symbol, meaning, paint: paintOf(symbol, style) }] : []
  const basic = (symbol: string): LegendEntry[] => legend(symbol, meanings[symbol] ?? '')
  return {
    legend: [
      ...basic(symbols.works),
      ...[...sets]
        .filter(([, letter]) => letter !== someUnused)
        .flatMap(([set, letter]) => legend(letter, `works if unused: ${oneLine(set, longestName)}`)),
      ...[someUnused, symbols.rejected, symbols.silent, symbols.unknown].flatMap(basic),
    ],
    cut: groups
      .filter(group => widthOf(labelOf(group)) > labelWidth(rows, columns, style) || !rows.includes(group))
      .map(group => [String(group.number), labelOf(group)]),
    lines: id =>
      tablesOf(
        rows,
        columns,
        (from, to) => cells.get(keyOf(id, from.names[0], to.names[0])) ?? symbols.none.repeat(cellWidth),
        style,
      ),
  }
}
