/**
 * What the kernel does with a frame that is returned from, and what it leaves in the registers, by generation: enough
 * of arch/x86/kernel/fpu/signal.c to hold cases, generations, the model and classification to one another on CPUs that
 * are not here. It can be told to make one mistake.
 */
import { type Abi, frameShape, isIa32 } from '../../lib/frame/abi.ts'
import { magic1, magic2, magic2Size } from '../../lib/frame/format.ts'
import { fieldOffset, initFcw, initImage, initMxcsr, XsaveImage } from '../../lib/xstate/image.ts'
import {
  type Layout,
  legacyFeatures,
  legacySize,
  minXsaveSize,
  type PlacedComponent,
} from '../../lib/xstate/layout.ts'
import {
  areaBytes,
  type Believed,
  headerOf,
  initialise,
  inUse,
  isSet,
  isZero,
  letPass,
  loaded64,
  type Machine,
  mxcsrRefused,
  putFrom,
  type Range,
  raisesGp,
  touchedBy,
  u32,
  u64,
} from './simulated-cpu.ts'
import { folded } from './simulated-fold.ts'
import type { Memory } from './simulated-memory.ts'

export { type Machine, simulatedXrstor } from './simulated-cpu.ts'
export { type Slip, slips } from './simulated-slips.ts'

/** A frame that is returned from, as the kernel finds it. */
export interface ReturnedFrame {
  readonly abi: Abi
  /** The fpstate pointer of its head: 32-bit ones lead to the fsave header. */
  readonly pointer: bigint
  readonly memory: Memory
  /** What the registers hold when it is returned from. */
  readonly registers: XsaveImage
}

/** `endless`: the kernel faults in what it has, and meets the same fault again. */
export type Decision = 'init' | 'rejected' | 'endless' | Believed

/** The same for decisions that leave the same in the registers. */
export const decisionKey = (decision: Decision): string =>
  typeof decision === 'string' ? decision : `${decision.fxOnly} ${decision.mask}`

const endOfUserSpace = 1n << 47n
/** init_pkru_value: every key but 0 closed. */
const defaultKeys = 0x5555_5554
const pkruBit = 1n << 9n
const compacted = 1n << 63n
const avxOrSse = 6n
const denormalsAreZeros = 0x40

/** What the kernel copies becomes present. Mutable: for one decision. */
class Copies {
  memory: Memory

  constructor(memory: Memory) {
    this.memory = memory
  }

  take(at: number, length: number): Uint8Array | null {
    const bytes = this.memory.read(at, length)
    if (bytes !== null) this.memory = this.memory.copied(at, length)
    return bytes
  }
}

interface Sw {
  readonly magic1: number
  readonly extendedSize: number
  readonly xfeatures: bigint
  readonly xstateSize: number
}

const swBytes: Range = [464, 48]

const swOf = (bytes: Uint8Array): Sw => ({
  magic1: u32(bytes, 0),
  extendedSize: u32(bytes, 4),
  xfeatures: u64(bytes, 8),
  xstateSize: u32(bytes, 16),
})

const asksForRoom = ({ generation }: Machine): boolean => generation === 'portable' || generation === 'larger'

const isMagic1 = ({ slip }: Machine, found: number): boolean => {
  if (slip === 'magic1 is compared in its lower half') return (found & 0xffff) === (magic1 & 0xffff)
  return found === magic1 || slip === 'magic1 is not asked for'
}

/** As `layout.sizeFor`, also of components that the host has and the task has not. */
const hostSizeFor = (layout: Layout, features: bigint): number =>
  layout
    .toJSON()
    .components.filter(({ index, supervisor }) => !supervisor && (features >> BigInt(index)) & 1n)
    .reduce((size, one) => Math.max(size, one.offset + one.size), minXsaveSize as number)

