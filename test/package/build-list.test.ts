import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'

const root = join(import.meta.dirname, '..', '..')
const read = (path: string) => readFileSync(join(root, path), 'utf8')
const build = JSON.parse(read('native/build.json'))
const supported = process.platform === 'linux' && process.arch === 'x64'

/** A source, or a flag for the compiler or the linker, written out. */
const literal = /\S+\.(?:cc|S)\b|(?<![\w-])-(?:O|W|f|m|std=|pie|z)\w*\S*/g

describe('native/build.json is the one list of sources and flags', () => {
  test('it names every source there is, and no other', () => {
    const there = readdirSync(join(root, 'native'), { recursive: true, encoding: 'utf8' })
      .filter(path => /\.(cc|S)$/.test(path))
      .map(path => `native/${path}`)
    const named = [...build.addon.sources, ...build.probe.sources, ...build.init.sources]
    expect(named.sort()).toEqual(there.sort())
  })

  test('binding.gyp has none of its own', () => {
    const text = withoutComments(read('binding.gyp'))
      .split('\n')
      .filter(line => !/'\w+!':/.test(line)) // what is taken away
      .join('\n')
      .replaceAll('-Wl,--version-script=', '')
    expect(text.match(literal)).toBeNull()
    expect(text).toContain('native/build.json')
  })

  test('CMakeLists.txt has none of its own', () => {
    const text = withoutComments(read('CMakeLists.txt'))
      .replace(/if\(SIGFRAME_SANITIZE\)[\s\S]*?endif\(\)/, '')
      .replaceAll('-Wl,--version-script=', '')
    expect(text.match(literal)).toBeNull()
    expect(text).toContain('native/build.json')
  })

  test.each(['common', 'addon', 'probe', 'init'])('both take every key of "%s"', part => {
    const gyp = read('binding.gyp')
    const cmake = read('CMakeLists.txt')
    for (const key of Object.keys(build[part])) {
      expect(gyp).toMatch(new RegExp(`build\\.json\\\\?'\\)\\.${part}\\.${key}\\b`))
      // apply(target part) takes these four; the others are asked for by name
      const applied = ['defines', 'cflags', 'cflags_cc', 'ldflags'].includes(key)
      expect(cmake).toMatch(new RegExp(applied ? `apply\\(\\S+ ${part}\\)` : `${part} ${key}\\b`))
    }
  })

  test.skipIf(!supported || !existsSync(join(root, 'build')))(
    'node-gyp compiles with those flags alone',
    () => {
      for (const [target, part] of [
        ['sigframe', 'addon'],
        ['sigframe-probe', 'probe'],
        ['sigframe-init', 'init'],
      ] as const) {
        const makefile = read(`build/${target}.target.mk`)
        const lines = (variable: string) =>
          new RegExp(`^${variable} := ((?:.*\\\\\\n)*.*)`, 'm')
            .exec(makefile)![1]!
            .split(/[\s\\]+/)
            .filter(Boolean)
        const wanted = [...build.common.cflags, ...build[part].cflags]
        expect(lines('CFLAGS_Release')).toEqual(expect.arrayContaining(wanted))
        expect(lines('CFLAGS_CC_Release')).toEqual(expect.arrayContaining(build.common.cflags_cc))
        // The last one wins: Node's level of optimisation and its C++ standard may not follow ours.
        const levels = (flag: string) => /^-(O|std=)/.test(flag)
        const all = [...lines('CFLAGS_Release'), ...lines('CFLAGS_CC_Release')]
        expect(all.filter(levels)).toEqual([...wanted, ...build.common.cflags_cc].filter(levels))
        expect(lines('LDFLAGS_Release')).toEqual(
          expect.arrayContaining([...build.common.ldflags, ...build[part].ldflags]),
        )
        expect(lines('LDFLAGS_Release')).not.toContain('-rdynamic')
      }
    },
  )
})

function withoutComments(text: string): string {
  return text.replace(/^\s*#.*$/gm, '')
}
