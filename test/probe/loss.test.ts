/** Probe processes that die or hang: told with the probe that it happened to, cleaned up, replaced. */
import { beforeEach, describe, expect, it } from 'vitest'
import type { DataRequest } from '../../lib/probe/request.ts'
import type { Seen } from '../../lib/probe/result.ts'
import type { Probe } from '../../lib/probe/session.ts'
import { randomImage } from '../../lib/xstate/random.ts'
import { isGone, probesOf, zombiesOf } from './procfs.ts'
import { eventually, needsProbes, returned, session } from './support.ts'

beforeEach(needsProbes)

const died = (signal: string) => ({ kind: 'died', where: null, signal, code: null })

/** A probe that takes most of a millisecond. */
const slow = (probe: Probe): DataRequest => ({
  edit: new Array(4000).fill({ op: 'fill', at: 0, length: probe.limits.inPlaceBytes, value: 0 }),
})

const healthy = (probe: Probe, before: number): void => {
  const load = randomImage(probe.layout, { seed: 1 })
  expect(returned(probe.runSync({ load })).state('sse').restored).toBe(true)
  expect(probe.pid).not.toBe(before)
  expect(isGone(before)).toBe(true)
  expect(zombiesOf(process.pid)).toEqual([])
}

describe('a probe process that dies', () => {
  it.each(['SIGKILL', 'SIGSEGV', 'SIGABRT', 'SIGTERM', 'SIGBUS', 'SIGTRAP'] as const)(
    'while idle, of %s',
    signal => {
      const probe = session()
      const { pid } = probe
      process.kill(pid, signal)
      expect(probe.runSync()).toEqual(died(signal))
      healthy(probe, pid)
    },
  )

  it('during a live callback', () => {
    const probe = session()
    const { pid } = probe
    const edit = () => {
      process.kill(pid, 'SIGKILL')
    }
    expect(probe.runSync({ edit })).toEqual(died('SIGKILL'))
    healthy(probe, pid)
  })

  it('during a live callback that then throws: the error is what counts', () => {
    const probe = session()
    const { pid } = probe
    const edit = () => {
      process.kill(pid, 'SIGKILL')
      throw new Error('thrown')
    }
    expect(() => probe.runSync({ edit })).toThrow('thrown')
    healthy(probe, pid)
  })

  it('during a batch: one probe is lost, those before and after it are not', async () => {
    const probe = session()
    const { pid } = probe
    const requests = [{}, {}, ...new Array(800).fill(probe.prepare(slow(probe))), {}, {}]
    const run = probe.run(requests)
    await new Promise(resolve => setTimeout(resolve, 20))
    process.kill(pid, 'SIGKILL')
    const seen = await run
    expect(seen).toHaveLength(requests.length)
    const lost = seen.findIndex(({ kind }) => kind === 'died')
    expect(seen[lost]).toEqual(died('SIGKILL'))
    expect(lost).toBeGreaterThanOrEqual(2)
    for (const [i, one] of seen.entries()) if (i !== lost) returned(one)
    healthy(probe, pid)
  })

  it('before a batch: the first probe is lost', () => {
    const probe = session()
    for (const run of [
      () => probe.runMany(new Array(200).fill({})),
      () => {
        const seen: Seen[] = []
        probe.runEach(new Array(200).fill({}), one => seen.push(one))
        return seen
      },
    ]) {
      const { pid } = probe
      process.kill(pid, 'SIGKILL')
      const kinds = run().map(({ kind }) => kind)
      expect(kinds).toEqual(['died', ...new Array(199).fill('returned')])
      healthy(probe, pid)
    }
  })

  it('again and again', () => {
    const probe = session()
    for (let i = 0; i < 30; i++) {
      process.kill(probe.pid, 'SIGKILL')
      expect(probe.runSync().kind).toBe('died')
    }
    expect(zombiesOf(process.pid)).toEqual([])
    expect(probesOf(process.pid)).toEqual([])
    returned(probe.runSync())
  })

  it('and whose session is closed before anybody looks', async () => {
    const probe = session()
    const { pid } = probe
    process.kill(pid, 'SIGKILL')
    await probe.close()
    expect(isGone(pid)).toBe(true)
  })
})

