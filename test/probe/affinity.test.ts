/** Where a thread may run is nobody's business but its own: whatever a session does, it is as before afterwards. */
import { readFileSync } from 'node:fs'
import { beforeEach, describe, expect, it } from 'vitest'
import type { Probe } from '../../lib/probe/session.ts'
import { needsProbes, returned, session } from './support.ts'

beforeEach(needsProbes)

const allowed = (pid: number | 'self'): string =>
  /^Cpus_allowed:\s*(\S+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]!

it('Node’s thread may run where it could before, however a probe went', async () => {
  const before = allowed('self')
  const probe = session({ timeoutMs: 200 })
  const other = session()
  const closedBy = (run: (one: Probe) => unknown) =>
    expect(() => run(session())).toThrow(/^the session (is|was) closed/)
  const thrower = () => {
    throw new Error('on purpose')
  }
  const steps: [string, () => unknown][] = [
    ['runSync', () => returned(probe.runSync())],
    ['live', () => returned(probe.runSync({ edit: () => undefined }))],
    ['refused', () => probe.runSync({ edit: [{ op: 'pointer', address: 1n << 63n }] })],
    ['thrown', () => expect(() => probe.runSync({ edit: thrower })).toThrow('on purpose')],
    ['many', () => probe.runMany(new Array(300).fill({}))],
    ['many live', () => probe.runMany(new Array(10).fill({ edit: () => undefined }))],
    ['run', () => probe.run(new Array(300).fill({}))],
    ['died', () => process.kill(probe.pid, 'SIGKILL') && expect(probe.runSync().kind).toBe('died')],
    ['died live', () => probe.runSync({ edit: () => void process.kill(probe.pid, 'SIGKILL') })],
    ['timeout', () => process.kill(probe.pid, 'SIGSTOP') && expect(probe.runSync().kind).toBe('timeout')],
    [
      'one in another',
      () => returned(probe.runSync({ edit: () => void other.runSync({ edit: () => undefined }) })),
    ],
    ['many in many', () => probe.runEach([{}, {}], () => other.runEach([{}], () => undefined))],
    ['visitor throws', () => expect(() => probe.runEach([{}, {}], thrower)).toThrow('on purpose')],
    ['closed', () => session().close()],
    ['closed live', () => closedBy(one => one.runSync({ edit: () => void one.close() }))],
    ['closed by its visitor', () => closedBy(one => one.runEach([{}, {}], () => void one.close()))],
  ]
  for (const [name, step] of steps) {
    await step()
    // What a loop of live probes has arranged for itself lasts no longer than the loop.
    await new Promise(resolve => setImmediate(resolve))
    expect([name, allowed('self')]).toEqual([name, before])
  }
})

describe('a session with pin', () => {
  it('keeps the thread on one CPU until it is closed, also where its process was lost', async () => {
    const before = allowed('self')
    for (const lose of [false, true]) {
      const probe = session({ pin: true })
      returned(probe.runSync({ edit: () => undefined }))
      expect(allowed('self')).toMatch(/^[0,]*[1248][0,]*$/)
      if (lose) {
        process.kill(probe.pid, 'SIGKILL')
        expect(probe.runSync().kind).toBe('died')
      }
      await probe.close()
      expect(allowed('self')).toBe(before)
    }
  })

  it('in whatever order several are closed', async () => {
    const before = allowed('self')
    for (const order of [
      [0, 1, 2],
      [2, 1, 0],
      [1, 0, 2],
    ]) {
      const probes = Array.from({ length: 3 }, () => session({ pin: true }))
      for (const probe of probes) returned(probe.runSync({ edit: () => undefined }))
      const pinned = allowed('self')
      for (const i of order) {
        expect([order, i, allowed('self')]).toEqual([order, i, pinned])
        await probes[i]!.close()
      }
      expect([order, allowed('self')]).toEqual([order, before])
    }
  })
})

it('a run that waits elsewhere leaves the probe process free too', async () => {
  const before = allowed('self')
  const probe = session()
  returned(probe.runSync({ edit: () => undefined }))
  await probe.run(new Array(300).fill({}))
  expect(allowed(probe.pid)).toBe(before)
})
