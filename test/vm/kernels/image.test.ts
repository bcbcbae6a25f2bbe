import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { KernelError } from '../../../lib/vm/kernels/errors.ts'
import { parseKernelImage, readKernelImage } from '../../../lib/vm/kernels/image.ts'
import { bzImage } from './bz-image.ts'

let folder = ''
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'sigframe-image-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const write = (bytes: Uint8Array | string, name = 'kernel'): string => {
  const path = join(folder, name)
  writeFileSync(path, bytes)
  return path
}

const refused = async (path: string): Promise<string> => {
  const error = await readKernelImage(path).catch(thrown => thrown)
  expect(error).toBeInstanceOf(KernelError)
  expect(error.problem).toBe('file')
  return error.message
}

describe('a bzImage', () => {
  test('tells its release, its protocol and whether it is of 64 bits', async () => {
    const bytes = bzImage()
    expect(await readKernelImage(write(bytes))).toEqual({
      path: join(folder, 'kernel'),
      release: '7.2.12+test-amd64',
      bits64: true,
      protocol: 0x20f,
      bytes: bytes.length,
    })
  })

  test.each([
    ['without XLF_KERNEL_64', { xloadflags: 0x3e }],
    ['of a protocol before xloadflags', { protocol: 0x20b }],
  ])('%s is of 32 bits', async (_, parts) => {
    expect((await readKernelImage(write(bzImage(parts)))).bits64).toBe(false)
  })

  test('setup_sects of 0 stands for 4', async () => {
    const bytes = bzImage({ setupSects: 0 })
    expect(bytes.length).toBe(5 * 512 + 64 * 16)
    expect((await readKernelImage(write(bytes))).release).toBe('7.2.12+test-amd64')
    expect(await refused(write(bytes.subarray(0, -1)))).toMatch(/is cut off/)
  })

  test('may have more behind it: a signature', async () => {
    const bytes = Buffer.concat([bzImage(), Buffer.alloc(999)])
    expect((await readKernelImage(write(bytes))).bytes).toBe(bytes.length)
  })

  test.each([
    ['no pointer', (bytes: Buffer) => bytes.writeUInt16LE(0, 0x20e)],
    [
      'a pointer behind the setup',
      (bytes: Buffer) => {
        bytes.write('7.2 (x)', 5 * 512)
        bytes.writeUInt16LE(5 * 512 - 0x200, 0x20e)
      },
    ],
    ['nothing at it', (bytes: Buffer) => bytes.fill(0, 0x500)],
    ['no text at it', (bytes: Buffer) => bytes.fill(0x9b, 0x500, 0x600)],
    ['an escape in it', (bytes: Buffer) => bytes.write('7.2\u001b[2J', 0x500)],
  ])('with %s has no release', async (_, damage) => {
    const bytes = bzImage()
    damage(bytes)
    expect((await readKernelImage(write(bytes))).release).toBeNull()
  })
})

