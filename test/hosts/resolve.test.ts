import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { catalogueEntry, catalogueNames } from '../../lib/catalogue/catalogue.ts'
import type { HostResult } from '../../lib/harness/results.ts'
import { taskOf } from '../../lib/harness/task.ts'
import { hostsOfCatalogue, layoutOfResult } from '../../lib/hosts/elsewhere.ts'
import { HostError, resolveHost } from '../../lib/hosts/resolve.ts'
import { nativeProblem } from '../../lib/native.ts'
import { open } from '../../lib/probe/session.ts'
import { cpuFileJson } from '../../lib/report/cpu-file.ts'
import { infoJson } from '../../lib/report/info.ts'
import { bundleJson } from '../../lib/report/json.ts'
import { componentAt } from '../../lib/xstate/components.ts'
import type { Layout } from '../../lib/xstate/layout.ts'
import { bundle, host, kernel } from '../report/stub.ts'
import { known } from '../xstate/arbitrary.ts'

const before = process.cwd()
let folder = ''

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'sigframe-hosts-'))
  process.chdir(folder)
})

afterAll(() => {
  process.chdir(before)
  rmSync(folder, { recursive: true })
})

const write = (name: string, text: string): string => {
  writeFileSync(join(folder, name), text)
  return name
}

const refused = (name: string): Promise<string> =>
  resolveHost(name).then(
    () => 'accepted',
    error => (/^(Host|Bundle|InfoFile|CpuFile)Error$/.test(error.name) ? error.message : `${error.stack}`),
  )

/** A host of that CPU, as a bundle tells of it. */
const resultOf = (name: string, changes: Partial<HostResult> = {}): HostResult => {
  const layout = known(name)
  const { vendor, xcr0, userFeatures, components, mxcsrMask } = layout.toJSON()
  return host({
    vendor,
    xcr0,
    userFeatures,
    userSize: layout.size,
    leafD: components.map(({ index, size, offset, xfd, supervisor }) => ({
      index,
      name: componentAt(index).name,
      size,
      offset,
      xfd,
      supervisor,
    })),
    mxcsrMask,
    compacts: true,
    ...changes,
  })
}

const infoTextOf = (layout: Layout, changes: Partial<HostResult> = {}): string =>
  infoJson({
    host: host(changes),
    kernel: kernel('regressed'),
    layout,
    sw: { magic1: 1, extendedSize: 1, xfeatures: layout.features, xstateSize: layout.size },
  })

describe('a name of the catalogue', () => {
  test.each(catalogueNames())('%s', async name => {
    const { title, layout, compacts, emulated } = catalogueEntry(name)
    expect(await resolveHost(name)).toEqual({
      name,
      kind: 'catalogue',
      title,
      layout,
      compacts,
      emulated,
      generation: null,
    })
  })

  test('all of them', () => {
    expect(hostsOfCatalogue().map(({ name }) => name)).toEqual(catalogueNames())
  })

  test('is meant where there is a file of that name, too: ./NAME is the file', async () => {
    write('haswell', cpuFileJson({ ...catalogueEntry('zen4'), name: 'mine' }))
    expect((await resolveHost('haswell')).layout).toBe(known('haswell'))
    expect(await resolveHost('./haswell')).toMatchObject({
      name: './haswell',
      kind: 'catalogue',
      layout: known('zen4'),
    })
  })
})

