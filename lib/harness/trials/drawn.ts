/** Frames drawn at random, each held to what the contract says of it. */
import type { generations } from '../../contract/generations.ts'
import { type Outcome, runBatch } from '../../fuzz/batch.ts'
import { type FirstLook, firstLook, tell } from '../../fuzz/finding.ts'
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

/** A frame that did not do as predicted, and what could be said of it then. */
interface Differing {
  readonly frame: DrawnFrame
  readonly index: number
  readonly outcome: Outcome
  readonly look: FirstLook
}

const text = ({ expected, observed }: FirstLook): string => `expected: ${expected}; observed: ${observed}`

/**
 * What is wrong about a difference, or null where kernels of another generation do the same: what a kernel is ahead or
 * behind in is for the rules to tell.
 */
const wrong = (subject: Subject, { frame, outcome, look }: Differing): string | null => {
  if (outcome.kind === 'lost') return `the probe process was lost: ${outcome.how}`
  const again = tell(subject, frame)
  if (again.alsoAs.includes(subject.generation)) return `once, and not when it was sent again: ${text(look)}`
  return again.alsoAs.length + again.perhapsAs.length > 0 ? null : text(again)
}

/** Differences that are looked at; a kernel that errs has them by the thousand. */
const mostLooked = 64

/**
 * @param count the most frames that are sent
 * @param budgetMs how long it may take, but for the first batch: emulators are slow
 */
export const drawnFrames =
  (count: number, budgetMs: number): TrialCase['trial'] =>
  (probe, { abi, seed }): Trial => {
    const subject = createSubject(probe, generationOfProbe(probe), [abi])
    const end = performance.now() + budgetMs
    let looked = 0
    let differing = 0
    let sent = 0
    for (let batch = 0; sent < count && (sent === 0 || performance.now() < end); batch++) {
      const frames = framesOf(subject, seed, batch, Math.min(batchFrames, count - sent))
      sent += frames.length
      const others: Differing[] = []
      runBatch(subject, frames, (outcome, index) => {
        if (outcome.kind !== 'surprise' && outcome.kind !== 'lost') return
        const look = firstLook(subject, outcome)
        others.push({ frame: frames[index] as DrawnFrame, index: batch * batchFrames + index, outcome, look })
      })
      differing += others.length
      for (const one of others) {
        if (looked++ >= mostLooked) break
        const problem = wrong(subject, one)
        if (problem !== null)
          return { observed: 'unexplained', text: `frame ${one.index} of seed ${seed}: ${problem}` }
      }
    }
    const how = differing === 0 ? 'all as predicted' : `${differing} as another generation has them`
    return { observed: 'as-stated', text: `${sent} frames: ${how}` }
  }
