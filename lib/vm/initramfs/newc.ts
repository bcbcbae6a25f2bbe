/** Archives in cpio's newc format, as the kernel unpacks them (Documentation/driver-api/early-userspace/buffer-format.rst). */

/** What an archive can hold. Folders come before what is in them. */
export type Entry =
  | { readonly kind: 'folder'; readonly name: string }
  | { readonly kind: 'file'; readonly name: string; readonly executable: boolean; readonly bytes: Uint8Array }
  | { readonly kind: 'link'; readonly name: string; readonly target: string }
  | { readonly kind: 'device'; readonly name: string; readonly major: number; readonly minor: number }

const modeOf = (entry: Entry): number => {
  switch (entry.kind) {
    case 'folder':
      return 0o040755
    case 'file':
      return entry.executable ? 0o100755 : 0o100644
    case 'link':
      return 0o120777
    case 'device':
      return 0o020666
  }
}

const nothing = new Uint8Array(0)

const contentOf = (entry: Entry): Uint8Array => {
  if (entry.kind === 'file') return entry.bytes
  return entry.kind === 'link' ? Buffer.from(entry.target) : nothing
}

const paddingTo4 = (length: number): Uint8Array => new Uint8Array(-length & 3)

const header = (
  name: Uint8Array,
  mode: number,
  inode: number,
  size: number,
  major = 0,
  minor = 0,
): Buffer => {
  const fields = [inode, mode, 0, 0, 1, 0, size, 0, 0, major, minor, name.length + 1, 0]
  return Buffer.from(`070701${fields.map(field => field.toString(16).padStart(8, '0')).join('')}`)
}

/** The pieces of one entry, each of whose files is a multiple of four bytes long. */
const pieces = (entry: Entry, inode: number): Uint8Array[] => {
  const name = Buffer.from(entry.name)
  const content = contentOf(entry)
  const [major, minor] = entry.kind === 'device' ? [entry.major, entry.minor] : [0, 0]
  const head = header(name, modeOf(entry), inode, content.length, major, minor)
  return [
    head,
    name,
    new Uint8Array(1),
    paddingTo4(head.length + name.length + 1),
    content,
    paddingTo4(content.length),
  ]
}

const trailer: Entry = { kind: 'file', name: 'TRAILER!!!', executable: false, bytes: nothing }

/**
 * An archive, in pieces to be written one behind the other; its length is a multiple of four, so that another one may
 * follow. Names are relative to the root.
 */
export function* newc(entries: Iterable<Entry>): Generator<Uint8Array> {
  let inode = 1
  for (const entry of entries) yield* pieces(entry, inode++)
  yield* pieces(trailer, 0)
}
