/** The results of a fuzz run for people and for machines. */
import { type RuleId, ruleOf } from '../contract/rules.ts'
import { treatmentText } from '../contract/treatment.ts'
import { plainOp } from '../harness/repro.ts'
import { exitCodes } from '../harness/results.ts'
import { toJson } from '../report/json.ts'
import { labelled, type Style } from '../report/style.ts'
import { align, hang, oneLine, plural, seconds } from '../report/text.ts'
import type { Covered } from './coverage.ts'
import type { FoundIn, FuzzResult } from './fuzz.ts'

/** Frames of which anything was said: a pass must be earned. */
const judgedOf = ({ frames, passedOver }: Pick<FuzzResult, 'frames' | 'passedOver'>): number =>
  Object.values(passedOver).reduce((left, count) => left - count, frames)

/** 0 where nothing differed; nothing judged is broken, but where that was the user's wish, and so is an early end. */
export const fuzzExitCode = (
  result: Pick<FuzzResult, 'findings' | 'more' | 'frames' | 'passedOver' | 'interrupted' | 'failed'>,
): number => {
  if (result.failed !== null) return exitCodes.broken
  if (result.findings.length + result.more > 0) return exitCodes.fail
  return judgedOf(result) === 0 && !result.interrupted ? exitCodes.broken : exitCodes.ok
}

const whole = (value: number): string => Math.round(value).toLocaleString('en-US')

/** One line of JSON for an operation. */
const opText = (op: FoundIn['frame']['edit'][number]): string => JSON.stringify(plainOp(op))

const longestValue = 32

/** The first bytes: a component may have thousands. */
const short = (value: string): string =>
  value.length <= longestValue ? value : `${value.slice(0, longestValue)}… (${value.length / 2} bytes)`

/** Where two values begin to differ, so that what is shown of them shows it. */
const firstDifference = (a: string, b: string): number => {
  let i = 0
  while (i < a.length && a[i] === b[i]) i += 1
  return i - (i % 2)
}

const shown = (value: string, from: number): string =>
  from === 0 || value === 'init' ? short(value) : `…${short(value.slice(from))} from byte ${from / 2}`

/** From where on bytes are shown: those of a component alone, where they are known on both sides. */
const shownFrom = ({ name, expected, observed }: FoundIn['differences'][number]): number =>
  name === 'mxcsr' || expected === 'init' || observed === 'init' ? 0 : firstDifference(expected, observed)

const differenceLines = (difference: FoundIn['differences'][number], style: Style): string[] => {
  const { name, expected, observed } = difference
  const from = shownFrom(difference)
  return [
    ...labelled(`    ${name}  expected  `, shown(expected, from), style, style.colors.green),
    ...labelled(`    ${' '.repeat(name.length)}  observed  `, shown(observed, from), style, style.colors.red),
  ]
}

/** Components whose bytes are shown. */
const mostDifferences = 2

const ruleText = (id: RuleId): string => {
  const { sentence, commit } = ruleOf(id)
  return `${sentence} (${commit})`
}

const findingLines = (one: FoundIn, number: number, style: Style): string[] => {
  const { frame, index, count, repeated, expected, observed, rule, differences, tries } = one
  const told = differences.slice(0, mostDifferences)
  const others = differences.slice(mostDifferences).map(({ name }) => name)
  const { colors } = style
  const about = `${frame.abi}, ${frame.raise}, load ${frame.load}, poison ${frame.poison}; frame ${index}, ${plural(count, 'frame')} like it`
  return [
    colors.bold(`Difference ${number}`),
    ...labelled('  expected  ', expected, style, colors.green),
    ...labelled('  observed  ', observed, style, colors.red),
    ...labelled('  frame     ', about, style),
    ...(repeated
      ? labelled(
          '  shrunk    ',
          `to ${plural(frame.edit.length, 'operation')} in ${plural(tries, 'try', 'tries')}`,
          style,
        )
      : labelled('  shrunk    ', 'no: it did not show again when it was sent again', style, colors.yellow)),
    ...frame.edit.flatMap(op => labelled('    edit    ', opText(op), style, colors.cyan)),
    ...told.flatMap(difference => differenceLines(difference, style)),
    ...(others.length === 0 ? [] : labelled('    ', `and so ${others.join(' ')}`, style)),
    ...labelled('  as        ', asText(one), style),
    ...(rule === null ? [] : labelled('  rule      ', ruleText(rule), style, colors.dim)),
    '',
  ]
}

