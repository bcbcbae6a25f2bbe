import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { ComponentName } from '../../lib/xstate/components.ts'
import { imageFrom, initImage, validateLoadable, XsaveImage } from '../../lib/xstate/image.ts'
import { createLayout, type Layout } from '../../lib/xstate/layout.ts'
import { randomImage } from '../../lib/xstate/random.ts'
import {
  anyHostile,
  anyLayout,
  anySeed,
  hostileValues,
  known,
  knownSource,
  revokedProxy,
} from './arbitrary.ts'

describe('initImage', () => {
  it('is zero but for FCW and MXCSR', () => {
    fc.assert(
      fc.property(anyLayout, layout => {
        const { bytes, fcw, mxcsr } = initImage(layout)
        expect([bytes.length, fcw, mxcsr]).toEqual([layout.size, 0x37f, 0x1f80])
        const set = [...bytes.entries()].filter(([, byte]) => byte !== 0).map(([i]) => i)
        expect(set).toEqual([0, 1, 24, 25])
        validateLoadable(bytes, layout)
      }),
    )
  })
})

describe('the fields of an image', () => {
  const layout = known('skylake-sp')

  it.each([
    ['fcw', 0, 2],
    ['fsw', 2, 2],
    ['ftw', 4, 1],
    ['fop', 6, 2],
    ['mxcsr', 24, 4],
    ['mxcsrMask', 28, 4],
    ['pkru', 2688, 4],
  ] as const)('%s is at %i, %i bytes', (field, offset, size) => {
    const image = initImage(layout)
    const value = 0x8899aabb % 2 ** (8 * size)
    image[field] = value
    expect(image[field]).toBe(value)
    const expected = [0xbb, 0xaa, 0x99, 0x88].slice(0, size)
    expect([...image.bytes.subarray(offset, offset + size)]).toEqual(expected)
    for (const wrong of [-1, 2 ** (8 * size)]) {
      expect(() => {
        image[field] = wrong
      }).toThrow(new RangeError(`${field} is ${wrong}, must be in 0..${2 ** (8 * size) - 1}`))
    }
    expect(() => {
      image[field] = 'x' as unknown as number
    }).toThrow(new TypeError(`${field} must be an integer, not "x"`))
  })

  it.each([
    ['fip', 8],
    ['fdp', 16],
    ['xstateBv', 512],
    ['xcompBv', 520],
  ] as const)('%s is at %i, 8 bytes', (field, offset) => {
    const image = initImage(layout)
    image[field] = 0x1122334455667788n
    expect(image[field]).toBe(0x1122334455667788n)
    expect([...image.bytes.subarray(offset, offset + 8)]).toEqual([
      0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11,
    ])
    expect(() => {
      image[field] = 1n << 64n
    }).toThrow(RegExp(`^${field} is 0x10000000000000000, must be in `))
    expect(() => {
      image[field] = 1 as unknown as bigint
    }).toThrow(new TypeError(`${field} must be a bigint, not 1`))
  })

  type Register = 'st' | 'xmm' | 'ymmHigh' | 'zmmHigh' | 'zmm16' | 'opmask' | 'bnd' | 'tmm' | 'egpr'
  it.each<[Register, number, number, number, number, Layout]>([
    ['st', 32, 8, 16, 10, layout],
    ['xmm', 160, 16, 16, 16, layout],
    ['ymmHigh', 576, 16, 16, 16, layout],
    ['bnd', 960, 4, 16, 16, layout],
    ['opmask', 1088, 8, 8, 8, layout],
    ['zmmHigh', 1152, 16, 32, 32, layout],
    ['zmm16', 1664, 16, 64, 64, layout],
    ['opmask', 832, 8, 8, 8, known('zen4')],
    ['tmm', 2816, 8, 1024, 1024, known('sapphire-rapids-tiles')],
    ['egpr', 960, 16, 8, 8, known('diamond-rapids')],
  ])('%s begins at %i: %i registers', (name, offset, count, stride, size, of) => {
    const image = initImage(of)
    for (let i = 0; i < count; i++) image[name](i).fill(i + 1)
    for (let i = 0; i < count; i++) {
      expect(image[name](i).byteOffset).toBe(offset + i * stride)
      expect(image[name](i)).toEqual(new Uint8Array(size).fill(i + 1))
    }
    for (const wrong of [-1, count]) expect(() => image[name](wrong)).toThrow(RangeError)
    expect(() => image[name](1.5)).toThrow(TypeError)
  })

  it('are refused where the layout has none', () => {
    const image = initImage(known('haswell'))
    expect(() => image.pkru).toThrow(/^component is "pkru", which this layout lacks: it has x87 sse avx$/)
    expect(() => image.zmmHigh(0)).toThrow(RangeError)
    expect(() => image.component('component_20')).toThrow(RangeError)
    expect(() => image.component({} as ComponentName)).toThrow(TypeError)
  })

  it('have no header without XSAVE', () => {
    const image = initImage(known('nehalem'))
    expect([image.xstateBv, image.xcompBv]).toEqual([3n, 0n])
    expect(() => {
      image.xstateBv = 3n
    }).toThrow(new RangeError('xstateBv is 0x3, but a layout without XSAVE has no header'))
  })

  it('do not reach out of tile data that is smaller than palette 1', () => {
    const source = knownSource('sapphire-rapids-tiles')
    const components = source.components.map(c => (c.index === 18 ? { ...c, size: 4096 } : c))
    expect(() => initImage(createLayout({ ...source, components })).tmm(7)).toThrow(
      /^xtiledata\.size is 4096, /,
    )
  })
})

