/**
 * A probe process whose every word is a lie, as TypeScript sees it: results are bounded, errors are clear, nothing
 * hangs, and the session can be closed. Below this, native/hostile.test.ts.
 */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { loadNative } from '../../lib/native.ts'
import type { Native, NativeSession } from '../../lib/native-types.ts'
import type { Seen } from '../../lib/probe/result.ts'
import type { Probe } from '../../lib/probe/session.ts'
import { randomImage } from '../../lib/xstate/random.ts'
import { Random } from '../native/random.ts'
import { needsProbes, returned, session } from './support.ts'

/** What is done to the shared memory, or to an answer, behind Node's back. */
interface Lie {
  /** After a native call of this name has returned. */
  spoil?(memory: ArrayBuffer, call: string): void
  answer?(call: string, answer: unknown): unknown
}

const lies = vi.hoisted(() => ({ now: {} as Lie }))

vi.mock('../../lib/native.ts', async importOriginal => {
  const real = await importOriginal<typeof import('../../lib/native.ts')>()
  const lying = (made: NativeSession): NativeSession =>
    new Proxy(made, {
      get: (target, name) => {
        const method = target[name as 'run'] as unknown as (...args: unknown[]) => unknown
        const told = (answer: unknown): unknown => {
          const { spoil, answer: lie } = lies.now
          if (/^(run|reply|runAsync)$/.test(String(name))) spoil?.(target.memory(), String(name))
          return lie === undefined ? answer : lie(String(name), answer)
        }
        return (...args: unknown[]) => {
          const answer = method.apply(target, args)
          return answer instanceof Promise ? answer.then(told) : told(answer)
        }
      },
    })
  const Session = class {
    constructor(...args: ConstructorParameters<Native['Session']>) {
      // biome-ignore lint/correctness/noConstructorReturn: the real one, which lies
      return lying(new (real.loadNative().Session)(...args))
    }
  }
  return { ...real, loadNative: () => ({ ...real.loadNative(), Session }) }
})

beforeEach(needsProbes)

afterEach(() => {
  lies.now = {}
})

/** All that can be read of a result, which may be nonsense but never an error. */
const readAll = (seen: Seen): void => {
  if (!('after' in seen)) return
  const { before, poison, written, sent, after, effect, layout } = seen
  expect(Array.isArray(effect)).toBe(true)
  for (const frame of [written, sent]) {
    expect(typeof frame.sw.magic1).toBe('number')
    expect(typeof (frame.xstateBv + frame.xcompBv + frame.fpstatePointer)).toBe('bigint')
    frame.magic2At(frame.sw.xstateSize)
  }
  for (const image of [before, poison, after]) expect(image.bytes).toHaveLength(layout.size)
  for (const { name } of layout.components) expect(typeof seen.state(name).restored).toBe('boolean')
  seen.mxcsrState()
}

const clear =
  /^(the probe process (could not make sense of its request: a fault of the harness|says its frame is at \d+, fpstate at \d+: outside its stack)|the first frame of a session did not come back: .*)$/

/** Runs one after the other in every way. @returns what came of it */
const tryAll = async (probe: Probe): Promise<Record<string, number>> => {
  const counts: Record<string, number> = {}
  const look = (seen: Seen): void => {
    counts[seen.kind] = (counts[seen.kind] ?? 0) + 1
    readAll(seen)
  }
  const bad = { edit: [{ op: 'pointer', address: 1n << 63n }] } as const
  const ways: (() => unknown)[] = [
    () => look(probe.runSync()),
    () => look(probe.runSync(bad)),
    () => look(probe.runSync({ edit: frame => frame.set('mxcsr', 0x1fa0) })),
    () => look(probe.runSync({ edit: frame => frame.move() })),
    () => {
      for (const seen of probe.runMany([{}, bad, {}])) look(seen)
    },
    () => probe.runEach([{}, bad, {}], look),
    async () => {
      for (const seen of await probe.run([{}, bad, {}])) look(seen)
    },
  ]
  for (const way of ways) {
    try {
      await way()
    } catch (error) {
      expect((error as Error).message).toMatch(clear)
      counts.error = (counts.error ?? 0) + 1
    }
  }
  return counts
}

/** The words of the outcomes in the ring. */
const outcomes = (memory: ArrayBuffer): Uint32Array => {
  const { arena } = loadNative()
  return new Uint32Array(
    memory,
    arena.outcomes! - arena.first!,
    (arena.ringSlots! * arena.outcomeBytes!) >> 2,
  )
}

const total = (counts: Record<string, number>): number => Object.values(counts).reduce((sum, n) => sum + n, 0)

