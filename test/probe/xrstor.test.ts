/**
 * Questions to the CPU. What is expected holds on any: what emulators do otherwise is skipped there. Then what a process
 * that lies, or is lost, makes of them.
 */
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it, onTestFinished, type TestContext, vi } from 'vitest'
import type { Native, NativeSession } from '../../lib/native-types.ts'
import type { Probe } from '../../lib/probe/session.ts'
import type { XrstorAnswer, XrstorAsk } from '../../lib/probe/xrstor.ts'
import { diffComponents, isInitComponent, sameComponent, sameMxcsr } from '../../lib/xstate/compare.ts'
import { initImage, type XsaveImage } from '../../lib/xstate/image.ts'
import { legacyFeatures } from '../../lib/xstate/layout.ts'
import { randomImage } from '../../lib/xstate/random.ts'
import { Random } from '../native/random.ts'
import { hostileValues } from '../xstate/arbitrary.ts'
import { needsProbes, returned, session } from './support.ts'

/** What is done to the shared memory behind Node's back, after the process has written it. */
const lies = vi.hoisted(() => ({ spoil: null as ((memory: ArrayBuffer) => void) | null }))

vi.mock('../../lib/native.ts', async importOriginal => {
  const real = await importOriginal<typeof import('../../lib/native.ts')>()
  const lying = (made: NativeSession): NativeSession =>
    new Proxy(made, {
      get: (target, name) => {
        const method = target[name as 'run'] as unknown as (...args: unknown[]) => unknown
        return (...args: unknown[]) => {
          const answer = method.apply(target, args)
          if (name === 'run') lies.spoil?.(target.memory())
          return answer
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
  lies.spoil = null
})

const everything = (1n << 64n) - 1n
const generalProtection = { kind: 'fault', signal: 'SIGSEGV', siCode: 128 }

const needsXsave = (probe: Probe, ctx: TestContext): void => {
  if (!probe.layout.xsave) ctx.skip('this host has no XSAVE')
}

const isEmulated = ({ cpu }: Probe): boolean => cpu.hypervisor === 'TCGTCGTCGTCG'

/** A session on a host with XSAVE. */
const xsaveSession = (ctx: TestContext): Probe => {
  const probe = session()
  needsXsave(probe, ctx)
  return probe
}

const ask = (probe: Probe, one: Partial<XrstorAsk> & Pick<XrstorAsk, 'bytes'>): XrstorAnswer =>
  probe.xrstor([{ mask: everything, ...one }])[0] as XrstorAnswer

/** The registers after a load. */
const loaded = (answer: XrstorAnswer): Uint8Array => {
  if (answer.kind !== 'loaded') throw new Error(`expected what was loaded, not: ${JSON.stringify(answer)}`)
  return answer.after
}

/** The bytes of an image, changed. */
const spoilt = (image: XsaveImage, change: (bytes: Uint8Array) => void): Uint8Array => {
  const bytes = image.bytes.slice()
  change(bytes)
  return bytes
}

describe('XRSTOR', () => {
  it('loads an image as it is', ctx => {
    const probe = xsaveSession(ctx)
    const { layout } = probe
    for (let seed = 1; seed <= 20; seed++) {
      const image = randomImage(layout, { seed })
      const after = loaded(ask(probe, { bytes: image.bytes }))
      expect(after).toHaveLength(layout.size)
      expect(diffComponents(after, image.bytes, layout)).toEqual([])
      expect(sameMxcsr(after, image.bytes)).toBe(true)
    }
  })

  it('loads what mask and XSTATE_BV have, initialises what XSTATE_BV lacks, and leaves the rest', ctx => {
    const probe = xsaveSession(ctx)
    const { layout } = probe
    const masks = fc.bigInt({ min: 0n, max: everything })
    fc.assert(
      fc.property(masks, masks, fc.integer({ min: 1, max: 1 << 20 }), (drawn, bv, seed) => {
        // A component that this task may not have is another question.
        const mask = drawn & layout.features
        const image = randomImage(layout, { seed })
        const before = randomImage(layout, { seed: seed + 1 })
        image.xstateBv = bv & layout.features
        const after = loaded(ask(probe, { bytes: image.bytes, mask, before }))
        for (const { name, mask: bit } of layout.components) {
          const asked = (mask & bit) !== 0n
          const from = asked ? image : before
          expect([name, sameComponent(after, from.bytes, layout, name)]).toEqual([name, true])
          if (asked && (image.xstateBv & bit) === 0n) expect(isInitComponent(after, layout, name)).toBe(true)
        }
        // SDM volume 1, 13.8.1; AVX stands in for SSE where the CPU has it.
        const mxcsrFrom = (mask & 0x6n) === 0n ? before : image
        if (!isEmulated(probe)) expect(sameMxcsr(after, mxcsrFrom.bytes)).toBe(true)
      }),
      { numRuns: 200, seed: 1 },
    )
  })

  it('takes what is missing of the bytes for zero', ctx => {
    const probe = xsaveSession(ctx)
    const { layout } = probe
    const before = randomImage(layout, { seed: 2 })
    const short = initImage(layout).bytes.slice(0, 32)
    // Whatever lay in that place before.
    loaded(ask(probe, { bytes: randomImage(layout, { seed: 3 }).bytes }))
    for (let i = 0; i < 128; i++) {
      const after = loaded(ask(probe, { bytes: short, before }))
      expect(diffComponents(after, initImage(layout).bytes, layout)).toEqual([])
    }
    expect(ask(probe, { bytes: new Uint8Array(0), mask: 1n, before }).kind).toBe('loaded')
  })

  it.for<[string, (bytes: Uint8Array) => void]>([
    ['an XCOMP_BV of 1', bytes => bytes.fill(1, 520, 521)],
    ['an XSTATE_BV bit that no CPU has', bytes => bytes.fill(0x40, 519, 520)],
    ['a reserved byte in the header', bytes => bytes.fill(1, 528, 529)],
  ])('refuses %s', ([, change], ctx) => {
    const probe = xsaveSession(ctx)
    const image = randomImage(probe.layout, { seed: 1 })
    expect(ask(probe, { bytes: spoilt(image, change) })).toEqual(generalProtection)
  })

  it('refuses reserved bits of MXCSR', ctx => {
    const probe = xsaveSession(ctx)
    if (isEmulated(probe)) ctx.skip('this emulated CPU does not check MXCSR')
    const image = randomImage(probe.layout, { seed: 1 })
    image.mxcsr |= 1 << 20
    expect(ask(probe, { bytes: image.bytes })).toEqual(generalProtection)
    expect(ask(probe, { bytes: image.bytes, instruction: 'fxrstor' })).toEqual(generalProtection)
    // Not looked at.
    expect(ask(probe, { bytes: image.bytes, mask: 1n }).kind).toBe('loaded')
  })

  it('refuses bytes that are not aligned to 64', ctx => {
    const probe = xsaveSession(ctx)
    const { bytes } = randomImage(probe.layout, { seed: 1 })
    const misaligned = Array.from({ length: 64 }, (_, misalignedBy) => ({
      bytes,
      mask: everything,
      misalignedBy,
    }))
    const answers = probe.xrstor(misaligned)
    expect(answers[0]?.kind).toBe('loaded')
    expect(answers[8]).toEqual(generalProtection)
    expect(answers.slice(1).map(({ kind }) => kind)).toEqual(Array(63).fill('fault'))
  })

  it('is a question without consequences: the same process answers, and probes', ctx => {
    const probe = xsaveSession(ctx)
    const { pid, layout } = probe
    const image = randomImage(layout, { seed: 1 })
    const bad = spoilt(image, bytes => bytes.fill(1, 520, 521))
    const asks = Array.from({ length: 300 }, (_, i) => ({
      bytes: i % 3 ? image.bytes : bad,
      mask: everything,
    }))
    const kept = returned(probe.runSync({ load: image }))
    for (let i = 0; i < 3; i++) {
      const answers = probe.xrstor(asks)
      expect(answers.map(({ kind }) => kind)).toEqual(asks.map((_, k) => (k % 3 ? 'loaded' : 'fault')))
      const seen = returned(probe.runSync({ load: image }))
      expect(diffComponents(seen.after.bytes, image.bytes, layout)).toEqual([])
      for (const one of probe.runMany([{ load: image }, { load: image }]))
        expect(returned(one).effect).toEqual([])
    }
    // Its records lay in the ring that was asked through since.
    expect(diffComponents(kept.after.bytes, image.bytes, layout)).toEqual([])
    expect(probe.pid).toBe(pid)
  })

  it('does not come between probes: each has its own records and its own request', () => {
    const probe = session()
    const { layout } = probe
    const ofInit = { bytes: initImage(layout).bytes, mask: 3n, instruction: 'fxrstor' } as const
    const asks = Array.from({ length: 128 }, () => ofInit)
    const images = Array.from({ length: 128 }, (_, i) => randomImage(layout, { seed: i }))
    const requests = images.map(load => probe.prepare({ load }))
    probe.xrstor(asks)
    // The ring says the same to these again and again, but for what was asked in between.
    for (let i = 0; i < 3; i++) {
      const seen = probe.runMany(requests)
      probe.xrstor(asks)
      seen.forEach((one, k) => {
        expect(diffComponents(returned(one).after.bytes, images[k]!.bytes, layout)).toEqual([])
      })
    }
    const alone = images.slice(0, 5).map(load => {
      const one = returned(probe.runSync({ load }))
      probe.xrstor([ofInit])
      return one
    })
    alone.forEach((one, k) => {
      expect(diffComponents(one.after.bytes, images[k]!.bytes, layout)).toEqual([])
    })
  })

  it('does not leave odd x87 words behind', ctx => {
    const probe = xsaveSession(ctx)
    const { layout, pid } = probe
    const image = randomImage(layout, { seed: 1 })
    // Exceptions pending, none masked: the next x87 instruction would raise #MF.
    image.fcw = 0x40
    image.fsw = 0x80bf
    for (const instruction of ['xrstor', 'fxrstor'] as const)
      expect(ask(probe, { bytes: image.bytes, instruction }).kind).toBe('loaded')
    returned(probe.runSync())
    expect(probe.contextSwitches([initImage(layout), initImage(layout)], 3)).not.toBeNull()
    expect(probe.pid).toBe(pid)
  })
})

describe('bytes that end before a page that cannot be read', () => {
  /** The lowest of what can be read of a frame: legacy region and header. */
  const least = 576
  const pageFault = { kind: 'fault', signal: 'SIGSEGV', siCode: 2 }

  it('are loaded as others where nothing behind the end is asked for', ctx => {
    const probe = xsaveSession(ctx)
    const { layout } = probe
    const image = randomImage(layout, { seed: 1 })
    const before = randomImage(layout, { seed: 2 })
    const bytes = image.bytes.slice(0, least)
    const after = loaded(ask(probe, { bytes, mask: legacyFeatures, endsAt: least, before }))
    for (const { name, mask: bit } of layout.components) {
      const from = (legacyFeatures & bit) === 0n ? before : image
      expect([name, sameComponent(after, from.bytes, layout, name)]).toEqual([name, true])
    }
    expect(sameMxcsr(after, image.bytes)).toBe(true)
  })

  it('may be touched behind the end where the mask has it and XSTATE_BV has not: the CPU’s own business', ctx => {
    const probe = xsaveSession(ctx)
    const { layout } = probe
    const image = randomImage(layout, { seed: 1 })
    image.xstateBv &= legacyFeatures
    const asked = { bytes: image.bytes, mask: layout.features, endsAt: least }
    const answers = Array.from({ length: 3 }, () => ask(probe, asked))
    for (const answer of answers) {
      expect(answer).toEqual(answers[0])
      if (answer.kind === 'loaded') expect(diffComponents(answer.after, image.bytes, layout)).toEqual([])
      else expect(answer).toEqual(pageFault)
    }
  })

  it('are a page fault where a component lies behind the end', ctx => {
    const probe = xsaveSession(ctx)
    const { layout } = probe
    const { bytes } = randomImage(layout, { seed: 1 })
    for (const { name, mask, offset, end } of layout.extended) {
      // Aligned: bytes lie right before the page.
      const endsAt = Math.ceil(end / 64) * 64 - 64
      const short = spoilt(initImage(layout), all => {
        all.set(bytes.subarray(offset, end), offset)
        new DataView(all.buffer).setBigUint64(512, mask, true)
      })
      const asked = { bytes: short, mask }
      expect([name, ask(probe, { ...asked, endsAt })]).toEqual([name, pageFault])
      expect([name, ask(probe, asked).kind]).toEqual([name, 'loaded'])
      if (end % 64 !== 0) continue
      const after = loaded(ask(probe, { ...asked, endsAt: end }))
      expect([name, sameComponent(after, bytes, layout, name)]).toEqual([name, true])
    }
  })

  it('are a page fault where the header, or the legacy region, lies behind the end', ctx => {
    const probe = xsaveSession(ctx)
    const { bytes } = randomImage(probe.layout, { seed: 1 })
    for (const endsAt of [64, 512]) expect(ask(probe, { bytes, endsAt })).toEqual(pageFault)
  })

  it('lie as the end says: at odd ends they are misaligned', ctx => {
    const probe = xsaveSession(ctx)
    const { bytes } = initImage(probe.layout)
    const mask = legacyFeatures
    expect(ask(probe, { bytes, mask, endsAt: least }).kind).toBe('loaded')
    for (const endsAt of [least - 8, least + 4].filter(end => end <= probe.layout.size))
      expect([endsAt, ask(probe, { bytes, mask, endsAt })]).toEqual([
        endsAt,
        { kind: 'fault', signal: 'SIGSEGV', siCode: expect.any(Number) },
      ])
    expect(ask(probe, { bytes, mask, endsAt: least - 8 })).toEqual(generalProtection)
  })

  it('are what is missing of them, too, and no more than the end leaves', ctx => {
    const probe = xsaveSession(ctx)
    const { layout } = probe
    const before = randomImage(layout, { seed: 2 })
    const short = initImage(layout).bytes.slice(0, 32)
    loaded(ask(probe, { bytes: randomImage(layout, { seed: 3 }).bytes, mask: legacyFeatures, endsAt: least }))
    const after = loaded(ask(probe, { bytes: short, mask: legacyFeatures, endsAt: least, before }))
    for (const name of ['x87', 'sse'] as const) expect(isInitComponent(after, layout, name)).toBe(true)
  })

  it('of FXRSTOR are 512, aligned to 16', () => {
    const probe = session()
    const { layout } = probe
    const image = randomImage(layout, { seed: 1 })
    const asked = { bytes: image.bytes, mask: 0n, instruction: 'fxrstor' } as const
    const after = loaded(ask(probe, { ...asked, endsAt: 512 }))
    for (const name of ['x87', 'sse'] as const)
      expect([name, sameComponent(after, image.bytes, layout, name)]).toEqual([name, true])
    expect(ask(probe, { ...asked, endsAt: 400 })).toEqual(pageFault)
  })

  it('are in the way of nobody afterwards', ctx => {
    const probe = xsaveSession(ctx)
    const { layout, pid } = probe
    const image = randomImage(layout, { seed: 1 })
    const asks = Array.from({ length: 300 }, (_, i) => ({
      bytes: image.bytes,
      mask: layout.features,
      ...(i % 2 === 0 ? { endsAt: 512 } : {}),
    }))
    const answers = probe.xrstor(asks)
    answers.forEach((answer, i) => {
      if (i % 2 === 0) expect(answer).toEqual(pageFault)
      else expect(diffComponents(loaded(answer), image.bytes, layout)).toEqual([])
    })
    const moved = returned(probe.runSync({ load: image, edit: [{ op: 'move', at: 0 }] }))
    expect(diffComponents(moved.after.bytes, image.bytes, layout)).toEqual([])
    expect(probe.pid).toBe(pid)
  })
})

describe('FXRSTOR', () => {
  it('looks at 512 bytes, aligned to 16, and at no header', () => {
    const probe = session()
    const { layout } = probe
    const image = randomImage(layout, { seed: 1 })
    const before = randomImage(layout, { seed: 2 })
    const bytes = spoilt(image, all => all.fill(0xff, 512))
    const want = image.clone()
    if (layout.xsave) want.xstateBv = legacyFeatures
    for (const misalignedBy of [0, 16, 32, 48]) {
      const after = loaded(ask(probe, { bytes, mask: 0n, instruction: 'fxrstor', misalignedBy, before }))
      for (const { name, mask } of layout.components) {
        const from = (mask & legacyFeatures) === 0n ? before : want
        expect([name, sameComponent(after, from.bytes, layout, name)]).toEqual([name, true])
      }
      expect(sameMxcsr(after, image.bytes)).toBe(true)
    }
    const { kind } = ask(probe, { bytes, instruction: 'fxrstor', misalignedBy: 8 })
    if (!isEmulated(probe)) expect(kind).toBe('fault')
  })

  it('is the one that there is without XSAVE', ctx => {
    const probe = session()
    if (probe.layout.xsave) ctx.skip('this host has XSAVE')
    const { bytes } = initImage(probe.layout)
    expect(() => probe.xrstor([{ bytes, mask: 3n }])).toThrow(
      new RangeError('asks[0].instruction is "xrstor", but this host has no XSAVE: ask for fxrstor'),
    )
  })
})

describe('PKRU', () => {
  const pkruSession = (ctx: TestContext): Probe => {
    const probe = xsaveSession(ctx)
    if (!probe.layout.has('pkru')) ctx.skip('this task has no protection keys')
    return probe
  }

  it('that closes key 0 is refused where it would be loaded', ctx => {
    const probe = pkruSession(ctx)
    const image = randomImage(probe.layout, { seed: 1 })
    const at = probe.layout.offset('pkru')
    for (const value of [1, 2, 3, 0xff]) {
      const bytes = spoilt(image, all => all.fill(value, at, at + 1))
      expect(() => ask(probe, { bytes })).toThrow(
        new RangeError(
          `asks[0].bytes[${at}] is ${value}, must have bits 0 and 1 clear: PKRU’s key 0 is the key of the process’s own memory`,
        ),
      )
      const unasked = everything & ~(1n << 9n)
      expect(ask(probe, { bytes, mask: unasked }).kind).toBe('loaded')
      expect(ask(probe, { bytes, instruction: 'fxrstor' }).kind).toBe('loaded')
      expect(
        ask(probe, { bytes: spoilt(image, all => all.fill(value, at, at + 1).fill(0, 513, 514)) }).kind,
      ).toBe('loaded')
    }
  })

  it('is found in the compacted format, where the CPU has it', ctx => {
    const probe = pkruSession(ctx)
    const { layout } = probe
    if ((probe.cpu.xsaveFeatures & 2) === 0 || isEmulated(probe)) ctx.skip('this CPU has no compacted format')
    const pkru = 1n << 9n
    for (const drawn of [0n, 0x4n, 0x24n, 0x40n, 0xe0n, 0xe4n, 0xffn]) {
      const image = initImage(layout)
      image.xstateBv = pkru
      image.xcompBv = (1n << 63n) | pkru | (drawn & layout.features)
      const places = Array.from({ length: layout.size - 576 }, (_, i) => 576 + i).filter(at => {
        try {
          return (
            ask(probe, { bytes: spoilt(image, all => all.fill(1, at, at + 1)), mask: 3n | pkru }) === null
          )
        } catch {
          return true
        }
      })
      expect(places).toHaveLength(1)
      const bytes = spoilt(image, all => all.fill(0x54, places[0], (places[0] as number) + 1))
      const after = loaded(ask(probe, { bytes, mask: pkru }))
      expect(new DataView(after.buffer, after.byteOffset).getUint32(layout.offset('pkru'), true)).toBe(0x54)
    }
  })
})

describe('what the registers hold before', () => {
  it('is an image in any form, or drawn', ctx => {
    const probe = xsaveSession(ctx)
    const { layout } = probe
    const { bytes } = initImage(layout)
    const before = randomImage(layout, { seed: 5 })
    const asks = [before, before.bytes, probe.image(before)].map(one => ({ bytes, mask: 0n, before: one }))
    for (const answer of probe.xrstor(asks))
      expect(diffComponents(loaded(answer), before.bytes, layout)).toEqual([])
    const drawn = loaded(ask(probe, { bytes, mask: 0n }))
    expect(layout.components.some(({ name }) => isInitComponent(drawn, layout, name))).toBe(false)
    const other = session()
    expect(() => ask(probe, { bytes, before: other.image(before) })).toThrow(
      new TypeError(
        'asks[0].before must be an image prepared by this session: layouts belong to a session, not an object',
      ),
    )
  })
})

describe('bad questions are refused', () => {
  it('by name', ctx => {
    const probe = xsaveSession(ctx)
    const { size } = probe.layout
    const bytes = new Uint8Array(size)
    const cases: [unknown, Error][] = [
      [{}, new TypeError('asks must be an array of questions, not an object')],
      [[null], new TypeError('asks[0] must be an object, not null')],
      [[{ mask: 0n }], new TypeError('asks[0].bytes must be a Uint8Array, not undefined')],
      [
        [{ bytes: new Uint8Array(size + 1), mask: 0n }],
        new RangeError(`asks[0].bytes.length is ${size + 1}, must be in 0..${size}`),
      ],
      [[{ bytes, mask: 7 }], new TypeError('asks[0].mask must be a bigint, not 7')],
      [
        [{ bytes, mask: 1n << 64n }],
        new RangeError('asks[0].mask is 0x10000000000000000, must be in 0x0..0xffffffffffffffff'),
      ],
      [
        [{ bytes, mask: 0n, misalignedBy: 64 }],
        new RangeError('asks[0].misalignedBy is 64, must be in 0..63'),
      ],
      [[{ bytes, mask: 0n, endsAt: 0 }], new RangeError(`asks[0].endsAt is 0, must be in 1..${size}`)],
      [
        [{ bytes, mask: 0n, endsAt: size + 1 }],
        new RangeError(`asks[0].endsAt is ${size + 1}, must be in 1..${size}`),
      ],
      [[{ bytes, mask: 0n, endsAt: 576.5 }], new TypeError('asks[0].endsAt must be an integer, not 576.5')],
      [
        [{ bytes, mask: 0n, endsAt: 576, misalignedBy: 0 }],
        new RangeError('asks[0].misalignedBy is 0, but endsAt is given: it says where the bytes lie'),
      ],
      [
        [{ bytes, mask: 0n, instruction: 'xrstors' }],
        new RangeError('asks[0].instruction is "xrstors", must be one of xrstor fxrstor'),
      ],
      [
        [
          { bytes, mask: 0n },
          { bytes, mask: 0n, loud: 1 },
        ],
        new RangeError(
          'asks[1].loud is 1, but it can have only bytes mask instruction misalignedBy endsAt before',
        ),
      ],
    ]
    for (const [asks, error] of cases) expect(() => probe.xrstor(asks as never)).toThrow(error)
    expect(probe.xrstor([])).toEqual([])
  })

  it('whatever they are', () => {
    const probe = session()
    const { bytes } = initImage(probe.layout)
    for (const value of hostileValues) {
      for (const name of ['bytes', 'mask', 'instruction', 'misalignedBy', 'endsAt', 'before']) {
        try {
          ask(probe, { bytes, instruction: 'fxrstor', [name]: value })
        } catch (error) {
          expect((error as Error).message).toMatch(/^asks\[0\]\.[\w.[\]]+ (is|must be) /)
        }
      }
    }
    returned(probe.runSync())
  })

  it('of a session that is closed', async () => {
    const probe = session()
    await probe.close()
    expect(() => probe.xrstor([])).toThrow(new Error('the session is closed'))
  })
})

describe('a process that', () => {
  it('is lost is replaced, and only its own question goes without an answer', () => {
    const probe = session()
    const { pid } = probe
    const { bytes } = initImage(probe.layout)
    const one = { bytes, mask: 3n, instruction: 'fxrstor' } as const
    const killer = {
      ...one,
      get mask() {
        process.kill(pid, 'SIGKILL')
        return 3n
      },
    }
    const answers = probe.xrstor([killer, ...Array(200).fill(one)])
    expect(answers).toHaveLength(201)
    expect(answers[0]).toEqual({ kind: 'lost' })
    expect(new Set(answers.slice(1).map(({ kind }) => kind))).toEqual(new Set(['loaded']))
    expect(probe.pid).not.toBe(pid)
  })

  it('lies about its answers is told by bounded results and one clear error', async () => {
    const { loadNative } = await import('../../lib/native.ts')
    const { arena } = loadNative()
    const probe = session()
    const { bytes } = initImage(probe.layout)
    const asks = Array.from({ length: 2 }, () => ({ bytes, mask: 3n, instruction: 'fxrstor' }) as const)
    const random = new Random(7)
    const words = (arena.ringSlots! * arena.outcomeBytes!) >> 2
    const seen: Record<string, number> = {}
    onTestFinished(() => {
      lies.spoil = null
    })
    lies.spoil = memory => {
      const all = new Uint32Array(memory, arena.outcomes! - arena.first!, words)
      // Small numbers mean something.
      for (let i = 0; i < words; i++)
        if (random.below(2)) all[i] = random.below(3) ? random.below(4) : random.word()
    }
    for (let i = 0; i < 600; i++) {
      try {
        for (const answer of probe.xrstor(asks)) {
          seen[answer.kind] = (seen[answer.kind] ?? 0) + 1
          if (answer.kind === 'loaded') expect(answer.after).toHaveLength(probe.layout.size)
          if (answer.kind === 'fault') expect(typeof answer.signal).toBe('string')
        }
      } catch (error) {
        expect(error).toEqual(
          new Error('the probe process could not make sense of its request: a fault of the harness'),
        )
        seen.error = (seen.error ?? 0) + 1
      }
    }
    lies.spoil = null
    expect(Object.keys(seen).sort()).toEqual(['error', 'fault', 'loaded'])
    expect(ask(probe, asks[0]!).kind).toBe('loaded')
  })
})
