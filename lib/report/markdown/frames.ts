/** Frames and pairs of CPUs as Markdown: where each layout has what, and what travels. */

import type { Pair, PairOutcome } from '../../matrix/matrix.ts'
import { mostInMarkdown } from '../digest/bounds.ts'
import type { Digest } from '../digest/digest.ts'
import { type Frame, ownersText } from '../digest/layouts.ts'
import { outcomeText, type PairGrid, type PairTable } from '../digest/pairs.ts'
import { pictureText } from '../digest/pictures.ts'
import type { Block } from './blocks.ts'
import { folded, line, table } from './text.ts'

const regionCell = ({ regions }: Frame, name: string): string => {
  const found = regions.find(one => one.name === name)
  return found === undefined ? '–' : `${found.offset} + ${found.size}`
}

const layoutTable = (frames: readonly Frame[]): string[] => {
  const names = [
    ...new Set(frames.flatMap(({ regions }) => regions.filter(({ used }) => used).map(({ name }) => name))),
  ]
  return table(
    ['Frame of', 'Bytes', ...names.map(line)],
    frames.map(frame => [
      line(ownersText(frame)),
      String(frame.end),
      ...names.map(name => regionCell(frame, name)),
    ]),
    [1],
  )
}

export const frameBlocks = ({ frames, pictures }: Digest): Block[] => {
  const own = frames.filter(({ ran }) => ran)
  const shown = (own.length > 0 ? own : frames).slice(0, mostInMarkdown.layouts)
  if (shown.length === 0) return []
  const left = (own.length > 0 ? own : frames).length - shown.length
  const crossings = pictures.filter(
    ({ source, destination }) => shown.includes(source) && shown.includes(destination),
  )
  return [
    {
      rank: 3,
      lines: [
        '## Frames',
        '',
        'Offset + bytes of each region, from the first byte of the XSAVE area.',
        '',
        ...layoutTable(shown),
        ...(left > 0 ? ['', `*${left} more layouts left out.*`] : []),
      ],
    },
    ...(crossings.length > 0
      ? [
          {
            rank: 5,
            lines: folded(
              'From one to another',
              crossings.map(
                one =>
                  `- ${line(ownersText(one.source))} → ${line(ownersText(one.destination))}: ${line(pictureText(one))}`,
              ),
            ),
          },
        ]
      : []),
  ]
}

const signs: Readonly<Record<PairOutcome, string>> = {
  works: '✅',
  'works if unused': '🟡',
  breaks: '❌',
  unknown: '❔',
}

const signOf = ({ outcome, silent }: Pick<Pair, 'outcome' | 'silent'>): string => {
  if (!silent) return signs[outcome]
  return outcome === 'breaks' ? '‼️' : `${signs[outcome]}‼️`
}

const gridLines = ({ hosts }: PairTable, { rows }: PairGrid): string[] => {
  const shown = hosts.slice(0, mostInMarkdown.columns)
  const name = ({ name: own, alike }: (typeof hosts)[number]): string =>
    line(own) + (alike.length > 0 ? ` +${alike.length}` : '')
  return table(
    ['from \\ to', ...shown.map(name)],
    shown.map((host, i) => [
      name(host),
      ...shown.map((_, j) => {
        const cell = rows[i]?.[j]
        if (cell === undefined) return '–'
        const sign = signOf(cell.pair)
        return cell.pair.evidence === 'live' ? `**${sign}**` : sign
      }),
    ]),
  )
}

/** What does not simply work, each kind once. */
const reasonsOf = ({ hosts }: PairTable, { rows }: PairGrid): string[] => {
  const kinds = new Map<string, string[]>()
  rows.forEach((row, i) => {
    row.forEach((cell, j) => {
      if (cell === undefined || cell.pair.outcome === 'works') return
      const key = `${outcomeText(cell.pair)}: ${cell.pair.reason}`
      kinds.set(key, [...(kinds.get(key) ?? []), `${hosts[i]?.name} → ${hosts[j]?.name}`])
    })
  })
  const all = [...kinds]
  return [
    ...all.slice(0, mostInMarkdown.reasons).map(([text, pairs]) => {
      const named = pairs.slice(0, mostInMarkdown.names).join(', ')
      const left = pairs.length - mostInMarkdown.names
      return `- ${line(text)} (${line(named)}${left > 0 ? ` and ${left} more` : ''})`
    }),
    ...(all.length > mostInMarkdown.reasons
      ? [`- *and ${all.length - mostInMarkdown.reasons} more kinds*`]
      : []),
  ]
}

const gridBlock = (pairs: PairTable, grid: PairGrid): Block => {
  const left = pairs.hosts.length + pairs.more - mostInMarkdown.columns
  return {
    rank: 3,
    lines: folded(`On ${grid.generations.join(', ')} kernels`, [
      ...gridLines(pairs, grid),
      ...(left > 0 ? ['', `*${left} more hosts left out.*`] : []),
      '',
      ...reasonsOf(pairs, grid),
    ]),
  }
}

export const pairBlocks = ({ pairTables }: Digest): Block[] =>
  pairTables.length === 0
    ? []
    : [
        {
          rank: 3,
          lines: [
            '## Pairs of CPUs',
            '',
            `${signs.works} works, ${signs['works if unused']} works if some component is not in use, ${signs.breaks} breaks, ‼️ silently: the task goes on with other numbers, ${signs.unknown} nobody can say; a row is where the frame comes from; +2: two more hosts fare alike.`,
          ],
        },
        ...pairTables.flatMap(one => [
          { rank: 3, lines: [`### ${line(one.name)}`, '', `Frames of ${line(one.matrix.abi)}.`] },
          ...one.grids.map(grid => gridBlock(one, grid)),
        ]),
      ]
