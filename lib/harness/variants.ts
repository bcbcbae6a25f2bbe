/** For which components a case runs: every extended one that the host has, and combinations of them. */
import type { ComponentName } from '../xstate/components.ts'

/** Up to so many components all combinations are tried: 31 for five. */
const mostExhaustive = 5

/** User components that some host has: one that lacks them skips them, visibly. */
export const userComponents: readonly ComponentName[] = [
  'avx',
  'bndregs',
  'bndcsr',
  'opmask',
  'zmm_hi256',
  'hi16_zmm',
  'pkru',
  'xtilecfg',
  'xtiledata',
  'apx',
]

const allSubsets = (names: readonly ComponentName[]): ComponentName[][] =>
  Array.from({ length: 2 ** names.length - 1 }, (_, i) => names.filter((_, bit) => ((i + 1) >> bit) & 1))

const singles = (names: readonly ComponentName[]): ComponentName[][] => names.map(name => [name])

const pairs = (names: readonly ComponentName[]): ComponentName[][] =>
  names.flatMap((a, i) => names.slice(i + 1).map(b => [a, b]))

/** As CPUs came: each generation with some more than the one before. */
const prefixes = (names: readonly ComponentName[]): ComponentName[][] =>
  names.map((_, i) => names.slice(0, i + 1))

const allButOne = (names: readonly ComponentName[]): ComponentName[][] =>
  names.map(out => names.filter(name => name !== out))

const distinct = (sets: readonly ComponentName[][]): ComponentName[][] => {
  const seen = new Set<string>()
  return sets.filter(set => {
    const key = set.join('+')
    if (set.length === 0 || seen.has(key)) return false
    seen.add(key)
    return true
  })
}

/** Non-empty sets of components, fewest first. All of them where that is not too many. */
export const componentSets = (names: readonly ComponentName[]): ComponentName[][] => {
  const sets =
    names.length <= mostExhaustive
      ? allSubsets(names)
      : [...singles(names), ...pairs(names), ...prefixes(names), ...allButOne(names), [...names]]
  return distinct(sets).sort((a, b) => a.length - b.length)
}

/**
 * The sets for a session with a permission: those in which its component takes part, alone, with each other one
 * and with all, and all without it, whose frame is far smaller than the task's.
 */
export const permittedSets = (
  names: readonly ComponentName[],
  permitted: readonly ComponentName[],
): ComponentName[][] => {
  const others = names.filter(name => !permitted.includes(name))
  return distinct(
    permitted.flatMap(name => [[name], ...others.map(other => [other, name]), others, [...names]]),
  ).sort((a, b) => a.length - b.length)
}
