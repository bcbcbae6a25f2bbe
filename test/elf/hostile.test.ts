import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, describe, expect, test } from 'vitest'
import type { CoreScan } from '../../lib/elf/core.ts'
import { CoreFileError } from '../../lib/elf/error.ts'
import { scanCore, scanSource } from '../../lib/elf/scan.ts'
import {
  buildCore,
  components,
  layoutNote,
  type MadeCore,
  placeFrame,
  places,
  sourceOf,
  xstateNote,
} from './builder.ts'

const base = 0x7ffd_0000_0000n
const low = 0x5555_0000n
const at = places[64]

const folder = mkdtempSync(join(tmpdir(), 'sigframe-core-test-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** Two stacks, three frames, all notes. */
const usual = (machine: MadeCore['machine'] = 'x86_64'): Buffer => {
  const [first, second] = [new Uint8Array(0x2000), new Uint8Array(0x2000)]
  const abi = machine === 'i386' ? 'ia32-rt' : machine === 'x32' ? 'x32' : 'x86_64'
  const inner = placeFrame(first, low, { abi, address: low + 0x1000n })
  placeFrame(second, low + 0x10000n, { abi, address: low + 0x10800n })
  placeFrame(second, low + 0x10000n, { abi, address: low + 0x11800n })
  return buildCore({
    machine,
    threads: [
      { pid: 5, rsp: inner.start },
      { pid: 6, rsp: low + 0x10f00n },
    ],
    notes: [xstateNote(0x2e7n), layoutNote(components)],
    segments: [
      { address: low, bytes: first },
      { address: low + 0x10000n, bytes: second, memory: 0x4000n },
    ],
  })
}

/** What it takes whatever the file holds: what a note is looked at of, a frame's surroundings. */
const constant = 1 << 13

/** A result or a clean error, and no more work and memory than the file's length justifies. */
const scanChecked = async (bytes: Uint8Array): Promise<CoreScan | CoreFileError> => {
  const source = sourceOf(bytes)
  const result = await scanSource(source).catch(error => {
    expect(error).toBeInstanceOf(CoreFileError)
    return error as CoreFileError
  })
  if (result instanceof CoreFileError) {
    expect(result.message).toMatch(/^a\.core:? [ -~’]{1,400}$/)
    expect(result.file).toBe('a.core')
  } else {
    const kept = result.frames.reduce(
      (sum, { fpstate, head, fsave }) => sum + fpstate.length + (head?.length ?? 0) + (fsave?.length ?? 0),
      0,
    )
    expect(kept).toBeLessThanOrEqual(bytes.length)
    for (const { offset, fpstate } of result.frames) {
      expect(offset).toBeLessThan(bytes.length)
      expect(fpstate.length).toBeGreaterThanOrEqual(512)
    }
    for (const gap of result.gaps) expect(gap).toMatch(/^[ -~’]{1,400}$/)
  }
  expect(source.largestBuffer()).toBeLessThan(bytes.length + constant)
  expect(source.bytesRead()).toBeLessThan(8 * bytes.length + constant)
  return result
}

const messageOf = async (bytes: Uint8Array): Promise<string> => {
  const result = await scanChecked(bytes)
  if (!(result instanceof CoreFileError)) throw new Error('was accepted')
  return result.message
}

const changed = (bytes: Buffer, change: (copy: Buffer) => void): Buffer => {
  const copy = Buffer.from(bytes)
  change(copy)
  return copy
}

describe('headers that lie', () => {
  const good = usual()
  const entry = (i: number): number => at.header + i * at.entry

  test.each<[string, (copy: Buffer) => void, RegExp]>([
    ['EI_CLASS', copy => copy.writeUInt8(3, 4), /^a\.core: EI_CLASS at offset 0x4 is 0x3, must be 1 .* or 2/],
    ['EI_DATA', copy => copy.writeUInt8(2, 5), /EI_DATA at offset 0x5 is 0x2, must be 1 \(little-endian\)/],
    ['e_type', copy => copy.writeUInt16LE(2, 16), /e_type at offset 0x10 is 0x2, must be 4 \(ET_CORE\)/],
    ['e_machine', copy => copy.writeUInt16LE(183, 18), /e_machine at offset 0x12 is 0xb7, must be 62/],
    ['e_phnum of 0', copy => copy.writeUInt16LE(0, 56), /e_phnum at offset 0x38 is 0x0, must be at least 1/],
    ['e_phnum', copy => copy.writeUInt16LE(0xfff0, 56), /e_phoff at offset 0x20 is 0x40, its 65520 program/],
    [
      'e_phentsize',
      copy => copy.writeUInt16LE(32, 54),
      /e_phentsize at offset 0x36 is 0x20, must be at least 56/,
    ],
    [
      'e_phentsize',
      copy => copy.writeUInt16LE(0xffff, 54),
      /its 3 program headers of 65535 bytes must end within/,
    ],
    [
      'e_phoff of 0',
      copy => copy.writeBigUInt64LE(0n, 32),
      /e_phoff at offset 0x20 is 0x0, must be at least 64/,
    ],
    [
      'e_phoff of 2^32',
      copy => copy.writeBigUInt64LE(1n << 32n, 32),
      /e_phoff at offset 0x20 is 0x100000000, its/,
    ],
    [
      'e_phoff of 2^64-8',
      copy => copy.writeBigUInt64LE((1n << 64n) - 8n, 32),
      /is 0xfffffffffffffff8, its 3/,
    ],
    [
      'no section header 0',
      copy => copy.writeUInt16LE(0xffff, 56),
      /e_shoff at offset 0x28 is 0x0, but e_phnum/,
    ],
    [
      'section header 0 beyond the end',
      copy => {
        copy.writeUInt16LE(0xffff, 56)
        copy.writeBigUInt64LE(1n << 63n, 40)
      },
      /e_shoff at offset 0x28 is 0x8000000000000000, its section header 0 must end within/,
    ],
    [
      'p_filesz above p_memsz',
      copy => copy.writeBigUInt64LE(0x2001n, entry(1) + at.filesz),
      /p_filesz of program header 1 at offset 0x98 is 0x2001, must be at most its p_memsz, 0x2000/,
    ],
    [
      'memory beyond 2^64',
      copy => copy.writeBigUInt64LE((1n << 64n) - 0x1000n, entry(1) + at.vaddr),
      /p_memsz of program header 1 at offset 0xa0 is 0x2000, must end by 0x10000000000000000/,
    ],
  ])('%s', async (_, change, message) => {
    expect(await messageOf(changed(good, change))).toMatch(message)
  })

  test('as many program headers as section header 0 says', async () => {
    const bytes = new Uint8Array(0x4000)
    const made = placeFrame(bytes, base, { address: base + 0x2000n })
    const file = buildCore({ xnum: true, segments: [{ address: base, bytes }] })
    expect(await scanChecked(file)).toMatchObject({ frames: [{ address: made.address }] })
    const lying = changed(file, copy => copy.writeUInt32LE(0xffff_ffff, at.header + 2 * at.entry + 44))
    expect(await messageOf(lying)).toMatch(/its 4294967295 program headers of 56 bytes must end within/)
  })

  test.each([1n << 32n, 1n << 63n, (1n << 64n) - 1n, 0x7fff_ffff_ffff_ffffn])(
    'a segment at %s of the file is cut off',
    async offset => {
      const result = await scanChecked(
        changed(good, copy => copy.writeBigUInt64LE(offset, entry(1) + at.offset)),
      )
      expect(result).toMatchObject({ frames: [{ state: 'left over' }, {}] })
      expect((result as CoreScan).gaps[0]).toMatch(
        /^the file is cut off: 8192 bytes of 1 segment beyond its \d+$/,
      )
    },
  )

  test('a size of 2^63 is clipped to the file', async () => {
    const huge = changed(good, copy => {
      copy.writeBigUInt64LE(1n << 62n, entry(2) + at.filesz)
      copy.writeBigUInt64LE(1n << 62n, entry(2) + at.memsz)
    })
    expect(await scanChecked(huge)).toMatchObject({ frames: [{}, {}, {}] })
  })

  test('memory that is not in the file is a gap where it can be written', async () => {
    expect((await scanChecked(good)) as CoreScan).toMatchObject({
      gaps: ['8192 bytes of writable memory not in the file'],
    })
  })
})

describe('no core file', () => {
  const write = (name: string, bytes: string | Uint8Array): string => {
    const file = join(folder, name)
    writeFileSync(file, bytes)
    return file
  }

  test.each<[string, () => string, RegExp]>([
    [
      'nothing',
      () => join(folder, 'missing'),
      /missing cannot be read \(ENOENT: no such file or directory\)$/,
    ],
    ['a folder', () => folder, / is no regular file$/],
    ['an empty file', () => write('empty', ''), /empty is no ELF file$/],
    ['a text', () => write('text', 'a text that is long enough to have a header'), /text is no ELF file$/],
    [
      'zstd',
      () => write('zstd', Buffer.from('28b52ffd0000', 'hex')),
      /zstd is packed by zstd: unpack it first$/,
    ],
    ['gzip', () => write('gz', Buffer.from('1f8b080000', 'hex')), /gz is packed by gzip: unpack it first$/],
    [
      'a short header',
      () => write('short', usual().subarray(0, 40)),
      /ends after 40 bytes, within its ELF header/,
    ],
    ['a name of two lines', () => write('a\nb', ''), /\/a\?b is no ELF file$/],
  ])('%s', async (_, make, message) => {
    const file = make()
    const error = await scanCore(file).catch(error => error)
    expect(error).toBeInstanceOf(CoreFileError)
    expect(error.message).toMatch(message)
    expect(error.file).toBe(file)
  })

  test('a pipe', async ctx => {
    const file = join(folder, 'pipe')
    if (spawnSync('mkfifo', [file]).status !== 0) return ctx.skip('there is no mkfifo')
    // A reader of a pipe that nobody writes waits for ever: it is never opened so.
    await expect(scanCore(file)).rejects.toThrow(/pipe is no regular file$/)
  })
})

describe.each(['x86_64', 'i386', 'x32'] as const)('a core of %s', machine => {
  const good = usual(machine)

  test('is good', async () => {
    const { frames, threads } = (await scanChecked(good)) as CoreScan
    expect(frames.map(({ state }) => state)).toEqual(['in flight', 'left over', 'in flight'])
    expect(threads).toHaveLength(2)
  })

  test('cut off anywhere', async () => {
    const whole = (await scanChecked(good)) as CoreScan
    for (let size = 0; size < good.length; size += size < 2048 ? 1 : 61) {
      const result = await scanChecked(good.subarray(0, size))
      if (result instanceof CoreFileError) continue
      expect(result.gaps.join()).toMatch(/the file is cut off/)
      const kept = whole.frames.filter(({ offset, fpstate }) => offset + fpstate.length <= size)
      expect(result.frames.map(({ address }) => address)).toEqual(
        expect.arrayContaining(kept.map(({ address }) => address)),
      )
    }
  })

  test('changed anywhere', async () => {
    const number = fc.constantFrom(
      0n,
      1n,
      0x7fffn,
      0xffffn,
      0xffff_ffffn,
      1n << 32n,
      1n << 63n,
      (1n << 64n) - 1n,
    )
    const word = fc.oneof(number, fc.bigInt(0n, (1n << 64n) - 1n))
    const place = fc.oneof(
      fc.nat(400),
      fc.nat(good.length - 8),
      fc.constantFrom(0x1000 + 464, 0x1000 + 480, 0x3000 + 464).map(offset => offset + 4096),
    )
    const change = fc.record({ place, width: fc.constantFrom(1, 2, 4, 8), value: word })
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 6 }), async changes => {
        await scanChecked(
          changed(good, copy => {
            for (const { place, width, value } of changes) {
              const some = Buffer.alloc(8)
              some.writeBigUInt64LE(value)
              some.copy(copy, place, 0, width)
            }
          }),
        )
      }),
      { numRuns: 2000 },
    )
  })
})

