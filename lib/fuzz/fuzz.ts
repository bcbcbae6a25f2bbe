/**
 * `sigframe fuzz`: frames drawn from the grammar of the contract, sent live, each compared with what the contract says
 * of it, down to the bytes of the registers.
 */
import { release } from 'node:os'
import { setImmediate } from 'node:timers/promises'
import { type Generation, type GenerationId, generationOf } from '../contract/generations.ts'
import { dispensable, isMade, leavingOut } from '../contract/predict/predict.ts'
import type { RuleId } from '../contract/rules.ts'
import { checkInteger, outOfRange } from '../errors.ts'
import { type Abi, abis as allAbis, checkAbi } from '../frame/abi.ts'
import { fingerprintKernel } from '../harness/host.ts'
import { open, type Probe, permissible } from '../probe/session.ts'
import type { ComponentName } from '../xstate/components.ts'
import { readHostCpu } from '../xstate/host.ts'
import { type Outcome, runBatch } from './batch.ts'
import { type Covered, coverageOf, missedOf } from './coverage.ts'
import { type Finding, type FirstLook, findingOf, firstLook, signatureOf } from './finding.ts'
import { batchFrames, framesOf, mostRuns, mostSeed } from './frames.ts'
import type { DrawnFrame } from './grammar.ts'
import { createSubject, type Subject } from './subject.ts'
import { Tally } from './tally.ts'

/** Of so many batches one goes through the session with permissions, where the host has it. */
const permittedShare = 8
export interface FuzzOptions {
  /** How long, roughly. One of both is given. */
  readonly seconds?: number
  /** How many frames. */
  readonly runs?: number
  readonly seed: number
  /** All that the host has if left out. */
  readonly abis?: readonly Abi[]
  /** Whose behaviour is expected; that which the kernel is told by if left out. */
  readonly generation?: GenerationId
  /** A rule that is left out of what is expected, which is wrong then. */
  readonly without?: RuleId
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: {
    readonly frames: number
    readonly ms: number
    readonly findings: number
  }) => void
}

/** A session of the run. */
export interface FuzzedSession {
  readonly permissions: readonly ComponentName[]
  readonly subject: Subject
}

/** A finding, and the session that it is of. */
export type FoundIn = Finding & { readonly session: FuzzedSession }

export interface FuzzResult {
  readonly seed: number
  readonly kernel: {
    readonly release: string
    readonly told: GenerationId | null
    readonly deviations: readonly string[]
  }
  readonly generation: Generation
  readonly without: RuleId | null
  readonly abis: readonly Abi[]
  readonly sessions: readonly FuzzedSession[]
  readonly frames: number
  readonly ms: number
  /** Frames of which the CPU was asked. */
  readonly asked: number
  /** Frames of which nothing could be said, by why. */
  readonly passedOver: Readonly<Record<string, number>>
  readonly coverage: readonly Covered[]
  readonly missed: ReturnType<typeof missedOf>
  readonly findings: readonly FoundIn[]
  /** Frames that differ in ways of which none is told. */
  readonly more: number
  readonly interrupted: boolean
  /** Why it ended before its time; null where it did not. What was found until then stands. */
  readonly failed: string | null
}

/** A difference that was just seen, and what could be said of it then. */
interface Fresh {
  readonly frame: DrawnFrame
  readonly outcome: Outcome
  readonly index: number
  readonly look: FirstLook
}

const sendBatch = (
  subject: Subject,
  frames: readonly DrawnFrame[],
  first: number,
  tally: Tally<FoundIn>,
): Fresh[] => {
  const fresh: Fresh[] = []
  runBatch(subject, frames, (outcome, i) => {
    if (!tally.add(outcome)) return
    fresh.push({
      frame: frames[i] as DrawnFrame,
      outcome,
      index: first + i,
      look: firstLook(subject, outcome),
    })
  })
  return fresh
}

const checkAbis = (probe: Probe, wanted: readonly Abi[] | undefined): readonly Abi[] => {
  for (const abi of wanted ?? []) {
    const lack = probe.lack(abi)
    if (lack !== null) throw outOfRange('abi', abi, `but ${lack}`)
  }
  return wanted ?? allAbis.filter(abi => probe.lack(abi) === null)
}

/** The sessions that there are: the second one's permissions may be refused to whoever runs this. */
const openSessions = async (): Promise<{ probe: Probe; permissions: readonly ComponentName[] }[]> => {
  const sessions = [{ probe: await open({ pin: true }), permissions: [] as readonly ComponentName[] }]
  const permissions = permissible(readHostCpu())
  if (permissions.length === 0) return sessions
  try {
    sessions.push({ probe: await open({ pin: true, permissions }), permissions })
  } catch {
    // What it would have that the first one has not is skipped by `sigframe run` with the reason.
  }
  return sessions
}

const closeAll = async (sessions: readonly { readonly probe: Probe }[]): Promise<void> => {
  for (const { probe } of sessions) await probe.close()
}

