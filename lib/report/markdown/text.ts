/** Text for GitHub's Markdown: what a file says stays text, names nobody and links nowhere. Pure. */
import { longestText } from '../digest/bounds.ts'
import { oneLine } from '../text.ts'

const entities: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;' }

const escapeTags = (text: string): string => text.replace(/[&<>]/g, character => entities[character] ?? '')

/** Nobody is called, nothing is linked. A comment parts them: GitHub reads past an entity or a backslash. */
const escapeCalls = (text: string): string =>
  text
    .replace(/@(?=\w)/g, '@<!-- -->')
    .replace(/#(?=\d)/g, '#<!-- -->')
    .replace(/\b(https?|ftp|mailto|xmpp)(?=:)/gi, '$1<!-- -->')
    .replace(/\bwww(?=\.)/gi, 'www<!-- -->')

/** What Markdown, or GitHub beyond it, would read as more than text. */
export const escapeMarkdown = (text: string): string =>
  escapeCalls(
    escapeTags(text)
      .replace(/[\\`*[\]|~$]/g, '\\$&')
      // Within a word it is itself.
      .replace(/(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])/g, '\\_')
      // At its beginning it would begin a list, a heading, a rule.
      .replace(/^[-+=#]/, '\\$&')
      .replace(/^(\d+)([.)])(?=\s|$)/, '$1\\$2'),
  )

/** One bounded line of what a file says. */
export const line = (text: string): string => escapeMarkdown(oneLine(text, longestText))

/** A code span. @param cell whether it stands in a table, where a bar would end the cell even so */
export const code = (text: string, cell = false): string => {
  const one = oneLine(text, longestText)
  if (one === '') return ''
  const longest = Math.max(0, ...(one.match(/`+/g) ?? []).map(run => run.length))
  const fence = '`'.repeat(longest + 1)
  const pad = longest > 0 ? ' ' : ''
  const span = `${fence}${pad}${one}${pad}${fence}`
  return cell ? span.replaceAll('|', '\\|') : span
}

/** A block of code: lines of text, whatever is in them. */
export const fenced = (lines: readonly string[], language = ''): string[] => {
  const shown = lines.map(text => oneLine(text, longestText))
  const longest = Math.max(2, ...shown.flatMap(text => (text.match(/`+/g) ?? []).map(run => run.length)))
  const fence = '`'.repeat(longest + 1)
  return [fence + language, ...shown, fence]
}

/** Bytes in columns, coloured by what stands before them. They are ours, and stay as they are. */
export const diff = (lines: readonly string[]): string[] => ['```diff', ...lines, '```']

/** Cells are Markdown already. */
export const table = (
  head: readonly string[],
  rows: readonly (readonly string[])[],
  right: readonly number[] = [],
): string[] => [
  `| ${head.join(' | ')} |`,
  `|${head.map((_, i) => (right.includes(i) ? '--:' : '---')).join('|')}|`,
  ...rows.map(row => `| ${row.join(' | ')} |`),
]

/** What is folded away until somebody asks. The title is text, in which Markdown is not read; the rest needs the empty lines. */
export const folded = (title: string, lines: readonly string[]): string[] => [
  '<details>',
  `<summary>${escapeCalls(escapeTags(oneLine(title, longestText)))}</summary>`,
  '',
  ...lines,
  '',
  '</details>',
]
