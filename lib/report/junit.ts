/**
 * JUnit's XML, as CI servers read it: testsuites, testsuite, testcase, and in that failure, error or skipped, and
 * system-out. There is no standard; what is written here is what Jenkins, GitLab and GitHub's readers all take.
 *
 * An xfail is `skipped` of type xfail, as pytest writes it: as a passed case it would be seen by nobody, since readers
 * fold away what a passed case prints, and a fix that a kernel has lost must not hide.
 */
import type { Bundle, CaseResult, Verdict } from '../harness/results.ts'
import { element, type XmlElement, xmlDocument } from './junit-xml.ts'
import { firstLines } from './kernel-watch.ts'
import { oneLine } from './text.ts'
import { type CommandOf, fit, headline, isFailure, repeatCommand } from './verdicts.ts'

const longestName = 500
const longestText = 1000

export const nameText = (text: string): string => oneLine(text, longestName) || 'unnamed'

const lineText = (text: string): string => oneLine(text, longestText)

/** Lines of output, each what it says of. */
const outputOf = (lines: readonly string[]): XmlElement[] =>
  lines.length === 0 ? [] : [element('system-out', {}, [`${lines.join('\n')}\n`])]

const kinds: Readonly<Record<Verdict, 'failure' | 'error' | 'skipped' | null>> = {
  pass: null,
  xfail: 'skipped',
  skip: 'skipped',
  fail: 'failure',
  timeout: 'failure',
  crash: 'error',
  stuck: 'error',
  broken: 'error',
}

/** A testcase as its suite counts it. */
export interface Testcase {
  readonly kind: 'failure' | 'error' | 'skipped' | null
  readonly xml: XmlElement
}

/** Seconds with six digits behind the point. */
const secondsText = (seconds: number): string => seconds.toFixed(6)

const outcomeOf = ({ verdict, reason }: CaseResult, output: readonly string[]): XmlElement[] => {
  const kind = kinds[verdict]
  if (kind === null) return []
  const message = verdict === 'xfail' ? `XFAIL ${reason}` : reason
  return [
    element(
      kind,
      { message: lineText(message) || verdict, type: verdict },
      kind === 'skipped' ? [] : [output.join('\n')],
    ),
  ]
}

/** @param suite what the class's name begins with: readers tell cases of different suites apart by it */
const testcaseOf = (one: CaseResult, suite: string, commandOf: CommandOf): Testcase => {
  const repeat = isFailure(one) ? commandOf(one) : null
  const output = [
    `observed: ${lineText(one.observed)}`,
    `expected: ${lineText(one.expected)}`,
    ...(repeat === null ? [] : [`repeat: ${repeat}`]),
  ]
  const attributes = {
    name: nameText(one.id),
    classname: [suite, nameText(one.selftest)].filter(part => part !== '').join('.'),
    time: secondsText(one.durationUs / 1e6),
  }
  const told = one.verdict === 'pass' || one.verdict === 'skip' ? [] : outputOf(output)
  return {
    kind: kinds[one.verdict],
    xml: element('testcase', attributes, [...outcomeOf(one, output), ...told]),
  }
}

/** For what is no case: a machine that did not come so far, a run without cases. */
export const testcaseFor = (
  name: string,
  classname: string,
  {
    kind,
    type,
    message,
    output,
  }: {
    readonly kind: 'error' | 'skipped'
    readonly type: string
    readonly message: string
    readonly output: readonly string[]
  },
): Testcase => ({
  kind,
  xml: element('testcase', { name: nameText(name), classname, time: secondsText(0) }, [
    element(kind, { message: lineText(message) || type, type }),
    ...outputOf(output.map(lineText)),
  ]),
})

export interface Suite {
  readonly name: string
  readonly durationMs: number
  readonly startedAt: string
  readonly properties: Readonly<Record<string, string>>
  readonly testcases: readonly Testcase[]
  readonly output: readonly string[]
}

const countsOf = (testcases: readonly Testcase[]) => {
  const count = (kind: Testcase['kind']): number => testcases.filter(one => one.kind === kind).length
  return {
    tests: testcases.length,
    failures: count('failure'),
    errors: count('error'),
    skipped: count('skipped'),
  }
}

const suiteXml = ({ name, durationMs, startedAt, properties, testcases, output }: Suite): XmlElement => {
  const listed = Object.entries(properties).map(([key, value]) =>
    element('property', { name: key, value: lineText(value) }),
  )
  const attributes = {
    name: nameText(name),
    ...countsOf(testcases),
    time: secondsText(durationMs / 1000),
    // Of UTC. The schemas that there are allow neither a fraction nor a zone.
    timestamp: startedAt.slice(0, 19),
  }
  return element('testsuite', attributes, [
    ...(listed.length === 0 ? [] : [element('properties', {}, listed)]),
    ...testcases.map(({ xml }) => xml),
    ...outputOf(output),
  ])
}

/** @param durationMs of all suites; they may run at once */
export const junitDocument = (name: string, durationMs: number, suites: readonly Suite[]): string =>
  xmlDocument(
    element(
      'testsuites',
      {
        name,
        ...countsOf(suites.flatMap(({ testcases }) => testcases)),
        time: secondsText(durationMs / 1000),
      },
      suites.map(suiteXml),
    ),
  )

/** What a suite's properties say of the host and the kernel. */
export const bundleProperties = ({ tool, host, kernel }: Bundle): Record<string, string> => ({
  tool: `${tool.name} ${tool.version}`,
  host: host.brand,
  layout: `XCR0 ${host.xcr0}, frames of ${host.userSize} bytes`,
  ...(kernel === null
    ? {}
    : {
        kernel: `${kernel.release} ${kernel.version}`,
        generation: kernel.generation ?? 'not told',
        headline: headline(kernel),
        fit: fit(kernel),
      }),
})

/** What must not be overlooked, and what the kernel complained of. */
export const bundleOutput = ({ kernel, warnings }: Bundle): string[] => {
  const { lines, more } = firstLines(kernel)
  return [
    ...warnings.map(text => `WARNING: ${lineText(text)}`),
    ...(kernel?.deviations ?? []).map(text => `deviation: ${lineText(text)}`),
    ...[...lines, ...(more === null ? [] : [more])].map(text => `dmesg: ${text}`),
  ]
}

/** The cases, or an error where there are none: no case is no success. */
export const testcasesOf = (cases: readonly CaseResult[], suite: string, commandOf: CommandOf): Testcase[] =>
  cases.length > 0
    ? cases.map(one => testcaseOf(one, suite, commandOf))
    : [
        testcaseFor('run', [suite, 'run'].filter(part => part !== '').join('.'), {
          kind: 'error',
          type: 'broken',
          message: 'no case ran: that is no success',
          output: [],
        }),
      ]

/** A run as JUnit: one suite. */
export const bundleJunit = (bundle: Bundle): string => {
  const { cases, durationMs, startedAt } = bundle
  return junitDocument('sigframe run', durationMs, [
    {
      name: 'sigframe run',
      durationMs,
      startedAt,
      properties: bundleProperties(bundle),
      testcases: testcasesOf(cases, 'sigframe', repeatCommand),
      output: bundleOutput(bundle),
    },
  ])
}