/** Whether xstate_size lies between 576 and user_size. */
const isBelievedSize = (machine: Machine, size: number): boolean => {
  const { layout, generation, slip } = machine
  const least = minXsaveSize + (slip === 'a size of 576 is not believed' ? 1 : 0)
  if (size < least && slip !== 'sizes below 576 are believed') return false
  if (generation === 'larger' || slip === 'sizes above user_size are believed') return true
  if (slip === 'sizes up to the host’s are believed') return size <= hostSizeFor(layout, layout.hostFeatures)
  return size < layout.size + (slip === 'a size of user_size is not believed' ? 0 : 1)
}

/** The least extended_size that is taken. */
const neededExtended = (machine: Machine, abi: Abi, size: number): number => {
  const { layout, slip } = machine
  const room = asksForRoom(machine) ? magic2Size : 0
  switch (slip) {
    case 'extended_size is not looked at':
      return 0
    case 'an extended_size of none but xstate_size is enough':
      return size
    case 'an extended_size of xstate_size is not believed':
      return size + Math.max(1, room)
    case 'extended_size needs a byte to spare':
      return size + magic2Size + 1
    case 'extended_size is compared with 576':
      return minXsaveSize
    case 'extended_size is compared with user_size':
      return layout.size
    case 'ia32: extended_size must count the header':
      return size + magic2Size + frameShape(abi).fsaveSize
    default:
      return size + room
  }
}

/** `check_xstate_in_sigframe`, up to MAGIC1 and the sizes. */
const believes = (machine: Machine, abi: Abi, sw: Sw): boolean => {
  if (!isMagic1(machine, sw.magic1)) return false
  if (machine.generation === 'regressed') return true
  return (
    isBelievedSize(machine, sw.xstateSize) && sw.extendedSize >= neededExtended(machine, abi, sw.xstateSize)
  )
}

const magic2At = ({ layout, generation, slip }: Machine, { xstateSize, extendedSize }: Sw): number => {
  switch (slip) {
    case 'magic2 is looked for at user_size':
      return layout.size
    case 'magic2 is looked for a byte further':
      return xstateSize + 1
    case 'magic2 is looked for 4 bytes before':
      return xstateSize - 4
    case 'magic2 is looked for by extended_size':
      return extendedSize - magic2Size
    default:
      return generation === 'regressed' ? layout.size : xstateSize
  }
}

const isMagic2 = ({ slip }: Machine, found: Uint8Array | null): boolean => {
  if (slip === 'magic2 is not asked for') return true
  if (found === null) return false
  if (slip === 'magic2 is compared in its lower half') return (u32(found, 0) & 0xffff) === (magic2 & 0xffff)
  return u32(found, 0) === magic2
}

const compactedSize = ({ components }: Layout, mask: bigint): number =>
  components.reduce(
    (size, one) => (one.index > 1 && isSet(mask, one) ? size + one.size : size),
    minXsaveSize as number,
  )

/** The standard-format size of what the frame says that it has, and the task has, too. */
const requiredSize = (machine: Machine, copies: Copies, area: number, sw: Sw): number => {
  const { layout, slip } = machine
  const known = sw.xfeatures & layout.features
  if (sw.xstateSize === layout.size && sw.xfeatures === layout.features) return layout.size
  switch (slip) {
    case 'a required size of XSTATE_BV': {
      const header = copies.memory.read(area + legacySize, minXsaveSize - legacySize)
      return layout.sizeFor(header === null ? known : known & u64(header, 0))
    }
    case 'a required size of features that the task has not':
      return hostSizeFor(layout, sw.xfeatures)
    case 'a required size of user_size':
      return layout.size
    case 'a required size of 576':
      return minXsaveSize
    case 'a required size in the compacted format':
      return compactedSize(layout, known)
    default:
      return layout.sizeFor(known)
  }
}

const faultedInOf = ({ layout, slip }: Machine, size: number, xstateSize: number): number => {
  switch (slip) {
    case 'user_size is faulted in':
      return layout.size
    case 'the claimed size is faulted in':
      return xstateSize
    case 'the legacy region is faulted in':
      return legacySize
    case '576 bytes are faulted in':
      return minXsaveSize
    default:
      return size
  }
}

