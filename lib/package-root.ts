/** Where this package lies. */
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

/** What its package.json says; of this package alone. */
interface Manifest {
  readonly version: string
}

export interface PackageRoot {
  readonly folder: string
  readonly manifest: Manifest
}

let found: PackageRoot | null | undefined

/** The nearest folder upward whose package.json is this package's: files run from lib/ and, compiled, from dist/lib/. */
export const packageRoot = (): PackageRoot | null => {
  found ??= search(import.meta.dirname)
  return found
}

const search = (folder: string): PackageRoot | null => {
  try {
    const manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
    if (manifest.name === 'sigframe') return { folder, manifest }
  } catch {
    // None here: the next one up.
  }
  const parent = dirname(folder)
  return parent === folder ? null : search(parent)
}
