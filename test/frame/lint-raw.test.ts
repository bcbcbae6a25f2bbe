import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { catalogueEntry, catalogueLayout } from '../../lib/catalogue/catalogue.ts'
import { shrinkTo } from '../../lib/contract/frames.ts'
import { abis, frameShape, isIa32 } from '../../lib/frame/abi.ts'
import { largestFrame, magic1 } from '../../lib/frame/format.ts'
import { guessLayout, guessOf, guessText } from '../../lib/frame/lint/guess.ts'
import { lintFrame } from '../../lib/frame/lint/lint.ts'
import { type CutOptions, cutFrame, findAreas, mostAreas } from '../../lib/frame/lint/raw.ts'
import { createLayout } from '../../lib/xstate/layout.ts'
import { changed, edited, everyLayout, goodFrame, graver } from './lint-frames.ts'

const zen4 = catalogueLayout('zen4')
const withXsave = everyLayout.filter(([, { xsave }]) => xsave)
const anyLayout = fc.constantFrom(...withXsave.map(([, layout]) => layout))
const anyAbi = fc.constantFrom(...abis)

const layoutPart = { alignedCompacted: false, supervisor: false, xfd: false }

/** Bytes with frames in them, and what is between. */
const memory = (parts: readonly Uint8Array[]): Uint8Array => Uint8Array.from(Buffer.concat(parts))

