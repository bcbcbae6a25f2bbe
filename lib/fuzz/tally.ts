/** What a run of the fuzzer has come to so far. */
import type { Outcome } from './batch.ts'
import { type Counts, countTrail, createCounts } from './coverage.ts'
import { type Finding, frameKey, signatureOf, smaller } from './finding.ts'

/** Differences of so many kinds are shrunk; more of them are counted. */
const mostKinds = 16
/** Of each kind so many frames are shrunk: the least of what comes out is told. */
const shrunkOfKind = 4

/** Differences that are the like. */
interface Kind<F extends Finding> {
  count: number
  /** How many of them are shrunk, or about to be. */
  taken: number
  least: F | null
}

const merged = <F extends Finding>(one: F, other: F): F => ({
  ...smaller(one, other),
  index: Math.min(one.index, other.index),
  count: one.count + other.count,
})

export class Tally<F extends Finding> {
  readonly counts: Counts = createCounts()
  readonly passedOver: Record<string, number> = {}
  readonly #kinds = new Map<string, Kind<F>>()
  frames = 0
  asked = 0
  #more = 0

  #pass(why: string): void {
    this.passedOver[why] = (this.passedOver[why] ?? 0) + 1
  }

  /** @returns whether it is a difference to be shrunk */
  add(outcome: Outcome): boolean {
    this.frames += 1
    switch (outcome.kind) {
      case 'as predicted':
        countTrail(this.counts, outcome.predicted.trail)
        if (outcome.asked) this.asked += 1
        return false
      case 'unable':
        this.#pass(outcome.why)
        return false
      case 'unpredicted':
        this.#pass(
          'nobody can say: it hangs on bytes that are in no record, or around which pages are missing',
        )
        return false
      default:
        return this.#addDifference(signatureOf(outcome) as string)
    }
  }

  #addDifference(signature: string): boolean {
    let kind = this.#kinds.get(signature)
    if (kind === undefined) {
      if (this.#kinds.size === mostKinds) {
        this.#more += 1
        return false
      }
      kind = { count: 0, taken: 0, least: null }
      this.#kinds.set(signature, kind)
    }
    kind.count += 1
    if (kind.taken === shrunkOfKind) return false
    kind.taken += 1
    return true
  }

  /** Takes what a difference was shrunk to. */
  settle(signature: string, found: F): void {
    const kind = this.#kinds.get(signature)
    if (kind === undefined) return
    // The first one of its kind stays the first, however small others are.
    kind.least =
      kind.least === null
        ? found
        : { ...smaller(kind.least, found), index: Math.min(kind.least.index, found.index) }
  }

  /** Frames that differ in ways of which none was shrunk: there were too many, or it was to end. */
  get more(): number {
    let more = this.#more
    for (const { count, least } of this.#kinds.values()) if (least === null) more += count
    return more
  }

  /** How many kinds of difference there are. */
  get kinds(): number {
    return this.#kinds.size
  }

  /** What there is to tell, kinds that came to the same frame together. */
  findings(): F[] {
    const byFrame = new Map<string, F>()
    for (const { count, least } of this.#kinds.values()) {
      if (least === null) continue
      const found = { ...least, count }
      const key = frameKey(found)
      const known = byFrame.get(key)
      byFrame.set(key, known === undefined ? found : merged(known, found))
    }
    return [...byFrame.values()]
  }
}
