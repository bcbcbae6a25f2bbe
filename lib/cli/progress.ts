/** Progress on a terminal, for what takes over a second. It never gets into output that is kept. */

const quietMs = 1000
const everyMs = 100
const eraseLine = '\r\u001b[K'

export interface Progress {
  /** Shows a line in place of the last one. Cheap to call often. */
  show(text: () => string): void
  /** Takes the line away. */
  end(): void
}

/** Where it is written: standard error. */
export interface ProgressOutput {
  readonly isTTY?: boolean
  readonly columns?: number
  write(text: string): unknown
}

export const createProgress = (
  output: ProgressOutput = process.stderr,
  now: () => number = () => performance.now(),
): Progress => {
  let next = now() + quietMs
  let shown = false
  return {
    show(text) {
      if (output.isTTY !== true) return
      const time = now()
      if (time < next) return
      next = time + everyMs
      shown = true
      // A line that wraps could not be erased.
      output.write(eraseLine + text().slice(0, (output.columns || 80) - 1))
    },
    end() {
      if (shown) output.write(eraseLine)
      shown = false
    },
  }
}
