/** Frames of known CPUs, explained on others. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { generationOf, generations } from '../../lib/contract/generations.ts'
import { type ExplainedForeign, explainForeign, lostOf } from '../../lib/foreign/explain.ts'
import type { ForeignFrame } from '../../lib/foreign/foreign.ts'
import { foreignOf } from '../../lib/foreign/meant.ts'
import { manualOf, taskElsewhere } from '../../lib/foreign/predict.ts'
import type { ComponentName } from '../../lib/xstate/components.ts'
import { XsaveImage } from '../../lib/xstate/image.ts'
import type { Layout } from '../../lib/xstate/layout.ts'
import { defaultPkru } from '../../lib/xstate/pkru.ts'
import { randomImage } from '../../lib/xstate/random.ts'
import { anyLayout, known } from '../xstate/arbitrary.ts'
import { savedFrame } from './frames.ts'

const on = (layout: Layout, emulated = false) => ({ layout, compacts: true, emulated })

const tell = (
  frame: ForeignFrame,
  there: ReturnType<typeof on>,
  generation: string,
): ExplainedForeign | null => {
  const told = explainForeign(frame, taskElsewhere(there), generationOf(generation as never), manualOf(there))
  return 'unpredicted' in told ? null : told
}

const explained = (
  from: string,
  to: string,
  generation: string,
  components?: readonly ComponentName[],
): ExplainedForeign | null => {
  const layout = known(from)
  const frame = savedFrame(layout, 'x86_64', randomImage(layout, { seed: 3, components }))
  return tell(foreignOf(frame), on(known(to)), generation)
}

const fates = (one: ExplainedForeign | null) =>
  Object.fromEntries(one?.components.map(({ name, fate }) => [name, fate]) ?? [])

describe('a frame on a host', () => {
  it.each(generations.map(({ id }) => id))('of its own layout arrives: %s', id => {
    fc.assert(
      fc.property(anyLayout, fc.nat(), (layout, seed) => {
        const frame = savedFrame(layout, 'x86_64', randomImage(layout, { seed }))
        const one = tell(foreignOf(frame), on(layout), id)
        expect(one?.whole).toBe(true)
        expect(one?.components.every(({ fate }) => fate === 'arrives')).toBe(true)
        expect(one?.mxcsr?.arrives).toBe(true)
      }),
    )
  })

  it('with more arrives, but on regressed kernels', () => {
    for (const id of ['classic', 'portable', 'larger'])
      expect(explained('haswell', 'ice-lake-sp', id)).toMatchObject({
        whole: true,
        ended: { end: 'restored' },
      })
    const lost = explained('haswell', 'ice-lake-sp', 'regressed')
    expect(lost).toMatchObject({ whole: false, ended: { end: 'fx-only' } })
    expect(fates(lost)).toMatchObject({
      x87: 'arrives',
      sse: 'arrives',
      avx: 'put to init',
      opmask: 'unused',
    })
  })

  it('with less is refused, lost or arrives, as its kernel has it', () => {
    // Larger than user_size: the legacy state alone.
    expect(fates(explained('ice-lake-sp', 'haswell', 'classic'))).toEqual({
      x87: 'arrives',
      sse: 'arrives',
      avx: 'put to init',
      opmask: 'no register',
      zmm_hi256: 'no register',
      hi16_zmm: 'no register',
      pkru: 'no register',
    })
    // Believed, and full of what XRSTOR does not know.
    const refused = explained('ice-lake-sp', 'haswell', 'larger')
    expect(refused).toMatchObject({ whole: false, ended: { end: 'rejected' }, components: [], mxcsr: null })
    expect(refused?.asked).toBe(true)
    expect(explained('ice-lake-sp', 'haswell', 'larger', ['x87', 'sse', 'avx'])).toMatchObject({
      whole: true,
      ended: { end: 'restored' },
    })
  })

  it('with other offsets is accepted, and its registers hold other bytes', () => {
    const one = explained('zen4', 'ice-lake-sp', 'classic')
    expect(one).toMatchObject({ whole: false, ended: { end: 'restored' } })
    expect(fates(one)).toMatchObject({
      avx: 'arrives',
      opmask: 'other bytes',
      zmm_hi256: 'other bytes',
      hi16_zmm: 'other bytes',
    })
    expect(one?.pkru?.before).not.toBe(one?.pkru?.after)
  })

  it('of which keys are read where others lay may lose its own memory', () => {
    // Zen 3 has PKRU where Intel’s CPUs have Hi16_ZMM, or nothing.
    const zen3 = known('zen3')
    const intel = known('alder-lake')
    const image = randomImage(intel, { seed: 8 })
    const frame = savedFrame(intel, 'x86_64', image)
    const area = frame.fpstate.slice()
    area.fill(0xff, zen3.offset('pkru'), zen3.offset('pkru') + 8)
    // As large as Zen 3's, with its MAGIC2: what lies there is then taken for PKRU.
    const view = new DataView(area.buffer)
    view.setUint32(480, zen3.size, true)
    view.setUint32(468, zen3.size + 4, true)
    view.setUint32(zen3.size, 0x4650_5845, true)
    const one = tell({ ...foreignOf(frame), area }, on(zen3), 'classic')
    expect(one).toMatchObject({ closesMemory: true, whole: false })
  })

  it('is not whole where its memory is lost, though every register holds what the frame had', () => {
    // Bit 1 of a key forbids writing alone, and is enough.
    const layout = known('ice-lake-sp')
    for (const bit of [1, 2]) {
      const image = randomImage(layout, { seed: 3 })
      const { fpstate, fsave } = savedFrame(layout, 'x86_64', image)
      const area = fpstate.slice()
      area[layout.offset('pkru')] = bit
      const own = image.bytes.slice()
      own[layout.offset('pkru')] = bit
      const one = tell(
        { abi: 'x86_64', layout, area, fsave, image: new XsaveImage(own, layout), cutOff: [] },
        on(layout),
        'classic',
      )
      expect(one?.components.every(({ fate }) => fate === 'arrives')).toBe(true)
      expect(one).toMatchObject({ closesMemory: true, whole: false })
    }
  })

  it('that is cut off lost what it names and has not', () => {
    // As a 4096-byte buffer cuts frames with tiles.
    const layout = known('sapphire-rapids-tiles')
    const frame = savedFrame(layout, 'x86_64', randomImage(layout, { seed: 2 }))
    const cut = foreignOf({ ...frame, fpstate: frame.fpstate.slice(0, 4096), image: null })
    const one = tell(cut, on(layout), 'classic')
    expect(one).toMatchObject({ whole: false, ended: { end: 'fx-only' } })
    expect(fates(one)).toMatchObject({ xtiledata: 'cut off', avx: 'put to init' })
    expect(lostOf(one as ExplainedForeign)).toContain('xtiledata')
    // Not even where the destination would have had no use for it.
    const used = foreignOf({
      ...savedFrame(layout, 'x86_64', randomImage(layout, { seed: 2, components: ['sse', 'xtiledata'] })),
      image: null,
    })
    const cutUsed = { ...used, area: used.area.slice(0, 4096), cutOff: ['xtiledata'] as const }
    expect(tell(cutUsed, on(layout), 'classic')?.whole).toBe(false)
  })

  it('with the default keys misses nothing where there are none', () => {
    const layout = known('ice-lake-sp')
    const image = randomImage(layout, { seed: 3, components: ['x87', 'sse', 'pkru'] })
    image.pkru = defaultPkru
    const frame = foreignOf(savedFrame(layout, 'x86_64', image))
    const one = tell(frame, on(known('zen5-no-pku')), 'classic')
    expect(fates(one)).toMatchObject({ pkru: 'unneeded' })
    expect(lostOf(one as ExplainedForeign)).toEqual([])
    // Where there are keys, they are what they are.
    const other = tell(frame, on(known('haswell').withFeatures(7n)), 'classic')
    expect(fates(other).pkru).toBe('unneeded')
    image.pkru = defaultPkru & ~0xc
    const asked = tell(foreignOf(savedFrame(layout, 'x86_64', image)), on(known('zen5-no-pku')), 'classic')
    expect(fates(asked)).toMatchObject({ pkru: 'no register' })
    expect(asked?.whole).toBe(false)
  })

  it('without AVX keeps its MXCSR on an emulated CPU, and not on one that does not compact', () => {
    const layout = known('sse-only')
    const frame = foreignOf(savedFrame(layout, 'x86_64', randomImage(layout, { seed: 3 })))
    const there = { ...on(known('haswell')), compacts: false }
    expect(tell(frame, there, 'classic')?.mxcsr?.arrives).toBe(false)
    expect(tell(frame, { ...there, emulated: true }, 'classic')).toMatchObject({ whole: true })
  })

  it('that is larger is looked for its MAGIC2 where it says, and zeros are found behind it', () => {
    const layout = known('ice-lake-sp')
    const frame = foreignOf(savedFrame(layout, 'x86_64', randomImage(layout, { seed: 3 })))
    const area = frame.area.slice()
    const view = new DataView(area.buffer)
    view.setUint32(480, layout.size + 64, true)
    view.setUint32(468, layout.size + 68, true)
    expect(tell({ ...frame, area }, on(layout), 'larger')).toMatchObject({ ended: { end: 'fx-only' } })
    view.setUint32(480, 1 << 24, true)
    view.setUint32(468, (1 << 24) + 4, true)
    const far = explainForeign(
      { ...frame, area },
      taskElsewhere(on(layout)),
      generationOf('larger'),
      manualOf(on(layout)),
    )
    expect(far).toEqual({ unpredicted: 'bytes' })
  })
})