test('anything behind an ELF header', async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ minLength: 0, maxLength: 4096 }), async rest => {
      await scanChecked(Buffer.concat([usual().subarray(0, 20), rest]))
      await scanChecked(rest)
    }),
    { numRuns: 500 },
  )
})

const everywhere = (size: number, xstateSize: number): Uint8Array => {
  const bytes = new Uint8Array(size)
  const view = new DataView(bytes.buffer)
  for (let i = 0; i + 64 <= size; i += 64) {
    view.setUint32(i + 16, 0x46505853, true)
    view.setUint32(i + 32, xstateSize, true)
    // Where xstate_size is a multiple of 64, MAGIC2 of another frame.
    view.setUint32(i, 0x46505845, true)
  }
  return bytes
}

describe('MAGIC1 everywhere', () => {
  test('without MAGIC2 nothing is kept', async () => {
    const file = buildCore({ segments: [{ address: base, bytes: everywhere(1 << 20, 833) }] })
    const { frames, gaps } = (await scanChecked(file)) as CoreScan
    expect(frames).toEqual([])
    expect(gaps.join()).toMatch(/MAGIC1 stands at 16384 places/)
  })

  test.each([576, 832, 1 << 16])('with MAGIC2 at %i no more is kept than the file has', async xstateSize => {
    const file = buildCore({ segments: [{ address: base, bytes: everywhere(1 << 20, xstateSize) }] })
    const { frames, gaps } = (await scanChecked(file)) as CoreScan
    expect(frames.length).toBeGreaterThan(10)
    expect(gaps.join()).toMatch(
      /MAGIC1 stands at \d+ more places that were not looked at: no more than \d+ frames/,
    )
  })

  test('at the borders of many segments side by side', async () => {
    const bytes = everywhere(1 << 18, 832)
    const segments = Array.from({ length: 512 }, (_, i) => ({
      address: base + BigInt(512 * i),
      bytes: bytes.subarray(512 * i, 512 * (i + 1)),
    })).reverse()
    const source = sourceOf(buildCore({ segments }))
    const { frames } = await scanSource(source)
    expect(frames.length).toBeGreaterThan(100)
    expect(source.bytesRead()).toBeLessThan(100 * source.size)
  })
})

