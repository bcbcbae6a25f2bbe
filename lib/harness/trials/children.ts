/** What trials with a throw-away child have in common: its steps by name, and what stands in their way. */
import type { AuxVector } from '../../neighbours/auxv/vector.ts'
import { type Ask, askChild, type Step, type StepAnswer } from '../../neighbours/child/steps.ts'
import type { Trial, TrialCase } from '../selftest.ts'
import { type Found, gone, lost, trialOf, unable } from './answer.ts'

export const forgotten = (text: string): Trial => ({ observed: 'forgotten', text })

/** How a call is named where it fails. */
const callOf: Readonly<Record<string, string>> = {
  read: '/proc/self/auxv',
  get: 'PR_GET_AUXV',
  map: 'PR_SET_MM_MAP',
  set: 'PR_SET_MM_AUXV',
  drop: 'capset',
  vdso: '/proc/self/mem',
  fork: 'fork',
  exec: 'execve',
  exec32: 'execve of a 32-bit program',
  arch: 'arch_prctl',
  rdfsbase: 'sigaction',
}

/** @throws Unable with the call and its errno where a step did not succeed */
export const succeeded = (answer: StepAnswer | undefined): StepAnswer => {
  if (answer === undefined) throw unable('the child said less than it was asked')
  const { step, errno } = answer
  if (errno !== null) throw unable(`${callOf[step] ?? step}: ${errno}`)
  return answer
}

/** A child, asked step by step. */
export interface Child {
  /** Every answer, in order; `exec` and `exec32` have none where they succeed. */
  ask(...steps: readonly Step[]): readonly StepAnswer[]
  /** The vector of the last step; every step must succeed. */
  vector(...steps: readonly Step[]): AuxVector
}

const childOf = (asking: Ask): Child => {
  const ask: Child['ask'] = (...steps) => {
    const done = asking(steps)
    if (done.kind === 'died' && done.signal === 'SIGALRM')
      throw lost('timeout', 'the child did not come to its end in time')
    if (done.kind === 'died') throw gone('the child', done.signal)
    if (done.kind === 'unable') throw unable(done.text)
    return done.answers
  }
  return {
    ask,
    vector: (...steps) => {
      const answers = ask(...steps)
      answers.forEach(succeeded)
      const last = succeeded(answers.at(-1))
      if (last.vector.size === 0) throw unable(`${callOf[last.step] ?? last.step} gave no vector`)
      return last.vector
    },
  }
}

export type ChildTrial = (...given: readonly [...Parameters<TrialCase['trial']>, asking?: Ask]) => Found

/** A trial that asks children; another `asking` stands for them in tests. */
export const childTrial =
  (trial: (child: Child, ...given: Parameters<TrialCase['trial']>) => Found): ChildTrial =>
  (probe, context, asking = askChild) =>
    trialOf((...given) => trial(childOf(asking), ...given))(probe, context)
