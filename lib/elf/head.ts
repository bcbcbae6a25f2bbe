/**
 * Finds the frame's head below an fpstate: the ucontext or sigcontext whose pointer leads there. How far below it lies
 * differs (`align_sigframe`, arch/x86/kernel/signal_64.c, signal_32.c), and what makes frames without being the kernel
 * places them as it likes: so the pointer is looked for, and then all around it must fit. Pure.
 */
import { type Abi, type FrameShape, frameShape, type HeadField } from '../frame/abi.ts'
import type { FieldPlace } from '../frame/format.ts'
import { fsaveSize } from '../frame/fsave.ts'
import type { CoreMachine } from './header.ts'

/** Bytes below an fpstate in which its head is looked for: the longest is 732 bytes and lies below an fsave header. */
export const headReach = 1024

/** Bytes around an fpstate, from memory without a hole. */
export interface View {
  readonly data: DataView
  /** Words of the same bytes: `data`'s start is a multiple of 4 in memory, too. */
  readonly words: Int32Array
  /** Where the fpstate starts: may lie below `low` only in part. */
  readonly at: number
  /** What is known: from here … */
  readonly low: number
  /** … to there. */
  readonly high: number
  /** The address of the fpstate. */
  readonly address: bigint
}

export interface FoundHead {
  readonly abi: Abi
  /** Where it starts in the view. */
  readonly at: number
  readonly address: bigint
  /** Whether all that a kernel writes of it is as a kernel writes it. */
  readonly sound: boolean
}

const addressEnd32 = 1n << 32n
const most32 = 0xffff_ffff

interface Guess extends FoundHead {
  readonly points: number
}

/** Selectors of user code end in 3. */
const isUser = (cs: number): boolean => (cs & 3) === 3 && cs > 3

const guess = (
  view: View,
  abi: Abi,
  pointerAt: number,
  top: number,
  judge: (read: (field: HeadField) => bigint, start: bigint, shape: FrameShape) => number | null,
): Guess | null => {
  const shape = frameShape(abi)
  const at = pointerAt - shape.fields.fpstate.at
  if (at < view.low || at + shape.frameBytes > top) return null
  const address = view.address - BigInt(view.at - at)
  const read = (field: HeadField): bigint => {
    const place = (shape.fields as Readonly<Record<string, FieldPlace>>)[field]
    if (place === undefined) return 0n
    const from = at + place.at
    if (place.width === 8) return view.data.getBigUint64(from, true)
    return BigInt(place.width === 4 ? view.data.getUint32(from, true) : view.data.getUint16(from, true))
  }
  const points = judge(read, address, shape)
  if (points === null) return null
  const sound = points > 0 && isUser(Number(read('cs')))
  return { abi, at, address, sound, points: sound ? points : 0 }
}

/** UC_FP_XSTATE, UC_SIGCONTEXT_SS, UC_STRICT_RESTORE_SS and room for more. */
const isUcFlags = (value: bigint): boolean => value < 0x100n

// Where the two forms start, their pointers fall on the same address: told apart by what a kernel writes below it.
const judge64 =
  (narrow: boolean, expected: boolean) =>
  (read: (field: HeadField) => bigint): number | null => {
    const flags = read('ucFlags')
    if (!isUcFlags(flags)) return 0
    if (narrow && ['rip', 'rsp', 'pretcode'].some(field => read(field as HeadField) >= addressEnd32)) return 0
    return 1 + Number(flags & 1n) * 2 + Number(read('ucLink') === 0n) * 2 + Number(expected)
  }

const isSignal = (value: bigint): boolean => value >= 1n && value <= 64n

const siginfoSize = 128n
const rtSiginfoAt = 16n

const judgeRt32 = (read: (field: HeadField) => bigint, start: bigint): number | null => {
  const siginfo = start + rtSiginfoAt
  if (read('pinfo') !== siginfo || read('puc') !== siginfo + siginfoSize) return null
  return isSignal(read('sig')) ? 3 : 0
}

const judge32 = (read: (field: HeadField) => bigint): number | null => (isSignal(read('sig')) ? 1 : null)

const better = (a: Guess | null, b: Guess | null): Guess | null => {
  if (a === null || b === null) return a ?? b
  return b.points > a.points ? b : a
}

const wordAt = (view: View, index: number): number => (view.words[index] as number) >>> 0

/** The heads that the pointer at this word may belong to. */
const guessAt = (view: View, index: number, machine: CoreMachine): Guess | null => {
  const at = index * 4
  let found: Guess | null = null
  const low = Number(view.address & 0xffff_ffffn)
  if (wordAt(view, index) === low) {
    if (at + 8 <= view.at && wordAt(view, index + 1) === Number(view.address >> 32n)) {
      found = guess(view, 'x86_64', at, view.at, judge64(false, machine !== 'x32'))
      if (view.address < addressEnd32)
        found = better(found, guess(view, 'x32', at, view.at, judge64(true, machine === 'x32')))
    }
  } else {
    const top = view.at - fsaveSize
    found = guess(view, 'ia32-rt', at, top, judgeRt32) ?? guess(view, 'ia32', at, top, judge32)
  }
  return found
}

/** The head that leads to the fpstate; null where none does. */
export const findHead = (view: View, machine: CoreMachine): FoundHead | null => {
  const first = Math.max(view.low, view.at - headReach) & ~3
  const pointer64 = Number(view.address & 0xffff_ffffn)
  const fsave = view.address - BigInt(fsaveSize)
  const pointer32 = fsave >= 0n && fsave <= most32 ? Number(fsave) : null
  const words = view.words
  const signed64 = pointer64 | 0
  const signed32 = pointer32 === null ? signed64 : pointer32 | 0
  let found: Guess | null = null
  // From the fpstate down: the nearest of equals.
  for (let index = (view.at >>> 2) - 1; index * 4 >= first; index--) {
    const word = words[index]
    if (word !== signed64 && word !== signed32) continue
    found = better(found, guessAt(view, index, machine))
    if (found?.sound) break
  }
  return found
}
