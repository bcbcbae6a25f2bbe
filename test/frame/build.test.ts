import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Abi, abis, frameShape, isIa32 } from '../../lib/frame/abi.ts'
import { buildFpstate, userSegments32 } from '../../lib/frame/build.ts'
import { frameFields, magic1, magic2 } from '../../lib/frame/format.ts'
import { foldFsave, fsaveOf } from '../../lib/frame/fsave.ts'
import { sameComponent, sameMxcsr } from '../../lib/xstate/compare.ts'
import { initImage, type XsaveImage } from '../../lib/xstate/image.ts'
import type { Layout } from '../../lib/xstate/layout.ts'
import { randomImage } from '../../lib/xstate/random.ts'
import { needsProbes, returned, session } from '../probe/support.ts'
import { anyFeatures, anySeed, known } from '../xstate/arbitrary.ts'

const anyAbi = fc.constantFrom(...abis)

/** A loadable image with any components in use. */
const anyImage: fc.Arbitrary<XsaveImage> = fc
  .tuple(anyFeatures, anySeed)
  .map(([{ layout, mask }, seed]) => randomImage(layout, { seed, components: mask }))

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.length)

/** The image with other bytes wherever no register's value is. */
const withNoise = (image: XsaveImage, noise: number): XsaveImage => {
  const noisy = image.clone()
  const { bytes, layout } = noisy
  const keep = new Set<number>()
  const hold = (from: number, to: number): void => {
    for (let i = from; i < to; i++) keep.add(i)
  }
  hold(24, 28)
  if (layout.xsave) hold(512, 576)
  for (const { ranges, mask } of layout.components) {
    if ((image.xstateBv & mask) === 0n) continue
    for (const { offset, size } of ranges) hold(offset, offset + size)
  }
  // Behind FTW and behind each ST there is nothing.
  keep.delete(5)
  for (let at = 32; at < 160; at++) if (at % 16 >= 10) keep.delete(at)
  for (let i = 0; i < bytes.length; i++) if (!keep.has(i)) bytes[i] = noise
  return noisy
}

describe('a built fpstate', () => {
  it('holds the registers of the image', () => {
    fc.assert(
      fc.property(anyImage, anyAbi, (image, abi) => {
        const { layout } = image
        const { fpstate } = buildFpstate(layout, image, abi)
        expect(sameMxcsr(fpstate, image.bytes)).toBe(true)
        for (const { name } of layout.components)
          expect([name, sameComponent(fpstate, image.bytes, layout, name)]).toEqual([name, true])
      }),
    )
  })

  it('says what it holds', () => {
    fc.assert(
      fc.property(anyImage, anyAbi, (image, abi) => {
        const { layout } = image
        fc.pre(layout.xsave)
        const { fpstate } = buildFpstate(layout, image, abi)
        const view = viewOf(fpstate)
        const { size, features } = layout
        expect(fpstate).toHaveLength(size + 4)
        expect(view.getUint32(464, true)).toBe(magic1)
        expect(view.getUint32(468, true)).toBe(size + (isIa32(abi) ? 116 : 4))
        expect(view.getBigUint64(472, true)).toBe(features)
        expect(view.getUint32(480, true)).toBe(size)
        expect(fpstate.subarray(484, 512)).toEqual(new Uint8Array(28))
        expect(view.getBigUint64(512, true)).toBe(image.xstateBv | 3n)
        expect(fpstate.subarray(520, 576)).toEqual(new Uint8Array(56))
        expect(view.getUint32(size, true)).toBe(magic2)
        expect(view.getUint32(28, true)).toBe(layout.mxcsrMask)
      }),
    )
  })

  it('takes nothing from the image but its registers', () => {
    fc.assert(
      fc.property(anyImage, anyAbi, fc.nat(255), (image, abi, noise) => {
        const noisy = withNoise(image, noise)
        const before = noisy.bytes.slice()
        expect(buildFpstate(image.layout, noisy, abi)).toEqual(buildFpstate(image.layout, image, abi))
        expect(noisy.bytes).toEqual(before)
      }),
    )
  })

  it('keeps the pointers of the last x87 instruction', () => {
    const image = randomImage(known('haswell'), { seed: 2 })
    Object.assign(image, { fop: 0x5d9, fip: 0x7fff_1234_5678n, fdp: 0x7fff_9abc_def0n })
    const { fpstate } = buildFpstate(image.layout, image, 'x86_64')
    expect(fpstate.subarray(0, 24)).toEqual(image.bytes.subarray(0, 24))
  })

  it('has the init values of what is not in use', () => {
    for (const layout of [known('zen4'), known('skylake-sp'), known('nehalem')]) {
      const { fpstate } = buildFpstate(layout, randomImage(layout, { seed: 1, components: [] }), 'x86_64')
      const expected = initImage(layout)
      expect([...fpstate.subarray(0, 24)]).toEqual([...expected.bytes.subarray(0, 24)])
      expect(fpstate.subarray(32, 416)).toEqual(new Uint8Array(384))
      expect(fpstate.subarray(576, layout.size)).toEqual(expected.bytes.subarray(576))
    }
  })

  it('has an fsave header that says the same, where the ABI has one', () => {
    fc.assert(
      fc.property(anyImage, anyAbi, (image, abi) => {
        const { fsave, fpstate } = buildFpstate(image.layout, image, abi)
        expect(fsave?.length ?? 0).toBe(frameShape(abi).fsaveSize)
        if (fsave === null) return
        expect(foldFsave(fpstate, fsave)).toEqual(fpstate)
        expect(fsave).toEqual(fsaveOf(fpstate, userSegments32))
      }),
    )
  })

  it('has the segments that are asked for', () => {
    const layout = known('haswell')
    const { fsave } = buildFpstate(layout, initImage(layout), 'ia32', { cs: 0x33, ds: 0 })
    expect([viewOf(fsave!).getUint32(16, true), viewOf(fsave!).getUint32(24, true)]).toEqual([
      0x33, 0xffff0000,
    ])
  })

  it('without XSAVE is the legacy region', () => {
    const layout = known('nehalem')
    const image = randomImage(layout, { seed: 5 })
    for (const abi of abis) {
      const { fsave, fpstate } = buildFpstate(layout, image, abi)
      expect(fpstate).toHaveLength(512)
      expect(fpstate.subarray(416)).toEqual(new Uint8Array(96))
      expect(fsave === null).toBe(!isIa32(abi))
    }
  })

  it('is refused where no register can hold the image', () => {
    const layout = known('haswell')
    const image = initImage(layout)
    image.mxcsr = 0x10000
    expect(() => buildFpstate(layout, image, 'ia32')).toThrow(/^image\.mxcsr is 0x10000, /)
    expect(() => buildFpstate(known('zen4'), image, 'ia32')).toThrow(/^image\.length is 832, /)
    expect(() => buildFpstate(layout, image.bytes as unknown as XsaveImage, 'ia32')).toThrow(
      new TypeError('image must be an XsaveImage, not a Uint8Array of 832 bytes'),
    )
    expect(() => buildFpstate(layout, initImage(layout), 'arm' as Abi)).toThrow(
      /^abi is "arm", must be one of/,
    )
  })
})

