/** An emulator's process: in a group of its own, so that all of it can be ended, and so that Ctrl-C reaches it by us alone. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import type { Launch } from './emulators/emulator.ts'

const mostErrors = 64 << 10
/** Milliseconds in which what it wrote last arrives; a process that it left behind may hold the pipe for longer. */
const lastWordsMs = 1000

const dying = ['--pdeathsig', 'KILL', '--']

let canTie: boolean | undefined

/** Whether there is a setpriv that can; busybox's cannot. */
const tieable = (): boolean => {
  canTie ??= spawnSync('setpriv', [...dying, 'true'], { stdio: 'ignore', timeout: 5000 }).status === 0
  return canTie
}

/**
 * Where this process is killed, nobody is left to end the machine: the kernel does it then, by PR_SET_PDEATHSIG, which
 * setpriv of util-linux sets.
 */
const tied = ({ command, args }: Launch): readonly [string, readonly string[]] =>
  tieable() ? ['setpriv', [...dying, command, ...args]] : [command, args]

export interface Ended {
  readonly code: number | null
  readonly signal: string | null
  /** Why it did not even start. */
  readonly failed: string | null
}

export interface Emulation {
  /** Resolves when it has ended, whatever it left behind. */
  readonly end: Promise<Ended>
  /** What it said on standard error. */
  errors(): string
  /** Ends all of it. */
  kill(): void
}

const endOf = (child: ChildProcess): Promise<Ended> =>
  new Promise(resolve => {
    child.on('error', error => resolve({ code: null, signal: null, failed: error.message }))
    child.on('close', (code, signal) => resolve({ code, signal, failed: null }))
    child.on('exit', (code, signal) => {
      const late = setTimeout(() => {
        child.stderr?.destroy()
        resolve({ code, signal, failed: null })
      }, lastWordsMs)
      child.on('close', () => clearTimeout(late))
    })
  })

export const startEmulator = (launch: Launch): Emulation => {
  const [command, args] = tied(launch)
  const child = spawn(command, args, {
    detached: true,
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, ...launch.env },
  })
  let errors = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    if (errors.length < mostErrors) errors += text
  })
  return {
    end: endOf(child),
    errors: () => errors,
    kill: () => {
      if (child.pid === undefined) return
      try {
        process.kill(-child.pid, 'SIGKILL')
      } catch {
        // Gone by itself.
      }
    },
  }
}
