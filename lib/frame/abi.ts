/**
 * What a signal frame has below its fpstate, for each ABI: which bytes of it a record keeps, and what lies where in
 * them. Sources: arch/x86/include/asm/sigframe.h (`rt_sigframe`, `rt_sigframe_ia32`, `sigframe_ia32`),
 * arch/x86/include/uapi/asm/sigcontext.h (`sigcontext_64`, `sigcontext_32`), asm/ucontext.h.
 */
import { outOfRange, wrongType } from '../errors.ts'
import type { ByteRange } from '../xstate/layout.ts'
import { type FieldPlace, magic2Size } from './format.ts'
import { fsaveSize } from './fsave.ts'

/**
 * Which frame the kernel writes: 64-bit, 32-bit with SA_SIGINFO, 32-bit without, x32. Told by how the handler was
 * registered.
 */
export type Abi = 'x86_64' | 'ia32-rt' | 'ia32' | 'x32'

export const abis: readonly Abi[] = Object.freeze(['x86_64', 'ia32-rt', 'ia32', 'x32'] as const)

/** The fields that every frame has. 32-bit registers go by the same names as the 64-bit ones. */
export type CommonHeadField =
  /** The address that the handler returns to. */
  | 'pretcode'
  | 'rip'
  | 'rsp'
  | 'eflags'
  | 'rax'
  | 'rbx'
  | 'rcx'
  | 'rdx'
  | 'rsi'
  | 'rdi'
  | 'rbp'
  // Selectors. The kernel writes 4 bytes of each into a 32-bit frame, and reads 2.
  | 'cs'
  | 'ss'
  | 'fs'
  | 'gs'
  | 'trapno'
  | 'err'
  | 'cr2'
  /** The lower half of the signal mask, or all of it. Only the return from an `ia32` frame reads it. */
  | 'oldmask'
  /** A pointer to the XSAVE area, in 32-bit frames to the fsave header below it. 0: none. */
  | 'fpstate'

/** The fields that some frames have. */
export type OtherHeadField =
  // x86_64
  | `r${8 | 9 | 10 | 11 | 12 | 13 | 14 | 15}`
  // 32-bit
  | 'ds'
  | 'es'
  | 'spAtSignal'
  | 'sig'
  // 32-bit with SA_SIGINFO: pointers to siginfo and ucontext
  | 'pinfo'
  | 'puc'
  // 32-bit without: the upper half of the signal mask
  | 'extramask'
  // both with SA_SIGINFO: the ucontext's
  | 'ucFlags'
  | 'ucLink'
  | 'ucStackSp'
  | 'ucStackFlags'
  | 'ucStackSize'
  | 'sigmask'

export type HeadField = CommonHeadField | OtherHeadField

/** Offsets count from the start of the recorded head. */
export type HeadFields = Readonly<
  Record<CommonHeadField, FieldPlace> & Partial<Record<OtherHeadField, FieldPlace>>
>

/** A frame's form. All numbers in bytes. */
export interface FrameShape {
  readonly abi: Abi
  /** What of the frame, from its start, is recorded: side by side, these are the head. */
  readonly recorded: readonly ByteRange[]
  /** How many bytes that is. */
  readonly headBytes: number
  /** From the frame's start to the end of what is recorded. The fpstate lies behind, after a gap. */
  readonly frameBytes: number
  readonly fields: HeadFields
  /** Whether an fsave header lies directly below the XSAVE area. */
  readonly fsave: boolean
  /** Its size, or 0. */
  readonly fsaveSize: number
  /** What extended_size counts beyond xstate_size: MAGIC2, in 32-bit frames the fsave header too. */
  readonly trailer: number
}

/** A struct's member: its name (or none), its width, and the bytes that it takes where padding follows. */
type Member = readonly [name: HeadField | null, width: number, taken?: number]

const siginfo: Member = [null, 128]
const retcode: Member = [null, 8]

const sigcontext64: readonly Member[] = [
  ['r8', 8],
  ['r9', 8],
  ['r10', 8],
  ['r11', 8],
  ['r12', 8],
  ['r13', 8],
  ['r14', 8],
  ['r15', 8],
  ['rdi', 8],
  ['rsi', 8],
  ['rbp', 8],
  ['rbx', 8],
  ['rdx', 8],
  ['rax', 8],
  ['rcx', 8],
  ['rsp', 8],
  ['rip', 8],
  ['eflags', 8],
  ['cs', 2],
  ['gs', 2],
  ['fs', 2],
  ['ss', 2],
  ['err', 8],
  ['trapno', 8],
  ['oldmask', 8],
  ['cr2', 8],
  ['fpstate', 8],
  [null, 64],
]

