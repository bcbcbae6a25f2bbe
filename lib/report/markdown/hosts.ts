/** Hosts and machines as Markdown: how it stands with each, and as a matrix of kernels and CPUs. */
import { mostInMarkdown } from '../digest/bounds.ts'
import type { Digest, PageExtras } from '../digest/digest.ts'
import { countsText, type Place, type PlaceTable, worstFirst } from '../digest/places.ts'
import { groupBy, headline } from '../verdicts.ts'
import type { Block } from './blocks.ts'
import { code, fenced, folded, line, table } from './text.ts'

const signs = { good: '✅', bad: '❌', error: '⛔', quiet: '⏭️' } as const

const verdict = ({ tone, word }: Place): string => `${signs[tone]} ${line(word)}`

const summaryRow = (place: Place): string[] => {
  const { name, bundle, problem, cpu, cases } = place
  if (bundle === null || problem !== '')
    return [code(name, true), `**${verdict(place)}**`, `**${line(problem) || 'nothing ran'}**`, '', '']
  const { kernel } = bundle
  const told = kernel === null ? 'not told' : `${line(kernel.release)}: ${line(headline(kernel))}`
  return [code(name, true), verdict(place), told, line(cpu), countsText(cases) || 'no case ran']
}

const more = (count: number, what: string): string[] =>
  count > 0 ? ['', `*${count} more ${what} left out.*`] : []

const warnings = (places: readonly Place[]): string[] => {
  const all = groupBy(
    places.flatMap(({ name, bundle, machine }) =>
      [...(bundle?.warnings ?? []), ...(machine?.warnings ?? [])].map(text => ({ text, name })),
    ),
    ({ text }) => text,
  )
  return [...all].slice(0, 12).map(([text, of]) => {
    const names = [...new Set(of.map(({ name }) => name))]
    return `- ⚠️ ${line(text)} (${names
      .slice(0, 4)
      .map(name => code(name))
      .join(', ')}${names.length > 4 ? ` and ${names.length - 4} more` : ''})`
  })
}

export const summaryBlocks = ({ places }: Digest): Block[] => {
  if (places.length === 0) return []
  const rows = worstFirst(places)
  const told = warnings(places)
  return [
    {
      rank: 0,
      lines: [
        '## Summary',
        '',
        ...table(
          ['Host', 'Verdict', 'Kernel', 'CPU', 'Cases'],
          rows.slice(0, mostInMarkdown.places).map(summaryRow),
        ),
        ...more(rows.length - mostInMarkdown.places, 'hosts and machines'),
      ],
    },
    ...(told.length > 0 ? [{ rank: 1, lines: told }] : []),
  ]
}

const matrixOf = ({ places, title }: PlaceTable): Block => {
  const cpus = [...new Set(places.map(({ cpu }) => cpu))]
  const shown = cpus.slice(0, mostInMarkdown.columns)
  const kernels = [...groupBy(places, ({ kernel }) => kernel)]
  const cell = (ofIt: readonly Place[], cpu: string): string =>
    ofIt
      .filter(one => one.cpu === cpu)
      .map(verdict)
      .join('<br>') || '–'
  return {
    rank: 3,
    lines: [
      `### ${line(title)}`,
      '',
      ...table(
        ['Kernel', ...shown.map(cpu => line(cpu))],
        kernels
          .slice(0, mostInMarkdown.places)
          .map(([kernel, ofIt]) => [code(kernel, true), ...shown.map(cpu => cell(ofIt, cpu))]),
      ),
      ...more(kernels.length - mostInMarkdown.places, 'kernels'),
      ...more(cpus.length - shown.length, 'CPUs'),
    ],
  }
}

const consoleOf = ({ name, machine, bundle }: Place): Block[] => {
  const lines = [...(machine?.console ?? []), ...(bundle?.kernel?.log?.lines ?? [])]
  if (lines.length === 0) return []
  return [
    {
      rank: 6,
      lines: folded(`Console of ${name}`, fenced(lines.slice(0, mostInMarkdown.lines))),
    },
  ]
}

/** With one host alone the summary has said it. */
export const kernelBlocks = ({ tables, places }: Digest): Block[] =>
  places.length < 2
    ? []
    : [{ rank: 3, lines: ['## Kernels and CPUs'] }, ...tables.map(matrixOf), ...places.flatMap(consoleOf)]

export const aboutBlocks = ({ generatedAt, command }: PageExtras, { collection }: Digest): Block[] => [
  {
    rank: 1,
    lines: [
      '## About',
      '',
      `sigframe ${line(collection.tool.version)}${generatedAt === null ? '' : `, ${line(generatedAt)}`}`,
      ...(command === null ? [] : ['', ...fenced([command], 'sh')]),
    ],
  },
]
