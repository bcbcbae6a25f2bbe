/** What becomes of a kept frame on a host, for people and for machines. */
import { decidedBy, endText } from '../contract/predict/words.ts'
import { type ExplainedForeign, lostOf } from '../foreign/explain.ts'
import type { SavedFrame } from '../foreign/saved.ts'
import type { Host } from '../hosts/host.ts'
import { defaultPkru } from '../xstate/pkru.ts'
import { arrivalLines } from './arrival.ts'
import { decisionLines } from './decisions.ts'
import { frameLines, frameSummary, layoutText } from './frame.ts'
import { toJson } from './json.ts'
import { labelled, type Style } from './style.ts'
import { oneLine } from './text.ts'

/** Who answered what the hardware was asked. */
export type Answered = 'this CPU' | 'the manuals'

const hex = (value: number): string => `0x${value.toString(16)}`

/** The answer, in one line. */
export const answerText = (explained: ExplainedForeign): string => {
  const { ended, whole, closesMemory } = explained
  if (ended.end === 'rejected') return 'No: the frame is rejected, and the process gets SIGSEGV.'
  if (ended.end === 'killed') return 'No: the frame is rejected, and the process is killed.'
  if (closesMemory)
    return 'No: PKRU then holds another component’s bytes, which close the process’s own memory.'
  if (whole) return 'Yes: all that the frame has in use arrives.'
  return `Not whole, and without a signal: ${lostOf(explained).join(' ')} lost.`
}

const pkruLines = ({ pkru }: ExplainedForeign): string[] => {
  if (pkru === null || pkru.before === pkru.after) return []
  const closed = pkru.before === defaultPkru ? ', the kernel’s default: no keys were asked for' : ''
  return [`  PKRU   ${hex(pkru.after)} instead of ${hex(pkru.before)}${closed}`]
}

/** A report, in 80 columns. */
export const explainFrameText = (
  saved: SavedFrame,
  host: Host,
  explained: ExplainedForeign,
  answered: Answered,
  style: Style,
): string => {
  const { generation, decisions, asked, components, mxcsr } = explained
  return [
    ...frameLines(saved, style),
    ...labelled(
      'On      ',
      oneLine(`${host.name}${host.title === '' ? '' : ` (${host.title})`}, ${layoutText(host.layout)}`),
      style,
    ),
    ...labelled('Kernel  ', `${generation.id}: ${generation.summary}`, style),
    '',
    style.colors.bold('Decisions'),
    ...decisionLines(decisions, style),
    '',
    ...labelled('Outcome ', endText(explained.ended), style),
    ...(asked
      ? labelled(
          '        ',
          `as ${answered} say${answered === 'this CPU' ? 's' : ''} of odd bytes in it`,
          style,
        )
      : []),
    ...arrivalLines(components, mxcsr, style.colors),
    ...pkruLines(explained),
    '',
    ...labelled('Answer  ', answerText(explained), style),
    '',
  ].join('\n')
}

export const explainFrameJson = (
  saved: SavedFrame,
  host: Host,
  explained: ExplainedForeign,
  answered: Answered,
): string =>
  toJson({
    frame: frameSummary(saved),
    on: {
      name: host.name,
      kind: host.kind,
      title: host.title,
      layout: { size: host.layout.size, ...host.layout.toJSON() },
    },
    generation: explained.generation.id,
    outcome: explained.ended.end,
    rule: decidedBy(explained.ended)?.step.rule ?? null,
    whole: explained.whole,
    lost: lostOf(explained),
    decisions: explained.decisions.map(({ step: { rule }, said, facts }) => ({ rule, said, facts })),
    asked: explained.asked ? answered : null,
    components: explained.components,
    mxcsr: explained.mxcsr,
    pkru: explained.pkru,
    closesMemory: explained.closesMemory,
  })
