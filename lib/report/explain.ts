/** An explanation of a saved probe for people and for machines. */
import { decidedBy } from '../contract/predict/words.ts'
import { treatmentText } from '../contract/treatment.ts'
import type { Explained, Origin } from '../harness/explain.ts'
import { plainOp } from '../harness/repro.ts'
import { namesOf } from '../xstate/components.ts'
import { defaultPkru } from '../xstate/pkru.ts'
import { decisionLines } from './decisions.ts'
import { toJson } from './json.ts'
import type { SavedProbe } from './probe-file.ts'
import { labelled, type Style } from './style.ts'
import { align, oneLine } from './text.ts'

const originText: Readonly<Record<Origin, string>> = {
  frame: 'from the frame',
  'fsave header': 'from the fsave header',
  CPU: 'as this CPU loads it',
  init: 'at init: lost, if the frame had any',
  default: `the kernel’s default, 0x${defaultPkru.toString(16)}`,
}

const hex = (value: bigint | number): string => `0x${value.toString(16)}`

const registerLines = ({ registers, mxcsr }: Explained): string[] => [
  ...align(registers.map(({ name, origin }) => [`  ${name}`, originText[origin]])),
  ...(registers.length === 0
    ? []
    : [`  mxcsr  ${mxcsr === null ? 'whatever the kernel’s buffer held' : hex(mxcsr)}`]),
]

const frameText = ({ abi, raise, layout, permissions }: SavedProbe): string =>
  `${abi}, ${raise}; ${layout.size} bytes: ${namesOf(layout.features).join(' ')}${permissions.length === 0 ? '' : ` (permitted: ${permissions.join(' ')})`}`

/** What a file says is quoted, and no longer than can be read. */
const longestText = 2000

const seenLines = ({ finding, kernel }: SavedProbe, style: Style): string[] =>
  finding === null
    ? []
    : [
        ...labelled(
          'Seen      ',
          oneLine(`on Linux ${kernel?.release ?? 'of unknown release'}: ${finding.observed}`, longestText),
          style,
        ),
        ...labelled(
          '          ',
          oneLine(`expected of ${finding.generation} kernels: ${finding.expected}`, longestText),
          style,
        ),
      ]

/** A report, in 80 columns. */
export const explainText = (saved: SavedProbe, explained: Explained, style: Style): string => {
  const { predicted, generation, asked } = explained
  const by = decidedBy(predicted)
  return [
    ...labelled('Frame     ', frameText(saved), style),
    ...saved.edit.flatMap(op =>
      labelled('  edit    ', oneLine(JSON.stringify(plainOp(op)), longestText), style, style.colors.cyan),
    ),
    ...seenLines(saved, style),
    ...labelled('Kernel    ', `${generation.id}: ${generation.summary}`, style),
    '',
    style.colors.bold('Decisions'),
    ...decisionLines(explained.decisions, style),
    '',
    ...labelled(
      'Outcome   ',
      `${treatmentText[predicted.end]}${by === null ? '' : `, by ${by.step.rule}`}`,
      style,
    ),
    ...(asked ? labelled('          ', 'as this CPU says of the odd bytes in it', style) : []),
    ...registerLines(explained),
    ...(explained.caveat === null ? [] : labelled('But       ', oneLine(explained.caveat), style)),
    '',
  ].join('\n')
}

export const explainJson = (saved: SavedProbe, explained: Explained): string =>
  toJson({
    generation: explained.generation.id,
    outcome: explained.predicted.end,
    rule: decidedBy(explained.predicted)?.step.rule ?? null,
    decisions: explained.decisions.map(({ step: { rule }, said }) => ({ rule, said })),
    asked: explained.asked,
    registers: explained.registers,
    mxcsr: explained.mxcsr,
    caveat: explained.caveat,
    abi: saved.abi,
    layout: saved.layout.toJSON(),
    edit: saved.edit.map(plainOp),
  })
