import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Abi, abis, frameShape } from '../../lib/frame/abi.ts'
import { buildFpstate } from '../../lib/frame/build.ts'
import { frameFields, magic1, magic2 } from '../../lib/frame/format.ts'
import { readFsave } from '../../lib/frame/fsave.ts'
import { lintFrame } from '../../lib/frame/lint/lint.ts'
import { FrameRecord, restorable } from '../../lib/frame/reader.ts'
import {
  type PlacedFrame,
  type TranslatedFrame,
  translateFrame,
  ucFpXstate,
} from '../../lib/frame/translate.ts'
import { diffComponents, isInitComponent, sameMxcsr } from '../../lib/xstate/compare.ts'
import { maskOf } from '../../lib/xstate/components.ts'
import { initImage, XsaveImage } from '../../lib/xstate/image.ts'
import { createLayout, type Layout } from '../../lib/xstate/layout.ts'
import { randomImage } from '../../lib/xstate/random.ts'
import { translateImage } from '../../lib/xstate/translate.ts'
import { anyLayout, anySeed, known } from '../xstate/arbitrary.ts'

const anyAbi = fc.constantFrom(...abis)

/** As a kernel of that layout writes it, with a head that is not of zeros. */
const frameOf = (image: XsaveImage, abi: Abi = 'x86_64'): PlacedFrame => ({
  abi,
  layout: image.layout,
  head: Uint8Array.from({ length: frameShape(abi).headBytes }, (_, i) => i * 7 + 1),
  ...buildFpstate(image.layout, image, abi, { cs: 0x1234, ds: 0x5678 }),
})

/** Behind the end of the layout: what lay on the stack before. */
const withTail = (frame: PlacedFrame, bytes: number): PlacedFrame => {
  const fpstate = new Uint8Array(frame.fpstate.length + bytes).fill(0xa5)
  fpstate.set(frame.fpstate)
  return { ...frame, fpstate }
}

const record = (frame: PlacedFrame): FrameRecord =>
  new FrameRecord({ ...frame, head: frame.head ?? new Uint8Array(0) }, frame.layout)

const done = (result: ReturnType<typeof translateFrame>): TranslatedFrame => {
  if (result.kind === 'translated') return result
  throw new Error(JSON.stringify(result))
}

/** What the kernel restores from a frame in its native size. */
const restoredFrom = (frame: PlacedFrame): XsaveImage =>
  new XsaveImage(restorable({ ...frame, head: new Uint8Array(0) }).slice(0, frame.layout.size), frame.layout)

const expectWellFormed = (frame: PlacedFrame): void => {
  const { layout, fpstate, abi, fsave } = frame
  const shape = frameShape(abi)
  expect(fsave?.length ?? 0).toBe(shape.fsaveSize)
  if (!layout.xsave) {
    expect(fpstate.length).toBe(512)
    expect(fpstate.subarray(416).every(byte => byte === 0)).toBe(true)
    return
  }
  const { sw, xstateBv, xcompBv, magic2At } = { ...partsOf(frame) }
  expect(sw).toEqual({
    magic1,
    extendedSize: layout.size + shape.trailer,
    xfeatures: layout.features,
    xstateSize: layout.size,
  })
  expect(layout.size).toBe(layout.sizeFor(layout.features))
  expect(fpstate.length).toBe(layout.size + 4)
  expect(magic2At).toBe(magic2)
  expect(xcompBv).toBe(0n)
  expect(xstateBv & 3n).toBe(3n)
  expect(xstateBv & ~layout.features).toBe(0n)
  expect(fpstate.subarray(528, 576).every(byte => byte === 0)).toBe(true)
}

const partsOf = (frame: PlacedFrame) => {
  const { sw, xstateBv, xcompBv } = record(frame)
  return { sw, xstateBv, xcompBv, magic2At: record(frame).magic2At(frame.layout.size) }
}

