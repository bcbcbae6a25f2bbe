/** A pair matrix for people: a table for each generation; few pairs in words; one in full. */
import { type GenerationId, generationOf } from '../contract/generations.ts'
import type { MatrixHost, Pair, PairFrame, PairMatrix } from '../matrix/matrix.ts'
import { layoutFromJSON } from '../xstate/layout.ts'
import { type MatrixTable, matrixTable } from './matrix-table.ts'
import { labelled, type Paint, type Style } from './style.ts'
import { oneLine, padEnd, padStart, plural } from './text.ts'
import { groupBy } from './verdicts.ts'

const longestText = 1000
const longestTitle = 200

const text = (value: string): string => oneLine(value, longestText)

const componentsText = ({ layout }: MatrixHost): string => {
  const { xsave, components } = layoutFromJSON(layout)
  return xsave ? components.map(({ name }) => name).join(' ') : 'x87 sse, no XSAVE'
}

const hostText = (host: MatrixHost): string => `${host.size} bytes: ${componentsText(host)}`

const outcomePaint = ({ outcome, silent }: Pair, { colors }: Style): Paint => {
  switch (outcome) {
    case 'works':
      return colors.green
    case 'works if unused':
      return colors.yellow
    case 'unknown':
      return colors.dim
    case 'breaks':
      return silent ? line => colors.bold(colors.red(line)) : colors.red
  }
}

const outcomeText = ({ outcome, unused }: Pair): string =>
  outcome === 'works if unused' ? `works if unused: ${text(unused.join(' '))}` : outcome

const generationsText = (alike: readonly Pair[], { generations }: PairMatrix): string => {
  const ids = alike.map(({ generation }) => generation)
  return ids.length > 2 && ids.length === generations.length ? 'every generation' : ids.join(', ')
}

const frameText = ({ used, end, lost, unknown, leftOver }: PairFrame): string =>
  [
    `with ${used.join(' ')} in use: ${end}`,
    ...(lost.length === 0 ? [] : [`lost: ${lost.join(' ')}`]),
    ...(unknown.length === 0 ? [] : [`no register there for: ${unknown.join(' ')}`]),
    ...(leftOver.length === 0 ? [] : [`not at init any more: ${leftOver.join(' ')}`]),
  ].join('; ')

const seenLines = ({ seen }: PairFrame, style: Style): string[] => {
  const { colors } = style
  if (seen === null) return []
  const { outcome, observed, asPredicted } = seen
  const judged = asPredicted === null ? '' : asPredicted ? ', as predicted' : ', NOT AS PREDICTED'
  const paint = asPredicted === false ? (line: string) => colors.bold(colors.red(line)) : undefined
  return labelled('  Seen   ', text(`${outcome}${judged}: ${observed}`), style, paint)
}

/** All that is told of a pair but its hosts and generations. */
const contentOf = ({ from: _f, to: _t, generation: _g, ...rest }: Pair): string => JSON.stringify(rest)

const fullPair = (matrix: PairMatrix, style: Style): string[] =>
  [...groupBy(matrix.pairs, contentOf).values()].flatMap(alike => {
    const [pair] = alike as [Pair]
    const head = `${generationsText(alike, matrix)}  `
    return [
      '',
      ...labelled(head, `${outcomeText(pair)} (${pair.evidence})`, style, outcomePaint(pair, style)),
      ...(pair.reason === '' ? [] : labelled('  Why    ', text(pair.reason), style)),
      ...pair.frames.flatMap(frame => [
        ...labelled('  Frame  ', text(frameText(frame)), style),
        ...seenLines(frame, style),
      ]),
    ]
  })

/** What is told of a pair in a list. */
const toldOf = ({ outcome, unused, reason, evidence }: Pair): string =>
  JSON.stringify([outcome, unused, reason, evidence])

/** A pair of each generation: those that fare alike together. */
const listed = (matrix: PairMatrix, pairs: readonly Pair[], style: Style): string[] =>
  [...groupBy(pairs, toldOf).values()].flatMap(alike => {
    const [pair] = alike as [Pair]
    const head = `${outcomeText(pair)}${pair.evidence === 'live' ? ' (live)' : ''}`
    return [
      ...labelled('  ', `${generationsText(alike, matrix)}: ${head}`, style, outcomePaint(pair, style)),
      ...(pair.reason === '' ? [] : labelled('    ', text(pair.reason), style)),
    ]
  })

/** Pairs that have one side in common; the hosts of the other that fare alike together. */
const pairList = (matrix: PairMatrix, side: 'from' | 'to', style: Style): string[] => {
  const hosts = groupBy(matrix.pairs, pair => pair[side])
  const alike = groupBy(hosts, ([, pairs]) =>
    JSON.stringify(pairs.map(pair => [pair.generation, toldOf(pair)])),
  )
  return [...alike.values()].flatMap(same => {
    const [[, pairs]] = same as [[string, Pair[]]]
    const names = text(same.map(([name]) => name).join(', '))
    const label = side === 'from' ? 'From ' : 'On '
    return ['', ...labelled(label, names, style, style.colors.bold), ...listed(matrix, pairs, style)]
  })
}

