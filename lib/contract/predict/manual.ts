/**
 * What XRSTOR and FXRSTOR make of odd bytes by the manuals, for CPUs that are not at hand: Intel SDM volume 1, 13.8.1 and
 * 13.5; AMD APM volume 2, 11.5. Where CPUs differ, or the manuals leave it open, nothing is said.
 */
import { viewOf } from '../../bytes.ts'
import { fieldOffset } from '../../xstate/image.ts'
import { type Layout, legacyFeatures, minXsaveSize } from '../../xstate/layout.ts'
import type { HardwareAnswer, HardwareAsk } from './hardware.ts'
import { isPlainComponent } from './plain.ts'

const alignment = { xrstor: 64, fxrstor: 16 } as const
const compacted = 1n << 63n
/** RFBM's bits with which XRSTOR loads MXCSR: SSE and AVX. */
const mxcsrFeatures = 6n
const x87 = 1n
const fswEsAndB = 0x8080
const exceptions = 0x3f
/** FCW: bit 6 always reads 1; 7 and 13..15 are reserved. */
const fcwFixed = 0xe0c0
const fcwFixedValue = 0x40

/** As a CPU saves them: ES and B stand exactly where an exception is pending that is not masked. */
const isX87AsSaved = (view: DataView): boolean => {
  const fcw = view.getUint16(fieldOffset.fcw, true)
  const fsw = view.getUint16(fieldOffset.fsw, true)
  const pending = (fsw & ~fcw & exceptions) !== 0
  return (
    (fcw & fcwFixed) === fcwFixedValue &&
    (fsw & fswEsAndB) === (pending ? fswEsAndB : 0) &&
    view.getUint8(fieldOffset.ftw + 1) === 0
  )
}

/** The area as the instruction reads it: as long as the layout's. */
const areaOf = ({ bytes }: HardwareAsk, { size }: Layout): Uint8Array => {
  const area = new Uint8Array(size)
  area.set(bytes.subarray(0, size))
  return area
}

interface Header {
  readonly xstateBv: bigint
  readonly xcompBv: bigint
  /** Bytes 16..23 of it: the others are reserved, too, and not looked at in the standard form. */
  readonly reserved: bigint
}

const noHeader: Header = { xstateBv: legacyFeatures, xcompBv: 0n, reserved: 0n }

const headerOf = (view: DataView): Header => ({
  xstateBv: view.getBigUint64(fieldOffset.xstateBv, true),
  xcompBv: view.getBigUint64(fieldOffset.xcompBv, true),
  reserved: view.getBigUint64(fieldOffset.reserved, true),
})

/** SDM volume 1, 13.8.1. */
const faultsByHeader = ({ xstateBv, xcompBv, reserved }: Header, { hostFeatures }: Layout): boolean =>
  xcompBv !== 0n || reserved !== 0n || (xstateBv & ~hostFeatures) !== 0n

/** Bytes 16..63 of the header. */
const isReservedZero = (area: Uint8Array): boolean =>
  area.subarray(fieldOffset.reserved, minXsaveSize).every(byte => byte === 0)

/** SDM volume 1, 13.8.2. A CPU without XSAVEC has no such format, and faults by XCOMP_BV itself. */
const faultsCompacted = (
  area: Uint8Array,
  { xstateBv, xcompBv }: Header,
  { hostFeatures }: Layout,
): boolean =>
  (xcompBv & ~compacted & ~hostFeatures) !== 0n || (xstateBv & ~xcompBv) !== 0n || !isReservedZero(area)

/**
 * @param emulated whether it is QEMU's CPU, which lets reserved bits of MXCSR pass or not as its version has it
 * @returns null where the manuals do not say, or CPUs differ
 */
export const answerByTheManual = (
  ask: HardwareAsk,
  layout: Layout,
  emulated = false,
): HardwareAnswer | null => {
  const { instruction, mask, misalignedBy, endsAt } = ask
  if (misalignedBy % alignment[instruction] !== 0) return 'fault'
  if (endsAt !== null) return null
  const area = areaOf(ask, layout)
  const view = viewOf(area)
  const extended = instruction === 'xrstor'
  const header = extended ? headerOf(view) : noHeader
  if ((header.xcompBv & compacted) !== 0n) return faultsCompacted(area, header, layout) ? 'fault' : null
  if (extended && faultsByHeader(header, layout)) return 'fault'
  const loadsMxcsr = !extended || (mask & mxcsrFeatures) !== 0n
  if (loadsMxcsr && (view.getUint32(fieldOffset.mxcsr, true) & ~layout.mxcsrMask) !== 0)
    return emulated ? null : 'fault'
  const loaded = mask & header.xstateBv
  if ((loaded & x87) !== 0n && !isX87AsSaved(view)) return null
  if (layout.extended.some(one => (loaded & one.mask) !== 0n && !isPlainComponent(one, area))) return null
  // As XSAVE would write it, whatever lay in the header’s place.
  if (layout.xsave) view.setBigUint64(fieldOffset.xstateBv, loaded, true)
  return area
}
