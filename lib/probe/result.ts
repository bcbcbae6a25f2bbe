/** What became of a probe. A union on `kind`; only the variants that have images carry them. */
import { constants as osConstants } from 'node:os'

import { type Abi, frameShape } from '../frame/abi.ts'
import type { EditOp } from '../frame/edit.ts'
import { type FrameParts, FrameRecord, restorable } from '../frame/reader.ts'
import { type Explanation, explain, explainMxcsr, type Origins } from '../xstate/compare.ts'
import type { ComponentName } from '../xstate/components.ts'
import { XsaveImage } from '../xstate/image.ts'
import type { Layout } from '../xstate/layout.ts'
import type { RawOutcome, RecordStore } from './records.ts'
import type { PreparedRequest, Refusal } from './request.ts'

/**
 * Where a signal hit: at the loading XRSTOR, when the frame was to be written, in the handler, when the frame was to
 * be restored, after that.
 */
export type SignalPlace = 'load' | 'delivery' | 'handler' | 'sigreturn' | 'after'

// Some numbers have two names (SIGABRT and SIGIOT): the first is the one in use.
const signalNames = new Map(
  Object.entries(osConstants.signals)
    .map(([name, number]) => [number, name] as const)
    .reverse(),
)

/** A signal's name, `SIGSEGV`; one without a name is `signal 33`. */
export const signalName = (number: number): string => signalNames.get(number) ?? `signal ${number}`

/** How far from the arena a pointer may lead and still be told by the distance. */
const nearBytes = 1n << 28n

// Differing bytes are told in runs; two runs closer than this are one.
const runGap = 8

/** The writes that turn one array of bytes into the other. */
export const differingRuns = (from: Uint8Array, to: Uint8Array): { at: number; bytes: Uint8Array }[] => {
  const runs: { at: number; end: number }[] = []
  for (let i = 0; i < to.length; i++) {
    if ((from[i] ?? 0) === to[i]) continue
    const last = runs.at(-1)
    if (last !== undefined && i - last.end < runGap) last.end = i + 1
    else runs.push({ at: i, end: i + 1 })
  }
  return runs.map(({ at, end }) => ({ at, bytes: to.slice(at, end) }))
}

/** A move to an offset of the second buffer, also where the frame does not fit before its end. */
const moveTo = (at: number, spareBytes: number, written: Uint8Array): EditOp =>
  spareBytes - at < written.length ? { op: 'move', guardAt: spareBytes - at } : { op: 'move', at }

/** The frames of a probe whose handler ran. All that the getters return are copies. */
export abstract class Recorded {
  readonly layout: Layout
  readonly #request: PreparedRequest
  readonly #store: RecordStore
  readonly #slot: number

  constructor(layout: Layout, request: PreparedRequest, store: RecordStore, slot: number) {
    this.layout = layout
    this.#request = request
    this.#store = store
    this.#slot = slot
  }

  /** What the registers held when the signal hit: the image that was loaded. */
  get before(): XsaveImage {
    return new XsaveImage(this.#request.load.bytes.slice(), this.layout)
  }

  /** What the registers held when the handler returned. */
  get poison(): XsaveImage {
    return new XsaveImage(this.#request.poison.bytes.slice(), this.layout)
  }

  get abi(): Abi {
    return this.#request.abi
  }

  /** The recorded bytes themselves, where they lie. */
  #parts(which: 'written' | 'sent'): FrameParts {
    return this.#store.frame(this.#slot, which, frameShape(this.#request.abi))
  }

  #frame(which: 'written' | 'sent'): FrameRecord {
    const { abi, head, fsave, fpstate } = this.#parts(which)
    const parts = { abi, head: head.slice(), fsave: fsave?.slice() ?? null, fpstate: fpstate.slice() }
    return new FrameRecord(parts, this.layout)
  }

  /** The frame as the kernel wrote it. */
  get written(): FrameRecord {
    return this.#frame('written')
  }

  /** The frame as it went back to the kernel. */
  get sent(): FrameRecord {
    return this.#frame('sent')
  }

  /** The frame as it went back, where it lies: for who looks at it before the session's next probe, and keeps nothing. */
  get sentView(): FrameParts {
    return this.#parts('sent')
  }

