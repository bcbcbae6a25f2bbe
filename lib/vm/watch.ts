/** Runs an emulator until its machine is off, and reads what it writes meanwhile. Bounded in time and in what is written. */
import { startEmulator } from './child.ts'
import type { Launch } from './emulators/emulator.ts'
import { channelPrefix } from './said.ts'
import { Tail } from './tail.ts'

/** Why a machine was ended before it was off. */
export type Cut = 'time' | 'silence' | 'output' | 'interrupt'

/** What was seen of a machine from its start to its end. */
export interface Watched {
  /** All of the console, or its beginning where it was too long. */
  readonly console: string
  readonly data: string
  /** What the emulator itself said. */
  readonly errors: string
  readonly code: number | null
  readonly signal: string | null
  readonly cut: Cut | null
  /** Why the emulator did not even start. */
  readonly failed: string | null
  readonly durationMs: number
  /** From the start to PID 1's first line; null where none came. */
  readonly bootMs: number | null
  /** Bytes that were on the console when PID 1 started the run; null where it did not. */
  readonly consoleBefore: number | null
}

export interface Limits {
  /** Seconds from the start to PID 1's first line. */
  readonly bootSeconds: number
  /** Seconds for what PID 1 runs: it ends that itself then, and has some more to say so. */
  readonly seconds: number
  /** Seconds without a line of PID 1, which sends one a second. */
  readonly silence: number
}

const everyMs = 100
/** Seconds that PID 1 has to end what runs, to say what is left, and to turn the power off. */
const spareSeconds = 60
/** Seconds to turn the power off, once PID 1 has said that it does. */
const offSeconds = 10
/** Bytes of either port: a machine that writes more is stopped. */
const mostOutput = 32 << 20

const sleep = (ms: number, wake: Promise<unknown>): Promise<unknown> => {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise(resolve => {
    timer = setTimeout(resolve, ms)
  })
  return Promise.race([late, wake]).finally(() => clearTimeout(timer))
}

/** What was heard of PID 1, and when: milliseconds since the start. */
class Ear {
  readonly #started = performance.now()
  readonly #onLine: (line: string) => void
  readonly #rests = { data: '', console: '' }
  bootMs: number | null = null
  heardMs = 0
  endMs: number | null = null
  consoleBefore: number | null = null

  constructor(onLine: (line: string) => void) {
    this.#onLine = onLine
  }

  get nowMs(): number {
    return performance.now() - this.#started
  }

  /** Lines are ASCII; the long one that carries the answer is parsed from the whole in the end. */
  #lines(port: 'data' | 'console', added: Buffer): string[] {
    const lines = (this.#rests[port] + added.toString('latin1')).split('\n')
    this.#rests[port] = lines.pop() as string
    return lines
  }

  /** @param size bytes on the console so far */
  hear(data: Buffer, console: Buffer, size: number): void {
    const marked = this.#lines('console', console).filter(line => line.startsWith(channelPrefix))
    const lines = [...this.#lines('data', data), ...marked.map(line => line.slice(channelPrefix.length))]
    if (data.length === 0 && lines.length === 0) return
    this.heardMs = this.nowMs
    this.bootMs ??= this.heardMs
    for (const line of lines) {
      if (line.startsWith('start ')) this.consoleBefore ??= size
      if (/^end\r?$/.test(line)) this.endMs ??= this.heardMs
      this.#onLine(line)
    }
  }

  /** Why it is not to be listened to any longer. */
  overdue(limits: Limits): Cut | 'off' | null {
    const { nowMs, bootMs, heardMs, endMs } = this
    if (endMs !== null) return nowMs - endMs > offSeconds * 1000 ? 'off' : null
    if (bootMs === null) return nowMs > limits.bootSeconds * 1000 ? 'time' : null
    if (nowMs - heardMs > limits.silence * 1000) return 'silence'
    return nowMs - bootMs > (limits.seconds + spareSeconds) * 1000 ? 'time' : null
  }
}

/**
 * @param onLine called with each whole line of PID 1 and of the run
 * @param signal ends the machine
 */
export const watchMachine = async (
  launch: Launch,
  limits: Limits,
  onLine: (line: string) => void,
  signal: AbortSignal,
): Promise<Watched> => {
  const ear = new Ear(onLine)
  const emulation = startEmulator(launch)
  let off = false
  const end = emulation.end.then(ended => {
    off = true
    return ended
  })
  const console = new Tail(launch.console, mostOutput)
  const data = new Tail(launch.data, mostOutput)
  const look = async (): Promise<void> => {
    // The console first: what was on it when a line came is not less.
    const shown = await console.read()
    ear.hear(await data.read(), shown, console.size)
  }
  const overdue = (): Cut | 'off' | null => {
    if (signal.aborted) return 'interrupt'
    return Math.max(console.size, data.size) >= mostOutput ? 'output' : ear.overdue(limits)
  }
  signal.addEventListener('abort', emulation.kill, { once: true })
  try {
    let why: Cut | 'off' | null = null
    while (!off && why === null) {
      await sleep(everyMs, end)
      await look()
      why = off ? (signal.aborted ? 'interrupt' : null) : overdue()
    }
    emulation.kill()
    const ended = await end
    await look()
    const isOff = why === 'off'
    return {
      console: console.text(),
      data: data.text(),
      errors: emulation.errors(),
      // What PID 1 had ended was ended well, even if the power stayed on.
      ...(isOff ? { code: 0, signal: null, failed: null } : ended),
      cut: isOff ? null : (why as Cut | null),
      durationMs: ear.nowMs,
      bootMs: ear.bootMs,
      consoleBefore: ear.consoleBefore,
    }
  } finally {
    signal.removeEventListener('abort', emulation.kill)
    emulation.kill()
    await Promise.all([console.close(), data.close()])
  }
}
