/** What a machine answers: checked as if it came from a file, since its kernel may have garbled it. */
import { checkRecord } from '../errors.ts'
import { checkCapturedFrames, checkReplayedFrames } from '../foreign/check.ts'
import { parseBundle } from '../report/bundle.ts'
import type { Answer } from './guest/task.ts'

export const nothing: Answer = { bundle: null, frames: [], replayed: [] }

const checkedAnswer = async (text: string): Promise<Answer> => {
  const { bundle, frames, replayed } = checkRecord('the answer', JSON.parse(text))
  return {
    bundle: bundle === null ? null : await parseBundle(JSON.stringify(bundle), 'the answer'),
    frames: checkCapturedFrames(frames),
    replayed: checkReplayedFrames(replayed),
  }
}

/** The answer, nothing where there is none, or what is wrong with it. */
export const answerOf = async (text: string | null): Promise<Answer | { readonly problem: string }> => {
  if (text === null) return nothing
  try {
    return await checkedAnswer(text)
  } catch (error) {
    return { problem: (error as Error).message }
  }
}

/** The case that the run itself found the probe process unkillable in, or null. */
export const stuckIn = (bundle: Answer['bundle']): string | null => {
  const found = bundle?.cases.find(({ verdict }) => verdict === 'stuck')
  return found === undefined ? null : `${found.id}: ${found.observed}`
}