const anyFrame = fc
  .record({
    from: anyLayout,
    abi: anyAbi,
    seed: anySeed,
    used: fc.bigInt(0n, (1n << 20n) - 1n),
    tail: fc.nat(80),
  })
  .map(({ from, abi, seed, used, tail }) => {
    const image = randomImage(from, { seed, components: used & from.features })
    return { image, frame: withTail(frameOf(image, abi), tail) }
  })

describe('a frame in another layout', () => {
  it('is well formed, and what is restored from it is what was restored from the other', () => {
    const seen = { translated: 0, lacking: 0, malformed: 0 }
    fc.assert(
      fc.property(anyFrame, anyLayout, ({ image, frame }, to) => {
        const before = JSON.stringify([frame.head, frame.fsave, frame.fpstate])
        const result = translateFrame(frame, to)
        expect(JSON.stringify([frame.head, frame.fsave, frame.fpstate])).toBe(before)
        const asImage = translateImage(image, to)
        seen[result.kind] += 1
        expect(result.kind).toBe(asImage.kind)
        if (result.kind !== 'translated' || asImage.kind !== 'translated') {
          expect(result).toEqual(asImage)
          return
        }
        const { carried, dropped, added } = asImage
        expect(result).toMatchObject({ abi: frame.abi, carried, dropped, added })
        expect(result.layout).toBe(to)
        expectWellFormed(result)
        const restored = restoredFrom(result)
        expect(diffComponents(restored.bytes, asImage.image.bytes, to)).toEqual([])
        expect(diffComponents(result.image.bytes, asImage.image.bytes, to)).toEqual([])
        expect(sameMxcsr(restored.bytes, image.bytes)).toBe(true)
        expect(restored.mxcsrMask).toBe(to.mxcsrMask)
        expect(result.fsave).toEqual(frame.fsave)
        const found = lintFrame({ ...result, address: null, head: null }, to)
        expect(found.filter(({ severity }) => severity !== 'note')).toEqual([])
      }),
      { numRuns: 300 },
    )
    expect(Math.min(seen.translated, seen.lacking)).toBeGreaterThan(20)
    expect(seen.malformed).toBe(0)
  })

  it('and back is the frame that a kernel had written, byte for byte', () => {
    let there = 0
    fc.assert(
      fc.property(anyFrame, anyLayout, ({ frame }, to) => {
        const result = translateFrame(frame, to)
        if (result.kind !== 'translated') return
        there += 1
        const back = done(translateFrame(result, frame.layout))
        expect(Buffer.compare(back.fpstate, frame.fpstate.subarray(0, back.fpstate.length))).toBe(0)
        expect(back.fsave).toEqual(frame.fsave)
      }),
      { numRuns: 300 },
    )
    expect(there).toBeGreaterThan(20)
  })

  it('is the same frame in its own layout', () => {
    for (const abi of abis) {
      const frame = frameOf(randomImage(known('zen4'), { seed: 8 }), abi)
      expect(done(translateFrame(frame, frame.layout)).fpstate).toEqual(frame.fpstate)
    }
  })

  it('has another’s bytes below it, but for UC_FP_XSTATE', () => {
    for (const abi of abis) {
      const at = frameShape(abi).fields.ucFlags?.at
      const flags = at === undefined ? [] : [at]
      const image = randomImage(known('haswell'), { seed: 8, components: ['x87', 'sse'] })
      const frame = frameOf(image, abi)
      const without = done(translateFrame(frame, known('nehalem')))
      const changed = (head: Uint8Array | null) =>
        [...(head ?? [])].flatMap((byte, i) => (byte === frame.head![i] ? [] : [i]))
      const isSet = (head: Uint8Array | null) => flags.map(i => head![i]! & ucFpXstate)
      expect(frame.head![at ?? 0]! & ucFpXstate).toBe(1)
      expect(changed(without.head)).toEqual(flags)
      expect(isSet(without.head)).toEqual(flags.map(() => 0))
      const withAgain = done(translateFrame(without, known('zen4')))
      expect(withAgain.head).toEqual(frame.head)
      expect(done(translateFrame({ ...frame, head: null }, known('zen4'))).head).toBeNull()
    }
  })
})

