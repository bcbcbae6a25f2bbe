/** What a kernel generation is: a policy, told as what it changes of an earlier one. */
import type { Policy } from './policy.ts'

export interface Generation<Id extends string = string> {
  readonly id: Id
  readonly kernels: string
  /** One sentence for people. */
  readonly summary: string
  /** What is wrong with it, and what repairs it; undefined where nothing is. */
  readonly harm?: string
  /** The commits that brought the harm and repaired it. */
  readonly commits?: string
  readonly policy: Policy
}

type Described<Id extends string> = Omit<Generation<Id>, 'policy'>

/** The first one: all of its policy. */
export const firstGeneration = <const Id extends string>(
  described: Described<Id>,
  policy: Policy,
): Generation<Id> => Object.freeze({ ...described, policy: Object.freeze(policy) })

/** One that changes something of another. */
export const laterGeneration = <const Id extends string>(
  { policy }: Generation,
  described: Described<Id>,
  changes: Partial<Policy>,
): Generation<Id> => firstGeneration(described, { ...policy, ...changes })
