/**
 * What the kernel does with a frame that is returned from, and what it leaves in the registers, by generation: enough
 * of arch/x86/kernel/fpu/signal.c to hold cases, generations and classification to one another on CPUs that are not
 * here. It can be told to make one mistake.
 */
import type { GenerationId } from '../../lib/contract/generations.ts'
import type { HardwareAnswer, HardwareAsk } from '../../lib/contract/predict/hardware.ts'
import { type Abi, frameShape, isIa32 } from '../../lib/frame/abi.ts'
import { magic1, magic2, magic2Size } from '../../lib/frame/format.ts'
import { foldFsave } from '../../lib/frame/fsave.ts'
import { fieldOffset, initFcw, initImage, initMxcsr, XsaveImage } from '../../lib/xstate/image.ts'
import {
  type Layout,
  legacyFeatures,
  legacySize,
  minXsaveSize,
  type PlacedComponent,
} from '../../lib/xstate/layout.ts'
import { createMemory, type Memory } from './simulated-memory.ts'

/** Mistakes that a kernel could make, one at a time. */
export const slips = [
  // What of the frame is believed
  'magic1 is not asked for',
  'sizes below 576 are believed',
  'sizes above user_size are believed',
  'extended_size is not looked at',
  'an extended_size of none but xstate_size is enough',
  'magic2 is not asked for',
  'magic2 is looked for at user_size',
  'an unreadable magic2 is a missing one',
  'no required size',
  'a required size of XSTATE_BV',
  // The pointer
  'NULL keeps the registers',
  'NULL is rejected',
  'an unreadable frame is no frame',
  // XRSTOR
  'sw.xfeatures are ignored',
  'unknown sw.xfeatures are rejected',
  'XSTATE_BV is ignored',
  'unknown XSTATE_BV is accepted',
  'supervisor XSTATE_BV is accepted',
  'XCOMP_BV is ignored',
  'compacted frames are rejected',
  'the reserved header is ignored',
  'reserved MXCSR is accepted',
  'misaligned frames are accepted',
  'components left out are kept',
  'FX-only keeps the other components',
  'FX-only keeps the keys closed',
  'FX-only leaves MXCSR',
  // Page faults
  'page faults are fatal',
  'user_size is faulted in',
  'the claimed size is faulted in',
  // 32-bit
  'ia32: x87 is the area’s',
  'ia32: x87 without its bit',
  'ia32: tags as they are',
  'ia32: MXCSR is left at init',
  'ia32: components left over',
  'ia32: reserved header as hardware',
  'ia32: compacted frames are accepted',
  'ia32: misaligned frames are rejected',
  'ia32: all is read',
  // The answer
  'a rejection leaves the registers',
  'a rejection leaves x87',
  'a rejection leaves MXCSR',
  'a rejection is silent',
  'SIGSEGV cannot be blocked',
  'no token is needed',
  // Delivery
  'delivery loses AVX',
  'delivery loses x87',
  'delivery loses MXCSR',
  'delivery has the kernel’s keys',
  'delivery forgets magic2',
  'delivery forgets bits 0 and 1',
  'delivery names supervisor components',
  'ia32: delivery forgets the sw bytes',
  'ia32: delivery forgets the header’s size',
  'ia32: delivery tags all registers valid',
] as const
export type Slip = (typeof slips)[number]

/** A CPU and its kernel. */
export interface Machine {
  readonly layout: Layout
  readonly generation: GenerationId
  /**
   * Whether the CPU has XSAVES, and with it XSAVEC and the compacted format. The kernel saves and restores by it then,
   * and MXCSR belongs to SSE.
   */
  readonly xsaves: boolean
  readonly slip?: Slip | undefined
}

/** A frame that is returned from, as the kernel finds it. */
export interface ReturnedFrame {
  readonly abi: Abi
  /** The fpstate pointer of its head: 32-bit ones lead to the fsave header. */
  readonly pointer: bigint
  readonly memory: Memory
  /** What the registers hold when it is returned from. */
  readonly registers: XsaveImage
}

/** XRSTOR, or FXRSTOR, with what of the frame is believed. */
interface Believed {
  readonly fxOnly: boolean
  readonly mask: bigint
  /** Bytes that are faulted in where XRSTOR meets a page fault. */
  readonly faultedIn: number
}

