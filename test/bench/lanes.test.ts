import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { bench } from '../../lib/bench/bench.ts'
import { kvmLanes } from '../../lib/bench/kvm-lane.ts'
import { BenchError, type Lane } from '../../lib/bench/lane.ts'
import { lanesOf } from '../../lib/bench/lanes.ts'
import { abis } from '../../lib/frame/abi.ts'
import { nativeProblem } from '../../lib/native.ts'
import { openKvm } from '../../lib/neighbours/kvm/open.ts'
import type { Seen } from '../../lib/probe/result.ts'
import { openSync, type Probe, permissible } from '../../lib/probe/session.ts'
import { readHostCpu } from '../../lib/xstate/host.ts'
import { randomImage } from '../../lib/xstate/random.ts'

function supportsTiles(): boolean {
  return nativeProblem() === undefined && permissible(readHostCpu()).includes('xtiledata')
}

/** Whether there is a lane of traced processes. */
const canTrace = (probe: Probe): boolean => {
  if (!probe.layout.xsave) return false
  const answer = probe.regset({ loaded: [{ call: 'get' }] })
  return answer.kind === 'done' && answer.succeeded
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
    const fuzz = probe.layout.xsave ? ['fuzz, predicted'] : []
    const kvm = probe.layout.xsave && hasKvm() ? ['KVM states'] : []
    expect(names).toEqual([
      'batched good frames',
      ...bad,
      ...ia32,
      ...fuzz,
      'pair matrix',
      ...(canTrace(probe) ? ['ptrace regsets'] : []),
      ...kvm,
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

  const yardsticks: readonly (readonly [RegExp, readonly string[]])[] = [
    [/ia32/, ['64-bit', 'plain']],
    [/fuzz/, ['engine']],
    [/./, ['plain']],
  ]

  test('32-bit frames are compared with 64-bit ones first, fuzzing with the engine, all others with a plain loop', () => {
    for (const { name, against } of lanes) {
      const [, wanted] = yardsticks.find(([pattern]) => pattern.test(name))!
      expect([name, against.map(one => one.name)]).toEqual([name, wanted])
    }
  })
})

const hasKvm = (): boolean => {
  const opened = openKvm()
  if (opened.ok) opened.value.closeSync()
  return opened.ok
}

test('the lane of virtual CPUs ends with its session, and says so', async ctx => {
  if (nativeProblem() !== undefined) return ctx.skip(nativeProblem())
  const probe = openSync()
  const [lane] = kvmLanes(probe)
  await probe.close()
  if (lane === undefined) return ctx.skip('there is no KVM here')
  const closed = 'bench: KVM states: KVM_SET_XSAVE: the KVM door is closed'
  expect(() => lane.run(1)).toThrow(new BenchError(closed))
  expect(() => lane.against[0].run(1)).toThrow(BenchError)
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

/** A session that is itself while lanes are made; then, once `lie` is called, its every probe ends as it is told. */
const pretending = (probe: Probe): { readonly session: Probe; readonly lie: (seen: unknown) => void } => {
  let lies: Partial<Record<string | symbol, unknown>> = {}
  const session = new Proxy(probe, {
    get: (target, name) => {
      if (name in lies) return lies[name]
      const value: unknown = Reflect.get(target, name, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
  return {
    session,
    lie: seen => {
      const all = (requests: readonly unknown[]) => requests.map(() => seen as Seen)
      lies = {
        runEach: (requests: readonly unknown[], visit: (seen: Seen, i: number) => void) =>
          all(requests).forEach(visit),
        runSync: () => seen,
        runMany: all,
        run: async (requests: readonly unknown[]) => all(requests),
        plainLoop: () => null,
        eachRegset: (asks: readonly unknown[], visit: (answer: unknown, i: number) => void) =>
          all(asks).forEach(visit),
        traceLoop: () => null,
      }
    },
  }
}

describe.skipIf(nativeProblem() !== undefined)('a lane that is not what it says is no measurement', () => {
  let probe: Probe
  const pretended = (seen: unknown) => {
    const { session, lie } = pretending(probe)
    const lanes = lanesOf(session, session)
    lie(seen)
    return lanes
  }

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

  /** The others send nothing. */
  const all = () => pretended(null).flatMap(({ name }) => (/^pair matrix$|^KVM/.test(name) ? [] : [name]))
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
    for (const { name: lane, against } of pretended(null)) {
      if (lane.startsWith('KVM')) continue
      for (const { name, run } of against) if (name === 'plain') expect(() => run(1)).toThrow(BenchError)
    }
  })

  test('regsets that are not set, and calls that fail', async () => {
    if (!canTrace(probe)) return
    const ended = [
      { errno: null, size: 0n, bytes: randomImage(probe.layout, { seed: 9 }).bytes, overran: false },
    ]
    for (const succeeded of [true, false]) {
      const lane = pretended({ kind: 'done', succeeded, ended }).find(({ name }) => name === 'ptrace regsets')
      expect(() => lane?.run(2)).toThrow(BenchError)
    }
  })

  test('frames that could not be sent are no loss: fuzzing passes over them', async () => {
    if (!probe.layout.xsave) return
    const lanes = pretended({ kind: 'refused', call: 'mmap', errno: 'ENOMEM' })
    await lanes.find(({ name }) => name === 'fuzz, predicted')?.run(300)
    expect(lanes.map(({ name }) => name)).toContain('fuzz, predicted')
  })

  test('fuzzing says how the process was lost', async () => {
    if (!probe.layout.xsave) return
    const lane = pretended({ kind: 'timeout' }).find(({ name }) => name === 'fuzz, predicted')
    expect(() => lane?.run(300)).toThrow(
      new BenchError('bench: fuzz: the probe process was lost: no progress'),
    )
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
