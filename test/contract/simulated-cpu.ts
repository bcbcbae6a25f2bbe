/** XRSTOR and FXRSTOR of a CPU that is not here: SDM volume 1, 13.8, and what CPUs do where it leaves them the choice. */
import type { GenerationId } from '../../lib/contract/generations.ts'
import type { HardwareAnswer, HardwareAsk } from '../../lib/contract/predict/hardware.ts'
import { fieldOffset, initFcw, initMxcsr, type XsaveImage } from '../../lib/xstate/image.ts'
import {
  type Layout,
  legacyFeatures,
  legacySize,
  minXsaveSize,
  type PlacedComponent,
} from '../../lib/xstate/layout.ts'
import { createMemory, type Memory } from './simulated-memory.ts'
import type { Slip } from './simulated-slips.ts'

/** A CPU and its kernel. */
export interface Machine {
  readonly layout: Layout
  readonly generation: GenerationId
  /**
   * Whether the CPU has XSAVES, and with it XSAVEC and the compacted format. The kernel saves and restores by it then,
   * and MXCSR belongs to SSE.
   */
  readonly xsaves: boolean
  /**
   * Whether XRSTOR touches all components that it is asked for, also those that XSTATE_BV lacks, and whole lines of them:
   * Intel’s CPUs do.
   */
  readonly touchesAll?: boolean | undefined
  /** Whether XRSTOR clears ZMM_Hi256, too, where it puts AVX to init: an emulator does. */
  readonly losesZmmHi256?: boolean | undefined
  readonly slip?: Slip | undefined
}

/** XRSTOR, or FXRSTOR, with what of the frame is believed. */
export interface Believed {
  readonly fxOnly: boolean
  readonly mask: bigint
  /** Bytes that are faulted in where XRSTOR meets a page fault. */
  readonly faultedIn: number
}

const pageSize = 4096
const supervisor = 0x1800n
const compacted = 1n << 63n
const sseOrAvx = 6n

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
export const u32 = (bytes: Uint8Array, at: number): number => viewOf(bytes).getUint32(at, true)
export const u64 = (bytes: Uint8Array, at: number): bigint => viewOf(bytes).getBigUint64(at, true)

export interface Header {
  readonly xstateBv: bigint
  readonly xcompBv: bigint
  /** Behind XCOMP_BV: 48 bytes. */
  readonly reserved: Uint8Array
}

export const headerOf = (bytes: Uint8Array): Header => ({
  xstateBv: u64(bytes, 0),
  xcompBv: u64(bytes, 8),
  reserved: bytes.subarray(16),
})

export const isZero = (bytes: Uint8Array): boolean => bytes.every(byte => byte === 0)

/** The bits of XSTATE_BV that are let pass though nobody has them. */
export const letPass = ({ slip }: Machine): bigint => {
  if (slip === 'unknown XSTATE_BV is accepted') return ~0n
  return slip === 'supervisor XSTATE_BV is accepted' ? supervisor : 0n
}

/** Whether XRSTOR raises #GP by the header: SDM volume 1, 13.8.1 and 13.8.2. */
const hardwareRefuses = (machine: Machine, { xstateBv, xcompBv, reserved }: Header): boolean => {
  const { layout, xsaves, slip } = machine
  const unknown = (bits: bigint): boolean => (bits & ~layout.hostFeatures & ~letPass(machine)) !== 0n
  if (slip !== 'XCOMP_BV is ignored') {
    if ((xcompBv & compacted) !== 0n)
      return (
        !xsaves ||
        slip === 'compacted frames are rejected' ||
        unknown(xcompBv & ~compacted) ||
        (xstateBv & ~xcompBv) !== 0n ||
        !isZero(reserved)
      )
    if (xcompBv !== 0n) return true
  }
  if (slip !== 'the reserved header is ignored' && !isZero(reserved.subarray(0, 8))) return true
  return unknown(xstateBv)
}

export const mxcsrRefused = ({ layout, slip }: Machine, mxcsr: number): boolean =>
  slip !== 'reserved MXCSR is accepted' && (BigInt(mxcsr) & ~BigInt(layout.mxcsrMask)) !== 0n

export const isSet = (mask: bigint, { mask: bit }: PlacedComponent): boolean => (mask & bit) !== 0n

/** What XSTATE_BV counts for. */
export const inUse = ({ layout, slip }: Machine, { xstateBv }: Header): bigint =>
  slip === 'XSTATE_BV is ignored' ? layout.features : xstateBv

export type Range = readonly [at: number, length: number]

const line = 64

/** What is touched of a component: what is read of it, or all lines that it lies in, the legacy region as a whole. */
const rangesOf = ({ touchesAll }: Machine, { ranges, offset, size, index }: PlacedComponent): Range[] => {
  if (touchesAll !== true) return ranges.map(one => [one.offset, one.size])
  return index < 2 ? [[0, legacySize]] : [[offset, Math.ceil(size / line) * line]]
}

/** What the instruction touches of the area, the header apart. */
const componentReads = (machine: Machine, area: number, header: Header, mask: bigint): Range[] => {
  const touched = machine.touchesAll === true ? mask : mask & inUse(machine, header)
  // In the compacted format MXCSR is SSE's: SDM volume 1, 13.8.2.
  const asCompacted = (header.xcompBv & compacted) !== 0n
  const loadsMxcsr = ((asCompacted ? touched & 2n : mask) & sseOrAvx) !== 0n
  const components = machine.layout.components.filter(one => isSet(touched, one))
  return [
    ...(loadsMxcsr ? [[area + fieldOffset.mxcsr, 8] as const] : []),
    ...components.flatMap(one => rangesOf(machine, one).map(([at, size]): Range => [area + at, size])),
  ]
}

