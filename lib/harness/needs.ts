/** What cases need of a host, and how to say that it is not there. */
import { isIa32 } from '../frame/abi.ts'
import type { CaseContext, Traits } from './selftest.ts'

/** Bytes of an alternate signal stack that any frame of the host fits, and a page more. */
export const ampleStack = ({ layout, cpu }: CaseContext): number =>
  Math.max(cpu.minSignalStack, 2 * layout.size) + 4096

type Need = (context: CaseContext) => string | null

/** Components above SSE. */
export const needsExtended: Need = ({ layout }) =>
  layout.extended.length === 0 ? 'this task has nothing above SSE' : null

/** A component that MXCSR goes with where SSE is left out, as the witness of a 32-bit frame leaves it out: AVX. */
export const needsMxcsrWithoutSse: Need = ({ layout }) =>
  layout.has('avx') ? null : 'this task has nothing above SSE that MXCSR goes with'

/** A CPU that faults on reserved bits of MXCSR. */
export const needsMxcsrCheck = (_: CaseContext, { checksMxcsr }: Traits): string | null =>
  checksMxcsr ? null : 'this CPU does not check MXCSR'

/**
 * A CPU whose ZMM_Hi256 survives that AVX is put to init, where only these components are restored: what a 64-bit frame
 * leaves out goes to init behind what it has. A 32-bit one is loaded at once.
 */
export const keepsWithoutAvx = (
  { abi, components }: CaseContext,
  { keepsZmmHi256 }: Traits,
): string | null =>
  keepsZmmHi256 || isIa32(abi) || components.includes('avx') || !components.includes('zmm_hi256')
    ? null
    : 'this CPU loses zmm_hi256 when AVX is put to init'

/** Frames of more than so many bytes. */
export const needsFramesAbove =
  (bytes: number): Need =>
  ({ layout }) =>
    layout.size > bytes ? null : `frames of ${layout.size} bytes are too small: it takes more than ${bytes}`
