import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  type ComponentName,
  componentAt,
  componentNamed,
  components,
  isComponentName,
  isFeatureMask,
  maskOf,
  namesOf,
} from '../../lib/xstate/components.ts'
import { anyHostile } from './arbitrary.ts'

const anyMask = fc.bigInt(0n, 2n ** 64n - 1n)

describe('the table of components', () => {
  it('is in the order of the bits', () => {
    components.forEach((component, i) => {
      expect(component.index).toBe(i)
      expect(component.mask).toBe(2n ** BigInt(i))
    })
    expect(new Set(components.map(c => c.name)).size).toBe(components.length)
  })

  it.each([
    ['x87', 0, 'XFEATURE_FP', 'user'],
    ['avx', 2, 'XFEATURE_YMM', 'user'],
    ['bndcsr', 4, 'XFEATURE_BNDCSR', 'user'],
    ['hi16_zmm', 7, 'XFEATURE_Hi16_ZMM', 'user'],
    ['pkru', 9, 'XFEATURE_PKRU', 'user'],
    ['cet_u', 11, 'XFEATURE_CET_USER', 'supervisor'],
    ['xtilecfg', 17, 'XFEATURE_XTILE_CFG', 'user'],
    ['xtiledata', 18, 'XFEATURE_XTILE_DATA', 'user'],
    ['apx', 19, 'XFEATURE_APX', 'user'],
  ] as const)('has %s at bit %i', (name, index, xfeature, kind) => {
    expect(componentNamed(name)).toMatchObject({ name, index, xfeature, kind })
    expect(componentAt(index)).toBe(componentNamed(name))
  })

  it('names what XCR0 must have along with it', () => {
    expect(componentNamed('xtiledata').requires).toEqual(['xtilecfg'])
    expect(componentNamed('opmask').requires).toEqual(['avx', 'zmm_hi256', 'hi16_zmm'])
    for (const { requires } of components) expect(requires.every(isComponentName)).toBe(true)
  })

  it('names unknown bits, too', () => {
    expect(componentAt(20)).toMatchObject({
      name: 'component_20',
      mask: 1n << 20n,
      size: undefined,
      kind: 'user',
    })
    expect(componentNamed('component_62').index).toBe(62)
    expect(namesOf((1n << 62n) | 5n)).toEqual(['x87', 'avx', 'component_62'])
  })

  it('has one name for each bit', () => {
    expect(isComponentName('component_2')).toBe(false)
    expect(isComponentName('component_64')).toBe(false)
    expect(isComponentName('constructor')).toBe(false)
    expect(isComponentName('avx')).toBe(true)
  })
})

describe('feature masks', () => {
  it('are the masks of their names', () => {
    fc.assert(fc.property(anyMask, mask => maskOf(namesOf(mask)) === mask))
  })

  it('are bigints of 64 bits', () => {
    expect([0n, 2n ** 64n - 1n].every(isFeatureMask)).toBe(true)
    expect([-1n, 2n ** 64n, 3, '3', null].some(isFeatureMask)).toBe(false)
  })

  it('are refused with a named error otherwise', () => {
    expect(() => namesOf(1n << 64n)).toThrow(
      /^feature mask is 0x10000000000000000, must be in 0x0\.\.0xf{16}$/,
    )
    expect(() => maskOf(['ymm' as ComponentName])).toThrow(/^component is "ymm", must be one of x87 sse avx /)
    expect(() => componentAt(64)).toThrow(new RangeError('component index is 64, must be in 0..63'))
    expect(() => componentAt(1.5)).toThrow(TypeError)
  })

  it('never meet a name that crashes the look-up', () => {
    fc.assert(
      fc.property(
        anyHostile.filter(v => !isComponentName(v)),
        value => {
          expect(() => componentNamed(value as string, 'f')).toThrow(/^f (is|must be) /)
        },
      ),
    )
  })
})
