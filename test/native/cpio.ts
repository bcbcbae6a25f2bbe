/** An initramfs of files and folders: cpio's "newc" format, Documentation/driver-api/early-userspace/buffer-format.rst. */

export interface CpioEntry {
  readonly path: string
  /** With the file's type: 0o100755 is a program. */
  readonly mode: number
  readonly content: Uint8Array
}

export const packCpio = (entries: readonly CpioEntry[]): Buffer =>
  Buffer.concat([...entries.map(pack), pack({ path: 'TRAILER!!!', mode: 0, content: Buffer.alloc(0) }, 0)])

const pack = ({ path, mode, content }: CpioEntry, index: number): Buffer => {
  const name = Buffer.from(`${path}\0`)
  // ino, mode, uid, gid, nlink, mtime, filesize, devmajor, devminor, rdevmajor, rdevminor, namesize, check
  const fields = [index + 1, mode, 0, 0, 1, 0, content.length, 0, 0, 0, 0, name.length, 0]
  const header = Buffer.from(`070701${fields.map(field => field.toString(16).padStart(8, '0')).join('')}`)
  return Buffer.concat([padded(Buffer.concat([header, name])), padded(content)])
}

const padded = (bytes: Uint8Array): Buffer => Buffer.concat([bytes, Buffer.alloc(-bytes.length & 3)])
