/** Failures as Markdown: what was expected and observed, the bytes, and the command that repeats it. */
import { ruleOf } from '../../contract/rules.ts'
import type { CaseBytes, ComponentBytes } from '../../harness/results.ts'
import { mostInMarkdown } from '../digest/bounds.ts'
import type { Digest } from '../digest/digest.ts'
import type { Failed, FailureGroup } from '../digest/failures.ts'
import { oneLine, plural } from '../text.ts'
import type { Block } from './blocks.ts'
import { code, diff, fenced, folded, line } from './text.ts'

const perRow = 16

const rowsOf = ({
  name,
  offset,
  size,
  wanted,
  differing,
  from,
  expected,
  observed,
}: ComponentBytes): string[] => {
  const rows = (hex: string): string[] => (hex.match(/../g) ?? []).map(String)
  const [a, b] = [rows(expected), rows(observed)]
  const text = Array.from({ length: Math.ceil(a.length / perRow) }, (_, i) => {
    const at = String(offset + from + i * perRow).padStart(6)
    const [x, y] = [a, b].map(bytes => bytes.slice(i * perRow, (i + 1) * perRow)) as [string[], string[]]
    return x.join() === y.join()
      ? [`  ${at}  ${x.join(' ')}`]
      : [`- ${at}  ${x.join(' ')}`, `+ ${at}  ${y.join(' ')}`]
  })
  const head = `${oneLine(name, 60)}: ${size} bytes at ${offset}, expected ${wanted === 'restored' ? 'as in the frame' : 'at init'}, ${differing} differ`
  return [head.replaceAll('`', "'"), ...text.flat()]
}

const bytesOf = ({ of, components }: CaseBytes): string[] => [
  `Registers after the ${of}; \`-\` expected, \`+\` observed:`,
  '',
  ...diff(components.slice(0, mostInMarkdown.components).flatMap(rowsOf)),
  ...(components.length > mostInMarkdown.components
    ? ['', `*${components.length - mostInMarkdown.components} more components differ.*`]
    : []),
]

const exampleOf = ({ place, one }: Failed): string[] => {
  const command = place.commandOf(one)
  return [
    `${code(one.id)} on ${code(place.name)}: expected ${line(one.expected) || 'nothing'}, observed ${line(one.observed) || 'nothing'}.`,
    '',
    ...(one.bytes === null ? [] : [...bytesOf(one.bytes), '']),
    ...(command === null
      ? []
      : [
          'Again, and as a C program:',
          '',
          ...fenced(
            [command, ...(place.kind === 'host' && one.repro !== null ? [`${command} --c repro.c`] : [])],
            'sh',
          ),
        ]),
  ]
}

const placesText = ({ places }: FailureGroup): string => {
  const shown = places
    .slice(0, mostInMarkdown.names)
    .map(({ place, count }) => code(place.name) + (count > 1 ? ` (${count})` : ''))
  const left = places.length - shown.length
  return shown.join(', ') + (left > 0 ? ` and ${left} more` : '')
}

const groupOf = (group: FailureGroup, i: number): Block[] => {
  const { verdict, rules, reason, expected, observed, ids, examples } = group
  const [first] = examples
  const what =
    ids.length === 1
      ? code(ids[0]?.id ?? '')
      : `${ids.length} cases of ${line(rules.join(' and ')) || 'no rule'}`
  return [
    {
      rank: 2 + i / 1000,
      lines: [
        `### ${verdict.toUpperCase()}: ${what}`,
        '',
        ...(rules.length > 0 ? [`- Rule: ${line(rules.map(id => ruleOf(id).sentence).join(' '))}`] : []),
        ...(reason === '' ? [] : [`- Why: ${line(reason)}`]),
        `- Expected: ${line(expected)}`,
        `- Observed: ${observed
          .slice(0, 3)
          .map(({ text, count }) => (observed.length > 1 ? `${count} × ` : '') + line(text))
          .join('; ')}${observed.length > 3 ? `; and ${observed.length - 3} more` : ''}`,
        `- On ${placesText(group)}`,
      ],
    },
    ...(first === undefined
      ? []
      : [{ rank: 4 + i / 1000, lines: folded('One case in full', exampleOf(first)) }]),
    ...(ids.length > 1
      ? [
          {
            rank: 7,
            lines: folded(`All ${plural(ids.length, 'case')}`, [
              ...ids.slice(0, mostInMarkdown.ids).map(({ id }) => `- ${code(id)}`),
              ...(ids.length > mostInMarkdown.ids ? [`- *and ${ids.length - mostInMarkdown.ids} more*`] : []),
            ]),
          },
        ]
      : []),
  ]
}

export const failureBlocks = ({ failures, places }: Digest): Block[] => {
  if (places.length === 0) return []
  if (failures.length === 0) return [{ rank: 0, lines: ['## Failures', '', 'No case failed.'] }]
  const left = failures.length - mostInMarkdown.groups
  return [
    { rank: 0, lines: ['## Failures'] },
    ...failures.slice(0, mostInMarkdown.groups).flatMap(groupOf),
    ...(left > 0 ? [{ rank: 2, lines: [`*${left} more kinds of failure left out.*`] }] : []),
  ]
}
