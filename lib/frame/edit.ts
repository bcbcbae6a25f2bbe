/**
 * Edits as data: a closed list of operations, plain enough for JSON, that can say all that a live callback
 * can do to a frame, and more: what lies below the fpstate too, and the pages that it lies in. Offsets count from
 * the start of the fpstate, which is the XSAVE area also in 32-bit frames, in bytes.
 */
import type { ComponentName } from '../xstate/components.ts'
import type { HeadField } from './abi.ts'
import type { FrameField } from './format.ts'
import type { FsaveField } from './fsave.ts'

/** The version of this list; it changes when an operation changes its meaning. */
export const editVersion = 1

/** A part of a frame: the XSAVE area, the fsave header of a 32-bit frame right below it, all that lies below. */
export type Region = 'area' | 'fsave' | 'head'

/** A field of the fpstate, of the fsave header (`fsave.cw`), or of the head of this ABI's frames (`head.rip`). */
export type EditField = FrameField | `fsave.${FsaveField}` | `head.${HeadField}`

/** What pages can become right before the return, see `pages`. */
export const pageStates = ['evicted', 'readonly', 'unreadable', 'hole', 'late', 'contended'] as const
export type PageState = (typeof pageStates)[number]

export type EditOp =
  /** Bytes anywhere in the fpstate, or in another region; a string is hexadecimal digits. */
  | {
      readonly op: 'write'
      readonly at: number
      readonly bytes: Uint8Array | string
      readonly region?: Region
    }
  | { readonly op: 'set'; readonly field: EditField; readonly value: number | bigint | string }
  /** The field's value combined with this one. */
  | {
      readonly op: 'and' | 'or' | 'xor'
      readonly field: EditField
      readonly value: number | bigint | string
    }
  | { readonly op: 'fill'; readonly at: number; readonly length: number; readonly value: number }
  /** The component's bytes at its place in the session's layout; its bit in XSTATE_BV is set too. */
  | { readonly op: 'component'; readonly name: ComponentName; readonly bytes: Uint8Array | string }
  /** xstate_size, and extended_size with room for MAGIC2 behind it, as the kernel would write both. */
  | { readonly op: 'resize'; readonly xstateSize: number }
  /**
   * MAGIC2 at an offset (where the frame's xstate_size says, if none is given), all zero behind it up to the
   * end of what the kernel wrote when `clearTail` is set: a stale MAGIC2 there hides a kernel's mistakes.
   */
  | { readonly op: 'magic2'; readonly at?: number; readonly clearTail?: boolean }
  /**
   * The fpstate to the session's second buffer, and the pointer with it: at an offset of it, or so that the
   * unreadable page behind the buffer begins at offset `guardAt` of the fpstate.
   */
  | { readonly op: 'move'; readonly at?: number }
  | { readonly op: 'move'; readonly guardAt: number }
  /** The pointer alone: an address, or a distance from where it points. The bytes stay where they are. */
  | { readonly op: 'pointer'; readonly address: bigint | string }
  | { readonly op: 'pointer'; readonly by: number }
  /**
   * What becomes of the pages that hold so many bytes of a moved fpstate, when all else is done: `evicted` (not
   * mapped until touched), `readonly`, `unreadable`, `hole` (mapped behind the end of a file), `late` (userfaultfd
   * serves them while the kernel waits), `contended` (another CPU evicts them over and over).
   */
  | { readonly op: 'pages'; readonly at: number; readonly length: number; readonly state: PageState }

/** What an edit operation comes down to: what the signal handler executes, one by one. */
export type Primitive =
  | { readonly code: 'write'; readonly at: number; readonly bytes: Uint8Array; readonly region?: Region }
  | {
      readonly code: 'and' | 'or' | 'xor'
      readonly at: number
      readonly length: 2 | 4 | 8
      readonly value: bigint
      readonly region?: Region
    }
  | { readonly code: 'fill'; readonly at: number; readonly length: number; readonly value: number }
  | { readonly code: 'move'; readonly at: number; readonly length: number }
  | { readonly code: 'pointer'; readonly value: bigint }
  | { readonly code: 'offset'; readonly value: bigint }
  | { readonly code: 'pages'; readonly at: number; readonly length: number; readonly state: PageState }

/** An edit that was checked against a layout and limits. */
export interface CompiledEdit {
  readonly primitives: readonly Primitive[]
  /** Bytes of the fpstate that make up the frame as sent: what the kernel wrote, and all that was edited. */
  readonly sentBytes: number
  /** Whether the process that sends it cannot go on afterwards: it takes a throw-away fork. */
  readonly isolated: boolean
}

/** How far edits may reach. */
export interface EditLimits {
  /** Bytes that the kernel writes: user_size and MAGIC2. */
  readonly frameBytes: number
  /** The highest offset that may be edited in place, plus one. */
  readonly inPlaceBytes: number
  /** Bytes of the second buffer, up to the unreadable page. */
  readonly spareBytes: number
}
