/** What became of a frame that was sent through this kernel, for people and for machines. */
import { lostOf } from '../foreign/explain.ts'
import type { SavedFrame } from '../foreign/saved.ts'
import type { SentFrameResult } from '../foreign/send.ts'
import { arrivalLines } from './arrival.ts'
import { frameLines, frameSummary, layoutText } from './frame.ts'
import { toJson } from './json.ts'
import { labelled, type Style } from './style.ts'
import { oneLine } from './text.ts'

const outcomeText: Readonly<Record<SentFrameResult['outcome'], string>> = {
  holds: 'accepted: all that the frame has in use arrived',
  loses: 'accepted, and not all of it arrived: no signal told of it',
  rejected: 'rejected',
  killed: 'the process that returned from it is gone',
  unable: 'not sent',
}

const generationText = ({ kernel }: SentFrameResult): string =>
  `Linux ${oneLine(kernel.release)}, ${kernel.generation ?? 'of unknown generation'}`

const expectedLines = ({ expected, asExpected }: SentFrameResult, style: Style): string[] => {
  const { colors } = style
  if (asExpected === null)
    return labelled('Expected ', 'nothing: the outcome hangs on what is not known', style)
  const paint = asExpected ? colors.green : colors.red
  return labelled(
    'Expected ',
    `${oneLine(expected)}: ${asExpected ? 'and so it was' : 'IT WAS NOT SO'}`,
    style,
    paint,
  )
}

/** A report, in 80 columns. */
export const replayText = (frame: SavedFrame, sent: SentFrameResult, style: Style): string => {
  const { outcome, observed, components, mxcsr, layout } = sent
  const seen = components.length === 0 ? `: ${oneLine(observed)}` : ''
  return [
    ...frameLines(frame, style),
    ...labelled('On      ', `this host, ${layoutText(layout)}`, style),
    ...labelled('Kernel  ', generationText(sent), style),
    '',
    ...labelled('Outcome ', `${outcomeText[outcome]}${seen}`, style),
    ...arrivalLines(components, mxcsr, style.colors),
    ...expectedLines(sent, style),
    '',
  ].join('\n')
}

export const replayJson = (frame: SavedFrame, sent: SentFrameResult): string =>
  toJson({
    frame: frameSummary(frame),
    kernel: sent.kernel,
    layout: { size: sent.layout.size, ...sent.layout.toJSON() },
    outcome: sent.outcome,
    observed: sent.observed,
    expected: sent.expected,
    asExpected: sent.asExpected,
    lost: lostOf(sent),
    components: sent.components,
    mxcsr: sent.mxcsr,
  })