/** `endless`: the kernel faults in what it has, and meets the same fault again. */
export type Decision = 'init' | 'rejected' | 'endless' | Believed

/** The same for decisions that leave the same in the registers. */
export const decisionKey = (decision: Decision): string =>
  typeof decision === 'string' ? decision : `${decision.fxOnly} ${decision.mask}`

const pageSize = 4096
const endOfUserSpace = 1n << 47n
const supervisor = 0x1800n
const compacted = 1n << 63n
/** init_pkru_value: every key but 0 closed. */
const defaultKeys = 0x5555_5554
const pkruBit = 1n << 9n
const sseOrAvx = 6n

const u32 = (bytes: Uint8Array, at: number): number => viewOf(bytes).getUint32(at, true)
const u64 = (bytes: Uint8Array, at: number): bigint => viewOf(bytes).getBigUint64(at, true)
const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)

interface Sw {
  readonly magic1: number
  readonly extendedSize: number
  readonly xfeatures: bigint
  readonly xstateSize: number
}

/** `check_xstate_in_sigframe`, up to MAGIC1 and the sizes. */
const believes = ({ layout, generation, slip }: Machine, sw: Sw): boolean => {
  if (sw.magic1 !== magic1 && slip !== 'magic1 is not asked for') return false
  if (generation === 'regressed') return true
  const roomy =
    (generation === 'portable' || generation === 'larger') &&
    slip !== 'an extended_size of none but xstate_size is enough'
  const needed = sw.xstateSize + (roomy ? magic2Size : 0)
  return (
    (sw.xstateSize >= minXsaveSize || slip === 'sizes below 576 are believed') &&
    (sw.xstateSize <= layout.size ||
      generation === 'larger' ||
      slip === 'sizes above user_size are believed') &&
    (sw.extendedSize >= needed || slip === 'extended_size is not looked at')
  )
}

const fxOnly = (faultedIn: number): Believed => ({ fxOnly: true, mask: legacyFeatures, faultedIn })

/** What of the frame whose area lies there is believed. */
const check = (machine: Machine, memory: Memory, area: number): Believed | 'rejected' => {
  const { layout, generation, slip } = machine
  const bytes = memory.read(area, legacySize)
  if (bytes === null) return 'rejected'
  const sw: Sw = {
    magic1: u32(bytes, 464),
    extendedSize: u32(bytes, 468),
    xfeatures: u64(bytes, 472),
    xstateSize: u32(bytes, 480),
  }
  const { xstateSize } = sw
  const requires = (generation === 'portable' || generation === 'larger') && slip !== 'no required size'
  if (!believes(machine, sw)) return fxOnly(requires ? legacySize : layout.size)
  const atHost = generation === 'regressed' || slip === 'magic2 is looked for at user_size'
  const found = memory.read(area + (atHost ? layout.size : xstateSize), magic2Size)
  if (found === null && slip !== 'an unreadable magic2 is a missing one') return 'rejected'
  if ((found === null || u32(found, 0) !== magic2) && slip !== 'magic2 is not asked for')
    return fxOnly(requires ? legacySize : layout.size)
  const known = sw.xfeatures & layout.features
  if (slip === 'unknown sw.xfeatures are rejected' && sw.xfeatures !== known) return 'rejected'
  const mask = slip === 'sw.xfeatures are ignored' ? layout.features : known
  if (slip === 'the claimed size is faulted in') return { fxOnly: false, mask, faultedIn: xstateSize }
  if (!requires) return { fxOnly: false, mask, faultedIn: layout.size }
  const header = memory.read(area + legacySize, minXsaveSize - legacySize)
  const wanted = slip === 'a required size of XSTATE_BV' && header !== null ? known & u64(header, 0) : known
  const native = xstateSize === layout.size && sw.xfeatures === layout.features
  const required = native ? layout.size : layout.sizeFor(wanted)
  if (xstateSize < required) return 'rejected'
  return { fxOnly: false, mask, faultedIn: slip === 'user_size is faulted in' ? layout.size : required }
}

