/** Whether a frame is well formed, for the CPU that it came from. Pure. */
import type { Layout } from '../../xstate/layout.ts'
import type { Check } from './check.ts'
import { contentChecks } from './checks/contents.ts'
import { featureChecks } from './checks/features.ts'
import { fsaveChecks } from './checks/fsave.ts'
import { headChecks } from './checks/head.ts'
import { headerChecks } from './checks/header.ts'
import { legacyChecks } from './checks/legacy.ts'
import { magicChecks } from './checks/magics.ts'
import { sizeChecks } from './checks/sizes.ts'
import { type LintedFrame, type LintFinding, severities } from './finding.ts'
import { subjectOf } from './subject.ts'

/** All of them, each once. */
export const checks: readonly Check[] = Object.freeze([
  ...sizeChecks,
  ...magicChecks,
  ...featureChecks,
  ...headerChecks,
  ...legacyChecks,
  ...contentChecks,
  ...fsaveChecks,
  ...headChecks,
])

/**
 * What is wrong with a frame, the worst first.
 * @param layout of the CPU that it came from; null where that is not known: then what needs none is looked at
 * @throws TypeError, RangeError where a part of the frame is not of the size that its ABI gives it
 */
export const lintFrame = (frame: LintedFrame, layout: Layout | null): LintFinding[] => {
  const subject = subjectOf(frame, layout)
  const found = checks.flatMap(({ look, name, severity, field, offset }): LintFinding[] => {
    const problem = look(subject, frame.head)
    return problem === null ? [] : [{ check: name, severity, field, offset, known: [], ...problem }]
  })
  return severities.flatMap(severity => found.filter(one => one.severity === severity))
}
