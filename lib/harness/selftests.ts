/** Finds the selftests: every file of selftests/ is one. */
import { readdirSync } from 'node:fs'
import { extname } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Selftest } from './selftest.ts'

// Beside lib/ both in the sources and, compiled, in dist/.
const folder = new URL('../../selftests/', import.meta.url)
const extension = extname(fileURLToPath(import.meta.url))

/** The names of all selftests, in the order in which they run. A file is named as its selftest. */
export const selftestNames = (): string[] =>
  readdirSync(folder)
    .filter(file => file.endsWith(extension) && !file.endsWith(`.d${extension}`))
    .map(file => file.slice(0, -extension.length))
    .sort()

const load = async (name: string): Promise<Selftest> => {
  const module: { default: Selftest } = await import(new URL(`${name}${extension}`, folder).href)
  return module.default
}

export const loadSelftests = (): Promise<Selftest[]> => Promise.all(selftestNames().map(load))
