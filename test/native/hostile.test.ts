/** A process in the place of the probe process that means ill: it neither crashes Node nor keeps it. */
import { spawnSync } from 'node:child_process'
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { constants as osConstants, tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, type TestContext } from 'vitest'
import { loadNative } from '../../lib/native.ts'
import type { NativeSession } from '../../lib/native-types.ts'
import { children, descriptors, needsAddon, shape, waitedName } from './support.ts'

let folder: string
let session: NativeSession | undefined

beforeEach(ctx => {
  needsAddon(ctx)
  folder = mkdtempSync(join(tmpdir(), 'sigframe-hostile-'))
})

afterEach(() => {
  session?.close()
  session = undefined
  rmSync(folder, { recursive: true, force: true })
})

const scriptFor = (ctx: TestContext, mode: string): string => {
  // Without an environment: the sanitizers' runtime is for Node.
  const which = spawnSync('python3', ['-c', 'import sys; print(sys.executable)'], {
    encoding: 'utf8',
    env: { PATH: process.env.PATH },
  })
  if (which.status !== 0) ctx.skip('needs python3')
  const text = readFileSync(join(import.meta.dirname, 'hostile.py'), 'utf8').replace(
    '"MODE"',
    JSON.stringify(mode),
  )
  const path = join(folder, 'probe')
  writeFileSync(path, `#!${which.stdout.trim()}\n${text}`)
  chmodSync(path, 0o755)
  return path
}

const open = (ctx: TestContext, mode: string): NativeSession => {
  session = new (loadNative().Session)(scriptFor(ctx, mode), shape)
  return session
}

/** Tells it to begin, and waits until it has. @returns what it answers */
const begin = (native: NativeSession): number => {
  const words = new Uint32Array(native.memory())
  words[0] = 1
  const pause = new Int32Array(new SharedArrayBuffer(4))
  for (let waited = 0; words[1] === 0 && waited < 5000; waited += 5) Atomics.wait(pause, 0, 0, 5)
  return words[1]!
}

const run = async (
  way: string,
  native: NativeSession,
  target: number,
  timeoutMs: number,
): Promise<string> => {
  if (way === 'run') return waitedName(native.run(1, target, timeoutMs))
  if (way === 'reply') return waitedName(native.reply(target, timeoutMs))
  return waitedName(await native.runAsync(1, target, timeoutMs))
}

describe('a hostile process', () => {
  it.for(['run', 'reply', 'runAsync'])('cannot keep Node by never being done: %s', async (way, ctx) => {
    const native = open(ctx, 'never done')
    expect(begin(native)).toBe(1)
    // Had it kept Node, it would have ended first.
    expect(await run(way, native, 100, 200)).toBe('timeout')
  })

  it.for(['run', 'reply', 'runAsync'])(
    'may write what it likes into the control page: %s',
    async (way, ctx) => {
      const native = open(ctx, 'garbage')
      expect(begin(native)).toBe(1)
      const ends = new Set<string>()
      for (let i = 0; i < 40; i++) {
        ends.add(await run(way, native, (i * 0x0765_4321) >>> 0, 20))
        native.describe()
        native.completed()
      }
      for (const end of ends) expect(end).toMatch(/^(done|frame|timeout)$/)
      native.kill()
      expect(waitedName(native.run(1, 1, 20))).toMatch(/^(done|frame|ended|cancelled)$/)
    },
  )

  it('cannot take the memory away under Node', ctx => {
    const native = open(ctx, 'shrinks')
    expect(begin(native)).toBe(osConstants.errno.EPERM)
    // Every page of it is still there.
    const words = new Uint32Array(native.memory())
    expect(words.reduce((sum, word) => sum + word)).toBeGreaterThan(0)
  })

  it('that ends is told', async ctx => {
    const native = open(ctx, 'ends')
    expect(begin(native)).toBe(1)
    expect(await run('run', native, 100, 5000)).toBe('ended')
    expect(native.tryReap()).toEqual({ signal: null, code: 42 })
  })

  it('that fails to start is told with what it says', ctx => {
    const before = descriptors()
    const path = scriptFor(ctx, 'fails')
    expect(() => new (loadNative().Session)(path, shape)).toThrow(
      /failed at its start: [^:]+: No such file or directory$/,
    )
    expect(descriptors()).toEqual(before)
    expect(children()).toEqual([])
  })
})
