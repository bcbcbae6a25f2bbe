/** Everything that went wrong, in detail: what was seen, what was wanted, how to see it again. */
import { ruleOf } from '../contract/rules.ts'
import type { CaseResult } from '../harness/results.ts'
import { labelled, type Style, verdictPaint } from './style.ts'
import { oneLine, plural, widthOf } from './text.ts'
import { type CommandOf, failures, groupBy, repeatCommand } from './verdicts.ts'

/** Of cases with the same verdict, rules and reason, so many are shown. */
const shownOfEach = 5
const longestText = 1000
const margin = '      '
const labelWidth = 10

/** What all cases of a group have, or undefined where they differ. */
const common = (group: readonly CaseResult[], field: 'observed' | 'expected'): string | undefined => {
  const [first] = group
  return group.every(one => one[field] === first?.[field]) ? first?.[field] : undefined
}

const fact = (label: string, text: string | undefined, style: Style): string[] =>
  text === undefined || text === ''
    ? []
    : labelled(
        `${margin}${label.padEnd(labelWidth)}`,
        oneLine(text, longestText),
        style,
        undefined,
        style.colors.dim,
      )

/** The commands that repeat cases. Not wrapped as text is: what is copied must be what runs. */
const repeatLines = (
  group: readonly CaseResult[],
  { columns, colors }: Style,
  commandOf: CommandOf,
): string[] => {
  const label = `${margin}${'repeat'.padEnd(labelWidth)}`
  const commands = group.flatMap(one => commandOf(one) ?? [])
  if (commands.length === 0) return []
  if (commands.every(command => widthOf(label) + widthOf(command) <= columns))
    return commands.map((command, i) => (i === 0 ? colors.dim(label) : ' '.repeat(label.length)) + command)
  return [
    colors.dim(label.trimEnd()),
    ...commands.flatMap(command =>
      widthOf(margin) + widthOf(command) <= columns
        ? [margin + command]
        : command.replace(/^sigframe run /, `${margin}sigframe run \\\n  `).split('\n'),
    ),
  ]
}

/** What a block is about: the case, unbroken, so that it can be copied; of many the rule that they share. */
const title = (group: readonly CaseResult[], { colors }: Style): string => {
  const { verdict, rules, id } = group[0] as CaseResult
  const paint = verdictPaint(verdict, colors)
  const text =
    group.length > 1
      ? `${plural(group.length, 'case')} of ${rules.join(' and ') || 'no rule'}`
      : oneLine(id, longestText)
  return `${colors.bold(paint(verdict.toUpperCase()))}  ${colors.bold(text)}`
}

const sentences = ({ rules }: CaseResult): string => rules.map(id => ruleOf(id).sentence).join(' ')

const groupLines = (group: readonly CaseResult[], style: Style, commandOf: CommandOf): string[] => {
  const first = group[0] as CaseResult
  const observed = common(group, 'observed')
  const expected = common(group, 'expected')
  const shown = group.slice(0, shownOfEach)
  const more = group.length - shown.length
  return [
    title(group, style),
    ...fact('rule', sentences(first), style),
    ...fact('reason', first.reason, style),
    ...fact('observed', observed, style),
    ...fact('expected', expected, style),
    ...(observed !== undefined && expected !== undefined
      ? repeatLines(shown, style, commandOf)
      : shown.flatMap(one => [
          ...(observed === undefined ? fact('observed', one.observed, style) : []),
          ...(expected === undefined ? fact('expected', one.expected, style) : []),
          ...repeatLines([one], style, commandOf),
        ])),
    ...(more === 0
      ? []
      : labelled(margin, `and ${more} more with the same rule and reason: --format json has all`, style)),
  ]
}

/** A block of lines for each group of failures, the worst first. */
export const failureLines = (
  cases: readonly CaseResult[],
  style: Style,
  commandOf: CommandOf = repeatCommand,
): string[][] =>
  failures.flatMap(verdict => {
    const groups = groupBy(
      cases.filter(one => one.verdict === verdict),
      ({ rules, reason }) => JSON.stringify([rules, reason]),
    )
    return [...groups.values()].map(group => groupLines(group, style, commandOf))
  })
