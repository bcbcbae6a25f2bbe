/** A signal frame's fpstate as named fields, read-only: the frame as the kernel wrote it, or as it was sent. */
import { checkInteger, outOfRange } from '../errors.ts'
import type { ComponentName } from '../xstate/components.ts'
import type { Layout } from '../xstate/layout.ts'
import { type Abi, frameShape } from './abi.ts'
import { type FieldPlace, type FrameField, frameFields } from './format.ts'
import { foldFsave } from './fsave.ts'

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

/** A frame in its three parts. */
export interface FrameParts {
  readonly abi: Abi
  /** The frame below its fpstate, `frameShape(abi).headBytes` bytes: restorer, ucontext and siginfo. */
  readonly head: Uint8Array
  /** The fsave header of a 32-bit frame, 112 bytes right below the XSAVE area; null for 64-bit ones. */
  readonly fsave: Uint8Array | null
  /** The fpstate: XSAVE area, MAGIC2, and whatever an edit put behind it. */
  readonly fpstate: Uint8Array
}

const readUnsigned = (bytes: Uint8Array, { at, width }: FieldPlace): bigint => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (width === 8) return view.getBigUint64(at, true)
  return BigInt(width === 4 ? view.getUint32(at, true) : view.getUint16(at, true))
}

/** The fpstate from which the kernel restores: in a 32-bit frame the x87 state is that of the fsave header. */
export const restorable = ({ fpstate, fsave }: FrameParts): Uint8Array =>
  fsave === null ? fpstate : foldFsave(fpstate, fsave)

/** One recorded frame. Its bytes are its own copy. */
export class FrameRecord implements FrameParts {
  readonly abi: Abi
  readonly head: Uint8Array
  readonly fsave: Uint8Array | null
  readonly fpstate: Uint8Array
  readonly #view: DataView
  readonly #layout: Layout

  constructor({ abi, head, fsave, fpstate }: FrameParts, layout: Layout) {
    this.abi = abi
    this.head = head
    this.fsave = fsave
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

  /** A field of the head by its name in `frameShape(abi).fields`. @throws RangeError for one that is not there */
  headField(name: string): bigint {
    const { fields, abi } = frameShape(this.abi)
    const place = (fields as Readonly<Record<string, FieldPlace>>)[name]
    if (place === undefined) throw outOfRange('name', name, `which frames of ${abi} do not have`)
    return readUnsigned(this.head, place)
  }

  /** The fpstate pointer, an address in the probe process: of the XSAVE area, or of the fsave header before it. */
  get fpstatePointer(): bigint {
    return this.headField('fpstate')
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
