/** The machine's real apt, against an archive in a folder: what it makes of our configuration. */
import { execFileSync, spawnSync } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { cacheFolder } from '../../../lib/vm/cache.ts'
import { fetchKernel, listKernels } from '../../../lib/vm/kernels/debian.ts'
import { bzImage } from './bz-image.ts'

const tools = ['apt-get', 'apt-cache', 'apt-config', 'dpkg-deb']
const missing = tools.filter(tool => spawnSync(tool, ['--version']).error !== undefined)

const suites = { trixie: 'stable', 'trixie-backports': 'stable-backports' }

/** A package with a kernel, too large to be one that only depends on others. */
const buildKernel = (folder: string, name: string, version: string, release: string): void => {
  const tree = join(folder, 'tree')
  mkdirSync(join(tree, 'DEBIAN'), { recursive: true })
  mkdirSync(join(tree, 'boot'))
  const fields = { Package: name, Version: version, Architecture: 'amd64', Maintainer: 'a <a@example.org>' }
  const control = Object.entries({ ...fields, Description: 'x' })
  writeFileSync(join(tree, 'DEBIAN', 'control'), control.map(([key, value]) => `${key}: ${value}\n`).join(''))
  const noise = execFileSync('head', ['-c', String(2 << 20), '/dev/urandom'], { maxBuffer: 4 << 20 })
  writeFileSync(join(tree, 'boot', `vmlinuz-${release}`), Buffer.concat([bzImage({ release }), noise]))
  writeFileSync(join(tree, 'boot', `config-${release}`), 'CONFIG_X86=y\n')
  execFileSync('dpkg-deb', ['-Znone', '--root-owner-group', '-b', tree, join(folder, 'pool', `${name}.deb`)])
  rmSync(tree, { recursive: true })
}

const sha256 = (path: string): string => execFileSync('sha256sum', [path]).toString().slice(0, 64)

const stanza = (archive: string, file: string): string => {
  const path = join(archive, 'pool', file)
  const fields = execFileSync('dpkg-deb', ['-f', path]).toString()
  return `${fields}Filename: pool/${file}\nSize: ${statSync(path).size}\nSHA256: ${sha256(path)}\n\n`
}

const writeSuite = (
  archive: string,
  codename: string,
  suite: string,
  files: readonly string[],
  origin = 'Debian',
): void => {
  const folder = join(archive, 'dists', codename)
  const index = join('main', 'binary-amd64', 'Packages')
  mkdirSync(join(folder, 'main', 'binary-amd64'), { recursive: true })
  const packages = files.map(file => stanza(archive, file)).join('')
  writeFileSync(join(folder, index), packages)
  writeFileSync(
    join(folder, 'Release'),
    `Origin: ${origin}\nLabel: ${origin}\nSuite: ${suite}\nCodename: ${codename}\n` +
      `Date: Fri, 30 Oct 2020 08:08:01 UTC\nArchitectures: amd64\nComponents: main\nSHA256:\n` +
      ` ${sha256(join(folder, index))} ${packages.length} ${index}\n`,
  )
}

/** What apt would change of the machine's own. */
const systemState = (): string =>
  ['/var/lib/apt', '/var/lib/apt/lists', '/var/lib/dpkg', '/var/cache/apt', '/var/cache/apt/archives']
    .map(folder => {
      try {
        return `${folder} ${statSync(folder).mtimeMs} ${readdirSync(folder).join(' ')}`
      } catch {
        return folder
      }
    })
    .join('\n')

