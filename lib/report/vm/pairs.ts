/** Frames that were sent on other machines: for each kernel a matrix from CPU to CPU, alike ones told once. */
import type { ReplayedFrame } from '../../foreign/captured.ts'
import type { MachineResult } from '../../vm/machine.ts'
import { labelled, type Style } from '../style.ts'
import { oneLine, plural } from '../text.ts'
import { groupBy } from '../verdicts.ts'
import { type FrameOrigin, originOf } from './replays.ts'
import { type Cell, plainCell, tables } from './table.ts'
import { cpuName, kernelName, shortLabelled } from './words.ts'

const margin = '  '
const longestName = 200
const longestText = 1000
/** Of what was lost in a matrix, so many kinds are shown. */
const shownLosses = 6
const none = '–'

/** A frame, where it came from and where it was sent. */
interface Sent extends ReplayedFrame {
  readonly origin: FrameOrigin
  readonly kernel: string
  readonly cpu: string
  /** Of that kernel. */
  readonly generation: string
}

const sentOf = (machine: MachineResult): Sent[] =>
  machine.replayed.map(frame => {
    const { kernel, cpu, ...rest } = originOf(frame)
    const origin = { ...rest, kernel: oneLine(kernel, longestName), cpu: oneLine(cpu, longestName) }
    const generation = machine.bundle?.kernel?.generation ?? 'such'
    return { ...frame, origin, generation, kernel: kernelName(machine), cpu: cpuName(machine) }
  })

const worstFirst = ['killed', 'rejected', 'loses', 'unable', 'holds'] as const

/** In a few words; what this machine has no registers for is no loss of the kernel's. */
const fateText = ({ outcome, lost, unknown, leftOver }: ReplayedFrame): string => {
  if (outcome !== 'loses') return outcome
  if (lost.length > 0) return `loses ${lost.join(' ')}`
  if (leftOver.length > 0) return `leaves ${leftOver.join(' ')}`
  return unknown.length > 0 ? `all but ${unknown.join(' ')}` : 'loses something'
}

/** What became of all frames of a pair: the worst of it, and of how many. */
const pairText = (frames: readonly Sent[]): string => {
  const kinds = groupBy(frames, fateText)
  const [text = none, ofIt = []] =
    [...kinds].toSorted(
      ([, [a]], [, [b]]) =>
        worstFirst.indexOf(a?.outcome ?? 'holds') - worstFirst.indexOf(b?.outcome ?? 'holds'),
    )[0] ?? []
  const part = ofIt.length < frames.length ? ` ${ofIt.length} of ${frames.length}` : ''
  const mark = frames.some(({ asExpected }) => asExpected === false) ? ' !' : ''
  return oneLine(`${text}${part}${mark}`)
}

const pairCell = (frames: readonly Sent[], { colors }: Style): Cell => {
  if (frames.length === 0) return plainCell(none, colors.dim)
  const missed = frames.some(({ asExpected }) => asExpected === false)
  const whole = frames.every(({ outcome }) => outcome === 'holds')
  return plainCell(pairText(frames), missed ? colors.red : whole ? colors.green : colors.yellow)
}

/** The CPUs that the report has, in its order, then those that only frames name. */
const ordered = (names: readonly string[], cpus: readonly string[]): string[] => [
  ...cpus.filter(cpu => names.includes(cpu)),
  ...new Set(names.filter(name => !cpus.includes(name))),
]

/** The cells of a matrix, by source and destination. */
type Cells = ReadonlyMap<string, Cell>

const pairKey = (from: string, to: string): string => JSON.stringify([from, to])

const cellsOf = (frames: readonly Sent[], style: Style): Cells =>
  new Map(
    [...groupBy(frames, ({ origin, cpu }) => pairKey(origin.cpu, cpu))].map(([key, ofIt]) => [
      key,
      pairCell(ofIt, style),
    ]),
  )

const matrix = (
  { frames, cells }: Pick<Crossing, 'frames' | 'cells'>,
  cpus: readonly string[],
  style: Style,
): string[] => {
  const { colors } = style
  const sources = ordered(
    frames.map(({ origin }) => origin.cpu),
    cpus,
  )
  const destinations = ordered(
    frames.map(({ cpu }) => cpu),
    cpus,
  )
  const head = ['from / to', ...destinations].map(text => plainCell(text, colors.dim))
  const rows = sources.map(from => [
    plainCell(from),
    ...destinations.map(to => cells.get(pairKey(from, to)) ?? plainCell(none, colors.dim)),
  ])
  return tables(head, rows, style).flatMap((lines, i) => (i === 0 ? lines : ['', ...lines]))
}

