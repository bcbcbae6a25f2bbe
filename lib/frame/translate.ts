/**
 * A signal frame in another layout: what a kernel would restore from it on its own machine, as a kernel of the target
 * would have written it. A frame that its own kernel would not restore whole is refused: from such a one nobody knows
 * what was meant. Pure.
 */
import { viewOf } from '../bytes.ts'
import { hex, isUint8Array, wrongType } from '../errors.ts'
import { componentAt } from '../xstate/components.ts'
import { fieldOffset, initMxcsr, XsaveImage } from '../xstate/image.ts'
import { Layout, legacyFeatures, legacySize, minXsaveSize } from '../xstate/layout.ts'
import {
  type Lacking,
  type TranslatedImage,
  type TranslateOptions,
  translateImage,
} from '../xstate/translate.ts'
import { type Abi, frameShape } from './abi.ts'
import { frameFields, magic1, magic2, magic2Size } from './format.ts'
import { fsaveOf, readFsave } from './fsave.ts'
import { restorable } from './reader.ts'

/** UC_FP_XSTATE (arch/x86/include/uapi/asm/ucontext.h): the frame has extended state. The kernel sets it and does not read it. */
export const ucFpXstate = 1

/** A frame and the layout that it was made under. */
export interface PlacedFrame {
  readonly abi: Abi
  /** Of its task, or of one on the same CPU that has not asked for tiles. */
  readonly layout: Layout
  /** `frameShape(abi).headBytes` bytes; null where they are not known. */
  readonly head: Uint8Array | null
  /** The fsave header of a 32-bit frame, 112 bytes; null for 64-bit ones. */
  readonly fsave: Uint8Array | null
  /** From the XSAVE area on; whatever lies behind MAGIC2 is not looked at. */
  readonly fpstate: Uint8Array
}

export interface TranslatedFrame extends PlacedFrame, Pick<TranslatedImage, 'carried' | 'dropped' | 'added'> {
  readonly kind: 'translated'
  /** What a kernel of the target restores from it. */
  readonly image: XsaveImage
}

/** The frame's own kernel would not restore all that it says it has, or nothing of it. */
export interface Malformed {
  readonly kind: 'malformed'
  /** `sw.xstateSize`, `MAGIC2`. */
  readonly field: string
  /** In one line: field, value, limit. */
  readonly message: string
}

const malformed = (field: string, value: number | bigint, limit: string): Malformed => ({
  kind: 'malformed',
  field,
  message: `${field} is ${typeof value === 'bigint' ? hex(value) : value}, ${limit}`,
})

const fxOnly = 'the kernel would restore the legacy region alone, and put all else to init'
const rejected = 'the kernel would reject the frame with SIGSEGV'

const lengthFault = ({ abi, layout, head, fsave, fpstate }: PlacedFrame): Malformed | null => {
  const shape = frameShape(abi)
  if (head !== null && head.length !== shape.headBytes)
    return malformed('head.length', head.length, `must be ${shape.headBytes}`)
  const below = fsave?.length ?? 0
  if (below !== shape.fsaveSize) return malformed('fsave.length', below, `must be ${shape.fsaveSize}`)
  const needed = layout.xsave ? minXsaveSize : legacySize
  if (fpstate.length >= needed) return null
  return malformed('fpstate.length', fpstate.length, `must be at least ${needed}`)
}

/** The sw bytes. */
interface Said {
  readonly magic1: number
  readonly extendedSize: number
  readonly xfeatures: bigint
  readonly xstateSize: number
}

const saidBy = (view: DataView): Said => ({
  magic1: view.getUint32(frameFields['sw.magic1'].at, true),
  extendedSize: view.getUint32(frameFields['sw.extendedSize'].at, true),
  xfeatures: view.getBigUint64(frameFields['sw.xfeatures'].at, true),
  xstateSize: view.getUint32(frameFields['sw.xstateSize'].at, true),
})

/** Bits that its CPU lacks: a frame of another one, whose components nobody knows the places of. */
const featuresFault = ({ xfeatures }: Said, { features }: Layout): Malformed | null => {
  const wrong = (limit: string) => malformed('sw.xfeatures', xfeatures, limit)
  if ((xfeatures & ~features) !== 0n) return wrong(`which has bits outside the layout’s ${hex(features)}`)
  if ((xfeatures & legacyFeatures) === legacyFeatures) return null
  return wrong(`must include ${hex(legacyFeatures)} (x87 sse): the kernel would put them to init`)
}

