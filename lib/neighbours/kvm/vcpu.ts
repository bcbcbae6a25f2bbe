/** A virtual CPU that never runs: its state goes in and comes out. */
import { byteLengthOf, checkInteger, checkU64, isUint8Array, outOfRange, wrongType } from '../../errors.ts'
import { done, type KvmAnswer, mapped, unanswered } from './answer.ts'
import { kvmCalls } from './constants.ts'
import { type CpuidEntry, encodeEntries } from './cpuid.ts'
import type { Holder } from './holder.ts'
import { leastXsave, PreparedXsave } from './process.ts'

/** The calls that take a buffer for a state. */
export type XsaveCall = 'getXsave' | 'getXsave2' | 'setXsave'

const xsaveCalls = new Set<XsaveCall>(['getXsave', 'getXsave2', 'setXsave'])

/** What came of a state that was set, and then read. Lent: its bytes are good until the visitor returns. */
export interface RoundTrip {
  /** Whether both calls went well. */
  readonly ok: boolean
  /** errno of KVM_SET_XSAVE, 0 where it went well. */
  readonly setError: number
  /** errno of KVM_GET_XSAVE. */
  readonly getError: number
  /** What was read. */
  readonly bytes: Uint8Array
}

/** Of one call of `roundTrips`. */
const mostTrips = 2 ** 32 - 1

const patterns = [0xa5, 0x5a] as const

export class KvmVcpu {
  /** Bytes of its state: what KVM_SET_XSAVE reads and KVM_GET_XSAVE2 writes. */
  readonly xsaveBytes: number
  readonly #holder: Holder

  /** Use `createVcpu`. */
  constructor(holder: Holder, xsaveBytes: number) {
    this.#holder = holder
    this.xsaveBytes = xsaveBytes
  }

  /** KVM_GET_XSAVE: 4096 bytes. EINVAL where the state is larger. */
  getXsave(): KvmAnswer<Uint8Array> {
    return this.#read('getXsave', leastXsave)
  }

  /** KVM_GET_XSAVE2: all of it. */
  getXsave2(): KvmAnswer<Uint8Array> {
    return this.#read('getXsave2', this.xsaveBytes)
  }

