/** The version of this package. */
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

let found: string | undefined

/** As package.json has it; this file runs from lib/ and, compiled, from dist/lib/. */
export const toolVersion = (): string => {
  found ??= search(import.meta.dirname)
  return found
}

const search = (folder: string): string => {
  try {
    const { name, version } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
    if (name === 'sigframe') return String(version)
  } catch {
    // None here: the next one up.
  }
  const parent = dirname(folder)
  return parent === folder ? 'unknown' : search(parent)
}
