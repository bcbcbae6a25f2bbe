/** What a machine boots into: which files, in which order, built once. */
import { execFileSync } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { CacheError } from '../../lib/vm/cache.ts'
import { entriesOf, inMachine, placedFiles } from '../../lib/vm/initramfs/contents.ts'
import { buildImage, createSlot } from '../../lib/vm/initramfs/image.ts'
import { loadedLibraries } from '../../lib/vm/initramfs/libraries.ts'
import type { Entry } from '../../lib/vm/initramfs/newc.ts'
import { packageFiles, packageFolder } from '../../lib/vm/initramfs/package.ts'
import { needsProbes } from '../probe/support.ts'

const root = join(import.meta.dirname, '../..')
const never = new AbortController().signal

describe.skipIf(process.platform !== 'linux')('the libraries that Node has loaded', () => {
  test('are files, the C library and the loader among them, and no vDSO', () => {
    const libraries = loadedLibraries()
    for (const path of libraries) expect(statSync(path).isFile(), path).toBe(true)
    const names = libraries.map(path => basename(path))
    expect(names.some(name => /^libc\b/.test(name))).toBe(true)
    expect(names.some(name => /^ld[-.]/.test(name))).toBe(true)
    expect(names.some(name => name.includes('vdso'))).toBe(false)
    expect(new Set(names).size).toBe(names.length)
  })

  test('leave the report as it was', () => {
    const report = process.report as unknown as { excludeNetwork?: boolean }
    const before = report.excludeNetwork
    loadedLibraries()
    expect(report.excludeNetwork ?? false).toBe(before ?? false)
  })
})