describe.skipIf(missing.length > 0)(`the real apt (skipped without ${missing.join(', ') || 'it'})`, () => {
  // A blank in its name is what apt splits at, where it is let.
  let folder = ''
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'sigframe apt-'))
    const archive = join(mkdtempSync(join(tmpdir(), 'sigframe-archive-')))
    mkdirSync(join(archive, 'pool'))
    buildKernel(archive, 'linux-image-6.12.43+deb13-cloud-amd64', '6.12.43-1', '6.12.43+deb13-cloud-amd64')
    buildKernel(
      archive,
      'linux-binary-7.2.12+deb13-cloud-amd64',
      '7.2.12-1~bpo13+1',
      '7.2.12+deb13-cloud-amd64',
    )
    writeSuite(archive, 'trixie', suites.trixie, ['linux-image-6.12.43+deb13-cloud-amd64.deb'])
    writeSuite(archive, 'trixie-backports', suites['trixie-backports'], [
      'linux-binary-7.2.12+deb13-cloud-amd64.deb',
    ])
    buildKernel(archive, 'linux-image-9.9.9-cloud-amd64', '9.9.9-1', '9.9.9-cloud-amd64')
    writeSuite(archive, 'foreign', 'foreign', ['linux-image-9.9.9-cloud-amd64.deb'], 'Other')
    writeSuite(archive, 'hidden', 'hidden', ['linux-image-9.9.9-cloud-amd64.deb'])
    mkdirSync(join(folder, 'parts'))
    writeFileSync(join(folder, 'parts', 'foreign.list'), `deb [trusted=yes] file:${archive} foreign main\n`)
    const signedNowhere = `Types: deb\nURIs: file:${archive}\nSuites: trixie\nComponents: main contrib\nTrusted: yes\n`
    writeFileSync(join(folder, 'parts', 'debian.sources'), signedNowhere)
    writeFileSync(join(folder, 'parts', 'other.sources'), `${signedNowhere}Enabled: no\n`)
    writeFileSync(join(folder, 'parts', 'old.list.bak'), `deb [trusted=yes] file:${archive} hidden main\n`)
    // The hook is the machine's: our updates must not run it.
    writeFileSync(
      join(folder, 'machine.conf'),
      `Dir::Etc::sourcelist "${folder}/none.list";\nDir::Etc::sourceparts "${folder}/parts";\n` +
        `APT::Update::Post-Invoke { "touch '${folder}/hook'"; };\n`,
    )
    vi.stubEnv('APT_CONFIG', join(folder, 'machine.conf'))
    return () => rmSync(archive, { recursive: true, force: true })
  })
  afterAll(() => {
    vi.unstubAllEnvs()
    rmSync(folder, { recursive: true, force: true })
  })

  test('lists and fetches from suites that nobody configured, and leaves the machine alone', async () => {
    const before = systemState()
    const cache = join(folder, 'cache')
    expect(await listKernels({ cache })).toMatchObject([
      { version: '6.12.43', suite: 'trixie', package: 'linux-image-6.12.43+deb13-cloud-amd64' },
      { version: '7.2.12', suite: 'trixie-backports', packageVersion: '7.2.12-1~bpo13+1' },
    ])
    const kernel = await fetchKernel('7.2', { cache })
    expect(kernel.image).toMatchObject({ release: '7.2.12+deb13-cloud-amd64', bits64: true })
    expect(readFileSync(kernel.config ?? '', 'utf8')).toBe('CONFIG_X86=y\n')
    expect(readdirSync(join(cache, 'kernels', 'debian'))).toEqual(['7.2.12'])
    expect(readdirSync(folder)).not.toContain('hook')
    expect(systemState()).toBe(before)
  })
})

describe('the configured mirror', () => {
  // Forty megabytes are much for every run: there they are, or many minutes are wanted.
  const isThere = existsSync(join(cacheFolder(), 'apt', 'kernels.json'))
  const isMeant = isThere || Boolean(process.env.SIGFRAME_LONG)

  test('has kernels to list', { timeout: 300_000 }, async context => {
    if (missing.length > 0) context.skip(`there is no ${missing.join(', ')}`)
    if (!isMeant) context.skip('there are no lists in the cache; SIGFRAME_LONG=1 fetches them')
    const temporary = isThere ? null : mkdtempSync(join(tmpdir(), 'sigframe-live-'))
    try {
      const kernels = await listKernels({ cache: temporary ?? cacheFolder() }).catch(
        (error: Error & { problem?: string }) => {
          if (error.problem === 'mirror' || error.problem === 'no-debian' || error.name === 'CacheError')
            context.skip(error.message)
          throw error
        },
      )
      expect(kernels.length).toBeGreaterThan(0)
      for (const kernel of kernels) {
        expect(kernel.version).toMatch(/^\d+\.\d+/)
        expect(kernel.package).toMatch(/^linux-(image|binary)-.*amd64/)
        expect(kernel.suite).not.toBe('')
        expect(kernel.bytes).toBeGreaterThan(1e6)
      }
    } finally {
      if (temporary !== null) rmSync(temporary, { recursive: true, force: true })
    }
  })
})
