/** The compiled command, as users start it. */
import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process'
import { join } from 'node:path'
import { nativeProblem } from '../../lib/native.ts'

export const main = join(import.meta.dirname, '../../dist/lib/cli/main.js')

/** Whether frames can be probed here; without, only what needs no addon is tested. */
export const canProbe = nativeProblem() === undefined

export interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

const collect = (stream: NodeJS.ReadableStream | null): (() => string) => {
  const chunks: Buffer[] = []
  stream?.on('data', (chunk: Buffer) => chunks.push(chunk))
  return () => Buffer.concat(chunks).toString()
}

export const ended = (child: ChildProcess): Promise<Ended> => {
  const stdout = collect(child.stdout)
  const stderr = collect(child.stderr)
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code, signal) => resolve({ code, signal, stdout: stdout(), stderr: stderr() }))
  })
}

// What the tests' own surroundings ask for is not what is tested.
const { NO_COLOR: _n, FORCE_COLOR: _f, COLUMNS: _c, CI: _i, SIGFRAME_DEBUG: _d, ...environment } = process.env

export const start = (words: readonly string[], options: SpawnOptions = {}): ChildProcess =>
  spawn(process.execPath, [main, ...words], {
    stdio: ['ignore', 'pipe', 'pipe'],
    ...options,
    env: { ...environment, ...options.env },
  })

export const sigframe = (words: readonly string[], env: Record<string, string> = {}): Promise<Ended> =>
  ended(start(words, { env }))

/** The same in a shell: `SIGFRAME` is the command. */
export const inShell = (script: string, env: Record<string, string> = {}): Promise<Ended> =>
  ended(
    spawn('sh', ['-c', script.replaceAll('SIGFRAME', '"$NODE" "$MAIN"')], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...environment, NODE: process.execPath, MAIN: main, ...env },
    }),
  )
