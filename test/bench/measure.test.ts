import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { Lane } from '../../lib/bench/lane.ts'
import { measure, median, portion } from '../../lib/bench/measure.ts'

/** A clock that goes only when a lane spends time. */
let clockMs = 0
beforeEach(() => {
  clockMs = 0
  vi.spyOn(performance, 'now').mockImplementation(() => clockMs)
})
afterEach(() => vi.restoreAllMocks())

/** A lane whose pace is known: it moves the clock itself. */
const lane = (nsEach: number, loopNsEach: number, changes: Partial<Lane> = {}) => {
  const calls: string[] = []
  const made: Lane = {
    name: 'lane',
    wanted: null,
    weight: 1,
    run: count => {
      calls.push('run')
      clockMs += (count * nsEach) / 1e6
    },
    against: [
      {
        name: 'loop',
        run: count => {
          calls.push('loop')
          return count * loopNsEach
        },
      },
    ],
    ...changes,
  }
  return { made, calls }
}

describe('median', () => {
  test.each([
    [[3, 1, 2], 2],
    [[4, 1, 2, 3], 2.5],
    [[5], 5],
    [[], Number.NaN],
  ])('%j: %d', (values, middle) => {
    expect(median(values)).toBe(middle)
  })

  test('as many are above as below, and nothing is changed', () => {
    fc.assert(
      // Paces and ratios; the mean of two doubles at the ends of their range is another matter.
      fc.property(fc.array(fc.double({ min: -1e12, max: 1e12, noNaN: true }), { minLength: 1 }), values => {
        const before = [...values]
        const middle = median(values)
        expect(values).toEqual(before)
        expect(values.filter(v => v < middle).length).toBeLessThanOrEqual(values.length / 2)
        expect(values.filter(v => v > middle).length).toBeLessThanOrEqual(values.length / 2)
      }),
    )
  })
})

test('a portion fills its slice of time', async () => {
  const { count, counts } = await portion(lane(10_000, 500).made, 10)
  expect(count).toBe(1000)
  expect(counts).toEqual([20_000])
})

test('a portion of something slow is at least one', async () => {
  expect(await portion(lane(1e6, 1e8).made, 1)).toMatchObject({ count: 1, counts: [1] })
})

test('the ratio is that of the two paces', async () => {
  const [result] = await measure([lane(20_000, 10_000).made], { rounds: 3, sliceMs: 5 })
  expect(result?.lane).toBe('lane')
  expect(result?.limitPerSecond).toBeCloseTo(100_000)
  expect(result?.ratio).toBeCloseTo(0.5)
  expect(result?.lowestRatio).toBeLessThanOrEqual(result?.ratio ?? 0)
  expect(result?.highestRatio).toBeGreaterThanOrEqual(result?.ratio ?? 1)
})

test('one slow round of many does not count', async () => {
  let round = 0
  const run = (count: number) => count * (round++ === 4 ? 1e7 : 10_000)
  const disturbed = lane(10_000, 10_000, { against: [{ name: 'loop', run }] }).made
  const [result] = await measure([disturbed], { rounds: 5, sliceMs: 2 })
  expect(result?.ratio).toBeCloseTo(1)
  expect(result?.highestRatio).toBeGreaterThan(10)
})

test('loop and engine take turns, and turns in being first', async () => {
  const { made, calls } = lane(10_000, 10_000)
  await measure([made], { rounds: 4, sliceMs: 1 })
  expect(calls.slice(-8)).toEqual(['loop', 'run', 'run', 'loop', 'loop', 'run', 'run', 'loop'])
})

test('beside each of its yardsticks, one of which may be another lane', async () => {
  const against = [
    { name: 'first', run: async (count: number) => count * 5000 },
    { name: 'second', run: (count: number) => count * 20_000 },
  ] as const
  const [result] = await measure([lane(10_000, 1, { against }).made], { rounds: 3, sliceMs: 5 })
  expect(result).toMatchObject({ against: 'first', others: [{ against: 'second' }] })
  expect(result?.ratio).toBeCloseTo(0.5)
  expect(result?.others[0]?.ratio).toBeCloseTo(2)
  expect(result?.others[0]?.limitPerSecond).toBeCloseTo(50_000)
})

test('every lane in each round, with progress', async () => {
  const order: string[] = []
  const named = (name: string) => lane(1000, 1000, { name, run: () => void order.push(name) }).made
  const steps: [number, number][] = []
  const results = await measure([named('a'), named('b')], { rounds: 2, sliceMs: 1 }, (...step) =>
    steps.push(step),
  )
  expect(results.map(one => one.lane)).toEqual(['a', 'b'])
  expect(order.slice(-4)).toEqual(['a', 'b', 'a', 'b'])
  expect(steps).toEqual([1, 2, 3, 4, 5, 6].map(done => [done, 6]))
})

test('a lane that measures what it should not stops all', async () => {
  const wrong = lane(1, 1, { run: () => Promise.reject(new Error('wrong frames')) }).made
  await expect(measure([wrong], { rounds: 1, sliceMs: 1 })).rejects.toThrow('wrong frames')
})

test('no lane, no result', async () => {
  expect(await measure([], { rounds: 3, sliceMs: 1 })).toEqual([])
})
