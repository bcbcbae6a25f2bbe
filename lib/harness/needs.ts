/** What cases need of a host, and how to say that it is not there. */
import type { CaseContext } from './selftest.ts'

/** Bytes of an alternate signal stack that any frame of the host fits, and a page more. */
export const ampleStack = ({ layout, cpu }: CaseContext): number =>
  Math.max(cpu.minSignalStack, 2 * layout.size) + 4096

/** CPUID's name for QEMU's software emulation. */
const tcg = 'TCGTCGTCGTCG'

type Need = (context: CaseContext) => string | null

/** Components above SSE. */
export const needsExtended: Need = ({ layout }) =>
  layout.extended.length === 0 ? 'this task has nothing above SSE' : null

/** A CPU whose XRSTOR looks at the reserved bits of MXCSR. */
export const ignoresMxcsr: Need = ({ cpu }) =>
  cpu.hypervisor === tcg ? 'this emulated CPU does not check MXCSR' : null

/** Frames of more than so many bytes. */
export const needsFramesAbove =
  (bytes: number): Need =>
  ({ layout }) =>
    layout.size > bytes ? null : `frames of ${layout.size} bytes are too small: it takes more than ${bytes}`
