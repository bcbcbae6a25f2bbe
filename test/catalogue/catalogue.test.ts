/** The catalogue as data: what must hold of every entry. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  catalogueEntry,
  catalogueLayout,
  catalogueNames,
  isInCatalogue,
} from '../../lib/catalogue/catalogue.ts'
import { sourceKinds } from '../../lib/catalogue/entry.ts'
import { CpuFileError, cpuFileJson, parseCpuFile, readCpuFile } from '../../lib/report/cpu-file.ts'
import { cpuFileJsonSchema } from '../../lib/report/cpu-file-schema.ts'
import { componentAt, componentNamed, maskOf } from '../../lib/xstate/components.ts'
import { endsInOneError } from '../report/broken.ts'

const root = join(import.meta.dirname, '../..')
const folder = join(root, 'catalogue')
const names = catalogueNames()
const fileOf = (name: string): string => join(folder, `${name}.json`)

describe('the names', () => {
  test('are those of the files, in order', () => {
    expect(names).toEqual(
      readdirSync(folder)
        .map(file => file.replace(/\.json$/, ''))
        .sort(),
    )
    expect(names.length).toBeGreaterThan(20)
  })

  test('those that people know from before are there', () => {
    expect(names).toEqual(
      expect.arrayContaining([
        ...['nehalem', 'sse-only', 'haswell', 'skylake', 'skylake-sp', 'ice-lake-sp', 'alder-lake'],
        ...['sapphire-rapids', 'sapphire-rapids-tiles', 'diamond-rapids', 'zen3', 'zen4'],
      ]),
    )
  })

  test('another is refused with those that there are', () => {
    for (const name of ['zen9', '', '../package', 'ZEN4', 'toString']) {
      expect(isInCatalogue(name)).toBe(false)
      expect(() => catalogueEntry(name)).toThrow(RangeError)
      expect(() => catalogueLayout(name, '--to')).toThrow(
        `--to is ${JSON.stringify(name)}, must be one of ${names.join(' ')}`,
      )
    }
  })

  test('an entry is read once', () => {
    expect(catalogueEntry('zen4')).toBe(catalogueEntry('zen4'))
    expect(catalogueLayout('zen4')).toBe(catalogueEntry('zen4').layout)
  })
})

/** Where each vendor has each component: Intel's table is Zhaoxin's, too. */
const intel = {
  ...{ avx: 576, bndregs: 960, bndcsr: 1024, opmask: 1088, zmm_hi256: 1152, hi16_zmm: 1664, pkru: 2688 },
  ...{ xtilecfg: 2752, xtiledata: 2816, apx: 960 },
}
const amd = { avx: 576, opmask: 832, zmm_hi256: 896, hi16_zmm: 1408, pkru: 2432 }

