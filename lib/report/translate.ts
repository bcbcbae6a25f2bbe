/** What became of a frame that was translated, for people and for machines. */
import type { SavedFrame } from '../foreign/saved.ts'
import type { TranslatedSaved } from '../foreign/translate.ts'
import type { Malformed } from '../frame/translate.ts'
import type { Host } from '../hosts/host.ts'
import { defaultPkru } from '../xstate/pkru.ts'
import type { Dropped, Lacking } from '../xstate/translate.ts'
import { frameSummary, layoutText } from './frame.ts'
import { toJson } from './json.ts'
import { labelled, type Style } from './style.ts'
import { oneLine } from './text.ts'

export type Translation = TranslatedSaved | Lacking | Malformed

/** What was translated, and where to. */
export interface Translating {
  readonly frame: SavedFrame
  /** As the user calls it. */
  readonly from: string
  readonly to: Host
  /** Where it was written, as the user calls it. */
  readonly file: string
}

const longestText = 300
const keys = `0x${defaultPkru.toString(16)}`

const droppedText: Readonly<Record<Dropped['why'], string>> = {
  init: 'at init: nothing is lost',
  default: `${keys}, with which every program starts: nothing is lost to one that uses no keys`,
}

const droppedLines = (dropped: readonly Dropped[], style: Style): string[] =>
  (['init', 'default'] as const).flatMap(why => {
    const names = dropped.filter(one => one.why === why).map(({ name }) => name)
    return names.length === 0 ? [] : labelled('Dropped  ', `${names.join(' ')}: ${droppedText[why]}`, style)
  })

/** One line for each reason. */
const refusals = (translation: Lacking | Malformed): string[] =>
  translation.kind === 'lacking' ? translation.lacks.map(({ message }) => message) : [translation.message]

const refusedLines = (translation: Lacking | Malformed, style: Style): string[] => [
  ...refusals(translation).flatMap((reason, i) =>
    labelled(
      i === 0 ? 'Refused  ' : '         ',
      oneLine(reason, longestText),
      style,
      undefined,
      style.colors.red,
    ),
  ),
  ...labelled('Written  ', 'nothing', style),
]

const doneLines = (
  { carried, dropped, added }: TranslatedSaved,
  { file }: Translating,
  style: Style,
): string[] => [
  ...labelled('Carried  ', carried.length === 0 ? 'nothing: all is at init' : carried.join(' '), style),
  ...droppedLines(dropped, style),
  ...(added.length === 0
    ? []
    : labelled('Added    ', `${added.join(' ')}: ${keys}, with which every program starts there`, style)),
  ...labelled('Written  ', oneLine(file, longestText), style),
]

export const translationText = (translation: Translation, what: Translating, style: Style): string => {
  const { frame, from, to } = what
  const layout = translation.kind === 'translated' ? translation.saved.layout : to.layout
  const name = oneLine(to.name === to.title ? to.name : `${to.name}, ${to.title}`, longestText)
  return [
    ...labelled(
      'From     ',
      `${oneLine(from, longestText)}, ${frame.abi}, ${layoutText(frame.layout)}`,
      style,
    ),
    ...labelled('To       ', `${name}, ${layoutText(layout)}`, style),
    ...(translation.kind === 'translated'
      ? doneLines(translation, what, style)
      : refusedLines(translation, style)),
    '',
  ].join('\n')
}

/** The same without the frames' bytes. */
export const translationJson = (translation: Translation, { frame, from, to, file }: Translating): string => {
  const isDone = translation.kind === 'translated'
  return toJson({
    outcome: isDone ? 'translated' : 'refused',
    from: { file: from, frame: frameSummary(frame) },
    to: { name: to.name, kind: to.kind, title: to.title },
    carried: isDone ? translation.carried : [],
    dropped: isDone ? translation.dropped : [],
    added: isDone ? translation.added : [],
    lacks: translation.kind === 'lacking' ? translation.lacks : [],
    malformed:
      translation.kind === 'malformed' ? { field: translation.field, message: translation.message } : null,
    written: isDone ? { file, frame: frameSummary(translation.saved) } : null,
  })
}
