/** What comes from elsewhere while no probe is under way, and what a closed stack asks of the poison. */
import { setTimeout as pause } from 'node:timers/promises'
import { beforeEach, describe, expect, it } from 'vitest'
import { randomImage } from '../../lib/xstate/random.ts'
import { needsProbes, returned, session } from './support.ts'

beforeEach(needsProbes)

describe('a signal that somebody else sends between probes', () => {
  it.each(['SIGUSR1', 'SIGUSR2'] as const)('%s does nothing', async signal => {
    const probe = session()
    returned(probe.runSync({}))
    const { pid } = probe
    process.kill(pid, signal)
    await pause(20)
    returned(probe.runSync({}))
    expect(probe.pid).toBe(pid)
  })
})

describe('a stack whose key is closed', () => {
  const stack = { bytes: 40960, state: 'closed-key' } as const

  it('is returned from with any poison that is drawn', ctx => {
    const probe = session()
    if (!probe.layout.has('pkru')) ctx.skip('this task has no protection keys')
    // Before Linux 6.12 nothing is delivered there.
    const seen = Array.from({ length: 16 }, () => probe.runSync({ stack }))
    expect(seen.filter(({ kind }) => kind === 'died')).toEqual([])
  })

  it('refuses a poison that closes it', ctx => {
    const probe = session()
    if (!probe.layout.has('pkru')) ctx.skip('this task has no protection keys')
    const poison = randomImage(probe.layout, { seed: 1 })
    poison.pkru = 4
    expect(() => probe.runSync({ stack, poison })).toThrow(
      new RangeError('request.poison.pkru is 4, must leave key 1 open, that of the closed stack'),
    )
  })
})