describe('imageFrom', () => {
  it('is a view, clone a copy', () => {
    const layout = known('haswell')
    const buffer = new Uint8Array(layout.size + 3)
    const image = imageFrom(buffer.subarray(3), layout)
    image.fcw = 0x1234
    expect(buffer[3]).toBe(0x34)
    const copy = image.clone()
    copy.fcw = 0
    expect(image.fcw).toBe(0x1234)
  })

  it('refuses all but bytes of the right length', () => {
    const layout = known('haswell')
    expect(() => imageFrom(new Uint8Array(831), layout)).toThrow(
      new RangeError('image.length is 831, must be 832'),
    )
    expect(() => imageFrom(new Uint8Array(833), layout)).toThrow(RangeError)
    for (const value of [...hostileValues, revokedProxy()]) {
      expect(() => imageFrom(value as Uint8Array, layout)).toThrow(/^image must be a Uint8Array, not /)
      expect(() => initImage(value as Layout)).toThrow(/^layout must be a Layout, not /)
      expect(() => validateLoadable(value as Uint8Array, layout)).toThrow(
        /^load must be an XsaveImage or a Uint8Array, not /,
      )
    }
    expect(() => new XsaveImage(new Uint8Array(832), {} as Layout)).toThrow(TypeError)
    expect(() => initImage(Object.create(layout))).toThrow(TypeError)
    expect(() => validateLoadable(Object.create(initImage(layout)), layout)).toThrow(TypeError)
  })
})

