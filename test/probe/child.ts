/** Node processes of our own that a test starts, listens to, and ends. */
import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process'
import { join } from 'node:path'

export interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

export class Child {
  readonly process: ChildProcess
  readonly ended: Promise<Ended>
  #stdout = ''
  #stderr = ''
  #listeners: (() => void)[] = []
  #over = false

  constructor(command: string, args: readonly string[], options: SpawnOptions = {}) {
    const bound = 25_000
    this.process = spawn(command, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: bound,
      killSignal: 'SIGKILL',
      ...options,
    })
    this.process.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.#stdout += text
      this.#tell()
    })
    this.process.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr += text
    })
    this.ended = new Promise((resolve, reject) => {
      this.process.once('error', reject)
      this.process.once('close', (code, signal) => {
        this.#over = true
        this.#tell()
        resolve({ code, signal, stdout: this.#stdout, stderr: this.#stderr })
      })
    })
  }

  #tell(): void {
    for (const listener of this.#listeners.splice(0)) listener()
  }

  get pid(): number {
    return this.process.pid!
  }

  /** Waits for a line that begins with this. @returns the rest of the line */
  async line(start: string): Promise<string> {
    for (;;) {
      const lines = this.#stdout.split('\n').slice(0, -1)
      const found = lines.find(line => line.startsWith(start))
      if (found !== undefined) return found.slice(start.length).trim()
      if (this.#over)
        throw new Error(`it ended without saying ${JSON.stringify(start)}: ${this.#stdout}${this.#stderr}`)
      await new Promise<void>(resolve => {
        this.#listeners.push(resolve)
      })
    }
  }
}

/** The environment without what makes Node talk about itself. */
const plainEnvironment = (): NodeJS.ProcessEnv => {
  const { NODE_OPTIONS: _, VITEST: __, ...environment } = process.env
  return environment
}

/** Runs a script of scripts/ here with Node. */
export const node = (script: string, args: readonly string[] = [], options: SpawnOptions = {}): Child =>
  new Child(process.execPath, [scriptPath(script), ...args], { env: plainEnvironment(), ...options })

export const scriptPath = (script: string): string => join(import.meta.dirname, 'scripts', script)

/** Runs a line of sh in which "$NODE" is Node, and "$1" and on are the arguments. */
export const sh = (line: string, args: readonly string[], options: SpawnOptions = {}): Child =>
  new Child('sh', ['-c', line, 'sh', ...args], {
    env: { ...plainEnvironment(), NODE: process.execPath },
    ...options,
  })
