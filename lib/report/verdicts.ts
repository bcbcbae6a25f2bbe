/** What the reports say of a run as a whole. */
import type { GenerationId } from '../contract/generations.ts'
import {
  type Bundle,
  type CaseResult,
  exitCodeOf,
  exitCodes,
  isOfTheRun,
  type KernelResult,
  type Verdict,
} from '../harness/results.ts'
import { oneLine, shellQuoted } from './text.ts'

/** The worst first. */
export const failures = ['broken', 'stuck', 'crash', 'timeout', 'fail'] as const satisfies readonly Verdict[]

/** Whether a case counts against the run. */
export const isFailure = ({ verdict }: Pick<CaseResult, 'verdict'>): boolean =>
  (failures as readonly Verdict[]).includes(verdict)

/** The cases of each selftest, in the order in which the selftests began. */
export const bySelftest = (cases: readonly CaseResult[]): ReadonlyMap<string, readonly CaseResult[]> =>
  groupBy(cases, one => one.selftest)

/** Things with the same key together, in the order in which the keys came. */
export const groupBy = <T>(things: Iterable<T>, keyOf: (thing: T) => string): Map<string, T[]> => {
  const groups = new Map<string, T[]>()
  for (const thing of things) {
    const key = keyOf(thing)
    const group = groups.get(key)
    if (group === undefined) groups.set(key, [thing])
    else group.push(thing)
  }
  return groups
}

export type RunVerdict = 'PASS' | 'FAIL' | 'SKIP' | 'BROKEN'

const words: ReadonlyMap<number, RunVerdict> = new Map([
  [exitCodes.ok, 'PASS'],
  [exitCodes.fail, 'FAIL'],
  [exitCodes.skip, 'SKIP'],
  [exitCodes.broken, 'BROKEN'],
])

/** The run in one word: the same that its exit code says. */
export const runVerdict = ({ cases }: Pick<Bundle, 'cases'>): RunVerdict =>
  words.get(exitCodeOf(cases)) ?? 'BROKEN'

/** What a kernel is, in one line; from its generation where a bundle is older than the line. */
export const headline = ({
  generation,
  headline: line,
}: Pick<KernelResult, 'generation' | 'headline'>): string =>
  generation === null ? 'not told' : oneLine(line) || generation

/** `an older kernel's` fit in a few words: how many of the telling frames did as the generation does. */
export const fit = (kernel: {
  readonly generation: GenerationId | null
  readonly evidence: readonly { readonly asGeneration: boolean }[]
}): string => {
  const { generation, evidence } = kernel
  const agreeing = evidence.filter(one => one.asGeneration).length
  if (generation === null || evidence.length === 0) return 'no frame of this host could tell'
  return agreeing === evidence.length
    ? `a clean fit: all ${evidence.length} telling frames did as ${generation} kernels do`
    : `NO clean fit: ${agreeing} of ${evidence.length} telling frames did as ${generation} kernels do`
}

const longestId = 1000

/** How a case is repeated; null where it cannot be. */
export type CommandOf = (one: CaseResult) => string | null

/** The command that repeats a case, with what was demanded of it; null for what concerns the run as a whole. */
export const repeatCommand = (one: CaseResult): string | null => {
  if (isOfTheRun(one)) return null
  const demand = /^--require [a-z-]+/.exec(one.reason)?.[0]
  return `sigframe run ${shellQuoted(oneLine(one.id, longestId))}${demand === undefined ? '' : ` ${demand}`}`
}

/** In which order verdicts are counted, for people. */
export const verdictOrder = [
  'pass',
  'xfail',
  'fail',
  'timeout',
  'crash',
  'stuck',
  'broken',
  'skip',
] as const satisfies readonly Verdict[]
