/** Which protection keys are open after a return that restored nothing. */
import type { EditOp } from '../../frame/edit.ts'
import type { XsaveImage } from '../../xstate/image.ts'
import { randomImage } from '../../xstate/random.ts'
import type { TrialCase } from '../selftest.ts'

/** PKRU of an image or a frame. */
export const keysOf = (state: Pick<XsaveImage, 'component'>): number => {
  const bytes = state.component('pkru')
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true)
}

/** Expects PKRU to have a value once a frame was sent that the kernel cannot restore from. */
export const keysAfter =
  (edit: readonly EditOp[], expected: number): TrialCase['trial'] =>
  (probe, { abi, layout, seed }) => {
    const seen = probe.runSync({ abi, load: randomImage(layout, { seed }), edit })
    if (seen.kind !== 'returned' && !(seen.kind === 'signal' && seen.where === 'sigreturn'))
      return { observed: 'unexplained', text: `${seen.kind} instead of an answer to the frame` }
    const keys = keysOf(seen.after)
    return {
      observed: keys === expected ? 'as-stated' : 'unexplained',
      text: `PKRU is 0x${keys.toString(16)} afterwards`,
    }
  }