describe('a probe process that lies', () => {
  it('about its outcomes', async () => {
    const probe = session({ timeoutMs: 200 })
    const random = new Random(1)
    lies.now = { spoil: memory => random.fill(outcomes(memory)) }
    let errors = 0
    for (let i = 0; i < 20; i++) errors += (await tryAll(probe)).error ?? 0
    expect(errors).toBeGreaterThan(20)
    lies.now = {}
    returned(probe.runSync())
  })

  it('about parts of its outcomes', async () => {
    const probe = session({ timeoutMs: 200 })
    const { arena } = loadNative()
    const random = new Random(2)
    const counts: Record<string, number> = {}
    const fields = Object.keys(arena).filter(name => name.startsWith('Outcome.'))
    lies.now = {
      spoil: memory => {
        const words = outcomes(memory)
        const field = arena[random.pick(fields)]! >> 2
        const size = arena.outcomeBytes! >> 2
        for (let slot = 0; slot < arena.ringSlots!; slot++) {
          words[slot * size + field] = random.below(2) ? random.edgy() : random.below(5)
        }
      },
    }
    for (let i = 0; i < 60; i++) {
      for (const [kind, n] of Object.entries(await tryAll(probe))) counts[kind] = (counts[kind] ?? 0) + n
    }
    expect(total(counts)).toBeGreaterThan(400)
    expect(counts.returned).toBeGreaterThan(0)
  })

  it('about frames and registers', async () => {
    const probe = session({ timeoutMs: 200 })
    const random = new Random(3)
    lies.now = {
      spoil: memory => {
        const records = new Uint32Array(memory)
        for (let i = 0; i < 20_000; i++) records[random.below(records.length)] = random.edgy()
      },
    }
    for (let i = 0; i < 5; i++) await tryAll(probe)
    lies.now = {}
    expect(probe.runSync().kind).toMatch(/^(returned|signal|died|timeout)$/)
  })

  it('about its frame while a callback has it', () => {
    const probe = session({ timeoutMs: 200 })
    const native: ArrayBuffer[] = []
    lies.now = { spoil: memory => native.push(memory) }
    const random = new Random(4)
    for (let i = 0; i < 50; i++) {
      const error = new Error('thrown')
      const edit = () => {
        random.fill(outcomes(native.at(-1)!))
        if (i % 2) throw error
      }
      try {
        readAll(probe.runSync({ edit }))
        expect(i % 2).toBe(0)
      } catch (e) {
        if (i % 2) expect(e).toBe(error)
        else expect((e as Error).message).toMatch(clear)
      }
    }
    lies.now = {}
    returned(probe.runSync())
  })

  it('about what came of a stress request', async () => {
    const probe = session({ timeoutMs: 200 })
    const { arena } = loadNative()
    const random = new Random(6)
    const images = [1, 2, 3].map(seed => randomImage(probe.layout, { seed }))
    const task = { seed: 1, limitMs: 100, rounds: 20, abis: ['x86_64'], cpus: [0], lane: 0, team: 0 } as const
    const told = ['signals', 'refused', 'switches', 'loss', 'image', 'poison', 'abi', 'way', 'cpu', 'on']
    const counts: Record<string, number> = {}
    lies.now = {
      spoil: memory => {
        const words = new Uint32Array(memory)
        // Where it lies: the ring's last request of this kind says so.
        const requests = words.subarray(0, (arena.ringSlots! * arena.requestBytes!) >> 2)
        for (let at = 0; at < requests.length; at += arena.requestBytes! >> 2) {
          if (requests[at + (arena['Request.kind']! >> 2)] !== arena['RequestKind.stress']) continue
          const base = (requests[at + (arena['Request.ops']! >> 2)]! - arena.first!) >> 2
          for (const name of told)
            words[base + (arena[`Stress.${name}`]! >> 2)] = random.below(2) ? random.below(4) : random.edgy()
        }
      },
    }
    for (let i = 0; i < 60; i++) {
      try {
        const { counts: seen } = await probe.stress(images, task)
        expect(seen.on).toHaveLength(1)
        expect(seen.expected.map(one => one.length)).toEqual(images.map(({ bytes }) => bytes.length))
        if (seen.loss !== null) expect(images[seen.loss.image]).toBeDefined()
        counts[seen.loss === null ? 'kept' : 'lost'] = (counts[seen.loss === null ? 'kept' : 'lost'] ?? 0) + 1
      } catch (error) {
        expect((error as Error).message).toMatch(
          /^the probe process tells of a lost round in words that are none$/,
        )
        counts.error = (counts.error ?? 0) + 1
      }
    }
    expect(counts).toEqual({ kept: expect.any(Number), lost: expect.any(Number), error: expect.any(Number) })
    lies.now = {}
    returned(probe.runSync())
  })

  it('about how far it has come', () => {
    const probe = session({ timeoutMs: 100 })
    const random = new Random(5)
    for (let i = 0; i < 10; i++) {
      lies.now = {}
      // More that look like results lie in the ring than were asked for last.
      probe.runMany(new Array(128).fill({}))
      lies.now = { answer: (call, answer) => (call === 'completed' ? random.edgy() : answer) }
      process.kill(probe.pid, 'SIGKILL')
      try {
        const kinds = probe.runMany(new Array(5).fill({})).map(({ kind }) => kind)
        expect(kinds).toHaveLength(5)
        expect(kinds.every(kind => kind === 'died' || kind === 'returned')).toBe(true)
      } catch (error) {
        expect((error as Error).message).toMatch(clear)
      }
    }
    lies.now = {}
    returned(probe.runSync())
  })

  it('about how a wait ended', async () => {
    const probe = session({ timeoutMs: 100 })
    const random = new Random(6)
    const codes = Object.entries(loadNative().arena).flatMap(([name, code]) =>
      name.startsWith('Waited.') ? [code] : [],
    )
    lies.now = {
      answer: (call, answer) =>
        /^(run|reply|runAsync)$/.test(call) && random.below(3) === 0 ? random.pick([...codes, 99]) : answer,
    }
    const counts: Record<string, number> = {}
    for (let i = 0; i < 8; i++) {
      for (const [kind, n] of Object.entries(await tryAll(probe))) counts[kind] = (counts[kind] ?? 0) + n
    }
    lies.now = {}
    expect(counts.died).toBeGreaterThan(0)
    await probe.close()
  })
})
