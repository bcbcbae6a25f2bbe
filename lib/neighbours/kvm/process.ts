/**
 * The process that holds the device, the virtual machines and their CPUs: a probe process, started for this alone. Not
 * Node, because the kernel ties a VM to the memory of whoever made it, a permission for guests can never be given back,
 * and a kernel that writes more than it says would write into Node. Not the session's own, whose memory and permissions
 * are part of what it probes. With the process everything is closed, however it ends.
 */
import { loadNative, probePath } from '../../native.ts'
import type { NativeSession } from '../../native-types.ts'
import { endSession, endSessionAsync, namedExit, sweepAbandoned } from '../../probe/ending.ts'
import { geometryOf } from '../../probe/geometry.ts'
import { readHostCpu } from '../../xstate/host.ts'
import { done, failed, type KvmAnswer, unanswered } from './answer.ts'
import { type KvmConstants, type KvmDo, kvmCalls, kvmConstants } from './constants.ts'

const page = 4096
const pages = (bytes: number): number => Math.ceil(bytes / page) * page
const cacheLine = 64
const lines = (bytes: number): number => Math.ceil(bytes / cacheLine) * cacheLine

/** struct kvm_xsave, and the least that there is of any state. */
export const leastXsave = 4096
/** Bytes behind a state that a kernel might write, and should not. */
const behind = page
/** Bytes for a list of CPUID entries, or a path. */
const listBytes = 16 * page

/** One call, as it is asked. */
export interface KvmAsk {
  readonly what: KvmDo
  readonly slot: number
  readonly into?: number
  /** Arena offset of the bytes, and how many there are. */
  readonly at?: number
  readonly room?: number
  readonly argument?: number
  readonly value?: bigint
  /** The buffer ends before the guard, and may be too short. */
  readonly short?: boolean
}

/** What a call gave: its result, and what it was told. */
export interface KvmTold {
  readonly result: number
  readonly value: bigint
}

/** A state that was checked and copied, and lies in the arena of whoever uses it last. */
export class PreparedXsave {
  readonly #bytes: Uint8Array

  /** Use `prepareXsave`. */
  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  /** Those of a prepared state; null for anything else. */
  static bytesOf(value: unknown): Uint8Array | null {
    return typeof value === 'object' && value !== null && #bytes in value ? value.#bytes : null
  }
}

export class KvmProcess {
  readonly pid: number
  /** So many states are set and read at once. */
  readonly rounds: number
  /** The largest state that there is room for. */
  readonly mostXsave: number
  readonly #session: NativeSession
  readonly #constants: KvmConstants
  readonly #timeoutMs: number
  readonly #bytes: Uint8Array
  readonly #view: DataView
  /** Arena offsets. */
  readonly #calls: number
  readonly #list: number
  readonly #states: number
  readonly #stride: number
  readonly #guard: number
  readonly #taken: boolean[]
  readonly #placed: (PreparedXsave | null)[]
  readonly #views: (Uint8Array | null)[]
  /** Where the state lies that each round sets, of as many rounds as the calls in the arena are. */
  #trips: number[] = []
  #tripOf = { slot: -1, room: 0 }
  #orphans: number[] = []
  #sequence = 0
  /** Why nobody answers any more. */
  #gone: string | null = null
  #visited = false

