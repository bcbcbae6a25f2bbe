import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  type Fsave,
  foldFsave,
  fsaveFields,
  fsaveOf,
  fsaveSize,
  fsaveSt,
  readFsave,
} from '../../lib/frame/fsave.ts'
import { sameComponent } from '../../lib/xstate/compare.ts'
import { imageFrom, initImage, type XsaveImage } from '../../lib/xstate/image.ts'
import { randomImage } from '../../lib/xstate/random.ts'
import { needsProbes, returned, session } from '../probe/support.ts'
import { anyHostile, known } from '../xstate/arbitrary.ts'

const layout = known('nehalem')
const anyArea = fc.uint8Array({ minLength: 512, maxLength: 512 })
const anyFsave = fc.uint8Array({ minLength: fsaveSize, maxLength: fsaveSize })
const u16 = fc.nat(0xffff)
const anySegments = fc.record({ cs: u16, ds: u16 })
const user32 = { cs: 0x23, ds: 0x2b }
const registers = [0, 1, 2, 3, 4, 5, 6, 7]

const bytesOf = (...lines: string[]): Uint8Array => Uint8Array.from(Buffer.from(lines.join(''), 'hex'))

// What Linux 6.18.44 wrote into a 32-bit frame, on a CPU that keeps FOP, FIP and FDP.
const written = {
  area: bytesOf(
    '7f0c00697b00d9053412040800000000cdab050800000000801f0000ffff00000000000000000080ff3f000000000000',
    '000000000000000000000000000000000000000000000080008000000000000000000000000000c0ff7f000000000000',
    '010000000000000000000000000000001122334455667708ff3f00000000000021222324252627a80040000000000000',
    '00000000000000000080000000000000',
  ),
  fsave: bytesOf(
    '7f0cffff0069ffff3ad1ffff3412040823000000cdab05082b00ffff0000000000000080ff3f00000000000000000000',
    '0000000000000080008000000000000000c0ff7f010000000000000000001122334455667708ff3f21222324252627a8',
    '00400000000000000000008000690000',
  ),
}
// The header that the same frame went back with, and the registers after that.
const sent = bytesOf(
  '7f02341200197856241bffff4433221123002103887766552b00aa9901080f161d242b323940474e555c636a71787f86',
  '8d949ba2a9b0b7bec5ccd3dae1e8eff6fd040b121920272e353c434a51585f666d747b828990979ea5acb3bac1c8cfd6',
  'dde4ebf2f900070e151c232aefbeffff',
)
const restored = bytesOf(
  '7f020019ef00210344332211000000008877665500000000801f0000ffff000001080f161d242b323940000000000000',
  '474e555c636a71787f860000000000008d949ba2a9b0b7bec5cc000000000000d3dae1e8eff6fd040b12000000000000',
  '1920272e353c434a51580000000000005f666d747b828990979e000000000000a5acb3bac1c8cfd6dde4000000000000',
  'ebf2f900070e151c232a000000000000',
)

describe('what a kernel did', () => {
  it('at delivery is what fsaveOf does', () => {
    expect(fsaveOf(written.area, user32)).toEqual(written.fsave)
  })

  it('at the return is what foldFsave does', () => {
    expect(foldFsave(written.area, sent)).toEqual(restored)
  })

  it('is read', () => {
    const { st, ...fields } = readFsave(sent)
    expect(fields).toEqual({
      cw: 0x1234027f,
      sw: 0x56781900,
      tag: 0xffff1b24,
      ipoff: 0x11223344,
      cssel: 0x03210023,
      dataoff: 0x55667788,
      datasel: 0x99aa002b,
      status: 0xbeef,
      magic: 0xffff,
    })
    expect(Buffer.from(st[1]!).toString('hex')).toBe('474e555c636a71787f86')
    expect(st).toHaveLength(8)
  })
})

describe.each(['ia32-rt', 'ia32'] as const)('what this kernel restores from %s frames', abi => {
  it('is what folding gives', ctx => {
    needsProbes(ctx)
    const probe = session()
    const lack = probe.lack(abi)
    if (lack !== null) ctx.skip(lack)
    for (let seed = 0; seed < 20; seed++) {
      const [load, other] = [seed, seed + 100].map(seed => randomImage(probe.layout, { seed }))
      const header = fsaveOf(other!.bytes, user32)
      // What the CPU has no room for, and what the kernel does not look at.
      header.set([0xaa, 0xbb], 2)
      header.set([1, 2, 3, 4], fsaveFields.status.at)
      const edit = [{ op: 'write', region: 'fsave', at: 0, bytes: header }] as const
      const { written, after } = returned(probe.runSync({ abi, load: load!, edit }))
      const folded = foldFsave(written.fpstate, header)
      expect(sameComponent(after.bytes, folded, probe.layout, 'x87')).toBe(true)
      expect(sameComponent(after.bytes, other!.bytes, probe.layout, 'x87')).toBe(true)
      expect(sameComponent(after.bytes, load!.bytes, probe.layout, 'sse')).toBe(true)
    }
  })
})

