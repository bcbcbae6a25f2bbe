/** All rules of the contract. Each file of rules/ has those of one concern. */
import type { Rule as AnyRule } from './rule.ts'
import { anyRules } from './rules/any.ts'
import { criuRules } from './rules/criu.ts'
import { deliveryRules } from './rules/delivery.ts'
import { headerRules } from './rules/header.ts'
import { hwcapRules } from './rules/hwcap.ts'
import { ia32Rules } from './rules/ia32.ts'
import { kvmRules } from './rules/kvm.ts'
import { placeRules } from './rules/places.ts'
import { ptraceRules } from './rules/ptrace.ts'
import { registerRules } from './rules/registers.ts'
import { sizeRules } from './rules/sizes.ts'
import { xcompRules } from './rules/xcomp.ts'

const all = [
  ...sizeRules,
  ...headerRules,
  ...ia32Rules,
  ...placeRules,
  ...deliveryRules,
  ...registerRules,
  ...ptraceRules,
  ...hwcapRules,
  ...xcompRules,
  ...criuRules,
  ...kvmRules,
  ...anyRules,
] as const

export type RuleId = (typeof all)[number]['id']

export type Rule = AnyRule & { readonly id: RuleId }

export const rules: readonly Rule[] = Object.freeze(all)

const byId: ReadonlyMap<string, Rule> = new Map(rules.map(rule => [rule.id, rule]))

export const ruleOf = (id: RuleId): Rule => {
  const rule = byId.get(id)
  if (rule === undefined) throw new RangeError(`rule is ${id}, must be one of ${[...byId.keys()].join(' ')}`)
  return rule
}