interface Header {
  readonly xstateBv: bigint
  readonly xcompBv: bigint
  /** Behind XCOMP_BV: 48 bytes. */
  readonly reserved: Uint8Array
}

const headerOf = (bytes: Uint8Array): Header => ({
  xstateBv: u64(bytes, 0),
  xcompBv: u64(bytes, 8),
  reserved: bytes.subarray(16),
})

const isZero = (bytes: Uint8Array): boolean => bytes.every(byte => byte === 0)

/** The bits of XSTATE_BV that are let pass though nobody has them. */
const letPass = ({ slip }: Machine): bigint => {
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

const mxcsrRefused = ({ layout, slip }: Machine, mxcsr: number): boolean =>
  slip !== 'reserved MXCSR is accepted' && (BigInt(mxcsr) & ~BigInt(layout.mxcsrMask)) !== 0n

const isSet = (mask: bigint, { mask: bit }: PlacedComponent): boolean => (mask & bit) !== 0n

/** What XSTATE_BV counts for. */
const inUse = ({ layout, slip }: Machine, { xstateBv }: Header): bigint =>
  slip === 'XSTATE_BV is ignored' ? layout.features : xstateBv

type Range = readonly [at: number, length: number]

/** What XRSTOR reads of the area. */
const xrstorReads = (machine: Machine, area: number, header: Header, mask: bigint): Range[] => {
  const components = machine.layout.components.filter(one => isSet(mask & inUse(machine, header), one))
  return [
    [area + legacySize, minXsaveSize - legacySize],
    ...((mask & sseOrAvx) === 0n ? [] : [[area + fieldOffset.mxcsr, 8] as const]),
    ...components.flatMap(({ ranges }) => ranges.map(({ offset, size }): Range => [area + offset, size])),
  ]
}

/** Whether the instruction raises #GP; page faults are no matter of this. */
const raisesGp = (machine: Machine, memory: Memory, area: number, believed: Believed): boolean => {
  const { slip } = machine
  const alignment = believed.fxOnly ? 16 : 64
  if (area % alignment !== 0 && slip !== 'misaligned frames are accepted') return true
  const legacy = memory.read(area, legacySize)
  if (legacy === null) return false
  const mxcsr = u32(legacy, fieldOffset.mxcsr)
  if (believed.fxOnly) return mxcsrRefused(machine, mxcsr)
  const bytes = memory.read(area + legacySize, minXsaveSize - legacySize)
  if (bytes === null) return false
  const header = headerOf(bytes)
  if (hardwareRefuses(machine, header)) return true
  const asCompacted = (header.xcompBv & compacted) !== 0n
  const loads = asCompacted ? believed.mask & header.xstateBv & 2n : believed.mask & sseOrAvx
  return loads !== 0n && mxcsrRefused(machine, mxcsr)
}

/** `restore_fpregs_from_user`: the instruction, and what is done where it meets a page fault. */
const decide64 = (machine: Machine, memory: Memory, area: number, believed: Believed): Decision => {
  if (raisesGp(machine, memory, area, believed)) return 'rejected'
  const bytes = memory.read(area + legacySize, minXsaveSize - legacySize)
  const touched: Range[] =
    believed.fxOnly || bytes === null
      ? [[area, believed.fxOnly ? legacySize : minXsaveSize]]
      : xrstorReads(machine, area, headerOf(bytes), believed.mask)
  const faults = touched.filter(([at, length]) => memory.reach(at, length) !== 'present')
  if (faults.length === 0) return believed
  if (machine.slip === 'page faults are fatal') return 'rejected'
  const faultedIn: Range = [area, believed.faultedIn]
  if (memory.reach(...faultedIn) === 'unreadable') return 'rejected'
  return faults.every(one => memory.brings(faultedIn, one)) ? believed : 'endless'
}

/** `copy_uabi_to_xstate`, and what else of a 32-bit frame can fail. */
const decide32 = (machine: Machine, memory: Memory, fsave: number, believed: Believed): Decision => {
  const { layout, slip } = machine
  const area = fsave + frameShape('ia32').fsaveSize
  if (slip === 'ia32: misaligned frames are rejected' && area % 64 !== 0) return 'rejected'
  const legacy = memory.read(area, legacySize)
  if (memory.read(fsave, area - fsave) === null || legacy === null) return 'rejected'
  const mxcsr = u32(legacy, fieldOffset.mxcsr)
  if (believed.fxOnly) return mxcsrRefused(machine, mxcsr) ? 'rejected' : believed
  const bytes = memory.read(area + legacySize, minXsaveSize - legacySize)
  if (bytes === null) return 'rejected'
  const { xstateBv, xcompBv, reserved } = headerOf(bytes)
  if ((xstateBv & ~layout.features & ~letPass(machine)) !== 0n) return 'rejected'
  const takesXcompBv =
    slip === 'XCOMP_BV is ignored' ||
    (slip === 'ia32: compacted frames are accepted' && (xcompBv & ~compacted & ~layout.features) === 0n)
  if (xcompBv !== 0n && !takesXcompBv) return 'rejected'
  const looked =
    slip === 'the reserved header is ignored' ? 0 : slip === 'ia32: reserved header as hardware' ? 8 : 48
  if (!isZero(reserved.subarray(0, looked))) return 'rejected'
  // x87, SSE or AVX
  if ((xstateBv & 7n) !== 0n && mxcsrRefused(machine, mxcsr)) return 'rejected'
  const read = slip === 'ia32: all is read' ? layout.features : inUse(machine, headerOf(bytes))
  const unread = layout.components.some(
    one => isSet(read, one) && memory.reach(area + one.offset, one.size) === 'unreadable',
  )
  return unread ? 'rejected' : believed
}

/** What the kernel makes of a frame: the decisions up to where registers change. */
export const decide = (machine: Machine, { abi, pointer, memory }: ReturnedFrame): Decision => {
  const { slip } = machine
  if (pointer === 0n) return slip === 'NULL is rejected' ? 'rejected' : 'init'
  const nowhere = slip === 'an unreadable frame is no frame' ? 'init' : 'rejected'
  if (pointer >= endOfUserSpace) return nowhere
  const at = Number(pointer)
  const area = at + frameShape(abi).fsaveSize
  // All of the legacy region is read sooner or later, and the answer is the same.
  if (memory.reach(area, legacySize) === 'unreadable') return nowhere
  const believed = check(machine, memory, area)
  if (believed === 'rejected') return believed
  return isIa32(abi) ? decide32(machine, memory, at, believed) : decide64(machine, memory, area, believed)
}

const putToInit = (image: XsaveImage, { name, mask, ranges }: PlacedComponent): void => {
  for (const { offset, size } of ranges) image.bytes.fill(0, offset, offset + size)
  if (name === 'x87') image.fcw = initFcw
  image.xstateBv &= ~mask
}

const putFrom = (image: XsaveImage, bytes: Uint8Array, { mask, ranges }: PlacedComponent): void => {
  for (const { offset, size } of ranges) image.bytes.set(bytes.subarray(offset, offset + size), offset)
  image.xstateBv |= mask
}

const closeKeys = (image: XsaveImage): void => {
  if (!image.layout.has('pkru')) return
  image.pkru = defaultKeys
  image.xstateBv |= pkruBit
}

/** `fpu__clear_user_states`. */
const clearedRegisters = (layout: Layout): XsaveImage => {
  const image = initImage(layout)
  closeKeys(image)
  return image
}

/** All that can be read of an area: what cannot is of no component that is loaded. */
const areaBytes = (memory: Memory, area: number, { components }: Layout, size: number): Uint8Array => {
  const bytes = new Uint8Array(size)
  bytes.set(memory.read(area, legacySize) as Uint8Array)
  const header = memory.read(area + legacySize, minXsaveSize - legacySize)
  if (header !== null) bytes.set(header, legacySize)
  for (const { offset, size: length } of components) {
    const read = memory.read(area + offset, length)
    if (read !== null) bytes.set(read, offset)
  }
  return bytes
}

/** What the instruction itself loads. */
const loaded64 = (
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
    else putToInit(after, one)
  }
  const asCompacted = !believed.fxOnly && (header.xcompBv & compacted) !== 0n
  if (asCompacted ? (believed.mask & 2n) !== 0n : (believed.mask & sseOrAvx) !== 0n)
    after.mxcsr = asCompacted && (header.xstateBv & 2n) === 0n ? initMxcsr : mxcsr
  return after
}

