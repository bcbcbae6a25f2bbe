/**
 * What becomes of frames of every CPU on every other, for each generation of kernels: plain data, as files have it.
 *
 * A frame is one that the source's Linux writes, whatever its own generation: they differ in what they accept. It is
 * asked about with all of its components in use. Where not all of that arrives, what does not is left unused, and it is
 * asked about again, until all of it arrives or there is nothing to leave out. So `unused` is all that must be unused and
 * no more: each of its components alone, in use, is lost or has the frame rejected.
 *
 * Behind a frame lie zeros. On a real stack lies what the process has left there: what is read from behind a frame is then
 * anything, another frame's MAGIC2 among it.
 *
 * PKRU is never unused: Linux gives every task the default 0x55555554, with its bit in XSTATE_BV. A frame with “PKRU
 * unused” has that. Where the destination has no PKRU and lets the frame pass, nothing is lost by it; where it has one,
 * and reads it from other bytes, the task's keys are lost whatever it did: then the pair breaks.
 *
 * MXCSR is no component, and “unused” where it has its default, 0x1f80: kernels that do not compact (Haswell's, Broadwell's)
 * put it to that along with AVX, where a frame has no AVX.
 *
 * A component that is unused has its bit in XSTATE_BV clear. Hardware may set it all the same (SDM volume 1, 13.6): where
 * the destination lacks that component, such a frame is rejected. Of AMD's MXCSR.MM, which others reject, nothing is said.
 */
import type { GenerationId } from '../contract/generations.ts'
import type { HostKind } from '../hosts/host.ts'
import type { LayoutJson } from '../xstate/layout.ts'

/**
 * - `works`: all that a frame can have arrives.
 * - `works if unused`: it does where the components of `unused` are not in use, and others beyond x87 and SSE may be, if
 *   the source has any.
 * - `breaks`: whatever is in use, the frame is rejected, or nothing beyond x87 and SSE arrives, or PKRU is lost.
 * - `unknown`: it hangs on what nobody here can say.
 */
export const pairOutcomes = ['works', 'works if unused', 'breaks', 'unknown'] as const
export type PairOutcome = (typeof pairOutcomes)[number]

/** What was seen of a frame of one CPU on this host. */
export interface PairSeen {
  /** As in `ReplayedFrame`: `holds`, `loses`, `rejected`, `killed`, `unable`. */
  readonly outcome: 'holds' | 'loses' | 'rejected' | 'killed' | 'unable'
  /** In one line. */
  readonly observed: string
  /** Whether it is what was predicted; null where nothing was. */
  readonly asPredicted: boolean | null
}

/** One frame of a pair: with all in use, or with some left out. */
export interface PairFrame {
  /** Components that are in use; `pkru`, and `mxcsr`, where they are not the default. */
  readonly used: readonly string[]
  /** How it ends, by which rule: `rejected with SIGSEGV, by too-small-is-rejected`. As predicted, if it was. */
  readonly end: string
  /** Components, and `mxcsr`, that the frame had and the registers then have not; also a PKRU that is the default. Empty where it is rejected. */
  readonly lost: readonly string[]
  /** Components that the frame had, and the destination has no register for. */
  readonly unknown: readonly string[]
  /** Components that are not at init, though the frame had them so: bytes of another component, mostly. */
  readonly leftOver: readonly string[]
  /** Null where it was predicted alone. */
  readonly seen: PairSeen | null
}

export interface Pair {
  /** Names of hosts of the matrix. */
  readonly from: string
  readonly to: string
  readonly generation: GenerationId
  readonly outcome: PairOutcome
  /** The components, and `mxcsr`, that must not be in use; empty but for `works if unused`. */
  readonly unused: readonly string[]
  /** Whether the task goes on with other numbers where it does not work, and no signal tells it so. */
  readonly silent: boolean
  /** Why, in one line; empty for `works`. Of all in use where that can be helped, else of what was left of it beyond x87 and SSE. */
  readonly reason: string
  /** `live`: every frame of it was sent on this host, and `outcome` is what was seen. */
  readonly evidence: 'predicted' | 'live'
  /** With all in use first, then with ever less of it; where nothing else is left, with x87 and SSE alone. */
  readonly frames: readonly PairFrame[]
}

export interface MatrixHost {
  readonly name: string
  /** For people. */
  readonly title: string
  readonly kind: HostKind
  /** Whether frames of the machine that the matrix was made on are like this one's: then its column may be live. */
  readonly here: boolean
  /** Bytes of the task's XSAVE area. */
  readonly size: number
  readonly layout: LayoutJson
}

/** As JSON has it: docs/matrix.schema.json describes it. */
export interface PairMatrix {
  readonly format: 'sigframe matrix'
  readonly version: 1
  readonly tool: { readonly name: 'sigframe'; readonly version: string }
  /** Frames of this ABI. */
  readonly abi: string
  readonly generations: readonly GenerationId[]
  /** uname -r of the kernel that the live ones ran on, and its generation; null where nothing ran. */
  readonly kernel: { readonly release: string; readonly generation: GenerationId | null } | null
  readonly hosts: readonly MatrixHost[]
  /** Generations in their order, for each the sources, for each the destinations. */
  readonly pairs: readonly Pair[]
}
