/** Programs that are started and waited for: bounded in time and output, and gone when the work is called off. */
import { spawn } from 'node:child_process'

export interface ToolOptions {
  readonly env?: NodeJS.ProcessEnv
  readonly cwd?: string
  readonly signal?: AbortSignal | undefined
  /** Until it is ended. */
  readonly timeoutMs: number
}

export interface ToolResult {
  /** Null where a signal ended it. */
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
  readonly timedOut: boolean
}

const mostOutput = 64 << 20
const graceMs = 2000

/** What is kept of a stream: its first bytes. It is read to the end all the same: a full pipe would stop the program. */
const collect = (stream: NodeJS.ReadableStream): (() => string) => {
  const chunks: Buffer[] = []
  let length = 0
  stream.on('data', (chunk: Buffer) => {
    if (length < mostOutput) chunks.push(chunk)
    length += chunk.length
  })
  return () => Buffer.concat(chunks).toString()
}

/**
 * Runs a program to its end.
 * @returns null where there is no such program
 * @throws the signal's reason, once the program and all that it started are gone
 */
export const runTool = async (
  command: string,
  words: readonly string[],
  { env, cwd, signal, timeoutMs }: ToolOptions,
): Promise<ToolResult | null> => {
  signal?.throwIfAborted()
  // A group of its own: apt's methods and dpkg-deb's tar end with it.
  const child = spawn(command, words, {
    env: { ...process.env, ...env },
    cwd,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const stdout = collect(child.stdout)
  const stderr = collect(child.stderr)
  const kill = (by: NodeJS.Signals): void => {
    if (child.pid === undefined) return
    try {
      process.kill(-child.pid, by)
    } catch {
      // It is gone already.
    }
  }
  let hard: NodeJS.Timeout | undefined
  const end = (): void => {
    kill('SIGTERM')
    hard ??= setTimeout(() => kill('SIGKILL'), graceMs)
  }
  let timedOut = false
  const limit = setTimeout(() => {
    timedOut = true
    end()
  }, timeoutMs)
  signal?.addEventListener('abort', end, { once: true })
  // What ends this process at once (a second Ctrl-C) must not leave them behind.
  const leave = (): void => kill('SIGTERM')
  process.once('exit', leave)
  try {
    const code = await new Promise<number | null>((resolve, reject) => {
      child.on('error', reject)
      child.on('close', resolve)
    })
    signal?.throwIfAborted()
    return { code, stdout: stdout(), stderr: stderr(), timedOut }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  } finally {
    clearTimeout(limit)
    clearTimeout(hard)
    signal?.removeEventListener('abort', end)
    process.removeListener('exit', leave)
  }
}