describe('a bundle', () => {
  test.each(catalogueNames())('of %s has its layout', name => {
    expect(layoutOfResult(resultOf(name)).toJSON()).toEqual(known(name).toJSON())
  })

  test('has its kernel’s generation', async () => {
    const file = write(
      'b.json',
      bundleJson(bundle([], { host: resultOf('zen4'), kernel: kernel('portable') })),
    )
    expect(await resolveHost(file)).toEqual({
      name: file,
      kind: 'bundle',
      title: 'AMD EPYC 9B45',
      layout: known('zen4'),
      compacts: true,
      emulated: false,
      generation: 'portable',
    })
  })

  test('without a kernel has none, without a brand is told by its numbers', async () => {
    const file = write(
      'b.json',
      bundleJson(bundle([], { host: resultOf('zen4', { brand: '  ' }), kernel: null })),
    )
    expect(await resolveHost(file)).toMatchObject({
      title: 'AuthenticAMD family 26 model 2 stepping 1',
      generation: null,
    })
  })

  const older = { mxcsrMask: null, compacts: null }
  test.each([
    ['zen4', true, 0x2ffff],
    ['hygon-dhyana', false, 0x2ffff],
    ['haswell', false, 0xffff],
    ['skylake', true, 0xffff],
    ['tremont', false, 0xffff],
  ])('from before it told all: %s is taken to compact %s, MXCSR mask %i', async (name, compacts, mask) => {
    const file = write('old.json', bundleJson(bundle([], { host: resultOf(name, older) })))
    const found = await resolveHost(file)
    expect(found.compacts).toBe(compacts)
    expect(found.layout.toJSON()).toEqual(known(name).toJSON())
    expect(found.layout.mxcsrMask).toBe(mask)
  })

  test('that says what cannot be', async () => {
    const file = write(
      'bad.json',
      bundleJson(bundle([], { host: resultOf('zen4', { userFeatures: '0xffff' }) })),
    )
    expect(await refused(file)).toMatch(
      /^bad\.json: host\.userFeatures is 0xffff, which has bits outside host\.xcr0 0x2e7/,
    )
  })

  test('of a guest of QEMU is emulated', async () => {
    const file = write('tcg.json', infoTextOf(known('qemu-tcg'), { hypervisor: 'TCGTCGTCGTCG' }))
    expect(await resolveHost(file)).toMatchObject({ emulated: true })
  })

  test('with a wrong field', async () => {
    const file = write('bad.json', bundleJson(bundle([])).replace('"bundleVersion": 1', '"bundleVersion": 9'))
    expect(await refused(file)).toBe('bad.json: bundleVersion is 9, must be 1')
  })
})

describe('what sigframe info --json printed', () => {
  test('has layout, generation and compaction', async () => {
    const file = write('i.json', infoTextOf(known('knights-landing'), { compacts: false }))
    expect(await resolveHost(file)).toEqual({
      name: file,
      kind: 'info',
      title: 'AMD EPYC 9B45',
      layout: known('knights-landing'),
      compacts: false,
      emulated: false,
      generation: 'regressed',
    })
  })

  test('with a wrong field', async () => {
    const file = write('i.json', infoTextOf(known('zen4')).replace('"xcr0": "0x2e7"', '"xcr0": "7"'))
    expect(await refused(file)).toBe(
      'i.json: layout.xcr0 is "7", must be 0x and 1 to 16 hexadecimal digits in lower case',
    )
  })
})

describe('what is no host', () => {
  test('a word that is nothing: told what there is', async () => {
    await expect(resolveHost('zen9')).rejects.toThrow(HostError)
    expect(await refused('zen9')).toBe(
      `"zen9" is no host: neither "this", nor a file, nor one of the catalogue's ${catalogueNames().join(' ')}`,
    )
  })

  test.each([
    ['./nothing.json', null, './nothing.json cannot be read (ENOENT: no such file or directory)'],
    ['', null, /is no host/],
    ['empty.json', '', 'empty.json is empty'],
    [
      'list.json',
      '[]',
      /^list\.json is no host: neither results of sigframe run \(json\), nor what sigframe info --json/,
    ],
    ['other.json', '{"format":"sigframe probe"}', /^other\.json is no host/],
    ['cut.json', '{"host":', 'cut.json is not JSON: it ends too early, as if it were cut off'],
    ['a folder', 'folder', /cannot be read \(EISDIR/],
  ])('%s', async (name, text, message) => {
    const file = text === null ? name : text === 'folder' ? '.' : write(name, text)
    const found = await refused(file)
    if (typeof message === 'string') expect(found).toBe(message)
    else expect(found).toMatch(message)
  })
})

describe.skipIf(nativeProblem() !== undefined)('this host', () => {
  test.each(['this', 'this host'])('%s: as its own task says', async name => {
    const found = await resolveHost(name)
    const probe = await open()
    try {
      const { layout, compacts } = taskOf(probe)
      expect(found).toMatchObject({ name: 'this host', kind: 'this host', compacts })
      expect(found.layout.toJSON()).toEqual(layout.toJSON())
      expect(found.title).not.toBe('')
      if (layout.xsave) expect(found.generation).not.toBeNull()
    } finally {
      await probe.close()
    }
  })
})
