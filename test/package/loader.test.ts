import { execFileSync } from 'node:child_process'
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { probePath } from '../../lib/native.ts'

const supported = process.platform === 'linux' && process.arch === 'x64'
let folder: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sigframe-loader-'))
})

afterEach(() => {
  vi.unstubAllEnvs()
  rmSync(folder, { recursive: true, force: true })
})

describe.skipIf(!supported)('a folder given by SIGFRAME_NATIVE_DIR', () => {
  test('is where both files come from', async () => {
    copyBuild(folder)
    const loader = await loaderFor(folder)
    expect(loader.nativeProblem()).toBeUndefined()
    expect(loader.loadNative()).toBe(loader.loadNative())
    expect(loader.probePath()).toBe(join(folder, 'sigframe-probe'))
  })

  test('that is not there is named, and nothing is taken in its place', async () => {
    expect(await problem(join(folder, 'nowhere'))).toBe(
      `the native addon is not there: ${folder}/nowhere: no such folder. SIGFRAME_NATIVE_DIR names the folder that holds both: correct it or unset it`,
    )
  })

  test('without the addon', async () => {
    expect(await problem(folder)).toContain(`${folder}: no sigframe.node.`)
  })

  test('without the probe', async () => {
    copyBuild(folder)
    rmSync(join(folder, 'sigframe-probe'))
    expect(await problem(folder)).toContain(`${folder}: no sigframe-probe.`)
  })

  test.each(['sigframe.node', 'sigframe-probe'])('whose %s is for another processor', async name => {
    copyBuild(folder)
    const elf = readFileSync(join(folder, name))
    elf.writeUInt16LE(183, 18) // EM_AARCH64
    writeFileSync(join(folder, name), elf)
    expect(await problem(folder)).toContain(`${folder}: ${name} was built for another platform.`)
  })

  test('whose addon is cut off', async () => {
    copyBuild(folder)
    const addon = join(folder, 'sigframe.node')
    writeFileSync(addon, readFileSync(addon).subarray(0, 100))
    expect(await problem(folder)).toContain(`${folder}: sigframe.node does not load (`)
  })

  test('whose probe may not be executed', async () => {
    copyBuild(folder)
    chmodSync(join(folder, 'sigframe-probe'), 0o644)
    expect(await problem(folder)).toContain(`${folder}: sigframe-probe is not executable.`)
  })
})

describe.skipIf(!supported)('an installed package', () => {
  test('without a build names every place that was tried', () => {
    expect(installedProblem()).toBe(
      `the native addon is not there: ${folder}/build/Release: no such folder; ${folder}/prebuilds/linux-x64: no such folder. Install sigframe again, or build it from a clone: npm ci`,
    )
  })

  test('that is a clone says how to build it', () => {
    writeFileSync(join(folder, 'binding.gyp'), '{}')
    expect(installedProblem()).toMatch(/\. Build it: npm run prepare$/)
  })

  test('uses its prebuild', () => {
    copyBuild(join(folder, 'prebuilds', 'linux-x64'))
    expect(installedProblem()).toBe('undefined')
  })

  /** What the compiled loader says in a package that has nothing else. */
  function installedProblem(): string {
    cpSync(join(import.meta.dirname, '../../dist/lib/native.js'), join(folder, 'dist/lib/native.js'))
    writeFileSync(join(folder, 'package.json'), '{ "name": "sigframe", "type": "module" }')
    const url = pathToFileURL(join(folder, 'dist/lib/native.js')).href
    const script = `import { nativeProblem } from '${url}'; process.stdout.write(String(nativeProblem()))`
    const { SIGFRAME_NATIVE_DIR: _, ...env } = process.env
    return execFileSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8', env })
  }
})

test.each([
  ['darwin', 'arm64'],
  ['linux', 'arm64'],
  ['win32', 'x64'],
])('%s %s: one clear line', async (platform, arch) => {
  const real = { platform: process.platform, arch: process.arch }
  Object.defineProperty(process, 'platform', { value: platform })
  Object.defineProperty(process, 'arch', { value: arch })
  try {
    expect(await problem(folder)).toBe(
      `probing signal frames needs x86-64 Linux; this is ${platform} ${arch}`,
    )
  } finally {
    Object.defineProperty(process, 'platform', { value: real.platform })
    Object.defineProperty(process, 'arch', { value: real.arch })
  }
})

/** A loader that has not loaded anything yet. */
async function loaderFor(nativeDir: string) {
  vi.resetModules()
  vi.stubEnv('SIGFRAME_NATIVE_DIR', nativeDir)
  return await import('../../lib/native.ts')
}

async function problem(nativeDir: string): Promise<string> {
  const { loadNative, nativeProblem, NativeUnavailableError, probePath } = await loaderFor(nativeDir)
  const message = nativeProblem()!
  expect(message).not.toContain('\n')
  expect(loadNative).toThrow(new NativeUnavailableError(message))
  expect(probePath).toThrow(NativeUnavailableError)
  return message
}

function copyBuild(to: string): void {
  const from = dirname(probePath())
  mkdirSync(to, { recursive: true })
  for (const name of ['sigframe.node', 'sigframe-probe']) cpSync(join(from, name), join(to, name))
}
