/** Frames drawn at random, each held to what the contract says of it. */
import type { generations } from '../../contract/generations.ts'
import { type Outcome, runBatch } from '../../fuzz/batch.ts'
import { tell } from '../../fuzz/finding.ts'
import { batchFrames, framesOf } from '../../fuzz/frames.ts'
import type { DrawnFrame } from '../../fuzz/grammar.ts'
import { createSubject, type Subject } from '../../fuzz/subject.ts'
import type { Probe } from '../../probe/session.ts'
import { fingerprintKernel } from '../host.ts'
import type { Trial, TrialCase } from '../selftest.ts'

/** What a session's kernel is told by; it does not change while it runs. */
const told = new WeakMap<Probe, (typeof generations)[number]>()

const generationOfProbe = (probe: Probe) => {
  const known = told.get(probe) ?? fingerprintKernel(probe).generation
  told.set(probe, known)
  return known
}

/**
 * What is wrong about a difference, or null where kernels of another generation do the same: what a kernel is ahead or
 * behind in is for the rules to tell.
 */
const wrong = (subject: Subject, frame: DrawnFrame, outcome: Outcome): string | null => {
  if (outcome.kind === 'lost') return `the probe process was lost: ${outcome.how}`
  const { expected, observed, alsoAs } = tell(subject, frame)
  return alsoAs.length > 0 ? null : `expected: ${expected}; observed: ${observed}`
}

/** Differences that are looked at; a kernel that errs has them by the thousand. */
const mostLooked = 64

export const drawnFrames =
  (count: number): TrialCase['trial'] =>
  (probe, { abi, seed }): Trial => {
    const subject = createSubject(probe, generationOfProbe(probe), [abi])
    let looked = 0
    let differing = 0
    for (let batch = 0; batch * batchFrames < count; batch++) {
      const frames = framesOf(subject, seed, batch, Math.min(batchFrames, count - batch * batchFrames))
      const others: { readonly outcome: Outcome; readonly index: number }[] = []
      runBatch(subject, frames, (outcome, index) => {
        if (outcome.kind === 'surprise' || outcome.kind === 'lost') others.push({ outcome, index })
      })
      differing += others.length
      for (const { outcome, index } of others) {
        if (looked++ >= mostLooked) break
        const problem = wrong(subject, frames[index] as DrawnFrame, outcome)
        if (problem === null) continue
        const frame = `frame ${batch * batchFrames + index} of seed ${seed}`
        return { observed: 'unexplained', text: `${frame}: ${problem}` }
      }
    }
    const text = differing === 0 ? 'all as predicted' : `${differing} as another generation has them`
    return { observed: 'as-stated', text: `${count} frames: ${text}` }
  }