describe('the places of a header', () => {
  it('cover it', () => {
    const fields = Object.values(fsaveFields).map(({ at, width }) => ({ at, size: width as number }))
    const all = [...fields, { at: fsaveSt.at, size: fsaveSt.size * fsaveSt.count }]
    let end = 0
    for (const { at, size } of all.toSorted((a, b) => a.at - b.at)) {
      expect(at).toBe(end)
      end += size
    }
    expect(end).toBe(fsaveSize)
  })

  it('are what readFsave reads', () => {
    fc.assert(
      fc.property(anyFsave, bytes => {
        const fsave: Fsave = readFsave(bytes)
        const again = new DataView(new ArrayBuffer(fsaveSize))
        for (const [name, { at, width }] of Object.entries(fsaveFields)) {
          const value = fsave[name as keyof typeof fsaveFields]
          if (width === 2) again.setUint16(at, value, true)
          else again.setUint32(at, value, true)
        }
        const copy = new Uint8Array(again.buffer)
        fsave.st.forEach((st, i) => {
          copy.set(st, fsaveSt.at + fsaveSt.size * i)
        })
        expect(copy).toEqual(bytes)
      }),
    )
  })
})

/** Whether 32-bit code can change the byte of an area by what it puts into the header. */
const isX87 = (i: number): boolean => i < 24 || (i >= 32 && i < 160 && i % 16 < 10)

describe('folding', () => {
  it('of what fsaveOf made changes nothing but what the header has no room for', () => {
    fc.assert(
      fc.property(anyArea, anySegments, (area, segments) => {
        const expected = area.slice()
        // The byte behind FTW, FOP, and the upper halves of FIP and FDP.
        expected.fill(0, 5, 8)
        expected.fill(0, 12, 16)
        expected.fill(0, 20, 24)
        expect(foldFsave(area, fsaveOf(area, segments))).toEqual(expected)
      }),
    )
  })

  it('replaces the x87 state, and leaves all else and what it was given', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 160, maxLength: 1000 }), anyFsave, (area, fsave) => {
        const [areaBefore, fsaveBefore] = [area.slice(), fsave.slice()]
        const folded = foldFsave(area, fsave)
        expect([area, fsave]).toEqual([areaBefore, fsaveBefore])
        expect(folded).toHaveLength(area.length)
        expect(folded.filter((_, i) => !isX87(i))).toEqual(area.filter((_, i) => !isX87(i)))
        expect(foldFsave(new Uint8Array(160), fsave).filter((_, i) => isX87(i))).toEqual(
          folded.filter((_, i) => isX87(i)),
        )
      }),
    )
  })

  it('has the state that the header had', () => {
    fc.assert(
      fc.property(anyArea, anyFsave, (area, fsave) => {
        const { cw, sw, tag, ipoff, cssel, dataoff, st } = readFsave(fsave)
        const image = imageFrom(foldFsave(area, fsave), layout)
        expect([image.fcw, image.fsw, image.fop]).toEqual([cw % 0x10000, sw % 0x10000, cssel >>> 16])
        expect([image.fip, image.fdp]).toEqual([BigInt(ipoff), BigInt(dataoff)])
        expect(registers.map(i => image.st(i))).toEqual(st)
        const inUse = registers.filter(n => ((tag >>> (2 * n)) & 3) !== 3)
        expect(registers.filter(n => (image.ftw >>> n) & 1)).toEqual(inUse)
      }),
    )
  })

  it('refuses an area without all registers, and a header of another size', () => {
    const fsave = new Uint8Array(fsaveSize)
    expect(() => foldFsave(new Uint8Array(159), fsave)).toThrow(
      new RangeError('area.length is 159, must be at least 160'),
    )
    expect(() => foldFsave(new Uint8Array(160), fsave.subarray(1))).toThrow(
      new RangeError('fsave.length is 111, must be 112'),
    )
    fc.assert(
      fc.property(anyHostile, anyHostile, (area, bytes) => {
        expect(() => foldFsave(area as Uint8Array, bytes as Uint8Array)).toThrow(/^(area|fsave)/)
        expect(() => readFsave(bytes as Uint8Array, 'fsave')).toThrow(/^fsave/)
      }),
    )
  })
})

