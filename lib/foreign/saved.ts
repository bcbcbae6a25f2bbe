/** A frame that is kept: all that a frame file holds, and what lint, explain, translate and replay are asked about. */
import type { Abi } from '../frame/abi.ts'
import type { OriginHost, OriginKernel } from '../harness/results.ts'
import type { ComponentName } from '../xstate/components.ts'
import type { XsaveImage } from '../xstate/image.ts'
import type { Layout } from '../xstate/layout.ts'

/** How a frame came to be. */
export const frameSources = ['captured', 'cut out', 'translated'] as const
export type FrameSource = (typeof frameSources)[number]

export interface SavedFrame {
  readonly source: FrameSource
  /** In one line: the file and the offset that it was cut out of, the CPU that it was translated from. Empty where there is no more to say. */
  readonly origin: string
  /** The machine that it was made on, as far as it is told. */
  readonly host: OriginHost | null
  readonly kernel: OriginKernel | null
  /** Of the task that it was made for. */
  readonly layout: Layout
  /** What that task had asked its kernel for. */
  readonly permissions: readonly ComponentName[]
  readonly abi: Abi
  /** Where its XSAVE area lay on the stack; null where that is not known. */
  readonly address: bigint | null
  /** Below the fpstate: `frameShape(abi).headBytes` bytes; null where they are not known. */
  readonly head: Uint8Array | null
  /** The fsave header of a 32-bit frame, 112 bytes; null for 64-bit ones. */
  readonly fsave: Uint8Array | null
  /** The XSAVE area, MAGIC2, and whatever follows. It may be too short: a frame that is wrong is kept, too. */
  readonly fpstate: Uint8Array
  /** What was in the registers, of `layout`; null where nobody knows. */
  readonly image: XsaveImage | null
  /** Of the image, where it was drawn. */
  readonly seed: number | null
}
