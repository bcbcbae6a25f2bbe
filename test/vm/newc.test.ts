import { execFileSync, spawnSync } from 'node:child_process'
import { lstatSync, mkdirSync, mkdtempSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Entry, newc } from '../../lib/vm/initramfs/newc.ts'

const archive = (entries: readonly Entry[]): Buffer => Buffer.concat([...newc(entries)])

interface Parsed {
  readonly name: string
  readonly mode: number
  readonly inode: number
  readonly links: number
  readonly device: readonly [number, number]
  readonly content: Buffer
}

const headerLength = 110

/** All entries up to the end of the bytes, over the ends of archives, as the kernel reads them (init/initramfs.c). */
const parse = (bytes: Buffer): Parsed[] => {
  const parsed: Parsed[] = []
  for (let at = 0; at < bytes.length; ) {
    expect(at % 4).toBe(0)
    expect(bytes.toString('latin1', at, at + 6)).toBe('070701')
    const field = (i: number): number => {
      const text = bytes.toString('latin1', at + 6 + 8 * i, at + 14 + 8 * i)
      expect(text).toMatch(/^[0-9a-f]{8}$/)
      return Number.parseInt(text, 16)
    }
    const [inode, mode, links, size] = [field(0), field(1), field(4), field(6)]
    const nameSize = field(11)
    const name = bytes.subarray(at + headerLength, at + headerLength + nameSize)
    expect(name.at(-1)).toBe(0)
    const start = (at + headerLength + nameSize + 3) & ~3
    const content = bytes.subarray(start, start + size)
    expect(content).toHaveLength(size)
    parsed.push({
      name: name.toString('utf8', 0, nameSize - 1),
      mode,
      inode,
      links,
      device: [field(9), field(10)],
      content,
    })
    at = (start + size + 3) & ~3
    expect(at).toBeLessThanOrEqual(bytes.length)
  }
  return parsed
}

const anyName = fc
  .array(
    fc.stringMatching(/^[\p{L}\w., -]{1,12}$/u).filter(part => part !== '.' && part !== '..'),
    { minLength: 1, maxLength: 4 },
  )
  .map(parts => parts.join('/'))
  .filter(name => name !== 'TRAILER!!!')

const anyEntry: fc.Arbitrary<Entry> = fc.oneof(
  fc.record({ kind: fc.constant('folder' as const), name: anyName }),
  fc.record({
    kind: fc.constant('file' as const),
    name: anyName,
    executable: fc.boolean(),
    bytes: fc.uint8Array({ maxLength: 300 }),
  }),
  fc.record({ kind: fc.constant('link' as const), name: anyName, target: anyName.map(name => `/${name}`) }),
  fc.record({
    kind: fc.constant('device' as const),
    name: anyName,
    major: fc.integer({ min: 0, max: 4095 }),
    minor: fc.integer({ min: 0, max: 0xfffff }),
  }),
)

const expected = (entry: Entry): Omit<Parsed, 'inode'> => ({
  name: entry.name,
  mode: {
    folder: 0o040755,
    file: entry.kind === 'file' && entry.executable ? 0o100755 : 0o100644,
    link: 0o120777,
    device: 0o020666,
  }[entry.kind],
  links: 1,
  device: entry.kind === 'device' ? [entry.major, entry.minor] : [0, 0],
  content: Buffer.from(
    entry.kind === 'file' ? entry.bytes : entry.kind === 'link' ? entry.target : Buffer.alloc(0),
  ),
})

describe('an archive', () => {
  test('any entries come out as they went in', () => {
    fc.assert(
      fc.property(fc.array(anyEntry, { maxLength: 12 }), entries => {
        const parsed = parse(archive(entries))
        expect(parsed.at(-1)).toMatchObject({ name: 'TRAILER!!!' })
        expect(parsed.slice(0, -1).map(({ inode: _, ...rest }) => rest)).toEqual(entries.map(expected))
        // Two names of one inode with one link each would be read as one file by some.
        const inodes = parsed.slice(0, -1).map(({ inode }) => inode)
        expect(new Set(inodes).size).toBe(inodes.length)
      }),
    )
  })

  test('another one follows it', () => {
    fc.assert(
      fc.property(
        fc.array(anyEntry, { maxLength: 5 }),
        fc.array(anyEntry, { maxLength: 5 }),
        (first, second) => {
          const names = parse(Buffer.concat([archive(first), archive(second)])).map(({ name }) => name)
          const end = 'TRAILER!!!'
          expect(names).toEqual([...first.map(e => e.name), end, ...second.map(e => e.name), end])
        },
      ),
    )
  })

  test('nothing is an archive, too', () => {
    expect(parse(archive([]))).toHaveLength(1)
  })

  test('entries are taken one at a time: a file is held no longer than it is written', () => {
    const taken: number[] = []
    const pieces = newc(
      (function* () {
        for (let i = 0; i < 3; i++) {
          taken.push(i)
          yield { kind: 'file', name: `f${i}`, executable: false, bytes: Buffer.alloc(8) } as const
        }
      })(),
    )
    pieces.next()
    expect(taken).toEqual([0])
  })
})

const hasCpio = spawnSync('cpio', ['--version']).error === undefined

describe.skipIf(!hasCpio)('unpacked by cpio', () => {
  const unpacked = (bytes: Buffer, check: (folder: string) => void): void => {
    const folder = mkdtempSync(join(tmpdir(), 'sigframe-newc-'))
    try {
      writeFileSync(join(folder, 'archive'), bytes)
      mkdirSync(join(folder, 'out'))
      execFileSync('cpio', ['-idm', '--quiet', '--no-absolute-filenames', '-F', '../archive'], {
        cwd: join(folder, 'out'),
        stdio: 'pipe',
      })
      check(join(folder, 'out'))
    } finally {
      rmSync(folder, { recursive: true })
    }
  }

  // Every remainder by four of a name's and a content's length.
  const entries: readonly Entry[] = [
    { kind: 'folder', name: 'a' },
    { kind: 'folder', name: 'a/b' },
    ...Array.from(
      { length: 9 },
      (_, i): Entry => ({
        kind: 'file',
        name: `a/b/${'n'.repeat(i + 1)}`,
        executable: i % 2 === 1,
        bytes: Buffer.alloc(i, i + 65),
      }),
    ),
    { kind: 'link', name: 'a/link', target: 'b/n' },
    { kind: 'file', name: 'große Datei', executable: false, bytes: Buffer.alloc(100_001, 7) },
  ]

  test('files, folders, links', () => {
    unpacked(archive(entries), folder => {
      for (const entry of entries) {
        const path = join(folder, entry.name)
        const { mode } = lstatSync(path)
        if (entry.kind === 'folder') expect(mode).toBe(0o040755)
        if (entry.kind === 'link') expect(readlinkSync(path)).toBe(entry.target)
        if (entry.kind === 'file') {
          expect(readFileSync(path).equals(entry.bytes)).toBe(true)
          expect(mode).toBe(entry.executable ? 0o100755 : 0o100644)
        }
      }
    })
  })

  test('lists devices with their numbers', () => {
    const text = execFileSync('cpio', ['-itv', '--quiet'], {
      input: archive([{ kind: 'device', name: 'dev/ttyS1', major: 4, minor: 65 }]),
      encoding: 'utf8',
    })
    expect(text).toMatch(/^crw-rw-rw- .* 4, +65 .* dev\/ttyS1\n$/)
  })
})