const maskOf = (machine: Machine, copies: Copies, area: number, { xfeatures }: Sw): bigint => {
  const { layout, slip } = machine
  const known = xfeatures & layout.features
  switch (slip) {
    case 'sw.xfeatures are ignored':
      return layout.features
    case 'the mask has always x87 and SSE':
      return known | legacyFeatures
    case 'the mask is XSTATE_BV’s': {
      const header = copies.memory.read(area + legacySize, minXsaveSize - legacySize)
      return header === null ? known : known & u64(header, 0)
    }
    default:
      return known
  }
}

/** What of the frame whose area lies there is believed. */
const check = (machine: Machine, abi: Abi, copies: Copies, area: number): Believed | 'rejected' => {
  const { layout, slip } = machine
  const bytes = copies.take(area + swBytes[0], swBytes[1])
  if (bytes === null) return 'rejected'
  const sw = swOf(bytes)
  const { xstateSize, xfeatures } = sw
  const requires = asksForRoom(machine) && slip !== 'no required size'
  const fxOnly: Believed = {
    fxOnly: true,
    mask: legacyFeatures,
    faultedIn: requires ? legacySize : layout.size,
  }
  if (!believes(machine, abi, sw)) return fxOnly
  const found = copies.take(area + magic2At(machine, sw), magic2Size)
  if (found === null && slip !== 'an unreadable magic2 is a missing one') return 'rejected'
  if (!isMagic2(machine, found)) return fxOnly
  if (slip === 'unknown sw.xfeatures are rejected' && (xfeatures & ~layout.features) !== 0n) return 'rejected'
  const mask = maskOf(machine, copies, area, sw)
  if (!requires) return { fxOnly: false, mask, faultedIn: faultedInOf(machine, layout.size, xstateSize) }
  const required = requiredSize(machine, copies, area, sw)
  const least = required + (slip === 'a required size that must be exceeded' ? 1 : 0)
  if (xstateSize < least) return slip === 'too small is FX-only' ? fxOnly : 'rejected'
  return { fxOnly: false, mask, faultedIn: faultedInOf(machine, required, xstateSize) }
}

/** `restore_fpregs_from_user`: the instruction, and what is done where it meets a page fault. */
const decide64 = (machine: Machine, memory: Memory, area: number, believed: Believed): Decision => {
  const { slip } = machine
  const asks = slip === 'FX-only looks at the header' ? { ...believed, fxOnly: false } : believed
  if (raisesGp(machine, memory, area, asks)) return 'rejected'
  const faults = touchedBy(machine, memory, area, asks).filter(
    ([at, length]) => memory.reach(at, length) !== 'present',
  )
  if (faults.length === 0) return asks
  if (slip === 'page faults are fatal') return 'rejected'
  const faultedIn: Range = [area, believed.faultedIn]
  if (memory.reach(...faultedIn) === 'unreadable') return 'rejected'
  return faults.every(one => memory.brings(faultedIn, one)) ? asks : 'endless'
}

/** The header of a 32-bit frame: `validate_user_xstate_header`. */
const headerRefused = (machine: Machine, bytes: Uint8Array): boolean => {
  const { layout, slip } = machine
  const { xstateBv, xcompBv, reserved } = headerOf(bytes)
  if ((xstateBv & ~layout.features & ~letPass(machine)) !== 0n) return true
  const takesXcompBv =
    slip === 'XCOMP_BV is ignored' ||
    (slip === 'ia32: compacted frames are accepted' && (xcompBv & ~compacted & ~layout.features) === 0n)
  if (xcompBv !== 0n && !takesXcompBv) return true
  const looked =
    slip === 'the reserved header is ignored' ? 0 : slip === 'ia32: reserved header as hardware' ? 8 : 48
  return !isZero(reserved.subarray(0, looked))
}

const mxcsrRefused32 = (machine: Machine, memory: Memory, area: number): boolean => {
  const word = memory.read(area + fieldOffset.mxcsr, 8)
  if (word === null) return true
  const refusesDaz = machine.slip === 'ia32: MXCSR has no denormals-are-zeros'
  return mxcsrRefused(machine, u32(word, 0)) || (refusesDaz && (u32(word, 0) & denormalsAreZeros) !== 0)
}