describe('a probe process that hangs', () => {
  const timeoutMs = 200

  it.each([
    ['runSync', async (probe: Probe) => probe.runSync()],
    ['a live probe', async (probe: Probe) => probe.runSync({ edit: () => expect.unreachable() })],
    ['run', async (probe: Probe) => await probe.run({})],
    ['runMany', async (probe: Probe) => probe.runMany([{}])[0]!],
  ])('is killed and replaced: %s', async (_, run) => {
    const probe = session({ timeoutMs })
    const { pid } = probe
    process.kill(pid, 'SIGSTOP')
    expect(await run(probe)).toEqual({ kind: 'timeout', timeoutMs })
    healthy(probe, pid)
  })

  it('once it has its frame back', () => {
    const probe = session({ timeoutMs })
    const { pid } = probe
    const edit = () => {
      process.kill(pid, 'SIGSTOP')
    }
    expect(probe.runSync({ edit })).toEqual({ kind: 'timeout', timeoutMs })
    healthy(probe, pid)
  })

  it('in the middle of a batch: the others have their results', async () => {
    const probe = session({ timeoutMs })
    const { pid } = probe
    const run = probe.run(new Array(800).fill(probe.prepare(slow(probe))))
    await new Promise(resolve => setTimeout(resolve, 20))
    process.kill(pid, 'SIGSTOP')
    const kinds = (await run).map(({ kind }) => kind)
    expect(kinds.filter(kind => kind === 'timeout')).toHaveLength(1)
    expect(kinds.filter(kind => kind === 'returned')).toHaveLength(799)
    healthy(probe, pid)
  })

  it('is not one that is slow: what makes progress is waited for', async () => {
    const probe = session({ timeoutMs: 400 })
    const { pid } = probe
    // Handed over together, so that one wait is for all of them, and far longer than the timeout.
    const run = probe.run(new Array(128).fill(probe.prepare(slow(probe))))
    for (let i = 0; i < 12; i++) {
      process.kill(pid, 'SIGSTOP')
      await new Promise(resolve => setTimeout(resolve, 60))
      process.kill(pid, 'SIGCONT')
      await new Promise(resolve => setTimeout(resolve, 2))
    }
    const kinds = (await run).map(({ kind }) => kind)
    expect(kinds).toEqual(new Array(128).fill('returned'))
    expect(probe.pid).toBe(pid)
  })

  it('is not one whose callback takes its time', () => {
    const probe = session({ timeoutMs: 20 })
    const { pid } = probe
    const edit = () => {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200)
    }
    returned(probe.runSync({ edit }))
    expect(probe.pid).toBe(pid)
  })

  it('is killed by close() too, and while stopped', async () => {
    const probe = session()
    const { pid } = probe
    process.kill(pid, 'SIGSTOP')
    await probe.close()
    expect(isGone(pid)).toBe(true)
  })

  it('and a run that waits for it ends when the session is closed', async () => {
    const probe = session({ timeoutMs: 3_600_000 })
    const { pid } = probe
    process.kill(pid, 'SIGSTOP')
    const run = probe.run({})
    run.catch(() => undefined)
    await new Promise(resolve => setTimeout(resolve, 20))
    await probe.close()
    await expect(run).rejects.toThrow(new Error('the session was closed while a run was under way'))
    expect(isGone(pid)).toBe(true)
  })

  it('and is stopped only for a moment goes on', async () => {
    const probe = session()
    const { pid } = probe
    process.kill(pid, 'SIGSTOP')
    const run = probe.run({})
    await new Promise(resolve => setTimeout(resolve, 50))
    process.kill(pid, 'SIGCONT')
    returned(await run)
    expect(probe.pid).toBe(pid)
  })

  it('does not hold up what comes after it', async () => {
    const probe = session({ timeoutMs })
    process.kill(probe.pid, 'SIGSTOP')
    const kinds = (await Promise.all([probe.run({}), probe.run([{}, {}]), probe.run({})]))
      .flat()
      .map(({ kind }) => kind)
    expect(kinds).toEqual(['timeout', 'returned', 'returned', 'returned'])
    await probe.close()
    expect(await eventually(() => zombiesOf(process.pid).length === 0)).toBe(true)
  })
})