describe('the files of the package', () => {
  const places = (): readonly string[] => packageFiles(root, '/sigframe').map(({ to }) => to)

  test('its own folder is found', () => {
    expect(packageFolder()).toBe(root)
    expect(() => packageFolder('/')).toThrow(/no package\.json of sigframe above \//)
  })

  test('what is compiled, and each dependency', () => {
    const found = places()
    const { dependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
      dependencies: Record<string, string>
    }
    expect(found).toContain('/sigframe/package.json')
    expect(found).toContain(inMachine.guest)
    expect(found).toContain('/sigframe/catalogue/zen4.json')
    for (const name of Object.keys(dependencies))
      expect(found).toContain(`/sigframe/node_modules/${name}/package.json`)
  })

  test('nothing that Node does not load, nothing twice, nothing that is not there', () => {
    const found = places()
    expect(found.filter(path => !/\.([cm]?js|json)$/.test(path))).toEqual([])
    expect(new Set(found).size).toBe(found.length)
    for (const { from } of packageFiles(root, '/x')) expect(existsSync(from), from).toBe(true)
  })

  test('where it is not compiled: said so', () => {
    const folder = mkdtempSync(join(tmpdir(), 'sigframe-package-'))
    try {
      writeFileSync(join(folder, 'package.json'), '{"name":"sigframe"}')
      expect(packageFolder(join(folder))).toBe(folder)
      expect(() => packageFiles(folder, '/x')).toThrow(/dist is not there or incomplete: npm run prepare/)
    } finally {
      rmSync(folder, { recursive: true })
    }
  })

  test('a dependency that is not installed: said so', () => {
    const folder = mkdtempSync(join(tmpdir(), 'sigframe-package-'))
    try {
      const guest = join(folder, 'dist/lib/vm/guest')
      mkdirSync(guest, { recursive: true })
      writeFileSync(join(guest, 'main.js'), '')
      writeFileSync(join(folder, 'package.json'), '{"name":"sigframe","dependencies":{"no-such-one":"1"}}')
      expect(() => packageFiles(folder, '/x')).toThrow(/^no-such-one is not installed beside /)
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
})

describe('the entries', () => {
  beforeEach(needsProbes)

  const entries = (): Entry[] => [...entriesOf(placedFiles(), () => new Uint8Array(0))]

  test('are each in a folder, or a link to one, that came before', () => {
    const made = new Set<string>()
    for (const { kind, name } of entries()) {
      const parent = dirname(name)
      if (parent !== '.') expect(made, `${name} before ${parent}`).toContain(parent)
      if (kind !== 'file') made.add(name)
    }
  })

  test('have names of their own, relative to the root', () => {
    const names = entries().map(({ name }) => name)
    expect(new Set(names).size).toBe(names.length)
    for (const name of names) expect(name).toMatch(/^[^/]/)
  })

  test('programs can be run, PID 1 above all', () => {
    const files = new Map(entries().map(entry => [entry.name, entry]))
    for (const path of [inMachine.init, inMachine.node, '/sigframe/prebuilds/linux-x64/sigframe-probe'])
      expect(files.get(path.slice(1))).toMatchObject({ kind: 'file', executable: true })
    expect(files.get(inMachine.guest.slice(1))).toMatchObject({ kind: 'file', executable: false })
    expect(files.get('dev/console')).toEqual({ kind: 'device', name: 'dev/console', major: 5, minor: 1 })
  })

  test('leave the job to each machine', () => {
    const names = entries().map(({ name }) => `/${name}`)
    expect(names).not.toContain(inMachine.job)
    expect(names).not.toContain(inMachine.task)
  })
})

describe('the image', () => {
  const { SIGFRAME_CACHE } = process.env
  let cache: string
  const folder = (): string => join(cache, 'initramfs')
  const images = (): string[] => readdirSync(folder()).sort()

  beforeAll(() => {
    cache = mkdtempSync(join(tmpdir(), 'sigframe-image-'))
    process.env.SIGFRAME_CACHE = cache
  })

  afterAll(() => {
    if (SIGFRAME_CACHE === undefined) delete process.env.SIGFRAME_CACHE
    else process.env.SIGFRAME_CACHE = SIGFRAME_CACHE
    rmSync(cache, { recursive: true })
  })

  beforeEach(needsProbes)

  test('is built once, and is used then', async () => {
    const path = await buildImage(never)
    expect(images()).toEqual([basename(path)])
    const long = new Date(Date.now() - 86_400_000)
    utimesSync(path, long, long)
    const { ino } = statSync(path)
    expect(await buildImage(never)).toBe(path)
    expect(statSync(path).ino).toBe(ino)
    // In use: not the one that has to go.
    expect(statSync(path).mtimeMs).toBeGreaterThan(long.getTime())
  })

  test('has what the machine needs, as cpio lists it', async ctx => {
    const path = await buildImage(never)
    let listed: string
    try {
      listed = execFileSync('cpio', ['-it', '--quiet', '-F', path], { encoding: 'utf8', maxBuffer: 1 << 24 })
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') ctx.skip('there is no cpio')
      throw error
    }
    const names = new Set(listed.trimEnd().split('\n'))
    for (const path of [inMachine.init, inMachine.node, inMachine.guest])
      expect(names).toContain(path.slice(1))
    for (const library of loadedLibraries()) expect(names).toContain(`lib/${basename(library)}`)
  })

  test('of former builds the newest are kept, and what is none stays', async () => {
    const old = ['a', 'b', 'c', 'd'].map((letter, i) => {
      const path = join(folder(), `${letter.repeat(32)}.cpio`)
      writeFileSync(path, '')
      const at = new Date(Date.now() - (10 - i) * 3_600_000)
      utimesSync(path, at, at)
      return path
    })
    writeFileSync(join(folder(), 'notes.txt'), '')
    const path = join(
      folder(),
      images().find(name => !/^(.)\1{31}\./.test(name) && name.endsWith('.cpio')) as string,
    )
    rmSync(path)
    expect(await buildImage(never)).toBe(path)
    expect(images()).toEqual([basename(path), basename(old[2]!), basename(old[3]!), 'notes.txt'].sort())
    for (const one of old) rmSync(one, { force: true })
    rmSync(join(folder(), 'notes.txt'))
  })

  test('that is interrupted leaves nothing', async () => {
    for (const name of images()) rmSync(join(folder(), name))
    await expect(buildImage(AbortSignal.abort())).rejects.toThrow()
    expect(images()).toEqual([])
  })

  test('two who build at once get the same one, and nothing else is left', async () => {
    for (const name of images()) rmSync(join(folder(), name))
    const [first, second] = await Promise.all([buildImage(never), buildImage(never)])
    expect(first).toBe(second)
    expect(images()).toEqual([basename(first as string)])
  })

  test('where a file lies in the way: said so', async () => {
    const before = process.env.SIGFRAME_CACHE
    const file = join(cache, 'file')
    writeFileSync(file, '')
    process.env.SIGFRAME_CACHE = file
    try {
      await expect(buildImage(never)).rejects.toThrow(CacheError)
    } finally {
      process.env.SIGFRAME_CACHE = before
    }
  })

  test('a full disk: said so, and nothing is left', async ctx => {
    const before = process.env.SIGFRAME_CACHE
    const small = join(cache, 'small')
    mkdirSync(small)
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', small], { stdio: 'ignore' })
    } catch {
      ctx.skip('no file system can be mounted here')
    }
    process.env.SIGFRAME_CACHE = small
    try {
      await expect(buildImage(never)).rejects.toThrow(CacheError)
      await expect(buildImage(never)).rejects.toThrow(
        /small\b.*(disk is full|left on its disk).*SIGFRAME_CACHE/,
      )
      expect(readdirSync(join(small, 'initramfs'))).toEqual([])
    } finally {
      process.env.SIGFRAME_CACHE = before
      execFileSync('umount', [small])
    }
  })
})

describe('a slot', () => {
  let folder: string

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'sigframe-slot-'))
    writeFileSync(join(folder, 'image'), 'image of')
  })

  afterEach(() => {
    rmSync(folder, { recursive: true })
  })

  const file = (name: string, text: string): Entry => ({
    kind: 'file',
    name,
    executable: false,
    bytes: Buffer.from(text),
  })

  test('has one job behind the image, the one before is gone', async () => {
    const path = join(folder, 'slot')
    const slot = await createSlot(join(folder, 'image'), path)
    await slot.put([file('job', 'first job, the longer one'.repeat(100)), file('task.json', '{}')])
    const { size } = statSync(path)
    await slot.put([file('job', 'second')])
    const text = readFileSync(path, 'latin1')
    expect(text.length).toBeLessThan(size)
    expect(text.startsWith('image of070701')).toBe(true)
    expect(text).toContain('second')
    expect(text).not.toContain('first')
    expect(text).not.toContain('task.json')
    expect(text.length % 4).toBe(0)
    expect(readFileSync(join(folder, 'image'), 'latin1')).toBe('image of')
  })
})