/** The bytes that the kernel and XSAVE write for these registers, XSTATE_BV apart: elsewhere the stack shows. */
const isWritten = (layout: Layout, inUse: bigint): ((at: number) => boolean) => {
  const written = [{ from: 0, to: 416 }]
  if (layout.xsave) {
    const { at, width } = frameFields.xstateBv
    written.push(
      { from: 464, to: at },
      { from: at + width, to: 576 },
      { from: layout.size, to: layout.size + 4 },
    )
  }
  for (const { name, mask, offset, end } of layout.extended) {
    // PKRU and BNDCSR are smaller than their places. Of tiles that are not in use nothing is written.
    const to = name === 'pkru' ? offset + 4 : name === 'bndcsr' ? offset + 16 : end
    const isTile = name === 'xtilecfg' || name === 'xtiledata'
    if (!isTile || (inUse & mask) !== 0n) written.push({ from: offset, to })
  }
  return at => written.some(({ from, to }) => at >= from && at < to)
}

describe('what this kernel writes', () => {
  it.for(abis)('is what is built: %s', (abi, ctx) => {
    needsProbes(ctx)
    const probe = session()
    const lack = probe.lack(abi)
    if (lack !== null) ctx.skip(lack)
    const { layout } = probe
    const subsets = [layout.features, 0n, ...layout.components.map(({ mask }) => layout.features & ~mask)]
    subsets.forEach((components, seed) => {
      const load = randomImage(layout, { seed, components })
      const { written } = returned(probe.runSync({ abi, load }))
      // The probe process is a 64-bit one.
      const { fsave, fpstate: built } = buildFpstate(layout, load, abi, { cs: 0x33, ds: 0 })
      expect(written.fsave).toEqual(fsave)
      expect(written.fpstate).toHaveLength(built.length)
      const counts = isWritten(layout, load.xstateBv)
      expect(written.fpstate.filter((_, at) => counts(at))).toEqual(built.filter((_, at) => counts(at)))
      if (!layout.xsave) return
      // Some CPUs and kernels set the bits of components that hold their init value, above all PKRU's.
      const { at } = frameFields.xstateBv
      const [seen, expected] = [written.fpstate, built].map(bytes => viewOf(bytes).getBigUint64(at, true))
      expect(seen! & expected!).toBe(expected)
      expect(seen! & ~layout.features).toBe(0n)
    })
  })
})
