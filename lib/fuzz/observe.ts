/** What was seen of a frame, in the words of the model, and whether it is what the model says. */
import { type Differing, differing } from '../contract/predict/compare.ts'
import type { Ended } from '../contract/predict/predict.ts'
import type { Seen, SignalInfo } from '../probe/result.ts'
import type { Layout } from '../xstate/layout.ts'

export interface Observation {
  /** `returned`, `rejected`, `killed`, or else what happened, in words. */
  readonly end: string
  /** What the registers held then; null where nobody could look. */
  readonly after: Uint8Array | null
}

const siKernel = 128

const isKernelSegv = ({ signal, siCode, siAddr }: SignalInfo): boolean =>
  signal === 'SIGSEGV' && siCode === siKernel && siAddr === 0n

const signalText = ({ signal, siCode, siAddr }: SignalInfo): string =>
  `${signal} (si_code ${siCode}, si_addr 0x${siAddr.toString(16)})`

/** Views, where they are lent: to be looked at before the session's next probe. */
export const observe = (seen: Seen): Observation => {
  switch (seen.kind) {
    case 'returned':
      return { end: seen.kind, after: seen.afterView }
    case 'signal':
      if (seen.where !== 'sigreturn') return { end: `${signalText(seen)} at ${seen.where}`, after: null }
      return {
        end: isKernelSegv(seen) ? 'rejected' : `${signalText(seen)} at sigreturn`,
        after: seen.afterView,
      }
    case 'died':
      if (seen.where === 'sigreturn' && seen.signal === 'SIGSEGV') return { end: 'killed', after: null }
      return { end: `died of ${seen.signal ?? `exit code ${seen.code}`}`, after: null }
    case 'timeout':
      return { end: 'no progress', after: null }
    case 'stuck':
      return { end: 'stuck: SIGKILL did not end it', after: null }
    case 'refused':
      return { end: `${seen.call} refused with ${seen.errno}`, after: null }
  }
}

/** How a prediction ends, as it would be observed. */
export const endOf = ({ end }: Ended): string => (end === 'rejected' || end === 'killed' ? end : 'returned')

/** What of an observation is not as predicted; null where all is. */
export interface Surprise {
  readonly expected: Ended
  /** The end, where that differs. */
  readonly end: string | null
  /** Where the end is as predicted: the registers that differ. */
  readonly registers: readonly Differing[]
}

export const surpriseOf = ({ end, after }: Observation, expected: Ended, layout: Layout): Surprise | null => {
  if (end !== endOf(expected)) return { expected, end, registers: [] }
  if (after === null) return null
  const registers = differing(after, layout, expected.registers)
  return registers.length === 0 ? null : { expected, end: null, registers }
}
