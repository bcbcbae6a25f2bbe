/** Sends frames of other machines through this one's sigreturn, and tells what of them arrived. */
import { type GenerationId, generationOf } from '../contract/generations.ts'
import { compileEdit } from '../frame/compile.ts'
import type { EditLimits, EditOp } from '../frame/edit.ts'
import type { FrameParts } from '../frame/reader.ts'
import { builtFrame } from '../frame/sent.ts'
import { observe } from '../fuzz/observe.ts'
import { taskOf } from '../harness/task.ts'
import type { Seen } from '../probe/result.ts'
import type { Probe } from '../probe/session.ts'
import { isInitComponent, sameComponent } from '../xstate/compare.ts'
import type { ComponentName } from '../xstate/components.ts'
import type { XsaveImage } from '../xstate/image.ts'
import type { Layout } from '../xstate/layout.ts'
import { randomImage } from '../xstate/random.ts'
import { type Arrival, type Arriving, arrivalOf, isWhole, tellsFrom, unknownOf } from './arrival.ts'
import type { CapturedFrame, FrameJob, ReplayedFrame } from './captured.ts'
import { expectationOf, type Judgement, policyFor, type Returning, unjudged } from './expect.ts'
import { type ForeignFrame, foreignFrame } from './foreign.ts'

/** What a foreign frame came to, whoever sent it and whatever was expected. */
export interface Fate extends Omit<ReplayedFrame, 'from' | 'unknown' | keyof Judgement> {
  /** Null where the frame was not returned from. */
  readonly arrived: Arrived | null
}

/** What the registers hold once a frame was returned from. */
export interface Arrived {
  readonly arrival: Arrival
  readonly after: XsaveImage
}

const firstSeeds = { load: 2 ** 27 + 5, poison: 2 ** 27 + 300 } as const

/**
 * What the handler leaves: nothing that the frame could have brought. No two poisons have a component in common, nor
 * MXCSR: of one more than there are of those, one has none of the frame's.
 */
const poisonFor = (foreign: ForeignFrame, layout: Layout): XsaveImage => {
  for (let i = 0; i <= layout.components.length + 1; i++) {
    const poison = randomImage(layout, { seed: firstSeeds.poison + i })
    if (tellsFrom(poison, foreign)) return poison
  }
  throw new Error('poisons are not as different as their seeds')
}

/** The whole fpstate, and zeros behind it: what this machine's kernel wrote there would be believed. */
const editOf = ({ area, fsave }: ForeignFrame, { frameBytes, inPlaceBytes }: EditLimits): EditOp[] => {
  const tail = frameBytes - area.length
  return [
    ...(area.length > inPlaceBytes ? [{ op: 'move' } as const] : []),
    { op: 'write', at: 0, bytes: area },
    ...(tail > 0 ? [{ op: 'fill', at: area.length, length: tail, value: 0 } as const] : []),
    ...(fsave === null ? [] : [{ op: 'write', region: 'fsave', at: 0, bytes: fsave } as const]),
  ]
}

const lackOfRoom = ({ area }: ForeignFrame, { inPlaceBytes, spareBytes }: EditLimits): string | null => {
  const room = Math.max(inPlaceBytes, spareBytes)
  return area.length > room ? `the frame has ${area.length} bytes, and there is room for ${room}` : null
}

const nothing = { lost: [], leftOver: [], arrived: null } as const

const sameParts = (a: FrameParts, b: FrameParts): boolean =>
  Buffer.compare(a.fpstate, b.fpstate) === 0 &&
  Buffer.compare(a.fsave ?? new Uint8Array(0), b.fsave ?? new Uint8Array(0)) === 0

/** The states that a component can have got its value from, in words. */
interface Origins {
  readonly poison: XsaveImage
  readonly load: XsaveImage
}

const originText = (after: XsaveImage, { poison, load }: Origins, name: ComponentName): string => {
  const { layout } = after
  if (!layout.has(name)) return 'not in this task'
  if (isInitComponent(after.bytes, layout, name)) return 'at init'
  if (sameComponent(after.bytes, poison.bytes, layout, name)) return 'as the handler left it'
  return sameComponent(after.bytes, load.bytes, layout, name) ? 'as before the signal' : 'with other bytes'
}

const mxcsrText = (after: XsaveImage, { poison, load }: Origins): string => {
  if (after.mxcsr === poison.mxcsr) return 'as the handler left it'
  return after.mxcsr === load.mxcsr ? 'as before the signal' : `0x${after.mxcsr.toString(16)}`
}

/** `avx pkru at init`: names with the same text together. */
const grouped = (names: readonly Arriving[], textOf: (name: Arriving) => string): string[] => {
  const texts = new Map<string, Arriving[]>()
  for (const name of names) {
    const text = textOf(name)
    texts.set(text, [...(texts.get(text) ?? []), name])
  }
  return [...texts].map(([text, those]) => `${those.join(' ')} ${text}`)
}

