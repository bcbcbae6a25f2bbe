import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  canonicalComponent,
  diffComponents,
  explain,
  explainMxcsr,
  initValue,
  isInitComponent,
  sameComponent,
  sameMxcsr,
} from '../../lib/xstate/compare.ts'
import type { ComponentName } from '../../lib/xstate/components.ts'
import { initImage, type XsaveImage } from '../../lib/xstate/image.ts'
import type { Layout } from '../../lib/xstate/layout.ts'
import { randomImage } from '../../lib/xstate/random.ts'
import { anyFeatures, anyLayout, anyPlace, anySeed, known } from './arbitrary.ts'

const zen4 = known('zen4')
const random = (layout: Layout, seed: number): XsaveImage => randomImage(layout, { seed })

/** The bytes of a layout that carry no state of any component. */
const stateless = (layout: Layout): number[] => {
  const carries = new Set<number>()
  const add = (offset: number, size: number): void => {
    for (let i = 0; i < size; i++) carries.add(offset + i)
  }
  add(0, 5)
  for (let i = 0; i < 8; i++) add(32 + 16 * i, 10)
  add(160, 256)
  if (layout.xsave) add(512, 8)
  for (const { name, offset, size } of layout.extended)
    add(offset, { pkru: 4, bndcsr: 16 }[name as string] ?? size)
  return Array.from({ length: layout.size }, (_, i) => i).filter(i => !carries.has(i))
}

describe('sameComponent', () => {
  it('agrees with the canonical forms', () => {
    fc.assert(
      fc.property(anyFeatures, anyFeatures, fc.nat(3), fc.nat(3), ({ layout, mask }, other, x, y) => {
        const a = randomImage(layout, { seed: x, components: mask }).bytes
        const b = randomImage(layout, { seed: y, components: other.mask & layout.features }).bytes
        for (const { name } of layout.components) {
          const equal =
            Buffer.compare(canonicalComponent(a, layout, name), canonicalComponent(b, layout, name)) === 0
          expect(sameComponent(a, b, layout, name)).toBe(equal)
          expect(sameComponent(b, a, layout, name)).toBe(equal)
        }
      }),
    )
  })

  it('sees any change of a byte that carries state', () => {
    fc.assert(
      fc.property(
        anyPlace,
        anySeed,
        fc.nat(),
        fc.integer({ min: 1, max: 255 }),
        ({ layout, name }, seed, at, flip) => {
          const a = random(layout, seed).bytes
          const silent = new Set(stateless(layout))
          const places = layout
            .component(name)
            .ranges.flatMap(r => Array.from({ length: r.size }, (_, i) => r.offset + i))
            .filter(i => !silent.has(i))
          const b = Uint8Array.from(a)
          const i = places[at % places.length] ?? 0
          b[i] = (b[i] ?? 0) ^ flip
          expect(sameComponent(a, b, layout, name)).toBe(false)
          expect(diffComponents(a, b, layout)).toEqual([name])
        },
      ),
    )
  })

  it('ignores every byte that carries none: gaps, reserved, 464..511, MXCSR, pointers', () => {
    fc.assert(
      fc.property(anyLayout, anySeed, (layout, seed) => {
        const a = random(layout, seed).bytes
        const b = Uint8Array.from(a)
        for (const i of stateless(layout)) b[i] = ~(b[i] ?? 0)
        expect(diffComponents(a, b, layout)).toEqual([])
        for (const { name } of layout.components) {
          expect(canonicalComponent(b, layout, name)).toEqual(canonicalComponent(a, layout, name))
        }
      }),
    )
  })

  it('takes a clear XSTATE_BV bit for the init value, whatever the bytes', () => {
    fc.assert(
      fc.property(anyPlace, anySeed, ({ layout, name }, seed) => {
        fc.pre(layout.xsave)
        const init = initImage(layout)
        const cleared = random(layout, seed)
        const { mask } = layout.component(name)
        cleared.xstateBv &= ~mask
        expect(sameComponent(cleared.bytes, init.bytes, layout, name)).toBe(true)
        expect(canonicalComponent(cleared.bytes, layout, name)).toEqual(initValue(layout, name))
        init.xstateBv |= mask
        expect(sameComponent(cleared.bytes, init.bytes, layout, name)).toBe(true)
        expect(sameComponent(init.bytes, cleared.bytes, layout, name)).toBe(true)
        expect(isInitComponent(init.bytes, layout, name)).toBe(true)
        cleared.xstateBv |= mask
        expect(sameComponent(cleared.bytes, init.bytes, layout, name)).toBe(false)
        expect(isInitComponent(cleared.bytes, layout, name)).toBe(false)
      }),
    )
  })

  it('compares FOP, FIP and FDP only with an exception pending', () => {
    const a = random(zen4, 1)
    const b = a.clone()
    b.fop = 1
    b.fip = 2n
    b.fdp = 3n
    expect(sameComponent(a.bytes, b.bytes, zen4, 'x87')).toBe(true)
    a.fsw |= 0x80
    expect(sameComponent(a.bytes, b.bytes, zen4, 'x87')).toBe(false)
    b.fsw |= 0x80
    expect(sameComponent(a.bytes, b.bytes, zen4, 'x87')).toBe(false)
    expect(canonicalComponent(a.bytes, zen4, 'x87')).not.toEqual(canonicalComponent(b.bytes, zen4, 'x87'))
    a.fop = 1
    a.fip = 2n
    a.fdp = 3n
    expect(sameComponent(a.bytes, b.bytes, zen4, 'x87')).toBe(true)
    expect(canonicalComponent(a.bytes, zen4, 'x87')).toEqual(canonicalComponent(b.bytes, zen4, 'x87'))
  })

  it('is not init with an FCW other than 0x37f', () => {
    const image = initImage(zen4)
    image.xstateBv = 1n
    expect(isInitComponent(image.bytes, zen4, 'x87')).toBe(true)
    image.fcw = 0x27f
    expect(isInitComponent(image.bytes, zen4, 'x87')).toBe(false)
    image.fcw = 0x37e
    expect(isInitComponent(image.bytes, zen4, 'x87')).toBe(false)
  })
})

