/**
 * Requests with one thing wrong, or several, written straight into the shared memory: the probe process may die of
 * it, Node may not, nothing hangs, and no fork is left.
 */
import { beforeEach, describe, expect, it } from 'vitest'
import { loadNative, probePath } from '../../lib/native.ts'
import type { NativeSession } from '../../lib/native-types.ts'
import { childrenOf, isOver } from '../probe/procfs.ts'
import { eventually } from '../probe/support.ts'
import { Random } from './random.ts'
import { children, descriptors, needsAddon, shape, waitedName } from './support.ts'

beforeEach(needsAddon)

const timeoutMs = 60
const long = Boolean(process.env.SIGFRAME_LONG)
const most = 0xffff_ffff

type Fields = Readonly<Record<string, number | bigint>>
type Op = Readonly<Record<'code' | 'region' | 'at' | 'length' | 'payload', number> & { value: bigint }>

/** A probe process, in whose ring one request after the other is written. */
class Bench {
  #session: NativeSession | undefined
  #submitted = 0
  readonly ends: Record<string, number> = {}
  /** Forks that were there when a process was ended. */
  readonly forks: number[] = []

  get session(): NativeSession {
    if (this.#session === undefined) {
      this.#session = new (loadNative().Session)(probePath(), shape)
      this.#submitted = 0
    }
    return this.#session
  }

  /** Offsets of the arena that requests are made of. */
  get places() {
    const { data, dataBytes, stack, stackBytes, spare, spareBytes } = this.session.describe()
    const images = data + 8192
    return { data, dataBytes, stack, stackBytes, spare, spareBytes, ops: data, images, after: data + 131_072 }
  }