const arrivalText = (arrival: Arrival, after: XsaveImage, origins: Origins): string => {
  const text = (name: Arriving): string =>
    name === 'mxcsr' ? mxcsrText(after, origins) : originText(after, origins, name)
  const { arrived, lost, unknown, leftOver } = arrival
  return [
    ...(arrived.length > 0 ? [`${arrived.join(' ')} arrived`] : []),
    ...grouped(lost, text),
    ...(unknown.length > 0 ? [`${unknown.join(' ')} unknown here`] : []),
    ...grouped(leftOver, name => `${text(name)}, at init in the frame`),
  ].join('; ')
}

const unable = (why: string): Fate => ({ outcome: 'unable', ...nothing, observed: why })

const fateOf = (seen: Seen, foreign: ForeignFrame, origins: Origins): Fate => {
  switch (seen.kind) {
    case 'returned': {
      const arrival = arrivalOf(foreign, seen.after)
      const { lost, leftOver } = arrival
      const observed = arrivalText(arrival, seen.after, origins)
      const arrived = { arrival, after: seen.after }
      return { outcome: isWhole(arrival) ? 'holds' : 'loses', lost, leftOver, observed, arrived }
    }
    case 'signal': {
      const observed = `${seen.signal} (si_code ${seen.siCode}) at ${seen.where}`
      if (seen.where === 'sigreturn') return { outcome: 'rejected', ...nothing, observed }
      // A program that has no handler for it is gone.
      if (seen.where === 'after') return { outcome: 'killed', ...nothing, observed }
      return unable(`${observed}, before the frame was sent`)
    }
    case 'refused':
      return unable(observe(seen).end)
    default:
      return { outcome: 'killed', ...nothing, observed: observe(seen).end }
  }
}

/** Each costs seconds, and one that SIGKILL does not end costs the machine a CPU. */
const mostStuck = 3

const isStuck = ({ kind }: Seen): boolean => kind === 'timeout' || kind === 'stuck'

/**
 * Sends a foreign frame as it is: this machine's own frame is delivered, and its fpstate replaced.
 * @param told is told of each result of a probe
 */
export const sendForeign = (
  returning: Returning,
  foreign: ForeignFrame,
  told?: (seen: Seen) => void,
): Fate & Judgement => {
  const { probe } = returning
  const { layout, limits } = probe
  const { abi } = foreign
  const lack = probe.lack(abi) ?? lackOfRoom(foreign, limits)
  if (lack !== null) return { ...unable(lack), ...unjudged }
  const poison = poisonFor(foreign, layout)
  const load = randomImage(layout, { seed: firstSeeds.load })
  const edit = editOf(foreign, limits)
  const { primitives } = compileEdit(edit, layout, limits, 'edit', abi)
  const parts = builtFrame(layout, load, abi, primitives)
  const judge = expectationOf(returning, { foreign, parts, primitives, poison })
  const seen = probe.runSync({ abi, load, poison, edit })
  told?.(seen)
  if ('sent' in seen && !sameParts(seen.sent, parts))
    return { ...unable('the frame sent is not the frame captured: a fault of sigframe'), ...unjudged }
  const fate = fateOf(seen, foreign, { poison, load })
  return { ...fate, ...(fate.outcome === 'unable' ? unjudged : judge(seen)) }
}

/** Who returns from frames on this machine: the generation of its kernel as its fingerprint says; null where that is not known. */
export const returningFrom = (probe: Probe, generation: GenerationId | null): Returning => ({
  probe,
  task: taskOf(probe),
  policy: policyFor(generation === null ? null : generationOf(generation), probe.layout),
})

/**
 * Sends foreign frames as they are, one after the other: this machine's own frame is delivered, and its fpstate replaced.
 * Gives up where a few have made no progress.
 * @param generation of this machine's kernel, as its fingerprint says; null where that is not known
 * @returns what became of each, once for each source
 * @throws TypeError, RangeError for a frame that is none
 */
export const replayFrames = (
  probe: Probe,
  jobs: readonly FrameJob[],
  generation: GenerationId | null,
): ReplayedFrame[] => {
  const returning = returningFrom(probe, generation)
  let stuck = 0
  const count = (seen: Seen): void => {
    if (isStuck(seen)) stuck += 1
  }
  return jobs.flatMap(({ from, frame }) => {
    const foreign = foreignFrame(frame)
    const unknown = unknownOf(foreign, probe.layout)
    const { arrived, ...fate } =
      stuck < mostStuck
        ? sendForeign(returning, foreign, count)
        : { ...unable(`not sent: ${stuck} frames before made no progress`), ...unjudged }
    return from.map(source => ({ from: source, unknown, ...fate }))
  })
}

/** The same of a single frame. */
export const replayFrame = (
  probe: Probe,
  from: string,
  frame: CapturedFrame,
  generation: GenerationId | null,
): ReplayedFrame => replayFrames(probe, [{ from: [from], frame }], generation)[0] as ReplayedFrame