const listed = (texts: readonly string[]): string => [...new Set(texts)].join(' ')

const judgedText = ({ asExpected, generation, expected }: Sent): string => {
  if (asExpected === null) return ''
  return asExpected
    ? `, as ${generation} kernels do`
    : `, not as ${generation} kernels do; expected: ${expected}`
}

/** What became of the frames that do not hold, each kind once. */
const lossLines = (frames: readonly Sent[], style: Style): string[] => {
  const { colors } = style
  const kinds = groupBy(
    frames.filter(({ outcome, asExpected }) => outcome !== 'holds' || asExpected === false),
    frame =>
      JSON.stringify([fateText(frame), frame.unknown, frame.observed, frame.expected, frame.asExpected]),
  )
  const more = kinds.size - shownLosses
  return [
    ...[...kinds.values()].slice(0, shownLosses).flatMap(alike => {
      const [first] = alike as [Sent]
      const what = listed(alike.map(({ origin }) => `${origin.abi}/${origin.what}`))
      const text = `${fateText(first)}: ${first.observed}${judgedText(first)} (${what})`
      return labelled(
        first.asExpected === false ? '! ' : margin,
        oneLine(text, longestText),
        style,
        first.asExpected === false ? colors.red : undefined,
      )
    }),
    ...(more > 0 ? labelled(margin, `and ${plural(more, 'more kind')}: --format json has all`, style) : []),
  ]
}

/** Frames of some kernels on one. */
interface Crossing {
  readonly from: readonly string[]
  readonly to: string
  readonly frames: readonly Sent[]
  readonly cells: Cells
}

const agree = (a: Cells, b: Cells): boolean =>
  [...a].every(([key, { text }]) => (b.get(key)?.text ?? text) === text)

/** Source kernels together whose frames fare alike: none has sent its own to where they came from. */
const merged = (crossings: readonly Crossing[]): Crossing[] => {
  const classes: Crossing[] = []
  for (const one of crossings) {
    const at = classes.findIndex(({ cells }) => agree(cells, one.cells))
    const { from, to, frames, cells } = classes[at] ?? { ...one, from: [], frames: [], cells: new Map() }
    classes[at < 0 ? classes.length : at] = {
      from: [...from, ...one.from],
      to,
      frames: [...frames, ...one.frames],
      cells: new Map([...cells, ...one.cells]),
    }
  }
  return classes
}

const crossingsTo = (to: string, frames: readonly Sent[], style: Style): Crossing[] =>
  merged(
    [...groupBy(frames, ({ origin }) => origin.kernel)].map(([from, ofIt]) => ({
      from: [from],
      to,
      frames: ofIt,
      cells: cellsOf(ofIt, style),
    })),
  )

const sourcesText = ({ from, to }: Crossing, all: ReadonlySet<string>): string => {
  if (from.length === 1 && from[0] === to) return 'Its own frames'
  if (all.size > 1 && from.length === all.size) return 'Frames of all kernels'
  if (all.size > 2 && all.has(to) && from.length === all.size - 1 && !from.includes(to))
    return 'Frames of all other kernels'
  return `Frames of ${from.join(' ')}`
}

/** A block for each different matrix: which kernels' frames, on which kernels. */
export const pairBlocks = (
  machines: readonly MachineResult[],
  cpus: readonly string[],
  style: Style,
): string[][] => {
  const frames = machines.flatMap(sentOf)
  const all = new Set(frames.map(({ origin }) => origin.kernel))
  const crossings = [...groupBy(frames, ({ kernel }) => kernel)].flatMap(([to, ofIt]) =>
    crossingsTo(to, ofIt, style).map(crossing => ({
      to,
      from: sourcesText(crossing, all),
      lines: [...matrix(crossing, cpus, style), ...lossLines(crossing.frames, style)],
    })),
  )
  const blocks = groupBy(crossings, ({ from, lines }) => JSON.stringify([from, lines]))
  return [...blocks.values()].map(alike => {
    const [{ from, lines }] = alike as [(typeof crossings)[number]]
    return [...shortLabelled(`${from} on `, alike.map(({ to }) => to).join(' '), style), ...lines]
  })
}
