/**
 * A process that even SIGKILL cannot end, as its parent sees it: one that is traced by somebody who never waits. It
 * is told, left behind, and cleaned up when that has become possible.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { beforeEach, describe, expect, it, type TestContext } from 'vitest'
import { node } from './child.ts'
import { isGone, isOver, isZombie } from './procfs.ts'
import { eventually, needsProbes, returned, session } from './support.ts'

beforeEach(needsProbes)

const timeoutMs = 200

const python = spawnSync('python3', ['-c', 'import ctypes, sys; print(sys.executable)'], { encoding: 'utf8' })

interface Tracer {
  detach(): Promise<void>
}

const trace = async (ctx: TestContext, pid: number): Promise<Tracer> => {
  if (python.status !== 0) ctx.skip('needs python3 with ctypes')
  const tracer: ChildProcess = spawn(
    python.stdout.trim(),
    [join(import.meta.dirname, 'tracer.py'), `${pid}`],
    {
      stdio: ['pipe', 'pipe', 'inherit'],
    },
  )
  ctx.onTestFinished(() => {
    tracer.kill('SIGKILL')
  })
  const [said] = (await once(tracer.stdout!, 'data')) as [Buffer]
  if (!said.toString().startsWith('attached'))
    ctx.skip(`tracing is not allowed here: ${said.toString().trim()}`)
  return {
    detach: async () => {
      const ended = once(tracer, 'exit')
      tracer.kill('SIGKILL')
      await ended
    },
  }
}

// Beside one another: each waits most of its time.
describe.concurrent('a stuck process', () => {
  it('is told, left behind and replaced', async ctx => {
    const probe = session({ timeoutMs }, ctx)
    const { pid } = probe
    const tracer = await trace(ctx, pid)
    process.kill(pid, 'SIGSTOP')
    expect(await probe.run({})).toEqual({ kind: 'stuck', timeoutMs, pid })
    expect(isZombie(pid)).toBe(true)
    // The session goes on without it, as often as it likes.
    returned(probe.runSync())
    expect(probe.pid).not.toBe(pid)
    process.kill(probe.pid, 'SIGKILL')
    expect(probe.runSync().kind).toBe('died')
    returned(probe.runSync())
    expect(isZombie(pid)).toBe(true)
    await tracer.detach()
    // Whoever starts a process next reaps it.
    returned(session({}, ctx).runSync())
    expect(isGone(pid)).toBe(true)
  })

  it('does not hold up close()', async ctx => {
    const probe = session({ timeoutMs }, ctx)
    const { pid } = probe
    const tracer = await trace(ctx, pid)
    await probe.close()
    expect(isZombie(pid)).toBe(true)
    await tracer.detach()
    returned(session({}, ctx).runSync())
    expect(isGone(pid)).toBe(true)
  })

  it('is given up in the end by a run and by close() alike', async ctx => {
    const probe = session({ timeoutMs }, ctx)
    const { pid } = probe
    const tracer = await trace(ctx, pid)
    process.kill(pid, 'SIGSTOP')
    let over = false
    const run = probe.run({}).finally(() => {
      over = true
    })
    run.catch(() => undefined)
    // By now the run waits for its process to end, and the session has let go of it.
    await new Promise(resolve => setTimeout(resolve, 3 * timeoutMs))
    await probe.close()
    expect(over).toBe(true)
    await tracer.detach()
  })

  it('lets a run that would wait for hours go when the session is closed', async ctx => {
    const probe = session({ timeoutMs: 3_600_000 }, ctx)
    const { pid } = probe
    const tracer = await trace(ctx, pid)
    process.kill(pid, 'SIGSTOP')
    const run = probe.run({})
    run.catch(() => undefined)
    await new Promise(resolve => setTimeout(resolve, 20))
    await probe.close()
    await expect(run).rejects.toThrow(/^the session (is|was) closed/)
    await tracer.detach()
  })

  it('that died by itself is told as one that made no progress', async ctx => {
    const probe = session({ timeoutMs }, ctx)
    const { pid } = probe
    const tracer = await trace(ctx, pid)
    process.kill(pid, 'SIGKILL')
    expect(await eventually(() => isZombie(pid))).toBe(true)
    expect(await probe.run({})).toEqual({ kind: 'stuck', timeoutMs, pid })
    returned(probe.runSync())
    await tracer.detach()
  })

  it.for(['idle', 'async'])('does not hold up the end of Node: %s', async (state, ctx) => {
    const child = node('end.mjs', [state, 'input', 'stopped'], { stdio: ['pipe', 'pipe', 'pipe'] })
    const pid = Number(await child.line('probe'))
    await child.line(`in ${state}`)
    const tracer = await trace(ctx, pid)
    child.process.stdin!.end()
    expect(await child.ended).toMatchObject({ code: 7, signal: null })
    expect(await eventually(() => isZombie(pid))).toBe(true)
    await tracer.detach()
    expect(await eventually(() => isOver(pid))).toBe(true)
  })
})

it('runSync waits for a stuck process no longer than it must', async ctx => {
  const probe = session({ timeoutMs })
  const { pid } = probe
  const tracer = await trace(ctx, pid)
  process.kill(pid, 'SIGSTOP')
  expect(probe.runSync()).toEqual({ kind: 'stuck', timeoutMs, pid })
  returned(probe.runSync())
  await tracer.detach()
})
