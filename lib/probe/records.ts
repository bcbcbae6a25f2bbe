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
    this.#sentBytes[slot] = Math.min(sentBytes, this.arena.geometry.longestSent)
  }

  /** Arena offset and length of each piece of a slot's records. */
  #pieces(slot: number): { readonly at: number; readonly length: number }[] {
    const { plan, constants } = this.arena
    const sequence = this.first + slot
    const record = this.arena.recordAt(sequence)
    const sentBytes = this.#sentBytes[slot] as number
    const sent = { at: this.arena.sentAt(sequence, sentBytes), length: constants.recordHead + sentBytes }
    // Mostly one piece: what the kernel wrote, what was in the registers, what was sent.
    if (sent.at === record + plan.sent) return [{ at: record, length: plan.sent + sent.length }]
    return [{ at: record, length: plan.sent }, sent]
  }

  /** `length` bytes at `offset` of a slot's records, which are `plan.sent` bytes and then the frame as sent. */
  #bytes(slot: number, offset: number, length: number): Uint8Array {
    if (this.#lapsed !== null) throw new Error(this.#lapsed)
    if (this.#copies !== null) {
      const from = (this.#copies.offsets[slot] as number) + offset
      return this.#copies.bytes.subarray(from, from + length)
    }
    const { plan } = this.arena
    const sequence = this.first + slot
    const at =
      offset < plan.sent
        ? this.arena.recordAt(sequence) + offset
        : this.arena.sentAt(sequence, this.#sentBytes[slot] as number) + offset - plan.sent
    const from = this.arena.index(at)
    return this.arena.bytes.subarray(from, from + length)
  }

  frame(slot: number, which: 'written' | 'sent'): RecordedFrame {
    const { headBytes, recordHead } = this.arena.constants
    const from = this.arena.plan[which]
    const length = which === 'written' ? this.#frameBytes : (this.#sentBytes[slot] as number)
    return {
      head: this.#bytes(slot, from, headBytes),
      fpstate: this.#bytes(slot, from + recordHead, length),
    }
  }

  after(slot: number, length: number): Uint8Array {
    return this.#bytes(slot, this.arena.plan.after, length)
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
    const pieces = Array.from({ length: this.#used }, (_, slot) => this.#pieces(slot))
    const total = pieces.flat().reduce((sum, { length }) => sum + length, 0)
    const bytes = Buffer.allocUnsafeSlow(total)
    const { outcomeWords } = this.arena.constants
    const outcomes = new Uint32Array(this.#used * outcomeWords)
    let to = 0
    const offsets = pieces.map((ofSlot, slot) => {
      const start = to
      for (const { at, length } of ofSlot) {
        const from = this.arena.index(at)
        bytes.set(this.arena.bytes.subarray(from, from + length), to)
        to += length
      }
      const outcome = this.arena.outcomeAt(this.first + slot)
      outcomes.set(this.arena.words.subarray(outcome, outcome + outcomeWords), slot * outcomeWords)
      return start
    })
    this.#copies = { bytes, offsets, outcomes }
  }

  /** Gives the records up uncopied: results that were only lent throw `why` from now on. */
  lapse(why: string): void {
    if (this.#copies === null) this.#lapsed = why
  }
}
