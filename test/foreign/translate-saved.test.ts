/** Kept frames, for other hosts. */
import { describe, expect, it } from 'vitest'
import type { SavedFrame } from '../../lib/foreign/saved.ts'
import { type TranslatedSaved, translateSaved } from '../../lib/foreign/translate.ts'
import { frameShape } from '../../lib/frame/abi.ts'
import { buildFpstate } from '../../lib/frame/build.ts'
import type { Host } from '../../lib/hosts/host.ts'
import { frameFileJson, parseFrameFile } from '../../lib/report/frame-file.ts'
import { diffComponents } from '../../lib/xstate/compare.ts'
import { initImage, type XsaveImage } from '../../lib/xstate/image.ts'
import { createLayout, type Layout } from '../../lib/xstate/layout.ts'
import { randomImage } from '../../lib/xstate/random.ts'
import { known } from '../xstate/arbitrary.ts'

const hostOf = (name: string, layout: Layout): Host => ({
  name,
  kind: 'catalogue',
  title: 'A CPU',
  layout,
  compacts: true,
  emulated: false,
  generation: null,
})

const savedOf = (image: XsaveImage, change: Partial<SavedFrame> = {}): SavedFrame => ({
  source: 'captured',
  origin: '',
  host: null,
  kernel: { release: '6.12.1', generation: 'classic' },
  layout: image.layout,
  permissions: [],
  abi: 'x86_64',
  address: 0x1000n,
  head: new Uint8Array(frameShape('x86_64').headBytes).fill(7),
  ...buildFpstate(image.layout, image, 'x86_64'),
  image,
  seed: 6,
  ...change,
})

const done = (result: ReturnType<typeof translateSaved>): TranslatedSaved => {
  if (result.kind === 'translated') return result
  throw new Error(JSON.stringify(result))
}

const zen4 = known('zen4')
const intel = hostOf('ice-lake-sp', known('ice-lake-sp'))

describe('a kept frame for another host', () => {
  it('is a frame file again, with the image of what was in the registers', async () => {
    const frame = savedOf(randomImage(zen4, { seed: 6 }))
    const { saved, carried, dropped } = done(translateSaved(frame, intel))
    expect(saved).toMatchObject({
      source: 'translated',
      origin: 'from AuthenticAMD (captured; 2440 bytes) for ice-lake-sp',
      host: null,
      kernel: null,
      layout: intel.layout,
      permissions: [],
      address: 0x1000n,
      seed: null,
    })
    expect([carried.length, dropped]).toEqual([zen4.components.length + 1, []])
    expect(saved.fpstate).toEqual(buildFpstate(intel.layout, saved.image!, 'x86_64').fpstate)
    expect(await parseFrameFile(frameFileJson(saved), 'x')).toEqual(saved)
    const back = done(translateSaved(saved, hostOf('zen4', zen4))).saved
    expect(back.fpstate).toEqual(frame.fpstate)
    expect(diffComponents(back.image!.bytes, frame.image!.bytes, zen4)).toEqual([])
  })

  it('tells where it comes from, as far as that is known, in one bounded line', () => {
    const of = (change: Partial<SavedFrame>, name = 'x') =>
      done(translateSaved(savedOf(initImage(zen4), change), hostOf(name, zen4))).saved
    const originOf = (change: Partial<SavedFrame>, name = 'x') => of(change, name).origin
    const host = {
      vendor: 'V',
      brand: ' AMD EPYC 9654 ',
      family: 1,
      model: 2,
      stepping: 3,
      microcode: null,
      hypervisor: null,
    }
    expect(originOf({ host, source: 'cut out', origin: 'core.7 at 0x10' })).toBe(
      'from AMD EPYC 9654 (cut out, core.7 at 0x10; 2440 bytes) for x',
    )
    expect(of({ host }).host).toBeNull()
    expect(originOf({ host: { ...host, brand: '' } })).toBe('from V (captured; 2440 bytes) for x')
    expect(originOf({ origin: `a\n${'b'.repeat(1999)}` }, 'c'.repeat(900)).length).toBeLessThan(700)
    expect(originOf({ origin: 'a\nb' })).not.toContain('\n')
  })

  it('has no image where nobody knows it, or the target cannot have it though it can have the frame', () => {
    const all = randomImage(zen4, { seed: 6 })
    expect(done(translateSaved(savedOf(all, { image: null }), intel)).saved.image).toBeNull()
    const some = savedOf(randomImage(zen4, { seed: 6, components: ['x87', 'sse', 'avx'] }), { image: all })
    expect(done(translateSaved(some, hostOf('haswell', known('haswell')))).saved.image).toBeNull()
  })

  it('is for a task with tiles, where that was asked for', () => {
    const tiles = randomImage(known('sapphire-rapids-tiles'), { seed: 6 })
    const host = hostOf('sapphire-rapids', known('sapphire-rapids'))
    expect(translateSaved(savedOf(tiles), host)).toMatchObject({ lacks: [{ name: 'xtiledata' }] })
    const { saved } = done(translateSaved(savedOf(tiles), host, { permitted: true }))
    expect(saved).toMatchObject({ permissions: ['xtiledata'], layout: { size: 11008 } })
    const withheld = hostOf('x', known('haswell').withFeatures(3n))
    const sse = savedOf(initImage(known('sse-only')))
    expect(done(translateSaved(sse, withheld, { permitted: true })).saved).toMatchObject({
      permissions: [],
      layout: { size: 576 },
    })
    const { components, ...rest } = known('sapphire-rapids').toJSON()
    const wrong = createLayout({
      ...rest,
      userFeatures: BigInt(rest.userFeatures),
      xcr0: BigInt(rest.xcr0),
      components: components.map(one => (one.index === 18 ? { ...one, offset: 0 } : one)),
    })
    expect(translateSaved(savedOf(tiles), hostOf('x', wrong), { permitted: true })).toMatchObject({
      lacks: [{ name: 'xtiledata', kind: 'withheld' }],
    })
    const without = savedOf(initImage(zen4))
    expect(done(translateSaved(without, intel, { permitted: true })).saved.permissions).toEqual([])
  })

  it('has PKRU as the options have it, in the frame and in the image', () => {
    const frame = savedOf(initImage(known('haswell')))
    const { saved, added } = done(translateSaved(frame, intel, { newPkru: 'default' }))
    expect([added, saved.image!.pkru, saved.fpstate[2688]]).toEqual([['pkru'], 0x5555_5554, 0x54])
    expect(
      translateSaved(saved, hostOf('haswell', known('haswell')), { defaultPkru: 'refuse' }),
    ).toMatchObject({
      kind: 'lacking',
    })
  })

  it('is refused where it is none', () => {
    const frame = savedOf(initImage(zen4), { fpstate: new Uint8Array(600) })
    expect(translateSaved(frame, intel)).toMatchObject({ kind: 'malformed', field: 'sw.magic1' })
  })
})
