/** Numbers and choices from a generator. No BigInt: a frame must not cost more to draw than to send. */
import type { RandomGenerator } from '../../xstate/random.ts'

const words = 2 ** 32

/** An integer in 0..n-1. */
export const below = (random: RandomGenerator, n: number): number =>
  Math.floor(((random.next() >>> 0) / words) * n)

/** True so often, 0..1. */
export const chance = (random: RandomGenerator, share: number): boolean => random.next() >>> 0 < share * words

export const pick = <T>(random: RandomGenerator, values: readonly T[]): T =>
  values[below(random, values.length)] as T

/** A table for `pick` in which each value stands as often as its weight says. */
export const weighted = <T>(rows: readonly (readonly [weight: number, value: T])[]): readonly T[] =>
  Object.freeze(rows.flatMap(([weight, value]) => new Array<T>(weight).fill(value)))
