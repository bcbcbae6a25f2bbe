/** A frame as the checks see it: its fields, where they are known. Pure. */
import { viewOf } from '../../bytes.ts'
import { checkRecord, isUint8Array, outOfRange, wrongType } from '../../errors.ts'
import { componentNamed } from '../../xstate/components.ts'
import { fieldOffset } from '../../xstate/image.ts'
import {
  Layout,
  legacyFeatures,
  legacySize,
  minXsaveSize,
  type PlacedComponent,
} from '../../xstate/layout.ts'
import { type Abi, checkAbi, type FrameShape, frameShape, type HeadField } from '../abi.ts'
import { type FieldPlace, frameFields, magic1 } from '../format.ts'
import { fsaveSize } from '../fsave.ts'
import type { LintedFrame } from './finding.ts'

/** The sw bytes, as the frame has them. */
export interface Sw {
  readonly magic1: number
  readonly extendedSize: number
  readonly xfeatures: bigint
  readonly xstateSize: number
}

export interface Header {
  readonly xstateBv: bigint
  readonly xcompBv: bigint
}

export interface Subject {
  readonly abi: Abi
  readonly shape: FrameShape
  readonly address: bigint | null
  readonly fsave: Uint8Array | null
  readonly area: Uint8Array
  readonly view: DataView
  /** Bytes of the area that are known. */
  readonly length: number
  /** Of the task: with all that the frame says it has and the CPU has, too. Null where no CPU is known. */
  readonly layout: Layout | null
  /** Of a task there that has asked for nothing. */
  readonly given: Layout | null
  readonly sw: Sw
  /** Null where the frame ends before it, or says that it has none. */
  readonly header: Header | null
  /** Whether the sw bytes speak of an XSAVE area: MAGIC1, and a size that holds a header. */
  readonly extended: boolean
  /** Whether the CPU has XSAVE; without a CPU, whether the frame was made by one that has. */
  readonly xsave: boolean
  /** Bytes of the standard format of its xfeatures; null without a layout, or where it lacks one of them. */
  readonly required: number | null
}

export const readAt = (view: DataView, { at, width }: FieldPlace): bigint => {
  if (width === 8) return view.getBigUint64(at, true)
  return BigInt(width === 4 ? view.getUint32(at, true) : view.getUint16(at, true))
}

/** Four bytes of the area; null beyond what is known. */
export const wordAt = ({ view, length }: Subject, at: number): number | null =>
  at >= 0 && at + 4 <= length ? view.getUint32(at, true) : null

const swOf = (view: DataView): Sw => ({
  magic1: view.getUint32(frameFields['sw.magic1'].at, true),
  extendedSize: view.getUint32(frameFields['sw.extendedSize'].at, true),
  xfeatures: view.getBigUint64(frameFields['sw.xfeatures'].at, true),
  xstateSize: view.getUint32(frameFields['sw.xstateSize'].at, true),
})

const noSw: Sw = Object.freeze({ magic1: 0, extendedSize: 0, xfeatures: 0n, xstateSize: 0 })

/** AMX tile data joins a task's frames when the kernel lets it in: the CPU's layout has a place for it all the same. */
const taskLayout = (layout: Layout | null, xfeatures: bigint): Layout | null => {
  if (layout === null || !layout.xsave) return layout
  const features = layout.features | (xfeatures & layout.hostFeatures)
  if (features === layout.features) return layout
  try {
    return layout.withFeatures(features)
  } catch {
    // The host has it, and its leaf 0xD does not say where.
    return layout
  }
}

const requiredOf = (layout: Layout | null, xfeatures: bigint): number | null => {
  if (layout === null || !layout.xsave) return null
  const features = xfeatures | legacyFeatures
  return (features & ~layout.features) === 0n ? layout.sizeFor(features) : null
}

const checkFrame = (frame: LintedFrame): void => {
  const { abi, address, head, fsave, fpstate } = checkRecord('frame', frame) as unknown as LintedFrame
  const { headBytes, fsaveSize: below } = frameShape(checkAbi('frame.abi', abi))
  if (!isUint8Array(fpstate)) throw wrongType('frame.fpstate', fpstate, 'a Uint8Array')
  if (address !== null && typeof address !== 'bigint')
    throw wrongType('frame.address', address, 'a bigint or null')
  if (head !== null && !isUint8Array(head)) throw wrongType('frame.head', head, 'a Uint8Array or null')
  if (head !== null && head.length !== headBytes)
    throw outOfRange('frame.head.length', head.length, `must be ${headBytes}`)
  if (fsave !== null && !isUint8Array(fsave)) throw wrongType('frame.fsave', fsave, 'a Uint8Array or null')
  if (fsave !== null && below === 0) throw wrongType('frame.fsave', fsave, `null: frames of ${abi} have none`)
  if (fsave !== null && fsave.length !== fsaveSize)
    throw outOfRange('frame.fsave.length', fsave.length, `must be ${fsaveSize}`)
}

/** @throws TypeError, RangeError where a part is not of the size that the ABI gives it */
export const subjectOf = (frame: LintedFrame, given: Layout | null): Subject => {
  checkFrame(frame)
  if (given !== null && !Layout.is(given)) throw wrongType('layout', given, 'a Layout or null')
  const { abi, address, fsave, fpstate: area } = frame
  const view = viewOf(area)
  const sw = area.length >= legacySize ? swOf(view) : noSw
  const extended = sw.magic1 === magic1 && sw.xstateSize >= minXsaveSize
  const layout = taskLayout(given, sw.xfeatures)
  const header = {
    xstateBv: area.length >= minXsaveSize ? view.getBigUint64(fieldOffset.xstateBv, true) : 0n,
    xcompBv: area.length >= minXsaveSize ? view.getBigUint64(fieldOffset.xcompBv, true) : 0n,
  }
  return {
    abi,
    shape: frameShape(abi),
    address,
    fsave,
    area,
    view,
    length: area.length,
    layout,
    given,
    sw,
    header: extended && area.length >= minXsaveSize && layout?.xsave !== false ? header : null,
    extended,
    xsave: given?.xsave ?? extended,
    required: requiredOf(layout, sw.xfeatures),
  }
}

/** A field of the head; null where there is no head, or these frames have no such field. */
export const headFieldOf = ({ abi }: Subject, head: Uint8Array | null, name: HeadField): bigint | null => {
  const place = frameShape(abi).fields[name]
  return head === null || place === undefined ? null : readAt(viewOf(head), place)
}

/** The components whose bytes XRSTOR loads, where all of them are known and the format is the standard one. */
export const loadedFrom = ({ header, layout, sw, length }: Subject): readonly PlacedComponent[] => {
  if (header === null || layout === null || header.xcompBv !== 0n) return []
  const loaded = header.xstateBv & sw.xfeatures
  return layout.extended.filter(
    ({ mask, end }) => (loaded & mask) !== 0n && end <= Math.min(length, sw.xstateSize),
  )
}

/** Whether x87 is loaded from the frame: a frame without a header has nothing but x87 and SSE. */
export const hasX87 = ({ header }: Subject): boolean =>
  header === null || (header.xstateBv & componentNamed('x87').mask) !== 0n
