import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type ComponentName, maskOf, namesOf } from '../../lib/xstate/components.ts'
import { createLayout, type Layout, type LayoutSource, layoutFromJSON } from '../../lib/xstate/layout.ts'
import { anyFeatures, anyHostile, anyLayout, known, knownSource } from './arbitrary.ts'

const json = (name: string): Record<string, unknown> => JSON.parse(JSON.stringify(known(name)))

describe('known layouts', () => {
  it.each([
    ['nehalem', 0x3n, 512],
    ['sse-only', 0x3n, 576],
    ['haswell', 0x7n, 832],
    ['skylake', 0x1fn, 1088],
    ['skylake-sp', 0x2ffn, 2696],
    ['ice-lake-sp', 0x2e7n, 2696],
    ['alder-lake', 0x207n, 2696],
    ['sapphire-rapids', 0x202e7n, 2816],
    ['sapphire-rapids-tiles', 0x602e7n, 11008],
    ['diamond-rapids', 0xa02e7n, 2816],
    ['zen3', 0x207n, 2440],
    ['zen4', 0x2e7n, 2440],
  ] as const)('%s has features %s in %i bytes', (name, features, size) => {
    const layout = known(name)
    expect(layout.features).toBe(features)
    expect(layout.size).toBe(size)
    expect(layout.xsave).toBe(name !== 'nehalem')
  })

  it('put the same component elsewhere on another vendor', () => {
    expect(known('alder-lake').offset('pkru')).toBe(2688)
    expect(known('zen3').offset('pkru')).toBe(2432)
    expect(known('skylake-sp').offset('opmask')).toBe(1088)
    expect(known('zen4').offset('opmask')).toBe(832)
    expect(known('diamond-rapids').offset('apx')).toBe(known('skylake').offset('bndregs'))
    expect(known('sapphire-rapids').end('xtilecfg')).toBe(2816)
  })
})

describe('a layout', () => {
  it('places the legacy components exactly', () => {
    const layout = known('nehalem')
    expect(layout.component('x87').ranges).toEqual([
      { offset: 0, size: 24 },
      { offset: 32, size: 128 },
    ])
    expect(layout.component('x87')).toMatchObject({ offset: 0, size: 160, end: 160 })
    expect(layout.component('sse')).toMatchObject({ offset: 160, size: 256, end: 416 })
    expect(layout.extended).toEqual([])
  })

  it('has ranges that do not meet, inside the area', () => {
    fc.assert(
      fc.property(anyLayout, layout => {
        const ranges = layout.components.flatMap(c => c.ranges).toSorted((a, b) => a.offset - b.offset)
        ranges.forEach(({ offset, size }, i) => {
          expect(offset + size).toBeLessThanOrEqual(ranges[i + 1]?.offset ?? layout.size)
        })
      }),
    )
  })

  it('knows its components by name', () => {
    const layout = known('zen4')
    expect(layout.components.map(c => c.name)).toEqual(namesOf(layout.features))
    expect(layout.extended).toEqual(layout.components.slice(2))
    expect(layout.has('pkru')).toBe(true)
    expect(layout.has('apx')).toBe(false)
    expect(() => layout.component('apx')).toThrow(
      new RangeError(
        'component is "apx", which this layout lacks: it has x87 sse avx opmask zmm_hi256 hi16_zmm pkru',
      ),
    )
    expect(() => layout.end(7 as unknown as ComponentName)).toThrow(TypeError)
  })

  it('is the same host for another task', () => {
    const before = known('sapphire-rapids')
    expect(before.hostFeatures).toBe(0x602e7n)
    const after = before.withFeatures(0x602e7n)
    expect(after.size).toBe(11008)
    expect(after.toJSON()).toEqual(known('sapphire-rapids-tiles').toJSON())
  })

  it('cannot be changed', () => {
    const layout = known('haswell') as { size: number }
    expect(() => {
      layout.size = 1
    }).toThrow(TypeError)
    expect(Object.isFrozen(known('haswell').components)).toBe(true)
  })

  it('holds a component that nobody knows yet', () => {
    const future: LayoutSource = {
      ...knownSource('haswell'),
      xcr0: 0x10_0007n,
      userFeatures: 0x10_0007n,
      components: [
        ...knownSource('haswell').components,
        { index: 20, size: 48, offset: 832, alignedCompacted: false, supervisor: false, xfd: false },
      ],
    }
    const layout = createLayout(future)
    expect(layout.size).toBe(880)
    expect(layout.component('component_20')).toMatchObject({ index: 20, offset: 832, end: 880 })
    expect(layoutFromJSON(JSON.parse(JSON.stringify(layout))).toJSON()).toEqual(layout.toJSON())
  })

  it('takes an MXCSR mask of 0 as the default', () => {
    expect(createLayout({ ...knownSource('haswell'), mxcsrMask: 0 }).mxcsrMask).toBe(0xffbf)
  })

  it('keeps what the host has and the task has not, supervisor components too', () => {
    const cet = { index: 11, size: 16, offset: 0, alignedCompacted: false, supervisor: true, xfd: false }
    const layout = createLayout({
      ...knownSource('zen3'),
      components: [cet, ...knownSource('zen3').components],
    })
    expect(layout.has('cet_u')).toBe(false)
    expect(layout.toJSON().components).toContainEqual(cet)
  })
})

