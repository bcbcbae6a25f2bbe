/** A file's bytes, as they come: of a file of any size no more than a piece is held. */
import { closeSync, openSync, readSync } from 'node:fs'
import { type FileKind, wrongFile } from './checked-file.ts'

const chunkBytes = 1 << 20

/** What the system says, without what it was doing: `EACCES: permission denied`. */
export const becauseOf = (error: unknown): string => (error as Error).message.replace(/, \w+( '.*')?$/s, '')

/** The bytes in pieces. A piece is overwritten by the next. @throws the kind's error */
export function* fileChunks(kind: FileKind, file: string): Generator<Uint8Array, void> {
  const told = <T>(work: () => T): T => {
    try {
      return work()
    } catch (error) {
      throw wrongFile(kind, file, `cannot be read (${becauseOf(error)})`)
    }
  }
  const descriptor = told(() => openSync(file, 'r'))
  try {
    const chunk = Buffer.allocUnsafe(chunkBytes)
    let length = 0
    while (true) {
      const read = told(() => readSync(descriptor, chunk))
      if (read === 0) return
      length += read
      if (length > kind.largest)
        throw wrongFile(kind, file, `is larger than ${kind.largest} bytes, the most that is read`)
      yield chunk.subarray(0, read)
    }
  } finally {
    closeSync(descriptor)
  }
}

/** The text that pieces of bytes are, where all of it is wanted. @throws the kind's error */
export const wholeText = (kind: FileKind, chunks: Iterable<Uint8Array>, file: string): string => {
  const pieces: Buffer[] = []
  let length = 0
  for (const chunk of chunks) {
    length += chunk.length
    if (length > kind.largest)
      throw wrongFile(kind, file, `is larger than ${kind.largest} bytes, the most that is read`)
    pieces.push(Buffer.from(chunk))
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(pieces, length))
  } catch {
    throw wrongFile(kind, file, 'is not UTF-8 text')
  }
}
