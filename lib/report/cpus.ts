/** The CPU catalogue, for people and for machines. */
import type { CatalogueEntry } from '../catalogue/entry.ts'
import { hex } from '../errors.ts'
import { cpuFile } from './cpu-file.ts'
import { toJson } from './json.ts'
import { layoutPicture } from './layout-picture.ts'
import { labelled, type Style } from './style.ts'
import { align, hang, oneLine, widthOf } from './text.ts'

/** Of one CPU: its frames in three words. */
const rowOf = ({ name, layout }: CatalogueEntry): string[] => [
  name,
  layout.xsave ? hex(layout.features) : '-',
  String(layout.size),
]

/** A line for each CPU, for people: name, xfeatures, bytes of its frames' XSAVE area, title. */
export const cpusText = (entries: readonly CatalogueEntry[], style: Style): string => {
  const { colors, columns } = style
  const [head = '', ...rows] = align([['CPU', 'xfeatures', 'size'], ...entries.map(rowOf)], [2])
  return [
    colors.bold(head),
    ...entries.flatMap(({ title }, i) => hang(`${rows[i] ?? ''}  `, oneLine(title), columns)),
  ]
    .map(line => `${line}\n`)
    .join('')
}

const framesOf = ({ layout, compacts }: CatalogueEntry): string =>
  layout.xsave
    ? `xfeatures ${hex(layout.features)} of XCR0 ${hex(layout.hostFeatures)}, ${layout.size} bytes; the kernel's own buffers are ${compacts ? '' : 'not '}compacted`
    : `no XSAVE: the legacy ${layout.size} bytes alone`

const sourceLines = ({ sources }: CatalogueEntry, style: Style): string[] => {
  const width = Math.max(...sources.map(({ kind }) => widthOf(kind)))
  const { colors } = style
  return [
    colors.bold('Sources'),
    ...sources.flatMap(({ kind, text }) =>
      labelled(`  ${kind.padEnd(width)}  `, oneLine(text), style, undefined, colors.cyan),
    ),
  ]
}

/** One CPU with all that the catalogue has of it, for people. */
export const cpuText = (entry: CatalogueEntry, style: Style): string => {
  const { name, title, cpus, task, announced, layout } = entry
  const { colors } = style
  return [
    [
      ...labelled(`${name}  `, oneLine(title), style),
      ...(announced
        ? labelled('Note    ', 'only announced: nobody has seen one yet', style, colors.yellow)
        : []),
      ...labelled('CPUs    ', oneLine(cpus.join(', ')), style),
      ...labelled('Frames  ', `of a task ${oneLine(task)}`, style),
      ...labelled('        ', framesOf(entry), style),
      ...labelled('MXCSR   ', `mask ${hex(layout.mxcsrMask)}`, style),
    ],
    layoutPicture(layout, style),
    sourceLines(entry, style),
  ]
    .map(lines => `${lines.join('\n')}\n`)
    .join('\n')
}

/** All of them, for machines: each as its file has it, and what follows from its layout. */
export const cpusJson = (entries: readonly CatalogueEntry[]): string =>
  toJson({
    cpus: entries.map(entry => ({
      ...cpuFile(entry),
      xfeatures: hex(entry.layout.features),
      size: entry.layout.size,
    })),
  })