/** Then what the frame leaves out goes to init. */
const after64 = (
  machine: Machine,
  bytes: Uint8Array,
  registers: XsaveImage,
  believed: Believed,
): XsaveImage => {
  const { layout, xsaves, slip } = machine
  const after = loaded64(machine, bytes, registers, believed)
  const keeps = believed.fxOnly
    ? slip === 'FX-only keeps the other components'
    : slip === 'components left out are kept'
  const left = keeps ? 0n : layout.features & ~believed.mask
  for (const one of layout.components) if (isSet(left, one)) putToInit(after, one)
  if ((left & (xsaves ? 2n : sseOrAvx)) !== 0n) after.mxcsr = initMxcsr
  return after
}

/** Copied into the kernel's buffer, the fsave header folded in; then XRSTOR from there. */
const after32 = (
  machine: Machine,
  bytes: Uint8Array,
  fsave: Uint8Array,
  registers: XsaveImage,
  believed: Believed,
): XsaveImage => {
  const { layout, xsaves, slip } = machine
  const buffer = registers.clone()
  const header = headerOf(bytes.subarray(legacySize, minXsaveSize))
  const before = buffer.xstateBv
  const named = believed.fxOnly ? legacyFeatures : inUse(machine, header)
  for (const one of layout.components) if (isSet(named, one)) putFrom(buffer, bytes, one)
  if (believed.fxOnly || (named & 7n) !== 0n) buffer.mxcsr = u32(bytes, fieldOffset.mxcsr) & layout.mxcsrMask
  const folded = slip === 'ia32: x87 is the area’s' ? buffer.bytes : foldFsave(buffer.bytes, fsave)
  if (slip === 'ia32: tags as they are') folded[fieldOffset.ftw] = u32(fsave, 8)
  let mask = named & believed.mask
  if (slip === 'ia32: components left over') mask |= before & ~legacyFeatures
  if (slip === 'ia32: x87 without its bit') mask |= 1n
  const after = new XsaveImage(new Uint8Array(layout.size), layout)
  after.fcw = initFcw
  for (const one of layout.components) if (isSet(mask, one)) putFrom(after, folded, one)
  const hasMxcsr = (!xsaves || (mask & 2n) !== 0n) && slip !== 'ia32: MXCSR is left at init'
  after.mxcsr = hasMxcsr ? buffer.mxcsr : initMxcsr
  return after
}