test('no more than so many places at borders are looked at', async () => {
  const bytes = everywhere(3 << 19, 833)
  const segments = Array.from({ length: bytes.length / 512 }, (_, i) => ({
    address: base + BigInt(512 * i),
    bytes: bytes.subarray(512 * i, 512 * (i + 1)),
  })).reverse()
  const { frames, gaps } = await scanSource(sourceOf(buildCore({ segments })))
  expect(frames).toEqual([])
  expect(gaps.join()).toMatch(/\d+ places at the borders of segments were not looked at/)
})

test('the same bytes claimed by many segments are looked at once', async () => {
  const bytes = new Uint8Array(0x10000)
  const made = placeFrame(bytes, base, { address: base + 0x2000n })
  const segments = Array.from({ length: 500 }, (_, i) => ({
    address: base + BigInt(i * 0x100000),
    bytes: i === 0 ? bytes : new Uint8Array(),
    memory: 0x10000n,
  }))
  const file = buildCore({ segments })
  const offset = file.readBigUInt64LE(at.header + at.entry + at.offset)
  for (let i = 1; i <= 500; i++) {
    file.writeBigUInt64LE(offset, at.header + i * at.entry + at.offset)
    file.writeBigUInt64LE(0x10000n, at.header + i * at.entry + at.filesz)
  }
  const { frames, gaps } = (await scanChecked(file)) as CoreScan
  expect(frames.map(({ address }) => address)).toEqual([made.address])
  expect(gaps).toContain('499 segments that others overlap: those bytes were looked at once')
})

