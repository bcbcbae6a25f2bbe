import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { describe, expect, test } from 'vitest'

const root = join(import.meta.dirname, '..', '..')

/** Each folder may use those of its own line and of the lines after it. */
const order = [
  ['lib/cli'],
  ['selftests'],
  [
    'lib/harness',
    'lib/fuzz',
    'lib/foreign',
    'lib/hosts',
    'lib/matrix',
    'lib/merge',
    'lib/report',
    'lib/vm',
    'lib/bench',
    'lib/stress',
    'lib/reproducer',
  ],
  ['lib/contract', 'lib/probe', 'lib/neighbours'],
  ['lib/elf'],
  ['lib/frame'],
  ['lib/catalogue'],
  ['lib/xstate'],
]

/** These work on any machine: not even indirectly may they need the addon. */
const pure = ['lib/contract', 'lib/elf', 'lib/frame', 'lib/catalogue', 'lib/xstate']
const mayLoadNative = /^lib\/(probe|neighbours)\/|^lib\/xstate\/host\.ts$/

interface Import {
  from: string
  to: string
  typeOnly: boolean
}

const files = ['lib', 'selftests'].flatMap(sourcesIn)
const imports = files.flatMap(importsOf)

describe('dependencies point one way', () => {
  test('every folder has its place in the order', () => {
    const unknown = files.filter(file => file.split('/').length > 2 && rank(file) === -1)
    expect(unknown).toEqual([])
  })

  test('no folder uses one above it', () => {
    // Files of lib/ itself are no layer: index.ts re-exports, the others serve all.
    const upward = imports.filter(({ from, to }) => rank(from) >= 0 && rank(to) >= 0 && rank(to) < rank(from))
    expect(upward.map(text)).toEqual([])
  })

  test('what serves all uses no layer, and nobody uses index.ts', () => {
    const inRoot = (file: string) => /^lib\/[^/]+$/.test(file) && file !== 'lib/index.ts'
    const wrong = imports.filter(({ from, to }) => (inRoot(from) && !inRoot(to)) || to === 'lib/index.ts')
    expect(wrong.map(text)).toEqual([])
  })

  test('the addon is reached from lib/probe, lib/neighbours and lib/xstate/host.ts alone', () => {
    const wrong = imports.filter(({ from, to }) => to === 'lib/native.ts' && !mayLoadNative.test(from))
    expect(wrong.filter(({ from }) => from !== 'lib/index.ts').map(text)).toEqual([])
    const loaders = files.filter(file => /sigframe\.node|process\.dlopen|createRequire/.test(code(file)))
    expect(loaders).toEqual(['lib/native.ts'])
  })

  test('contract, frame and xstate need no addon', () => {
    const isPure = (file: string) =>
      pure.some(folder => file.startsWith(`${folder}/`)) && !mayLoadNative.test(file)
    const wrong = imports.filter(
      ({ from, to, typeOnly }) => isPure(from) && !typeOnly && mayLoadNative.test(to),
    )
    expect(wrong.map(text)).toEqual([])
  })
})

function rank(file: string): number {
  return order.findIndex(line => line.some(folder => file.startsWith(`${folder}/`)))
}

function text({ from, to }: Import): string {
  return `${from} uses ${to}`
}

function sourcesIn(folder: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter(path => path.endsWith('.ts'))
    .map(path => `${folder}/${path}`)
    .sort()
}

function code(file: string): string {
  return readFileSync(join(root, file), 'utf8').replace(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, '')
}

/** Relative ones only: packages and Node's own modules are no layer. */
function importsOf(from: string): Import[] {
  const statement = /\b(import|export)\b(\s+type\b)?(?:[^;'"`]*?\bfrom)?\s*\(?\s*['"](\.{1,2}\/[^'"]+)['"]/g
  return [...code(from).matchAll(statement)].map(([, , type, path]) => ({
    from,
    to: relative(root, join(root, dirname(from), path!)),
    typeOnly: type !== undefined,
  }))
}