const countsText = (pairs: readonly Pair[]): string => {
  const count = (wanted: (pair: Pair) => boolean): number => pairs.filter(wanted).length
  const unknown = count(({ outcome }) => outcome === 'unknown')
  return [
    `${count(({ outcome }) => outcome === 'works')} of ${plural(pairs.length, 'pair')} work`,
    `${count(({ outcome }) => outcome === 'works if unused')} if something is unused`,
    `${count(({ outcome, silent }) => outcome === 'breaks' && !silent)} get SIGSEGV`,
    `${count(({ outcome, silent }) => outcome === 'breaks' && silent)} lose silently`,
    ...(unknown === 0 ? [] : [`of ${unknown} nobody here can say`]),
  ].join(', ')
}

const generationLines = (
  id: GenerationId,
  pairs: readonly Pair[],
  table: MatrixTable,
  style: Style,
): string[] => {
  const { kernels } = generationOf(id)
  return [
    '',
    ...labelled(`${id.toUpperCase()}  `, kernels, style),
    ...table.lines(id),
    ...labelled('', countsText(pairs), style, style.colors.dim),
  ]
}

const seenAt = (matrix: PairMatrix): boolean => matrix.pairs.some(({ evidence }) => evidence === 'live')

const legendLines = (matrix: PairMatrix, table: MatrixTable, style: Style): string[] => [
  '',
  ...table.legend.flatMap(({ symbol, meaning, paint }) =>
    labelled(`${symbol}  `, meaning, style, undefined, paint),
  ),
  ...(seenAt(matrix)
    ? [
        ...labelled("'  ", `live: sent on this host, Linux ${text(matrix.kernel?.release ?? '')}`, style),
        ...labelled('   ', 'all else is predicted', style),
      ]
    : labelled('   ', 'all is predicted', style)),
]

/** Of those whose names the tables have cut, or that are columns alone. */
const namesLines = ({ cut }: MatrixTable, style: Style): string[] =>
  cut.length === 0
    ? []
    : ['', ...cut.flatMap(([number, names]) => labelled(`${padStart(number, 2)} `, names, style))]

const tables = (matrix: PairMatrix, style: Style): string[] => {
  const table = matrixTable(matrix, style)
  return [
    ...labelled(
      '',
      `Signal frames (${text(matrix.abi)}) of the CPUs on the left, returned from on those above`,
      style,
      style.colors.bold,
    ),
    ...matrix.generations.flatMap(id =>
      generationLines(
        id,
        matrix.pairs.filter(({ generation }) => generation === id),
        table,
        style,
      ),
    ),
    ...namesLines(table, style),
    ...legendLines(matrix, table, style),
  ]
}

const aboutHost = (label: string, host: MatrixHost, width: number, style: Style): string[] => {
  const named = `${padEnd(label, width)}  `
  const title = oneLine(host.title, longestTitle)
  const about = title === '' ? '' : `${title}; `
  return labelled(
    named,
    `${text(host.name)}${host.here && host.kind !== 'this host' ? ' (this host)' : ''}: ${about}${hostText(host)}`,
    style,
  )
}

/** What was seen and is not as predicted: loud, wherever it stands. */
const surpriseLines = ({ pairs }: PairMatrix, style: Style): string[] => {
  const loud = (line: string): string => style.colors.bold(style.colors.red(line))
  const lines = pairs.flatMap(({ from, to, generation, frames }) =>
    frames
      .filter(({ seen }) => seen?.asPredicted === false)
      .flatMap(frame =>
        labelled(
          'NOT AS PREDICTED  ',
          text(`${generation}, from ${from} on ${to}, with ${frame.used.join(' ')}: ${frame.seen?.observed}`),
          style,
          loud,
          loud,
        ),
      ),
  )
  return lines.length === 0 ? [] : ['', ...lines]
}

const sideOf = (pairs: readonly Pair[], side: 'from' | 'to'): string[] => [
  ...new Set(pairs.map(pair => pair[side])),
]

const few = (matrix: PairMatrix, style: Style): string[] | null => {
  const { pairs, hosts } = matrix
  const [from, to] = [sideOf(pairs, 'from'), sideOf(pairs, 'to')]
  const hostsOf = (names: readonly string[]): MatrixHost[] => hosts.filter(({ name }) => names.includes(name))
  const about = (label: string, names: readonly string[]): string[] =>
    names.length === 1 ? hostsOf(names).flatMap(host => aboutHost(label, host, 4, style)) : []
  if (from.length > 1 && to.length > 1) return null
  const head = [...about('From', from), ...about('On', to)]
  if (from.length === 1 && to.length === 1) return [...head, ...fullPair(matrix, style)]
  return [...head, ...pairList(matrix, from.length === 1 ? 'to' : 'from', style)]
}

/** For people, in `style.columns` columns where hosts' names let it be. */
export const matrixText = (matrix: PairMatrix, style: Style): string => {
  const lines = few(matrix, style) ?? tables(matrix, style)
  return `${[...lines, ...surpriseLines(matrix, style)].join('\n')}\n`
}