const sizeFault = ({ xstateSize, extendedSize, xfeatures }: Said, layout: Layout): Malformed | null => {
  const wrong = (limit: string) => malformed('sw.xstateSize', xstateSize, limit)
  if (xstateSize < minXsaveSize) return wrong(`must be at least ${minXsaveSize}: ${fxOnly}`)
  if (xstateSize > layout.size) return wrong(`must be at most ${layout.size}: ${fxOnly}`)
  const required = layout.sizeFor(xfeatures)
  if (xstateSize < required)
    return wrong(`must be at least ${required}, for the components of sw.xfeatures ${hex(xfeatures)}`)
  const least = xstateSize + magic2Size
  if (extendedSize >= least) return null
  return malformed('sw.extendedSize', extendedSize, `must be at least ${least}: ${fxOnly}`)
}

/** What the sw bytes promise, and MAGIC2: whether the kernel believes them. */
const swFault = (view: DataView, layout: Layout): Malformed | null => {
  const said = saidBy(view)
  if (said.magic1 !== magic1)
    return malformed('sw.magic1', BigInt(said.magic1), `must be ${hex(magic1)}: ${fxOnly}`)
  const fault = featuresFault(said, layout) ?? sizeFault(said, layout)
  if (fault !== null) return fault
  const end = said.xstateSize + magic2Size
  if (view.byteLength < end) return malformed('fpstate.length', view.byteLength, `must be at least ${end}`)
  const found = view.getUint32(said.xstateSize, true)
  if (found === magic2) return null
  return malformed('MAGIC2', BigInt(found), `must be ${hex(magic2)} at ${said.xstateSize}: ${fxOnly}`)
}

const headerFault = (view: DataView, layout: Layout): Malformed | null => {
  const xstateBv = view.getBigUint64(frameFields.xstateBv.at, true)
  if ((xstateBv & ~layout.features) !== 0n)
    return malformed('xstateBv', xstateBv, `which has bits outside ${hex(layout.features)}: ${rejected}`)
  const xcompBv = view.getBigUint64(frameFields.xcompBv.at, true)
  // 64-bit kernels take it, as a proper compacted image; none writes it, and where its components lie it does not say.
  if (xcompBv !== 0n)
    return malformed(
      'xcompBv',
      xcompBv,
      'must be 0x0: frames are in the standard format, not in the compacted one',
    )
  for (let i: number = fieldOffset.reserved; i < minXsaveSize; i++)
    if (view.getUint8(i) !== 0) return malformed(`header[${i}]`, view.getUint8(i), 'must be 0: reserved')
  return null
}

const mxcsrFault = (view: DataView, { mxcsrMask }: Layout): Malformed | null => {
  const mxcsr = view.getUint32(fieldOffset.mxcsr, true)
  if ((BigInt(mxcsr) & ~BigInt(mxcsrMask)) === 0n) return null
  return malformed('mxcsr', BigInt(mxcsr), `which has bits outside ${hex(mxcsrMask)}: ${rejected}`)
}

const faultOf = (frame: PlacedFrame): Malformed | null => {
  const { layout, fpstate } = frame
  const view = viewOf(fpstate)
  const header = () => swFault(view, layout) ?? headerFault(view, layout)
  return lengthFault(frame) ?? (layout.xsave ? header() : null) ?? mxcsrFault(view, layout)
}

/** The layout of the task that had the frame: tiles join it once the kernel lets it have them, and the frame says so. */
const taskLayout = ({ layout, fpstate }: PlacedFrame): Layout => {
  if (!layout.xsave || fpstate.length < legacySize) return layout
  const features = layout.features | (saidBy(viewOf(fpstate)).xfeatures & layout.hostFeatures)
  if (features === layout.features) return layout
  try {
    return layout.withFeatures(features)
  } catch {
    // The CPU has it, and nobody says where, or what is said cannot be.
    return layout
  }
}

const sse = componentAt(1).mask
const x87 = componentAt(0).mask

/** What a kernel of the frame's machine restores from it, as an image of its layout. The frame is known to be well formed. */
const restoredImage = ({ abi, layout, fsave, fpstate }: PlacedFrame): XsaveImage => {
  const area = restorable({ abi, head: new Uint8Array(0), fsave, fpstate })
  const image = new XsaveImage(new Uint8Array(layout.size), layout)
  image.bytes.set(area.subarray(0, layout.size))
  if (!layout.xsave) return image
  image.xstateBv &= saidBy(viewOf(area)).xfeatures
  // XRSTOR of a 64-bit frame loads it whatever XSTATE_BV says; into the kernel's buffer of a 32-bit one it comes with SSE.
  if (frameShape(abi).fsave && (image.xstateBv & sse) === 0n) image.mxcsr = initMxcsr
  return image
}