describe('what is no kernel is told by what it looks like', () => {
  const padded = (start: string | Buffer, at = 0): Buffer => {
    const bytes = Buffer.alloc(4096)
    Buffer.from(start).copy(bytes, at)
    return bytes
  }
  const bootSector = padded(Buffer.from([0x55, 0xaa]), 0x1fe)
  bootSector[0] = 0xeb
  test.each<[string, Buffer, RegExp]>([
    ['vmlinux', padded('\x7fELF'), /an ELF file, such as vmlinux: .*arch\/x86\/boot\/bzImage/],
    ['gzip', padded(Buffer.from([0x1f, 0x8b, 8])), /a gzip file/],
    ['xz', padded(Buffer.from('fd377a585a00', 'hex')), /an xz file/],
    ['zstd', padded(Buffer.from('28b52ffd', 'hex')), /a zstd file/],
    ['arm64', padded('ARM\x64', 0x38), /an arm64 Image: only x86/],
    ['cpio', padded('070701'), /a cpio archive/],
    ['deb', padded('!<arch>\n'), /an ar archive, such as a \.deb: unpack it/],
    ['UKI', padded('MZ'), /an EFI program without a Linux setup header/],
    ['boot sector', bootSector, /a boot sector/],
    ['text', Buffer.from('CONFIG_X86=y\n'), /a text/],
    ['zeros', Buffer.alloc(4096), /nothing but zeros/],
    ['short', Buffer.from([1, 2, 3]), /something else: neither the boot flag 0xaa55 nor HdrS/],
    ['zImage', bzImage({ loadflags: 0 }), /a zImage/],
    ['cut off', bzImage().subarray(0, -1), /is cut off: its header speaks of 3584 bytes, and there are 3583/],
    ['cut in the header', bzImage().subarray(0, 0x230), /is no Linux kernel/],
    ['empty', Buffer.alloc(0), /is empty/],
  ])('%s', async (name, bytes, message) => {
    const path = write(bytes, name)
    expect(await refused(path)).toMatch(message)
    expect(await refused(path)).toContain(path)
  })

  test('a folder, a pipe, a device, what is not there, an endless link, no path', async () => {
    mkdirSync(join(folder, 'boot'))
    execFileSync('mkfifo', [join(folder, 'pipe')])
    symlinkSync('loop', join(folder, 'loop'))
    expect(await refused(join(folder, 'boot'))).toMatch(/boot is a folder/)
    expect(await refused(join(folder, 'pipe'))).toMatch(/pipe is no file/)
    expect(await refused('/dev/null')).toMatch(/is no file/)
    expect(await refused(join(folder, 'none'))).toMatch(/none does not exist$/)
    expect(await refused(join(folder, 'text', 'x'))).toMatch(/does not exist: there is a file/)
    expect(await refused(join(folder, 'loop'))).toMatch(/a link that leads nowhere/)
    expect(await refused('')).toMatch(/path of a kernel is empty/)
    expect(await refused('a\0b')).toMatch(/^a\\0b cannot be read/)
  })

  test.skipIf(process.getuid?.() === 0)('what may not be read', async () => {
    const path = write(bzImage(), 'secret')
    chmodSync(path, 0)
    expect(await refused(path)).toMatch(/may not be read/)
  })
})

describe('any bytes', () => {
  const limit = 1024

  /** How much was read, and what came of it. */
  const parse = async (bytes: Buffer, length = bytes.length) => {
    let read = 0
    const image = await parseKernelImage('x', length, async (offset, count) => {
      read += count
      return Buffer.from(bytes.subarray(offset, offset + count))
    }).catch(error => {
      if (!(error instanceof KernelError)) throw error
      return null
    })
    return { image, read }
  }

  test('are a kernel or refused, by a few hundred of them', async () => {
    const field = fc.tuple(
      fc.constantFrom(
        0x1f1,
        0x1f4,
        0x1f5,
        0x1f6,
        0x1f7,
        0x1fe,
        0x202,
        0x206,
        0x207,
        0x20e,
        0x20f,
        0x211,
        0x236,
        0x500,
      ),
      fc.integer({ min: 0, max: 255 }),
    )
    let kernels = 0
    await fc.assert(
      fc.asyncProperty(fc.array(field, { maxLength: 4 }), fc.nat({ max: 4000 }), async (damage, length) => {
        const whole = bzImage()
        for (const [at, byte] of damage) whole[at] = byte
        const bytes = whole.subarray(0, length < 400 ? length : undefined)
        const { image, read } = await parse(bytes)
        expect(read).toBeLessThanOrEqual(limit)
        if (image === null) return
        kernels += 1
        expect(image.release ?? 'none').toMatch(/^[\x21-\x7e]{1,127}$/)
        const claimed = ((bytes[0x1f1] || 4) + 1) * 512 + bytes.readUInt32LE(0x1f4) * 16
        expect(claimed).toBeLessThanOrEqual(bytes.length)
      }),
      { numRuns: 2000 },
    )
    expect(kernels).toBeGreaterThan(50)
  })

  test('of no kernel at all are refused', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 2048 }), async bytes => {
        expect((await parse(Buffer.from(bytes))).image).toBeNull()
      }),
    )
  })

  test('a huge file costs no more than a small one', async () => {
    const path = write(bzImage({ syssize: 64 }), 'huge')
    truncateSync(path, 2 ** 40)
    expect((await readKernelImage(path)).bytes).toBe(2 ** 40)
  })
})