describe('canonicalComponent', () => {
  it('is idempotent: put back into an image it stays', () => {
    fc.assert(
      fc.property(anyPlace, anySeed, fc.bigInt(0n, 2n ** 63n), ({ layout, name }, seed, bits) => {
        const image = random(layout, seed)
        if (layout.xsave) image.xstateBv &= bits
        const once = canonicalComponent(image.bytes, layout, name)
        const { ranges, mask } = layout.component(name)
        let at = 0
        for (const { offset, size } of ranges) {
          image.bytes.set(once.subarray(at, at + size), offset)
          at += size
        }
        expect(once).toHaveLength(at)
        if (layout.xsave) image.xstateBv |= mask
        expect(canonicalComponent(image.bytes, layout, name)).toEqual(once)
      }),
    )
  })

  it('is a copy', () => {
    const image = random(zen4, 1)
    canonicalComponent(image.bytes, zen4, 'avx').fill(0)
    expect(image.ymmHigh(0).some(byte => byte !== 0)).toBe(true)
  })

  it('has the init value of each component', () => {
    expect(initValue(zen4, 'x87').subarray(0, 3)).toEqual(Uint8Array.of(0x7f, 3, 0))
    expect(initValue(zen4, 'x87')).toHaveLength(152)
    expect(initValue(zen4, 'avx')).toEqual(new Uint8Array(256))
  })
})

