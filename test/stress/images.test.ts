import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { drawImages, pick } from '../../lib/stress/images.ts'
import { validateLoadable } from '../../lib/xstate/image.ts'
import { createRandom } from '../../lib/xstate/random.ts'
import { anyLayout, known } from '../xstate/arbitrary.ts'

describe('images', () => {
  test('can be loaded, and are the same for the same seed', () => {
    fc.assert(
      fc.property(anyLayout, fc.nat(), (layout, seed) => {
        const images = drawImages(layout, seed, 5)
        for (const image of images) validateLoadable(image, layout)
        expect(drawImages(layout, seed, 5).map(({ bytes }) => bytes)).toEqual(
          images.map(({ bytes }) => bytes),
        )
      }),
      { numRuns: 30 },
    )
  })

  test('some are of all components, each component is left out of some', () => {
    const layout = known('sapphire-rapids-tiles')
    const drawn = drawImages(layout, 3, 64).map(({ xstateBv }) => xstateBv)
    expect(drawn.filter(mask => mask === layout.features).length).toBeGreaterThan(16)
    for (const { mask } of layout.components) {
      expect(drawn.some(one => (one & mask) === 0n)).toBe(true)
      expect(drawn.some(one => (one & mask) !== 0n)).toBe(true)
    }
  })
})

test('some of all, each once', () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.nat()), fc.nat(20), fc.nat(), (all, count, seed) => {
      const before = [...all]
      const picked = pick(all, count, createRandom(seed))
      expect(all).toEqual(before)
      expect(picked).toHaveLength(Math.min(count, all.length))
      expect(new Set(picked).size).toBe(picked.length)
      expect(picked.every(one => all.includes(one))).toBe(true)
    }),
  )
})
