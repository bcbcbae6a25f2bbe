import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { canonicalComponent, isInitComponent, sameMxcsr } from '../../lib/xstate/compare.ts'
import { maskOf } from '../../lib/xstate/components.ts'
import { initImage, validateLoadable, XsaveImage } from '../../lib/xstate/image.ts'
import { createLayout, type Layout } from '../../lib/xstate/layout.ts'
import { defaultPkru } from '../../lib/xstate/pkru.ts'
import { randomImage } from '../../lib/xstate/random.ts'
import { type TranslatedImage, type TranslateOptions, translateImage } from '../../lib/xstate/translate.ts'
import { anyLayout, anySeed, known } from './arbitrary.ts'

/** An image of a layout with some of its components in use, and bits of XSTATE_BV that say so of init values. */
const anyImage = (layout: Layout): fc.Arbitrary<XsaveImage> =>
  fc
    .record({
      seed: anySeed,
      used: fc.bigInt(0n, layout.features),
      idle: fc.bigInt(0n, layout.features),
      keys: fc.boolean(),
      odd: fc.boolean(),
    })
    .map(({ seed, used, idle, keys, odd }) => {
      const image = randomImage(layout, { seed, components: used & layout.features })
      if (layout.xsave) image.xstateBv |= idle & layout.features & ~used
      if (keys && layout.has('pkru') && (image.xstateBv & 0x200n) !== 0n) image.pkru = defaultPkru
      // MM, which AMD alone has.
      if (odd && (layout.mxcsrMask & 0x2_0000) !== 0) image.mxcsr |= 0x2_0000
      return image
    })

const anyPair = fc
  .tuple(anyLayout, anyLayout)
  .chain(([from, to]) => fc.record({ image: anyImage(from), to: fc.constant(to) }))

const strict: TranslateOptions = { defaultPkru: 'refuse' }

const done = (result: ReturnType<typeof translateImage>): TranslatedImage => {
  if (result.kind === 'translated') return result
  throw new Error(`not translated: ${result.lacks.map(({ message }) => message).join('; ')}`)
}

const isMm = ({ mxcsr }: XsaveImage, { mxcsrMask }: Layout): boolean => (mxcsr & ~mxcsrMask) !== 0

/** What an image has in use, by names. */
const used = ({ bytes, layout }: XsaveImage) =>
  layout.components.filter(({ name }) => !isInitComponent(bytes, layout, name)).map(({ name }) => name)

const expectSame = (a: XsaveImage, b: XsaveImage): void => {
  expect(sameMxcsr(a.bytes, b.bytes)).toBe(true)
  expect(used(a)).toEqual(used(b))
  for (const name of used(a))
    expect(
      Buffer.compare(
        canonicalComponent(a.bytes, a.layout, name),
        canonicalComponent(b.bytes, b.layout, name),
      ),
    ).toBe(0)
}