/** What it touches, as far as the header can be had that tells. */
export const touchedBy = (machine: Machine, memory: Memory, area: number, believed: Believed): Range[] => {
  if (believed.fxOnly) return [[area, legacySize]]
  const at: Range = [area + legacySize, minXsaveSize - legacySize]
  const bytes = memory.read(...at)
  return bytes === null ? [at] : [at, ...componentReads(machine, area, headerOf(bytes), believed.mask)]
}

/** Whether the instruction raises #GP; page faults are no matter of this. */
export const raisesGp = (machine: Machine, memory: Memory, area: number, believed: Believed): boolean => {
  const { slip } = machine
  const alignment = believed.fxOnly ? 16 : 64
  if (area % alignment !== 0 && slip !== 'misaligned frames are accepted') return true
  const word = memory.read(area + fieldOffset.mxcsr, 4)
  const refused = word !== null && mxcsrRefused(machine, u32(word, 0))
  if (believed.fxOnly) return refused
  const bytes = memory.read(area + legacySize, minXsaveSize - legacySize)
  if (bytes === null) return false
  const header = headerOf(bytes)
  if (hardwareRefuses(machine, header)) return true
  const asCompacted = (header.xcompBv & compacted) !== 0n
  const loads = asCompacted ? believed.mask & header.xstateBv & 2n : believed.mask & sseOrAvx
  return loads !== 0n && refused
}

const putToInit = (image: XsaveImage, { name, mask, ranges }: PlacedComponent): void => {
  for (const { offset, size } of ranges) image.bytes.fill(0, offset, offset + size)
  if (name === 'x87') image.fcw = initFcw
  image.xstateBv &= ~mask
}

/** What XRSTOR does with a component that its area has at init. */
export const initialise = (
  { layout, losesZmmHi256 }: Machine,
  image: XsaveImage,
  placed: PlacedComponent,
): void => {
  putToInit(image, placed)
  if (losesZmmHi256 === true && placed.name === 'avx') putToInit(image, layout.component('zmm_hi256'))
}

const fcwWritable = 0x1f3f
const fcwFixed = 0x40
const exceptions = 0x3f
const esAndB = 0x8080

/** x87's words as the CPU keeps them: SDM volume 1, 8.1.3 and 8.1.5. */
const settleX87 = (image: XsaveImage): void => {
  image.fcw = (image.fcw & fcwWritable) | fcwFixed
  const pending = (image.fsw & ~image.fcw & exceptions) !== 0
  image.fsw = (image.fsw & ~esAndB) | (pending ? esAndB : 0)
  image.bytes[fieldOffset.ftw + 1] = 0
}

export const putFrom = (
  image: XsaveImage,
  bytes: Uint8Array,
  { name, mask, ranges }: PlacedComponent,
): void => {
  for (const { offset, size } of ranges) image.bytes.set(bytes.subarray(offset, offset + size), offset)
  image.xstateBv |= mask
  if (name === 'x87') settleX87(image)
}

/** All that can be read of an area: what cannot is of no component that is loaded. */
export const areaBytes = (memory: Memory, area: number, { components, size }: Layout): Uint8Array => {
  const bytes = new Uint8Array(size)
  const take = (offset: number, length: number): void => {
    const read = memory.read(area + offset, length)
    if (read !== null) bytes.set(read, offset)
  }
  take(fieldOffset.mxcsr, 8)
  take(legacySize, minXsaveSize - legacySize)
  for (const { ranges } of components) for (const { offset, size: length } of ranges) take(offset, length)
  return bytes
}

/** What the instruction itself loads. */
export const loaded64 = (
  machine: Machine,
  bytes: Uint8Array,
  registers: XsaveImage,
  believed: Believed,
): XsaveImage => {
  const { layout } = machine
  const after = registers.clone()
  const mxcsr = u32(bytes, fieldOffset.mxcsr) & layout.mxcsrMask
  const header = headerOf(bytes.subarray(legacySize, minXsaveSize))
  const loaded = believed.fxOnly ? legacyFeatures : inUse(machine, header)
  for (const one of layout.components) {
    if (!isSet(believed.mask, one)) continue
    if (isSet(loaded, one)) putFrom(after, bytes, one)
    else initialise(machine, after, one)
  }
  const asCompacted = !believed.fxOnly && (header.xcompBv & compacted) !== 0n
  if (asCompacted ? (believed.mask & 2n) !== 0n : (believed.mask & sseOrAvx) !== 0n)
    after.mxcsr = asCompacted && (header.xstateBv & 2n) === 0n ? initMxcsr : mxcsr
  return after
}

/** What the CPU itself does with these bytes in user mode; it has no slips. */
export const simulatedXrstor = (
  machine: Machine,
  { instruction, bytes, mask, misalignedBy, endsAt }: HardwareAsk,
  before: XsaveImage,
): HardwareAnswer => {
  const { layout } = machine
  const cpu: Machine = { ...machine, slip: undefined }
  const end = 16 * pageSize
  const area = endsAt === null ? pageSize + misalignedBy : end - endsAt
  const all = new Uint8Array(endsAt ?? layout.size)
  all.set(bytes.subarray(0, all.length))
  const memory = createMemory([{ start: 0, end, at: area, bytes: all }], [])
  const believed = { fxOnly: instruction === 'fxrstor', mask, faultedIn: 0 }
  if (raisesGp(cpu, memory, area, believed)) return 'fault'
  if (touchedBy(cpu, memory, area, believed).some(range => memory.reach(...range) === 'unreadable'))
    return 'page fault'
  return loaded64(cpu, areaBytes(memory, area, layout), before, believed).bytes
}
