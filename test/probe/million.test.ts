/** scripts/million.mjs, with a thousandth of its million. */
import { join } from 'node:path'
import { beforeEach, expect, it } from 'vitest'
import { Child, sh } from './child.ts'
import { needsProbes } from './support.ts'

beforeEach(needsProbes)

const script = join(import.meta.dirname, '..', '..', 'scripts', 'million.mjs')
const million = (...args: string[]) => new Child(process.execPath, [script, ...args]).ended

it('runs good and bad probes, and says whether memory and descriptors stayed flat', async ctx => {
  if (process.env.LD_PRELOAD?.includes('asan')) ctx.skip('a sanitizer keeps memory that was given back')
  const { code, stdout, stderr } = await million('10000')
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  const lines = stdout.trim().split('\n')
  expect(lines).toHaveLength(13)
  expect(lines[0]).toMatch(/probes +a second +RSS +heap +descriptors/)
  expect(lines[10]).toMatch(/^ +10000 +\d+ +[\d.]+ MB +[\d.]+ MB +\d+$/)
  expect(lines[11]).toBe('10000 probes: 6700 returned, 3300 refused with a signal')
  expect(lines[12]).toMatch(
    /^flat since the first half: RSS .* MB, heap .* MB, descriptors (\d+) then and \1 now$/,
  )
})

it('refuses what is no count', async () => {
  for (const args of [['x'], ['-1'], ['0'], ['1e6'], ['1000', '2']]) {
    const { code, stdout, stderr } = await million(...args)
    expect({ code, stdout }).toEqual({ code: 64, stdout: '' })
    expect(stderr).toMatch(/^usage: /)
  }
})

it('ends when nobody reads it', async () => {
  const { code, stdout, stderr } = await sh('"$NODE" "$1" 20000 | head -n 1', [script]).ended
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  expect(stdout.trim().split('\n')).toHaveLength(1)
})
