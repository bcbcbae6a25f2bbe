import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'

const root = join(import.meta.dirname, '..', '..')
const read = (path: string) => JSON.parse(readFileSync(join(root, path), 'utf8'))
const manifest = read('package.json')
const lock = read('package-lock.json')
const supported = process.platform === 'linux' && process.arch === 'x64'

describe('the package', () => {
  test('an install of it runs nothing', () => {
    expect(manifest.gypfile).toBe(false)
    expect(Object.keys(manifest.scripts)).not.toEqual(
      expect.arrayContaining([expect.stringMatching(/^(pre|post)?install$/)]),
    )
  })

  test('cmake-js builds for the Node-API version that the sources are compiled for', () => {
    const { defines } = read('native/build.json').addon
    expect(manifest.binary.napi_versions.map((version: number) => `NAPI_VERSION=${version}`)).toEqual(
      defines.filter((define: string) => define.startsWith('NAPI_VERSION=')),
    )
  })

  test('the tarball holds what users need and nothing to build', () => {
    const output = execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], {
      cwd: root,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    const files: { path: string; mode: number }[] = JSON.parse(output)[0].files
    const paths = files.map(file => file.path)
    const foreign =
      /^(dist\/(lib|selftests)\/.*\.(js|d\.ts|json)|docs\/[a-z.-]+\.(md|json|config)|catalogue\/[a-z0-9-]+\.json|prebuilds\/linux-x64\/sigframe(-probe|-init|\.node))$/
    expect(paths.filter(path => !foreign.test(path) && path.includes('/'))).toEqual([])
    expect(paths.filter(path => !path.includes('/')).sort()).toEqual(
      expect.arrayContaining(['LICENSE', 'package.json']),
    )
    expect(paths).not.toContain('binding.gyp')
    expect(paths).toEqual(
      expect.arrayContaining([
        manifest.exports['.'].default.slice(2),
        manifest.bin.sigframe,
        manifest.types.slice(2),
      ]),
    )
    if (supported) {
      expect(paths).toContain('prebuilds/linux-x64/sigframe.node')
      for (const name of ['sigframe-probe', 'sigframe-init']) {
        const program = files.find(file => file.path === `prebuilds/linux-x64/${name}`)
        expect(program!.mode & 0o111, name).not.toBe(0)
      }
    }
  })

  test('the lock file names no place to fetch from', () => {
    const places = Object.values<{ resolved?: string }>(lock.packages).map(entry => entry.resolved)
    expect(places.filter(Boolean)).toEqual([])
  })
})