describe('sizeFor', () => {
  it('is 576 without extended components and 512 without XSAVE', () => {
    expect(known('zen4').sizeFor(3n)).toBe(576)
    expect(known('zen4').sizeFor(0n)).toBe(576)
    expect(known('nehalem').sizeFor(3n)).toBe(512)
  })

  it('is the furthest end, not that of the highest bit', () => {
    const layout = known('diamond-rapids')
    expect(layout.sizeFor(maskOf(['apx']))).toBe(1088)
    expect(layout.sizeFor(maskOf(['avx', 'pkru', 'apx']))).toBe(2696)
  })

  it('holds every component of the subset and grows with it', () => {
    fc.assert(
      fc.property(anyFeatures, fc.bigInt(0n, 2n ** 63n), ({ layout, mask }, other) => {
        const size = layout.sizeFor(mask)
        for (const name of namesOf(mask)) expect(layout.end(name)).toBeLessThanOrEqual(size)
        expect(layout.sizeFor(mask & other)).toBeLessThanOrEqual(size)
        expect(size).toBeLessThanOrEqual(layout.size)
      }),
    )
  })

  it('refuses features that the layout lacks', () => {
    expect(() => known('haswell').sizeFor(0xfn)).toThrow(
      /^features is 0xf, which has bits outside .* 0x7 \(x87 sse avx\)$/,
    )
    expect(() => known('haswell').sizeFor(7 as unknown as bigint)).toThrow(
      /^features must be a bigint, not 7$/,
    )
  })
})

