/** A signal frame as the kernel finds it when it is returned from: bytes, and the memory that they lie in. */
import type { Abi } from '../../frame/abi.ts'

/**
 * Pages of the frame's memory that cannot be read, or are not there until they are touched. `absent` ranges are single
 * pages. Offsets count from the start of the XSAVE area.
 */
export interface Pages {
  readonly from: number
  readonly end: number
  readonly reach: 'absent' | 'unreadable'
}

/** Where the fpstate pointer leads: nowhere on purpose, to what cannot be read at all, or to bytes. */
export type Pointer = 'null' | 'unreachable' | 'mapped'

export interface SentFrame {
  readonly abi: Abi
  readonly pointer: Pointer
  /** The XSAVE area, from where the pointer leads on, as far as it is known. */
  readonly area: Uint8Array
  /** The fsave header right below it, 112 bytes; null for 64-bit frames. */
  readonly fsave: Uint8Array | null
  /** How far the area's address is from the last multiple of 64. */
  readonly misalignedBy: number
  /** What of its memory is not simply there, disjoint. Empty for most frames. */
  readonly pages: readonly Pages[]
  /** Whether the frame's own signal mask blocks SIGSEGV. */
  readonly blocksSigsegv: boolean
}

/** Bytes of the area, or of what lies before it. */
export interface Range {
  readonly at: number
  readonly length: number
}

export const overlaps = ({ from, end }: Pages, { at, length }: Range): boolean =>
  at < end && at + length > from

/** Whether the kernel can copy these bytes: it waits for absent pages. */
export const canCopy = ({ pages }: SentFrame, range: Range): boolean =>
  !pages.some(page => page.reach === 'unreadable' && overlaps(page, range))
