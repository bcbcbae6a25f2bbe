/**
 * KTAP version 1, as Documentation/dev-tools/ktap.rst of the kernel has it: a test for each selftest, in it a
 * subtest for each case. Directives as kselftest uses them; the parents' results follow from their subtests'.
 */
import { type GenerationId, generationOf } from '../contract/generations.ts'
import {
  type Bundle,
  type CaseResult,
  countVerdicts,
  type KernelResult,
  type Verdict,
} from '../harness/results.ts'
import { firstLines, logText, taintText } from './kernel-watch.ts'
import { oneLine, plural } from './text.ts'
import { bySelftest, type CommandOf, fit, headline, isFailure, repeatCommand } from './verdicts.ts'

export const version = 'KTAP version 1'
export const indent = '  '
const longestDescription = 200
const longestDiagnostic = 1000

// A description ends at the first `#`, and parsers look for directives behind any.
const withoutHash = (text: string): string => text.replaceAll('#', '\\x23')

const description = (text: string): string => withoutHash(oneLine(text, longestDescription)) || 'unnamed'

/** A directive's text. */
export const data = (text: string): string => withoutHash(oneLine(text, longestDiagnostic))

export const diagnostic = (label: string, text: string): string =>
  `# ${label}: ${oneLine(text, longestDiagnostic)}`.trimEnd()

const directives: Readonly<Record<Verdict, (reason: string) => string>> = {
  pass: () => '',
  fail: () => '',
  xfail: reason => `XFAIL ${reason}`,
  skip: reason => `SKIP ${reason}`,
  timeout: reason => `TIMEOUT ${reason}`,
  crash: reason => `ERROR crash: ${reason}`,
  stuck: reason => `ERROR stuck: ${reason}`,
  broken: reason => `ERROR broken: ${reason}`,
}

export const resultLine = (ok: boolean, number: number, name: string, directive = ''): string => {
  const line = `${ok ? 'ok' : 'not ok'} ${number} - ${description(name)}`
  return directive === '' ? line : `${line} # ${directive.trim()}`
}

const diagnostics = ({ reason, observed, expected, repro }: CaseResult, repeat: string | null): string[] => [
  ...(reason === '' ? [] : [diagnostic('reason', reason)]),
  diagnostic('observed', observed),
  diagnostic('expected', expected),
  ...(repeat === null ? [] : [diagnostic('repeat', repeat)]),
  ...(repro === null ? [] : [diagnostic('repro', `seed ${repro.seed}, edit ${JSON.stringify(repro.edit)}`)]),
]

const caseLines = (one: CaseResult, number: number, commandOf: CommandOf): string[] => [
  ...(isFailure(one) ? diagnostics(one, commandOf(one)) : []),
  resultLine(!isFailure(one), number, one.id, directives[one.verdict](data(one.reason))),
]

const selftestLines = (
  name: string,
  cases: readonly CaseResult[],
  number: number,
  commandOf: CommandOf,
): string[] => {
  const nested = [
    version,
    `1..${cases.length}`,
    ...cases.flatMap((one, i) => caseLines(one, i + 1, commandOf)),
  ]
  const skipped = cases.every(({ verdict }) => verdict === 'skip')
  return [
    ...nested.map(line => indent + line),
    resultLine(!cases.some(isFailure), number, name, skipped ? 'SKIP every case was skipped' : ''),
  ]
}

const harm = (id: GenerationId): string[] => {
  const text = generationOf(id).harm
  return text === undefined ? [] : [diagnostic('WARNING', text)]
}

/** Whether the kernel's complaints were heard, and what they were. */
const watching = (kernel: KernelResult): string[] => {
  const { lines, more } = firstLines(kernel)
  const taint = taintText(kernel)
  return [
    ...(kernel.log === null ? [] : [diagnostic('kernel log', logText(kernel.log))]),
    ...(kernel.log?.onceCleared
      ? [diagnostic('clear_warn_once', 'written: what prints once can again')]
      : []),
    ...(taint === '' ? [] : [diagnostic('taint', taint)]),
    ...[...lines, ...(more === null ? [] : [more])].map(line => diagnostic('dmesg', line)),
  ]
}

const about = ({ tool, host, kernel, warnings }: Bundle): string[] => [
  diagnostic('tool', `${tool.name} ${tool.version}`),
  diagnostic('host', `${host.brand}, xcr0 ${host.xcr0}, user size ${host.userSize}`),
  ...(kernel === null
    ? []
    : [
        diagnostic('kernel', `${kernel.release} ${kernel.version}`),
        diagnostic('generation', `${headline(kernel)}; ${fit(kernel)}`),
        ...kernel.deviations.map(text => diagnostic('deviation', text)),
        ...watching(kernel),
        ...(kernel.generation === null ? [] : harm(kernel.generation)),
      ]),
  ...warnings.map(text => diagnostic('WARNING', text)),
]

// As kselftest's ksft_print_cnts; a timeout is a failure there too, and each case is counted once.
export const totals = (counts: Readonly<Record<Verdict, number>>): string => {
  const { pass, fail, timeout, xfail, skip, crash, stuck, broken } = counts
  const errors = crash + stuck + broken
  return `# Totals: pass:${pass} fail:${fail + timeout} xfail:${xfail} xpass:0 skip:${skip} error:${errors}`
}

export const toText = (lines: readonly string[]): string => `${lines.join('\n')}\n`

/** A run without its totals, from the version line on. */
export const bundleLines = (bundle: Bundle, commandOf: CommandOf = repeatCommand): string[] => {
  const { cases } = bundle
  const selftests = [...bySelftest(cases)]
  return [
    version,
    `1..${selftests.length}`,
    ...about(bundle),
    ...(cases.length === 0 ? [diagnostic('broken', `${plural(0, 'case')} ran: that is no success`)] : []),
    ...selftests.flatMap(([name, ofIt], i) => selftestLines(name, ofIt, i + 1, commandOf)),
  ]
}

/** A run as KTAP. */
export const ktap = (bundle: Bundle): string =>
  toText([...bundleLines(bundle), totals(countVerdicts(bundle.cases))])

/** KTAP for a machine that can run nothing; the plan as kselftest's ksft_exit_skip prints it. */
export const ktapSkippedWhole = (reason: string): string =>
  toText([version, `1..0 # SKIP ${data(reason)}`, totals(countVerdicts([]))])
