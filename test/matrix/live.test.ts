import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Abi } from '../../lib/frame/abi.ts'
import { fingerprintKernel } from '../../lib/harness/host.ts'
import { createMatrix, isLike, surprises } from '../../lib/matrix/create.ts'
import { addedBy, type Live, openLive } from '../../lib/matrix/live.ts'
import { nativeProblem } from '../../lib/native.ts'
import { openSync } from '../../lib/probe/session.ts'
import { catalogue, hostOf, withOnly } from './arbitrary.ts'

const deviates = (): boolean => {
  const probe = openSync()
  try {
    return fingerprintKernel(probe).deviations.length > 0
  } finally {
    void probe.close()
  }
}

describe.skipIf(nativeProblem() !== undefined)('where this host is the destination', () => {
  let live: Live

  beforeAll(async () => {
    live = await openLive()
  })

  afterAll(async () => {
    await live.close()
  })

  test('it is a host of its own, or one of the others is like it', () => {
    expect(live.hosts[0]).toMatchObject({ name: 'this host', kind: 'this host' })
    expect(live.senders).toHaveLength(live.hosts.length)
    const [first, ...others] = live.hosts
    expect(addedBy(live, [])).toEqual(live.hosts)
    expect(addedBy(live, [first!])).toEqual(others)
    const unlike = hostOf('unlike', withOnly(first!.layout, 0n))
    if (first!.layout.features !== 3n) expect(addedBy(live, [unlike])).toEqual(live.hosts)
    expect(addedBy(live, [{ ...first!, compacts: !first!.compacts }])).toContain(first)
  })

  test.for<Abi>(['x86_64', 'ia32-rt', 'ia32'])('%s: all that is sent is as predicted', (abi, ctx) => {
    if (deviates()) ctx.skip('this kernel does otherwise than its generation')
    const hosts = [...catalogue, ...addedBy(live, catalogue)]
    const { senders, kernel } = live
    const matrix = createMatrix(hosts, { abi, senders, kernel })
    expect(surprises(matrix)).toEqual([])
    const here = hosts.filter(host => senders.some(sender => isLike(sender, host))).map(({ name }) => name)
    expect(here.length).toBeGreaterThan(0)
    expect(matrix.hosts.filter(one => one.here).map(({ name }) => name)).toEqual(here)
    const sent = matrix.pairs.filter(({ frames }) => frames.some(({ seen }) => seen?.outcome === 'unable'))
    if (sent.length > 0) ctx.skip(`frames of ${abi} cannot be sent here`)
    const isLive = ({ to, generation }: (typeof matrix.pairs)[number]): boolean =>
      here.includes(to) && (generation === kernel.generation || live.hosts[0]!.layout.xsave === false)
    expect(matrix.pairs.filter(pair => (pair.evidence === 'live') !== isLive(pair))).toEqual([])
    // What was seen is what others are told without a kernel at hand.
    const predicted = createMatrix(hosts, { abi })
    const told = ({ outcome, unused, reason }: (typeof matrix.pairs)[number]) => ({ outcome, unused, reason })
    expect(matrix.pairs.map(told)).toEqual(predicted.pairs.map(told))
  })
})
