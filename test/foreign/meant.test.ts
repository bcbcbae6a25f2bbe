/** What a kept frame says was in the registers. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { foreignOf, meantBy } from '../../lib/foreign/meant.ts'
import type { SavedFrame } from '../../lib/foreign/saved.ts'
import { abis } from '../../lib/frame/abi.ts'
import { diffComponents, sameMxcsr } from '../../lib/xstate/compare.ts'
import type { ComponentName } from '../../lib/xstate/components.ts'
import { randomImage } from '../../lib/xstate/random.ts'
import { anyLayout, known } from '../xstate/arbitrary.ts'
import { savedFrame } from './frames.ts'

const anyFrame = fc
  .record({
    layout: anyLayout,
    seed: fc.nat(),
    abi: fc.constantFrom(...abis),
    share: fc.bigInt(0n, (1n << 64n) - 1n),
  })
  .map(({ layout, seed, abi, share }) => {
    const components = layout.components.filter(({ mask }) => (mask & share) !== 0n).map(({ name }) => name)
    const image = randomImage(layout, { seed, components })
    return { image, saved: savedFrame(layout, abi, image) }
  })

describe('what a frame says was in the registers', () => {
  it('is what was there, in every layout and ABI', () => {
    fc.assert(
      fc.property(anyFrame, ({ image, saved }) => {
        const { image: meant, cutOff } = meantBy(saved)
        expect(cutOff).toEqual([])
        expect(diffComponents(meant.bytes, image.bytes, image.layout)).toEqual([])
        expect(sameMxcsr(meant.bytes, image.bytes)).toBe(true)
      }),
    )
  })

  it('is taken where nobody knows what was there, and only there', () => {
    const layout = known('ice-lake-sp')
    const image = randomImage(layout, { seed: 4 })
    const saved = savedFrame(layout, 'x86_64', image)
    expect(foreignOf(saved).image).toBe(saved.image)
    const unknown: SavedFrame = { ...saved, image: null }
    expect(diffComponents(foreignOf(unknown).image.bytes, image.bytes, layout)).toEqual([])
  })

  const layout = known('ice-lake-sp')
  const cutAt = (end: number, components?: readonly ComponentName[]): SavedFrame => {
    const frame = savedFrame(layout, 'x86_64', randomImage(layout, { seed: 5, components }))
    return { ...frame, fpstate: frame.fpstate.slice(0, end), image: null }
  }

  it('is not told of what it is too short for, and that counts as in use', () => {
    const cut = foreignOf(cutAt(layout.end('zmm_hi256') + 8))
    expect(cut.cutOff).toEqual(['hi16_zmm', 'pkru'])
    expect(cut.image.xstateBv).toBe(0x67n)
    // One byte is enough to be cut off, and none is not.
    expect(foreignOf(cutAt(layout.end('hi16_zmm'))).cutOff).toEqual(['pkru'])
    expect(foreignOf(cutAt(layout.end('hi16_zmm') - 1)).cutOff).toEqual(['hi16_zmm', 'pkru'])
    expect(foreignOf(cutAt(layout.end('hi16_zmm'), ['x87', 'sse', 'avx'])).cutOff).toEqual([])
  })

  it('is all that its sw bytes name where it ends before its header', () => {
    for (const end of [512, 575])
      expect(foreignOf(cutAt(end, ['x87', 'sse'])).cutOff).toEqual(layout.extended.map(({ name }) => name))
    expect(foreignOf(cutAt(576, ['x87', 'sse'])).cutOff).toEqual([])
  })
})
