/**
 * The records of consecutive probes: shared memory at first, a copy of it once the session needs the room. So
 * results that are only lent cost no copy, and those that are kept are copies when it matters.
 */
import type { FrameShape } from '../frame/abi.ts'
import type { FrameParts } from '../frame/reader.ts'
import type { Arena } from './arena.ts'
import { ringSlots } from './geometry.ts'

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
  /** How often the thread gave up its CPU meanwhile. */
  readonly slept: number
  /** Page faults that userfaultfd stopped. */
  readonly served: number
}

/**
 * So many slots are copied out together: fewer cost a call each, more are kept in memory by whoever keeps one of
 * their results.
 */
const copiedTogether = 8

export class RecordStore {
  readonly arena: Arena
  /** Sequence number of its first probe. */
  readonly first: number
  readonly #frameBytes: number
  readonly #sentBytes = new Uint32Array(ringSlots)
  #used = 0
  #copies: {
    /** The slots as they lay in the arena, `copiedTogether` in each. */
    readonly groups: readonly Uint8Array[]
    readonly outcomes: Uint32Array
    /** Frames as sent that were too long for their slots. */
    readonly long: ReadonlyMap<number, Uint8Array>
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

  /** `length` bytes at `offset` of a slot's records, which are `plan.sent` bytes and then the frame as sent. */
  #bytes(slot: number, offset: number, length: number): Uint8Array {
    if (this.#lapsed !== null) throw new Error(this.#lapsed)
    const { plan } = this.arena
    const inLong = offset >= plan.sent && this.#isLong(slot)
    if (this.#copies !== null) {
      const long = this.#copies.long.get(slot)
      if (inLong && long !== undefined) return long.subarray(offset - plan.sent, offset - plan.sent + length)
      const group = this.#copies.groups[Math.floor(slot / copiedTogether)] as Uint8Array
      const from = (slot % copiedTogether) * plan.slotBytes + offset
      return group.subarray(from, from + length)
    }
    const sequence = this.first + slot
    const at = inLong
      ? this.arena.sentAt(sequence, this.#sentBytes[slot] as number) + offset - plan.sent
      : this.arena.recordAt(sequence) + offset
    const from = this.arena.index(at)
    return this.arena.bytes.subarray(from, from + length)
  }

  #isLong(slot: number): boolean {
    return (this.#sentBytes[slot] as number) > this.arena.plan.sentRoom
  }

  /** Views of a recorded frame: they change with the memory that they lie in. */
  frame(
    slot: number,
    which: 'written' | 'sent',
    { abi, headBytes, fsave, fsaveSize }: FrameShape,
  ): FrameParts {
    const { recordHead } = this.arena.constants
    const from = this.arena.plan[which]
    const length = which === 'written' ? this.#frameBytes : (this.#sentBytes[slot] as number)
    return {
      abi,
      head: this.#bytes(slot, from, headBytes),
      fsave: fsave ? this.#bytes(slot, from + recordHead - fsaveSize, fsaveSize) : null,
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
      slept: word(outcome.slept),
      served: word(outcome.served),
    }
  }

  /** Copies what is here out of the shared memory, which may be used anew from then on. */
  detach(): void {
    if (this.#copies !== null || this.#lapsed !== null) return
    const used = this.#used
    const { outcomeWords } = this.arena.constants
    const outcomes = new Uint32Array(used * outcomeWords)
    const groups: Uint8Array[] = []
    for (let from = 0; from < used; from += copiedTogether) {
      groups.push(this.#copyGroup(from, Math.min(copiedTogether, used - from)))
    }
    for (let slot = 0; slot < used; slot++) {
      const at = this.arena.outcomeAt(this.first + slot)
      for (let i = 0; i < outcomeWords; i++)
        outcomes[slot * outcomeWords + i] = this.arena.words[at + i] as number
    }
    this.#copies = { groups, outcomes, long: this.#copyLong() }
  }

  #copyGroup(first: number, count: number): Uint8Array {
    const { slotBytes } = this.arena.plan
    // Not a Buffer, whose slice() is no copy.
    const bytes = new Uint8Array(Buffer.allocUnsafeSlow(count * slotBytes).buffer)
    // Slots lie side by side, but for the end of the ring.
    const toEnd = Math.min(count, ringSlots - ((this.first + first) % ringSlots))
    for (const [from, length] of [
      [0, toEnd],
      [toEnd, count - toEnd],
    ] as const) {
      if (length === 0) continue
      const at = this.arena.index(this.arena.recordAt(this.first + first + from))
      bytes.set(this.arena.bytes.subarray(at, at + length * slotBytes), from * slotBytes)
    }
    return bytes
  }

  #copyLong(): Map<number, Uint8Array> {
    const long = new Map<number, Uint8Array>()
    const { recordHead } = this.arena.constants
    for (let slot = 0; slot < this.#used; slot++) {
      if (!this.#isLong(slot)) continue
      const sentBytes = this.#sentBytes[slot] as number
      const from = this.arena.index(this.arena.sentAt(this.first + slot, sentBytes))
      long.set(slot, this.arena.bytes.slice(from, from + recordHead + sentBytes))
    }
    return long
  }

  /** Gives the records up uncopied: results that were only lent throw `why` from now on. */
  lapse(why: string): void {
    if (this.#copies === null) this.#lapsed = why
  }
}