const sigcontext32: readonly Member[] = [
  ['gs', 2, 4],
  ['fs', 2, 4],
  ['es', 2, 4],
  ['ds', 2, 4],
  ['rdi', 4],
  ['rsi', 4],
  ['rbp', 4],
  ['rsp', 4],
  ['rbx', 4],
  ['rdx', 4],
  ['rcx', 4],
  ['rax', 4],
  ['trapno', 4],
  ['err', 4],
  ['rip', 4],
  ['cs', 2, 4],
  ['eflags', 4],
  ['spAtSignal', 4],
  ['ss', 2, 4],
  ['fpstate', 4],
  ['oldmask', 4],
  ['cr2', 4],
]

const heads: Readonly<Record<Abi, readonly Member[]>> = {
  x86_64: [
    ['pretcode', 8],
    ['ucFlags', 8],
    ['ucLink', 8],
    ['ucStackSp', 8],
    ['ucStackFlags', 4, 8],
    ['ucStackSize', 8],
    ...sigcontext64,
    ['sigmask', 8],
    siginfo,
  ],
  x32: [
    ['pretcode', 8],
    ['ucFlags', 4],
    ['ucLink', 4],
    ['ucStackSp', 4],
    ['ucStackFlags', 4],
    ['ucStackSize', 4, 8],
    ...sigcontext64,
    ['sigmask', 8],
    siginfo,
  ],
  'ia32-rt': [
    ['pretcode', 4],
    ['sig', 4],
    ['pinfo', 4],
    ['puc', 4],
    siginfo,
    ['ucFlags', 4],
    ['ucLink', 4],
    ['ucStackSp', 4],
    ['ucStackFlags', 4],
    ['ucStackSize', 4],
    ...sigcontext32,
    ['sigmask', 8],
    retcode,
  ],
  // Between sigcontext and extramask lies `fpstate_unused`, where the fpstate once was: nobody writes or reads it.
  ia32: [['pretcode', 4], ['sig', 4], ...sigcontext32, ['extramask', 4], retcode],
}

const fieldsOf = (members: readonly Member[]): HeadFields => {
  const fields: Partial<Record<HeadField, FieldPlace>> = {}
  let at = 0
  for (const [name, width, taken = width] of members) {
    if (name !== null) fields[name] = Object.freeze({ at, width: width as FieldPlace['width'] })
    at += taken
  }
  return Object.freeze(fields as HeadFields)
}

/** Whether its handlers run in 32-bit code, and its frames have an fsave header. */
export const isIa32 = (abi: Abi): boolean => abi === 'ia32-rt' || abi === 'ia32'

const createShape = (abi: Abi, ...recorded: readonly ByteRange[]): FrameShape => {
  const fsave = isIa32(abi)
  const below = fsave ? fsaveSize : 0
  return Object.freeze({
    abi,
    recorded: Object.freeze(recorded.map(range => Object.freeze(range))),
    headBytes: recorded.reduce((sum, { size }) => sum + size, 0),
    frameBytes: Math.max(...recorded.map(({ offset, size }) => offset + size)),
    fields: fieldsOf(heads[abi]),
    fsave,
    fsaveSize: below,
    trailer: magic2Size + below,
  })
}

const shapes: Readonly<Record<Abi, FrameShape>> = {
  x86_64: createShape('x86_64', { offset: 0, size: 440 }),
  'ia32-rt': createShape('ia32-rt', { offset: 0, size: 268 }),
  x32: createShape('x32', { offset: 0, size: 424 }),
  ia32: createShape('ia32', { offset: 0, size: 96 }, { offset: 720, size: 12 }),
}

/** The value if it names an ABI. @throws TypeError, RangeError */
export const checkAbi = (field: string, value: unknown): Abi => {
  if (typeof value !== 'string') throw wrongType(field, value, 'the name of an ABI')
  if (Object.hasOwn(shapes, value)) return value as Abi
  throw outOfRange(field, value, `must be one of ${abis.join(' ')}`)
}

/** The form of an ABI's frames. @throws as `checkAbi` */
export const frameShape = (abi: Abi): FrameShape => shapes[checkAbi('abi', abi)]
