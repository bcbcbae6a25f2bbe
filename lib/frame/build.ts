/** The fpstate of a frame from nothing but a register state: as the kernel writes it at delivery. Pure. */
import { wrongType } from '../errors.ts'
import { fieldOffset, initFcw, validateLoadable, XsaveImage } from '../xstate/image.ts'
import { type Layout, legacyFeatures, type PlacedComponent } from '../xstate/layout.ts'
import { type Abi, frameShape } from './abi.ts'
import { frameFields, magic1, magic2, magic2Size } from './format.ts'
import { fsaveOf, type Segments } from './fsave.ts'

export interface BuiltFpstate {
  /** The fsave header of a 32-bit frame. It lies directly below the fpstate, and the frame points to it. */
  readonly fsave: Uint8Array | null
  /** The XSAVE area and MAGIC2; without XSAVE the legacy region alone. To be placed at a multiple of 64. */
  readonly fpstate: Uint8Array
}

/** __USER32_CS and __USER_DS: what a 32-bit program runs with. */
export const userSegments32: Segments = Object.freeze({ cs: 0x23, ds: 0x2b })

const isSet = (mask: bigint, { mask: bit }: PlacedComponent): boolean => (mask & bit) !== 0n

// What no register holds stays 0: the byte behind FTW, the 6 behind each ST.
const copyX87 = (from: Uint8Array, to: Uint8Array): void => {
  to.set(from.subarray(fieldOffset.fcw, fieldOffset.ftw + 1), fieldOffset.fcw)
  to.set(from.subarray(fieldOffset.fop, fieldOffset.mxcsr), fieldOffset.fop)
  for (let at: number = fieldOffset.st; at < fieldOffset.xmm; at += 16) to.set(from.subarray(at, at + 10), at)
}

// Init values are zeros but for FCW: XSAVE writes them whatever XSTATE_BV says.
const copyComponent = (image: XsaveImage, to: Uint8Array, placed: PlacedComponent): void => {
  const inUse = isSet(image.xstateBv, placed)
  if (placed.name === 'x87') {
    if (inUse) copyX87(image.bytes, to)
    else new DataView(to.buffer).setUint16(fieldOffset.fcw, initFcw, true)
  } else if (inUse) {
    to.set(image.component(placed.name), placed.offset)
  }
}

const writeHeader = (to: DataView, layout: Layout, xstateBv: bigint, trailer: number): void => {
  to.setUint32(frameFields['sw.magic1'].at, magic1, true)
  to.setUint32(frameFields['sw.extendedSize'].at, layout.size + trailer, true)
  to.setBigUint64(frameFields['sw.xfeatures'].at, layout.features, true)
  to.setUint32(frameFields['sw.xstateSize'].at, layout.size, true)
  to.setBigUint64(frameFields.xstateBv.at, xstateBv | legacyFeatures, true)
  to.setUint32(layout.size, magic2, true)
}

/**
 * The fpstate that the kernel writes when a signal hits a task with these registers, byte for byte but for:
 * - what nobody writes, and so keeps what the stack held: 416..463, gaps between components, tile data in its init
 *   state. Here zeros. Nor need PKRU's and BNDCSR's last bytes be written: here the image's;
 * - XSTATE_BV bits of components that hold their init value. Here the image's. Hardware may clear or set them, and
 *   kernels with ae6012d72fa6 (6.13) always set PKRU's;
 * - FOP, FIP and FDP without a pending exception, for which AMD CPUs write 0. Here the image's;
 * - the sw bytes without XSAVE. Here zeros: some kernels write them all the same, and none reads them.
 * @param image its XSTATE_BV tells which components are in their init state
 * @param segments those of the interrupted code; 32-bit frames alone have them
 * @throws TypeError, RangeError when the image cannot be loaded in this layout, or the ABI is none
 */
export const buildFpstate = (
  layout: Layout,
  image: XsaveImage,
  abi: Abi,
  segments: Segments = userSegments32,
): BuiltFpstate => {
  if (!XsaveImage.is(image)) throw wrongType('image', image, 'an XsaveImage')
  validateLoadable(image, layout, 'image')
  const shape = frameShape(abi)
  const fpstate = new Uint8Array(layout.size + (layout.xsave ? magic2Size : 0))
  const view = new DataView(fpstate.buffer)
  for (const placed of layout.components) copyComponent(image, fpstate, placed)
  view.setUint32(fieldOffset.mxcsr, image.mxcsr, true)
  view.setUint32(fieldOffset.mxcsrMask, layout.mxcsrMask, true)
  if (layout.xsave) writeHeader(view, layout, image.xstateBv, shape.trailer)
  return { fsave: shape.fsave ? fsaveOf(fpstate, segments) : null, fpstate }
}