const writeSw = (view: DataView, { size, features }: Layout, trailer: number): void => {
  view.setUint32(frameFields['sw.magic1'].at, magic1, true)
  view.setUint32(frameFields['sw.extendedSize'].at, size + trailer, true)
  view.setBigUint64(frameFields['sw.xfeatures'].at, features, true)
  view.setUint32(frameFields['sw.xstateSize'].at, size, true)
  view.setUint32(size, magic2, true)
}

/** As the kernel writes it: all that the task has, in its whole size, so that every generation finds MAGIC2. */
const fpstateOf = ({ bytes, layout, xstateBv }: XsaveImage, trailer: number): Uint8Array => {
  const fpstate = new Uint8Array(layout.size + (layout.xsave ? magic2Size : 0))
  fpstate.set(bytes)
  if (!layout.xsave) return fpstate
  const view = viewOf(fpstate)
  writeSw(view, layout, trailer)
  view.setBigUint64(frameFields.xstateBv.at, xstateBv | legacyFeatures, true)
  return fpstate
}

/** The frame's own. Where XSTATE_BV had x87 at init nothing of it was read, and would be now: then one that says so. */
const fsaveFor = (fsave: Uint8Array, before: XsaveImage, area: Uint8Array): Uint8Array => {
  if ((before.xstateBv & x87) !== 0n) return Uint8Array.from(fsave)
  const { cssel, datasel } = readFsave(fsave)
  return fsaveOf(area, { cs: cssel & 0xffff, ds: datasel & 0xffff })
}

const headFor = (head: Uint8Array, abi: Abi, { xsave }: Layout): Uint8Array => {
  const result = Uint8Array.from(head)
  const at = frameShape(abi).fields.ucFlags?.at
  if (at !== undefined) result[at] = ((result[at] ?? 0) & ~ucFpXstate) | (xsave ? ucFpXstate : 0)
  return result
}

const checkFrame = ({ layout, head, fsave, fpstate }: PlacedFrame): void => {
  if (!Layout.is(layout)) throw wrongType('frame.layout', layout, 'a Layout')
  if (!isUint8Array(fpstate)) throw wrongType('frame.fpstate', fpstate, 'a Uint8Array')
  if (fsave !== null && !isUint8Array(fsave)) throw wrongType('frame.fsave', fsave, 'a Uint8Array or null')
  if (head !== null && !isUint8Array(head)) throw wrongType('frame.head', head, 'a Uint8Array or null')
}

/**
 * The frame as a kernel of the target writes it for the same state: what XSTATE_BV, the sw bytes and the layout together
 * have the kernel restore, x87 from the fsave header of a 32-bit frame. Sizes and MAGIC2 are the target's; XSTATE_BV
 * has bits 0 and 1, as in every frame that a kernel writes. Nothing lies behind MAGIC2: whoever puts the frame on a
 * larger one's place clears what is left of that. What lies below the fpstate is kept, UC_FP_XSTATE apart: where the
 * frame is put, and that its pointers lead there, is the business of whoever puts it there.
 * @returns the frame; or why the target cannot hold it; or what is wrong with it, so that its own kernel would not
 *   restore it whole
 * @throws TypeError for parts that are none, TypeError and RangeError for an ABI that is none
 */
export const translateFrame = (
  frame: PlacedFrame,
  to: Layout,
  options: TranslateOptions = {},
): TranslatedFrame | Lacking | Malformed => {
  checkFrame(frame)
  const { abi, fsave, head } = frame
  const { trailer } = frameShape(abi)
  const known = { ...frame, layout: taskLayout(frame) }
  const fault = faultOf(known)
  if (fault !== null) return fault
  const before = restoredImage(known)
  const translated = translateImage(before, to, options)
  if (translated.kind === 'lacking') return translated
  const { image, carried, dropped, added } = translated
  const fpstate = fpstateOf(image, trailer)
  return {
    kind: 'translated',
    abi,
    layout: to,
    head: head === null ? null : headFor(head, abi, to),
    fsave: fsave === null ? null : fsaveFor(fsave, before, fpstate),
    fpstate,
    image,
    carried,
    dropped,
    added,
  }
}
