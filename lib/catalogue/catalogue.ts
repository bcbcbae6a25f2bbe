/**
 * CPUs that the project is likely to meet, and where each has its components: one file a layout, in catalogue/. What a
 * host has is read from the host, never here.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { show } from '../errors.ts'
import { packageRoot } from '../package-root.ts'
import { type Layout, layoutFromJSON } from '../xstate/layout.ts'
import type { CatalogueEntry, CpuFile } from './entry.ts'

const suffix = '.json'

let names: readonly string[] | undefined
const entries = new Map<string, CatalogueEntry>()

const folderOfCatalogue = (): string => {
  const root = packageRoot()
  if (root === null) throw new Error('the catalogue is not there: nor is the package that it is a part of')
  return join(root.folder, 'catalogue')
}

const listNames = (): readonly string[] =>
  Object.freeze(
    readdirSync(folderOfCatalogue())
      .filter(file => file.endsWith(suffix))
      .map(file => file.slice(0, -suffix.length))
      .sort(),
  )

// The files are this package's own, and its tests hold them to their schema: only what a layout needs is looked at.
const read = (name: string): CatalogueEntry => {
  const file: CpuFile = JSON.parse(readFileSync(join(folderOfCatalogue(), `${name}${suffix}`), 'utf8'))
  const { title, cpus, task, announced, sources, compacts, emulated } = file
  const layout = layoutFromJSON(file.layout, `catalogue ${name}: layout`)
  return Object.freeze({ name, title, cpus, task, announced, sources, compacts, emulated, layout })
}

/** What the CPUs are called, in the order of the alphabet. */
export const catalogueNames = (): readonly string[] => {
  names ??= listNames()
  return names
}

/** Whether a CPU of the catalogue is called so. */
export const isInCatalogue = (name: string): boolean => catalogueNames().includes(name)

/**
 * What the catalogue has of a CPU; the same object each time.
 * @throws RangeError that names the CPUs there are
 */
export const catalogueEntry = (name: string, field = 'name'): CatalogueEntry => {
  if (!isInCatalogue(name))
    throw new RangeError(`${field} is ${show(name)}, must be one of ${catalogueNames().join(' ')}`)
  const known = entries.get(name)
  if (known !== undefined) return known
  const entry = read(name)
  entries.set(name, entry)
  return entry
}

/** Its layout alone. @throws as `catalogueEntry` */
export const catalogueLayout = (name: string, field = 'name'): Layout => catalogueEntry(name, field).layout
