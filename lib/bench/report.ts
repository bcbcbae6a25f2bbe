/** The results of a bench for people and for machines. */
import { toJson } from '../report/json.ts'
import { labelled, type Style } from '../report/style.ts'
import { align, oneLine, plural } from '../report/text.ts'
import type { BenchResult, LaneResult } from './bench.ts'
import type { Comparison } from './measure.ts'

const whole = (value: number): string => Math.round(value).toLocaleString('en-US')

const wantedText = ({ wanted }: LaneResult): string => {
  if (wanted === null) return ''
  return 'ratio' in wanted ? wanted.ratio.toFixed(2) : `${whole(wanted.perSecond)}/s`
}

/** Whether a lane is as fast as is wanted; null where nothing is. */
export const isEnough = ({ wanted, ratio, perSecond }: LaneResult): boolean | null => {
  if (wanted === null) return null
  return 'ratio' in wanted ? ratio >= wanted.ratio : perSecond >= wanted.perSecond
}

const comparisonCells = (one: Comparison): string[] => [
  one.against,
  whole(one.limitPerSecond),
  one.ratio.toFixed(2),
  `${one.lowestRatio.toFixed(2)}..${one.highestRatio.toFixed(2)}`,
]

/** A row for each yardstick; what is wanted is wanted beside the first. */
const rowsOf = (lane: LaneResult): string[][] => [
  [lane.lane, whole(lane.perSecond), ...comparisonCells(lane), wantedText(lane)],
  ...lane.others.map(other => ['', '', ...comparisonCells(other)]),
]

/** A table, in 80 columns. */
export const benchText = ({ host, rounds, lanes }: BenchResult, style: Style): string => {
  const { colors } = style
  const rows = lanes.map(rowsOf)
  const heads = ['probes a second', 'engine', 'against', '', 'ratio', 'rounds', 'wanted']
  const [head = '', ...lines] = align([heads, ...rows.flat()], [1, 3, 4, 6])
  // Of each line, the lane whose row it is the first of.
  const told = rows.flatMap((some, i) => some.map((_, j) => (j === 0 ? lanes[i] : undefined)))
  const about = `${host.cpu}, ${plural(host.cpus, 'CPU')}, Linux ${host.kernel}, Node ${host.node}`
  const meaning =
    'The ratio is that of the engine to what stands under “against”. plain: a C loop in the probe process alone that ' +
    `raises and returns the same frames, or makes the same calls of ptrace and KVM; 64-bit: batched good frames; cat: “cat FILE | wc -c”, in MiB; the pair matrix counts pairs. ` +
    `Medians of ${rounds} rounds, all in turn; ` +
    'other work on the machine blurs them.'
  return [
    ...labelled('Host  ', oneLine(about), style),
    '',
    colors.bold(head),
    ...lines.map((line, i) => {
      const lane = told[i]
      const enough = lane === undefined ? null : isEnough(lane)
      return enough === null ? line : (enough ? colors.green : colors.yellow)(line)
    }),
    '',
    ...labelled('', meaning, style, colors.dim),
    '',
  ].join('\n')
}

const digits = (value: number, places: number): number => Number(value.toFixed(places))

const comparisonJson = (one: Comparison): Comparison => ({
  against: one.against,
  limitPerSecond: Math.round(one.limitPerSecond),
  ratio: digits(one.ratio, 4),
  lowestRatio: digits(one.lowestRatio, 4),
  highestRatio: digits(one.highestRatio, 4),
})

/** `{ lanes: [{ lane, perSecond, against, limitPerSecond, ratio, …, others }], … }` */
export const benchJson = ({ host, rounds, lanes }: BenchResult): string =>
  toJson({
    lanes: lanes.map(one => ({
      lane: one.lane,
      perSecond: Math.round(one.perSecond),
      ...comparisonJson(one),
      wanted: one.wanted,
      others: one.others.map(comparisonJson),
    })),
    rounds,
    host,
  })
