/**
 * The records of consecutive probes: shared memory at first, a copy of it once the session needs the room. So
 * results that are only lent cost no copy, and those that are kept are copies when it matters.
 */
import type { Arena } from './arena.ts'
import { ringSlots } from './geometry.ts'

export interface RecordedFrame {
  readonly head: Uint8Array
  readonly fpstate: Uint8Array
}

/** An outcome's numbers as the probe process wrote them. */
export interface RawOutcome {
  readonly where: number
  readonly signal: number
  readonly siCode: number
  readonly siAddr: bigint
  /** Arena offsets. */
  readonly fpstate: number
  readonly sentFpstate: number
  readonly sentPointer: bigint
}

export class RecordStore {
  readonly arena: Arena
  /** Sequence number of its first probe. */
  readonly first: number
  readonly #frameBytes: number
  readonly #sentBytes = new Uint32Array(ringSlots)
  #used = 0
  #copies: {
    readonly bytes: Uint8Array
    readonly offsets: readonly number[]
    readonly outcomes: Uint32Array
  } | null = null
  #lapsed: string | null = null

  /**
   * @param frameBytes bytes of an fpstate as the kernel writes it
   */
  constructor(arena: Arena, first: number, frameBytes: number) {
    this.arena = arena
    this.first = first
    this.#frameBytes = frameBytes
  }

  /** How many probes' records it holds. */
  get used(): number {
    return this.#used
  }

  /** Takes one more probe's records. @returns its slot here */
  add(sentBytes: number): number {
    const slot = this.#used++
    this.setSentBytes(slot, sentBytes)
    return slot
  }

  /** Bytes of the fpstate as sent; what is copied out is bounded by it, so it is bounded by the room. */
  setSentBytes(slot: number, sentBytes: number): void {
    this.#sentBytes[slot] = Math.min(sentBytes, this.arena.geometry.sentCapacity)
  }

  #length(slot: number): number {
    const { recordHead } = this.arena.constants
    return this.arena.geometry.sent + recordHead + (this.#sentBytes[slot] as number)
  }

  #span(slot: number): Uint8Array {
    if (this.#lapsed !== null) throw new Error(this.#lapsed)
    if (this.#copies !== null) {
      const from = this.#copies.offsets[slot] as number
      return this.#copies.bytes.subarray(from, from + this.#length(slot))
    }
    const from = this.arena.index(this.arena.recordAt(this.first + slot))
    return this.arena.bytes.subarray(from, from + this.#length(slot))
  }

  frame(slot: number, which: 'written' | 'sent'): RecordedFrame {
    const span = this.#span(slot)
    const { headBytes, recordHead } = this.arena.constants
    const from = this.arena.geometry[which]
    const length = which === 'written' ? this.#frameBytes : (this.#sentBytes[slot] as number)
    return {
      head: span.subarray(from, from + headBytes),
      fpstate: span.subarray(from + recordHead, from + recordHead + length),
    }
  }

  after(slot: number, length: number): Uint8Array {
    const from = this.arena.geometry.after
    return this.#span(slot).subarray(from, from + length)
  }

  outcome(slot: number): RawOutcome {
    if (this.#lapsed !== null) throw new Error(this.#lapsed)
    const { outcome, outcomeWords } = this.arena.constants
    const words = this.#copies?.outcomes ?? this.arena.words
    const at = this.#copies === null ? this.arena.outcomeAt(this.first + slot) : slot * outcomeWords
    const word = (index: number): number => words[at + index] as number
    const wide = (index: number): bigint => (BigInt(word(index + 1)) << 32n) | BigInt(word(index))
    return {
      where: word(outcome.where),
      signal: word(outcome.signal),
      siCode: word(outcome.siCode) | 0,
      siAddr: wide(outcome.siAddr),
      fpstate: word(outcome.fpstate),
      sentFpstate: word(outcome.sentFpstate),
      sentPointer: wide(outcome.sentPointer),
    }
  }

  /** Copies what is here out of the shared memory, which may be used anew from then on. */
  detach(): void {
    if (this.#copies !== null || this.#lapsed !== null) return
    const offsets: number[] = []
    let total = 0
    for (let slot = 0; slot < this.#used; slot++) {
      offsets.push(total)
      total += this.#length(slot)
    }
    const bytes = new Uint8Array(Buffer.allocUnsafeSlow(total).buffer)
    const { outcomeWords } = this.arena.constants
    const outcomes = new Uint32Array(this.#used * outcomeWords)
    for (let slot = 0; slot < this.#used; slot++) {
      bytes.set(this.#span(slot), offsets[slot])
      const at = this.arena.outcomeAt(this.first + slot)
      outcomes.set(this.arena.words.subarray(at, at + outcomeWords), slot * outcomeWords)
    }
    this.#copies = { bytes, offsets, outcomes }
  }

  /** Gives the records up uncopied: results that were only lent throw `why` from now on. */
  lapse(why: string): void {
    if (this.#copies === null) this.#lapsed = why
  }
}
