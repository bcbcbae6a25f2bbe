import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'

const root = join(import.meta.dirname, '..', '..')
const fragment = readFileSync(join(root, 'docs', 'sigframe-vm.config'), 'utf8')

/** scripts/kconfig/merge_config.sh reads no more than this; anything else it drops without a word. */
const setting = /^(?:(CONFIG_[A-Z0-9_]+)=y|# (CONFIG_[A-Z0-9_]+) is not set)$/
const isComment = (line: string): boolean => /^#( |$)/.test(line) && !/^# CONFIG_/.test(line)

interface Settings {
  readonly on: readonly string[]
  readonly all: readonly string[]
  readonly odd: readonly string[]
}

const settingsIn = (text: string): Settings => {
  const lines = text.split('\n').filter(line => line !== '')
  const found = lines.map(line => setting.exec(line)).filter(match => match !== null)
  return {
    on: found.flatMap(([, name]) => name ?? []),
    all: found.map(([, on, off]) => (on ?? off) as string),
    odd: lines.filter(line => !setting.test(line) && !isComment(line)),
  }
}

const sourcesIn = (...folder: readonly string[]): readonly string[] => {
  const path = join(root, ...folder)
  const names = readdirSync(path).filter(name => /\.(?:cc|ts)$/.test(name))
  return names.map(name => readFileSync(join(path, name), 'utf8'))
}

const withoutComments = (source: string): string =>
  source.replace(/\/\*[\s\S]*?\*\//g, '').replace(/(^|\s)\/\/.*$/gm, '')

/** Every option that a machine may be told to lack, by PID 1 or by what the console shows. */
const reported = (): readonly string[] => {
  const sources = [...sourcesIn('native', 'init'), ...sourcesIn('lib', 'vm')]
  const text = sources.map(withoutComments).join('\n')
  return [...new Set(text.match(/\bCONFIG_[A-Z0-9_]{2,}\b/g))]
}

describe('the kernel configuration', () => {
  const { on, all, odd } = settingsIn(fragment)

  test('has nothing but options that are on or off, and comments', () => {
    expect(odd).toEqual([])
    expect(on.length).toBeGreaterThan(0)
    expect(fragment.endsWith('\n')).toBe(true)
  })

  test('names each option once', () => {
    expect(all.filter((name, i) => all.indexOf(name) !== i)).toEqual([])
  })

  test('has all that a machine may report as lacking', () => {
    const names = reported()
    expect(names).toEqual(expect.arrayContaining(['CONFIG_FUTEX', 'CONFIG_BINFMT_ELF']))
    expect(names.filter(name => !on.includes(name))).toEqual([])
  })

  test('has what a machine without it could not even report', () => {
    const silent = [
      'CONFIG_64BIT',
      'CONFIG_BINFMT_ELF',
      'CONFIG_BLK_DEV_INITRD',
      'CONFIG_PRINTK',
      'CONFIG_SERIAL_8250_CONSOLE',
      'CONFIG_TTY',
    ]
    expect(silent.filter(name => !on.includes(name))).toEqual([])
  })

  test('is read as strictly as it says', () => {
    const text =
      'CONFIG_A=m\nCONFIG_B = y\n# CONFIG_C is not se\n#CONFIG_D=y\nCONFIG_E=y\n# CONFIG_F is not set\n# A word\n'
    expect(settingsIn(text)).toEqual({
      on: ['CONFIG_E'],
      all: ['CONFIG_E', 'CONFIG_F'],
      odd: ['CONFIG_A=m', 'CONFIG_B = y', '# CONFIG_C is not se', '#CONFIG_D=y'],
    })
  })
})
