/** Several sessions at once, in one thread and in several. */
import { beforeEach, describe, expect, it } from 'vitest'
import type { Seen } from '../../lib/probe/result.ts'
import { randomImage } from '../../lib/xstate/random.ts'
import { node } from './child.ts'
import { isGone } from './procfs.ts'
import { needsProbes, returned, session } from './support.ts'

beforeEach(needsProbes)

describe('sessions of one thread', () => {
  it('do not disturb each other, one step of each in turn', async () => {
    const probes = Array.from({ length: 5 }, () => session())
    expect(new Set(probes.map(({ pid }) => pid)).size).toBe(5)
    const runs: Promise<Seen[]>[] = []
    const kept: { seen: Seen; seed: number }[] = []
    for (let round = 0; round < 30; round++) {
      for (const [i, probe] of probes.entries()) {
        const seed = 100 * i + round
        const load = randomImage(probe.layout, { seed })
        // The last one is busy with runs of its own all the time.
        if (i === 4) runs.push(probe.run(new Array(20).fill({ load })))
        else if (round % 2 === 0) kept.push({ seed, seen: probe.runSync({ load }) })
        else kept.push({ seed, seen: probe.runSync({ load, edit: frame => frame.set('fcw', 0x27f) }) })
      }
      await new Promise(resolve => setImmediate(resolve))
    }
    for (const { seen, seed } of kept) {
      const { bytes } = randomImage(probes[0]!.layout, { seed })
      expect(Buffer.compare(returned(seen).before.bytes, bytes)).toBe(0)
      expect(returned(seen).state('sse').loaded).toBe(true)
    }
    expect((await Promise.all(runs)).flat().every(seen => returned(seen).state('sse').loaded)).toBe(true)
  })

  it('do not disturb each other when one is lost', async () => {
    const [one, other] = [session({ timeoutMs: 200 }), session()]
    const { pid } = other
    const lost = one.pid
    process.kill(lost, 'SIGSTOP')
    const hanging = one.run({})
    const others = await other.run(new Array(300).fill({}))
    expect(others.every(({ kind }) => kind === 'returned')).toBe(true)
    expect((await hanging).kind).toBe('timeout')
    expect(isGone(lost)).toBe(true)
    returned(other.runSync())
    expect(other.pid).toBe(pid)
  })

  it('whose runs outnumber the threads that wait for them all end', async () => {
    const probes = Array.from({ length: 12 }, () => session())
    const seen = await Promise.all(probes.map(probe => probe.run(new Array(200).fill({}))))
    expect(seen.flat().filter(({ kind }) => kind !== 'returned')).toEqual([])
  })

  it('leave the event loop free while they run', async () => {
    const probe = session()
    const edit = new Array(4000).fill({ op: 'fill', at: 0, length: probe.limits.inPlaceBytes, value: 0 })
    let turns = 0
    const turning = setInterval(() => {
      turns += 1
    }, 1)
    const run = probe.run(new Array(600).fill(probe.prepare({ edit })))
    await run
    clearInterval(turning)
    expect(turns).toBeGreaterThan(3)
  })

  it('refuse what would have to wait for a run', async () => {
    const probe = session()
    const edit = new Array(4000).fill({ op: 'fill', at: 0, length: probe.limits.inPlaceBytes, value: 0 })
    const run = probe.run(new Array(600).fill(probe.prepare({ edit })))
    await new Promise(resolve => setImmediate(resolve))
    const busy = new Error('a run of this session is under way: await it first')
    expect(() => probe.runSync()).toThrow(busy)
    expect(() => probe.runMany([{}])).toThrow(busy)
    expect(await run).toHaveLength(600)
    returned(probe.runSync())
  })
})

describe('sessions of several threads', () => {
  it('do not disturb each other, and those that are left open do not matter', async () => {
    const { code, signal, stdout, stderr } = await node('workers.mjs').ended
    expect({ code, signal, stderr }).toEqual({ code: 0, signal: null, stderr: '' })
    const counts = { returned: 2880, signal: 40 }
    expect(stdout.trim().split('\n')).toEqual(
      [0, 1, 2, 3, 9].map(
        number => `worker ${number}: ${JSON.stringify(number % 2 ? { ...counts, died: 4 } : counts)}`,
      ),
    )
  })
})

describe.concurrent('a worker that is terminated', () => {
  it.each([
    ['idle', ''],
    ['opening', ''],
    ['closing', ''],
    ['live', ''],
    ['sync', ''],
    ['sync live', ''],
    ['async', ''],
    ['idle', 'stopped'],
    ['live', 'stopped'],
    ['sync', 'stopped'],
    ['async', 'stopped'],
  ])('%s %s', async (...args) => {
    const { code, signal, stdout, stderr } = await node('terminate.mjs', args).ended
    expect({ code, signal, stderr }).toEqual({ code: 0, signal: null, stderr: '' })
    expect(stdout).toBe('gone\nreturned\n')
  })
})
