/** A layout as a picture: a map of its bytes to scale, and a table of what lies where. Pure. */
import { magic2Size } from '../frame/format.ts'
import { type ComponentName, componentNamed } from '../xstate/components.ts'
import { type Layout, legacySize, minXsaveSize } from '../xstate/layout.ts'
import type { Colors, Paint, Style } from './style.ts'
import { align, cut, padStart, widthOf } from './text.ts'

/** Consecutive bytes of a frame's fpstate. */
export interface Region {
  readonly name: string
  readonly offset: number
  readonly size: number
  readonly what: string
  /** Whether anybody's state lies here. */
  readonly used: boolean
}

const swBytes = 464

const region = (name: string, offset: number, end: number, what: string, used = true): Region => ({
  name,
  offset,
  size: end - offset,
  what,
  used,
})

const legacyRegions: readonly Region[] = [
  region('x87', 0, 160, 'x87 registers; at 24 MXCSR and its mask'),
  region('sse', 160, 416, 'XMM0 to XMM15'),
  region('(reserved)', 416, swBytes, '', false),
  region('sw', swBytes, legacySize, 'sw bytes: MAGIC1, the sizes, xfeatures'),
]

const header = region('header', legacySize, minXsaveSize, 'XSTATE_BV, XCOMP_BV')

const describe = (name: ComponentName): string => {
  const { description, index } = componentNamed(name)
  return `${description} (bit ${index})`
}

/** Everything from byte 0 to the end of MAGIC2, in order, without gaps. */
export const regionsOf = (layout: Layout): Region[] => {
  if (!layout.xsave) return [...legacyRegions]
  const regions: Region[] = [...legacyRegions, header]
  let end = minXsaveSize
  const fillTo = (offset: number): void => {
    if (offset > end) regions.push(region('(hole)', end, offset, 'of no component of this task', false))
  }
  for (const { name, offset, end: next } of layout.extended.toSorted((a, b) => a.offset - b.offset)) {
    fillTo(offset)
    regions.push(region(name, offset, next, describe(name)))
    end = next
  }
  fillTo(layout.size)
  return [...regions, region('MAGIC2', layout.size, layout.size + magic2Size, 'says that all of it is there')]
}

const cellSizes = [16, 32, 64, 128, 256] as const
const mostRows = 6
const gutter = '  '
const rowLengths = [128, 64, 32, 16] as const

/** A letter for each region that is used. */
const keysFor = (regions: readonly Region[]): string[] => {
  let used = 0
  return regions.map(one => (one.used ? String.fromCodePoint('A'.charCodeAt(0) + (used++ % 26)) : ''))
}

interface MapScale {
  /** Bytes of a cell. */
  readonly cell: number
  /** Cells of a row. */
  readonly row: number
}

/** The characters of a region: a bar at its first byte, its name or else its key, a line as far as it reaches. */
const cellsOf = ({ name, offset, size, used }: Region, key: string, { cell, row }: MapScale): string => {
  // A cell shows what begins in it, or else what reaches over it.
  const first = Math.ceil(offset / cell)
  const count = Math.ceil((offset + size) / cell) - first
  if (!used) return '.'.repeat(count)
  const fits = widthOf(name) < count && (first % row) + widthOf(name) < row
  return `|${fits ? name : key}`.padEnd(count, '-').slice(0, count)
}

/** A paint for each region, so that neighbours differ in the map and the table's names match it. */
const paintsFor = (regions: readonly Region[], colors: Colors): Paint[] => {
  const cycle = [colors.cyan, colors.green, colors.yellow, colors.magenta, colors.blue]
  let used = 0
  return regions.map(one => (one.used ? (cycle[used++ % cycle.length] as Paint) : colors.dim))
}

interface Cell {
  readonly character: string
  readonly paint: Paint
}

const painted = (cells: readonly Cell[]): string => {
  let line = ''
  for (let i = 0, end = 0; i < cells.length; i = end) {
    const { paint } = cells[i] as Cell
    while (end < cells.length && cells[end]?.paint === paint) end += 1
    line += paint(
      cells
        .slice(i, end)
        .map(({ character }) => character)
        .join(''),
    )
  }
  return line
}

const scaleFor = (bytes: number, columns: number): MapScale => {
  const row = rowLengths.find(length => length <= columns) ?? rowLengths[3]
  return { row, cell: cellSizes.find(cell => bytes / cell <= row * mostRows) ?? cellSizes[4] }
}

/** What a picture is drawn of. */
interface Drawing {
  readonly regions: readonly Region[]
  readonly keys: readonly string[]
  readonly paints: readonly Paint[]
}

const mapLines = ({ regions, keys, paints }: Drawing, { columns, colors }: Style): string[] => {
  const last = regions.at(-1)
  const bytes = last === undefined ? 0 : last.offset + last.size
  const labelWidth = String(bytes).length + 2
  const scale = scaleFor(bytes, columns - labelWidth - gutter.length)
  const cells = regions.flatMap((one, i) =>
    [...cellsOf(one, keys[i] ?? '', scale)].map(character => ({ character, paint: paints[i] as Paint })),
  )
  const rows = Array.from({ length: Math.ceil(cells.length / scale.row) }, (_, i) => {
    const label = padStart(String(i * scale.row * scale.cell), labelWidth)
    return colors.dim(label) + gutter + painted(cells.slice(i * scale.row, (i + 1) * scale.row))
  })
  return [...rows, colors.dim(`${' '.repeat(labelWidth)}${gutter}one character is ${scale.cell} bytes`)]
}

const tableLines = ({ regions, keys, paints }: Drawing, style: Style): string[] => {
  const { columns, colors } = style
  const rows = regions.map(({ name, offset, size }, i) => [keys[i] ?? '', String(offset), String(size), name])
  const [head = '', ...lines] = align([['', 'offset', 'size', 'name'], ...rows], [1, 2])
  const width = Math.max(...lines.map(widthOf))
  return [
    colors.dim(`  ${head}`),
    ...lines.map((line, i) => {
      const paint = paints[i] as Paint
      const what = regions[i]?.what ?? ''
      const room = columns - width - 4
      return `  ${paint(line)}${' '.repeat(width - widthOf(line))}  ${cut(what, room)}`.trimEnd()
    }),
  ]
}

/** The map and the table. */
export const layoutPicture = (layout: Layout, style: Style): string[] => {
  const regions = regionsOf(layout)
  const drawing = { regions, keys: keysFor(regions), paints: paintsFor(regions, style.colors) }
  return [...mapLines(drawing, style), '', ...tableLines(drawing, style)]
}