  /** Writes a request as it should be, but for some fields, and its operations. */
  write(fields: Fields, ops: readonly Partial<Op>[] = []): void {
    const { arena } = loadNative()
    const { places } = this
    const memory = this.session.memory()
    const view = new DataView(memory)
    const at = arena.requests! - arena.first! + (this.#submitted % arena.ringSlots!) * arena.requestBytes!
    new Uint8Array(memory, at, arena.requestBytes!).fill(0)
    // Init images: FCW, MXCSR.
    for (let i = 0; i < 4; i++) {
      const image = places.images - arena.first! + 4096 * i
      new Uint8Array(memory, image, 4096).fill(0)
      view.setUint16(image, 0x37f, true)
      view.setUint32(image + 24, 0x1f80, true)
    }
    const good: Fields = {
      kind: arena['RequestKind.probe']!,
      rfbm: 3n,
      load: places.images,
      poison: places.images + 4096,
      sibling: places.images + 8192,
      built: places.images + 12_288 + 128,
      ops: places.ops,
      opCount: ops.length,
      written: places.data + 32_768,
      writtenBytes: 512,
      sent: places.data + 65_536,
      sentBytes: 512,
      after: places.after,
      sentFrom: places.spare,
      timeoutMs: timeoutMs / 2,
      stackBytes: 32_768,
    }
    for (const [name, value] of Object.entries({ ...good, ...fields })) {
      const field = at + arena[`Request.${name}`]!
      const wide = ['rfbm', 'count', 'bad', 'mask'].includes(name)
      if (wide) view.setBigUint64(field, BigInt.asUintN(64, BigInt(value)), true)
      else view.setUint32(field, Number(value), true)
    }
    ops.forEach((op, i) => {
      const base = places.ops - arena.first! + i * arena.opBytes!
      const whole: Op = { code: 1, region: 0, at: 0, length: 0, payload: places.data, value: 0n, ...op }
      view.setUint16(base + arena['Op.code']!, whole.code, true)
      view.setUint16(base + arena['Op.region']!, whole.region, true)
      for (const name of ['at', 'length', 'payload'] as const)
        view.setUint32(base + arena[`Op.${name}`]!, whole[name], true)
      view.setBigUint64(base + arena['Op.value']!, BigInt.asUintN(64, whole.value), true)
    })
  }

  /** Runs what was written; a process that was lost is replaced by the next. @returns how it ended */
  run(): string {
    const { session } = this
    this.#submitted += 1
    let end = waitedName(session.run(1, this.#submitted, timeoutMs))
    if (end === 'frame') end = waitedName(session.reply(this.#submitted, timeoutMs))
    if (end === 'done') end = this.#ending()
    else {
      // It took more time than Node had, which is not what a fork's own timeout is called.
      if (end === 'timeout') end = 'lost'
      this.end()
    }
    this.ends[end] = (this.ends[end] ?? 0) + 1
    return end
  }

  #ending(): string {
    const { arena } = loadNative()
    const slot = (this.#submitted - 1) % arena.ringSlots!
    const at = arena.outcomes! - arena.first! + slot * arena.outcomeBytes! + arena['Outcome.ending']!
    const ending = new DataView(this.session.memory()).getUint32(at, true)
    const found = Object.entries(arena).find(([name, code]) => name.startsWith('Ending.') && code === ending)
    // What a probe process that lost its way has written there.
    return found?.[0].slice('Ending.'.length) ?? 'something else'
  }

  end(): void {
    const session = this.#session
    this.#session = undefined
    if (session === undefined) return
    this.forks.push(...childrenOf(session.describe().pid))
    session.kill()
    const pause = new Int32Array(new SharedArrayBuffer(4))
    for (let waited = 0; session.tryReap() === undefined && waited < 10_000; waited += 1)
      Atomics.wait(pause, 0, 0, 1)
    expect(session.close()).toBe(true)
  }
}

const edges = [
  0, 1, 2, 3, 7, 9, 63, 64, 99, 1000, 4095, 4096, 65_535, 0x7fff_ffff, 0x8000_0000, 0xffff_ffc0, 0xffff_ffff,
]
const flags = { plain: 0, live: 1, isolated: 2, 'live isolated': 3 }
const isIsolated = (flag: number): boolean => (flag & flags.isolated) !== 0

/** Whatever becomes of a fork, the process that it came of goes on. */
const expectAlive = (bench: Bench, flag: number): void => {
  if (isIsolated(flag)) expect(bench.ends).not.toHaveProperty('ended')
}

/** Runs with a bench that leaves nothing behind. */
const withBench = async (body: (bench: Bench) => void): Promise<void> => {
  const before = descriptors()
  const bench = new Bench()
  try {
    body(bench)
    // Whatever came before it, the next one that is as it should be comes back.
    bench.write({})
    expect(bench.run()).toBe('returned')
  } finally {
    bench.end()
  }
  expect(await eventually(() => bench.forks.every(isOver))).toBe(true)
  expect(descriptors()).toEqual(before)
  expect(children()).toEqual([])
}

/** A test of its own for each way of running. */
const eachWay = Object.entries(flags)

describe.each(eachWay)('a %s request', (_, flag) => {
  const fields = [
    'abi',
    'raise',
    'stack',
    'stackBytes',
    'built',
    'sibling',
    'threads',
    'stride',
    'timeoutMs',
    'kind',
    'writtenBytes',
    'sentBytes',
    'sentFrom',
  ]

  it.each(fields)('with nonsense for %s', { timeout: 60_000 }, async name => {
    await withBench(bench => {
      for (const value of edges) {
        // What is built from nothing, and an alternate stack, look at fields that others do not.
        for (const more of [{}, { raise: 5 }, { raise: 5, abi: 2 }, { stack: 1 }, { stack: 2, abi: 1 }]) {
          // Waiting for minutes is what such a timeout asks for: Node's own ends it, and that was seen once.
          if (name === 'timeoutMs' && value > 1000 && Object.keys(more).length > 0) continue
          bench.write({ flags: flag, ...more, [name]: value })
          bench.run()
        }
      }
      expect(bench.ends.returned).toBeGreaterThan(0)
      expectAlive(bench, flag)
    })
  })

  it('with counts that never end', { timeout: 60_000 }, async () => {
    await withBench(bench => {
      for (const count of [0n, 1n, 2n, 1n << 32n, 1n << 63n, (1n << 64n) - 1n]) {
        for (const more of [{}, { kind: 1 }, { kind: 2, threads: 2, stride: 4096 }, { raise: 5 }]) {
          bench.write({ flags: flag, count, ...more })
          bench.run()
        }
      }
    })
  })

  it('with images at the edges of the arena', { timeout: 60_000 }, async () => {
    await withBench(bench => {
      const { arena } = loadNative()
      const { data, dataBytes } = bench.places
      const end = data + dataBytes
      const at = [0, arena.requests!, arena.outcomes!, end - 64, end - 576, end, end + 64, 0xffff_ffc0, 65]
      for (const name of ['load', 'poison', 'after', 'built', 'sibling', 'ops', 'written', 'sent']) {
        for (const offset of at) {
          for (const more of [{}, { raise: 5, abi: 1 }, { opCount: 3 }]) {
            bench.write({ flags: flag, ...more, [name]: offset })
            bench.run()
          }
        }
      }
      expectAlive(bench, flag)
    })
  })

  it('of switches whose threads and strides are none', { timeout: 60_000 }, async () => {
    await withBench(bench => {
      for (const threads of [0, 1, 2, 8, 9, 1000, 0xffff_ffff]) {
        for (const stride of [0, 3, 64, 575, 576, 640, 4096, 0x8000_0000, 0xffff_ffc0]) {
          bench.write({ flags: flag, kind: 2, count: 3n, threads, stride })
          bench.run()
        }
      }
    })
  })
})

describe.each(eachWay)('operations of a %s request', (_, flag) => {
  const codes = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 99, 0xffff]
  const places = long
    ? [0, 1, 111, 112, 440, 464, 4095, 4096, 65_536, 0x7fff_ffff, most]
    : [0, 112, 464, most]
  const lengths = long ? [0, 8, 113, 4096, most] : [8, 113, most]

  it.each(codes)('of code %i, with every region and wild places', { timeout: 60_000 }, async code => {
    await withBench(bench => {
      for (const region of [0, 1, 2, 3, 0xffff]) {
        for (const at of places) {
          for (const length of lengths) {
            const abi = (at + length) % 3
            bench.write({ flags: flag, abi }, [{ code, region, at, length, value: 1n }])
            bench.run()
          }
        }
      }
      expectAlive(bench, flag)
    })
  })

  it('on pages, of every state and none, also without a move', { timeout: 60_000 }, async () => {
    await withBench(bench => {
      for (const value of [0n, 1n, 2n, 3n, 4n, 5n, 6n, 7n, 1n << 32n, (1n << 64n) - 1n]) {
        for (const [at, length] of [
          [0, 1],
          [0, 0],
          [0, 65_536],
          [65_535, 1],
          [65_536, 1],
          [0, 65_537],
          [0xffff_f000, 0x1000],
          [0xffff_ffff, 0xffff_ffff],
        ] as const) {
          const pages = { code: 9, at, length, value }
          for (const ops of [
            [pages],
            [{ code: 6, at: 0, length: 512 }, pages],
            [pages, pages, pages, pages],
          ]) {
            bench.write({ flags: flag }, ops)
            bench.run()
          }
        }
      }
      expectAlive(bench, flag)
    })
  })

  it('whose payload is anywhere', { timeout: 60_000 }, async () => {
    await withBench(bench => {
      const { data, dataBytes, stack } = bench.places
      for (const payload of [0, 4095, stack, data + dataBytes - 4, data + dataBytes, 0xffff_ffff]) {
        for (const region of [0, 1, 2]) {
          for (const abi of [0, 1, 2]) {
            bench.write({ flags: flag, abi }, [{ code: 1, region, at: 0, length: 8, payload }])
            bench.run()
          }
        }
      }
      expectAlive(bench, flag)
    })
  })
})

describe('a question to the CPU', () => {
  const kind = 4
  const fxrstor = 8

  it('is answered where it is sound, and a fault is an answer', { timeout: 60_000 }, async () => {
    await withBench(bench => {
      const { images, after, data, dataBytes } = bench.places
      const header = after + 512 - loadNative().arena.first!
      const end = (fields: Fields): string => {
        bench.write({ kind, mask: 3n, ...fields })
        // XSAVE leaves the header's other bytes as they are.
        new Uint8Array(bench.session.memory(), header, 64).fill(0xff)
        return bench.run()
      }
      const hasXsave = loadNative().readCpu().xcr0 !== 0n
      expect(end({ flags: fxrstor })).toBe('returned')
      expect(end({ flags: fxrstor, load: images + 16 })).toBe('returned')
      expect(end({})).toBe(hasXsave ? 'returned' : 'something else')
      const saved = [...new Uint8Array(bench.session.memory(), header + 8, 56)]
      if (hasXsave) expect(saved).toEqual(Array(56).fill(0))
      if (hasXsave) expect(end({ load: images + 8 })).toBe('signal')
      expect(end({ flags: fxrstor, load: data + dataBytes - 560 })).toBe('something else')
      expect(bench.ends).not.toHaveProperty('ended')
    })
  })

  it('with nonsense for places, masks and flags', { timeout: 60_000 }, async () => {
    await withBench(bench => {
      const { data, dataBytes, images } = bench.places
      const arenaEnd = data + dataBytes
      const at = [...edges, arenaEnd - 576, arenaEnd - 575, arenaEnd - 64, arenaEnd, images + 1, images + 63]
      for (const flag of [0, fxrstor, 0xf, most]) {
        for (const name of ['load', 'poison', 'after']) {
          for (const offset of at) {
            bench.write({ kind, flags: flag, mask: 3n, [name]: offset })
            bench.run()
          }
        }
        for (const mask of [0n, 1n, 0x207n, 1n << 63n, (1n << 64n) - 1n]) {
          for (const rfbm of [0n, 3n, 1n << 62n, (1n << 64n) - 1n]) {
            bench.write({ kind, flags: flag, mask, rfbm })
            bench.run()
          }
        }
      }
      expect(bench.ends.returned).toBeGreaterThan(0)
      expect(bench.ends).toHaveProperty('something else')
    })
  })

  it('that takes its own memory from the process is the end of it', { timeout: 60_000 }, async ctx => {
    const { xcr0, components } = loadNative().readCpu()
    const pkru = components.find(({ index }) => index === 9)
    if (pkru === undefined || ((xcr0 >> 9n) & 1n) === 0n) ctx.skip('this host has no protection keys')
    await withBench(bench => {
      const image = bench.places.images - loadNative().arena.first!
      for (const rights of [1, 2, 3]) {
        bench.write({ kind, mask: 1n << 9n })
        const view = new DataView(bench.session.memory())
        view.setUint32(image + 512, 1 << 9, true)
        view.setUint32(image + pkru!.offset, rights, true)
        expect(bench.run()).toBe('ended')
      }
    })
  })
})

describe('a traced request', () => {
  /** Writes its calls where no image lies. */
  const putCalls = (bench: Bench, calls: readonly Fields[]): void => {
    const { arena } = loadNative()
    const { places } = bench
    const memory = bench.session.memory()
    const view = new DataView(memory)
    calls.forEach((call, i) => {
      const base = places.ops - arena.first! + i * arena.traceCallBytes!
      const whole: Fields = {
        what: 1,
        when: 1,
        note: 0x202,
        buffer: 0,
        at: places.after,
        room: 64,
        size: 64n,
        ...call,
      }
      for (const [name, value] of Object.entries(whole)) {
        const field = base + arena[`TraceCall.${name}`]!
        if (name === 'size') view.setBigUint64(field, BigInt.asUintN(64, BigInt(value)), true)
        else view.setUint32(field, Number(value), true)
      }
    })
  }
  const traced = (bench: Bench, calls: readonly Fields[], more: Fields = {}): string => {
    const { arena } = loadNative()
    const kind = arena['RequestKind.traced']!
    bench.write({ kind, raise: 6, threads: calls.length, stride: bench.places.ops, flags: 32, ...more })
    putCalls(bench, calls)
    return bench.run()
  }

  it('with nonsense for its calls', { timeout: 60_000 }, async () => {
    await withBench(bench => {
      const { data, dataBytes } = bench.places
      for (const name of ['what', 'when', 'note', 'buffer', 'room', 'at', 'size']) {
        for (const value of [...edges, data, data + dataBytes - 64, data + dataBytes]) {
          // What is read there is what the other fields are made of: it must stay within its room.
          traced(bench, [{ [name]: value }, { [name]: value, what: 2 }])
        }
      }
      expect(bench.ends.returned ?? bench.ends.refused).toBeGreaterThan(0)
      expect(bench.ends).not.toHaveProperty('lost')
    })
  })

  it('with nonsense for everything else', { timeout: 60_000 }, async () => {
    await withBench(bench => {
      for (const name of [
        'threads',
        'stride',
        'raise',
        'abi',
        'flags',
        'load',
        'after',
        'written',
        'sent',
        'ops',
      ]) {
        for (const value of edges) {
          traced(bench, [{}], { [name]: value })
          traced(bench, [{}], { raise: 0, [name]: value })
        }
      }
      for (const code of [1, 5, 6, 8, 9, 77]) {
        bench.write({ kind: 5, raise: 0, opCount: 1 }, [{ code, at: 4096, length: 8 }])
        bench.run()
      }
      // The last of them says that it is not: the next request ends the process all the same.
      expect(['returned', 'refused']).toContain(traced(bench, [{}], { flags: 0 }))
      bench.write({})
      expect(bench.run()).toBe('returned')
      expect(childrenOf(bench.session.describe().pid)).toEqual([])
    })
  })

  it('that is the plain loop, with nonsense', { timeout: 60_000 }, async () => {
    await withBench(bench => {
      for (const value of edges) {
        for (const name of ['threads', 'stride', 'load', 'writtenBytes'])
          traced(bench, [{ what: 2 }, {}], { kind: 6, count: 3n, [name]: value })
        for (const name of ['size', 'room', 'at'])
          traced(bench, [{ what: 2, [name]: value }, { [name]: value }], {
            kind: 6,
            count: 3n,
            writtenBytes: 576,
          })
      }
    })
  })
})

describe('nonsense in several fields at once', () => {
  it('with fixed seeds', { timeout: long ? 900_000 : 60_000 }, async () => {
    const tries = long ? 20_000 : 600
    const names = ['abi', 'raise', 'stack', 'stackBytes', 'threads', 'stride', 'opCount', 'kind', 'sentFrom']
    await withBench(bench => {
      const random = new Random(0xbad)
      for (let i = 0; i < tries; i++) {
        const fields: Record<string, number | bigint> = { flags: random.below(4) }
        // Small numbers mean something.
        for (const name of names)
          if (random.below(3) === 0) fields[name] = random.below(2) ? random.below(10) : random.edgy()
        if (random.below(8) === 0) fields.count = BigInt(random.edgy()) << BigInt(random.below(33))
        const ops = Array.from({ length: random.below(4) }, () => ({
          code: random.below(11),
          region: random.below(4),
          at: random.below(2) ? random.below(4096) : random.edgy(),
          length: random.below(2) ? random.below(600) : random.edgy(),
          value: random.below(2) ? BigInt(random.below(8)) : BigInt(random.edgy()) << 16n,
        }))
        bench.write(fields, ops)
        bench.run()
      }
      expect(Object.values(bench.ends).reduce((sum, n) => sum + n)).toBe(tries)
      expect(Object.keys(bench.ends).length).toBeGreaterThan(3)
    })
  })
})

describe('a fork that dies while its frame waits for Node', () => {
  it('leaves no frame behind that the next request would be taken to have', async () => {
    await withBench(bench => {
      const { session } = bench
      const { pid } = session.describe()
      bench.write({ flags: flags['live isolated'], timeoutMs: 10_000 })
      expect(waitedName(session.run(1, 1, 10_000))).toBe('frame')
      process.kill(childrenOf(pid)[0]!, 'SIGKILL')
      const pause = new Int32Array(new SharedArrayBuffer(4))
      for (let waited = 0; session.completed() === 0 && waited < 10_000; waited += 5)
        Atomics.wait(pause, 0, 0, 5)
      expect(session.completed()).toBe(1)
      // Nobody has replied.
      expect(waitedName(session.run(0, 1, 1000))).toBe('done')
      expect(waitedName(session.run(0, 2, 50))).toBe('timeout')
      bench.end()
    })
  })
})
