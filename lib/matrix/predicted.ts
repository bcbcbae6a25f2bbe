/** The fate of a frame by prediction. Pure. */
import type { Policy } from '../contract/policy.ts'
import type { Task } from '../contract/predict/task.ts'
import { decidedBy, endText } from '../contract/predict/words.ts'
import type { ForeignFrame } from '../foreign/foreign.ts'
import { type Oracle, type PredictedForeign, predictForeign, standing } from '../foreign/predict.ts'
import type { Fate } from './fate.ts'

/** Where a frame is returned from. */
export interface Destination {
  readonly task: Task
  /** Who answers for its hardware. */
  readonly oracle: Oracle
}

export const nothing = { arrived: [], lost: [], unknown: [], leftOver: [] } as const

const untold: Fate = Object.freeze({
  end: 'unknown',
  fxOnly: false,
  rule: null,
  text: 'hangs on what the CPU makes of odd bytes: nobody here can say',
  lost: [],
  unknown: [],
  leftOver: [],
  seen: null,
})

const endOf = ({ ended, closesMemory }: PredictedForeign): Fate['end'] => {
  if (ended.end === 'rejected' || ended.end === 'killed') return ended.end
  return closesMemory ? 'killed' : 'returned'
}

export const predictedFate = (foreign: ForeignFrame, { task, oracle }: Destination, policy: Policy): Fate => {
  const predicted = predictForeign({ foreign, frame: standing(foreign, task.layout) }, task, policy, oracle)
  if ('unpredicted' in predicted) return untold
  const { ended, arrival, closesMemory } = predicted
  const { lost, unknown, leftOver } = arrival ?? nothing
  const text = endText(ended)
  return {
    end: endOf(predicted),
    fxOnly: ended.end === 'fx-only',
    rule: decidedBy(ended)?.step.rule ?? null,
    text: closesMemory ? `${text}; PKRU then closes the process’s own memory` : text,
    lost,
    unknown,
    leftOver,
    seen: null,
  }
}
