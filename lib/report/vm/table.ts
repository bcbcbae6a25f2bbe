/** Tables that keep to a width: cells are wrapped, and what does not fit beside the first column goes below. Pure. */
import type { Paint, Style } from '../style.ts'
import { padEnd, padStart, widthOf, wrap } from '../text.ts'

export interface Cell {
  readonly text: string
  readonly paint: Paint
  /** Numbers stand to the right. */
  readonly right?: true
}

const gap = '  '
/** The first column may have so much of the width. */
const share = 0.4

const same: Paint = text => text

export const plainCell = (text: string, paint: Paint = same): Cell => ({ text, paint })

const widestIn = (cells: readonly (Cell | undefined)[]): number =>
  Math.max(0, ...cells.map(cell => widthOf(cell?.text ?? '')))

/** Columns of a head no wider than its cells ask for, or a little: a long head is wrapped. */
const columnWidth = (head: Cell, cells: readonly (Cell | undefined)[], room: number): number =>
  Math.min(room, Math.max(widestIn(cells), Math.min(widthOf(head.text), leastHead)))

const leastHead = 16

const rowLines = (cells: readonly Cell[], widths: readonly number[]): string[] => {
  const wrapped = cells.map(({ text }, i) => wrap(text, widths[i] ?? 1))
  const height = Math.max(...wrapped.map(lines => lines.length))
  return Array.from({ length: height }, (_, line) =>
    cells
      .map(({ paint, right }, i) => {
        const text = wrapped[i]?.[line] ?? ''
        if (right === true) return padStart('', (widths[i] ?? 0) - widthOf(text)) + paint(text)
        const padded = i === cells.length - 1 ? text : padEnd(text, widths[i] ?? 0)
        return text === '' ? padded : paint(text) + padded.slice(text.length)
      })
      .join(gap)
      .trimEnd(),
  )
}

/** As many columns side by side as there is room for, at least one. */
const folded = (widths: readonly number[], room: number): number[][] => {
  const parts: number[][] = []
  let left = 0
  widths.forEach((width, i) => {
    const needed = gap.length + width
    const part = parts.at(-1)
    if (part === undefined || needed > left) {
      parts.push([i])
      left = room - needed
    } else {
      part.push(i)
      left -= needed
    }
  })
  return parts
}

/**
 * The lines of each table.
 * @param head of all columns, that of the names first
 * @param rows as long as the head
 */
export const tables = (
  head: readonly Cell[],
  rows: readonly (readonly Cell[])[],
  { columns }: Style,
): string[][] => {
  const [names = plainCell(''), ...heads] = head
  const most = Math.max(1, Math.floor(columns * share))
  const first = Math.min(most, widestIn([names, ...rows.map(row => row[0])]))
  const room = columns - first
  const widths = heads.map((one, i) =>
    columnWidth(
      one,
      rows.map(row => row[i + 1]),
      Math.max(1, room - gap.length),
    ),
  )
  return folded(widths, room).map(part => {
    const take = (row: readonly Cell[]): Cell[] => [
      row[0] ?? plainCell(''),
      ...part.map(i => row[i + 1] ?? plainCell('')),
    ]
    const sizes = [first, ...part.map(i => widths[i] ?? 0)]
    return [head, ...rows].flatMap(row => rowLines(take(row), sizes))
  })
}