/** The frame with other bytes; `at` counts from the start of the fpstate. */
const edited = (frame: PlacedFrame, at: number, bytes: readonly number[]): PlacedFrame => {
  const fpstate = Uint8Array.from(frame.fpstate)
  fpstate.set(bytes, at)
  return { ...frame, fpstate }
}

const u32 = (value: number): number[] => [...new Uint8Array(Uint32Array.of(value).buffer)]
const u64 = (value: bigint): number[] => [...new Uint8Array(BigUint64Array.of(value).buffer)]

describe('what is restored from a frame', () => {
  const skylake = known('skylake-sp')
  const all = randomImage(skylake, { seed: 21 })
  const frame = frameOf(all)

  it('is what its xfeatures and its XSTATE_BV have', () => {
    const less = edited(frame, frameFields['sw.xfeatures'].at, u64(0x2e7n))
    const { image, dropped } = done(translateFrame(less, known('ice-lake-sp')))
    expect(image.xstateBv).toBe(0x2e7n)
    expect(dropped.map(({ name }) => name)).toEqual(['bndregs', 'bndcsr'])
    const idle = edited(frame, frameFields.xstateBv.at, u64(0x2e7n))
    expect(done(translateFrame(idle, known('ice-lake-sp'))).fpstate).toEqual(
      done(translateFrame(less, known('ice-lake-sp'))).fpstate,
    )
  })

  it('may come from a smaller frame, and nothing behind it', () => {
    const small = translateFrame(frameOf(randomImage(known('haswell'), { seed: 4 })), skylake)
    const haswell = frameOf(randomImage(known('haswell'), { seed: 4 }))
    const shrunk: PlacedFrame = { ...withTail(haswell, 3000), layout: skylake }
    expect(done(translateFrame(shrunk, skylake)).fpstate).toEqual(done(small).fpstate)
  })

  it('has MXCSR, in a 32-bit frame with SSE alone', () => {
    const at = (xstateBv: bigint, abi: Abi) => {
      const one = edited(frameOf(all, abi), frameFields.xstateBv.at, u64(xstateBv))
      return done(translateFrame(one, skylake)).image.mxcsr
    }
    expect(at(5n, 'x86_64')).toBe(all.mxcsr)
    expect(at(5n, 'ia32')).toBe(0x1f80)
    expect(at(7n, 'ia32')).toBe(all.mxcsr)
  })

  it('has tiles, where it says so and its CPU has them, though another task has none', () => {
    const tiles = known('sapphire-rapids-tiles')
    const one = frameOf(randomImage(tiles, { seed: 3 }))
    const { fpstate, carried } = done(translateFrame({ ...one, layout: known('sapphire-rapids') }, tiles))
    expect(Buffer.compare(fpstate, one.fpstate)).toBe(0)
    expect(carried).toContain('xtiledata')
    expect(translateFrame(one, known('sapphire-rapids'))).toMatchObject({
      lacks: [{ name: 'xtiledata', kind: 'withheld' }],
    })
  })

  it('has its x87 state from the fsave header, where there is one', () => {
    const one = frameOf(all, 'ia32-rt')
    const fsave = Uint8Array.from(one.fsave!)
    fsave.set([1, 2, 3, 4, 5, 6, 7, 8, 9, 10], 28)
    fsave.set(u32(0x7_0023), 16)
    const { image, fsave: kept, fpstate } = done(translateFrame({ ...one, fsave }, skylake))
    expect([...image.st(0)]).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
    expect(image.fop).toBe(7)
    expect(kept).toEqual(fsave)
    expect([...fpstate.subarray(32, 42)]).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
  })

  it('has x87 at init where XSTATE_BV says so, whatever the fsave header has', () => {
    for (const to of [skylake, known('nehalem')]) {
      const image = randomImage(skylake, { seed: 2, components: ['x87', 'sse'] })
      const one = edited(frameOf(image, 'ia32'), frameFields.xstateBv.at, u64(2n))
      const result = done(translateFrame(one, to))
      expect(result.carried).toEqual(['sse', 'mxcsr'])
      if (to.xsave) expect(record(result).xstateBv).toBe(3n)
      const restored = restoredFrom(result)
      expect(isInitComponent(restored.bytes, to, 'x87')).toBe(true)
      const { cssel, datasel, cw } = readFsave(result.fsave!)
      expect({ cssel, datasel, cw }).toEqual({ cssel: 0x1234, datasel: 0xffff_5678, cw: 0xffff_037f })
    }
  })

  it('has no tiles where nobody says where they lie', () => {
    const tiles = known('sapphire-rapids-tiles')
    const one = frameOf(randomImage(tiles, { seed: 3 }))
    const { components, ...rest } = known('sapphire-rapids').toJSON()
    const features = tiles.features & ~maskOf(['xtiledata'])
    const lacking = (change: object) =>
      createLayout({ ...rest, userFeatures: features, xcr0: tiles.features, components, ...change })
    const isFault = { kind: 'malformed', field: 'sw.xfeatures' }
    const at = (layout: Layout) => translateFrame({ ...one, layout }, tiles)
    expect(at(lacking({})).kind).toBe('translated')
    expect(at(lacking({ xcr0: features }))).toMatchObject(isFault)
    expect(at(lacking({ components: components.filter(({ index }) => index !== 18) }))).toMatchObject(isFault)
  })

  it('is refused with the components that the target lacks', () => {
    expect(translateFrame(frame, known('ice-lake-sp'))).toMatchObject({
      kind: 'lacking',
      lacks: [{ name: 'bndregs' }, { name: 'bndcsr' }],
    })
  })

  it('is PKRU as the options have it', () => {
    const image = initImage(known('haswell'))
    expect(done(translateFrame(frameOf(image), known('zen3'), { newPkru: 'default' }))).toMatchObject({
      added: ['pkru'],
      image: { pkru: 0x5555_5554 },
    })
  })
})

