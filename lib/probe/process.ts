/**
 * One probe process and its arena: hands chunks of requests over and says what came back. When the process is
 * lost, so is this object; a session then makes another.
 */
import { loadNative, probePath } from '../native.ts'
import type { NativeExit, NativeSession } from '../native-types.ts'
import type { PreparedRegset } from '../neighbours/ptrace/ask.ts'
import {
  type PlacedRegset,
  planRegsets,
  putCalls,
  putRegset,
  renewBuffers,
} from '../neighbours/ptrace/place.ts'
import type { HostCpu } from '../xstate/host.ts'
import { Arena, arenaConstants } from './arena.ts'
import { endSession, endSessionAsync, sweepAbandoned } from './ending.ts'
import { builtPrefix, geometryOf, ringSlots, shapeOf } from './geometry.ts'
import { RecordStore } from './records.ts'
import type { PreparedRequest } from './request.ts'
import type { SignalPlace } from './result.ts'
import { type CheckedAsk, putAsk } from './xrstor.ts'

/** What a throw-away fork has of the time that the probe process has, which must still tell what became of it. */
const isolatedPart = 0.5

/** How long a throw-away fork may take, in milliseconds. */
export const isolatedTimeout = (timeoutMs: number): number => Math.ceil(timeoutMs * isolatedPart)

/** Single probes that share a store: results are copied out of the arena in groups of so many. */
const storeSlots = ringSlots / 2

/** What a chunk's requests need to be the same for. */
export interface RunContext {
  /** Components that are loaded and saved. */
  readonly rfbm: bigint
  /** Bytes of an fpstate as the kernel writes it. */
  readonly frameBytes: number
  readonly timeoutMs: number
  /** Whether the thread stays on the probe process's CPU from one probe to the next. */
  readonly pin: boolean
}

/** How a probe ended, as the probe process tells it. */
export type Ending = 'returned' | 'signal' | 'died' | 'timeout' | 'refused' | 'harness'

/** Requests that were handed over together. */
export interface Handed {
  /** Sequence number of the first. */
  readonly first: number
  readonly count: number
}

/** Such requests, and where their records go. */
export interface Chunk extends Handed {
  readonly store: RecordStore
  readonly firstSlot: number
}

/** A chunk of traced requests, and where their calls lie. */
export interface TracedChunk {
  readonly chunk: Chunk
  readonly placed: readonly PlacedRegset[]
  /** How much of their region they use. */
  readonly bytes: number
}

/** How a chunk ended: how many probes were completed, and whether the process is still there. */
export interface ChunkEnd {
  readonly completed: number
  readonly lost: 'ended' | 'timeout' | null
}

export class ProbeProcess {
  readonly arena: Arena
  readonly pid: number
  readonly #session: NativeSession
  #sequence = 0
  #chunk = 0
  #stores: RecordStore[] = []
  #single: RecordStore | null = null
  #lost = false
  readonly #described: (RunContext | null)[] = new Array(ringSlots).fill(null)
  /** The request that each ring slot describes: still, if nothing was placed anew in the arena since. */
  readonly #standing: (PreparedRequest | null)[] = new Array(ringSlots).fill(null)
  readonly #standingSince = new Float64Array(ringSlots)
  /** The questions whose calls lie in the arena still. */
  #tracedStanding: readonly PlacedRegset[] = []

  /** @throws NativeUnavailableError; Error when it cannot be started, with the call that failed */
  constructor(cpu: HostCpu, permissions: bigint) {
    sweepAbandoned()
    const native = loadNative()
    const geometry = geometryOf(cpu)
    const { recordHead } = arenaConstants(native.arena)
    this.#session = new native.Session(probePath(), shapeOf(geometry, recordHead, permissions))
    const description = this.#session.describe()
    this.pid = description.pid
    this.arena = new Arena(this.#session.memory(), description, geometry, native.arena)
  }

  /** Whether it ended, or made no progress: nothing can be asked of it any more, but to end. */
  get lost(): boolean {
    return this.#lost
  }

  /** Packs the records for frames of this size. Records made before are lost. */
  arrange(frameBytes: number): void {
    this.#stores = []
    this.#single = null
    this.#described.fill(null)
    this.#standing.fill(null)
    this.arena.arrange(frameBytes)
  }

  /** Detaches whatever store lies where the next `count` probes will. */
  #makeRoom(count: number): void {
    const oldest = this.#sequence + count - ringSlots
    for (let store = this.#stores[0]; store !== undefined && store.first < oldest; store = this.#stores[0]) {
      if (store === this.#single) this.#single = null
      store.detach()
      this.#stores.shift()
    }
  }

  #newStore(frameBytes: number): RecordStore {
    const store = new RecordStore(this.arena, this.#sequence, frameBytes)
    this.#stores.push(store)
    return store
  }

  /** What is the same for every request of a ring slot, written once. */
  #describeSlot(sequence: number, context: RunContext): void {
    const { words, constants, plan } = this.arena
    const { request: field } = constants
    const at = this.arena.requestAt(sequence)
    const record = this.arena.recordAt(sequence)
    words[at + field.rfbm] = Number(context.rfbm & 0xffff_ffffn)
    words[at + field.rfbm + 1] = Number(context.rfbm >> 32n)
    words[at + field.written] = record + plan.written
    words[at + field.writtenBytes] = context.frameBytes
    words[at + field.after] = record + plan.after
  }

