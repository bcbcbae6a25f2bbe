/** The bytes of a core file, wherever they are. */
import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import { wrongCore } from './error.ts'

export interface ByteSource {
  /** As messages call it. */
  readonly name: string
  /** Bytes. */
  readonly size: number
  /** Fills the array from there on. @returns how many bytes there were: fewer only where the file ends */
  readonly read: (into: Uint8Array, position: number) => Promise<number>
}

const reasonOf = (error: unknown): string => (error as Error).message.replace(/, \w+( '.*')?$/s, '')

/**
 * Lends the file's bytes, and closes it again.
 * @throws CoreFileError when it cannot be read or is no regular file; what `use` throws
 */
export const withSource = async <T>(file: string, use: (source: ByteSource) => Promise<T>): Promise<T> => {
  // A pipe that nobody writes would be waited for.
  const handle = await open(file, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0)).catch(error => {
    throw wrongCore(file, `cannot be read (${reasonOf(error)})`)
  })
  try {
    const status = await handle.stat()
    if (!status.isFile()) throw wrongCore(file, 'is no regular file')
    const read = async (into: Uint8Array, position: number): Promise<number> => {
      let done = 0
      while (done < into.length) {
        const { bytesRead } = await handle
          .read(into, done, into.length - done, position + done)
          .catch(error => {
            throw wrongCore(file, `cannot be read (${reasonOf(error)})`)
          })
        if (bytesRead === 0) break
        done += bytesRead
      }
      return done
    }
    return await use({ name: file, size: status.size, read })
  } finally {
    await handle.close()
  }
}
