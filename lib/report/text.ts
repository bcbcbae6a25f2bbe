/** Text for reports: one printable line of whatever came, bounded; wrapped; aligned. Pure. */

// Control characters, what turns the direction of a line, line separators, and halves of a surrogate pair: nothing
// that a report quotes may move a terminal's cursor, forge a line of KTAP or hide the rest of one.
const unprintable =
  /[\p{Cc}\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\uffff]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/gu

const escaped = (character: string): string => {
  const code = character.codePointAt(0) ?? 0
  return code < 0x100
    ? `\\x${code.toString(16).padStart(2, '0')}`
    : `\\u${code.toString(16).padStart(4, '0')}`
}

/** What does not print as `\x1b`, white space other than blanks too. */
export const printable = (text: string): string => text.replace(unprintable, escaped)

/** As many characters as `longest` at most, and how many were left out. */
export const bounded = (text: string, longest: number): string => {
  if (text.length <= longest) return text
  const kept = [...text.slice(0, longest)]
  // Half of a pair at the cut would be no character.
  if (/[\ud800-\udbff]$/.test(kept.at(-1) ?? '')) kept.pop()
  const head = kept.join('')
  return `${head}… (${text.length - head.length} more characters)`
}

/** One printable line of any text: white space is a space, what does not print is `\x1b`. */
export const oneLine = (text: string, longest = Number.POSITIVE_INFINITY): string =>
  bounded(printable(text.replace(/\s+/g, ' ')).trim(), longest)

/** How many columns a text takes: a code point each. Reports hold no wide characters of their own. */
export const widthOf = (text: string): number => [...text].length

export const padEnd = (text: string, width: number): string =>
  text + ' '.repeat(Math.max(0, width - widthOf(text)))

export const padStart = (text: string, width: number): string =>
  ' '.repeat(Math.max(0, width - widthOf(text))) + text

/** A text in at most `width` columns; `…` where something is missing. */
export const cut = (text: string, width: number): string =>
  widthOf(text) <= width ? text : `${[...text].slice(0, Math.max(0, width - 1)).join('')}…`

const chop = (word: string, width: number): string[] => {
  const characters = [...word]
  return Array.from({ length: Math.ceil(characters.length / width) }, (_, i) =>
    characters.slice(i * width, (i + 1) * width).join(''),
  )
}

/** A text in lines of at most `width` columns, broken at spaces; a word that is longer is cut. */
export const wrap = (text: string, width: number): string[] => {
  const room = Math.max(1, width)
  const lines: string[] = []
  let line = ''
  for (const word of text.split(' ').flatMap(part => chop(part, room))) {
    const longer = line === '' ? word : `${line} ${word}`
    if (widthOf(longer) <= room) {
      line = longer
      continue
    }
    lines.push(line)
    line = word
  }
  return [...lines, line]
}

/** A text behind a label; the lines after the first stand under the text, not under the label. */
export const hang = (label: string, text: string, width: number): string[] =>
  wrap(text, width - widthOf(label)).map((line, i) => (i === 0 ? label : ' '.repeat(widthOf(label))) + line)

/** `1 case`, `2 cases`. */
export const plural = (count: number, one: string, many = `${one}s`): string =>
  `${count} ${count === 1 ? one : many}`

/** Rows of cells under one another; numbers to the right. The last column is left as it is. */
export const align = (rows: readonly (readonly string[])[], right: readonly number[] = []): string[] => {
  const columns = Math.max(0, ...rows.map(row => row.length))
  const widths = Array.from({ length: columns }, (_, i) =>
    Math.max(...rows.map(row => widthOf(row[i] ?? ''))),
  )
  return rows.map(row =>
    row
      .map((cell, i) => (right.includes(i) ? padStart : padEnd)(cell, widths[i] ?? 0))
      .join('  ')
      .trimEnd(),
  )
}

/** A word as a POSIX shell takes it, in quotes. */
export const shellQuoted = (word: string): string => `'${word.replaceAll("'", "'\\''")}'`

/** A duration as people say it. */
export const seconds = (ms: number): string => {
  const rounded = Math.round(ms)
  if (rounded < 1000) return `${rounded} ms`
  const whole = Math.round(ms / 1000)
  return whole < 60 ? `${(ms / 1000).toFixed(2)} s` : `${Math.floor(whole / 60)} min ${whole % 60} s`
}