const valid = 0
const zero = 1
const special = 2
const empty = 3

/** A register's content: the significand, and the exponent with the sign. */
const register = (significand: bigint, exponent: number): Uint8Array => {
  const view = new DataView(new ArrayBuffer(10))
  view.setBigUint64(0, significand, true)
  view.setUint16(8, exponent, true)
  return new Uint8Array(view.buffer)
}

const anySign = fc.constantFrom(0, 0x8000)
const anySignificand = fc.bigInt(0n, (1n << 63n) - 1n)
const integerBit = 1n << 63n
const normal = fc.integer({ min: 1, max: 0x7ffe })

/** Registers and the tag that FSTENV gives them: SDM volume 1, 8.1.7. */
const anyTagged: fc.Arbitrary<{ tag: number; st: Uint8Array }> = fc
  .tuple(anySign, anySignificand, normal)
  .chain(([sign, significand, exponent]) =>
    fc.constantFrom(
      { tag: valid, st: register(integerBit | significand, sign | exponent) },
      { tag: zero, st: register(0n, sign) },
      // A denormal, a pseudo-denormal, an unnormal, infinity or NaN, what was one once.
      { tag: special, st: register(significand | 1n, sign) },
      { tag: special, st: register(integerBit | significand, sign) },
      { tag: special, st: register(significand, sign | exponent) },
      { tag: special, st: register(integerBit | significand, sign | 0x7fff) },
      { tag: special, st: register(significand, sign | 0x7fff) },
      { tag: empty, st: register(significand, sign | exponent) },
    ),
  )

const imageOf = (top: number, tagged: readonly { tag: number; st: Uint8Array }[]): XsaveImage => {
  const image = initImage(layout)
  image.fsw = top << 11
  tagged.forEach(({ tag, st }, i) => {
    image.st(i).set(st)
    // ST(i) is physical register top + i.
    if (tag !== empty) image.ftw |= 1 << ((top + i) & 7)
  })
  return image
}

describe('the header at delivery', () => {
  it('has each physical register’s tag', () => {
    fc.assert(
      fc.property(fc.nat(7), fc.array(anyTagged, { minLength: 8, maxLength: 8 }), (top, tagged) => {
        const { tag } = readFsave(fsaveOf(imageOf(top, tagged).bytes, user32))
        const tags = registers.map(i => (tag >>> (2 * ((top + i) & 7))) & 3)
        expect(tags).toEqual(tagged.map(({ tag }) => tag))
        expect(tag >>> 16).toBe(0xffff)
      }),
    )
  })

  it('of the init state says that all are empty', () => {
    const { st, ...fields } = readFsave(fsaveOf(initImage(layout).bytes, { cs: 0x33, ds: 0 }))
    expect(fields).toEqual({
      cw: 0xffff037f,
      sw: 0xffff0000,
      tag: 0xffffffff,
      ipoff: 0,
      cssel: 0x33,
      dataoff: 0,
      datasel: 0xffff0000,
      status: 0,
      magic: 0,
    })
    expect(st).toEqual(registers.map(() => new Uint8Array(10)))
  })

  it('repeats the registers, the words and the selectors', () => {
    fc.assert(
      fc.property(anyArea, anySegments, (area, segments) => {
        const image = imageFrom(area.slice(), layout)
        const fsave = readFsave(fsaveOf(area, segments))
        expect(area).toEqual(image.bytes)
        expect(fsave.st).toEqual(registers.map(i => image.st(i)))
        expect([fsave.cw, fsave.sw]).toEqual([0xffff0000 + image.fcw, 0xffff0000 + image.fsw])
        expect([fsave.ipoff, fsave.dataoff].map(BigInt)).toEqual(
          [image.fip, image.fdp].map(pointer => pointer % (1n << 32n)),
        )
        expect([fsave.cssel, fsave.datasel]).toEqual([segments.cs, 0xffff0000 + segments.ds])
        expect([fsave.status, fsave.magic]).toEqual([image.fsw, 0])
      }),
    )
  })

  it('refuses an area without all registers, and what is no selector', () => {
    expect(() => fsaveOf(new Uint8Array(159), user32)).toThrow(
      new RangeError('area.length is 159, must be at least 160'),
    )
    expect(() => fsaveOf(new Uint8Array(160), { cs: 0x10000, ds: 0 })).toThrow(
      new RangeError('segments.cs is 65536, must be in 0..65535'),
    )
    expect(() => fsaveOf(new Uint8Array(160), { cs: 0, ds: -1 })).toThrow(/^segments\.ds is -1, /)
  })
})
