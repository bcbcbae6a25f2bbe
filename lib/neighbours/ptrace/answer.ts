/** What came of a traced request, whatever the process wrote. */
import type { Arena } from '../../probe/arena.ts'
import type { Died, Refused, Returned, Signalled, Stuck, TimedOut, Unraised } from '../../probe/result.ts'
import { errnoName } from '../../probe/result.ts'
import type { XsaveImage } from '../../xstate/image.ts'
import type { CallResult, CheckedCall } from './calls.ts'
import { canary, eachBuffer, type PlacedRegset } from './place.ts'

/** The process came to its second stop. */
export class RegsetDone {
  readonly kind = 'done'
  readonly #seen: Returned | Signalled
  readonly #arena: Arena
  readonly #placed: PlacedRegset
  readonly #region: RegionBytes
  #results: Results | null = null

  constructor(seen: Returned | Signalled, arena: Arena, placed: PlacedRegset, region: RegionBytes) {
    this.#seen = seen
    this.#arena = arena
    this.#placed = placed
    this.#region = region
  }

  #read(): Results {
    this.#results ??= readResults(this.#arena, this.#placed, this.#region)
    return this.#results
  }

  /** Whether every call succeeded: quicker to say than what each gave. */
  get succeeded(): boolean {
    return allSucceeded(this.#arena, this.#placed, this.#region)
  }

  /** What the calls at the first stop gave, in their order. */
  get loaded(): readonly CallResult[] {
    return this.#read().loaded
  }

  /** The same of the second. */
  get ended(): readonly CallResult[] {
    return this.#read().ended
  }

  /** The registers as the process saved them before its second stop. */
  get after(): XsaveImage {
    return this.#seen.after
  }

  /** The signal's probe, frames and all; null where none was asked for. */
  get seen(): Returned | Signalled | null {
    return this.#placed.ask.hasSignal ? this.#seen : null
  }
}

/**
 * What came of it. `died`: the traced process, of whatever; `refused`: what tracing needs is not allowed here. Of a signal
 * at the load, at delivery or after the return there is no second stop to tell of.
 */
export type RegsetAnswer = RegsetDone | Unraised | Died | TimedOut | Stuck | Refused

const nothing = new Uint8Array(0)

/** The bytes of the region, as they are: shared, or a copy. */
export interface RegionBytes {
  readonly bytes: Uint8Array
  /** Index of the region's start. */
  readonly start: number
}

const readResult = (
  arena: Arena,
  at: number,
  call: CheckedCall,
  { bytes, start }: RegionBytes,
  buffer: number,
): CallResult => {
  const { trace } = arena.constants
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const base = start + at
  const error = view.getInt32(base + trace.error, true)
  const size = view.getBigUint64(base + trace.told, true)
  const errno = error === 0 ? null : error < 0 ? 'not called' : errnoName(error)
  if (call.set) return { errno, size, bytes: nothing, overran: false }
  const told = errno === null && size < BigInt(call.room) ? Number(size) : errno === null ? call.room : 0
  const from = start + buffer
  let end = from + call.room
  while (end > from + told && bytes[end - 1] === canary) end--
  return { errno, size, bytes: bytes.subarray(from, from + told), overran: end > from + told }
}

interface Results {
  readonly loaded: readonly CallResult[]
  readonly ended: readonly CallResult[]
}

const allSucceeded = (arena: Arena, { ask, at }: PlacedRegset, { bytes, start }: RegionBytes): boolean => {
  const { trace } = arena.constants
  const calls = ask.loaded.length + ask.ended.length
  for (let i = 0; i < calls; i++) {
    const error = start + at + i * trace.bytes + trace.error
    for (let j = 0; j < 4; j++) if (bytes[error + j] !== 0) return false
  }
  return true
}

const readResults = (arena: Arena, placed: PlacedRegset, region: RegionBytes): Results => {
  const results: CallResult[] = []
  eachBuffer(arena, placed, (call, buffer, index) => {
    const at = placed.at + index * arena.constants.trace.bytes
    results.push(readResult(arena, at, call, region, buffer))
  })
  const { length } = placed.ask.loaded
  return { loaded: results.slice(0, length), ended: results.slice(length) }
}