describe('bytes of other lengths', () => {
  it('may be longer, as a frame is', () => {
    const image = random(zen4, 5)
    const frame = new Uint8Array(4096).fill(0xee)
    frame.set(image.bytes)
    expect(diffComponents(frame, image.bytes, zen4)).toEqual([])
  })

  it('may end before a component that is in its init state', () => {
    const image = randomImage(zen4, { seed: 5, components: 7n })
    expect(diffComponents(image.bytes.subarray(0, 832), image.bytes, zen4)).toEqual([])
  })

  it('are refused where they end before one in use, before the header, or are no bytes', () => {
    const { bytes } = random(zen4, 5)
    const compare = (a: unknown): boolean => sameComponent(a as Uint8Array, bytes, zen4, 'pkru')
    expect(() => compare(bytes.subarray(0, 2439))).toThrow('bytes.length is 2439, must be at least 2440')
    expect(() => compare(bytes.subarray(0, 575))).toThrow('bytes.length is 575, must be at least 576')
    for (const wrong of ['x', null, random(zen4, 5), [...bytes]])
      expect(() => compare(wrong)).toThrow(TypeError)
    expect(() => sameMxcsr(new Uint8Array(27), bytes)).toThrow(RangeError)
    const { bytes: legacy } = random(known('nehalem'), 5)
    expect(() => diffComponents(legacy, legacy.subarray(0, 415), known('nehalem'))).toThrow(RangeError)
  })
})

describe('MXCSR', () => {
  it('is compared apart from SSE', () => {
    for (const at of [24, 25, 26, 27]) {
      const a = random(zen4, 1)
      const b = a.clone()
      b.bytes[at] = ~(b.bytes[at] ?? 0)
      expect(diffComponents(a.bytes, b.bytes, zen4)).toEqual([])
      expect(sameMxcsr(a.bytes, b.bytes)).toBe(false)
    }
    const a = random(zen4, 1)
    const b = a.clone()
    b.mxcsrMask = 0xffbf
    expect(sameMxcsr(a.bytes, b.bytes)).toBe(true)
  })
})

describe('explain', () => {
  const origins = {
    sent: random(zen4, 1).bytes,
    loaded: random(zen4, 2).bytes,
    poison: random(zen4, 3).bytes,
  }
  const none = { restored: false, init: false, kept: false, loaded: false }
  const names: ComponentName[] = zen4.components.map(c => c.name)

  it('tells where a state comes from', () => {
    for (const name of names) {
      const from = (after: Uint8Array): unknown => explain(after, origins, zen4, name)
      expect(from(random(zen4, 1).bytes)).toEqual({ ...none, restored: true })
      expect(from(random(zen4, 2).bytes)).toEqual({ ...none, loaded: true })
      expect(from(random(zen4, 3).bytes)).toEqual({ ...none, kept: true })
      expect(from(random(zen4, 4).bytes)).toEqual(none)
      expect(from(initImage(zen4).bytes)).toEqual({ ...none, init: true })
    }
  })

  it('gives every explanation that fits', () => {
    const sent = randomImage(zen4, { seed: 1, components: 3n }).bytes
    const after = initImage(zen4).bytes
    const same = { sent, loaded: sent, poison: sent }
    expect(explain(after, same, zen4, 'avx')).toEqual({
      restored: true,
      init: true,
      kept: true,
      loaded: true,
    })
    expect(explain(after, { sent, loaded: sent }, zen4, 'avx')).toMatchObject({ kept: false })
  })

  it('does the same for MXCSR', () => {
    expect(explainMxcsr(random(zen4, 1).bytes, origins)).toEqual({ ...none, restored: true })
    expect(explainMxcsr(random(zen4, 2).bytes, origins)).toEqual({ ...none, loaded: true })
    expect(explainMxcsr(random(zen4, 3).bytes, origins)).toEqual({ ...none, kept: true })
    expect(explainMxcsr(random(zen4, 4).bytes, origins)).toEqual(none)
    expect(explainMxcsr(initImage(zen4).bytes, origins)).toEqual({ ...none, init: true })
    expect(explainMxcsr(initImage(zen4).bytes, { sent: origins.sent, loaded: origins.loaded }).kept).toBe(
      false,
    )
  })
})