describe('an image in another layout', () => {
  it('is the same state, or refused for exactly what the target lacks', () => {
    const seen = { translated: 0, lacking: 0 }
    fc.assert(
      fc.property(anyPair, ({ image, to }) => {
        const before = Uint8Array.from(image.bytes)
        const result = translateImage(image, to, strict)
        expect(Buffer.compare(image.bytes, before)).toBe(0)
        const lacks: string[] = used(image).filter(name => !to.has(name))
        if (isMm(image, to)) lacks.push('mxcsr')
        seen[result.kind] += 1
        if (result.kind === 'lacking') {
          expect(result.lacks.map(({ name }) => name)).toEqual(lacks)
          return
        }
        expect(lacks).toEqual([])
        expectSame(result.image, image)
        expect(result.image.layout).toBe(to)
        validateLoadable(result.image, to)
        expect(result.carried).toEqual([...used(image), ...(image.mxcsr === 0x1f80 ? [] : ['mxcsr'])])
        const dropped = image.layout.components.filter(({ name }) => !to.has(name))
        expect(result.dropped).toEqual(dropped.map(({ name }) => ({ name, why: 'init' })))
        expect(result.added).toEqual([])
      }),
      { numRuns: 500 },
    )
    expect(Math.min(seen.translated, seen.lacking)).toBeGreaterThan(20)
  })

  it('and back is the same state', () => {
    let there = 0
    fc.assert(
      fc.property(anyPair, ({ image, to }) => {
        const result = translateImage(image, to, strict)
        if (result.kind === 'lacking') return
        there += 1
        const back = done(translateImage(result.image, image.layout, strict))
        expectSame(back.image, image)
      }),
      { numRuns: 500 },
    )
    expect(there).toBeGreaterThan(20)
  })

  it('has nothing that no component holds', () => {
    fc.assert(
      fc.property(anyPair, anySeed, ({ image, to }, seed) => {
        // What nobody writes: holes, reserved bytes, what is left of components at init.
        const dirty = new XsaveImage(
          Uint8Array.from(image.bytes, (_, i) => (i * 37 + seed) & 0xff),
          image.layout,
        )
        for (const { ranges, mask, name } of image.layout.components) {
          if ((image.xstateBv & mask) === 0n) continue
          const canonical = canonicalComponent(image.bytes, image.layout, name)
          if (name !== 'x87') dirty.component(name).set(canonical)
          else
            for (const { offset, size } of ranges)
              dirty.bytes.set(image.bytes.subarray(offset, offset + size), offset)
        }
        // Within the components, too.
        for (let at = 32; at < 160; at += 16) dirty.bytes.fill(0xee, at + 10, at + 16)
        dirty.bytes[fieldBehindFtw] = 0xee
        if (image.layout.has('pkru')) dirty.component('pkru').fill(0xee, 4)
        if (image.layout.has('bndcsr')) dirty.component('bndcsr').fill(0xee, 16)
        dirty.mxcsr = image.mxcsr
        if (image.layout.xsave) {
          dirty.bytes.fill(0, 512, 576)
          dirty.xstateBv = image.xstateBv
        }
        const clean = translateImage(image, to)
        const other = translateImage(dirty, to)
        expect(other.kind).toBe(clean.kind)
        if (clean.kind === 'translated')
          expect(Buffer.compare(done(other).image.bytes, clean.image.bytes)).toBe(0)
      }),
    )
  })

  it('has AMD’s offsets, or Intel’s', () => {
    const zen4 = known('zen4')
    const intel = known('ice-lake-sp')
    const image = randomImage(zen4, { seed: 5 })
    const { image: there } = done(translateImage(image, intel))
    expect(there.bytes.subarray(1088, 1152)).toEqual(image.bytes.subarray(832, 896))
    expect(there.bytes.subarray(1152, 1664)).toEqual(image.bytes.subarray(896, 1408))
    expect(there.bytes.subarray(1664, 2688)).toEqual(image.bytes.subarray(1408, 2432))
    expect(there.bytes.subarray(2688, 2696)).toEqual(image.bytes.subarray(2432, 2440))
    expect(there.xstateBv).toBe(0x2e7n)
    expect(there.mxcsrMask).toBe(0xffff)
    expect(done(translateImage(there, zen4)).image.mxcsrMask).toBe(0x2ffff)
  })

  it('keeps FOP, FIP and FDP, which no comparison sees without a pending exception', () => {
    const image = randomImage(known('zen4'), { seed: 5 })
    image.fop = 0x123
    image.fip = 0x1122_3344_5566n
    image.fdp = 0x2233_4455_6677n
    image.bytes[fieldBehindFtw] = 0xff
    const { fop, fip, fdp, bytes } = done(translateImage(image, known('ice-lake-sp'))).image
    expect({ fop, fip, fdp }).toEqual({ fop: image.fop, fip: image.fip, fdp: image.fdp })
    expect(bytes[fieldBehindFtw]).toBe(0)
  })
})

const fieldBehindFtw = 5