describe('layoutFromJSON', () => {
  const read = (value: unknown): Layout => layoutFromJSON(value, 'host.layout')

  it('gives back what toJSON wrote', () => {
    fc.assert(
      fc.property(anyLayout, layout => {
        const again = layoutFromJSON(JSON.parse(JSON.stringify(layout)))
        expect(again.toJSON()).toEqual(layout.toJSON())
        expect(again.components).toEqual(layout.components)
        expect([again.vendor, again.features, again.size]).toEqual([
          layout.vendor,
          layout.features,
          layout.size,
        ])
      }),
    )
  })

  it('names the field that is wrong, whatever is in it', () => {
    const fields = ['vendor', 'xcr0', 'userFeatures', 'components', 'mxcsrMask']
    fc.assert(
      fc.property(fc.constantFrom(...fields), anyHostile, (field, value) => {
        fc.pre(field !== 'vendor' || typeof value !== 'string')
        fc.pre(field !== 'mxcsrMask' || typeof value !== 'number' || value < 0 || !Number.isInteger(value))
        fc.pre(field !== 'xcr0' || value !== '0x0')
        // An empty list is one: then it is userFeatures that names what is not there.
        fc.pre(field !== 'components' || !Array.isArray(value) || value.length > 0)
        expect(() => read({ ...json('zen4'), [field]: value })).toThrow(
          new RegExp(`^host\\.layout\\.${field}\\b`),
        )
      }),
    )
  })

  it('names the field of a component that is wrong', () => {
    const fields = ['index', 'size', 'offset', 'alignedCompacted', 'supervisor', 'xfd']
    const wrong = fc.constantFrom<unknown>('2', -1, 1e9, 1.5, null, undefined, 2n, {})
    fc.assert(
      fc.property(fc.constantFrom(...fields), wrong, (field, value) => {
        const [first, ...others] = known('zen4').toJSON().components
        const components = [{ ...first, [field]: value }, ...others]
        expect(() => read({ ...json('zen4'), components })).toThrow(
          new RegExp(`^host\\.layout\\.components\\[0\\]\\.${field} (is|must be) `),
        )
      }),
    )
  })

  it('never fails otherwise than by name', () => {
    fc.assert(
      fc.property(anyHostile, value => {
        expect(() => read(value)).toThrow(/^host\.layout/)
      }),
    )
  })

  const components = known('zen4').toJSON().components
  const changed = (index: number, change: object): unknown => ({
    ...json('zen4'),
    components: components.map(c => (c.index === index ? { ...c, ...change } : c)),
  })

  it.each<[string, unknown, RegExp]>([
    [
      'a short area',
      changed(2, { offset: 512 }),
      /components\[0\] \(avx\)\.offset is 512, must be at least 576/,
    ],
    [
      'an overlap',
      changed(5, { offset: 800 }),
      /components \(opmask\)\.offset is 800, which lies inside avx \(576\.\.831\)/,
    ],
    ['another size', changed(2, { size: 128 }), /components\[0\] \(avx\)\.size is 128, must be 256/],
    ['a huge area', changed(9, { offset: 1 << 20 }), /components\[4\] \(pkru\)\.offset is 1048576, /],
    ['a supervisor', changed(9, { supervisor: true }), /\(pkru\)\.supervisor is true, /],
    ['one twice', changed(9, { index: 7 }), /components\[4\]\.index is 7, which an earlier entry has/],
    [
      'one missing',
      { ...json('zen4'), components: components.slice(1) },
      /userFeatures is 0x2e7, but .* lacks avx/,
    ],
    [
      'too many',
      { ...json('zen4'), components: new Array(1e6) },
      /components\.length is 1000000, must be in 0\.\.62/,
    ],
    [
      'x87 alone',
      { ...json('zen4'), userFeatures: '0x1' },
      /userFeatures is 0x1, must include 0x3 \(x87 sse\)/,
    ],
    ['XCR0 without SSE', { ...json('zen4'), xcr0: '0x5' }, /xcr0 is 0x5, must include 0x3/],
    [
      'more than XCR0',
      { ...json('zen4'), userFeatures: '0x602e7' },
      /userFeatures is 0x602e7, which has bits outside/,
    ],
    ['a number as mask', { ...json('zen4'), xcr0: 7 }, /xcr0 must be a hexadecimal string, not 7/],
    ['a decimal mask', { ...json('zen4'), xcr0: '743' }, /xcr0 is "743", must be 0x and 1 to 16/],
    ['a long mask', { ...json('zen4'), xcr0: `0x${'0'.repeat(99)}` }, /xcr0 is "0x0+"… \(101 characters\), /],
    [
      'a bad vendor',
      { ...json('zen4'), vendor: '\x1b[31m' },
      /vendor is "\\u001b\[31m", must be at most 32 printable/,
    ],
  ])('refuses %s', (_what, value, message) => {
    expect(() => read(value)).toThrow(message)
  })
})
