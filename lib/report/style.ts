/** How a report for people looks: how wide, and with which colours. */
import type picocolors from 'picocolors'
import type { Verdict } from '../harness/results.ts'
import { hang, widthOf } from './text.ts'

export type Colors = ReturnType<typeof picocolors.createColors>

export type Paint = (text: string) => string

export interface Style {
  readonly columns: number
  /** picocolors' createColors(enabled). */
  readonly colors: Colors
}

/** The colour of a verdict, wherever it stands. */
export const verdictPaint = (verdict: Verdict, colors: Colors): Paint => {
  switch (verdict) {
    case 'pass':
      return colors.green
    case 'xfail':
      return colors.cyan
    case 'skip':
      return colors.dim
    case 'broken':
      return colors.magenta
    default:
      return colors.red
  }
}

/**
 * A text behind a label, wrapped under itself. Painted after wrapping: what a terminal swallows takes no columns.
 * @param paintLabel bold if left out
 */
export const labelled = (
  label: string,
  text: string,
  { columns, colors }: Style,
  paintText: Paint = line => line,
  paintLabel: Paint = colors.bold,
): string[] => {
  const at = widthOf(label)
  const split = (line: string): readonly [string, string] => {
    const characters = [...line]
    return [characters.slice(0, at).join(''), characters.slice(at).join('')]
  }
  return hang(label, text, columns).map((line, i) => {
    const [head, rest] = split(line)
    return (i === 0 && head.trim() !== '' ? paintLabel(head) : head) + paintText(rest)
  })
}
