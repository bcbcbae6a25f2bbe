/** What the registers hold after a return. */
import { viewOf } from '../../bytes.ts'
import { isIa32 } from '../../frame/abi.ts'
import { fieldOffset, initMxcsr } from '../../xstate/image.ts'
import { legacyFeatures } from '../../xstate/layout.ts'
import { foldedX87, named32 } from './fold.ts'
import type { Task } from './task.ts'
import type { Walk } from './walk.ts'

export interface Registers {
  /** Components that are not at init, and have the bytes of `area`, x87 those of `x87`. */
  readonly loaded: bigint
  /** An area in the standard format, as far as what is loaded reaches. */
  readonly area: Uint8Array
  /** At least its first 160 bytes: in 32-bit frames the fsave header's. */
  readonly x87: Uint8Array
  /** Null where nobody says: a kernel whose buffers are not compacted takes a 32-bit frame's from there, whatever is in it. */
  readonly mxcsr: number | null
  /** Whether FOP, FIP and FDP are those of `x87`, where an exception is pending. */
  readonly pointers: boolean
  /** PKRU, where it is not loaded: 0, or the kernel's default. */
  readonly keys: 'init' | 'default'
}

const sse = 2n
const avx = 4n
const zmmHi256 = 64n
const mxcsrFeatures = 7n
const nothing = new Uint8Array(0)

/** `fpu__clear_user_states`: after NULL, and after a rejection. */
export const clearedRegisters: Registers = Object.freeze({
  loaded: 0n,
  area: nothing,
  x87: nothing,
  mxcsr: initMxcsr,
  pointers: true,
  keys: 'default',
})

/** XSTATE_BV and MXCSR of what XSAVE wrote. */
const headOf = (image: Uint8Array) => {
  const view = viewOf(image)
  return {
    xstateBv:
      image.length > fieldOffset.xcompBv ? view.getBigUint64(fieldOffset.xstateBv, true) : legacyFeatures,
    mxcsr: view.getUint32(fieldOffset.mxcsr, true),
  }
}

/** What of the loaded components is lost where these are put to init. */
const lostWith = (left: bigint, { keepsZmmHi256 }: Task): bigint =>
  keepsZmmHi256 || (left & avx) === 0n ? 0n : zmmHi256

/**
 * XRSTOR with the frame's mask, then the rest from the init image. Compacted, that one loads MXCSR with SSE;
 * in the standard format with AVX too (SDM volume 1, 13.8.1 and 13.8.2).
 */
const registers64 = (walk: Walk): Registers => {
  const { task, mask, frame, answer, fxOnly } = walk
  const asked = answer instanceof Uint8Array && walk.odd !== 0 ? answer : null
  const area = asked ?? frame.area
  const head = asked === null ? null : headOf(asked)
  const left = task.layout.features & ~mask
  const initsMxcsr = (left & sse) !== 0n || (!task.compacts && task.avxLoadsMxcsr && (left & avx) !== 0n)
  return {
    loaded: mask & (head?.xstateBv ?? (fxOnly ? legacyFeatures : walk.xstateBv)) & ~lostWith(left, task),
    area,
    x87: area,
    mxcsr: initsMxcsr ? initMxcsr : (head?.mxcsr ?? walk.mxcsr),
    pointers: task.keepsPointers,
    keys: 'init',
  }
}

/** Compacted, the buffer has MXCSR for SSE. In the standard format it is the buffer's, which has the frame's where the frame has any use for it. */
const mxcsr32 = (walk: Walk, compacts: boolean): number | null => {
  if (walk.fxOnly || (named32(walk) & sse) !== 0n) return walk.mxcsr
  if (compacts) return initMxcsr
  return (walk.xstateBv & mxcsrFeatures) !== 0n ? walk.mxcsr : null
}

/** From the kernel's buffer. */
const registers32 = (walk: Walk): Registers => {
  const { task, frame, answer, odd } = walk
  const named = named32(walk)
  const asked = answer instanceof Uint8Array && odd !== 0 ? answer : null
  return {
    loaded: asked === null ? named : named & headOf(asked).xstateBv,
    area: asked ?? frame.area,
    x87: asked ?? ((named & 1n) === 0n ? nothing : foldedX87(walk)),
    mxcsr: mxcsr32(walk, task.compacts),
    pointers: task.keepsPointers,
    keys: 'init',
  }
}

export const registersOf = (walk: Walk): Registers =>
  isIa32(walk.frame.abi) ? registers32(walk) : registers64(walk)