  /** @throws NativeUnavailableError, Error where it cannot be started */
  constructor(timeoutMs: number) {
    sweepAbandoned()
    const native = loadNative()
    const cpu = readHostCpu()
    const { stackBytes, headroom } = geometryOf(cpu)
    this.#constants = kvmConstants(native.arena)
    this.#timeoutMs = timeoutMs
    const { callBytes, mostCalls, slots } = this.#constants
    this.rounds = mostCalls / 2
    // Every component of the CPU, also those that no task of the host may have.
    const area = cpu.components.reduce(
      (size, c) => (c.supervisor ? size : Math.max(size, c.offset + c.size)),
      0,
    )
    this.mostXsave = pages(Math.max(area, leastXsave))
    this.#stride = this.mostXsave + behind
    const callsBytes = lines(mostCalls * callBytes)
    this.#session = new native.Session(probePath(), {
      stackBytes,
      headroom,
      spareBytes: this.mostXsave,
      dataBytes: callsBytes + listBytes + 2 * this.rounds * this.#stride,
      permissions: 0n,
    })
    const { pid, data, spare, spareBytes } = this.#session.describe()
    this.pid = pid
    const memory = this.#session.memory()
    this.#bytes = new Uint8Array(memory)
    this.#view = new DataView(memory)
    this.#calls = data
    this.#list = data + callsBytes
    this.#states = this.#list + listBytes
    this.#guard = spare + spareBytes
    this.#taken = new Array<boolean>(slots).fill(false)
    this.#views = new Array<Uint8Array | null>(this.rounds).fill(null)
    this.#placed = new Array<PreparedXsave | null>(this.rounds).fill(null)
  }

  #index(offset: number): number {
    return offset - this.#constants.first
  }

  /** A number for a descriptor that is to come; null where there are as many as there can be. */
  takeSlot(): number | null {
    this.#closeOrphans()
    const slot = this.#taken.indexOf(false)
    if (slot < 0) return null
    this.#taken[slot] = true
    return slot
  }

  /** Closes what a slot holds. @returns what close said */
  release(slot: number): KvmAnswer<KvmTold> {
    this.#taken[slot] = false
    return this.ask({ what: 'close', slot })
  }

  /** The slot holds nothing: what was to come did not. */
  forget(slot: number): void {
    this.#taken[slot] = false
  }

  /** What nobody can reach any more is closed at the next occasion: a finalizer calls this. */
  abandon(slot: number): void {
    this.#orphans.push(slot)
  }

  #closeOrphans(): void {
    const orphans = this.#orphans
    this.#orphans = []
    for (const slot of orphans) this.release(slot)
  }

  /** Makes one call. */
  ask(one: KvmAsk): KvmAnswer<KvmTold> {
    return this.askAll([one])[0] as KvmAnswer<KvmTold>
  }

  /** Makes calls, one after the other, whatever becomes of each. */
  askAll(asks: readonly KvmAsk[], timeoutMs = this.#timeoutMs): KvmAnswer<KvmTold>[] {
    const lost = this.run(asks, timeoutMs)
    return asks.map((ask, i) => (lost === null ? this.#told(ask, i) : unanswered(kvmCalls[ask.what], lost)))
  }

  /** The same for who looks at what came of them by `errorOf`. @returns null, or what became of the process */
  run(asks: readonly KvmAsk[], timeoutMs = this.#timeoutMs): string | null {
    this.#checkFree()
    if (this.#gone !== null) return this.#gone
    this.#trips = []
    asks.forEach((ask, i) => {
      this.#put(ask, i)
    })
    return this.#submit(asks.length, timeoutMs)
  }

  /**
   * Sets so many states and reads each back; by `errorOf`, 2 i and 2 i + 1, and `tripState`. What is asked as the last time
   * is not written anew.
   */
  runTrips(slot: number, room: number, states: readonly PreparedXsave[]): string | null {
    this.#checkFree()
    if (this.#gone !== null) return this.#gone
    if (this.#tripOf.slot !== slot || this.#tripOf.room !== room) {
      this.#trips = []
      this.#views.fill(null)
      this.#tripOf = { slot, room }
    }
    const trips = this.#trips
    states.forEach((state, i) => {
      const at = i > 0 && state === states[i - 1] ? (trips[i - 1] as number) : this.placeState(i, state)
      if (trips[i] === at) return
      trips[i] = at
      this.#put({ what: 'setXsave', slot, at, room }, 2 * i)
      this.#put(
        { what: room > leastXsave ? 'getXsave2' : 'getXsave', slot, at: this.getAt(i), room },
        2 * i + 1,
      )
    })
    return this.#submit(2 * states.length, this.#timeoutMs)
  }

  /** Has what was read visited: while the arena is lent, nobody may call. */
  visit(visit: () => void): void {
    this.#visited = true
    try {
      visit()
    } finally {
      this.#visited = false
    }
  }

  /** What the i-th of them has read: a view, good until the next call. */
  tripState(i: number): Uint8Array {
    this.#views[i] ??= this.stateAt(i, this.#tripOf.room)
    return this.#views[i] as Uint8Array
  }

  #put(
    { what, slot, into = 0, at = 0, room = 0, argument = 0, value = 0n, short = false }: KvmAsk,
    i: number,
  ): void {
    const { call, codes, callBytes, short: shortFlag } = this.#constants
    const base = this.#index(this.#calls) + i * callBytes
    const view = this.#view
    view.setUint32(base + call.what, codes[what], true)
    view.setUint32(base + call.flags, short ? shortFlag : 0, true)
    view.setUint32(base + call.slot, slot, true)
    view.setUint32(base + call.into, into, true)
    view.setUint32(base + call.at, at, true)
    view.setUint32(base + call.room, room, true)
    view.setBigUint64(base + call.argument, BigInt(argument), true)
    view.setBigUint64(base + call.value, value, true)
  }

  #checkFree(): void {
    if (this.#visited)
      throw new Error('states of this KVM door are being visited: their visitor cannot call it')
  }

  #submit(count: number, timeoutMs: number): string | null {
    const {
      requests,
      requestBytes,
      outcomes,
      outcomeBytes,
      ringSlots,
      request,
      kind,
      waited,
      ending,
      returned,
    } = this.#constants
    const slot = this.#sequence % ringSlots
    const at = this.#index(requests) + slot * requestBytes
    this.#view.setUint32(at + request.kind, kind, true)
    this.#view.setUint32(at + request.load, this.#calls, true)
    this.#view.setBigUint64(at + request.count, BigInt(count), true)
    this.#sequence += 1
    const end = this.#session.run(1, this.#sequence >>> 0, timeoutMs)
    if (end !== waited.done) return this.#lost(end === waited.timeout ? timeoutMs : null)
    if (this.#view.getUint32(this.#index(outcomes) + slot * outcomeBytes + ending, true) !== returned)
      throw new Error('the process of a KVM door could not make sense of its request: a fault of the harness')
    return null
  }

  /** The process ended, or made no progress: it is done with. */
  #lost(timeoutMs: number | null): string {
    const exit = endSession(this.#session)
    const ended = exit === undefined ? null : namedExit(exit)
    const how = ended === null ? 'and does not end' : `by ${ended.signal ?? `exit code ${ended.code}`}`
    this.#gone =
      timeoutMs !== null ? `no answer within ${timeoutMs} ms` : `the process of this door ended ${how}`
    return this.#gone
  }

  #told({ what }: KvmAsk, i: number): KvmAnswer<KvmTold> {
    const error = this.errorOf(i)
    const { call } = this.#constants
    const base = this.#callAt(i)
    if (error < 0)
      throw new Error(`the process of a KVM door made no sense of ${what}: a fault of the harness`)
    if (error > 0) return failed(kvmCalls[what], error)
    return done({
      result: Number(this.#view.getBigInt64(base + call.result, true)),
      value: this.#view.getBigUint64(base + call.value, true),
    })
  }

  #callAt(i: number): number {
    return this.#index(this.#calls) + i * this.#constants.callBytes
  }

  /** errno of a call, 0 where it went well. */
  errorOf(i: number): number {
    return this.#view.getInt32(this.#callAt(i) + this.#constants.call.error, true)
  }

  /** Puts a list there, a path or CPUID entries. @returns where it lies */
  placeList(bytes: Uint8Array): { readonly at: number; readonly room: number } {
    if (bytes.length > listBytes)
      throw new RangeError(`a list of ${bytes.length} bytes, at most ${listBytes}`)
    if (this.#gone === null) this.#bytes.set(bytes, this.#index(this.#list))
    return { at: this.#list, room: bytes.length }
  }

  /** What has become of the list. */
  readList(room: number): Uint8Array {
    const from = this.#index(this.#list)
    return this.#bytes.slice(from, from + room)
  }

  /** Arena offset of the state that the i-th round sets. */
  setAt(i: number): number {
    return this.#states + i * this.#stride
  }

  /** And of the one that it reads. */
  getAt(i: number): number {
    return this.#states + (this.rounds + i) * this.#stride
  }

  /** The state in the place of the i-th round, where it is not there yet. @returns its arena offset */
  placeState(i: number, state: PreparedXsave): number {
    if (this.#placed[i] !== state && this.#gone === null) {
      this.#placed[i] = state
      this.#bytes.set(PreparedXsave.bytesOf(state) as Uint8Array, this.#index(this.setAt(i)))
    }
    return this.setAt(i)
  }

  /** Bytes at the i-th round's place for what is read: a view, good until the next call. */
  stateAt(i: number, bytes: number): Uint8Array {
    const from = this.#index(this.getAt(i))
    return this.#bytes.subarray(from, from + bytes)
  }

  /** Everything there, with what no kernel knows of, in both its bits. */
  fillState(i: number, value: number): Uint8Array {
    return this.#gone === null ? this.stateAt(i, this.#stride).fill(value) : new Uint8Array(this.#stride)
  }

  /** Arena offset from which so many bytes are left before what nobody can read or write. */
  beforeGuard(room: number): number {
    return this.#guard - room
  }

  /** Puts bytes there. */
  placeBeforeGuard(bytes: Uint8Array): void {
    if (this.#gone === null) this.#bytes.set(bytes, this.#index(this.beforeGuard(bytes.length)))
  }

  /** Whether anybody answers. */
  get gone(): string | null {
    return this.#gone
  }

  /** Ends the process. Twice is no error. @param why what later calls are told */
  end(why: string): void {
    if (this.#gone !== null) return
    this.#gone = why
    endSession(this.#session)
  }

  /** The same without blocking the thread: what a VM leaves behind takes the kernel a while. */
  async endAsync(why: string): Promise<void> {
    if (this.#gone !== null) return
    this.#gone = why
    await endSessionAsync(this.#session)
  }
}