/** The components with which MXCSR is looked at: x87, SSE, AVX. */
const mxcsrWith = ({ slip }: Machine): bigint => {
  if (slip === 'ia32: MXCSR is always looked at') return ~0n
  return slip === 'ia32: MXCSR is looked at for SSE alone' ? 2n : legacyFeatures | avxOrSse
}

/** `copy_uabi_to_xstate`, and what else of a 32-bit frame can fail. */
const decide32 = (machine: Machine, memory: Memory, fsave: number, believed: Believed): Decision => {
  const { layout, slip } = machine
  const area = fsave + frameShape('ia32').fsaveSize
  if (slip === 'ia32: misaligned frames are rejected' && area % 64 !== 0) return 'rejected'
  if (memory.read(fsave, area - fsave) === null) return 'rejected'
  const bytes = memory.read(area + legacySize, minXsaveSize - legacySize)
  if (believed.fxOnly) {
    if (slip === 'ia32: FX-only looks at the header' && (bytes === null || headerRefused(machine, bytes)))
      return 'rejected'
    if (memory.read(area, legacySize) === null || mxcsrRefused32(machine, memory, area)) return 'rejected'
    return believed
  }
  if (bytes === null || headerRefused(machine, bytes)) return 'rejected'
  const header = headerOf(bytes)
  const looks = (header.xstateBv & mxcsrWith(machine)) !== 0n || slip === 'ia32: MXCSR is always looked at'
  if (looks && mxcsrRefused32(machine, memory, area)) return 'rejected'
  const read = slip === 'ia32: all is read' ? layout.features : inUse(machine, header)
  const unread = layout.components.some(
    one => isSet(read, one) && memory.reach(area + one.offset, one.size) === 'unreadable',
  )
  return unread ? 'rejected' : believed
}

/** Where the area lies to which a pointer leads. */
const areaAt = ({ slip }: Machine, abi: Abi, pointer: number): number =>
  pointer + (slip === 'ia32: the header is not skipped' ? 0 : frameShape(abi).fsaveSize)

/** What the kernel makes of a frame: the decisions up to where registers change. */
export const decide = (machine: Machine, { abi, pointer, memory }: ReturnedFrame): Decision => {
  const { slip } = machine
  if (pointer === 0n) return slip === 'NULL is rejected' ? 'rejected' : 'init'
  const nowhere = slip === 'an unreadable frame is no frame' ? 'init' : 'rejected'
  if (pointer >= endOfUserSpace) return nowhere
  const at = Number(pointer)
  const area = areaAt(machine, abi, at)
  if (memory.reach(area + swBytes[0], swBytes[1]) === 'unreadable') return nowhere
  const copies = new Copies(memory)
  const believed = check(machine, abi, copies, area)
  if (believed === 'rejected') return believed
  if (isIa32(abi)) return decide32(machine, copies.memory, at, believed)
  return decide64(machine, copies.memory, area, believed)
}

const closeKeys = (image: XsaveImage): void => {
  if (!image.layout.has('pkru')) return
  image.pkru = defaultKeys
  image.xstateBv |= pkruBit
}

/** `fpu__clear_user_states`. */
const clearedRegisters = (layout: Layout, opensKeys: boolean): XsaveImage => {
  const image = initImage(layout)
  if (!opensKeys) closeKeys(image)
  return image
}

const only = ({ layout }: Machine, name: string): bigint =>
  layout.components.find(one => one.name === name)?.mask ?? 0n

/** What does not go to init though the frame leaves it out. */
const keptBy = (machine: Machine, { fxOnly }: Believed): bigint => {
  switch (machine.slip) {
    case 'FX-only keeps the other components':
      return fxOnly ? ~0n : 0n
    case 'FX-only keeps AVX':
      return fxOnly ? only(machine, 'avx') : 0n
    case 'components left out are kept':
      return fxOnly ? 0n : ~0n
    case 'x87 left out is kept':
      return only(machine, 'x87')
    case 'AVX left out is kept':
      return fxOnly ? 0n : only(machine, 'avx')
    case 'the keys left out are kept':
      return only(machine, 'pkru')
    default:
      return 0n
  }
}