describe('what the target lacks', () => {
  it('is told apart: registers that it has not, and those that its task has not asked for', () => {
    const tiles = randomImage(known('sapphire-rapids-tiles'), { seed: 3 })
    expect(translateImage(tiles, known('sapphire-rapids'))).toEqual({
      kind: 'lacking',
      lacks: [
        {
          name: 'xtiledata',
          kind: 'withheld',
          message:
            'xtiledata is in use, and the target’s CPU has it, but not its task: it must ask its kernel for it first',
        },
      ],
    })
    const mpx = randomImage(known('skylake'), { seed: 3 })
    expect(translateImage(mpx, known('zen4'))).toEqual({
      kind: 'lacking',
      lacks: ['bndregs', 'bndcsr'].map(name => ({
        name,
        kind: 'absent',
        message: `${name} is in use, and the target has no such registers`,
      })),
    })
  })

  it('is a bit of MXCSR', () => {
    const image = initImage(known('zen4'))
    image.mxcsr = 0x2_1f80
    expect(translateImage(image, known('haswell'))).toEqual({
      kind: 'lacking',
      lacks: [
        {
          name: 'mxcsr',
          kind: 'reserved',
          message: 'mxcsr is 0x21f80, which has bits outside the target’s 0xffff',
        },
      ],
    })
    expect(done(translateImage(image, known('zen3'))).carried).toEqual(['mxcsr'])
  })

  it('is room for a component of another size', () => {
    const withSize = (size: number): Layout => {
      const far = { index: 20, size, offset: 832, alignedCompacted: false, supervisor: false, xfd: false }
      const { components, ...rest } = known('haswell').toJSON()
      return createLayout({
        ...rest,
        xcr0: 0x10_0007n,
        userFeatures: 0x10_0007n,
        components: [...components, far],
      })
    }
    const image = initImage(withSize(64))
    expect(translateImage(image, withSize(128))).toMatchObject({ kind: 'translated', dropped: [] })
    image.xstateBv = 0x10_0000n
    expect(done(translateImage(image, withSize(128))).image.xstateBv).toBe(0n)
    image.component('component_20').fill(1)
    expect(translateImage(image, withSize(128))).toMatchObject({
      kind: 'lacking',
      lacks: [
        {
          name: 'component_20',
          kind: 'size',
          message: 'component_20 is in use and has 64 bytes, on the target 128',
        },
      ],
    })
    expect(done(translateImage(image, withSize(64))).image.bytes).toEqual(
      Uint8Array.from(image.bytes, (byte, i) => (i === 28 || i === 29 ? 0xff : byte)),
    )
  })
})

describe('PKRU', () => {
  const withKeys = (pkru: number): XsaveImage => {
    const image = initImage(known('zen3'))
    image.pkru = pkru
    image.xstateBv = maskOf(['pkru'])
    return image
  }

  it('is dropped where it has the kernel’s default, unless that is to be refused', () => {
    const image = withKeys(defaultPkru)
    const { dropped, carried, image: there } = done(translateImage(image, known('haswell')))
    expect({ dropped, carried }).toEqual({ dropped: [{ name: 'pkru', why: 'default' }], carried: [] })
    expect(there.xstateBv).toBe(0n)
    expect(translateImage(image, known('haswell'), strict)).toMatchObject({ lacks: [{ name: 'pkru' }] })
    expect(done(translateImage(image, known('zen4'))).carried).toEqual(['pkru'])
  })

  it('is refused with any other value, and dropped at init', () => {
    expect(translateImage(withKeys(defaultPkru - 4), known('haswell'))).toMatchObject({
      lacks: [{ name: 'pkru', kind: 'absent' }],
    })
    expect(done(translateImage(withKeys(0), known('haswell'))).dropped).toEqual([
      { name: 'pkru', why: 'init' },
    ])
  })

  it('is added where that is asked for, and the source has none', () => {
    const from = initImage(known('haswell'))
    const add: TranslateOptions = { newPkru: 'default' }
    expect(done(translateImage(from, known('zen3'))).image.xstateBv).toBe(0n)
    const { image, added, carried } = done(translateImage(from, known('zen3'), add))
    expect({ pkru: image.pkru, xstateBv: image.xstateBv, added, carried }).toEqual({
      pkru: defaultPkru,
      xstateBv: 0x200n,
      added: ['pkru'],
      carried: [],
    })
    expect(done(translateImage(from, known('sse-only'), add)).added).toEqual([])
    expect(done(translateImage(withKeys(0), known('zen4'), add))).toMatchObject({
      added: [],
      image: { pkru: 0 },
    })
  })
})

describe('what cannot be translated at all', () => {
  it.each<[string, (image: XsaveImage) => void, string]>([
    [
      'bits that the layout lacks',
      image => {
        image.xstateBv = 0x10n
      },
      'image.xstateBv is 0x10, which has bits outside 0x7 (x87 sse avx)',
    ],
    [
      'the compacted format',
      image => {
        image.xcompBv = 1n << 63n
      },
      'image.xcompBv is 0x8000000000000000, must be 0x0: the standard format',
    ],
  ])('%s', (_, spoil, message) => {
    const image = initImage(known('haswell'))
    spoil(image)
    expect(() => translateImage(image, known('zen4'))).toThrow(new RangeError(message))
  })

  it('what is no image, and what is no layout', () => {
    const image = initImage(known('haswell'))
    expect(() => translateImage(image.bytes as never, known('zen4'))).toThrow(
      new TypeError('image must be an XsaveImage, not a Uint8Array of 832 bytes'),
    )
    expect(() => translateImage(image, {} as never)).toThrow(
      new TypeError('to must be a Layout, not an object'),
    )
  })
})
