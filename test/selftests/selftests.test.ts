/**
 * The bridge: every case of every selftest as a vitest test, run once by the same runner as `sigframe run`. The
 * verdicts are the kernel's: xfail is a passed test whose name says so, skip a skipped one with its reason.
 */
import { describe, expect, test } from 'vitest'
import type { CaseResult } from '../../lib/harness/results.ts'
import { runSelftests } from '../../lib/harness/run.ts'
import { nativeProblem } from '../../lib/native.ts'

const problem = nativeProblem()
/** `npm run test:long`: what needs many tries or seconds, too. */
const long = Boolean(process.env.SIGFRAME_LONG)
const bundle =
  problem === undefined ? await runSelftests({ select: [], require: null, baseline: null, long }) : null

const titleOf = ({ id, selftest, verdict, reason }: CaseResult): string => {
  const name = id.slice(selftest.length + 1)
  return verdict === 'xfail' ? `${name} XFAIL ${reason}` : name
}

const detail = ({ id, verdict, reason, observed, expected, repro }: CaseResult): string =>
  [
    `${id}: ${verdict}: ${reason}`,
    `expected: ${expected}`,
    `observed: ${observed}`,
    `repeat: sigframe run '${id}'`,
    repro === null ? '' : `seed ${repro.seed}, edit ${JSON.stringify(repro.edit).slice(0, 2000)}`,
  ].join('\n')

if (bundle === null) {
  test('selftests', context => context.skip(problem))
} else {
  const { kernel, warnings } = bundle
  for (const selftest of new Set(bundle.cases.map(one => one.selftest))) {
    describe(`${selftest} (${kernel === null ? 'no XSAVE' : `${kernel.generation} kernel ${kernel.release}`})`, () => {
      for (const one of bundle.cases.filter(each => each.selftest === selftest)) {
        test(titleOf(one), context => {
          if (one.verdict === 'skip') context.skip(one.reason)
          expect(['pass', 'xfail'], detail(one)).toContain(one.verdict)
        })
      }
    })
  }
  test('something was executed', () => {
    expect(bundle.cases.length).toBeGreaterThan(0)
    for (const warning of warnings) console.warn(warning)
  })
}
