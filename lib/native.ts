/** The one way to the addon and to the probe executable beside it. */
import { accessSync, constants, existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, resolve } from 'node:path'
import type { Native } from './native-types.ts'

const addonName = 'sigframe.node'
const probeName = 'sigframe-probe'
const initName = 'sigframe-init'

/** Thrown where the addon is needed and cannot be had; the message is one line, fit to be shown as it is. */
export class NativeUnavailableError extends Error {
  override name = 'NativeUnavailableError'
}

interface Loaded {
  native: Native
  folder: string
}

let loaded: Loaded | undefined

export function loadNative(): Native {
  return load().native
}

/** The executable that belongs to the loaded addon: the two are built from the same sources and share an arena. */
export function probePath(): string {
  return join(load().folder, probeName)
}

/** What another machine needs: the addon and the probe executable, and the program that is a virtual machine's first. */
export function nativeFiles(): { readonly addon: string; readonly probe: string; readonly init: string } {
  const { folder } = load()
  return { addon: join(folder, addonName), probe: join(folder, probeName), init: join(folder, initName) }
}

/** Why `loadNative` would throw, or undefined where it would not. */
export function nativeProblem(): string | undefined {
  try {
    load()
    return undefined
  } catch (error) {
    if (error instanceof NativeUnavailableError) return error.message
    throw error
  }
}

function load(): Loaded {
  loaded ??= search()
  return loaded
}

function search(): Loaded {
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    throw new NativeUnavailableError(
      `probing signal frames needs x86-64 Linux; this is ${process.platform} ${process.arch}`,
    )
  }
  const root = packageRoot()
  const given = process.env.SIGFRAME_NATIVE_DIR
  // A folder that was asked for is the only one: what loaded in its place would pass for it.
  const folders = given
    ? [resolve(given)]
    : [join(root, 'build', 'Release'), join(root, 'prebuilds', 'linux-x64')]
  const problems: string[] = []
  for (const folder of folders) {
    const problem = problemWith(folder)
    if (problem) {
      problems.push(`${folder}: ${problem}`)
      continue
    }
    try {
      return { native: createRequire(import.meta.url)(join(folder, addonName)) as Native, folder }
    } catch (error) {
      problems.push(`${folder}: ${addonName} does not load (${oneLine(error)})`)
    }
  }
  throw new NativeUnavailableError(
    `the native addon is not there: ${problems.join('; ')}. ${advice(root, given)}`,
  )
}

/** What can be said of a folder's two files without running either. */
function problemWith(folder: string): string | undefined {
  if (!existsSync(folder)) return 'no such folder'
  for (const name of [addonName, probeName]) {
    const path = join(folder, name)
    if (!existsSync(path)) return `no ${name}`
    try {
      if (!isX64Elf(readFileSync(path))) return `${name} was built for another platform`
    } catch (error) {
      return `${name} cannot be read (${oneLine(error)})`
    }
  }
  try {
    accessSync(join(folder, probeName), constants.X_OK)
  } catch {
    return `${probeName} is not executable`
  }
  return undefined
}

function isX64Elf(file: Buffer): boolean {
  const magic = 0x7f454c46
  const x86_64 = 62
  return (
    file.length >= 20 && file.readUInt32BE(0) === magic && file[4] === 2 && file.readUInt16LE(18) === x86_64
  )
}

function advice(root: string, given: string | undefined): string {
  if (given) return 'SIGFRAME_NATIVE_DIR names the folder that holds both: correct it or unset it'
  if (existsSync(join(root, 'binding.gyp'))) return 'Build it: npm run prepare'
  return 'Install sigframe again, or build it from a clone: npm ci'
}

function oneLine(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error)
  return message.replace(/\s+/g, ' ').trim()
}

/** This file runs from lib/ and, compiled, from dist/lib/. */
function packageRoot(): string {
  for (let folder = import.meta.dirname; ; folder = dirname(folder)) {
    const manifest = join(folder, 'package.json')
    if (existsSync(manifest) && JSON.parse(readFileSync(manifest, 'utf8')).name === 'sigframe') return folder
    if (folder === dirname(folder)) throw new NativeUnavailableError('the package.json of sigframe is gone')
  }
}
