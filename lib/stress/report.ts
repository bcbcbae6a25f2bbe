/** The results of a stress run for people and for machines. */
import type { Abi } from '../frame/abi.ts'
import { exitCodes } from '../harness/results.ts'
import type { StressOn } from '../probe/stress.ts'
import { toJson } from '../report/json.ts'
import { labelled, type Style } from '../report/style.ts'
import { align, oneLine, plural, seconds } from '../report/text.ts'
import { formatCpus } from './cpus.ts'
import type { Problem } from './judge.ts'
import type { StressPart, StressResult } from './stress.ts'
import { overall } from './totals.ts'

/** 0 where nothing was lost and all that should run ran; an end by the user's wish is not told by an exit code. */
export const stressExitCode = ({
  lost,
  problems,
  all,
  interrupted,
}: Pick<StressResult, 'lost' | 'problems' | 'all' | 'interrupted'>): number => {
  if (problems.some(({ kind }) => kind === 'broken')) return exitCodes.broken
  if (lost > 0 || problems.length > 0) return exitCodes.fail
  // Nothing was found where nothing was done.
  return overall(all.totals).rounds === 0 && !interrupted ? exitCodes.broken : exitCodes.ok
}

const whole = (value: number): string => Math.round(value).toLocaleString('en-US')

/** Rounds a second. */
const pace = (rounds: number, { elapsedMs }: StressPart): number =>
  elapsedMs > 0 ? rounds / (elapsedMs / 1000) : 0

const cells = (name: string, on: StressOn, part: StressPart): string[] => [
  name,
  whole(on.rounds),
  whole(pace(on.rounds, part)),
  whole(on.signals),
  whole(on.timed),
  whole(on.moves),
  whole(on.lost),
]

/** What the table shows: all CPUs, or the one CPU where the run was stopped before all had begun. */
const shown = ({ one, all }: StressResult): StressPart =>
  one !== null && overall(one.totals).rounds > 0 && overall(all.totals).rounds === 0 ? one : all

/** How fast one CPU is beside the others, against alone. Null where there is nothing to compare. */
export const scaling = ({
  one,
  all,
}: Pick<StressResult, 'one' | 'all'>): {
  readonly alone: number
  readonly beside: number
  readonly ratio: number
} | null => {
  if (one === null) return null
  const alone = pace(overall(one.totals).rounds, one)
  const beside = pace(overall(all.totals).rounds, all) / all.totals.on.length
  return alone > 0 && beside > 0 ? { alone, beside, ratio: beside / alone } : null
}

const table = (part: StressPart, { colors }: Style): string[] => {
  const { on } = part.totals
  const heads = ['CPU', 'probes', 'a second', 'signals', 'by timers', 'moves here', 'lost']
  const rows = [...on.map(one => cells(String(one.cpu), one, part)), cells('all', overall(part.totals), part)]
  const [head = '', ...lines] = align([heads, ...rows], [1, 2, 3, 4, 5, 6])
  return [colors.bold(head), ...lines.map((line, i) => ((on[i]?.lost ?? 0) > 0 ? colors.red(line) : line))]
}

const aboutText = ({ processes, cpus, abis, seed }: StressResult): string => {
  const special = processes.filter(({ permissions }) => permissions.length > 0)
  const names = [...new Set(special.flatMap(({ permissions }) => permissions))].join(' ')
  const which = special.length === 0 ? '' : `, ${special.length} of them with ${names}`
  return `${plural(processes.length, 'process', 'processes')}${which}, on CPU ${formatCpus(cpus)}; ${abis.join(', ')} frames; seed ${seed}`
}

const scalingText = (result: StressResult): string | null => {
  const found = scaling(result)
  if (found === null || result.one === null) return null
  const { alone, beside, ratio } = found
  return (
    `${whole(alone)} probes a second alone (${plural(result.one.processes, 'process', 'processes')} for ` +
    `${seconds(result.one.elapsedMs)}), ${whole(beside)} beside the others: ${ratio.toFixed(2)}`
  )
}

const headline = (result: StressResult): string => {
  const { lost, problems } = result
  const part = shown(result)
  const { rounds, signals } = overall(part.totals)
  const much = `${whole(rounds)} probes, ${whole(signals)} signals in ${seconds(part.elapsedMs)}`
  if (lost > 0) return `${much}: ${whole(lost)} lost`
  if (problems.length > 0) return `${much}: ${plural(problems.length, 'problem')}`
  return `${much}: nothing lost`
}

const mostTold = 10

const problemLines = (problems: readonly Problem[], style: Style): string[] => [
  ...problems.slice(0, mostTold).flatMap(({ what }) => labelled('      ', oneLine(what), style)),
  ...(problems.length > mostTold ? [`      and ${problems.length - mostTold} more`] : []),
]

/** Who was stopped early has not passed. */
const verdictOf = (result: StressResult): 'PASS' | 'FAIL' | 'BROKEN' | 'STOPPED' => {
  switch (stressExitCode(result)) {
    case exitCodes.ok:
      return result.interrupted ? 'STOPPED' : 'PASS'
    case exitCodes.fail:
      return 'FAIL'
    default:
      return 'BROKEN'
  }
}

const verdictColor = { PASS: 'green', FAIL: 'red', BROKEN: 'magenta', STOPPED: 'yellow' } as const

/** A table, in 80 columns. */
export const stressText = (result: StressResult, style: Style): string => {
  const { colors } = style
  const { host, problems } = result
  const about = `${host.cpu}, ${plural(host.cpus, 'CPU')}, Linux ${host.kernel}, Node ${host.node}`
  const comparison = scalingText(result)
  const verdict = verdictOf(result)
  const paint = colors[verdictColor[verdict]]
  return [
    ...labelled('Host  ', oneLine(about), style),
    ...labelled('      ', aboutText(result), style),
    '',
    ...table(shown(result), style),
    ...(comparison === null ? [] : ['', ...labelled('One CPU  ', comparison, style)]),
    '',
    ...labelled(`${verdict}  `, headline(result), style, undefined, text => colors.bold(paint(text))),
    ...problemLines(problems, style),
    '',
  ].join('\n')
}

const onJson = (on: StressOn, part: StressPart) => ({
  probes: on.rounds,
  perSecond: Math.round(pace(on.rounds, part)),
  signals: on.signals,
  timed: on.timed,
  migrations: on.moves,
  lost: on.lost,
})

const partJson = (part: StressPart) => ({
  processes: part.processes,
  elapsedMs: Math.round(part.elapsedMs),
  ...onJson(overall(part.totals), part),
  signalsByAbi: part.totals.signals satisfies Readonly<Record<Abi, number>>,
  switches: part.totals.switches,
  migrationsRefused: part.totals.refused,
  cpus: part.totals.on.map(on => ({ cpu: on.cpu, ...onJson(on, part) })),
})

export const stressJson = (result: StressResult): string => {
  const found = scaling(result)
  return toJson({
    lost: result.lost,
    problems: result.problems,
    interrupted: result.interrupted,
    seed: result.seed,
    cpus: result.cpus,
    abis: result.abis,
    all: partJson(result.all),
    oneCpu: result.one === null ? null : partJson(result.one),
    ratio: found === null ? null : Number(found.ratio.toFixed(4)),
    processes: result.processes.map(({ pid, permissions, totals }) => {
      const { rounds, signals, timed, moves, lost } = overall(totals)
      return {
        pid,
        permissions,
        probes: rounds,
        signals,
        timed,
        migrations: moves,
        switches: totals.switches,
        lost,
      }
    }),
    host: result.host,
  })
}
