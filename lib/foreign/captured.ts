/** Frames that travel, as they are captured, sent and told of: plain data. */
import type { Abi } from '../frame/abi.ts'
import type { LayoutJson } from '../xstate/layout.ts'

/** A frame as a kernel delivered it, to be sent on another machine. */
export interface CapturedFrame {
  /** `<abi>/<what>`, once on a machine. */
  readonly id: string
  readonly abi: Abi
  /** Of the machine it was made on. */
  readonly layout: LayoutJson
  /** The fpstate as it lay on the stack, from the fsave header of a 32-bit frame on, MAGIC2 included, base64. */
  readonly fpstate: string
  /** What was in the registers: an XSAVE image of the layout, base64. */
  readonly image: string
}

/** What became of a foreign frame, component by component. */
export interface ReplayedFrame {
  /** Of the captured frame, with the name of its machine before it: `<kernel>|<cpu>|<abi>/<what>`. */
  readonly from: string
  readonly outcome: 'holds' | 'loses' | 'rejected' | 'killed' | 'unable'
  /** Components that the frame had and this machine knows, but did not restore; `mxcsr` may be among them. */
  readonly lost: readonly string[]
  /** Components that the frame had and this machine does not know. */
  readonly unknown: readonly string[]
  /** Components that the frame had at init, and the registers had not. */
  readonly leftOver: readonly string[]
  /** What was seen, in one line. */
  readonly observed: string
  /** What a kernel of the machine's generation must do with it; empty where not predicted. */
  readonly expected: string
  readonly asExpected: boolean | null
}

/** A frame to be sent, and all the machines that it comes from. */
export interface FrameJob {
  /** `<kernel>|<cpu>|<abi>/<what>`, at least one. */
  readonly from: readonly string[]
  readonly frame: CapturedFrame
}