describe('frames in raw bytes', () => {
  it('are found at any offset, and cut out whole', () => {
    const anyFrame = fc.record({ layout: anyLayout, abi: anyAbi, gap: fc.nat(300), fill: fc.nat(255) })
    fc.assert(
      fc.property(fc.array(anyFrame, { maxLength: 4 }), wanted => {
        const offsets: number[] = []
        const parts: Uint8Array[] = []
        let at = 0
        const add = (bytes: Uint8Array): void => {
          parts.push(bytes)
          at += bytes.length
        }
        const frames = wanted.map(({ layout, abi, gap, fill }) => {
          const frame = goodFrame(layout, { abi })
          add(new Uint8Array(gap).fill(fill))
          if (frame.fsave !== null) add(frame.fsave)
          offsets.push(at)
          add(frame.fpstate)
          return frame
        })
        const bytes = memory(parts)
        const { areas, others } = findAreas(bytes)
        expect(areas.map(({ offset }) => offset)).toEqual(offsets)
        expect(others).toBe(0)
        areas.forEach(({ offset, abi }, i) => {
          const { abi: made, fsave, fpstate } = frames[i]!
          expect(isIa32(abi)).toBe(isIa32(made))
          const cut = cutFrame(bytes, { abi: made, offset })
          expect(cut.fsave).toEqual(fsave)
          expect(Buffer.compare(cut.fpstate.subarray(0, fpstate.length), fpstate)).toBe(0)
          expect(lintFrame(cut, wanted[i]!.layout)).toEqual([])
        })
      }),
    )
  })

  it('are found also where something of them is wrong', () => {
    const good = goodFrame(zen4)
    const without = changed(good, ({ area }) => area(2440, 4, 0)).fpstate
    const short = good.fpstate.subarray(0, 600)
    const ia32 = changed(goodFrame(zen4, { abi: 'ia32' }), ({ area }) => area(2440, 4, 0)).fpstate
    expect(findAreas(ia32)).toEqual({ areas: [{ offset: 0, abi: 'ia32-rt' }], others: 0 })
    const wrongSw = changed(good, ({ field }) => field('sw.extendedSize', 7)).fpstate
    expect(findAreas(memory([without, wrongSw, short])).areas.map(({ offset }) => offset)).toEqual([
      0, 2444, 4888,
    ])
  })

  it('are found also where their bytes end with the legacy region', () => {
    const legacy = goodFrame(zen4).fpstate.subarray(0, 512)
    expect(findAreas(Uint8Array.from(legacy)).areas).toEqual([{ offset: 0, abi: 'x86_64' }])
    expect(findAreas(Uint8Array.from(legacy.subarray(0, 511)))).toEqual({ areas: [], others: 1 })
  })

  it('are not every MAGIC1', () => {
    const code = new Uint8Array(2000)
    const view = new DataView(code.buffer)
    for (const at of [0, 463, 465, 700, 1900, 1996]) view.setUint32(at, magic1, true)
    // In the first 464 bytes there is no room for the area that it would head.
    expect(findAreas(code)).toEqual({ areas: [], others: 4 })
    expect(findAreas(new Uint8Array(0))).toEqual({ areas: [], others: 0 })
    expect(findAreas(new Uint8Array(3))).toEqual({ areas: [], others: 0 })
  })

  it('are told up to a bound', () => {
    const one = goodFrame(catalogueLayout('sse-only')).fpstate
    const many = memory(Array.from({ length: mostAreas + 5 }, () => one))
    expect(findAreas(many).areas).toHaveLength(mostAreas)
  })

  it('are views: nothing is copied, and no more is taken than a frame can have', () => {
    const bytes = new Uint8Array(1 << 20)
    const { fpstate, fsave } = cutFrame(bytes, { abi: 'ia32', offset: 1000 })
    expect(fpstate.buffer).toBe(bytes.buffer)
    expect(fpstate.length).toBe(largestFrame)
    expect(fsave!.byteOffset).toBe(1000 - frameShape('ia32').fsaveSize)
    expect(cutFrame(bytes, { abi: 'ia32', offset: 111 }).fsave).toBeNull()
    expect(cutFrame(bytes, { abi: 'ia32', offset: 112 }).fsave).toHaveLength(112)
    expect(cutFrame(bytes, { abi: 'x86_64', offset: 112, address: 64n })).toMatchObject({
      address: 64n,
      head: null,
      fsave: null,
    })
  })

  it.each<[string, unknown, unknown, RegExp]>([
    ['no bytes', 'x', {}, /^bytes must be a Uint8Array, not "x"$/],
    ['no options', new Uint8Array(9), null, /^options must be an object, not null$/],
    ['no ABI', new Uint8Array(9), { offset: 0 }, /^abi must be the name of an ABI/],
    ['an ABI that is none', new Uint8Array(9), { abi: 'arm', offset: 0 }, /^abi is "arm", must be one of /],
    ['a negative offset', new Uint8Array(9), { abi: 'ia32', offset: -1 }, /^offset is -1, must be in 0\.\./],
    [
      'an offset of 2^60',
      new Uint8Array(9),
      { abi: 'ia32', offset: 2 ** 60 },
      /^offset must be an integer, not 1152921504606847000$/,
    ],
    [
      'too few bytes',
      new Uint8Array(600),
      { abi: 'ia32', offset: 89 },
      /^offset is 89, must be at most 88: 600 bytes are there/,
    ],
    [
      'none',
      new Uint8Array(0),
      { abi: 'ia32', offset: 0 },
      /^offset is 0, must be at most 0: 0 bytes are there/,
    ],
  ])('refused: %s', (_, bytes, options, message) => {
    expect(() => cutFrame(bytes as Uint8Array, options as CutOptions)).toThrow(message)
  })

  it('whatever the bytes are, it ends: with TypeError and RangeError alone', () => {
    const anyBytes = fc
      .record({ bytes: fc.uint8Array({ maxLength: 3000 }), at: fc.array(fc.nat(3000), { maxLength: 5 }) })
      .map(({ bytes, at }) => {
        const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
        for (const one of at) if (one + 4 <= bytes.length) view.setUint32(one, magic1, true)
        return bytes
      })
    fc.assert(
      fc.property(anyBytes, anyAbi, fc.oneof(fc.nat(4000), fc.anything()), (bytes, abi, offset) => {
        for (const { offset: found, abi: told } of findAreas(bytes).areas)
          expect(Array.isArray(lintFrame(cutFrame(bytes, { abi: told, offset: found }), null))).toBe(true)
        try {
          lintFrame(cutFrame(bytes, { abi, offset: offset as number }), null)
        } catch (error) {
          expect(error instanceof TypeError || error instanceof RangeError).toBe(true)
          expect((error as Error).message).toMatch(/^offset[^\n]{1,300}$/)
        }
      }),
      { numRuns: 500 },
    )
  })
})

