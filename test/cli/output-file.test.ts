import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { ExplainedError, UsageError } from '../../lib/cli/errors.ts'
import { checkTarget, writeWhole } from '../../lib/cli/output-file.ts'

let folder: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sigframe-output-'))
})

afterEach(() => {
  rmSync(folder, { recursive: true })
})

test('a new file', async () => {
  const file = join(folder, 'r')
  await writeWhole(checkTarget(file), 'text\n')
  expect(readFileSync(file, 'utf8')).toBe('text\n')
  expect(readdirSync(folder)).toEqual(['r'])
})

test('a name in the working folder', () => {
  expect(checkTarget('r.json')).toEqual({ name: 'r.json', path: 'r.json', mode: null, inPlace: false })
})

test('checking makes nothing', () => {
  checkTarget(join(folder, 'r'))
  expect(readdirSync(folder)).toEqual([])
})

test('a folder that went away meanwhile: said so, and nothing else', async () => {
  mkdirSync(join(folder, 'sub'))
  const target = checkTarget(join(folder, 'sub', 'r'))
  rmSync(join(folder, 'sub'), { recursive: true })
  await expect(writeWhole(target, 'x')).rejects.toThrow(ExplainedError)
  await expect(writeWhole(target, 'x')).rejects.toThrow(
    /\/sub\/r was not written: ENOENT: no such file or directory$/,
  )
  expect(readdirSync(folder)).toEqual([])
})

test('a folder that stands in its place meanwhile: what was begun is taken away', async () => {
  const target = checkTarget(join(folder, 'r'))
  mkdirSync(join(folder, 'r'))
  await expect(writeWhole(target, 'x')).rejects.toThrow(ExplainedError)
  expect(readdirSync(folder)).toEqual(['r'])
})

test.skipIf(process.getuid?.() === 0)('a folder that may not be written', () => {
  chmodSync(folder, 0o500)
  expect(() => checkTarget(join(folder, 'r'))).toThrow(UsageError)
  chmodSync(folder, 0o700)
})

/** Node in a shell that lets no file grow beyond a kilobyte: as if the disk were full. */
const onFullDisk = (script: string): string =>
  execFileSync('sh', ['-c', 'ulimit -f 2; exec "$0" --input-type=module -e "$1"', process.execPath, script], {
    encoding: 'utf8',
  })

test.skipIf(process.platform !== 'linux')(
  'no room: the file before stays, and what was begun is taken away',
  () => {
    const file = join(folder, 'r')
    writeFileSync(file, 'old')
    const module = join(import.meta.dirname, '../../dist/lib/cli/output-file.js')
    const message = onFullDisk(`
    import { checkTarget, writeWhole } from ${JSON.stringify(module)}
    await writeWhole(checkTarget(${JSON.stringify(file)}), 'x'.repeat(1e6)).catch(({ name, message }) => {
      console.log(name, message)
    })
  `)
    expect(message).toBe(`ExplainedError ${file} was not written: EFBIG: file too large\n`)
    expect(readFileSync(file, 'utf8')).toBe('old')
    expect(readdirSync(folder)).toEqual(['r'])
  },
)

test('the mode of the file before', async () => {
  const file = join(folder, 'r')
  writeFileSync(file, 'old', { mode: 0o604 })
  await writeWhole(checkTarget(file), 'new')
  expect(statSync(file).mode & 0o777).toBe(0o604)
  expect(readFileSync(file, 'utf8')).toBe('new')
})

test('no listener of signals is left behind', async () => {
  const before = process.listenerCount('SIGINT')
  await writeWhole(checkTarget(join(folder, 'r')), 'x')
  expect(process.listenerCount('SIGINT')).toBe(before)
})
