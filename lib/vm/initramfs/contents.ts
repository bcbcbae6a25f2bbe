/** What a machine boots into: PID 1, Node with its libraries, and this package. */
import { realpathSync } from 'node:fs'
import { basename, dirname } from 'node:path'
import { nativeFiles } from '../../probe/native-files.ts'
import { loadedLibraries } from './libraries.ts'
import type { Entry } from './newc.ts'
import { type Placed, packageFiles, packageFolder } from './package.ts'

/** Where things are in the machine. */
export const inMachine = {
  node: '/usr/bin/node',
  init: '/init',
  package: '/sigframe',
  guest: '/sigframe/dist/lib/vm/guest/main.js',
  job: '/job',
  task: '/task.json',
} as const

const folders = ['bin', 'dev', 'etc', 'lib', 'proc', 'root', 'sigframe', 'sys', 'tmp', 'usr', 'usr/bin']

/** For kernels without devtmpfs, and until it is mounted. Numbers from Documentation/admin-guide/devices.txt. */
const devices: readonly Entry[] = (
  [
    ['null', 1, 3],
    ['zero', 1, 5],
    ['random', 1, 8],
    ['urandom', 1, 9],
    ['kmsg', 1, 11],
    ['tty', 5, 0],
    ['console', 5, 1],
    ['ttyS0', 4, 64],
    ['ttyS1', 4, 65],
  ] as const
).map(([name, major, minor]) => ({ kind: 'device', name: `dev/${name}`, major, minor }))

/** Every place where a loader looks, of whatever distribution: one folder. */
const libraryFolders: readonly Entry[] = ['lib64', 'usr/lib', 'usr/lib64', 'lib/x86_64-linux-gnu'].map(
  name => ({
    kind: 'link',
    name,
    target: '/lib',
  }),
)

const known = [
  '/lib',
  '/lib64',
  '/usr/lib',
  '/usr/lib64',
  '/lib/x86_64-linux-gnu',
  '/usr/lib/x86_64-linux-gnu',
]

/** Files to copy. */
export const placedFiles = (): readonly Placed[] => {
  const { addon, probe, init } = nativeFiles()
  const folder = packageFolder()
  return [
    { from: realpathSync(process.execPath), to: inMachine.node },
    { from: init, to: inMachine.init },
    ...loadedLibraries().map(from => ({ from, to: `/lib/${basename(from)}` })),
    ...[addon, probe].map(from => ({
      from,
      to: `${inMachine.package}/prebuilds/linux-x64/${basename(from)}`,
    })),
    ...packageFiles(folder, inMachine.package),
  ]
}

const parents = (path: string): string[] => {
  const parent = dirname(path)
  return parent === '.' || parent === '/' ? [] : [...parents(parent), parent]
}

const isProgram = (path: string): boolean => !/\.([cm]?js|json)$/.test(path)

/** A library that was loaded from a folder of its own is looked for there, too. */
const linksTo = (libraries: readonly string[]): readonly Entry[] =>
  libraries
    .filter(path => !known.includes(dirname(path)))
    .map(path => ({ kind: 'link', name: path.slice(1), target: `/lib/${basename(path)}` }))

/** Entries in an order that can be unpacked; files are read as they come. */
export function* entriesOf(placed: readonly Placed[], read: (path: string) => Uint8Array): Generator<Entry> {
  const links = linksTo(loadedLibraries())
  const made = new Set(libraryFolders.map(({ name }) => name))
  const needed = [
    ...folders,
    ...[...placed.map(({ to }) => to.slice(1)), ...links.map(({ name }) => name)].flatMap(parents),
  ]
  for (const name of needed) {
    if (made.has(name)) continue
    made.add(name)
    yield { kind: 'folder', name }
  }
  yield* libraryFolders
  yield* devices
  yield* links
  for (const { from, to } of placed)
    yield { kind: 'file', name: to.slice(1), executable: isProgram(to), bytes: read(from) }
}