describe('validateLoadable', () => {
  const refuses = (layout: Layout, change: (image: XsaveImage) => void, message: RegExp | string): void => {
    const image = randomImage(layout, { seed: 1 })
    validateLoadable(image, layout)
    change(image)
    expect(() => validateLoadable(image, layout)).toThrow(message)
    expect(() => validateLoadable(image.bytes, layout)).toThrow(message)
  }
  const accepts = (layout: Layout, change: (image: XsaveImage) => void): void => {
    const image = randomImage(layout, { seed: 1 })
    change(image)
    expect(() => validateLoadable(image, layout)).not.toThrow()
  }
  const zen4 = known('zen4')
  const spr = known('sapphire-rapids')
  const skl = known('skylake')

  it('refuses what is no image of this layout', () => {
    fc.assert(
      fc.property(anyHostile, value => {
        expect(() => validateLoadable(value as Uint8Array, zen4, 'poison')).toThrow(
          /^poison(\.length)? (must be|is) /,
        )
      }),
    )
    expect(() => validateLoadable(initImage(skl), zen4)).toThrow('load.length is 1088, must be 2440')
    expect(() => validateLoadable(new Uint8Array(0), zen4)).toThrow('load.length is 0, must be 2440')
  })

  it('refuses bytes that lie about their length', () => {
    const short = Object.defineProperty(new Uint8Array(100), 'length', { value: zen4.size })
    expect(() => validateLoadable(short, zen4)).toThrow('load.length is 100, must be 2440')
  })

  it('refuses XSTATE_BV bits that the task has not', () => {
    refuses(
      zen4,
      image => {
        image.xstateBv |= 1n << 62n
      },
      'load.xstateBv is 0x40000000000002e7, which has bits outside 0x2e7 (x87 sse avx opmask zmm_hi256 hi16_zmm pkru)',
    )
    refuses(
      spr,
      image => {
        image.xstateBv |= 1n << 18n
      },
      /^load\.xstateBv is 0x602e7, which has bits outside 0x202e7 /,
    )
  })

  it('refuses the compacted format', () => {
    refuses(
      zen4,
      image => {
        image.xcompBv = 1n << 63n
      },
      /^load\.xcompBv is 0x8000000000000000, must be 0x0/,
    )
  })

  it('refuses every reserved byte of the header', () => {
    for (let i = 528; i < 576; i++) {
      refuses(
        zen4,
        ({ bytes }) => {
          bytes[i] = 1
        },
        RegExp(`^load\\.bytes\\[${i}\\] is 1, must be 0`),
      )
    }
  })

  it('refuses MXCSR bits that the CPU has not, whatever XSTATE_BV says', () => {
    for (const bit of [16, 31]) {
      refuses(
        spr,
        image => {
          image.xstateBv = 0n
          image.mxcsr = 2 ** bit
        },
        RegExp(`^load\\.mxcsr is 0x${(2 ** bit).toString(16)}, which has bits outside 0xffff$`),
      )
    }
    accepts(spr, image => {
      image.mxcsr = 0x3f
    })
    accepts(zen4, image => {
      image.mxcsr |= 1 << 17
    })
  })

  it.each([
    [
      'a pending exception',
      0x37e,
      0x1,
      /^load\.fsw is 0x1, which has exceptions pending that FCW 0x37e does not/,
    ],
    ['another', 0x35f, 0x20, /^load\.fsw is 0x20, which has exceptions pending/],
    ['ES without a cause', 0x37f, 0x80, /^load\.fsw is 0x80, must have ES and B/],
    ['B without a cause', 0x37f, 0x8000, /^load\.fsw is 0x8000, must have ES and B/],
    ['a reserved FCW bit', 0x237f, 0, /^load\.fcw is 0x237f, which has reserved bits/],
    ['FCW bit 6 clear', 0x33f, 0, /^load\.fcw is 0x33f, must have bit 6/],
  ])('refuses %s', (_what, fcw, fsw, message) => {
    for (const layout of [spr, known('nehalem')]) {
      refuses(
        layout,
        image => {
          image.fcw = fcw
          image.fsw = fsw
        },
        message,
      )
    }
    // Not looked at by XRSTOR either.
    accepts(spr, image => {
      image.fcw = fcw
      image.fsw = fsw
      image.xstateBv &= ~1n
    })
  })

  it('accepts masked exceptions and MXCSR’s unmasked ones', () => {
    accepts(spr, image => {
      image.fcw = 0x37f
      image.fsw = 0x7f
      image.mxcsr = 0x3f
    })
  })

  it('refuses a PKRU that closes key 0', () => {
    for (const bits of [1, 2, 3]) {
      refuses(
        zen4,
        image => {
          image.pkru = bits
        },
        RegExp(`^load\\.pkru is 0x${bits}, must have bits 0 and 1 clear`),
      )
    }
    accepts(zen4, image => {
      image.pkru = 3
      image.xstateBv &= ~(1n << 9n)
    })
  })

  it('refuses a BNDCFGU that MPX would', () => {
    const setConfig = (value: bigint) => (image: XsaveImage) => {
      new DataView(image.bytes.buffer).setBigUint64(1024, value, true)
    }
    refuses(skl, setConfig(0x4n), /^load\.bndcfgu is 0x4, which has reserved bits \(0xffc\) set/)
    refuses(skl, setConfig(0x800n), /^load\.bndcfgu is 0x800, /)
    refuses(
      skl,
      setConfig(1n << 47n),
      /^load\.bndcfgu is 0x800000000000, its base must be a canonical address/,
    )
    accepts(skl, setConfig(0xffff_8000_0000_0003n))
  })

  const tiles = (change: (config: Uint8Array) => void) => (image: XsaveImage) =>
    change(image.component('xtilecfg'))
  const set = (i: number, value: number) =>
    tiles(config => {
      config[i] = value
    })

  it.each<[string, (image: XsaveImage) => void, RegExp]>([
    ['palette 0 with a tile', set(0, 0), /^load\.xtilecfg\.palette is 0, must be 1/],
    ['palette 2', set(0, 2), /^load\.xtilecfg\.palette is 2, must be 1/],
    ['a reserved byte', set(2, 1), /^load\.xtilecfg\[2\] is 1, must be 0/],
    ['another', set(15, 1), /^load\.xtilecfg\[15\] is 1, /],
    ['another', set(32, 1), /^load\.xtilecfg\[32\] is 1, /],
    ['another', set(47, 1), /^load\.xtilecfg\[47\] is 1, /],
    ['another', set(56, 1), /^load\.xtilecfg\[56\] is 1, /],
    ['another', set(63, 1), /^load\.xtilecfg\[63\] is 1, /],
    ['17 rows', set(48, 17), /^load\.xtilecfg\.rows\[0\] is 17, must be in 0\.\.16$/],
    ['65 bytes of columns', set(30, 65), /^load\.xtilecfg\.colsb\[7\] is 65, must be in 0\.\.64$/],
    ['256 bytes of columns', set(31, 1), /^load\.xtilecfg\.colsb\[7\] is \d+, must be in 0\.\.64$/],
    [
      'no rows, but columns',
      set(55, 0),
      /^load\.xtilecfg\.rows\[7\] is 0, but colsb\[7\] is \d+: both must be 0/,
    ],
    ['no columns, but rows', set(16, 0), /^load\.xtilecfg\.rows\[0\] is \d+, but colsb\[0\] is 0: /],
  ])('refuses a tile configuration with %s', (_what, change, message) => {
    refuses(spr, change, message)
  })

  it('accepts what XRSTOR keeps of a tile configuration', () => {
    accepts(
      spr,
      tiles(config => config.fill(0)),
    )
    accepts(spr, set(1, 255))
    accepts(spr, set(16, 1))
    accepts(
      spr,
      tiles(config => {
        config[16] = 0
        config[48] = 0
      }),
    )
    accepts(spr, image => {
      image.component('xtilecfg').fill(0xff)
      image.xstateBv &= ~(1n << 17n)
    })
  })

  it('knows what it accepted: any change of a byte is refused by name or leaves a loadable image', () => {
    fc.assert(
      fc.property(anyLayout, anySeed, fc.nat(), fc.nat(255), (layout, seed, at, value) => {
        const image = randomImage(layout, { seed })
        image.bytes[at % layout.size] = value
        try {
          validateLoadable(image, layout)
        } catch (error) {
          expect(error).toBeInstanceOf(RangeError)
          expect((error as Error).message).toMatch(/^load\.\w+(\[\d+\]|\.\w+(\[\d\])?)? is /)
        }
      }),
    )
  })
})
