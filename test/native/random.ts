/** Numbers for a fuzz that is to be the same each time: xorshift32. */
export class Random {
  #state: number

  constructor(seed: number) {
    this.#state = seed | 0 || 1
  }

  word(): number {
    let x = this.#state
    x ^= x << 13
    x ^= x >>> 17
    x ^= x << 5
    this.#state = x
    return x >>> 0
  }

  below(n: number): number {
    return this.word() % n
  }

  pick<T>(values: readonly T[]): T {
    return values[this.below(values.length)] as T
  }

  /** A word of the kind that breaks bounds checks, more often than any other. */
  edgy(): number {
    const edges = [0, 1, 2, 4, 63, 64, 128, 0xfff, 0x1000, 0x7fff_ffff, 0x8000_0000, 0xffff_ffc0, 0xffff_ffff]
    return this.below(3) === 0 ? this.word() : (this.pick(edges) + this.pick([0, 0, 1, -1])) >>> 0
  }

  fill(words: Uint32Array): void {
    for (let i = 0; i < words.length; i++) words[i] = this.word()
  }
}