  /** The registers as they were saved at the end, where they lie. */
  protected savedBytes(): Uint8Array {
    return this.#store.after(this.#slot, this.layout.size)
  }

  protected origins(): Origins {
    return {
      sent: restorable(this.#parts('sent')),
      loaded: this.#request.load.bytes,
      poison: this.#request.poison.bytes,
    }
  }

  protected outcome(): RawOutcome {
    return this.#store.outcome(this.#slot)
  }

  /** Where the fpstate was sent from, and whether the frame's pointer led there. */
  get sentFrom(): { readonly buffer: 'stack' | 'spare'; readonly pointed: boolean } {
    const { base } = this.#store.arena.description
    const { fpstate, sentFpstate, sentPointer } = this.outcome()
    return {
      buffer: sentFpstate === fpstate ? 'stack' : 'spare',
      pointed: sentPointer === base + BigInt(sentFpstate),
    }
  }

  /** What a sibling held in its registers, if there was one. */
  get sibling(): XsaveImage | null {
    const { sibling } = this.#request
    return sibling === null ? null : new XsaveImage(sibling.bytes.slice(), this.layout)
  }

  /** How often the thread gave up its CPU between the load and the end. Known of isolated probes only. */
  get slept(): number {
    return this.outcome().slept
  }

  /** How many page faults userfaultfd stopped. */
  get served(): number {
    return this.outcome().served
  }

  /** The fpstate pointer as sent, less where it led before: nothing, or a far one, or by so many bytes. */
  #repointed(): EditOp[] {
    const { description } = this.#store.arena
    const { sentFpstate, sentPointer } = this.outcome()
    const { fsaveSize } = frameShape(this.#request.abi)
    const distance = BigInt.asIntN(64, sentPointer - description.base - BigInt(sentFpstate))
    if (distance === 0n) return []
    // Near means relative: addresses of the arena change from one process to the next. It lies low, but NULL is far.
    if (distance > -nearBytes && distance < nearBytes) return [{ op: 'pointer', by: Number(distance) }]
    return [{ op: 'pointer', address: BigInt.asUintN(64, sentPointer - BigInt(fsaveSize)) }]
  }

  /** What was done below the fpstate, but for the pointer. */
  #below(written: FrameParts, sent: FrameParts): EditOp[] {
    const { at, width } = frameShape(this.#request.abi).fields.fpstate
    const head = sent.head.slice()
    head.set(written.head.subarray(at, at + width), at)
    const writes = (region: 'head' | 'fsave', from: Uint8Array, to: Uint8Array): EditOp[] =>
      differingRuns(from, to).map(run => ({ op: 'write', region, ...run }))
    return [
      ...writes('head', written.head, head),
      ...(written.fsave === null || sent.fsave === null ? [] : writes('fsave', written.fsave, sent.fsave)),
    ]
  }

  /** What was done to the frame, as the bytes that changed: as data it has the same effect again. */
  get effect(): EditOp[] {
    const { description } = this.#store.arena
    const { fpstate, sentFpstate } = this.outcome()
    const written = this.#parts('written')
    const sent = this.#parts('sent')
    const ops: EditOp[] = []
    if (sentFpstate !== fpstate)
      ops.push(moveTo(sentFpstate - description.spare, description.spareBytes, written.fpstate))
    // Behind what the kernel wrote there is nothing to differ from: zeros are sent too.
    const beyond = sent.fpstate.length - written.fpstate.length
    if (beyond > 0) ops.push({ op: 'fill', at: written.fpstate.length, length: beyond, value: 0 })
    for (const { at, bytes } of differingRuns(written.fpstate, sent.fpstate))
      ops.push({ op: 'write', at, bytes })
    const pages = this.#request.edit.primitives.flatMap(primitive => {
      if (primitive.code !== 'pages') return []
      const { at, length, state } = primitive
      return [{ op: 'pages' as const, at, length, state }]
    })
    return [...ops, ...this.#below(written, sent), ...this.#repointed(), ...pages]
  }
}

/** A probe after which the registers could be saved. */
export abstract class Saved extends Recorded {
  /** What the registers held after the return. After a signal: what the kernel left in them. */
  get after(): XsaveImage {
    return new XsaveImage(this.savedBytes().slice(), this.layout)
  }

  /** The same bytes where they lie, as `sentView`. */
  get afterView(): Uint8Array {
    return this.savedBytes()
  }

