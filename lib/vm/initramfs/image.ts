/** The initramfs: built once for what it is made of, kept in the cache, and for each machine completed by its job. */
import { createHash, randomBytes } from 'node:crypto'
import { constants, readFileSync, statSync } from 'node:fs'
import { copyFile, type FileHandle, open, readdir, rename, rm, stat, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import { cacheFolder, cacheProblem, prepareFolder } from '../cache.ts'
import { entriesOf, placedFiles } from './contents.ts'
import { type Entry, newc } from './newc.ts'
import type { Placed } from './package.ts'

/** Changed when entries are laid out in another way. */
const version = 1
/** Images of former builds that are kept: who tries two versions in turn builds neither twice. */
const mostKept = 3

/** What the image is made of, as far as it can change. */
const keyOf = (placed: readonly Placed[]): string => {
  const hash = createHash('sha256').update(`${version}\n`)
  for (const { from, to } of placed) {
    const { size, mtimeMs } = statSync(from)
    hash.update(`${to}\0${from}\0${size}\0${mtimeMs}\n`)
  }
  return hash.digest('hex').slice(0, 32)
}

const writeAll = async (file: FileHandle, bytes: Uint8Array): Promise<void> => {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, done)
    done += bytesWritten
  }
}

/** Small pieces are collected: an archive has thousands of them. */
const writeArchive = async (
  file: FileHandle,
  entries: Iterable<Entry>,
  signal: AbortSignal,
): Promise<void> => {
  const enough = 1 << 20
  let waiting: Uint8Array[] = []
  let size = 0
  for (const piece of newc(entries)) {
    waiting.push(piece)
    size += piece.length
    if (size < enough) continue
    signal.throwIfAborted()
    await writeAll(file, Buffer.concat(waiting))
    waiting = []
    size = 0
  }
  await writeAll(file, Buffer.concat(waiting))
}

const isThere = async (path: string): Promise<boolean> => {
  try {
    return (await stat(path)).isFile()
  } catch {
    return false
  }
}

/** Milliseconds after which what has no name yet is nobody's: who built it was killed. */
const oldMs = 3600 * 1000

const dropUnfinished = async (folder: string): Promise<void> => {
  for (const name of await readdir(folder)) {
    if (!/^\.[0-9a-f]{16}\.tmp$/.test(name)) continue
    const path = join(folder, name)
    if (Date.now() - (await stat(path)).mtimeMs > oldMs) await rm(path, { force: true })
  }
}

/** The oldest make room; what another process still uses it has opened, or copied. */
const prune = async (folder: string): Promise<void> => {
  await dropUnfinished(folder)
  const names = (await readdir(folder)).filter(name => /^[0-9a-f]{32}\.cpio$/.test(name))
  const used = await Promise.all(
    names.map(async name => ({ name, at: (await stat(join(folder, name))).mtimeMs })),
  )
  const old = used.sort((a, b) => b.at - a.at).slice(mostKept)
  await Promise.all(old.map(({ name }) => rm(join(folder, name), { force: true })))
}

/**
 * The initramfs without a job, built where it is not there yet.
 * @returns its path
 * @throws CacheError
 */
export const buildImage = async (signal: AbortSignal): Promise<string> => {
  const placed = placedFiles()
  const folder = await prepareFolder(join(cacheFolder(), 'initramfs'))
  const path = join(folder, `${keyOf(placed)}.cpio`)
  if (await isThere(path)) {
    const now = new Date()
    // Not everybody who may read it may touch it.
    await utimes(path, now, now).catch(() => undefined)
    return path
  }
  const temporary = join(folder, `.${randomBytes(8).toString('hex')}.tmp`)
  try {
    const file = await open(temporary, 'wx')
    try {
      await writeArchive(file, entriesOf(placed, readFileSync), signal)
      // Before it gets its name: half an image under that name would be taken for a whole one.
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(temporary, path)
  } catch (error) {
    await rm(temporary, { force: true })
    throw cacheProblem(error, folder)
  }
  await prune(folder).catch(() => undefined)
  return path
}

/** An initramfs that one machine after the other gets its job in. */
export interface Slot {
  readonly path: string
  /** Replaces the job of the machine before. */
  put(entries: readonly Entry[]): Promise<void>
}

/** Copies the image once, as a clone where the file system can; each job is written behind it. */
export const createSlot = async (image: string, path: string): Promise<Slot> => {
  await copyFile(image, path, constants.COPYFILE_FICLONE)
  const { size } = await stat(path)
  return {
    path,
    put: async entries => {
      const file = await open(path, 'r+')
      try {
        await file.truncate(size)
        const bytes = Buffer.concat([...newc(entries)])
        for (let done = 0; done < bytes.length; ) {
          const { bytesWritten } = await file.write(bytes, done, bytes.length - done, size + done)
          done += bytesWritten
        }
      } finally {
        await file.close()
      }
    },
  }
}
