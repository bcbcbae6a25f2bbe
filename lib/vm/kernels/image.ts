/**
 * What a file says of itself as a Linux kernel image, asked before anything boots it. The header is that of the boot
 * protocol: Documentation/arch/x86/boot.rst.
 */
import { constants } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { KernelError } from './errors.ts'

/** A bzImage. */
export interface KernelImage {
  readonly path: string
  /** `uname -r`; null where the header has none. */
  readonly release: string | null
  /** Whether it is a 64-bit kernel. */
  readonly bits64: boolean
  /** Of the boot protocol, as in the header: 0x20f is 2.15. */
  readonly protocol: number
  /** The file's length. */
  readonly bytes: number
}

/** Reads at most `length` bytes at an offset: fewer only at the end of the file. */
export type ReadAt = (offset: number, length: number) => Promise<Buffer>

// All fields that are asked for lie in it.
const headerLength = 0x268
const sectorSize = 512
const paragraph = 16
const longestRelease = 128

const setupSectsAt = 0x1f1
const syssizeAt = 0x1f4
const bootFlagAt = 0x1fe
const magicAt = 0x202
const versionAt = 0x206
const kernelVersionAt = 0x20e
const loadflagsAt = 0x211
const xloadflagsAt = 0x236

const bootFlag = 0xaa55
const magic = 'HdrS'
const loadedHigh = 1 << 0
const kernel64 = 1 << 0
/** The first protocol with a kernel_version, and the first with xloadflags. */
const protocol200 = 0x0200
const protocol212 = 0x020c
/** kernel_version counts from here. */
const realModeStart = 0x200

const bzImage = 'pass the bzImage, in a build tree arch/x86/boot/bzImage'

/** Beginnings of files that are easily taken for a kernel. */
const magics: readonly (readonly [at: number, bytes: string, what: string])[] = [
  [0, '7f454c46', `an ELF file, such as vmlinux: ${bzImage}`],
  [0x38, '41524d64', 'an arm64 Image: only x86 kernels run here'],
  [0, '1f8b', `a gzip file, such as a compressed vmlinux or an initramfs: ${bzImage}`],
  [0, 'fd377a585a00', `an xz file: ${bzImage}`],
  [0, '28b52ffd', `a zstd file: ${bzImage}`],
  [0, '425a68', `a bzip2 file: ${bzImage}`],
  [0, '04224d18', `an lz4 file: ${bzImage}`],
  [0, '02214c18', `an lz4 file: ${bzImage}`],
  [0, '303730373031', `a cpio archive, such as an initramfs: ${bzImage}`],
  [0, '213c617263683e0a', 'an ar archive, such as a .deb: unpack it (dpkg-deb -x) and pass its vmlinuz'],
  [0, '27051956', `a uImage for U-Boot: ${bzImage}`],
  [0, '4d5a', 'an EFI program without a Linux setup header, such as a unified kernel image: pass its kernel'],
]

/** What the beginning of a file is of, as far as that can be told. */
const lookOf = (head: Buffer): string => {
  if (head.every(byte => byte === 0)) return 'nothing but zeros'
  for (const [at, bytes, what] of magics)
    if (head.subarray(at, at + bytes.length / 2).toString('hex') === bytes) return what
  if (head.length > bootFlagAt + 1 && head.readUInt16LE(bootFlagAt) === bootFlag)
    return `a boot sector without a Linux setup header, such as a disk's: ${bzImage}`
  if (head.every(byte => byte >= 0x20 || (byte >= 0x09 && byte <= 0x0d))) return `a text: ${bzImage}`
  return `something else: neither the boot flag 0xaa55 nor HdrS is there; ${bzImage}`
}

/** The first word of the version's text, `6.1.0-56-cloud-amd64 (builder@host) #1 SMP …`. */
const releaseIn = (text: Buffer): string | null => {
  const end = text.findIndex(byte => byte <= 0x20 || byte >= 0x7f)
  return end <= 0 || (text[end] !== 0x20 && text[end] !== 0) ? null : text.toString('latin1', 0, end)
}

/**
 * The header of a kernel, whatever bytes these are: reads a few hundred of them, and nothing by what they claim.
 * @param length of all there is to read, in bytes
 * @throws KernelError `<path> <what is wrong>`
 */
export const parseKernelImage = async (
  path: string,
  length: number,
  readAt: ReadAt,
): Promise<KernelImage> => {
  const wrong = (what: string): KernelError => new KernelError('file', `${path} ${what}`)
  if (length === 0) throw wrong('is empty: no kernel')
  const head = await readAt(0, headerLength)
  const isKernel =
    head.length === headerLength &&
    head.readUInt16LE(bootFlagAt) === bootFlag &&
    head.toString('latin1', magicAt, magicAt + magic.length) === magic
  if (!isKernel) throw wrong(`is no Linux kernel for x86; it is ${lookOf(head)}`)
  const protocol = head.readUInt16LE(versionAt)
  if (protocol < protocol200 || ((head[loadflagsAt] ?? 0) & loadedHigh) === 0)
    throw wrong(`is a zImage, as kernels of old had it: ${bzImage}`)
  // boot.rst: 0 stands for 4.
  const setup = ((head[setupSectsAt] || 4) + 1) * sectorSize
  const whole = setup + head.readUInt32LE(syssizeAt) * paragraph
  if (length < whole) throw wrong(`is cut off: its header speaks of ${whole} bytes, and there are ${length}`)
  // boot.rst: relative to 0x200, 0 where there is none, and less than setup_sects * 0x200.
  const pointer = head.readUInt16LE(kernelVersionAt)
  const isNamed = pointer !== 0 && pointer + realModeStart < setup
  return {
    path,
    release: isNamed ? releaseIn(await readAt(pointer + realModeStart, longestRelease)) : null,
    bits64: protocol >= protocol212 && (head.readUInt16LE(xloadflagsAt) & kernel64) !== 0,
    protocol,
    bytes: length,
  }
}

const openProblems: Readonly<Record<string, string>> = {
  ENOENT: 'does not exist',
  ENOTDIR: 'does not exist: there is a file where its folder should be',
  EACCES: 'may not be read',
  EPERM: 'may not be read',
  ELOOP: 'is a link that leads nowhere',
  ENAMETOOLONG: 'is too long for a path',
  ENXIO: 'is no file',
}

const reader =
  (file: FileHandle): ReadAt =>
  async (offset, length) => {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, offset)
    return buffer.subarray(0, bytesRead)
  }

/** Reads and checks the header of a kernel. @throws KernelError that names the file and what it looks like instead */
export const readKernelImage = async (path: string): Promise<KernelImage> => {
  if (path === '') throw new KernelError('file', 'the path of a kernel is empty')
  let file: FileHandle | undefined
  try {
    // A pipe that nobody writes to would be waited for.
    file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
    const found = await file.stat()
    if (found.isDirectory()) throw new KernelError('file', `${path} is a folder: ${bzImage}`)
    if (!found.isFile()) throw new KernelError('file', `${path} is no file, but a device or a pipe`)
    return await parseKernelImage(path, found.size, reader(file))
  } catch (error) {
    if (error instanceof KernelError) throw error
    const { code, message } = error as NodeJS.ErrnoException
    const said = openProblems[code ?? ''] ?? `cannot be read (${message})`
    throw new KernelError('file', `${path.replaceAll('\0', '\\0')} ${said}`)
  } finally {
    await file?.close()
  }
}
