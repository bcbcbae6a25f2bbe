/** scripts/hostile.mjs, with a five-hundredth of its ten million. */
import { join } from 'node:path'
import { beforeEach, describe, expect, it } from 'vitest'
import { Child, sh } from './child.ts'
import { needsProbes } from './support.ts'

beforeEach(needsProbes)

const script = join(import.meta.dirname, '..', '..', 'scripts', 'hostile.mjs')
const hostile = (...args: string[]) => new Child(process.execPath, [script, ...args]).ended

describe('random hostile frames', () => {
  it.for(['1', '2'])('are answered as they may be, and leave nothing behind: seed %s', async (seed, ctx) => {
    if (process.env.LD_PRELOAD?.includes('asan')) ctx.skip('a sanitizer keeps memory that was given back')
    const { code, stdout, stderr } = await hostile('20000', seed)
    const lines = stdout.trim().split('\n')
    expect({ code, stderr, last: lines.at(-1) }).toEqual({
      code: 0,
      stderr: '',
      last: expect.stringMatching(/^held: 20000 frames of \d{4,} distinct requests, seed \d+, \d+ processes/),
    })
    expect(lines[0]).toBe(`seed ${seed}: 20000 frames`)
    expect(lines.at(-2)).toMatch(/^flat since the first half: RSS .* MB, heap .* MB, probe .* MB$/)
    // Both lanes were taken, and frames restored and refused in each.
    const counted = lines.filter(line => /^ +\d+ {2}(in place|callback|isolated) /.test(line)).join('\n')
    for (const outcome of [
      'in place  returned',
      'in place  signal sigreturn SIGSEGV',
      'callback  returned',
      'callback  signal sigreturn SIGSEGV',
      'isolated  returned',
      'isolated  signal sigreturn SIGSEGV',
      'isolated  signal after',
      'isolated  died sigreturn SIGSEGV',
    ])
      expect(counted).toContain(outcome)
    const total = counted.split('\n').reduce((sum, line) => sum + Number.parseInt(line, 10), 0)
    expect(total).toBe(20_000)
  })

  it('are the same for the same seed', async ctx => {
    if (process.env.LD_PRELOAD?.includes('asan')) ctx.skip('a sanitizer keeps memory that was given back')
    const kinds = async (): Promise<string | undefined> => {
      const { stdout } = await hostile('10000', '5')
      return /^held: 10000 frames of (\d+) distinct/m.exec(stdout)?.[1]
    }
    const first = await kinds()
    expect(first).toBeDefined()
    expect(await kinds()).toBe(first)
  })
})

it('refuses what is no count or seed', async () => {
  for (const args of [['x'], ['-1'], ['9999'], ['1e6'], ['10000', 'x'], ['10000', '1', '2']]) {
    const { code, stdout, stderr } = await hostile(...args)
    expect({ code, stdout }).toEqual({ code: 64, stdout: '' })
    expect(stderr).toMatch(/^usage: /)
  }
})

it('ends when nobody reads it', async () => {
  const { code, stdout, stderr } = await sh('"$NODE" "$1" 100000 | head -n 1', [script]).ended
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  expect(stdout.trim().split('\n')).toHaveLength(1)
})
