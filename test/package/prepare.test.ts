import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'

const root = join(import.meta.dirname, '..', '..')
const supported = process.platform === 'linux' && process.arch === 'x64'

/** A package with our scripts and build files, and next to nothing to compile. */
let folder: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sigframe-prepare-'))
  for (const name of copied) cpSync(join(root, name), join(folder, name))
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'))
  write('native/build.json', JSON.stringify(buildList))
  write('native/exports.map', '{ global: napi_register_module_v1; local: *; };')
  write('native/addon.cc', '#include <node_api.h>\nNAPI_MODULE_INIT() { return env ? exports : nullptr; }\n')
  write('native/probe.cc', 'int main() { return 0; }\n')
  write('native/init.cc', 'int main() { return 0; }\n')
  write('lib/index.ts', "export const name = 'tiny'\n")
})

const copied = ['package.json', 'tsconfig.json', 'tsconfig.build.json', 'binding.gyp', 'scripts/prepare.mjs']
const noFlags = { defines: [], cflags: [], cflags_cc: [], ldflags: [] }
const buildList = {
  common: { ...noFlags, include: ['native'], cflags: ['-Wall', '-Werror'] },
  addon: { ...noFlags, exports: 'native/exports.map', sources: ['native/addon.cc'] },
  probe: { ...noFlags, sources: ['native/probe.cc'] },
  init: { ...noFlags, sources: ['native/init.cc'] },
}

afterEach(() => {
  rmSync(folder, { recursive: true, force: true })
})

describe.skipIf(!supported)('on x86-64 Linux', () => {
  test('it compiles, says one line, and puts the files where the tarball takes them from', () => {
    expect(prepare()).toEqual({
      status: 0,
      stdout: expect.stringMatching(/^sigframe: addon, probe and init compiled \(headers: .+\)\n$/),
      stderr: '',
    })
    expect(readdirSync(join(folder, 'prebuilds/linux-x64')).sort()).toEqual([
      'sigframe-init',
      'sigframe-probe',
      'sigframe.node',
    ])
    expect(run(join(folder, 'prebuilds/linux-x64/sigframe-probe')).status).toBe(0)
    expect(existsSync(join(folder, 'dist/lib/index.js'))).toBe(true)
  })

  test("without Node's own headers it takes those of node-api-headers; nothing is fetched", () => {
    // Whatever would be fetched would be fetched from here; npm's settings are not to get in the way.
    const { status, stdout } = prepare({
      SIGFRAME_HEADERS: 'npm',
      npm_config_disturl: 'http://127.0.0.1:9',
      npm_config_nodedir: '/nowhere',
    })
    expect(stdout).toBe('sigframe: addon, probe and init compiled (headers: node-api-headers)\n')
    expect(status).toBe(0)
    const addon = join(folder, 'build/Release/sigframe.node')
    expect(run(process.execPath, ['-p', `typeof require(${JSON.stringify(addon)})`]).stdout).toBe('object\n')
  })

  test("a compile that fails is an error, with the compiler's words and ours last", () => {
    write('native/addon.cc', 'static int forgotten;\n')
    const { status, stderr } = prepare()
    expect(status).toBe(1)
    expect(stderr).toMatch(/native\/addon\.cc:1:12: error: .*forgotten/)
    expect(stderr).toMatch(/\nsigframe: the addon does not compile; the output above says why\n$/)
    expect(existsSync(join(folder, 'prebuilds'))).toBe(false)
  })

  test('what is missing is named before anything runs', () => {
    mkdirSync(join(folder, 'bin'))
    symlinkSync(process.execPath, join(folder, 'bin/node'))
    const defaults = Object.fromEntries(
      ['CXX', 'CC', 'MAKE', 'PYTHON', 'npm_config_python'].map(name => [name, undefined]),
    )
    expect(prepare({ ...defaults, PATH: join(folder, 'bin') })).toEqual({
      status: 1,
      stdout: '',
      stderr:
        'sigframe: cannot compile the addon: a C++ compiler (g++), a C compiler (cc), make (make), Python 3 (python3) not found; install what is missing and try again\n',
    })
    // The C library comes with the compiler, or has to be fetched: only the compiler knows.
    write('bin/g++', '#!/bin/sh\necho libc.a\n')
    chmodSync(join(folder, 'bin/g++'), 0o755)
    expect(prepare({ CXX: join(folder, 'bin/g++') }).stderr).toBe(
      'sigframe: cannot compile the addon: a static C library (libc.a) not found; install what is missing and try again\n',
    )
    expect(prepare({ CXX: 'no-such-g++ -m64' }).stderr).toBe(
      'sigframe: cannot compile the addon: a C++ compiler (no-such-g++ -m64) not found; install what is missing and try again\n',
    )
  })

  test('without the development dependencies it says which, and how to get them', () => {
    rmSync(join(folder, 'node_modules'))
    expect(prepare()).toEqual({
      status: 1,
      stdout: '',
      stderr: 'sigframe: building needs node-gyp, a development dependency: install without --omit=dev\n',
    })
  })
})

describe('elsewhere', () => {
  test.each([
    ['darwin', 'arm64'],
    ['darwin', 'x64'],
    ['linux', 'arm64'],
  ])('%s %s: the install goes on without the addon, in one line', (platform, arch) => {
    write('prebuilds/linux-x64/sigframe.node', 'of another day')
    expect(prepare(pretend(platform, arch))).toEqual({
      status: 0,
      stdout: `sigframe: no addon on ${platform} ${arch}: probes need x86-64 Linux; the rest works\n`,
      stderr: '',
    })
    expect(existsSync(join(folder, 'prebuilds/linux-x64'))).toBe(false)
    expect(existsSync(join(folder, 'dist/lib/index.js'))).toBe(true)
  })

  test('a package without the addon is not published', () => {
    const { status, stderr } = prepare({ ...pretend('darwin', 'arm64'), npm_command: 'publish' })
    expect(status).toBe(1)
    expect(stderr).toBe(
      'sigframe: a package without the addon is not to be published: publish from x86-64 Linux\n',
    )
  })

  test('dist/ holds nothing of sources that are gone', () => {
    write('dist/lib/gone.js', '')
    prepare(pretend('darwin', 'arm64'))
    expect(readdirSync(join(folder, 'dist/lib')).sort()).toEqual(['index.d.ts', 'index.js'])
  })
})

/** Another machine for prepare.mjs, and for it alone: the compiler that it starts is this machine's. */
function pretend(platform: string, arch: string): NodeJS.ProcessEnv {
  const set = (name: string, value: string) => `Object.defineProperty(process,'${name}',{value:'${value}'})`
  const script = `if(process.argv[1].endsWith('prepare.mjs')){${set('platform', platform)};${set('arch', arch)}}`
  return { NODE_OPTIONS: `--import data:text/javascript,${script}` }
}

function prepare(env: NodeJS.ProcessEnv = {}) {
  return run(process.execPath, ['scripts/prepare.mjs'], env)
}

function run(command: string, args: string[] = [], env: NodeJS.ProcessEnv = {}) {
  const { status, stdout, stderr } = spawnSync(command, args, {
    cwd: realpathSync(folder),
    encoding: 'utf8',
    env: { ...process.env, PATH: `${dirname(process.execPath)}${delimiter}${process.env.PATH}`, ...env },
  })
  return { status, stdout, stderr }
}

function write(path: string, text: string): void {
  mkdirSync(dirname(join(folder, path)), { recursive: true })
  writeFileSync(join(folder, path), text)
}
