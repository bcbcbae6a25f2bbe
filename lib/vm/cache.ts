/** Where what was fetched or built once is kept: kernels, initramfs. */
import { constants } from 'node:fs'
import { access, mkdir, stat, statfs } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, isAbsolute, join, resolve } from 'node:path'

/** The cache cannot be used; the message names the folder and says what to do. */
export class CacheError extends Error {
  override name = 'CacheError'
}

type Environment = Readonly<Record<string, string | undefined>>

/** $SIGFRAME_CACHE, else sigframe in $XDG_CACHE_HOME, else in ~/.cache. Absolute; it need not exist. */
export const cacheFolder = (env: Environment = process.env, home: () => string = homedir): string => {
  if (env.SIGFRAME_CACHE) return resolve(env.SIGFRAME_CACHE)
  // XDG Base Directory Specification: a relative path is invalid and is to be ignored.
  const shared = env.XDG_CACHE_HOME && isAbsolute(env.XDG_CACHE_HOME) ? env.XDG_CACHE_HOME : null
  return join(shared ?? join(home(), '.cache'), 'sigframe')
}

const remedy = 'name another folder in SIGFRAME_CACHE'

const reasons: Readonly<Record<string, string>> = {
  EACCES: `may not be written to: ${remedy}`,
  EPERM: `may not be written to: ${remedy}`,
  EROFS: `lies on a read-only file system: ${remedy}`,
  ENOSPC: `cannot be written: the disk is full; make room, or ${remedy}`,
  EDQUOT: `cannot be written: the disk quota is used up; make room, or ${remedy}`,
  ENOENT: `cannot be made there: ${remedy}`,
  ENOTDIR: `is no folder, or a file lies in the way to it: ${remedy}`,
  EEXIST: `is no folder: ${remedy}`,
  ELOOP: `is a link that leads nowhere: ${remedy}`,
  ENAMETOOLONG: `has too long a name: ${remedy}`,
}

/** What went wrong in the cache as a CacheError where it is the file system's doing; anything else as it is. */
export const cacheProblem = (error: unknown, folder: string): unknown => {
  if (!(error instanceof Error)) return error
  const { code, syscall } = error as NodeJS.ErrnoException
  if (typeof code !== 'string' || syscall === undefined || syscall.startsWith('spawn')) return error
  return new CacheError(`the cache folder ${folder} ${reasons[code] ?? `cannot be used (${error.message})`}`)
}

/** mkdir -p. Node's own never ends below /proc, where a folder that is there takes none. */
const makeFolders = async (folder: string): Promise<void> => {
  try {
    await mkdir(folder)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    const parent = dirname(folder)
    if (code === 'EEXIST') return
    if (code !== 'ENOENT' || parent === folder) throw error
    await makeFolders(parent)
    await mkdir(folder).catch(again => {
      if (again.code !== 'EEXIST') throw again
    })
  }
}

/**
 * A folder in the cache, created where it is missing.
 * @returns its path
 * @throws CacheError
 */
export const prepareFolder = async (folder: string): Promise<string> => {
  try {
    await makeFolders(folder)
    if (!(await stat(folder)).isDirectory())
      throw Object.assign(new Error(), { code: 'ENOTDIR', syscall: 'mkdir' })
    await access(folder, constants.W_OK | constants.X_OK)
  } catch (error) {
    throw cacheProblem(error, folder)
  }
  return folder
}

/**
 * Refuses what would fill the disk: not every program that is started ends by itself then.
 * @param folder that exists
 * @throws CacheError
 */
export const needRoom = async (folder: string, bytes: number): Promise<void> => {
  const found = await statfs(folder).catch(() => null)
  // Some file systems do not say.
  if (found === null || found.blocks === 0) return
  const free = found.bavail * found.bsize
  if (free >= bytes) return
  const [has, needs] = [free, bytes].map(count => `${Math.round(count / 1e6)} MB`)
  throw new CacheError(
    `the cache folder ${folder} has ${has} left on its disk and needs ${needs}: make room, or ${remedy}`,
  )
}
