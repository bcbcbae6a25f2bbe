/** The way of a frame through the kernel's decisions: which rules were asked, and what each said. */

/**
 * What a decision says: nothing against the frame, or what it is treated as from there on. `faulted in`: pages had to be
 * brought; `left out`: components go to init by the mask.
 */
export const outcomes = ['passes', 'fx-only', 'rejected', 'init', 'faulted in', 'left out', 'killed'] as const
export type Outcome = (typeof outcomes)[number]

/** One number for a step, by its index, and what it said: millions of them are counted. */
export type Mark = number

const most = 8

const outcomeNumber = Object.fromEntries(outcomes.map((outcome, i) => [outcome, i])) as Record<
  Outcome,
  number
>

export const markOf = (step: number, outcome: Outcome): Mark => step * most + outcomeNumber[outcome]

export const stepOf = (mark: Mark): number => Math.floor(mark / most)

export const outcomeOf = (mark: Mark): Outcome => outcomes[mark % most] as Outcome
