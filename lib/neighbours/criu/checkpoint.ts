/**
 * A process that is checkpointed inside its signal handler and restored, whereupon the handler returns. Blocks for the
 * second that it takes. native/probe/checkpointed.cc is the process.
 */
import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { probePath } from '../../native.ts'
import { runCriu } from './program.ts'

const endGroup = (pid: number): void => {
  try {
    process.kill(-pid, 'SIGKILL')
  } catch {
    // Nobody is left of it.
  }
}

/** XSAVE areas, as long as one another, and the components that they are of. */
export interface Live {
  /** In the registers when the signal hits. */
  readonly load: Uint8Array
  /** In the registers while the handler waits. */
  readonly poison: Uint8Array
  readonly mask: bigint
}

export type Checkpointed =
  | {
      readonly kind: 'restored'
      /** In the registers before the handler returned. */
      readonly handler: Uint8Array
      /** In the registers after that. */
      readonly after: Uint8Array
    }
  /** It could not be checkpointed, or not restored. */
  | { readonly kind: 'unable'; readonly text: string }
  /** It was restored, and did not come back from its handler. */
  | { readonly kind: 'lost'; readonly text: string }

const sliceMs = 10
const cell = new Int32Array(new SharedArrayBuffer(4))

/** Sleeps in slices until it holds. @returns whether it did within the bound */
const waitUntil = (holds: () => boolean, boundMs: number): boolean => {
  for (let waited = 0; waited < boundMs; waited += sliceMs) {
    if (holds()) return true
    Atomics.wait(cell, 0, 0, sliceMs)
  }
  return holds()
}

const unable = (text: string) => ({ kind: 'unable', text }) as const

/** Whether a pid is still, or again, the process of this folder. */
const isOurs = (pid: number, folder: string): boolean => {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').includes(folder)
  } catch {
    return false
  }
}

const endOurs = (pid: number, folder: string): void => {
  if (!isOurs(pid, folder)) return
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It ended by itself meanwhile.
  }
}

const pidIn = (file: string): number => Number.parseInt(readFileSync(file, 'latin1'), 10)

const readyMs = 10_000
const goneMs = 5_000

const dumpAndRestore = (criu: string, folder: string, pid: number): Checkpointed => {
  const images = join(folder, 'images')
  mkdirSync(images)
  const file = (name: string): string => join(folder, name)
  const dumped = runCriu(criu, ['dump', '-t', String(pid)], images)
  if (!dumped.succeeded) return unable(`criu dump: ${dumped.words}`)
  if (existsSync(file('after'))) return unable('the process had left its handler before it was checkpointed')
  // A restored process has its pid again.
  if (!waitUntil(() => !existsSync(`/proc/${pid}`), goneMs)) return unable(`pid ${pid} is not free again`)
  writeFileSync(file('go'), '')
  const restored = runCriu(criu, ['restore'], images)
  if (existsSync(file('after')))
    return { kind: 'restored', handler: readFileSync(file('handler')), after: readFileSync(file('after')) }
  if (/Restore finished successfully/.test(restored.log))
    return { kind: 'lost', text: 'the restored process did not come back from its handler' }
  return unable(`criu restore: ${restored.words}`)
}

/** @throws NativeUnavailableError */
export const checkpointInHandler = (criu: string, { load, poison, mask }: Live): Checkpointed => {
  const probe = probePath()
  const folder = mkdtempSync(join(tmpdir(), 'sigframe-criu-'))
  let pid = 0
  try {
    writeFileSync(join(folder, 'load'), load)
    writeFileSync(join(folder, 'poison'), poison)
    writeFileSync(join(folder, 'mask'), new BigUint64Array([mask]))
    // A group of its own: whoever of it is left can be ended, also before it says who it is.
    const parent = spawn(probe, ['checkpointed', folder], { env: {}, stdio: 'ignore', detached: true })
    parent.on('error', () => undefined)
    parent.unref()
    if (parent.pid === undefined) return unable('the process could not be started')
    const ready = join(folder, 'ready')
    if (!waitUntil(() => existsSync(ready), readyMs)) {
      endGroup(parent.pid)
      return unable('the process did not reach its handler')
    }
    pid = pidIn(ready)
    return dumpAndRestore(criu, folder, pid)
  } finally {
    endOurs(pid, folder)
    rmSync(folder, { recursive: true, force: true })
  }
}
