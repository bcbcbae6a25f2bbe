/** Frames of other machines as cases, for the formats that know nothing else. */

import type { ReplayedFrame } from '../../foreign/captured.ts'
import type { CaseResult, Verdict } from '../../harness/results.ts'
import type { MachineResult } from '../../vm/machine.ts'

/** The selftest that they are shown as: a part of `sigframe vm` alone. */
export const replaySelftest = 'foreign_frame'

/** A frame's machine, and what it is there. */
export interface FrameOrigin {
  readonly kernel: string
  readonly cpu: string
  readonly abi: string
  readonly what: string
}

/** What `<kernel>|<cpu>|<abi>/<what>` says. */
export const originOf = ({ from }: Pick<ReplayedFrame, 'from'>): FrameOrigin => {
  const [kernel = '', cpu = '', id = ''] = from.split('|')
  const slash = id.indexOf('/')
  return { kernel, cpu, abi: slash < 0 ? id : id.slice(0, slash), what: id.slice(slash + 1) }
}

// What is lost as the kernel's generation loses it is no surprise, and no pass.
const verdictOf = ({ outcome, asExpected }: ReplayedFrame): Verdict => {
  if (asExpected === false) return 'fail'
  if (outcome === 'holds') return 'pass'
  return outcome === 'unable' || asExpected === null ? 'skip' : 'xfail'
}

const reasonOf = (verdict: Verdict, { expected }: ReplayedFrame, generation: string): string => {
  switch (verdict) {
    case 'fail':
      return `not as ${generation} kernels do`
    case 'xfail':
      return `as ${generation} kernels do`
    case 'skip':
      return expected === '' ? 'nothing is predicted of this frame here' : 'could not be sent here'
    default:
      return ''
  }
}

const replayCase = (frame: ReplayedFrame, generation: string): CaseResult => {
  const verdict = verdictOf(frame)
  return {
    id: `${replaySelftest}/${frame.from}`,
    selftest: replaySelftest,
    case: frame.from,
    abi: originOf(frame).abi,
    components: [],
    placement: 'stack',
    rules: [],
    verdict,
    reason: reasonOf(verdict, frame, generation),
    observed: frame.observed,
    expected: frame.expected,
    bytes: null,
    durationUs: 0,
    repro: null,
  }
}

/** The frames of others that were sent on a machine, in the order in which they were. */
export const replayCases = ({ replayed, bundle }: MachineResult): CaseResult[] =>
  replayed.map(frame => replayCase(frame, bundle?.kernel?.generation ?? 'such'))
