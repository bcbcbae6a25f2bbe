/** Predictions and their trails in words. */
import { ruleOf } from '../rules.ts'
import { treatmentText } from '../treatment.ts'
import type { Ended } from './predict.ts'
import { steps } from './predict.ts'
import type { Step } from './step.ts'
import { type Mark, type Outcome, outcomeOf, stepOf } from './trail.ts'

/** A decision, and what it said. */
export interface Decision {
  readonly step: Step
  readonly said: Outcome
}

export const decisionsOf = (trail: readonly Mark[]): Decision[] =>
  trail.map(mark => ({ step: steps[stepOf(mark)] as Step, said: outcomeOf(mark) }))

/** What said the last word on the treatment; null where nothing had anything to say. */
export const decidedBy = ({ trail }: Pick<Ended, 'trail'>): Decision | null =>
  decisionsOf(trail).findLast(({ said }) => said === 'fx-only' || said === 'rejected' || said === 'init') ??
  null

/** How a frame ends, in one line. */
export const endText = (ended: Ended): string => {
  const by = decidedBy(ended)
  return by === null ? treatmentText[ended.end] : `${treatmentText[ended.end]}, by ${by.step.rule}`
}

/** A decision in one line: the rule's own sentence where it had something to say. */
export const decisionText = ({ step, said }: Decision): string =>
  said === 'passes' ? `${step.rule}: passes` : `${step.rule}: ${said}. ${ruleOf(step.rule).sentence}`
