import { setTimeout as sleep } from 'node:timers/promises'

/** Waits for something that comes. @throws Error after `ms` */
export const until = async <T>(what: () => T | undefined | false, ms = 20_000): Promise<T> => {
  const end = performance.now() + ms
  for (;;) {
    const found = what()
    if (found !== undefined && found !== false) return found
    if (performance.now() > end) throw new Error(`not within ${ms} ms: ${what}`)
    await sleep(10)
  }
}
