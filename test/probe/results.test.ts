/** Results are what was asked for, are copies, and stay good; those that are lent do not. */
import { beforeEach, describe, expect, it } from 'vitest'
import type { Seen, Signalled } from '../../lib/probe/result.ts'
import type { Probe } from '../../lib/probe/session.ts'
import type { XsaveImage } from '../../lib/xstate/image.ts'
import { randomImage } from '../../lib/xstate/random.ts'
import { isGone } from './procfs.ts'
import { needsProbes, recorded, returned, session } from './support.ts'

beforeEach(needsProbes)

const images = (probe: Probe, count: number): XsaveImage[] =>
  Array.from({ length: count }, (_, seed) => randomImage(probe.layout, { seed }))

/** All that a result has, as plain data. */
const everything = (seen: Seen) => {
  const { kind, layout, before, poison, written, sent, after, effect } = recorded(seen)
  return {
    kind,
    images: [before.bytes, poison.bytes, after.bytes].map(bytes => Buffer.from(bytes).toString('base64')),
    frames: [written, sent].map(({ head, fpstate }) =>
      [head, fpstate].map(b => Buffer.from(b).toString('base64')),
    ),
    states: layout.components.map(({ name }) => [name, recorded(seen).state(name)]),
    mxcsr: recorded(seen).mxcsrState(),
    effect,
  }
}

/** The written frame tells whose result this is: SSE's bytes are unlike any other seed's. */
const isOf = (seen: Seen, load: XsaveImage): boolean =>
  Buffer.compare(recorded(seen).written.component('sse'), load.component('sse')) === 0

describe('results', () => {
  it('stay good after close()', async () => {
    const probe = session()
    const load = images(probe, 3)
    const kept = [
      probe.runSync({ load: load[0]! }),
      probe.runSync({ load: load[1]!, edit: frame => frame.move() }),
      probe.runSync({ load: load[2]!, edit: [{ op: 'pointer', address: 1n << 63n }] }),
      ...probe.runMany(load.map(image => ({ load: image }))),
      ...(await probe.run(load.map(image => ({ load: image })))),
    ]
    const before = kept.map(everything)
    await probe.close()
    expect(kept.map(everything)).toEqual(before)
    expect(kept.every((seen, i) => isOf(seen, load[i % 3]!))).toBe(true)
  })

  it('stay good when they are first looked at after close()', async () => {
    const probe = session()
    const load = images(probe, 5)
    const kept = [
      ...probe.runMany(load.map(image => ({ load: image }))),
      ...load.map(image => probe.runSync({ load: image })),
      ...load.map(image => probe.runSync({ load: image, edit: () => undefined })),
    ]
    await probe.close()
    for (const [i, seen] of kept.entries()) {
      expect(isOf(seen, load[i % 5]!)).toBe(true)
      for (const { name } of probe.layout.components) expect(returned(seen).state(name).restored).toBe(true)
    }
  })

  it('stay good when their process dies', () => {
    const probe = session()
    const load = images(probe, 5)
    const kept = load.map(image => probe.runSync({ load: image }))
    process.kill(probe.pid, 'SIGKILL')
    expect(probe.runSync().kind).toBe('died')
    expect(kept.every((seen, i) => isOf(seen, load[i]!))).toBe(true)
  })

  it('keep their own bytes while the ring is used again and again', async () => {
    const probe = session()
    const load = images(probe, 500)
    const kept: Seen[] = []
    kept.push(...probe.runMany(load.slice(0, 300).map(image => ({ load: image }))))
    for (const image of load.slice(300, 450)) {
      const live = kept.length % 3 === 0
      kept.push(probe.runSync(live ? { load: image, edit: frame => frame.move() } : { load: image }))
    }
    kept.push(...(await probe.run(load.slice(450).map(image => ({ load: image })))))
    for (let i = 0; i < 3; i++) probe.runEach(new Array(128).fill(probe.prepare({})), () => undefined)
    expect(kept).toHaveLength(load.length)
    expect(kept.findIndex((seen, i) => !isOf(seen, load[i]!))).toBe(-1)
    expect(kept.findIndex(seen => !returned(seen).state('sse').restored)).toBe(-1)
  })

  it('say of the registers what was in them this time: nothing is left of the probe that had the place before', () => {
    const probe = session()
    const bits = (): Set<bigint> =>
      new Set(probe.runMany(new Array(128).fill({})).map(seen => returned(seen).after.xstateBv))
    const before = bits()
    probe.runMany(images(probe, 128).map(load => ({ load })))
    expect(bits()).toEqual(before)
  })

  it('are copies: what a caller does to one image changes no other', () => {
    const probe = session()
    const seen = returned(probe.runSync({ load: images(probe, 1)[0]! }))
    const before = everything(seen)
    for (const bytes of [
      seen.before.bytes,
      seen.poison.bytes,
      seen.after.bytes,
      seen.written.fpstate,
      seen.written.head,
      seen.sent.fpstate,
      seen.sent.head,
    ]) {
      bytes.fill(0xee)
    }
    expect(everything(seen)).toEqual(before)
  })

  it('say what was loaded, whatever the caller does to its image later', () => {
    const probe = session()
    const [load, poison] = images(probe, 2)
    const expected = [load!, poison!].map(({ bytes }) => bytes.slice())
    const seen = returned(probe.runSync({ load: load!, poison: poison! }))
    load!.bytes.fill(0)
    poison!.bytes.fill(0)
    expect([seen.before.bytes, seen.poison.bytes]).toEqual(expected)
    expect(seen.state('sse').loaded).toBe(true)
  })

  it('come in the order of their requests, live and data mixed', () => {
    const probe = session()
    const load = images(probe, 300)
    const seen = probe.runMany(
      load.map((image, i) => (i % 7 === 3 ? { load: image, edit: () => undefined } : { load: image })),
    )
    expect(seen).toHaveLength(300)
    expect(seen.findIndex((one, i) => !isOf(one, load[i]!))).toBe(-1)
  })

  it('of nothing are nothing', async () => {
    const probe = session()
    expect(probe.runMany([])).toEqual([])
    expect(await probe.run([])).toEqual([])
    probe.runEach([], () => expect.unreachable())
  })
})