describe.each(names)('%s', name => {
  const entry = catalogueEntry(name)
  const { layout, sources, title, cpus, announced, compacts } = entry
  const xcr0 = layout.hostFeatures
  const has = (component: string): boolean => ((xcr0 >> BigInt(componentNamed(component).index)) & 1n) === 1n
  const { components, mxcsrMask } = layout.toJSON()

  test('its file is as the schema has it, and says the same', async () => {
    const read = await readCpuFile(fileOf(name))
    expect(read).toEqual(entry)
    expect(read.layout.toJSON()).toEqual(layout.toJSON())
    expect(JSON.parse(cpuFileJson(read))).toEqual(JSON.parse(readFileSync(fileOf(name), 'utf8')))
  })

  test('is called as its file, and told of in a line', () => {
    expect(entry.name).toBe(name)
    expect(title.length).toBeLessThanOrEqual(39)
    expect(new Set(cpus).size).toBe(cpus.length)
  })

  test('every statement has a source that can be looked up', () => {
    expect(sources.length).toBeGreaterThan(0)
    for (const { kind, text } of sources) {
      expect(sourceKinds).toContain(kind)
      expect(text).toMatch(/\S/)
      expect(text).not.toMatch(/:\/\//)
    }
  })

  test('what is only announced is said to be', () => {
    expect(sources.some(({ kind }) => kind === 'announced')).toBe(announced)
    expect(/announced/.test(title)).toBe(announced)
    if (!announced)
      expect(sources.some(({ kind }) => kind === 'measured' || kind === 'dump' || kind === 'source')).toBe(
        true,
      )
  })

  test('x87 and SSE are there, and every component has its place', () => {
    expect(layout.features & 3n).toBe(3n)
    expect(layout.features & ~xcr0).toBe(layout.xsave ? 0n : 3n)
    // What the host has and the task has not is what tasks must ask for.
    for (const { index, xfd } of components)
      expect(xfd || ((layout.features >> BigInt(index)) & 1n) === 1n).toBe(true)
    for (const { index, size, supervisor } of components) {
      const { name: component, size: fixed, kind } = componentAt(index)
      expect((xcr0 >> BigInt(index)) & 1n, component).toBe(1n)
      expect(supervisor).toBe(false)
      expect(kind).toBe('user')
      expect(size, component).toBe(fixed ?? 8192)
    }
    expect(components.length).toBe(
      [...xcr0.toString(2)].filter(bit => bit === '1').length - (layout.xsave ? 2 : 0),
    )
  })

  test('nothing lies in anything else, whether the task has it or not', () => {
    const ends = components.toSorted((a, b) => a.offset - b.offset)
    ends.forEach(({ offset }, i) => {
      const before = ends[i - 1]
      expect(offset).toBeGreaterThanOrEqual(before === undefined ? 576 : before.offset + before.size)
    })
  })

  test('the size is the last end, of every subset of what it has', () => {
    fc.assert(
      fc.property(fc.bigInt(0n, layout.features), drawn => {
        const subset = drawn & layout.features
        const ends = layout.extended.filter(({ mask }) => (mask & subset) !== 0n).map(({ end }) => end)
        expect(layout.sizeFor(subset)).toBe(layout.xsave ? Math.max(576, ...ends) : 512)
      }),
    )
    expect(layout.size).toBe(layout.sizeFor(layout.features))
  })

  test('offsets are those of its vendor', () => {
    const isIntels = layout.vendor !== 'AuthenticAMD' && layout.vendor !== 'HygonGenuine'
    // QEMU's emulated CPUs call themselves AMD's, and put components where Intel has them.
    const table: Readonly<Record<string, number>> = isIntels || name.startsWith('qemu-tcg') ? intel : amd
    for (const { index, offset } of components) {
      const { name: component } = componentAt(index)
      expect(offset, component).toBe(table[component])
    }
  })

  test('XCR0 is one that XSETBV accepts', () => {
    for (const { index } of components)
      for (const other of componentAt(index).requires)
        expect(has(other), `${componentAt(index).name} requires ${other}`).toBe(true)
    if (layout.xsave) expect(xcr0 & maskOf(['x87', 'sse'])).toBe(3n)
    expect(has('apx') && has('bndregs')).toBe(false)
  })

  test('what only newer CPUs have goes with compacted buffers', () => {
    if (has('xtiledata') || has('apx')) expect(compacts).toBe(true)
    if (!layout.xsave) expect(compacts).toBe(false)
  })

  test('the alignment and the permission of tiles, the mask of MXCSR', () => {
    for (const { index, alignedCompacted, xfd } of components) {
      const { name: component } = componentAt(index)
      expect(alignedCompacted, component).toBe(component === 'xtilecfg' || component === 'xtiledata')
      expect(xfd, component).toBe(component === 'xtiledata')
    }
    const misaligned = /AMD|Hygon/.test(layout.vendor) && !name.startsWith('qemu-tcg')
    expect(mxcsrMask).toBe(misaligned ? 0x2ffff : 0xffff)
  })
})

test('no two are the same: they are one entry with the CPUs of both', () => {
  const frames = names.map(name => {
    const { layout, compacts } = catalogueEntry(name)
    return JSON.stringify([layout, compacts])
  })
  const twice = names.filter((_, i) => frames.indexOf(frames[i] as string) !== i)
  expect(twice).toEqual([])
})

describe('a file in its format', () => {
  const text = cpuFileJson(catalogueEntry('sapphire-rapids'))
  const problem = (of: string): Promise<string> =>
    parseCpuFile(of, 'some.json').then(
      () => 'accepted',
      error => (error instanceof CpuFileError ? error.message : `NOT A CpuFileError: ${error.stack}`),
    )

  test.each([
    [{ format: 'sigframe probe' }, 'format is "sigframe probe", must be sigframe cpu'],
    [{ version: 2 }, 'version is 2, must be 1'],
    [{ name: 'Zen 4' }, 'name is "Zen 4", must be words in lower case, joined by hyphens'],
    [{ cpus: [] }, 'cpus has 0 elements, must be at least 1'],
    [{ sources: [] }, 'sources has 0 elements, must be at least 1'],
    [
      { sources: [{ kind: 'heard', text: 'x' }] },
      'sources[0].kind is "heard", must be one of measured dump manual source announced',
    ],
    [{ sources: [{ kind: 'dump', text: '' }] }, 'sources[0].text has 0 characters, must be at least 1'],
    [{ compacts: 1 }, 'compacts must be a boolean, not 1'],
    [
      { layout: { ...JSON.parse(text).layout, userFeatures: '0x0' } },
      'layout.userFeatures is 0x0, must include 0x3 (x87 sse)',
    ],
  ])('%j', async (changes, message) => {
    expect(await problem(JSON.stringify({ ...JSON.parse(text), ...changes }))).toBe(`some.json: ${message}`)
  })

  test('anything else ends in the one error', async () => {
    await endsInOneError(text, 'some.json', problem)
  })

  test('the published schema is the one that is checked', () => {
    const published = join(root, 'docs/cpu.schema.json')
    const schema = `${JSON.stringify(cpuFileJsonSchema(), null, 2)}\n`
    if (process.env.SIGFRAME_UPDATE_SCHEMA) writeFileSync(published, schema)
    expect(JSON.parse(readFileSync(published, 'utf8'))).toEqual(JSON.parse(schema))
  })
})