/** The instruction; then what the frame leaves out goes to init. */
const after64 = (
  machine: Machine,
  bytes: Uint8Array,
  registers: XsaveImage,
  believed: Believed,
): XsaveImage => {
  const { layout, xsaves, slip } = machine
  const after = loaded64(machine, bytes, registers, believed)
  const left = layout.features & ~believed.mask & ~keptBy(machine, believed)
  for (const one of layout.components) if (isSet(left, one)) initialise(machine, after, one)
  if ((left & (xsaves ? 2n : avxOrSse)) !== 0n && slip !== 'MXCSR is kept where SSE is left out')
    after.mxcsr = initMxcsr
  return after
}

const loseUpperXmm = (image: XsaveImage): void => {
  image.bytes.fill(0, fieldOffset.xmm + 8 * 16, fieldOffset.xmm + 16 * 16)
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
  const header = headerOf(bytes.subarray(legacySize, minXsaveSize))
  const named = believed.fxOnly ? legacyFeatures : inUse(machine, header)
  const buffer = registers.bytes.slice()
  for (const one of layout.components)
    if (isSet(named, one))
      for (const { offset, size } of one.ranges) buffer.set(bytes.subarray(offset, offset + size), offset)
  const takesMxcsr = believed.fxOnly || (named & (legacyFeatures | avxOrSse)) !== 0n
  const mxcsr = takesMxcsr ? u32(bytes, fieldOffset.mxcsr) & layout.mxcsrMask : registers.mxcsr
  const image = folded(buffer, fsave, slip)
  let mask = named & (slip === 'ia32: XSTATE_BV without the mask' ? layout.features : believed.mask)
  if (slip === 'ia32: components left over') mask |= registers.xstateBv & ~legacyFeatures
  if (slip === 'ia32: x87 without its bit') mask |= 1n
  const after = new XsaveImage(new Uint8Array(layout.size), layout)
  after.fcw = initFcw
  for (const one of layout.components) if (isSet(mask, one)) putFrom(after, image, one)
  const hasMxcsr = (!xsaves || (mask & 2n) !== 0n) && slip !== 'ia32: MXCSR is left at init'
  after.mxcsr = hasMxcsr ? mxcsr : initMxcsr
  if (slip === 'ia32: XMM8 and up are lost') loseUpperXmm(after)
  return after
}

const afterRejection = ({ layout, slip }: Machine, registers: XsaveImage): XsaveImage => {
  if (slip === 'a rejection leaves the registers') return registers.clone()
  const cleared = clearedRegisters(layout, slip === 'a rejection opens the keys')
  const [x87] = layout.components
  if (slip === 'a rejection leaves x87') putFrom(cleared, registers.bytes, x87 as PlacedComponent)
  if (slip === 'a rejection leaves MXCSR') cleared.mxcsr = registers.mxcsr
  return cleared
}

/** What a decision leaves in the registers. */
export const registersAfter = (machine: Machine, frame: ReturnedFrame, decision: Decision): XsaveImage => {
  const { slip, layout } = machine
  const { abi, memory, pointer, registers } = frame
  if (decision === 'init')
    return slip === 'NULL keeps the registers'
      ? registers.clone()
      : clearedRegisters(layout, slip === 'NULL opens the keys')
  if (typeof decision === 'string') return afterRejection(machine, registers)
  const at = Number(pointer)
  const bytes = areaBytes(memory, areaAt(machine, abi, at), layout)
  const after = isIa32(abi)
    ? after32(machine, bytes, memory.read(at, frameShape(abi).fsaveSize) as Uint8Array, registers, decision)
    : after64(machine, bytes, registers, decision)
  if (slip === 'FX-only keeps the keys closed' && decision.fxOnly) closeKeys(after)
  if (slip === 'FX-only leaves MXCSR' && decision.fxOnly) after.mxcsr = registers.mxcsr
  return after
}
