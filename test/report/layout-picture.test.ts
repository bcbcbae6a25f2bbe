import picocolors from 'picocolors'
import { describe, expect, test } from 'vitest'
import { layoutPicture, regionsOf } from '../../lib/report/layout-picture.ts'
import { widthOf } from '../../lib/report/text.ts'
import { createLayout } from '../../lib/xstate/layout.ts'
import { known, knownNames, knownSource } from '../xstate/arbitrary.ts'

const names = knownNames
const layoutOf = (name: string) => known(name)
const picture = (name: string, columns = 80): string =>
  layoutPicture(layoutOf(name), { columns, colors: picocolors.createColors(false) }).join('\n')
const mapOf = (name: string, columns = 80): string[] =>
  picture(name, columns).split('\n\n')[0]?.split('\n') ?? []

test('a layout with a component behind a hole, to the letter', () => {
  expect(picture('alder-lake')).toBe(`     0  |x87------|sse------------...|sw|D--|avx------------............
  1024  ................................................................
  2048  ........................................|
        one character is 16 bytes

     offset  size  name
  A       0   160  x87         x87 registers; at 24 MXCSR and its mask
  B     160   256  sse         XMM0 to XMM15
        416    48  (reserved)
  C     464    48  sw          sw bytes: MAGIC1, the sizes, xfeatures
  D     512    64  header      XSTATE_BV, XCOMP_BV
  E     576   256  avx         AVX registers (bit 2)
        832  1856  (hole)      of no component of this task
  F    2688     8  pkru        Protection Keys User registers (bit 9)
  G    2696     4  MAGIC2      says that all of it is there`)
})

test('without XSAVE: the legacy bytes, no header, no MAGIC2', () => {
  expect(picture('nehalem')).not.toMatch(/header|MAGIC2/)
  expect(mapOf('nehalem')[0]).toBe('    0  |x87------|sse------------...|sw')
})

describe.each(names)('%s', name => {
  const layout = layoutOf(name)
  const regions = regionsOf(layout)

  test('regions follow one another from 0 to the end without a gap', () => {
    let end = 0
    for (const { offset, size } of regions) {
      expect(offset).toBe(end)
      expect(size).toBeGreaterThan(0)
      end = offset + size
    }
    expect(end).toBe(layout.xsave ? layout.size + 4 : 512)
  })

  test('every component is where the layout has it', () => {
    for (const { name: component, offset, size } of layout.extended)
      expect(regions).toContainEqual(expect.objectContaining({ name: component, offset, size, used: true }))
  })

  test.each([40, 80, 120, 150])('%i columns: within them, in a few rows, to scale', columns => {
    for (const line of picture(name, columns).split('\n'))
      expect(widthOf(line), line).toBeLessThanOrEqual(columns)
    const map = mapOf(name, columns)
    const cell = Number(/is (\d+) bytes/.exec(map.at(-1) ?? '')?.[1])
    const rows = map.slice(0, -1)
    expect(rows.length).toBeLessThanOrEqual(7)
    const cells = rows.map(row => row.replace(/^ *\d+ {2}/, '')).join('')
    expect(cells.length).toBe(Math.ceil((regions.at(-1)!.offset + regions.at(-1)!.size) / cell))
    for (const { offset, size, used } of regions) {
      // What has a cell of its own begins there.
      if (used && size >= cell) expect(cells[Math.ceil(offset / cell)]).toBe('|')
      if (!used && size >= cell) expect(cells[Math.ceil(offset / cell)]).toBe('.')
    }
  })

  test('rows say with which byte they begin', () => {
    const map = mapOf(name)
    const cell = Number(/is (\d+) bytes/.exec(map.at(-1) ?? '')?.[1])
    expect(map.slice(0, -1).map(row => Number.parseInt(row, 10))).toEqual(
      map.slice(0, -1).map((_, i) => i * 64 * cell),
    )
  })
})

test('a name is not broken by the end of a row: its letter stands in its place', () => {
  expect(mapOf('zen4')[0]).toMatch(/\|F--\|G------$/)
})

test('a component that is not known by name', () => {
  const source = knownSource('haswell')
  const extra = { index: 20, size: 64, offset: 832, alignedCompacted: false, supervisor: false, xfd: false }
  const layout = createLayout({
    ...source,
    xcr0: source.xcr0 | (1n << 20n),
    userFeatures: source.userFeatures | (1n << 20n),
    components: [...source.components, extra],
  })
  const style = { columns: 80, colors: picocolors.createColors(false) }
  expect(layoutPicture(layout, style).join('\n')).toContain('component_20  unknown xstate feature (bit 20)')
})
