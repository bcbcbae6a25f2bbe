/** Fuzzing of simulated kernels: frames drawn as for live ones, with no process that each of them could cost. */
import { generationOf } from '../../lib/contract/generations.ts'
import { abis } from '../../lib/frame/abi.ts'
import type { EditOp } from '../../lib/frame/edit.ts'
import { type Outcome, runBatch } from '../../lib/fuzz/batch.ts'
import { createGrammar, type DrawnFrame } from '../../lib/fuzz/grammar.ts'
import { createSubject, type Subject } from '../../lib/fuzz/subject.ts'
import { createRandom, type RandomGenerator } from '../../lib/xstate/random.ts'
import type { Machine } from './simulated-kernel.ts'
import { simulatedProbe, simulatedTask } from './simulated-probe.ts'

/** Of frames that live need a process of their own there are enough for every state of pages. */
const isolatedShare = 0.12
const batchFrames = 64

/** A machine's session, judged as its own generation. */
export const simulatedSubject = (machine: Machine): Subject => {
  const { probe } = simulatedProbe(machine)
  const subject = createSubject(probe, generationOf(machine.generation), abis, simulatedTask(probe))
  const { loads, poisons } = subject
  const { layout, limits } = probe
  const sizes = { loads: loads.length, poisons: poisons.length }
  return { ...subject, draw: createGrammar({ layout, limits, abis, isolatedShare, ...sizes }) }
}

const guardOf = (edit: readonly EditOp[]): number =>
  edit.reduce((found, op) => (op.op === 'move' && 'guardAt' in op ? op.guardAt : found), 0)

const share = (random: RandomGenerator): number => (random.next() >>> 0) / 2 ** 32

/** The same, with pages evicted of some of the frames that end before a page that cannot be read. */
export const evicting = (subject: Subject): Subject => ({
  ...subject,
  draw: random => {
    const drawn = subject.draw(random)
    const guardAt = guardOf(drawn.edit)
    if (guardAt === 0 || share(random) < 0.5) return drawn
    const at = Math.floor(share(random) * guardAt)
    const length = 1 + Math.floor(share(random) * (guardAt - at))
    const evicted: EditOp = { op: 'pages', at, length, state: 'evicted' }
    return { ...drawn, edit: drawn.edit.flatMap((op): EditOp[] => (op.op === 'move' ? [op, evicted] : [op])) }
  },
})

export interface FuzzedFrame {
  readonly frame: DrawnFrame
  readonly outcome: Outcome
  /** Which of the run it is. */
  readonly index: number
}

const fuzzBatch = (subject: Subject, frames: readonly DrawnFrame[], first: number): FuzzedFrame[] => {
  const found: FuzzedFrame[] = []
  runBatch(subject, frames, (outcome, i) => {
    found.push({ frame: frames[i] as DrawnFrame, outcome, index: first + i })
  })
  return found.sort((a, b) => a.index - b.index)
}

/** Frame after frame, batches at a time. */
export function* fuzzed(subject: Subject, seed: number, runs: number): Generator<FuzzedFrame> {
  const random = createRandom(seed)
  for (let first = 0; first < runs; first += batchFrames) {
    const count = Math.min(batchFrames, runs - first)
    const frames = Array.from({ length: count }, () => subject.draw(random))
    yield* fuzzBatch(subject, frames, first)
  }
}

/** Whether it is what `sigframe fuzz` reports. */
export const isFinding = ({ outcome: { kind } }: FuzzedFrame): boolean =>
  kind === 'surprise' || kind === 'lost'

/** The first frame that is reported. */
export const firstFinding = (subject: Subject, seed: number, runs: number): FuzzedFrame | null => {
  for (const one of fuzzed(subject, seed, runs)) if (isFinding(one)) return one
  return null
}
