/**
 * Stress requests: many random rounds in one probe process, compared there. Here they are put into the arena, and what
 * came of them is read, whatever the process wrote.
 */
import { checkInteger, checkRecord, outOfRange, wrongType } from '../errors.ts'
import { type Abi, abis } from '../frame/abi.ts'
import type { Arena } from './arena.ts'
import { mostStressImages } from './geometry.ts'
import type { Chunk, RunContext } from './process.ts'
import type { Died, Refused, Stuck, TimedOut, Unraised } from './result.ts'
import type { LossKind, Way } from './stress-words.ts'

/** What is asked of one request, besides its images. */
export interface StressTask {
  /** Of all that is drawn; 0..2^32-1. */
  readonly seed: number
  /** How long it may take, in milliseconds. */
  readonly limitMs: number
  /** The most rounds; as many as the time allows if left out. */
  readonly rounds?: number
  readonly abis: readonly Abi[]
  /** Where it runs, moving from one to another now and then. */
  readonly cpus: readonly number[]
  /** Where in the list it begins. Lanes of one team are never on the same CPU, those of a whole team on all of them. */
  readonly lane: number
  readonly team: number
  /**
   * In this round, counted from 1, the handler changes XMM0 in the frame, so that it must be found lost: what finds
   * nothing there is blind.
   */
  readonly spoil?: number
}

/** What happened on one CPU. */
export interface StressOn {
  readonly cpu: number
  readonly rounds: number
  readonly signals: number
  /** How many of those came from timers. */
  readonly timed: number
  /** From another CPU to this one. */
  readonly moves: number
  readonly lost: number
}

/** The first round that was lost. */
export interface StressLoss {
  readonly kind: LossKind
  /** Indices of the image that was loaded, and of the one that the handler left in the registers. */
  readonly image: number
  readonly poison: number
  readonly abi: Abi
  readonly way: Way
  readonly cpu: number
  /** What XSAVE made of the registers. */
  readonly after: Uint8Array
}

/** What came of a request. */
export interface StressCounts {
  readonly on: readonly StressOn[]
  readonly signals: Readonly<Record<Abi, number>>
  /** Moves that the kernel refused. */
  readonly refused: number
  /** How often the process gave up its CPU, or had it taken. */
  readonly switches: number
  readonly loss: StressLoss | null
  /** What XSAVE makes of each image where no signal hits. */
  readonly expected: readonly Uint8Array[]
}

/** How a request ended before its time; null where it did not. What had been done by then is counted. */
export type StressEnd = Unraised | Died | TimedOut | Stuck | Refused | null

const u32 = 0xffff_ffff
const mostMs = 60_000
/** kMostStressCpus of native/shared/arena.h. */
const mostCpus = 64
const mostRounds = 2 ** 40

/** @throws TypeError, RangeError that name the field, the value and the limit */
export const checkStress = (task: StressTask, images: number, lack: (abi: Abi) => string | null): void => {
  checkInteger('images.length', images, 2, mostStressImages)
  checkRecord('task', task)
  checkInteger('task.seed', task.seed, 0, u32)
  checkInteger('task.limitMs', task.limitMs, 1, mostMs)
  checkInteger('task.rounds', task.rounds ?? mostRounds, 1, mostRounds)
  checkInteger('task.lane', task.lane, 0, u32)
  checkInteger('task.team', task.team, 0, u32)
  checkInteger('task.spoil', task.spoil ?? 0, 0, u32)
  if (!Array.isArray(task.cpus) || task.cpus.length === 0)
    throw wrongType('task.cpus', task.cpus, 'an array with a CPU at least')
  checkInteger('task.cpus.length', task.cpus.length, 1, mostCpus)
  for (let i = 0; i < task.cpus.length; i++) checkInteger(`task.cpus[${i}]`, task.cpus[i], 0, u32)
  if (!Array.isArray(task.abis) || task.abis.length === 0)
    throw wrongType('task.abis', task.abis, 'an array with an ABI at least')
  task.abis.forEach((abi, i) => {
    if (!abis.includes(abi)) throw outOfRange(`task.abis[${i}]`, abi, `must be one of ${abis.join(' ')}`)
    const why = lack(abi)
    if (why !== null) throw outOfRange(`task.abis[${i}]`, abi, `but ${why}`)
  })
}

/** Arena offset of the results: one for each image, then the last one, then the first lost one. */
const resultsAt = (arena: Arena, images: number): number =>
  arena.scratchAt + images * arena.geometry.imageBytes

