/** What is known of a frame on its way through the kernel's decisions. */
import { magic1 } from '../../frame/format.ts'
import { fieldOffset } from '../../xstate/image.ts'
import { legacyFeatures, legacySize, minXsaveSize } from '../../xstate/layout.ts'
import type { Policy } from '../policy.ts'
import { overlaps, type Range, type SentFrame } from './frame.ts'
import type { HardwareAnswer, HardwareAsk } from './hardware.ts'
import type { Task } from './task.ts'

const swAt = { magic1: 464, extendedSize: 468, xfeatures: 472, xstateSize: 480 } as const

const noBytes = new DataView(new ArrayBuffer(minXsaveSize))

/** Mutable: one for each prediction, and for the time of it. */
export class Walk {
  readonly frame: SentFrame
  readonly task: Task
  readonly policy: Policy
  readonly view: DataView
  readonly answer: HardwareAnswer | undefined
  /** The legacy region alone is restored, by FXRSTOR. */
  fxOnly = false
  /** Bytes that are faulted in where XRSTOR meets a page fault. */
  faultedIn: number
  /** What the kernel has copied of the area so far: pages that were absent there are present now. */
  readonly copied: Range[] = []
  /** What the hardware is asked where its answer is missing. */
  ask: HardwareAsk | null = null
  /** Why the bytes are odd: bits in the order in which hardware looks, see odd.ts. */
  odd = 0
  /** See fold.ts: made once. */
  folded: Uint8Array | undefined
  // Read when they are asked for: a frame may be too short to have them.
  #xfeatures: bigint | undefined
  #known: bigint | undefined
  #xstateBv: bigint | undefined

  constructor(frame: SentFrame, task: Task, policy: Policy, answer: HardwareAnswer | undefined) {
    this.frame = frame
    this.task = task
    this.policy = policy
    this.answer = answer
    const { area } = frame
    this.view =
      area.length < legacySize ? noBytes : new DataView(area.buffer, area.byteOffset, area.byteLength)
    this.faultedIn = task.layout.size
  }

  get hasMagic1(): boolean {
    return this.view.getUint32(swAt.magic1, true) === magic1
  }

  get extendedSize(): number {
    return this.view.getUint32(swAt.extendedSize, true)
  }

  get xstateSize(): number {
    return this.view.getUint32(swAt.xstateSize, true)
  }

  get xfeatures(): bigint {
    this.#xfeatures ??= this.view.getBigUint64(swAt.xfeatures, true)
    return this.#xfeatures
  }

  /** The sw bytes' features that the task has. */
  get known(): bigint {
    this.#known ??= this.xfeatures & this.task.layout.features
    return this.#known
  }

  /** What is restored from the frame: the requested-feature bitmap. */
  get mask(): bigint {
    return this.fxOnly ? legacyFeatures : this.known
  }

  /** Whether the header is among the known bytes. */
  get hasHeader(): boolean {
    return this.view.byteLength >= minXsaveSize
  }

  get xstateBv(): bigint {
    this.#xstateBv ??= this.view.getBigUint64(fieldOffset.xstateBv, true)
    return this.#xstateBv
  }

  get xcompBv(): bigint {
    return this.view.getBigUint64(fieldOffset.xcompBv, true)
  }

  get mxcsr(): number {
    return this.view.getUint32(fieldOffset.mxcsr, true)
  }

  /** Whether these bytes lie on pages that are not there at once, the copied ones apart. */
  faults(range: Range): boolean {
    return this.frame.pages.some(
      page =>
        overlaps(page, range) &&
        (page.reach === 'unreadable' || !this.copied.some(copied => overlaps(page, copied))),
    )
  }
}

const compacted = 1n << 63n

/** Whether XRSTOR takes the area for one in the compacted format: SDM volume 1, 13.8. */
export const isCompacted = ({ xcompBv }: Walk): boolean => (xcompBv & compacted) !== 0n
