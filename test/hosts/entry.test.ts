import { describe, expect, test } from 'vitest'
import { catalogueEntry, catalogueNames } from '../../lib/catalogue/catalogue.ts'
import { entryOfInfo, sameFrames } from '../../lib/hosts/entry.ts'
import { cpuFileJson, parseCpuFile } from '../../lib/report/cpu-file.ts'
import type { SavedInfo } from '../../lib/report/info-file.ts'
import { createLayout, type Layout } from '../../lib/xstate/layout.ts'
import { host, kernel } from '../report/stub.ts'
import { known, knownSource } from '../xstate/arbitrary.ts'

const infoOf = (layout: Layout, changes: Partial<SavedInfo> = {}): SavedInfo => ({
  toolVersion: '0.1.0',
  host: host(),
  kernel: kernel(),
  layout,
  sw: { magic1: 1, extendedSize: 1, xfeatures: layout.features, xstateSize: layout.size },
  ...changes,
})

describe('an entry of what was observed', () => {
  test('says who observed it, and is one of the format', async () => {
    const entry = entryOfInfo(infoOf(known('zen4'), { host: host({ hypervisor: 'KVMKVMKVM' }) }), 'mine')
    expect(entry).toEqual({
      name: 'mine',
      title: 'AMD EPYC 9B45',
      cpus: ['AMD EPYC 9B45'],
      task: 'that has asked its kernel for nothing',
      announced: false,
      sources: [
        {
          kind: 'measured',
          text: 'sigframe 0.1.0 info on AMD EPYC 9B45 (family 26 model 2 stepping 1, microcode 0xb002116, under KVMKVMKVM), Linux 6.12.43-cloud-amd64',
        },
      ],
      compacts: true,
      emulated: false,
      layout: known('zen4'),
    })
    expect(await parseCpuFile(cpuFileJson(entry), 'x')).toEqual(entry)
  })

  test('what is not known is left out', () => {
    const bare = infoOf(known('zen4'), { host: host({ microcode: null }), kernel: null, toolVersion: null })
    expect(entryOfInfo(bare, 'mine').sources[0]?.text).toBe(
      'sigframe info on AMD EPYC 9B45 (family 26 model 2 stepping 1)',
    )
  })

  test('supervisor state and what the kernel has not enabled are no part of it', () => {
    const source = knownSource('zen4')
    const part = { size: 16, offset: 0, alignedCompacted: false, supervisor: true, xfd: false }
    const off = { ...part, index: 19, size: 128, offset: 4096, supervisor: false }
    const layout = createLayout({
      ...source,
      components: [...source.components, { ...part, index: 11 }, off],
    })
    expect(entryOfInfo(infoOf(layout), 'mine').layout.toJSON()).toEqual(known('zen4').toJSON())
  })

  test.each(catalogueNames())('%s is found to be there already', name => {
    const { layout, compacts, emulated } = catalogueEntry(name)
    const hypervisor = emulated ? 'TCGTCGTCGTCG' : null
    expect(sameFrames(entryOfInfo(infoOf(layout, { host: host({ compacts, hypervisor }) }), 'mine'))).toBe(
      name,
    )
  })

  test('another is not', () => {
    const layout = createLayout({ ...knownSource('zen4'), vendor: 'Some Other' })
    expect(sameFrames(entryOfInfo(infoOf(layout), 'mine'))).toBeNull()
  })

  test.each([
    ['Zen 4', 'name is "Zen 4", must be at most 40 characters: words in lower case, joined by hyphens'],
    ['x'.repeat(41), /^name is "x+", must be at most 40/],
    ['zen4', 'name is "zen4", which the catalogue has already'],
  ])('not under the name %s', (name, message) => {
    expect(() => entryOfInfo(infoOf(known('zen4')), name)).toThrow(message)
  })

  test('not of a file that does not tell whether the kernel compacts', () => {
    expect(() => entryOfInfo(infoOf(known('zen4'), { host: host({ compacts: null }) }), 'mine')).toThrow(
      'host.compacts is null, which an entry needs: have sigframe info --json written anew',
    )
  })
})