describe('while it goes on', () => {
  const big = (): string => {
    const file = join(folder, 'big')
    writeFileSync(file, buildCore({ segments: [{ address: base, bytes: new Uint8Array(5 << 20) }] }))
    return file
  }

  test('progress is told, to the end', async () => {
    const steps: number[][] = []
    await scanCore(big(), { onProgress: (done, total) => steps.push([done, total]) })
    expect(steps.length).toBeGreaterThan(3)
    expect(steps.at(-1)).toEqual([5 << 20, 5 << 20])
    expect(steps.map(([done = 0]) => done)).toEqual(steps.map(([done = 0]) => done).sort((a, b) => a - b))
  })

  test('it can be ended', async () => {
    const reason = new Error('enough')
    await expect(scanCore(big(), { signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
    const controller = new AbortController()
    let steps = 0
    const onProgress = (): void => {
      steps++
      controller.abort(reason)
    }
    await expect(scanCore(big(), { signal: controller.signal, onProgress })).rejects.toBe(reason)
    expect(steps).toBe(1)
  })

  test('a file that becomes shorter is a gap', async () => {
    const source = sourceOf(buildCore({ segments: [{ address: base, bytes: new Uint8Array(1 << 16) }] }))
    const read: typeof source.read = async (into, position) =>
      Math.min(await source.read(into, position), Math.max(0, 40_000 - position))
    const { gaps } = await scanSource({ name: source.name, size: source.size, read })
    expect(gaps.join()).toMatch(/the file has become shorter/)
  })
})
