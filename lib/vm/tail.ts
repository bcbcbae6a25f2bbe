/** Reads what another process appends to a file. */
import { type FileHandle, open } from 'node:fs/promises'

export class Tail {
  readonly #path: string
  readonly #most: number
  #file: FileHandle | null = null
  #chunks: Buffer[] = []
  /** Bytes read. */
  size = 0

  /** @param most bytes that are read of it */
  constructor(path: string, most: number) {
    this.#path = path
    this.#most = most
  }

  /** @returns what is new; nothing as long as there is no file */
  async read(): Promise<Buffer> {
    this.#file ??= await open(this.#path, 'r').catch(() => null)
    if (this.#file === null) return Buffer.alloc(0)
    const { size } = await this.#file.stat()
    const length = Math.min(size, this.#most) - this.size
    if (length <= 0) return Buffer.alloc(0)
    const { buffer, bytesRead } = await this.#file.read(Buffer.alloc(length), 0, length, this.size)
    const added = buffer.subarray(0, bytesRead)
    this.size += bytesRead
    this.#chunks.push(added)
    return added
  }

  text(): string {
    return Buffer.concat(this.#chunks).toString('utf8')
  }

  async close(): Promise<void> {
    await this.#file?.close()
  }
}
