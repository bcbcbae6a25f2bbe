/** What lint found, for people and for machines. */

import type { KnownShape, LintFinding, Severity } from '../frame/lint/finding.ts'
import { namesOf } from '../xstate/components.ts'
import { toJson } from './json.ts'
import { countFindings, type LintCounts, type LintedFile, type LintedItem } from './lint-file.ts'
import { labelled, type Paint, type Style } from './style.ts'
import { oneLine, plural } from './text.ts'

/** What became of the frames that were to be kept: a file's name, or why there is none. */
export type SavedAs = ReadonlyMap<LintedItem, { readonly file: string } | { readonly problem: string }>

const nothingSaved: SavedAs = new Map()

const longestText = 2000

const hex = (value: number | bigint): string => `0x${value.toString(16)}`

const paintOf = (severity: Severity, { colors }: Style): Paint => {
  if (severity === 'error') return colors.red
  return severity === 'warning' ? colors.yellow : colors.dim
}

const knownText = (known: readonly KnownShape[]): string =>
  known.map(({ project, reference }) => `${project} (${reference})`).join('; ')

const findingLines = ({ severity, check, message, known }: LintFinding, style: Style): string[] => {
  const paint = paintOf(severity, style)
  return [
    ...labelled(
      `  ${severity.padEnd(8)}`,
      `${check}: ${oneLine(message, longestText)}`,
      style,
      undefined,
      paint,
    ),
    ...(known.length === 0
      ? []
      : labelled('          ', `seen in ${knownText(known)}`, style, style.colors.cyan)),
  ]
}

const placeText = ({ frame, offset, state, pid }: LintedItem): string => {
  const places = [
    ...(frame.address === null ? [] : [`at ${hex(frame.address)}`]),
    ...(offset === null ? [] : [`at offset ${hex(offset)} of the file`]),
    ...(state === 'unknown' ? [] : [state]),
    ...(pid === null ? [] : [`of thread ${pid}`]),
  ]
  return [frame.abi, ...places].join(', ')
}

const saidText = ({ sw, header }: LintedItem): string => {
  const said = `xfeatures ${hex(sw.xfeatures)}, xstate_size ${sw.xstateSize}, extended_size ${sw.extendedSize}`
  return header === null ? said : `${said}, XSTATE_BV ${hex(header.xstateBv)}`
}

const savedLines = (item: LintedItem, saved: SavedAs, style: Style): string[] => {
  const as = saved.get(item)
  if (as === undefined) return []
  const text = 'file' in as ? as.file : `nothing: ${as.problem}`
  return labelled('  Written ', oneLine(text, longestText), style)
}

const itemLines = (item: LintedItem, saved: SavedAs, style: Style): string[] => [
  ...labelled('Frame     ', placeText(item), style),
  ...labelled('  says    ', saidText(item), style),
  ...labelled('  in use  ', item.inUse.join(' ') || 'nothing', style),
  ...labelled('  CPU     ', oneLine(item.cpu.text, longestText), style),
  ...(item.findings.length === 0
    ? labelled('  ok      ', 'nothing is wrong with it', style, undefined, style.colors.green)
    : item.findings.flatMap(finding => findingLines(finding, style))),
  ...savedLines(item, saved, style),
  '',
]

const headText = ({ file, kind, notes, items }: LintedFile): string =>
  oneLine(
    `${file}: ${kind}, ${[items.length === 0 ? 'no frames' : plural(items.length, 'frame'), ...notes].join('; ')}`,
    longestText,
  )

const leftOverText = ({ leftOverErrors, leftOverWarnings }: LintCounts): string =>
  leftOverErrors + leftOverWarnings === 0
    ? ''
    : ` (${plural(leftOverErrors, 'error')} and ${plural(leftOverWarnings, 'warning')} of these in frames left over, which may have been written to since)`

const countText = (counts: LintCounts): string =>
  [
    plural(counts.frames, 'frame'),
    plural(counts.error, 'error'),
    plural(counts.warning, 'warning'),
    plural(counts.note, 'note'),
  ].join(', ') + leftOverText(counts)

/** A report, in 80 columns. */
export const lintText = (files: readonly LintedFile[], style: Style, saved: SavedAs = nothingSaved): string =>
  [
    ...files.flatMap(file => [
      ...labelled('', headText(file), style, style.colors.bold),
      '',
      ...file.items.flatMap(item => itemLines(item, saved, style)),
    ]),
    ...labelled('', countText(countFindings(files)), style),
    '',
  ].join('\n')

const itemJson = (item: LintedItem, saved: SavedAs) => {
  const { frame, offset, state, pid, cpu, sw, header, inUse, findings } = item
  const as = saved.get(item)
  return {
    abi: frame.abi,
    address: frame.address === null ? null : hex(frame.address),
    offset,
    state,
    pid,
    knownBytes: frame.fpstate.length,
    magic1: hex(sw.magic1),
    xfeatures: hex(sw.xfeatures),
    components: namesOf(sw.xfeatures),
    xstateSize: sw.xstateSize,
    extendedSize: sw.extendedSize,
    xstateBv: header === null ? null : hex(header.xstateBv),
    xcompBv: header === null ? null : hex(header.xcompBv),
    inUse,
    cpu: {
      source: cpu.source,
      names: cpu.names,
      layout: cpu.layout === null ? null : { size: cpu.layout.size, ...cpu.layout.toJSON() },
    },
    findings,
    savedAs: as !== undefined && 'file' in as ? as.file : null,
  }
}

export const lintJson = (files: readonly LintedFile[], saved: SavedAs = nothingSaved): string => {
  const { frames, error, warning, note, leftOverErrors, leftOverWarnings } = countFindings(files)
  return toJson({
    counts: { frames, errors: error, warnings: warning, notes: note, leftOverErrors, leftOverWarnings },
    files: files.map(({ file, kind, notes, items }) => ({
      file,
      kind,
      notes,
      frames: items.map(item => itemJson(item, saved)),
    })),
  })
}
