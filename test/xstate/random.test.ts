import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  canonicalComponent,
  diffComponents,
  isInitComponent,
  sameComponent,
} from '../../lib/xstate/compare.ts'
import type { ComponentName } from '../../lib/xstate/components.ts'
import { maskOf, namesOf } from '../../lib/xstate/components.ts'
import { initImage, validateLoadable } from '../../lib/xstate/image.ts'
import { createLayout } from '../../lib/xstate/layout.ts'
import { createRandom, randomComponent, randomImage, randomMxcsr } from '../../lib/xstate/random.ts'
import { anyFeatures, anyHostile, anyLayout, anyPlace, anySeed, known, knownSource } from './arbitrary.ts'

describe('randomImage', () => {
  it('can be loaded, has what was asked, and nothing of it is init', () => {
    fc.assert(
      fc.property(anyFeatures, anySeed, ({ layout, mask }, seed) => {
        const image = randomImage(layout, { seed, components: mask })
        validateLoadable(image, layout)
        if (layout.xsave) expect(image.xstateBv).toBe(mask)
        for (const { name, mask: bit } of layout.components) {
          expect(isInitComponent(image.bytes, layout, name)).toBe((mask & bit) === 0n)
        }
      }),
    )
  })

  it('leaves the bytes of what was not asked at init', () => {
    fc.assert(
      fc.property(anyFeatures, anySeed, ({ layout, mask }, seed) => {
        const image = randomImage(layout, { seed, components: mask })
        const init = initImage(layout)
        for (const { ranges, mask: bit } of layout.components) {
          if ((mask & bit) !== 0n) continue
          for (const { offset, size } of ranges) {
            expect(image.bytes.subarray(offset, offset + size)).toEqual(
              init.bytes.subarray(offset, offset + size),
            )
          }
        }
      }),
    )
  })

  it('is the same for the same seed, however the components are named', () => {
    fc.assert(
      fc.property(anyFeatures, anySeed, ({ layout, mask }, seed) => {
        const image = randomImage(layout, { seed, components: mask })
        expect(randomImage(layout, { seed, components: namesOf(mask) }).bytes).toEqual(image.bytes)
      }),
    )
  })

  it('differs in every component, and in MXCSR, from that of a neighbouring seed', () => {
    fc.assert(
      fc.property(anyLayout, anySeed, fc.integer({ min: 1, max: 510 }), (layout, seed, distance) => {
        fc.pre(seed + distance <= Number.MAX_SAFE_INTEGER)
        const a = randomImage(layout, { seed })
        const b = randomImage(layout, { seed: seed + distance })
        expect(diffComponents(a.bytes, b.bytes, layout)).toEqual(layout.components.map(c => c.name))
        expect(a.mxcsr).not.toBe(b.mxcsr)
      }),
    )
  })

  it('never repeats a component over many seeds', () => {
    const layout = known('skylake-sp')
    const images = Array.from({ length: 2000 }, (_, seed) => randomImage(layout, { seed }).bytes)
    for (const { name } of layout.components) {
      const seen = new Set(
        images.map(bytes => Buffer.from(canonicalComponent(bytes, layout, name)).toString('hex')),
      )
      expect(seen.size, name).toBe(images.length)
    }
  })

  it('tells seeds apart beyond 32 bits, and with signs', () => {
    const layout = known('haswell')
    const seeds = [
      1,
      -1,
      2 ** 32,
      2 ** 32 + 1,
      -(2 ** 32),
      Number.MAX_SAFE_INTEGER,
      Number.MIN_SAFE_INTEGER,
      0,
    ]
    // AVX alone: MXCSR is drawn from the seed by other means.
    const draw = (seed: number): Uint8Array => randomImage(layout, { seed, components: ['avx'] }).bytes
    const seen = new Set(seeds.map(seed => Buffer.from(draw(seed)).toString('hex')))
    expect(seen.size).toBe(seeds.length)
  })

  it('draws x87 without exceptions and pointers', () => {
    fc.assert(
      fc.property(anyLayout, anySeed, (layout, seed) => {
        const { fcw, fsw, ftw, fop, fip, fdp } = randomImage(layout, { seed })
        expect(fcw & ~0xf00).toBe(0x07f)
        expect(fcw & 0x300).not.toBe(0x100)
        expect(fsw & 0x80ff).toBe(0)
        expect(ftw).not.toBe(0)
        expect([fop, fip, fdp]).toEqual([0, 0n, 0n])
      }),
    )
  })

  it('draws every rounding and precision, and every tag bit', () => {
    const layout = known('haswell')
    const images = Array.from({ length: 300 }, (_, seed) => randomImage(layout, { seed }))
    expect(new Set(images.map(i => i.fcw)).size).toBe(12)
    expect(images.reduce((tags, i) => tags | i.ftw, 0)).toBe(0xff)
    expect(images.reduce((fsw, i) => fsw | i.fsw, 0)).toBe(0x7f00)
    expect(images.reduce((mxcsr, i) => mxcsr | i.mxcsr, 0)).toBe(0xffff)
    expect(images.every(i => (i.mxcsr & 0x1f80) === 0x1f80)).toBe(true)
  })

  it('keeps MXCSR at init where SSE is not asked for', () => {
    expect(randomImage(known('zen4'), { seed: 3, components: ['avx', 'pkru'] }).mxcsr).toBe(0x1f80)
  })

  const unknown = createLayout({
    ...knownSource('haswell'),
    xcr0: 0x10_0007n,
    userFeatures: 0x10_0007n,
    components: [
      ...knownSource('haswell').components,
      { index: 20, size: 45, offset: 832, alignedCompacted: false, supervisor: false, xfd: false },
    ],
  })

  it('draws a component that nobody knows only when told to', () => {
    expect(randomImage(unknown, { seed: 1 }).xstateBv).toBe(7n)
    const image = randomImage(unknown, { seed: 1, components: ['component_20'] })
    expect(image.xstateBv).toBe(1n << 20n)
    expect(new Set(image.component('component_20')).size).toBeGreaterThan(20)
    expect(image.component('component_20').at(-1)).not.toBe(0)
  })

  it('refuses seeds and components that are none', () => {
    const layout = known('zen4')
    for (const seed of [1.5, Number.NaN, 2 ** 53, '1', undefined]) {
      expect(() => randomImage(layout, { seed: seed as number })).toThrow(
        /^seed must be a safe integer, not /,
      )
    }
    expect(() => randomImage(layout, { seed: 1, components: ['avx', 'apx'] })).toThrow(
      /^components\[1\] is "apx", which this layout lacks: it has x87 /,
    )
    expect(() => randomImage(layout, { seed: 1, components: 1n << 62n })).toThrow(
      /^components is 0x4000000000000000, which has bits outside 0x2e7 \(x87 /,
    )
    fc.assert(
      fc.property(
        anyHostile.filter(v => v !== undefined && !Array.isArray(v) && typeof v !== 'bigint'),
        value => {
          expect(() => randomImage(layout, { seed: 1, components: value as bigint })).toThrow(
            /^components must be /,
          )
        },
      ),
    )
  })
})

describe('randomComponent', () => {
  it('draws one component of any bytes, aligned or not, and touches nothing else', () => {
    fc.assert(
      fc.property(anyPlace, anySeed, fc.nat(7), ({ layout, name }, seed, shift) => {
        // The seed of what is there already would draw the first component as it is.
        fc.pre(seed !== 1)
        const before = randomImage(layout, { seed: 1 }).bytes
        const bytes = new Uint8Array(layout.size + 100).subarray(shift)
        bytes.set(before)
        randomComponent(bytes, layout, name, createRandom(seed))
        expect(diffComponents(bytes, before, layout)).toEqual([name])
        const aligned = Uint8Array.from(before)
        randomComponent(aligned, layout, name, createRandom(seed))
        expect(bytes.subarray(0, layout.size)).toEqual(aligned)
        validateLoadable(aligned, layout)
        const changed = [...aligned.keys()].filter(i => aligned[i] !== before[i])
        const { ranges } = layout.component(name)
        expect(changed.every(i => ranges.some(r => i >= r.offset && i < r.offset + r.size))).toBe(true)
      }),
    )
  })

  it('sets the XSTATE_BV bit', () => {
    const layout = known('sapphire-rapids-tiles')
    const image = initImage(layout)
    const names: ComponentName[] = ['xtiledata', 'pkru', 'avx']
    const random = createRandom(7)
    for (const name of names) randomComponent(image.bytes, layout, name, random)
    expect(image.xstateBv).toBe(maskOf(names))
  })

  it('differs from draw to draw', () => {
    const layout = known('zen4')
    const a = initImage(layout).bytes
    const b = initImage(layout).bytes
    const random = createRandom(7)
    randomComponent(a, layout, 'pkru', random)
    randomComponent(b, layout, 'pkru', random)
    expect(sameComponent(a, b, layout, 'pkru')).toBe(false)
  })

  it('refuses bytes that end too early', () => {
    const layout = known('zen4')
    const random = createRandom(1)
    expect(() => randomComponent(new Uint8Array(2439), layout, 'pkru', random)).toThrow(
      new RangeError('bytes.length is 2439, must be at least 2440'),
    )
    expect(() => randomComponent(new Uint8Array(519), layout, 'x87', random)).toThrow(RangeError)
    expect(() => randomComponent([] as unknown as Uint8Array, layout, 'x87', random)).toThrow(TypeError)
    expect(() => randomComponent(new Uint8Array(4096), layout, 'apx', random)).toThrow(RangeError)
  })
})

describe('randomMxcsr', () => {
  it.each([
    ['haswell', 1023],
    ['no DAZ', 511],
  ] as const)('%s: all values in turn, none of them init', (name, count) => {
    const layout =
      name === 'haswell' ? known(name) : createLayout({ ...knownSource('nehalem'), mxcsrMask: 0xffbf })
    for (const first of [0, -5000, 2 ** 40]) {
      const values = Array.from({ length: count }, (_, i) => randomMxcsr(layout, first + i))
      expect(new Set(values).size).toBe(count)
      expect(values).not.toContain(0x1f80)
      expect(values.every(v => (v & ~layout.mxcsrMask) === 0 && (v & 0x1f80) === 0x1f80)).toBe(true)
    }
  })
})
