/**
 * The kernel generations. Each has a file in generations/ that says what it changes of an earlier one; to add one for a
 * new patch series is such a file, and its name here. Kernels are told by what they do; the versions are for people.
 */
import { wrongType } from '../errors.ts'
import type { Generation as AnyGeneration } from './generation.ts'
import { classic } from './generations/classic.ts'
import { larger } from './generations/larger.ts'
import { portable } from './generations/portable.ts'
import { regressed } from './generations/regressed.ts'
import { type RuleId, ruleOf } from './rules.ts'
import type { Observed, Treatment } from './treatment.ts'

/** Older first: of two that fit equally well, the older is named. */
const all = [classic, regressed, portable, larger] as const

export type GenerationId = (typeof all)[number]['id']
export type Generation = AnyGeneration<GenerationId>

export const generations: readonly Generation[] = Object.freeze(all)

const ids = generations.map(generation => generation.id)

/** @throws TypeError that lists the generations */
export const generationOf = (id: string, field = 'generation'): Generation => {
  const found = generations.find(generation => generation.id === id)
  if (found === undefined) throw wrongType(field, id, `one of ${ids.join(' ')}`)
  return found
}

/** What kernels of a generation do where a rule applies. */
export const behaviour = ({ policy }: Generation, id: RuleId): Treatment => {
  const { holds, under } = ruleOf(id)
  return under?.(policy) ?? holds
}

/** The generations whose kernels do this where a rule applies, older first. */
export const generationsThat = (id: RuleId, observed: Observed): Generation[] =>
  generations.filter(generation => behaviour(generation, id) === observed)
