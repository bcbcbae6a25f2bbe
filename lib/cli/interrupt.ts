/** Ctrl-C on commands that run for long: what there is so far is told first. */

const ending = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/**
 * Runs work that ends early by its signal, and then ends by the one that came, as if nothing had been caught. The second
 * one ends it at once.
 */
export const interruptible = async (work: (signal: AbortSignal) => Promise<void>): Promise<void> => {
  const stop = new AbortController()
  let caught: NodeJS.Signals | undefined
  const release = (): void => {
    for (const one of ending) process.removeListener(one, catchOnce)
  }
  const catchOnce = (signal: NodeJS.Signals): void => {
    caught = signal
    release()
    stop.abort()
  }
  for (const signal of ending) process.on(signal, catchOnce)
  try {
    await work(stop.signal)
  } finally {
    release()
  }
  if (caught !== undefined) process.kill(process.pid, caught)
}

/** Until it is written: who ends by a signal writes nothing any more. */
export const written = (text: string): Promise<void> =>
  new Promise(resolve => {
    process.stdout.write(text, () => resolve())
  })