const structural = /^(sw\.|MAGIC2|fpstate|xstateBv|xcompBv|mxcsr|header)/

describe('a frame from which its own kernel would not restore all', () => {
  const layout = known('zen4')
  const good = frameOf(randomImage(layout, { seed: 1 }))
  const ia32 = frameOf(randomImage(layout, { seed: 1 }), 'ia32')
  const fx = 'the kernel would restore the legacy region alone, and put all else to init'

  it.each<[string, PlacedFrame, string]>([
    ['sw.magic1', edited(good, 464, [0]), `sw.magic1 is 0x46505800, must be 0x46505853: ${fx}`],
    ['sw.xstateSize', edited(good, 480, u32(575)), `sw.xstateSize is 575, must be at least 576: ${fx}`],
    ['sw.xstateSize', edited(good, 480, u32(2441)), `sw.xstateSize is 2441, must be at most 2440: ${fx}`],
    [
      'sw.xstateSize',
      edited(good, 480, u32(2439)),
      'sw.xstateSize is 2439, must be at least 2440, for the components of sw.xfeatures 0x2e7',
    ],
    [
      'sw.extendedSize',
      edited(good, 468, u32(2443)),
      `sw.extendedSize is 2443, must be at least 2444: ${fx}`,
    ],
    ['MAGIC2', edited(good, 2440, [0]), `MAGIC2 is 0x46505800, must be 0x46505845 at 2440: ${fx}`],
    [
      'fpstate.length',
      { ...good, fpstate: good.fpstate.subarray(0, 2443) },
      'fpstate.length is 2443, must be at least 2444',
    ],
    [
      'fpstate.length',
      { ...good, fpstate: good.fpstate.subarray(0, 575) },
      'fpstate.length is 575, must be at least 576',
    ],
    [
      'fpstate.length',
      { ...good, layout: known('nehalem'), fpstate: good.fpstate.subarray(0, 511) },
      'fpstate.length is 511, must be at least 512',
    ],
    [
      'xstateBv',
      edited(good, 512, u64(0x2ffn)),
      'xstateBv is 0x2ff, which has bits outside 0x2e7: the kernel would reject the frame with SIGSEGV',
    ],
    [
      'xcompBv',
      edited(good, 520, u64((1n << 63n) | 7n)),
      'xcompBv is 0x8000000000000007, must be 0x0: frames are in the standard format, not in the compacted one',
    ],
    [
      'sw.xfeatures',
      edited(good, 472, u64(0x2ffn)),
      'sw.xfeatures is 0x2ff, which has bits outside the layout’s 0x2e7',
    ],
    [
      'sw.xfeatures',
      edited(good, 472, u64(0x2e6n)),
      'sw.xfeatures is 0x2e6, must include 0x3 (x87 sse): the kernel would put them to init',
    ],
    ['header[528]', edited(good, 528, [1]), 'header[528] is 1, must be 0: reserved'],
    ['header[575]', edited(good, 575, [1]), 'header[575] is 1, must be 0: reserved'],
    [
      'mxcsr',
      edited(good, 24, u32(0xffff_0000)),
      'mxcsr is 0xffff0000, which has bits outside 0x2ffff: the kernel would reject the frame with SIGSEGV',
    ],
    [
      'mxcsr',
      edited({ ...good, layout: known('nehalem') }, 24, u32(0x1_0000)),
      'mxcsr is 0x10000, which has bits outside 0xffff: the kernel would reject the frame with SIGSEGV',
    ],
    ['fsave.length', { ...ia32, fsave: null }, 'fsave.length is 0, must be 112'],
    ['fsave.length', { ...good, fsave: ia32.fsave }, 'fsave.length is 112, must be 0'],
    ['head.length', { ...good, head: new Uint8Array(3) }, 'head.length is 3, must be 440'],
  ])('is refused: %s', (field, frame, message) => {
    expect(translateFrame(frame, layout)).toEqual({ kind: 'malformed', field, message })
  })

  it('throws for parts that are none', () => {
    const wrong = (part: object, message: string) =>
      expect(() => translateFrame({ ...good, ...part }, layout)).toThrow(new TypeError(message))
    wrong({ layout: {} }, 'frame.layout must be a Layout, not an object')
    wrong({ fpstate: [] }, 'frame.fpstate must be a Uint8Array, not an array of 0')
    wrong({ fsave: 1 }, 'frame.fsave must be a Uint8Array or null, not 1')
    wrong({ head: 'x' }, 'frame.head must be a Uint8Array or null, not "x"')
  })

  it('is never a reason to throw, whatever its bytes', () => {
    const anyWrite = fc.oneof(
      { weight: 4, arbitrary: fc.uint8Array({ maxLength: 3 }) },
      { weight: 1, arbitrary: fc.uint8Array({ maxLength: 700 }) },
    )
    fc.assert(
      fc.property(
        anyFrame,
        fc.array(fc.tuple(fc.constantFrom(0, 24, 464, 468, 472, 480, 512, 520, 528), anyWrite), {
          maxLength: 3,
        }),
        fc.nat(12_000),
        anyLayout,
        ({ frame }, writes, length, to) => {
          const fpstate = Uint8Array.from(frame.fpstate)
          for (const [at, bytes] of writes)
            if (at < fpstate.length) fpstate.set(bytes.subarray(0, fpstate.length - at), at)
          const result = translateFrame({ ...frame, fpstate: fpstate.subarray(0, length) }, to)
          if (result.kind !== 'translated') return
          expectWellFormed(result)
          // What lint finds wrong in a frame's structure is not translated.
          const { abi, fsave, layout } = frame
          const source = { abi, fsave, fpstate: fpstate.subarray(0, length), head: null, address: null }
          const found = lintFrame(source, layout).filter(({ severity }) => severity === 'error')
          expect(found.filter(({ field }) => structural.test(field))).toEqual([])
        },
      ),
      { numRuns: 300 },
    )
  })
})