const asText = ({ repeated, alsoAs, perhapsAs }: FoundIn): string => {
  if (!repeated) return 'nobody can say any more'
  if (alsoAs.length > 0) return `${alsoAs.join(' and ')} kernels do this`
  if (perhapsAs.length === 0) return 'no known generation does this'
  return `${perhapsAs.join(' and ')} kernels may do this: it hangs on bytes that are in no record`
}

const coverageRow = ({ rule, of, said }: Covered): string[] => {
  const passes = said.find(({ outcome }) => outcome === 'passes')
  return [rule, of === 'all' ? '' : of, passes === undefined ? '' : whole(passes.count)]
}

const otherwise = ({ said }: Covered): string =>
  said
    .filter(({ outcome }) => outcome !== 'passes')
    .map(({ outcome, count }) => `${whole(count)} ${outcome}`)
    .join(', ')

const coverageLines = (coverage: readonly Covered[], { colors, columns }: Style): string[] => {
  const [head = '', ...rows] = align([['decision', 'frames', 'passes'], ...coverage.map(coverageRow)], [2])
  return [
    colors.bold(`${head}  otherwise`),
    ...rows.flatMap((row, i) => hang(`${row}  `, otherwise(coverage[i] as Covered), columns)),
  ]
}

const missedText = ({ rule, of, outcome }: FuzzResult['missed'][number]): string =>
  `${rule} (${of === 'all' ? '' : `${of}, `}${outcome})`

const nothingDiffers = (result: FuzzResult, { green, yellow }: Style['colors']): string => {
  if (result.frames === 0) return yellow('No frame was sent.')
  return judgedOf(result) === 0 ? yellow('No frame was judged.') : green('No difference.')
}

/** A report, in 80 columns. */
export const fuzzText = (result: FuzzResult, style: Style): string => {
  const { colors } = style
  const { kernel, generation, without, frames, ms, seed, abis, asked, findings } = result
  const { more, coverage, missed, passedOver, failed } = result
  const told =
    kernel.told === generation.id ? 'which it is told to be' : `told to be ${kernel.told ?? 'none'}`
  const lacks = without === null ? '' : `, without ${without}`
  const { deviations } = kernel
  const counted = `${whole(frames)} in ${seconds(ms)}, ${whole(frames / Math.max(ms / 1000, 1e-3))} a second; seed ${seed}`
  const verdict =
    findings.length + more === 0
      ? nothingDiffers(result, colors)
      : colors.red(
          `${plural(findings.length, 'kind')} of difference${more > 0 ? `, and ${plural(more, 'frame')} of more kinds` : ''}.`,
        )
  return [
    ...labelled(
      'Kernel    ',
      oneLine(`Linux ${kernel.release}, expected to do as ${generation.id} kernels (${told})${lacks}`),
      style,
    ),
    ...deviations.flatMap(text => labelled('          ', text, style, colors.yellow)),
    ...labelled('Frames    ', counted, style),
    ...labelled('          ', `${abis.join(' ')}; of ${whole(asked)} the CPU was asked`, style),
    ...Object.entries(passedOver).flatMap(([why, count]) =>
      labelled('Passed    ', `over ${plural(count, 'frame')}: ${why}`, style, colors.dim),
    ),
    '',
    ...findings.flatMap((one, i) => findingLines(one, i + 1, style)),
    ...coverageLines(coverage, style),
    '',
    ...(missed.length === 0
      ? labelled('Reached   ', 'every outcome of every decision', style)
      : labelled('Not reached  ', missed.map(missedText).join('; '), style, colors.yellow)),
    ...(failed === null
      ? []
      : labelled('Ended     ', `before its time: ${oneLine(failed)}`, style, colors.red)),
    verdict,
    '',
  ].join('\n')
}

const findingJson = ({ frame, session, predicted, ...rest }: FoundIn) => ({
  ...rest,
  permissions: session.permissions,
  treatment: predicted === null ? null : treatmentText[predicted.end],
  frame: { ...frame, edit: frame.edit.map(plainOp) },
})

export const fuzzJson = ({ generation, sessions, findings, ...rest }: FuzzResult): string =>
  toJson({
    ...rest,
    generation: generation.id,
    sessions: sessions.map(({ permissions, subject }) => ({
      permissions,
      layout: subject.task.layout.toJSON(),
    })),
    findings: findings.map(findingJson),
  })
