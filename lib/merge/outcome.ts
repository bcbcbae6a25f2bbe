/** What a host counts as in a collection, and the collection as a whole. Pure. */
import { type Bundle, type CaseResult, exitCodeOf, exitCodes, isOfTheRun } from '../harness/results.ts'
import { oneLine } from '../report/text.ts'
import { vmExitCode } from '../vm/exit-code.ts'
import type { CollectedHost, Results } from './collection.ts'

const longestReason = 300

/** The reason that most were skipped for, and how many. */
const commonest = (cases: readonly CaseResult[]): readonly [string, number] => {
  const counts = new Map<string, number>()
  for (const { reason } of cases) counts.set(reason, (counts.get(reason) ?? 0) + 1)
  return [...counts].reduce((most, one) => (one[1] > most[1] ? one : most))
}

/** Why a host counts as an error though its results can be read: nothing ran there. Null for one that ran. */
export const problemOf = ({ kernel, cases, warnings }: Bundle): string | null => {
  const own = cases.filter(one => !isOfTheRun(one))
  if (own.some(({ verdict }) => verdict !== 'skip') && kernel !== null) return null
  if (kernel === null) {
    const [warning] = warnings
    return `nothing could be probed${warning === undefined ? '' : `: ${oneLine(warning, longestReason)}`}`
  }
  if (own.length === 0) return 'nothing ran: there is no case'
  const [reason, count] = commonest(own)
  const why = reason === '' ? '' : `: ${oneLine(reason, longestReason)}`
  return own.length === 1
    ? `nothing ran: its only case was skipped${why}`
    : `nothing ran: all ${own.length} cases were skipped${why === '' ? '' : `, ${count} of them because${why}`}`
}

/** The exit code for one host alone. */
export const hostExitCode = ({ problem, bundle }: CollectedHost): number =>
  problem !== null || bundle === null ? exitCodes.broken : exitCodeOf(bundle.cases)

/**
 * 70 where a host is missing, cannot be read, or ran nothing, and where nothing ran at all; else 1 where one failed;
 * else 0. What sigframe vm found counts as a host does; predictions of a matrix do not.
 */
export const collectionExitCode = ({ hosts, vms }: Results): number => {
  const codes = [...hosts.map(hostExitCode), ...vms.map(({ report }) => vmExitCode(report))]
  if (codes.some(code => code !== exitCodes.ok && code !== exitCodes.fail)) return exitCodes.broken
  if (codes.length === 0) return exitCodes.broken
  return codes.includes(exitCodes.fail) ? exitCodes.fail : exitCodes.ok
}