  #describe(request: PreparedRequest, sequence: number, edit: number, context: RunContext): void {
    const { words, constants } = this.arena
    const { request: field } = constants
    const slot = sequence % ringSlots
    if (this.#described[slot] !== context) {
      this.#described[slot] = context
      this.#describeSlot(sequence, context)
    }
    // A live request's reply changes its slot.
    this.#standing[slot] = request.live === null ? request : null
    const at = this.arena.requestAt(sequence)
    const { sentBytes, primitives } = request.edit
    words[at + field.kind] = constants.probe
    words[at + field.flags] =
      (request.live === null ? 0 : constants.requestLive) |
      (request.isolated ? constants.requestIsolated : 0) |
      (request.shadowStack ? constants.requestShadowStack : 0)
    words[at + field.abi] = constants.abi[request.abi]
    words[at + field.raise] = constants.raise[request.raise]
    words[at + field.stack] = constants.stack[request.stack?.state ?? 'none']
    words[at + field.stackBytes] = request.stack?.bytes ?? 0
    words[at + field.sibling] =
      request.sibling === null ? 0 : this.arena.placeImage(request.sibling, this.#chunk)
    words[at + field.built] =
      request.built === null ? 0 : this.arena.placeImage(request.built, this.#chunk) + builtPrefix
    words[at + field.timeoutMs] = isolatedTimeout(context.timeoutMs)
    words[at + field.count] = 0
    words[at + field.load] = this.arena.placeImage(request.load, this.#chunk)
    words[at + field.poison] = this.arena.placeImage(request.poison, this.#chunk)
    words[at + field.ops] = edit
    words[at + field.opCount] = primitives.length
    words[at + field.sent] = this.arena.sentAt(sequence, sentBytes)
    words[at + field.sentBytes] = sentBytes
    this.#standingSince[slot] = this.arena.placements
  }

  /** Whether the ring describes just these requests already: loops over the same ones write nothing. */
  #stands(requests: readonly PreparedRequest[], from: number, count: number, context: RunContext): boolean {
    const { placements } = this.arena
    for (let i = 0; i < count; i++) {
      const slot = (this.#sequence + i) % ringSlots
      if (this.#standing[slot] !== requests[from + i] || this.#standingSince[slot] !== placements)
        return false
      if (this.#described[slot] !== context) return false
    }
    return true
  }

  /**
   * Writes requests into the ring, as many as fit.
   * @param apart whether the records are to lie in a store of their own, which the caller may let lapse
   */
  fill(
    requests: readonly PreparedRequest[],
    from: number,
    most: number,
    context: RunContext,
    apart = false,
  ): Chunk {
    this.#chunk += 1
    const wanted = Math.min(requests.length - from, most, ringSlots)
    this.#makeRoom(wanted)
    const alone = wanted === 1 && !apart
    const store =
      alone && this.#single !== null && this.#single.used < storeSlots
        ? this.#single
        : this.#newStore(context.frameBytes)
    this.#single = alone ? store : null
    const firstSlot = store.used
    if (this.#stands(requests, from, wanted, context)) {
      for (let i = 0; i < wanted; i++) store.add((requests[from + i] as PreparedRequest).edit.sentBytes)
      return { first: this.#sequence, count: wanted, store, firstSlot }
    }
    let count = 0
    while (count < wanted) {
      const request = requests[from + count] as PreparedRequest
      const edit = this.arena.placeEdit(request, this.#chunk)
      if (edit === undefined) break
      this.#describe(request, this.#sequence + count, edit, context)
      store.add(request.edit.sentBytes)
      count += 1
    }
    return { first: this.#sequence, count, store, firstSlot }
  }

  /** Describes the next ring slots as these questions, as many as fit. They use the slots' records as they like. */
  fillAsks(asks: readonly CheckedAsk[], from: number, context: RunContext): Handed {
    this.#chunk += 1
    const count = Math.min(asks.length - from, ringSlots)
    this.#makeRoom(count)
    // Its probes are to follow one another in the ring.
    this.#single = null
    for (let i = 0; i < count; i++) {
      const ask = asks[from + i] as CheckedAsk
      const slot = (this.#sequence + i) % ringSlots
      this.#standing[slot] = null
      if (this.#described[slot] !== context) {
        this.#described[slot] = context
        this.#describeSlot(this.#sequence + i, context)
      }
      putAsk(this.arena, this.#sequence + i, ask, this.arena.placeImage(ask.before, this.#chunk))
    }
    return { first: this.#sequence, count }
  }

  /** Describes the next ring slots as these traced requests, as many as fit. The traced process ends with the last of all. */
  fillTraced(asks: readonly PreparedRegset[], from: number, context: RunContext): TracedChunk {
    const { placed, bytes } = planRegsets(this.arena, asks, from, ringSlots)
    const requests = placed.map(({ ask }) => ask.request)
    const chunk = this.fill(requests, 0, requests.length, context, true)
    for (let i = 0; i < chunk.count; i++) {
      const one = placed[i] as PlacedRegset
      const before = this.#tracedStanding[i]
      if (
        before !== undefined &&
        before.ask === one.ask &&
        before.at === one.at &&
        before.setAt === one.setAt
      )
        renewBuffers(this.arena, one)
      else putCalls(this.arena, one)
      this.#standing[(chunk.first + i) % ringSlots] = null
      putRegset(this.arena, chunk.first + i, one, from + i + 1 === asks.length)
    }
    this.#tracedStanding = placed.slice(0, chunk.count)
    return { chunk, placed, bytes }
  }

  /** Runs the plain loop of traced probes. @returns nanoseconds, or null where it went otherwise than meant */
  traceLoop(ask: PreparedRegset, count: number, context: RunContext): number | null {
    const { chunk } = this.fillTraced([ask], 0, context)
    const { words, constants, view } = this.arena
    const at = this.arena.requestAt(chunk.first)
    words[at + constants.request.kind] = constants.traceLoop
    view.setBigUint64((at + constants.request.count) * 4, BigInt(count), true)
    const end = this.run(chunk, { ...context, timeoutMs: 60_000 })
    if (end.lost !== null || this.ending(chunk, 0) !== 'returned') return null
    const elapsed = this.arena.outcomeAt(chunk.first) + constants.outcome.elapsedNs
    return (words[elapsed] as number) + (words[elapsed + 1] as number) * 2 ** 32
  }

  #endOf(chunk: Handed, waited: number): ChunkEnd {
    const { waited: codes } = this.arena.constants
    if (waited === codes.done) return { completed: chunk.count, lost: null }
    this.#lost = true
    // What the process claims to have completed is bounded by what it was given.
    const done = (this.#session.completed() - chunk.first) >>> 0
    return {
      completed: Math.min(done, chunk.count),
      lost: waited === codes.timeout ? 'timeout' : 'ended',
    }
  }

  #submitted(chunk: Handed): number {
    this.#sequence += chunk.count
    return this.#sequence >>> 0
  }

  /** Runs a chunk. With `hold` the thread stays on this CPU for the next one, until `letGo`. */
  run(chunk: Handed, context: RunContext, hold = context.pin): ChunkEnd {
    return this.#endOf(chunk, this.#session.run(chunk.count, this.#submitted(chunk), context.timeoutMs, hold))
  }

  letGo(): void {
    this.#session.letGo()
  }

  async runAsync(chunk: Chunk, context: RunContext): Promise<ChunkEnd> {
    const target = this.#submitted(chunk)
    return this.#endOf(chunk, await this.#session.runAsync(chunk.count, target, context.timeoutMs))
  }

  /** Runs a chunk of one live request until its frame waits, or it ended without one. */
  runToFrame(chunk: Chunk, context: RunContext): ChunkEnd | 'frame' {
    const waited = this.#session.run(1, this.#submitted(chunk), context.timeoutMs, context.pin)
    return waited === this.arena.constants.waited.frame ? 'frame' : this.#endOf(chunk, waited)
  }

  /** Sends a live frame back. `fpstate` is an index into the arena's bytes. */
  reply(chunk: Chunk, fpstate: number, sentBytes: number, context: RunContext): ChunkEnd {
    const { words, constants } = this.arena
    const at = this.arena.requestAt(chunk.first)
    words[at + constants.request.sent] = this.arena.sentAt(chunk.first, sentBytes)
    words[at + constants.request.sentBytes] = sentBytes
    words[at + constants.request.sentFrom] = fpstate + constants.first
    chunk.store.setSentBytes(chunk.firstSlot, sentBytes)
    return this.#endOf(chunk, this.#session.reply((chunk.first + 1) >>> 0, context.timeoutMs, context.pin))
  }

  /** Runs the plain loop of `sigframe bench`. @returns nanoseconds, or null where it went otherwise than meant */
  plainLoop(request: PreparedRequest, count: number, bad: boolean, context: RunContext): number | null {
    const chunk = this.fill([request], 0, 1, context)
    const { words, constants, view } = this.arena
    const at = this.arena.requestAt(chunk.first)
    this.#standing[chunk.first % ringSlots] = null
    words[at + constants.request.kind] = constants.plainLoop
    view.setBigUint64((at + constants.request.count) * 4, BigInt(count), true)
    view.setBigUint64((at + constants.request.bad) * 4, bad ? 1n : 0n, true)
    const end = this.run(chunk, { ...context, timeoutMs: 60_000 })
    const outcome = this.arena.outcomeAt(chunk.first)
    if (end.lost !== null || this.ending(chunk, 0) !== 'returned') return null
    const elapsed = outcome + constants.outcome.elapsedNs
    return (words[elapsed] as number) + (words[elapsed + 1] as number) * 2 ** 32
  }

  /**
   * Runs one isolated request so many times over, in one fork. @returns how often it was done, and how many of those
   * frames were refused with a signal; null where it ended otherwise
   */
  repeat(
    request: PreparedRequest,
    count: number,
    context: RunContext,
  ): { readonly done: number; readonly refused: number } | null {
    const chunk = this.fill([request], 0, 1, context)
    const { words, constants, view } = this.arena
    const at = this.arena.requestAt(chunk.first)
    this.#standing[chunk.first % ringSlots] = null
    words[at + constants.request.flags] =
      (words[at + constants.request.flags] as number) | constants.requestIsolated
    view.setBigUint64((at + constants.request.count) * 4, BigInt(count), true)
    const end = this.run(chunk, context)
    if (end.lost !== null || this.ending(chunk, 0) !== 'returned') return null
    const outcome = this.arena.outcomeAt(chunk.first)
    return {
      done: words[outcome + constants.outcome.elapsedNs] as number,
      refused: words[outcome + constants.outcome.served] as number,
    }
  }

  /**
   * Threads with an image each give one CPU to one another `rounds` times. @returns what each has in its registers
   * then, and how often the CPU changed hands at least; null where they could not be started
   */
  switches(
    images: readonly Uint8Array[],
    rounds: number,
    init: PreparedRequest,
    context: RunContext,
  ): { readonly after: Uint8Array[]; readonly switches: number } | null {
    const chunk = this.fill([init], 0, 1, context)
    const { words, constants, view, scratchAt, geometry, bytes } = this.arena
    const { request: field } = constants
    const at = this.arena.requestAt(chunk.first)
    const stride = geometry.imageBytes
    const from = this.arena.index(scratchAt)
    const to = from + images.length * stride
    this.#standing[chunk.first % ringSlots] = null
    bytes.fill(0, from, to + images.length * stride)
    images.forEach((image, i) => {
      bytes.set(image, from + i * stride)
    })
    words[at + field.kind] = constants.switches
    words[at + field.load] = scratchAt
    words[at + field.after] = scratchAt + images.length * stride
    words[at + field.threads] = images.length
    words[at + field.stride] = stride
    view.setBigUint64((at + field.count) * 4, BigInt(rounds), true)
    const end = this.run(chunk, context)
    // The slot's place for registers was another one.
    this.#described[chunk.first % ringSlots] = null
    if (end.lost !== null || this.ending(chunk, 0) !== 'returned') return null
    return {
      after: images.map((image, i) => bytes.slice(to + i * stride, to + i * stride + image.length)),
      switches: words[this.arena.outcomeAt(chunk.first) + constants.outcome.slept] as number,
    }
  }

  /** A chunk of one, whose slot is to be described otherwise by the caller: nothing of it stands for the next one. */
  fillApart(request: PreparedRequest, context: RunContext): Chunk {
    const chunk = this.fill([request], 0, 1, context)
    this.#standing[chunk.first % ringSlots] = null
    this.#described[chunk.first % ringSlots] = null
    return chunk
  }

  /** How a completed probe of a chunk ended; `harness` for a number that no probe process of ours writes. */
  ending(chunk: Handed, index: number): Ending {
    const { words, constants } = this.arena
    const ending = words[this.arena.outcomeAt(chunk.first + index) + constants.outcome.ending] as number
    return constants.endings.get(ending) ?? 'harness'
  }

  /** Where the signal of a probe hit; undefined for a number that no probe process of ours writes. */
  signalPlace(chunk: Handed, index: number): SignalPlace | undefined {
    const { words, constants } = this.arena
    return constants.places.get(
      words[this.arena.outcomeAt(chunk.first + index) + constants.outcome.where] as number,
    )
  }

  #detachStores(): void {
    for (const store of this.#stores) store.detach()
    this.#stores = []
    this.#single = null
  }

  /** Kills the process and lets go of it. Undefined: it did not end, and was left behind. */
  end(): NativeExit | undefined {
    return endSession(this.#session, () => this.#detachStores())
  }

  async endAsync(): Promise<NativeExit | undefined> {
    return await endSessionAsync(this.#session, () => this.#detachStores())
  }
}
