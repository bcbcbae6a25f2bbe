/** A signal frame's fpstate as named fields, read-only: the frame as the kernel wrote it, or as it was sent. */
import { checkInteger } from '../errors.ts'
import type { ComponentName } from '../xstate/components.ts'
import type { Layout } from '../xstate/layout.ts'
import { type FrameField, fpstatePointerOffset, frameFields, headSize } from './format.ts'

/** The sw bytes (`struct _fpx_sw_bytes`), 464..511 of the fpstate. Sizes in bytes. */
export interface SwBytes {
  /** 0x46505853 when the frame has extended state. */
  readonly magic1: number
  /** xstate_size and what follows it: MAGIC2, for 32-bit frames also the fsave header. */
  readonly extendedSize: number
  /** The components that the frame has. */
  readonly xfeatures: bigint
  /** Bytes of the XSAVE area: where MAGIC2 stands. */
  readonly xstateSize: number
}

/** One recorded frame. Its bytes are its own copy. */
export class FrameRecord {
  /** The frame below its fpstate: pretcode, ucontext and siginfo, {@link headSize} bytes. */
  readonly head: Uint8Array
  /** The fpstate: XSAVE area, MAGIC2, and whatever an edit put behind it. */
  readonly fpstate: Uint8Array
  readonly #view: DataView
  readonly #layout: Layout

  constructor(head: Uint8Array, fpstate: Uint8Array, layout: Layout) {
    this.head = head
    this.fpstate = fpstate
    this.#view = new DataView(fpstate.buffer, fpstate.byteOffset, fpstate.byteLength)
    this.#layout = layout
  }

  #read32(field: FrameField): number {
    return this.#view.getUint32(frameFields[field].at, true)
  }

  #read64(field: FrameField): bigint {
    // A frame of a host without XSAVE ends before the header.
    const { at, width } = frameFields[field]
    return at + width <= this.#view.byteLength ? this.#view.getBigUint64(at, true) : 0n
  }

  get sw(): SwBytes {
    return {
      magic1: this.#read32('sw.magic1'),
      extendedSize: this.#read32('sw.extendedSize'),
      xfeatures: this.#read64('sw.xfeatures'),
      xstateSize: this.#read32('sw.xstateSize'),
    }
  }

  get xstateBv(): bigint {
    return this.#read64('xstateBv')
  }

  get xcompBv(): bigint {
    return this.#read64('xcompBv')
  }

  get mxcsr(): number {
    return this.#read32('mxcsr')
  }

  /** uc_mcontext.fpstate: an address in the probe process. */
  get fpstatePointer(): bigint {
    const head = new DataView(this.head.buffer, this.head.byteOffset, headSize)
    return head.getBigUint64(fpstatePointerOffset, true)
  }

  /** The four bytes at an offset, where MAGIC2 is looked for; undefined beyond what was recorded. */
  magic2At(offset: number): number | undefined {
    checkInteger('offset', offset, 0, 0xffff_ffff)
    return offset + 4 <= this.#view.byteLength ? this.#view.getUint32(offset, true) : undefined
  }

  /** A copy of the component's bytes as they stand in the frame, whatever XSTATE_BV says. */
  component(name: ComponentName): Uint8Array {
    const { offset, end } = this.#layout.component(name)
    return this.fpstate.slice(offset, end)
  }
}
