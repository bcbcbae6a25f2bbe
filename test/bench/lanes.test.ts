import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { bench } from '../../lib/bench/bench.ts'
import { BenchError, type Lane, lanesOf } from '../../lib/bench/lanes.ts'
import { abis } from '../../lib/frame/abi.ts'
import { nativeProblem } from '../../lib/native.ts'
import type { Seen } from '../../lib/probe/result.ts'
import { openSync, type Probe, permissible } from '../../lib/probe/session.ts'
import { readHostCpu } from '../../lib/xstate/host.ts'
import { randomImage } from '../../lib/xstate/random.ts'

function supportsTiles(): boolean {
  return nativeProblem() === undefined && permissible(readHostCpu()).includes('xtiledata')
}

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
    const ia32 = probe.lack('ia32') === null ? ['batched ia32-rt frames', 'batched ia32 frames'] : []
    expect(names).toEqual([
      'batched good frames',
      ...bad,
      ...ia32,
      'isolated',
      'live edits, pinned',
      'live edits',
      'runSync data',
      'runMany kept',
      'run (async)',
    ])
  })

  test('each runs any count, more than the sessions take at once too, and has what it is compared with', async () => {
    for (const lane of lanes) {
      for (const count of [1, 7, 3000]) await lane.run(count)
      for (const yardstick of lane.against) expect(await yardstick.run(500)).toBeGreaterThan(0)
    }
  })

  test('32-bit frames are compared with 64-bit ones, then with their own plain loop', () => {
    for (const { name, against } of lanes) {
      const wanted = name.includes('ia32') ? ['64-bit', 'plain'] : ['plain']
      expect([name, against.map(one => one.name)]).toEqual([name, wanted])
    }
  })
})

describe.skipIf(nativeProblem() !== undefined)('the plain loop', () => {
  let probe: Probe

  beforeAll(() => {
    probe = openSync()
  })

  afterAll(async () => {
    await probe.close()
  })

  test.each(abis)('%s: good frames come back, bad ones are refused', abi => {
    if (probe.lack(abi) !== null) return
    const request = probe.prepare({ abi, load: randomImage(probe.layout, { seed: 1 }) })
    expect(probe.plainLoop(request, 300, false)).toBeGreaterThan(0)
    if (probe.layout.xsave) expect(probe.plainLoop(request, 300, true)).toBeGreaterThan(0)
  })

  test.runIf(supportsTiles())('frames with tile data', async () => {
    const large = openSync({ permissions: ['xtiledata'] })
    try {
      const request = large.prepare({ load: randomImage(large.layout, { seed: 1 }) })
      expect(large.plainLoop(request, 300, false)).toBeGreaterThan(0)
    } finally {
      await large.close()
    }
  })
})

/** A session as far as lanes use it, whose every probe ends so. */
const pretending = (probe: Probe, seen: unknown): Probe => {
  const all = (requests: readonly unknown[]) => requests.map(() => seen as Seen)
  return {
    layout: probe.layout,
    lack: () => null,
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
    for (const { against } of pretended(null)) {
      const plain = against.find(({ name }) => name === 'plain')
      expect(() => plain?.run(1)).toThrow(BenchError)
    }
  })
})

test.skipIf(nativeProblem() !== undefined)('a whole bench, as short as may be', async () => {
  const steps: number[] = []
  const { lanes, rounds, host } = await bench(0.1, (done, of) => steps.push(done / of))
  expect(lanes.length).toBeGreaterThanOrEqual(5)
  expect(rounds).toBeGreaterThan(2)
  expect(host.cpus).toBeGreaterThan(0)
  expect(steps.at(-1)).toBe(1)
  for (const lane of lanes) {
    expect(lane.perSecond).toBeGreaterThan(0)
    for (const { limitPerSecond, ratio } of [lane, ...lane.others]) {
      expect(limitPerSecond).toBeGreaterThan(0)
      expect(ratio).toBeGreaterThan(0)
    }
  }
})
