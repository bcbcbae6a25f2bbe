/** The lane of `sigframe fuzz`: frames drawn, sent, predicted and compared, beside the engine that sends the same. */

import { abis } from '../frame/abi.ts'
import { runBatch } from '../fuzz/batch.ts'
import { batchFrames, framesOf } from '../fuzz/frames.ts'
import { createSubject, requestOf, type Subject } from '../fuzz/subject.ts'
import { fingerprintKernel } from '../harness/host.ts'
import type { PreparedRequest } from '../probe/request.ts'
import type { Probe } from '../probe/session.ts'
import { BenchError, type Lane } from './lane.ts'

const wanted = 50_000
const seed = 1
/** Frames of the engine's own turn: as many as fuzzing has in flight, many times over, so that none is the usual one. */
const engineBatches = 32

/** @returns the frames of batch after batch, from the first again each time it is called */
const fuzzing = (subject: Subject, pinned: Probe) => (count: number) => {
  try {
    for (let batch = 0, left = count; left > 0; batch++, left -= batchFrames) {
      const frames = framesOf(subject, seed, batch, Math.min(left, batchFrames))
      runBatch(subject, frames, outcome => {
        // Differences are for `sigframe fuzz` to tell.
        if (outcome.kind === 'lost')
          throw new BenchError(`bench: fuzz: the probe process was lost: ${outcome.how}`)
      })
    }
  } finally {
    // The other lanes are for a thread that may run anywhere.
    pinned.unpin()
  }
}

/** The same frames, prepared before, and nobody looks at what became of them. */
const sending = (subject: Subject, pinned: Probe) => {
  let prepared: PreparedRequest[][] | undefined
  return (count: number): number => {
    prepared ??= Array.from({ length: engineBatches }, (_, batch) =>
      framesOf(subject, seed, batch, batchFrames).map(frame => pinned.prepare(requestOf(subject, frame))),
    )
    const started = performance.now()
    for (let batch = 0, left = count; left > 0; batch++, left -= batchFrames)
      pinned.runEach((prepared[batch % engineBatches] as PreparedRequest[]).slice(0, left), () => undefined)
    const ns = (performance.now() - started) * 1e6
    pinned.unpin()
    return ns
  }
}

/** Only where frames have anything to draw. */
export const fuzzLane = (pinned: Probe): Lane => {
  const { generation } = fingerprintKernel(pinned)
  const subject = createSubject(
    pinned,
    generation,
    abis.filter(abi => pinned.lack(abi) === null),
  )
  return {
    name: 'fuzz, predicted',
    wanted: { perSecond: wanted },
    weight: 4,
    run: fuzzing(subject, pinned),
    against: [{ name: 'engine', run: sending(subject, pinned) }],
  }
}
