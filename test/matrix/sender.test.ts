import { describe, expect, test } from 'vitest'
import { generationOf } from '../../lib/contract/generations.ts'
import { manualOf, taskElsewhere } from '../../lib/foreign/predict.ts'
import { createMatrix, surprises } from '../../lib/matrix/create.ts'
import { senderOf } from '../../lib/matrix/sender.ts'
import type { Seen } from '../../lib/probe/result.ts'
import type { Probe } from '../../lib/probe/session.ts'
import { simulatedProbe } from '../contract/simulated-probe.ts'
import type { Slip } from '../contract/simulated-slips.ts'
import { catalogue, hostNamed } from './arbitrary.ts'

const host = hostNamed('ice-lake-sp')

interface Other {
  readonly lack?: string
  readonly slip?: Slip
  /** Whether nothing is expected of what is sent. */
  readonly unjudged?: boolean
}

/** A session of ice-lake-sp whose probes end so. */
const ending = (seen: (() => Seen) | null, { lack, slip, unjudged = false }: Other = {}) => {
  const { probe } = simulatedProbe({ layout: host.layout, generation: 'classic', xsaves: true, slip })
  let probes = 0
  const count = (run: () => Seen) => (): Seen => {
    probes += 1
    return run()
  }
  const changed = {
    ...probe,
    lack: () => lack ?? null,
    runSync: (request: Parameters<Probe['runSync']>[0]) => count(seen ?? (() => probe.runSync(request)))(),
  } as unknown as Probe
  const task = taskElsewhere(host)
  const policy = unjudged ? null : generationOf('classic').policy
  const sender = senderOf({ probe: changed, task, policy }, 'classic', manualOf(host))
  const matrix = createMatrix(catalogue, { generations: ['classic'], to: [host], senders: [sender] })
  return { matrix, probes: () => probes }
}

describe('what is sent', () => {
  test('is sent once, also for hosts that are alike', () => {
    const once = ending(null)
    expect(surprises(once.matrix)).toEqual([])
    expect(once.probes()).toBe(once.matrix.pairs.reduce((sum, { frames }) => sum + frames.length, 0))
  })

  test('and cannot be is predicted, and why is told', () => {
    const { matrix, probes } = ending(null, { lack: 'no such frames here' })
    expect(probes()).toBe(0)
    expect(surprises(matrix)).toEqual([])
    const predicted = createMatrix(catalogue, { generations: ['classic'], to: [host] })
    matrix.pairs.forEach((pair, i) => {
      const { outcome, unused, reason } = predicted.pairs[i]!
      expect(pair).toMatchObject({ outcome, unused, reason, evidence: 'predicted' })
      for (const { seen } of pair.frames)
        expect(seen).toEqual({ outcome: 'unable', observed: 'no such frames here', asPredicted: null })
    })
  })

  test('is nothing any more once three frames have made no progress', () => {
    const { matrix, probes } = ending(() => ({ kind: 'timeout', timeoutMs: 1 }))
    expect(probes()).toBe(3)
    const seen = matrix.pairs.flatMap(({ frames }) => frames.map(one => one.seen))
    expect(seen[0]).toEqual({ outcome: 'killed', observed: 'no progress', asPredicted: false })
    expect(seen.at(-1)).toEqual({
      outcome: 'unable',
      observed: 'not sent: 3 frames before made no progress',
      asPredicted: null,
    })
  })

  test('and dies is a surprise, and its pair breaks', () => {
    const died: Seen = { kind: 'died', where: null, signal: 'SIGBUS', code: null }
    const { matrix } = ending(() => died)
    expect(surprises(matrix)).toHaveLength(catalogue.length)
    for (const { outcome, evidence, silent, reason } of matrix.pairs) {
      expect([outcome, evidence, silent]).toEqual(['breaks', 'live', false])
      expect(reason).toMatch(/^killed: died of SIGBUS/)
    }
  })

  test('and ends otherwise is a surprise, also where nothing is known but the end', () => {
    const { matrix } = ending(() => ({ kind: 'died', where: null, signal: 'SIGBUS', code: null }), {
      unjudged: true,
    })
    expect(surprises(matrix)).toHaveLength(catalogue.length)
    expect(surprises(ending(null, { unjudged: true }).matrix)).toEqual([])
  })

  test('and leaves over what the frame has not is a surprise, by that alone', () => {
    const { matrix } = ending(null, { slip: 'components left out are kept', unjudged: true })
    const kept = surprises(matrix)
    expect(kept.length).toBeGreaterThan(0)
    for (const { frames } of kept) expect(frames.some(({ leftOver }) => leftOver.length > 0)).toBe(true)
  })

  test('is compared to the si_code of a rejection', () => {
    const { matrix } = ending(null, { slip: 'a rejection has another si_code' })
    const rejected = matrix.pairs.filter(({ frames }) =>
      frames.some(({ seen }) => seen?.outcome === 'rejected'),
    )
    expect(rejected.length).toBeGreaterThan(0)
    expect(surprises(matrix)).toEqual(rejected)
  })

  test('makes a pair live only where all of it was sent', () => {
    const { probe } = simulatedProbe({ layout: host.layout, generation: 'classic', xsaves: true })
    let sent = 0
    const runSync = (request: Parameters<Probe['runSync']>[0]): Seen =>
      ++sent === 1 ? probe.runSync(request) : { kind: 'refused', call: 'fork', errno: 'ENOMEM' }
    const task = taskElsewhere(host)
    const returning = { probe: { ...probe, runSync } as Probe, task, policy: generationOf('classic').policy }
    const { pairs } = createMatrix([hostNamed('skylake-sp'), host], {
      generations: ['classic'],
      from: [hostNamed('skylake-sp')],
      to: [host],
      senders: [senderOf(returning, 'classic', manualOf(host))],
    })
    expect(pairs[0]!.frames.map(({ seen }) => seen!.outcome)).toEqual(['rejected', 'unable'])
    expect(pairs[0]).toMatchObject({ outcome: 'works if unused', evidence: 'predicted' })
  })
})
