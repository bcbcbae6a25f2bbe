/** Descriptors: none leaks into the probe process, none is left when a session ends, none of Node's is touched. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { open, openSync } from '../../lib/probe/session.ts'
import { node, scriptPath, sh } from './child.ts'
import { descriptorsOf, probesOf } from './procfs.ts'
import { eventually, needsProbes, returned, session } from './support.ts'

let folder: string

beforeEach(ctx => {
  needsProbes(ctx)
  folder = mkdtempSync(join(tmpdir(), 'sigframe-descriptors-'))
})

afterEach(() => rmSync(folder, { recursive: true, force: true }))

/** What is open in this process, without what Node may open and close meanwhile. */
const own = (): string[] =>
  [...descriptorsOf('self')!.values()]
    .filter(what => !what.startsWith('socket:') && !what.startsWith('/proc'))
    .sort()

describe('the probe process', () => {
  it('has nothing but /dev/null', ctx => {
    const probe = session()
    const found = descriptorsOf(probe.pid)
    if (found === undefined)
      ctx.skip('reading another process’s descriptors needs more rights than this user has')
    expect(Object.fromEntries(found!)).toEqual({ 0: '/dev/null', 1: '/dev/null', 2: '/dev/null' })
  })

  it('does not hold the pipes that Node has', async () => {
    const pipes = Array.from({ length: 20 }, () => 'ignore' as 'ignore' | 'pipe')
    for (const fd of [0, 1, 3, 4, 20]) pipes[fd] = 'pipe'
    const child = node('leak.mjs', [], { stdio: [...pipes.slice(0, 2), 'inherit', ...pipes.slice(3)] })
    const { stdio } = child.process
    const ended = [1, 3, 4, 20].map(
      fd =>
        new Promise<void>(resolve => {
          stdio[fd]!.on('close', resolve).on('end', resolve)
          ;(stdio[fd] as NodeJS.ReadableStream).resume()
        }),
    )
    await child.line('probe')
    // While Node is still there.
    await Promise.all(ended)
    expect(child.process.exitCode).toBeNull()
    ;(stdio[0] as NodeJS.WritableStream).end()
    expect(await child.ended).toMatchObject({ code: 0, signal: null })
  })

  it('lets a pipeline end', async () => {
    const child = sh('"$NODE" "$1" | head -n 1', [scriptPath('lines.mjs')])
    const { code, stdout } = await child.ended
    expect({ code, stdout }).toEqual({ code: 0, stdout: 'returned 0\n' })
  })
})

describe('a session', () => {
  it('leaves no descriptor behind, however often', async () => {
    // What is opened once for the process is open after these.
    for (let i = 0; i < 3; i++) await openAndClose(i)
    const before = own()
    for (let i = 0; i < 200; i++) await openAndClose(i)
    expect(own()).toEqual(before)
    expect(probesOf(process.pid)).toEqual([])
  })

  it('has a few while it is open, and as many when its process was replaced', () => {
    const before = own().length
    const probe = session()
    const open = own().length
    expect(open - before).toBeLessThanOrEqual(2)
    for (let i = 0; i < 50; i++) {
      process.kill(probe.pid, 'SIGKILL')
      probe.runSync()
    }
    returned(probe.runSync())
    expect(own()).toHaveLength(open)
  })

  it('that cannot be opened leaves none', () => {
    const before = own()
    for (let i = 0; i < 20; i++) expect(() => openSync({ timeoutMs: -1 })).toThrow(RangeError)
    expect(own()).toEqual(before)
  })

  it('that nobody closed gives its own back when it is forgotten', async () => {
    setFlagsFromString('--expose-gc')
    const gc = runInNewContext('gc') as () => void
    const before = own()
    for (let i = 0; i < 10; i++) returned(openSync().runSync())
    expect(
      await eventually(() => {
        gc()
        return own().length === before.length && probesOf(process.pid).length === 0
      }),
    ).toBe(true)
  })
})

describe('a Node process', () => {
  it.each([
    ['whose standard streams were closed by the shell', 'exec "$NODE" "$1" as-is "$2" <&- >&- 2>&-'],
    ['which has closed them itself', 'exec "$NODE" "$1" close "$2"'],
    ['which has closed its input', 'exec "$NODE" "$1" "close input" "$2"'],
    ['with none but standard input', 'exec "$NODE" "$1" as-is "$2" >&- 2>&-'],
  ])('%s can probe, and its descriptors stay what they were', async (_, line) => {
    const report = join(folder, 'report.json')
    const { code, signal, stderr } = await sh(line, [scriptPath('descriptors.mjs'), report]).ended
    expect({ code, signal, stderr }).toEqual({ code: 0, signal: null, stderr: '' })
    const { kinds, error, before, after } = JSON.parse(readFileSync(report, 'utf8'))
    expect({ kinds, error }).toEqual({
      kinds: ['returned', 'returned', 'died', 'returned'],
      error: undefined,
    })
    for (const fd of [0, 1, 2]) expect([fd, after[fd]]).toEqual([fd, before[fd]])
    const opened = Object.values(after).filter(what => /memfd|pidfd|null/.test(String(what)))
    const had = Object.values(before).filter(what => /memfd|pidfd|null/.test(String(what)))
    expect(opened).toEqual(had)
  })
})

const openAndClose = async (i: number): Promise<void> => {
  const probe = await open()
  if (i % 3 === 0) process.kill(probe.pid, 'SIGKILL')
  if (i % 2 === 0) probe.runSync()
  await probe.close()
}