/** Describes a chunk of one anew as this request. */
export const putStress = (
  arena: Arena,
  chunk: Chunk,
  images: readonly Uint8Array[],
  task: StressTask,
  areaBytes: number,
): void => {
  const { constants, words, view, bytes } = arena
  const { request: field, stress } = constants
  const stride = arena.geometry.imageBytes
  const from = arena.index(arena.scratchAt)
  images.forEach((image, i) => {
    bytes.fill(0, from + i * stride, from + (i + 1) * stride)
    bytes.set(image, from + i * stride)
  })
  const at = arena.requestAt(chunk.first)
  words[at + field.kind] = constants.stressKind
  words[at + field.load] = arena.scratchAt
  words[at + field.after] = resultsAt(arena, images.length)
  words[at + field.threads] = images.length
  words[at + field.stride] = stride
  words[at + field.writtenBytes] = Math.ceil(areaBytes / 8) * 8
  words[at + field.ops] = arena.stressAt
  view.setBigUint64((at + field.count) * 4, BigInt(task.rounds ?? mostRounds), true)

  const base = arena.index(arena.stressAt)
  const cpus = task.cpus.slice(0, constants.mostStressCpus)
  bytes.fill(0, base, base + stress.bytes)
  view.setBigUint64(base + stress.seed, BigInt(task.seed), true)
  view.setUint32(base + stress.limitMs, task.limitMs, true)
  view.setUint32(
    base + stress.abis,
    task.abis.reduce((mask, abi) => mask | (1 << constants.abi[abi]), 0),
    true,
  )
  view.setUint32(base + stress.cpuCount, cpus.length, true)
  view.setUint32(base + stress.lane, task.lane, true)
  view.setUint32(base + stress.team, task.team, true)
  view.setUint32(base + stress.spoil, task.spoil ?? 0, true)
  cpus.forEach((cpu, i) => {
    view.setUint32(base + stress.cpus + 4 * i, cpu, true)
  })
}

const readLoss = (arena: Arena, images: number, areaBytes: number): StressLoss | null => {
  const { constants, view, bytes } = arena
  const { stress } = constants
  const base = arena.index(arena.stressAt)
  const word = (offset: number): number => view.getUint32(base + offset, true)
  if (word(stress.loss) === 0) return null
  const kind = constants.losses.get(word(stress.loss))
  const way = constants.ways.get(word(stress.way))
  const abi = abis.find(one => constants.abi[one] === word(stress.abi))
  const image = word(stress.image)
  const poison = word(stress.poison)
  if (kind === undefined || way === undefined || abi === undefined || image >= images || poison >= images)
    throw new Error('the probe process tells of a lost round in words that are none')
  const first = arena.index(resultsAt(arena, images)) + (images + 1) * arena.geometry.imageBytes
  return {
    kind,
    way,
    abi,
    image,
    poison,
    cpu: word(stress.cpu),
    after: bytes.slice(first, first + areaBytes),
  }
}

/** What the process tells, also one that did not live to the end of its request: then of what it had done. */
export const readStress = (
  arena: Arena,
  images: number,
  cpus: readonly number[],
  areaBytes: number,
): StressCounts => {
  const { constants, view, bytes } = arena
  const { stress } = constants
  const base = arena.index(arena.stressAt)
  const count = (offset: number): number => Number(view.getBigUint64(base + offset, true))
  const results = arena.index(resultsAt(arena, images))
  const signals = (abi: Abi): number => count(stress.signals + 8 * constants.abi[abi])
  return {
    on: cpus.slice(0, constants.mostStressCpus).map((cpu, i) => {
      const at = stress.on + i * stress.onBytes
      return {
        cpu,
        rounds: count(at + stress.rounds),
        signals: count(at + stress.signalsOn),
        timed: count(at + stress.timed),
        moves: count(at + stress.moves),
        lost: count(at + stress.lost),
      }
    }),
    signals: Object.fromEntries(abis.map(abi => [abi, signals(abi)])) as Record<Abi, number>,
    refused: count(stress.refused),
    switches: count(stress.switches),
    loss: readLoss(arena, images, areaBytes),
    expected: Array.from({ length: images }, (_, i) => {
      const at = results + i * arena.geometry.imageBytes
      return bytes.slice(at, at + areaBytes)
    }),
  }
}

/** A process counts as hung when it has taken as much longer as one that makes no progress. */
export const stressContext = (context: RunContext, { limitMs }: StressTask): RunContext => ({
  ...context,
  timeoutMs: limitMs + context.timeoutMs,
})
