/** How a trial answers, also before its end: the same through every door. */
import type { Lost, Trial, TrialCase } from '../selftest.ts'

export type Found = ReturnType<TrialCase['trial']>

/** Thrown out of a trial that has its answer before its end. */
export class Early extends Error {
  readonly found: Found

  constructor(found: Found) {
    super('found')
    this.found = found
  }
}

export const asStated = (text: string): Trial => ({ observed: 'as-stated', text })
export const unexplained = (text: string): Trial => ({ observed: 'unexplained', text })

/** The host does not let it be found out. */
export const unable = (why: string): Early => new Early({ unable: why })

/** The kernel did what no rule explains. */
export const other = (text: string): Early => new Early(unexplained(text))

/** The process that was asked went with the question: that is no word on the rule. */
export const lost = (how: Lost['lost'], text: string): Early => new Early({ lost: how, text })

/** What sandboxes answer in the kernel's place. */
const forbidding: ReadonlySet<string> = new Set(['EPERM', 'EACCES', 'ENOSYS'])

export const isForbidden = (errno: string | null): boolean => errno !== null && forbidding.has(errno)

/** A call that must not be withheld; what else it says is the trial's business. */
export const allowed = (errno: string | null, what: string): void => {
  if (isForbidden(errno)) throw unable(`${what} is refused here with ${errno}`)
}

/**
 * A process of ours that is gone. SIGSYS is a seccomp filter's.
 * @param how what ended it: a signal's name, or words
 */
export const gone = (whose: string, how: string): Early =>
  how === 'SIGSYS'
    ? unable(`a seccomp filter ended ${whose} (SIGSYS)`)
    : lost('crash', `${whose} ended by ${how}`)

/** A trial whose steps end it where they have their answer. */
export const trialOf =
  (steps: TrialCase['trial']): TrialCase['trial'] =>
  (probe, context) => {
    try {
      return steps(probe, context)
    } catch (error) {
      if (error instanceof Early) return error.found
      throw error
    }
  }