  #read(what: XsaveCall, bytes: number): KvmAnswer<Uint8Array> {
    const { process } = this.#holder
    const answer = this.#holder.ask({ what, at: process.getAt(0), room: Math.max(bytes, this.xsaveBytes) })
    return answer.ok ? done(process.stateAt(0, bytes).slice()) : answer
  }

  /** Checks and copies a state once, for many calls. @throws TypeError, RangeError */
  prepareXsave(bytes: Uint8Array): PreparedXsave {
    if (!isUint8Array(bytes)) throw wrongType('bytes', bytes, 'a Uint8Array')
    if (byteLengthOf(bytes) !== this.xsaveBytes)
      throw outOfRange(
        'bytes.length',
        byteLengthOf(bytes),
        `must be ${this.xsaveBytes}, what KVM_SET_XSAVE reads`,
      )
    return new PreparedXsave(new Uint8Array(bytes))
  }

  /** KVM_SET_XSAVE. @throws TypeError, RangeError for what are not exactly `xsaveBytes` bytes */
  setXsave(bytes: Uint8Array | PreparedXsave): KvmAnswer<void> {
    return mapped(this.#holder.ask(this.#setting(bytes)), () => undefined)
  }

  #prepared(bytes: Uint8Array | PreparedXsave): PreparedXsave {
    const prepared = PreparedXsave.bytesOf(bytes)
    return prepared !== null && byteLengthOf(prepared) === this.xsaveBytes
      ? (bytes as PreparedXsave)
      : this.prepareXsave(prepared ?? (bytes as Uint8Array))
  }

  #setting(bytes: Uint8Array | PreparedXsave) {
    const { process, slot } = this.#holder
    const at = process.placeState(0, this.#prepared(bytes))
    return { what: 'setXsave' as const, slot, at, room: this.xsaveBytes }
  }

  /**
   * Sets states and reads each back by KVM_GET_XSAVE (by KVM_GET_XSAVE2 where it is larger), one after the other, many calls at once: for loops that look at
   * millions. @returns null, or the failure that ended it: the process's, never that of one call
   */
  roundTrips(
    states: readonly (Uint8Array | PreparedXsave)[],
    visit: (trip: RoundTrip, index: number) => void,
  ): KvmAnswer<void> {
    if (!Array.isArray(states)) throw wrongType('states', states, 'an array of states')
    if (typeof visit !== 'function') throw wrongType('visit', visit, 'a function')
    const { process } = this.#holder
    const count = checkInteger('states.length', states.length, 0, mostTrips)
    for (let from = 0; from < count; ) {
      const chunk = this.#tripChunk(states, from, Math.min(count - from, process.rounds), visit)
      if (!chunk.ok) return chunk
      from += chunk.value
    }
    return done(undefined)
  }

  #tripChunk(
    states: readonly (Uint8Array | PreparedXsave)[],
    from: number,
    count: number,
    visit: (trip: RoundTrip, index: number) => void,
  ): KvmAnswer<number> {
    const { process } = this.#holder
    const chunk: PreparedXsave[] = []
    for (let i = 0; i < count; i++) chunk.push(this.#prepared(states[from + i] as PreparedXsave))
    const lost = this.#holder.runTrips(this.xsaveBytes, chunk)
    if (lost !== null) return lost
    for (let i = 0; i < count && process.gone === null; i++) {
      const setError = process.errorOf(2 * i)
      const getError = process.errorOf(2 * i + 1)
      const ok = setError === 0 && getError === 0
      process.visit(() => visit({ ok, setError, getError, bytes: process.tripState(i) }, from + i))
    }
    // A visitor may have closed the door.
    if (process.gone !== null) return unanswered(kvmCalls.setXsave, process.gone)
    return done(count)
  }

  /** `sigframe bench`: nanoseconds of a plain loop of KVM_SET_XSAVE and KVM_GET_XSAVE in the process. */
  plainLoop(bytes: Uint8Array | PreparedXsave, count: number): KvmAnswer<number> {
    checkInteger('count', count, 1, 10_000_000)
    const { at, room } = this.#setting(bytes)
    const value = BigInt(this.#holder.process.getAt(0))
    const ask = { what: 'plainLoop', at, room, argument: count, value } as const
    return mapped(this.#holder.ask(ask, 60_000), told => Number(told.value))
  }

  /**
   * How many bytes a call writes, seen by what was in the buffer and what is there then.
   * @returns the offset of the last byte that was written, plus one
   */
  bytesWritten(what: 'getXsave' | 'getXsave2'): KvmAnswer<number> {
    if (what !== 'getXsave' && what !== 'getXsave2')
      throw outOfRange('what', what, 'must be getXsave or getXsave2')
    const { process } = this.#holder
    let last = 0
    for (const pattern of patterns) {
      const buffer = process.fillState(0, pattern)
      const answer = this.#holder.ask({ what, at: process.getAt(0), room: buffer.length })
      if (!answer.ok) return answer
      // What happens to be written as it was is seen with the other one.
      last = Math.max(last, buffer.findLastIndex(byte => byte !== pattern) + 1)
    }
    return done(last)
  }

  /**
   * The call on a buffer of so many bytes, behind which nothing can be read or written: from 0 on.
   */
  atGuard(what: XsaveCall, room: number): KvmAnswer<void> {
    if (!xsaveCalls.has(what)) throw outOfRange('what', what, `must be one of ${[...xsaveCalls].join(' ')}`)
    const { process } = this.#holder
    checkInteger('room', room, 0, process.mostXsave)
    process.placeBeforeGuard(new Uint8Array(room))
    const answer = this.#holder.ask({ what, at: process.beforeGuard(room), room, short: true })
    return mapped(answer, () => undefined)
  }

  /** KVM_SET_CPUID2: what the guest is told that it has. @throws TypeError, RangeError */
  setCpuid2(entries: readonly CpuidEntry[]): KvmAnswer<void> {
    const list = encodeEntries(entries)
    const { process } = this.#holder
    return mapped(this.#holder.ask({ what: 'setCpuid2', ...process.placeList(list) }), () => undefined)
  }

  /** KVM_GET_XCRS: which components the guest has enabled. */
  getXcr0(): KvmAnswer<bigint> {
    return mapped(this.#holder.ask({ what: 'getXcr0' }), told => told.value)
  }

  /** KVM_SET_XCRS. EINVAL for what the guest may not have. */
  setXcr0(value: bigint): KvmAnswer<void> {
    checkU64('value', value)
    return mapped(this.#holder.ask({ what: 'setXcr0', value }), () => undefined)
  }

  /** KVM_SET_MSRS of one. @returns whether KVM took it: it refuses without an errno */
  setMsr(index: number, value: bigint): KvmAnswer<boolean> {
    checkInteger('index', index, 0, 0xffff_ffff)
    checkU64('value', value)
    return mapped(this.#holder.ask({ what: 'setMsr', argument: index, value }), told => told.result === 1)
  }

  /** KVM_GET_MSRS of one; null where KVM does not know it. */
  getMsr(index: number): KvmAnswer<bigint | null> {
    checkInteger('index', index, 0, 0xffff_ffff)
    return mapped(this.#holder.ask({ what: 'getMsr', argument: index }), told =>
      told.result === 1 ? told.value : null,
    )
  }

  /** Closes it. Twice is no error; other calls are EBADF then. */
  close(): void {
    this.#holder.close()
  }
}
