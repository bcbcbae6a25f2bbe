/** The results of a bench for people and for machines. */
import { toJson } from '../report/json.ts'
import { labelled, type Style } from '../report/style.ts'
import { align, oneLine, plural } from '../report/text.ts'
import type { BenchResult, LaneResult } from './bench.ts'

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

/** A table, in 80 columns. */
export const benchText = ({ host, rounds, lanes }: BenchResult, style: Style): string => {
  const { colors } = style
  const rows = lanes.map(one => [
    one.lane,
    whole(one.perSecond),
    whole(one.limitPerSecond),
    one.ratio.toFixed(2),
    `${one.lowestRatio.toFixed(2)}..${one.highestRatio.toFixed(2)}`,
    wantedText(one),
  ])
  const heads = ['probes a second', 'engine', 'plain loop', 'ratio', 'rounds', 'wanted']
  const [head = '', ...lines] = align([heads, ...rows], [1, 2, 3, 5])
  const about = `${host.cpu}, ${plural(host.cpus, 'CPU')}, Linux ${host.kernel}, Node ${host.node}`
  const meaning =
    `The plain loop raises and returns the same frames in the probe process alone. Medians of ${rounds} rounds, ` +
    'the two in turn; other work on the machine blurs them.'
  return [
    ...labelled('Host  ', oneLine(about), style),
    '',
    colors.bold(head),
    ...lines.map((line, i) => {
      const enough = lanes[i] === undefined ? null : isEnough(lanes[i])
      return enough === null ? line : (enough ? colors.green : colors.yellow)(line)
    }),
    '',
    ...labelled('', meaning, style, colors.dim),
    '',
  ].join('\n')
}

const digits = (value: number, places: number): number => Number(value.toFixed(places))

/** `{ lanes: [{ lane, perSecond, limitPerSecond, ratio, … }], … }` */
export const benchJson = ({ host, rounds, lanes }: BenchResult): string =>
  toJson({
    lanes: lanes.map(one => ({
      lane: one.lane,
      perSecond: Math.round(one.perSecond),
      limitPerSecond: Math.round(one.limitPerSecond),
      ratio: digits(one.ratio, 4),
      lowestRatio: digits(one.lowestRatio, 4),
      highestRatio: digits(one.highestRatio, 4),
      wanted: one.wanted,
    })),
    rounds,
    host,
  })
