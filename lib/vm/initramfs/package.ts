/** The files of this package and of what it depends on, as they are installed here. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

/** A file here, and where it goes. */
export interface Placed {
  readonly from: string
  readonly to: string
}

interface Manifest {
  readonly name?: string
  readonly dependencies?: Readonly<Record<string, string>>
}

const manifestOf = (folder: string): Manifest =>
  JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as Manifest

/** What Node may load; types, maps and documents are left here. */
const isLoaded = (name: string): boolean => /\.([cm]?js|json)$/.test(name)

const skipped: ReadonlySet<string> = new Set(['node_modules', '.git'])

const filesIn = (from: string, to: string): Placed[] =>
  readdirSync(from, { withFileTypes: true }).flatMap(entry => {
    if (entry.isDirectory())
      return skipped.has(entry.name) ? [] : filesIn(join(from, entry.name), `${to}/${entry.name}`)
    return isLoaded(entry.name) ? [{ from: join(from, entry.name), to: `${to}/${entry.name}` }] : []
  })

/** The folder of an installed package, looked for as Node does: in node_modules of each folder upward. */
const folderOf = (name: string, from: string): string => {
  for (let at = from; ; at = dirname(at)) {
    const folder = join(at, 'node_modules', name)
    if (existsSync(join(folder, 'package.json'))) return folder
    if (at === dirname(at)) throw new Error(`${name} is not installed beside ${from}`)
  }
}

const withDependencies = (folder: string, seen: Map<string, string>): Map<string, string> => {
  for (const name of Object.keys(manifestOf(folder).dependencies ?? {})) {
    if (seen.has(name)) continue
    const found = folderOf(name, folder)
    seen.set(name, found)
    withDependencies(found, seen)
  }
  return seen
}

/** The folder of this package: the first one upward whose package.json has its name. */
export const packageFolder = (from: string = import.meta.dirname): string => {
  for (let at = from; ; at = dirname(at)) {
    if (existsSync(join(at, 'package.json')) && manifestOf(at).name === 'sigframe') return at
    if (at === dirname(at)) throw new Error(`no package.json of sigframe above ${from}`)
  }
}

/**
 * What is compiled of this package, its catalogue, and its dependencies, flat.
 * @throws Error where the package is not compiled
 */
export const packageFiles = (folder: string, to: string): readonly Placed[] => {
  const compiled = join(folder, 'dist')
  if (!existsSync(join(compiled, 'lib', 'vm', 'guest', 'main.js')))
    throw new Error(`${compiled} is not there or incomplete: npm run prepare makes it`)
  return [
    { from: join(folder, 'package.json'), to: `${to}/package.json` },
    ...filesIn(compiled, `${to}/dist`),
    ...[...withDependencies(folder, new Map())].flatMap(([name, found]) =>
      filesIn(found, `${to}/node_modules/${name}`),
    ),
    ...filesIn(join(folder, 'catalogue'), `${to}/catalogue`),
  ]
}