const isOver = ({ runs, seconds, signal }: FuzzOptions, frames: number, ms: number): boolean =>
  signal?.aborted === true ||
  frames >= (runs ?? mostRuns) ||
  ms >= (seconds ?? Number.POSITIVE_INFINITY) * 1000

/** How often others have their turn: signals, progress. */
const turnMs = 50

/** One batch of a run, each difference in it shrunk. */
const fuzzBatch = async (
  { subject, ...session }: FuzzedSession,
  { seed, batch, count }: { readonly seed: number; readonly batch: number; readonly count: number },
  tally: Tally<FoundIn>,
  giveTurn: () => Promise<boolean>,
): Promise<void> => {
  const frames = framesOf(subject, seed, batch, count)
  for (const { frame, outcome, index, look } of sendBatch(subject, frames, batch * batchFrames, tally)) {
    const found = findingOf(subject, frame, outcome, index, look)
    tally.settle(signatureOf(outcome) as string, { ...found, session: { subject, ...session } })
    if (await giveTurn()) return
  }
}

const loop = async (
  sessions: readonly FuzzedSession[],
  options: FuzzOptions,
  tally: Tally<FoundIn>,
): Promise<{ readonly ms: number; readonly failed: string | null }> => {
  const started = performance.now()
  const { seed, runs = mostRuns, onProgress } = options
  let turn = started
  let ms = 0
  /** @returns whether it is to end at once */
  const giveTurn = async (): Promise<boolean> => {
    const now = performance.now()
    ms = now - started
    if (now - turn >= turnMs) {
      turn = now
      onProgress?.({ frames: tally.frames, ms, findings: tally.kinds })
      await setImmediate()
    }
    return options.signal?.aborted === true
  }
  try {
    for (let batch = 0; !isOver(options, tally.frames, ms); batch++) {
      const at = sessions.length > 1 && batch % permittedShare === permittedShare - 1 ? 1 : 0
      const count = Math.min(batchFrames, runs - tally.frames)
      await fuzzBatch(sessions[at] as FuzzedSession, { seed, batch, count }, tally, giveTurn)
      await giveTurn()
    }
    return { ms, failed: null }
  } catch (error) {
    // Hours may have gone into what there is.
    return { ms, failed: error instanceof Error ? error.message : String(error) }
  }
}

const checkOptions = ({ seconds, runs, seed, abis }: FuzzOptions): void => {
  if ((seconds === undefined) === (runs === undefined))
    throw outOfRange('seconds', seconds ?? 'left out', 'and runs: one of them is to be given')
  if (runs !== undefined) checkInteger('runs', runs, 1, mostRuns)
  if (seconds !== undefined && !(Number.isFinite(seconds) && seconds > 0))
    throw outOfRange('seconds', seconds, 'must be a number above 0')
  checkInteger('seed', seed, 0, mostSeed)
  if (abis?.length === 0) throw outOfRange('abis.length', 0, 'must be at least 1')
  for (const [i, abi] of (abis ?? []).entries()) checkAbi(`abis[${i}]`, abi)
}

const lacking = (generation: Generation, rule: RuleId): Generation => {
  if (!dispensable.includes(rule))
    throw outOfRange('without', rule, `must be one of ${dispensable.join(' ')}`)
  if (!isMade(generation.policy, rule))
    throw outOfRange('without', rule, `which ${generation.id} kernels lack anyway`)
  return { ...generation, policy: leavingOut(generation.policy, rule) }
}

/**
 * Fuzzes the running kernel.
 * @throws NativeUnavailableError; TypeError, RangeError for options out of their limits, an ABI that this host lacks, a rule that cannot be left out,
 *   or a host without XSAVE
 */
export const fuzz = async (options: FuzzOptions): Promise<FuzzResult> => {
  checkOptions(options)
  const opened = await openSessions()
  try {
    const { probe } = opened[0] as { readonly probe: Probe }
    if (!probe.layout.xsave)
      throw outOfRange('host', probe.cpu.brand.trim(), 'which has no XSAVE: its frames have nothing to draw')
    const abis = checkAbis(probe, options.abis)
    const found = fingerprintKernel(probe)
    const generation = options.generation === undefined ? found.generation : generationOf(options.generation)
    const { without = null } = options
    const expected = without === null ? generation : lacking(generation, without)
    const sessions = opened.map(one => ({
      permissions: one.permissions,
      subject: createSubject(one.probe, expected, abis),
    }))
    const tally = new Tally<FoundIn>()
    const { ms, failed } = await loop(sessions, options, tally)
    const coverage = coverageOf(tally.counts, expected.policy, abis)
    const { frames, asked, passedOver, more } = tally
    return {
      seed: options.seed,
      kernel: {
        release: release(),
        told: found.generation.id,
        deviations: found.deviations.map(({ text }) => text),
      },
      generation,
      without,
      abis,
      sessions,
      frames,
      ms,
      asked,
      passedOver,
      coverage,
      missed: missedOf(coverage),
      findings: tally.findings(),
      more,
      interrupted: options.signal?.aborted === true,
      failed,
    }
  } finally {
    await closeAll(opened)
  }
}
