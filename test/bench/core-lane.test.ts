import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { writeCoreFile } from '../../lib/bench/core-file.ts'
import { coreLaneOf, withCoreLane } from '../../lib/bench/core-lane.ts'
import { BenchError } from '../../lib/bench/lane.ts'
import { scanCore } from '../../lib/elf/scan.ts'

const folder = mkdtempSync(join(tmpdir(), 'sigframe-core-lane-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

test.each([1, 9, 80])('a core file of %i MiB has frames that are found', async mebibytes => {
  const file = join(folder, `${mebibytes}`)
  const frames = writeCoreFile(file, mebibytes)
  expect(frames).toBe(Math.ceil(mebibytes / 8))
  expect(Math.floor(statSync(file).size / (1 << 20))).toBe(mebibytes)
  const found = await scanCore(file)
  expect(found.frames).toHaveLength(frames)
  for (const { head, fpstate } of found.frames) expect([head?.length, fpstate.length]).toEqual([440, 2700])
})

test('the lane runs any count, and its files are gone even while it does', async () => {
  const temporary = process.env.TMPDIR
  const own = mkdtempSync(join(folder, 'tmp-'))
  process.env.TMPDIR = own
  try {
    await withCoreLane(async lane => {
      expect(readdirSync(own)).toEqual([])
      for (const count of [1, 7, 100]) await lane.run(count)
      expect(await lane.against[0].run(50)).toBeGreaterThan(0)
    })
    await expect(withCoreLane(() => Promise.reject(new Error('ended')))).rejects.toThrow('ended')
    expect(readdirSync(own)).toEqual([])
  } finally {
    if (temporary === undefined) delete process.env.TMPDIR
    else process.env.TMPDIR = temporary
  }
})

test('files whose frames are not found are no measurement, nor are those that cannot be read', async () => {
  const file = join(folder, 'one')
  const frames = writeCoreFile(file, 1)
  const lane = coreLaneOf([{ file, mebibytes: 1, frames: frames + 1 }])
  await expect(async () => lane.run(1)).rejects.toThrow(
    new BenchError('bench: core file: 1 frames were found of 2'),
  )
  const gone = coreLaneOf([{ file: join(folder, 'gone'), mebibytes: 1, frames }])
  await expect(async () => gone.run(1)).rejects.toThrow(/cannot be read/)
})
