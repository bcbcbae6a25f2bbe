/** A kernel's decisions on a frame, one by one, for people. */
import type { Decision } from '../contract/predict/words.ts'
import { ruleOf } from '../contract/rules.ts'
import type { Style } from './style.ts'
import { hang } from './text.ts'

interface ShownDecision extends Decision {
  /** The values that it looked at, where they are told. */
  readonly facts?: string | null
}

const passes = (facts: string | null | undefined): string =>
  facts === null || facts === undefined ? 'passes' : `passes (${facts})`

/** A line for each; where one had something to say, its rule's sentence and commit below it. */
export const decisionLines = (decisions: readonly ShownDecision[], { colors, columns }: Style): string[] =>
  decisions.flatMap(({ step: { rule }, said, facts }) => {
    if (said === 'passes') return hang(`  ${rule}: `, passes(facts), columns).map(colors.dim)
    const { sentence, commit } = ruleOf(rule)
    const values = facts === null || facts === undefined ? '' : `: ${facts}`
    return [
      ...hang(`  ${rule}: `, `${said}${values}`, columns).map(colors.bold),
      ...hang('    ', `${sentence} (${commit})`, columns),
    ]
  })
