/** What trials with a throw-away child have in common: its steps by name, and what stands in their way. */
import type { AuxVector } from '../../neighbours/auxv/vector.ts'
import { type Ask, askChild, type Step, type StepAnswer } from '../../neighbours/child/steps.ts'
import type { Trial, TrialCase } from '../selftest.ts'

type Found = ReturnType<TrialCase['trial']>

/** Thrown by what a child was asked: the host does not let it be found out. */
class Unable extends Error {}

/** Thrown where a child did what no rule explains. */
class Astray extends Error {}

export const unable = (reason: string): never => {
  throw new Unable(reason)
}

export const asStated = (text: string): Trial => ({ observed: 'as-stated', text })
export const unexplained = (text: string): Trial => ({ observed: 'unexplained', text })
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
  if (answer === undefined) return unable('the child said less than it was asked')
  const { step, errno } = answer
  return errno === null ? answer : unable(`${callOf[step] ?? step}: ${errno}`)
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
    if (done.kind === 'died') throw new Astray(`the child died of ${done.signal}`)
    return done.kind === 'unable' ? unable(done.text) : done.answers
  }
  return {
    ask,
    vector: (...steps) => {
      const answers = ask(...steps)
      answers.forEach(succeeded)
      const last = succeeded(answers.at(-1))
      return last.vector.size > 0 ? last.vector : unable(`${callOf[last.step] ?? last.step} gave no vector`)
    },
  }
}

export type ChildTrial = (...given: readonly [...Parameters<TrialCase['trial']>, asking?: Ask]) => Found

/** A trial that asks children; another `asking` stands for them in tests. */
export const childTrial =
  (trial: (child: Child, ...given: Parameters<TrialCase['trial']>) => Found): ChildTrial =>
  (probe, context, asking = askChild) => {
    try {
      return trial(childOf(asking), probe, context)
    } catch (error) {
      if (error instanceof Unable) return { unable: error.message }
      if (error instanceof Astray) return unexplained(error.message)
      throw error
    }
  }
