/** Things that several probes have in common: each is written once, and named. */

export interface Pool<T> {
  /** Its name; the same for what has the same key. */
  readonly name: (key: string, value: T) => string
  /** All of them, in the order in which they were first named. */
  readonly all: () => readonly (readonly [name: string, value: T])[]
}

export const createPool = <T>(prefix: string): Pool<T> => {
  const byKey = new Map<string, readonly [string, T]>()
  return {
    name: (key, value) => {
      const known = byKey.get(key)
      if (known !== undefined) return known[0]
      const name = `${prefix}_${byKey.size}`
      byKey.set(key, [name, value])
      return name
    },
    all: () => [...byKey.values()],
  }
}

export const keyOf = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex')