describe('results that are lent', () => {
  const lapsed = 'this result was lent to its visitor only; what is to be kept comes from runMany'

  it('are good in the visit and throw after it', () => {
    const probe = session()
    const load = images(probe, 200)
    const kept: Seen[] = []
    probe.runEach(
      load.map(image => ({ load: image })),
      (seen, i) => {
        expect(isOf(seen, load[i]!)).toBe(true)
        expect(returned(seen).state('sse').restored).toBe(true)
        kept.push(seen)
      },
    )
    expect(kept).toHaveLength(200)
    for (const seen of kept) {
      expect(seen.kind).toBe('returned')
      const one = returned(seen)
      for (const use of [() => one.written, () => one.sent, () => one.after, () => one.effect]) {
        expect(use).toThrow(new Error(lapsed))
      }
      expect(() => one.state('sse')).toThrow(lapsed)
      expect(() => one.mxcsrState()).toThrow(lapsed)
    }
  })

  it('throw after it too where a probe was refused', () => {
    const probe = session()
    const kept: Seen[] = []
    const edit = [{ op: 'pointer', address: 1n << 63n }] as const
    probe.runEach([{ edit }, {}], seen => kept.push(seen))
    expect(kept.map(({ kind }) => kind)).toEqual(['signal', 'returned'])
    for (const seen of kept) expect(() => recorded(seen).after).toThrow(lapsed)
    expect(() => (kept[0] as Signalled).signal).toThrow(lapsed)
  })

  it('a visitor may start nothing in its session', () => {
    const probe = session()
    expect(() => probe.runEach([{}, {}], () => probe.runSync())).toThrow(
      new Error('a batch of this session is being visited: its visitor cannot start another probe'),
    )
    returned(probe.runSync())
  })

  it('a visitor that throws ends the batch, and the session goes on', () => {
    const probe = session()
    const { pid } = probe
    const error = new Error('enough')
    let visits = 0
    expect(() =>
      probe.runEach(new Array(300).fill({}), () => {
        visits += 1
        if (visits === 140) throw error
      }),
    ).toThrow(error)
    expect(visits).toBe(140)
    const [load] = images(probe, 1)
    expect(isOf(probe.runSync({ load: load! }), load!)).toBe(true)
    expect(probe.pid).toBe(pid)
  })

  it('a visitor that closes the session gets no further result', async () => {
    for (let i = 0; i < 10; i++) {
      const probe = session()
      let closing: Promise<void> | undefined
      let visits = 0
      const visit = () => {
        visits += 1
        closing ??= probe.close()
      }
      expect(() => probe.runEach([{}, {}, {}], visit)).toThrow(/^the session (is|was) closed/)
      expect(visits).toBe(1)
      await closing
    }
  })
})

describe('after close()', () => {
  it('every way of probing says so, and closing again is no error', async () => {
    const probe = session()
    const { pid } = probe
    const prepared = probe.prepare({})
    await Promise.all([probe.close(), probe.close()])
    const closed = new Error('the session is closed')
    expect(() => probe.runSync()).toThrow(closed)
    expect(() => probe.runSync(prepared)).toThrow(closed)
    expect(() => probe.runMany([prepared])).toThrow(closed)
    expect(() => probe.runEach([prepared], () => undefined)).toThrow(closed)
    await expect(probe.run({})).rejects.toThrow(closed)
    await expect(probe.run([{}, {}])).rejects.toThrow(closed)
    expect(() => probe.pid).toThrow(closed)
    expect(() => process.kill(pid, 0)).toThrow()
    await probe[Symbol.asyncDispose]()
  })

  it('whoever closes it finds its process gone', async () => {
    const probe = session()
    const { pid } = probe
    const first = probe.close()
    await probe.close()
    expect(isGone(pid)).toBe(true)
    await first
  })

  it('a run that was under way is rejected', async () => {
    const probe = session()
    const edit = new Array(4000).fill({ op: 'fill', at: 0, length: probe.limits.inPlaceBytes, value: 0 })
    const run = probe.run(new Array(3000).fill(probe.prepare({ edit })))
    const queued = probe.run({})
    run.catch(() => undefined)
    queued.catch(() => undefined)
    await new Promise(resolve => setTimeout(resolve, 1))
    await probe.close()
    await expect(run).rejects.toThrow(/^the session (is|was) closed/)
    await expect(queued).rejects.toThrow(/^the session (is|was) closed/)
  })
})
