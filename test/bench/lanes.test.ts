import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { bench } from '../../lib/bench/bench.ts'
import { BenchError, type Lane, lanesOf } from '../../lib/bench/lanes.ts'
import { nativeProblem } from '../../lib/native.ts'
import type { Seen } from '../../lib/probe/result.ts'
import { openSync, type Probe } from '../../lib/probe/session.ts'

describe.skipIf(nativeProblem() !== undefined)('lanes of a real session', () => {
  let probe: Probe
  let lanes: Lane[]

  beforeAll(() => {
    probe = openSync()
    lanes = lanesOf(probe, probe)
  })

  afterAll(async () => {
    await probe.close()
  })

  test('are those that are told of', () => {
    const names = lanes.map(({ name }) => name)
    const bad = probe.layout.xsave ? ['batched bad frames'] : []
    expect(names).toEqual([
      'batched good frames',
      ...bad,
      'live edits, pinned',
      'live edits',
      'runSync data',
      'runMany kept',
      'run (async)',
    ])
  })

  test('each runs any count, more than the sessions take at once too, and has its loop', async () => {
    for (const lane of lanes) {
      for (const count of [1, 7, 3000]) await lane.run(count)
      expect(lane.loop(500)).toBeGreaterThan(0)
    }
  })
})

/** A session as far as lanes use it, whose every probe ends so. */
const pretending = (probe: Probe, seen: unknown): Probe => {
  const all = (requests: readonly unknown[]) => requests.map(() => seen as Seen)
  return {
    layout: probe.layout,
    prepare: () => ({}),
    runEach: (requests: readonly unknown[], visit: (seen: Seen) => void) => all(requests).forEach(visit),
    runSync: () => seen,
    runMany: all,
    run: async (requests: readonly unknown[]) => all(requests),
    plainLoop: () => null,
    unpin: () => undefined,
  } as unknown as Probe
}

describe.skipIf(nativeProblem() !== undefined)('a lane that is not what it says is no measurement', () => {
  let probe: Probe
  const pretended = (seen: unknown) => lanesOf(pretending(probe, seen), pretending(probe, seen))

  beforeAll(() => {
    probe = openSync()
  })

  afterAll(async () => {
    await probe.close()
  })

  const refused = async (seen: unknown): Promise<string[]> => {
    const messages: string[] = []
    for (const lane of pretended(seen)) {
      try {
        await lane.run(2)
      } catch (error) {
        expect(error).toBeInstanceOf(BenchError)
        messages.push(lane.name)
      }
    }
    return messages
  }

  const all = () => pretended(null).map(({ name }) => name)
  const good = () => all().filter(name => name !== 'batched bad frames')

  test('a probe process that died, in every lane', async () => {
    expect(await refused({ kind: 'died', signal: 'SIGKILL', code: null })).toEqual(all())
  })

  test('a signal where a return is meant; the wrong signal where one is meant', async () => {
    const signal = { kind: 'signal', where: 'sigreturn', signal: 'SIGSEGV', siCode: 128, siAddr: 0n }
    expect(await refused(signal)).toEqual(good())
    expect(await refused({ ...signal, siCode: 1 })).toEqual(all())
    expect(await refused({ ...signal, signal: 'SIGBUS' })).toEqual(all())
    expect(await refused({ ...signal, where: 'delivery' })).toEqual(all())
  })

  test('frames that are not restored', async () => {
    const state = () => ({ restored: false, init: true, kept: false, loaded: false })
    const sent = { sw: { xfeatures: 0x12345n } }
    expect(await refused({ kind: 'returned', layout: probe.layout, state, sent })).toEqual(all())
  })

  test('a loop that met another fate', () => {
    for (const lane of pretended(null)) expect(() => lane.loop(1)).toThrow(BenchError)
  })
})

test.skipIf(nativeProblem() !== undefined)('a whole bench, as short as may be', async () => {
  const steps: number[] = []
  const { lanes, rounds, host } = await bench(0.1, (done, of) => steps.push(done / of))
  expect(lanes.length).toBeGreaterThanOrEqual(5)
  expect(rounds).toBeGreaterThan(2)
  expect(host.cpus).toBeGreaterThan(0)
  expect(steps.at(-1)).toBe(1)
  for (const { perSecond, limitPerSecond, ratio } of lanes) {
    expect(perSecond).toBeGreaterThan(0)
    expect(limitPerSecond).toBeGreaterThan(0)
    expect(ratio).toBeGreaterThan(0)
  }
})
