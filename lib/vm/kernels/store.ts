/** Kernels that were fetched: a folder each in the cache, there whole or not at all. */
import { randomBytes } from 'node:crypto'
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { cacheFolder, cacheProblem, prepareFolder } from '../cache.ts'
import { type KernelImage, readKernelImage } from './image.ts'
import type { AvailableKernel } from './packages.ts'
import { compareVersions, type Flavour, flavours, isVersion, nameOf } from './version.ts'

/** Where the fetched kernels are. @param cache of cacheFolder() */
export const storeFolder = (cache = cacheFolder()): string => join(cache, 'kernels', 'debian')

const entry = z.object({
  version: z.string().refine(isVersion),
  flavour: z.enum(flavours),
  package: z.string(),
  packageVersion: z.string(),
  suite: z.string(),
  /** Of the vmlinuz. */
  bytes: z.int().positive(),
})

/** A kernel in the cache. */
export interface CachedKernel {
  readonly version: string
  readonly flavour: Flavour
  readonly package: string
  readonly packageVersion: string
  readonly suite: string
  /** Its vmlinuz. */
  readonly path: string
  /** Its configuration; null where the package had none. */
  readonly config: string | null
  readonly image: KernelImage
}

const exists = async (path: string): Promise<boolean> =>
  await stat(path).then(
    found => found.isFile(),
    () => false,
  )

/** The kernel of this name, `7.2.12` or `7.2.12-amd64`; null where there is none that is whole. */
export const cachedKernel = async (name: string, cache?: string): Promise<CachedKernel | null> => {
  const folder = join(storeFolder(cache), name)
  try {
    const path = join(folder, 'vmlinuz')
    const config = join(folder, 'config')
    const { bytes, ...known } = entry.parse(JSON.parse(await readFile(join(folder, 'package.json'), 'utf8')))
    const image = await readKernelImage(path)
    if (image.bytes !== bytes || nameOf(known.version, known.flavour) !== name) return null
    return { ...known, path, config: (await exists(config)) ? config : null, image }
  } catch {
    return null
  }
}

/** All of them, oldest first. */
export const cachedKernels = async (cache?: string): Promise<readonly CachedKernel[]> => {
  const names = await readdir(storeFolder(cache)).catch(() => [])
  const found = await Promise.all(
    names.filter(name => !name.startsWith('.')).map(name => cachedKernel(name, cache)),
  )
  return found
    .filter(kernel => kernel !== null)
    .sort(
      (a, b) =>
        compareVersions(a.version, b.version) || flavours.indexOf(a.flavour) - flavours.indexOf(b.flavour),
    )
}

const day = 24 * 3600_000

/** What a process left that was ended at once. */
const sweep = async (store: string): Promise<void> => {
  for (const name of await readdir(store)) {
    const path = join(store, name)
    if (!name.startsWith('.tmp-')) continue
    const found = await stat(path).catch(() => null)
    if (found !== null && Date.now() - found.mtimeMs > day) await rm(path, { recursive: true, force: true })
  }
}

/** Does the work in a temporary folder of the store, which is gone afterwards. @throws CacheError */
export const inTemporary = async <T>(
  cache: string | undefined,
  work: (folder: string) => Promise<T>,
): Promise<T> => {
  const store = await prepareFolder(storeFolder(cache))
  const folder = join(store, `.tmp-${process.pid}-${randomBytes(6).toString('hex')}`)
  try {
    await sweep(store)
    await mkdir(folder)
    return await work(folder)
  } catch (error) {
    throw cacheProblem(error, store)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

const isTaken = (error: unknown): boolean =>
  ['ENOTEMPTY', 'EEXIST'].includes((error as NodeJS.ErrnoException).code ?? '')

/**
 * Puts a kernel into the cache. What is there under its name already is replaced, unless it is whole by now: another
 * process was as fast.
 * @param folder temporary, in the store
 * @throws KernelError where the vmlinuz is none
 */
export const keep = async (
  kernel: AvailableKernel,
  parts: { readonly vmlinuz: string; readonly config: string | null },
  folder: string,
  cache: string | undefined,
): Promise<CachedKernel> => {
  const { version, flavour, package: name, packageVersion, suite } = kernel
  const { bytes } = await readKernelImage(parts.vmlinuz)
  const whole = join(folder, 'whole')
  await mkdir(whole)
  await rename(parts.vmlinuz, join(whole, 'vmlinuz'))
  if (parts.config !== null) await rename(parts.config, join(whole, 'config'))
  const described = { version, flavour, package: name, packageVersion, suite, bytes }
  await writeFile(join(whole, 'package.json'), `${JSON.stringify(described, null, 2)}\n`)
  const target = nameOf(version, flavour)
  const final = join(storeFolder(cache), target)
  try {
    await rename(whole, final)
  } catch (error) {
    if (!isTaken(error)) throw error
    if ((await cachedKernel(target, cache)) === null) {
      await rename(final, join(folder, 'damaged'))
      await rename(whole, final)
    }
  }
  const kept = await cachedKernel(target, cache)
  if (kept === null) throw new Error(`${final} was written and cannot be read`)
  return kept
}
