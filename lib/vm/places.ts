/** Where machines are made: a temporary folder, and in it for each machine that may run an initramfs to put its job in. */
import { statSync } from 'node:fs'
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createSlot, type Slot } from './initramfs/image.ts'

/** The host cannot do it; the message says what to do. */
export class HostError extends Error {
  override name = 'HostError'
}

/** A place for a machine: its initramfs, and a folder. */
export interface Place {
  readonly slot: Slot
  readonly folder: string
}

/** For machines that no emulator will boot. */
export const nowhere: Place = { slot: { path: '', put: async () => undefined }, folder: '' }

const prefix = 'sigframe-vm-'
/** Milliseconds that a folder is left alone: its owner may be out of sight, in another PID namespace. */
const youngMs = 6 * 3600 * 1000

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/** What was left where an invocation was killed. */
const sweep = async (): Promise<void> => {
  for (const name of await readdir(tmpdir())) {
    const [, owner] = /^sigframe-vm-(\d+)-\w{6}$/.exec(name) ?? []
    if (owner === undefined || isAlive(Number(owner))) continue
    const path = join(tmpdir(), name)
    if (Date.now() - (await stat(path)).mtimeMs > youngMs) await rm(path, { recursive: true, force: true })
  }
}

const makeFolder = async (): Promise<string> => {
  try {
    return await mkdtemp(join(tmpdir(), `${prefix}${process.pid}-`))
  } catch (error) {
    throw new HostError(
      `no folder can be made in ${tmpdir()} (${(error as Error).message}): name another one in TMPDIR`,
    )
  }
}

/** Does work in a folder that is gone afterwards. @throws HostError */
export const inTemporaryFolder = async <T>(work: (folder: string) => Promise<T>): Promise<T> => {
  await sweep().catch(() => undefined)
  const folder = await makeFolder()
  try {
    return await work(folder)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

const megabytes = (path: string): string => `${Math.ceil(statSync(path).size / 1e6)} MB`

/** As many places as machines may run at a time. @throws HostError */
export const makePlaces = async (image: string, count: number, folder: string): Promise<readonly Place[]> => {
  const places: Place[] = []
  try {
    for (let i = 0; i < count; i++)
      places.push({
        slot: await createSlot(image, join(folder, `initramfs-${i}`)),
        folder: join(folder, `machine-${i}`),
      })
    return places
  } catch (error) {
    throw new HostError(
      `${folder} has no place for ${count} × the ${megabytes(image)} of a machine (${(error as Error).message}): name another folder in TMPDIR`,
    )
  }
}