describe('the CPU that a frame came from', () => {
  it.each(withXsave)('%s is among those that are guessed', (name, layout) => {
    for (const abi of abis) {
      const frame = goodFrame(layout, { abi })
      const guess = guessOf(frame)
      expect(guess.names).toContain(name)
      // Of one vendor, or alike in all that the frame shows.
      expect(guess.layout).not.toBeNull()
      expect(graver(lintFrame(frame, guess.layout))).toEqual([])
    }
  })

  it('is told by the sizes, and by MXCSR_MASK where they are the same', () => {
    const zen2 = guessOf(goodFrame(catalogueLayout('zen2'))).names
    const haswell = guessOf(goodFrame(catalogueLayout('haswell'))).names
    expect(zen2).not.toContain('haswell')
    expect(haswell).not.toContain('zen2')
    const neither = changed(goodFrame(catalogueLayout('haswell')), ({ area }) => area(28, 4, 0x1ffff))
    expect(guessOf(neither).names).toEqual([...zen2, ...haswell].sort())
    expect(guessOf(neither).layout).not.toBeNull()
  })

  it('may be any of those that have more, where the frame was shrunk', () => {
    const frame = edited(goodFrame(zen4), zen4, shrinkTo(zen4, ['avx', 'opmask']))
    const guess = guessOf(frame)
    expect(guess.names).toContain('zen4')
    expect(guess.layout!.features).toBe(0x27n)
    expect(graver(lintFrame(frame, guess.layout))).toEqual([])
  })

  it('is one that has what XSTATE_BV names', () => {
    const shrunk = edited(goodFrame(zen4), zen4, shrinkTo(zen4, ['avx']))
    const kept = changed(shrunk, ({ field }) => field('xstateBv', 0x2e7))
    expect(guessOf(kept).names).not.toContain('haswell')
    expect(guessOf(kept).names).toContain('zen4')
    expect(graver(lintFrame(kept, guessOf(kept).layout)).map(({ check }) => check)).toEqual([
      'xstate-bv-outside-xfeatures',
    ])
  })

  it('is not known where the catalogue has none, or two that differ', () => {
    const odd = changed(goodFrame(zen4), ({ field }) => field('sw.xstateSize', 2448))
    expect(guessOf(odd)).toEqual({ layout: null, names: [] })
    expect(guessText(guessOf(odd), 0x2e7n)).toBe('no CPU of the catalogue makes such frames')
    expect(guessOf(changed(goodFrame(zen4), ({ field }) => field('sw.magic1', 0))).names).toEqual([])
    expect(guessLayout(0x2e4n, 2440)).toEqual([])
    expect(guessLayout(3n, 575)).toEqual([])
  })

  it('is not told where two have the same components in other places of as many bytes', () => {
    const one = catalogueEntry('zen4')
    const { layout } = one
    const elsewhere = createLayout({
      ...layout.toJSON(),
      xcr0: 0x227n,
      userFeatures: 0x227n,
      components: [
        { ...layoutPart, index: 2, offset: 576, size: 256 },
        { ...layoutPart, index: 5, offset: 840, size: 64 },
        { ...layoutPart, index: 9, offset: 832, size: 8 },
      ],
    })
    const other = createLayout({
      ...layout.toJSON(),
      xcr0: 0x227n,
      userFeatures: 0x227n,
      components: [
        { ...layoutPart, index: 2, offset: 576, size: 256 },
        { ...layoutPart, index: 5, offset: 832, size: 64 },
        { ...layoutPart, index: 9, offset: 896, size: 8 },
      ],
    })
    const candidates = [
      { ...one, name: 'a', layout: elsewhere },
      { ...one, name: 'b', layout: other },
    ]
    expect(guessOf(goodFrame(elsewhere), candidates)).toEqual({ layout: null, names: ['a', 'b'] })
    expect(guessOf(goodFrame(elsewhere), candidates.slice(1)).layout).toBe(other)
  })

  it('in words', () => {
    expect(guessText({ layout: zen4, names: ['zen4', 'zen5'] }, 0x2e7n)).toBe('guessed: zen4 zen5')
    expect(guessText({ layout: null, names: ['a', 'b'] }, 0x207n)).toBe(
      'ambiguous: a b make such frames, and have avx pkru in different places',
    )
  })
})
