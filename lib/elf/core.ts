/** What an ELF core file has of signal frames. */
import type { LintedFrame } from '../frame/lint/finding.ts'
import type { Layout } from '../xstate/layout.ts'

/**
 * - `in flight`: above the stack pointer of a thread, or of a handler's frame that will be returned from: it is yet to be
 *   returned from.
 * - `left over`: nothing leads to it: it was returned from, and nothing has overwritten it.
 * - `unknown`: the file has no thread, nothing leads into the memory around it, or it has no head that tells its stack.
 *
 * What leads to what, and where that is mistaken: chains.ts.
 */
export type FrameState = 'in flight' | 'left over' | 'unknown'

export interface CoreThread {
  /** Of the thread, as NT_PRSTATUS has it. */
  readonly pid: number
  readonly rsp: bigint
  readonly rip: bigint
}

export interface CoreFrame extends LintedFrame {
  /** Of the XSAVE area in the memory of the process. */
  readonly address: bigint
  /** Of the XSAVE area in the file, in bytes. */
  readonly offset: number
  readonly state: FrameState
  /** The thread that will return from it; null where that is not known. */
  readonly pid: number | null
}

export interface CoreScan {
  /** Bytes of the file. */
  readonly size: number
  readonly threads: readonly CoreThread[]
  /**
   * As NT_X86_XSAVE_LAYOUT (Linux 6.12) and XCR0 of NT_X86_XSTATE say, without a vendor; null where the file does not
   * say. Tile data is in it where a frame has it: other threads of the same process may be without.
   */
  readonly layout: Layout | null
  /** XCR0, from NT_X86_XSTATE (bytes 464..471); null where there is no such note. gcore leaves out what it does not know. */
  readonly xcr0: bigint | null
  /** In the order of their addresses. */
  readonly frames: readonly CoreFrame[]
  /**
   * What could not be looked at, in one line each: a file that is cut off, segments without bytes; and places where
   * MAGIC1 stands alone, of frames that were overwritten since.
   */
  readonly gaps: readonly string[]
}