/** What a decision leaves in the registers. */
export const registersAfter = (machine: Machine, frame: ReturnedFrame, decision: Decision): XsaveImage => {
  const { slip, layout } = machine
  const { abi, memory, pointer, registers } = frame
  if (decision === 'init')
    return slip === 'NULL keeps the registers' ? registers.clone() : clearedRegisters(layout)
  if (typeof decision === 'string') {
    if (slip === 'a rejection leaves the registers') return registers.clone()
    const cleared = clearedRegisters(layout)
    const [x87] = layout.components
    if (slip === 'a rejection leaves x87') putFrom(cleared, registers.bytes, x87 as PlacedComponent)
    if (slip === 'a rejection leaves MXCSR') cleared.mxcsr = registers.mxcsr
    return cleared
  }
  const at = Number(pointer)
  const { fsaveSize } = frameShape(abi)
  const bytes = areaBytes(memory, at + fsaveSize, layout, layout.size)
  const after = isIa32(abi)
    ? after32(machine, bytes, memory.read(at, fsaveSize) as Uint8Array, registers, decision)
    : after64(machine, bytes, registers, decision)
  if (slip === 'FX-only keeps the keys closed' && decision.fxOnly) closeKeys(after)
  if (slip === 'FX-only leaves MXCSR' && decision.fxOnly) after.mxcsr = registers.mxcsr
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
  const header = headerOf(all.subarray(legacySize, minXsaveSize))
  // It touches what it reads, and no more.
  const touched = believed.fxOnly ? [] : xrstorReads(cpu, area, header, mask)
  if (touched.some(([at, length]) => memory.reach(at, length) === 'unreadable')) return 'page fault'
  return loaded64(cpu, areaBytes(memory, area, layout, layout.size), before, believed).bytes
}