  /**
   * Every explanation of a component's bytes after the return: from the frame as sent, the init value, kept
   * from before the return, or as it was when the signal hit. More than one may hold.
   * @throws RangeError when the layout lacks the component
   */
  state(name: ComponentName): Explanation {
    return explain(this.savedBytes(), this.origins(), this.layout, name)
  }

  /** The same of MXCSR, which belongs to no component. */
  mxcsrState(): Explanation {
    return explainMxcsr(this.savedBytes(), this.origins())
  }
}

/** The frame went back, and the kernel took it: in full, in part, or as it does without a word. */
export class Returned extends Saved {
  readonly kind = 'returned'
}

/** A signal and its siginfo. */
export interface SignalInfo {
  /** SIGSEGV, mostly. */
  readonly signal: string
  /** 128 (SI_KERNEL) where the kernel found the frame bad. */
  readonly siCode: number
  readonly siAddr: bigint
}

// EAGAIN and EWOULDBLOCK are one number, and so are EOPNOTSUPP and ENOTSUP, which the kernel does not know.
const errnoNames = new Map(
  Object.entries(osConstants.errno)
    .filter(([name]) => name !== 'ENOTSUP')
    .map(([name, number]) => [number, name] as const)
    .reverse(),
)

/** An errno's name, `ENOMEM`. */
export const errnoName = (number: number): string => errnoNames.get(number) ?? `errno ${number}`

/** An outcome's siginfo. */
export const signalInfo = ({ signal, siCode, siAddr }: RawOutcome): SignalInfo => ({
  signal: signalName(signal),
  siCode,
  siAddr,
})

/** The kernel answered the return with a signal. The process survived it. */
export class Signalled extends Saved implements SignalInfo {
  readonly kind = 'signal'
  readonly where = 'sigreturn'
  #info: SignalInfo | undefined

  #read(): SignalInfo {
    this.#info ??= signalInfo(this.outcome())
    return this.#info
  }

  get signal(): string {
    return this.#read().signal
  }

  get siCode(): number {
    return this.#read().siCode
  }

  get siAddr(): bigint {
    return this.#read().siAddr
  }
}

/** The kernel took the frame; where it led, a signal hit. The registers could not be saved there. */
export class Astray extends Recorded implements SignalInfo {
  readonly kind = 'signal'
  readonly where = 'after'

  get signal(): string {
    return signalInfo(this.outcome()).signal
  }

  get siCode(): number {
    return this.outcome().siCode
  }

  get siAddr(): bigint {
    return this.outcome().siAddr
  }
}

/** The fork that a probe ran in did not survive the return of its frame. */
export class Killed extends Recorded implements Died {
  readonly kind = 'died'
  readonly where = 'sigreturn'

  get signal(): string | null {
    const { signal } = this.outcome()
    return signal === 0 ? null : signalName(signal)
  }

  get code(): number | null {
    const { signal, siCode } = this.outcome()
    return signal === 0 ? siCode : null
  }
}

/** A signal before any frame was there: the load failed, or the frame could not be written. */
export interface Unraised extends SignalInfo {
  readonly kind: 'signal'
  readonly where: 'load' | 'delivery' | 'handler'
}

/** The probe process, or the fork that this probe ran in, died of it. The next one runs in a new one. */
export interface Died {
  readonly kind: 'died'
  /** How far the probe had come; null where nobody is left to tell. */
  readonly where: SignalPlace | null
  /** The signal that ended it, or null. */
  readonly signal: string | null
  /** Its exit code, or null. */
  readonly code: number | null
}

/** The probe process made no progress; it was killed, and the next probe runs in a new one. */
export interface TimedOut {
  readonly kind: 'timeout'
  readonly timeoutMs: number
}

/** It made no progress, and SIGKILL did not end it either. It was left behind. */
export interface Stuck {
  readonly kind: 'stuck'
  readonly timeoutMs: number
  readonly pid: number
}

/** What the probe needs could not be had; nothing was probed. */
export interface Refused {
  readonly kind: 'refused'
  readonly call: Refusal
  /** ENOMEM, EPERM, … */
  readonly errno: string
}

export type Seen = Returned | Signalled | Astray | Unraised | Killed | Died | TimedOut | Stuck | Refused
