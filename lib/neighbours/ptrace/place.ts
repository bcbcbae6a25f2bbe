/** Traced requests in the arena: their calls, and the buffers of these. */
import type { Arena } from '../../probe/arena.ts'
import { tracedRoom } from '../../probe/geometry.ts'
import { bufferBytes, type PreparedRegset } from './ask.ts'
import { type CheckedCall, mostCalls, notes } from './calls.ts'

/** What is behind a buffer's bytes before the kernel writes there. */
export const canary = 0xa5

const line = 64
const callsBytes = (arena: Arena): number =>
  Math.ceil((mostCalls * arena.constants.trace.bytes) / line) * line

/** A question's place, from the region's start. */
export interface PlacedRegset {
  readonly ask: PreparedRegset
  /** Where its calls are; behind them lies what is read. */
  readonly at: number
  /** Where what is set lies: behind that, or where the same question before it has it. */
  readonly setAt: number
}

/** How many from `from` on the region takes, and where each lies. One fits always. */
export const planRegsets = (
  arena: Arena,
  asks: readonly PreparedRegset[],
  from: number,
  most: number,
): { readonly placed: readonly PlacedRegset[]; readonly bytes: number } => {
  const placed: PlacedRegset[] = []
  const fixed = callsBytes(arena)
  let at = 0
  let before: PlacedRegset | null = null
  for (let i = from; i < asks.length && placed.length < most; i++) {
    const ask = asks[i] as PreparedRegset
    const setAt: number = before?.ask === ask ? before.setAt : at + fixed + ask.getRoom
    const end = Math.max(at + fixed + ask.getRoom, setAt + ask.setRoom)
    if (end > tracedRoom && placed.length > 0) break
    before = { ask, at, setAt }
    placed.push(before)
    at = end
  }
  return { placed, bytes: at }
}

/** The calls of a question, with where the buffer of each lies. */
export const eachBuffer = (
  arena: Arena,
  { ask, at, setAt }: PlacedRegset,
  visit: (call: CheckedCall, buffer: number, index: number) => void,
): void => {
  let get = at + callsBytes(arena)
  let set = setAt
  let index = 0
  for (const list of [ask.loaded, ask.ended]) {
    for (const call of list) {
      visit(call, call.set ? set : get, index++)
      if (call.set) set += bufferBytes(call)
      else get += bufferBytes(call)
    }
  }
}

/** Writes a call and what it sets. */
const putCall = (arena: Arena, at: number, call: CheckedCall, stop: number, buffer: number): void => {
  const { view, bytes, constants } = arena
  const { trace } = constants
  const base = arena.index(at)
  view.setUint32(base + trace.what, call.set ? trace.set : trace.get, true)
  view.setUint32(base + trace.when, stop, true)
  view.setUint32(base + trace.note, notes[call.note], true)
  view.setUint32(base + trace.buffer, trace.buffers[call.buffer], true)
  view.setUint32(base + trace.at, buffer, true)
  view.setUint32(base + trace.room, call.room, true)
  view.setUint32(base + trace.size, Number(call.size & 0xffff_ffffn), true)
  view.setUint32(base + trace.size + 4, Number(call.size >> 32n), true)
  const from = arena.index(buffer)
  if (call.bytes === null) {
    bytes.fill(canary, from, from + call.room)
    return
  }
  bytes.set(call.bytes, from)
  bytes.fill(0, from + call.bytes.length, from + call.room)
}

/** Writes a question's calls and what they set. */
export const putCalls = (arena: Arena, placed: PlacedRegset): void => {
  const { trace } = arena.constants
  const { ask, at } = placed
  eachBuffer(arena, placed, (call, buffer, index) => {
    const stop = index < ask.loaded.length ? trace.loaded : trace.ended
    putCall(arena, arena.tracedAt + at + index * trace.bytes, call, stop, arena.tracedAt + buffer)
  })
}

/**
 * The same where they were put before, and stand: what is read there anew must be written anew, and nothing behind it has
 * been written.
 */
export const renewBuffers = (arena: Arena, placed: PlacedRegset): void =>
  eachBuffer(arena, placed, (call, buffer) => {
    if (call.set) return
    const from = arena.index(arena.tracedAt + buffer)
    arena.bytes.fill(canary, from, from + Math.min(line, call.room))
  })

/** Describes a ring slot, in which its probe is described already, as this question. */
export const putRegset = (arena: Arena, sequence: number, { ask, at }: PlacedRegset, last: boolean): void => {
  const { words, constants } = arena
  const { request: field } = constants
  const request = arena.requestAt(sequence)
  words[request + field.kind] = constants.traced
  words[request + field.flags] = last ? constants.requestLastTraced : 0
  if (!ask.hasSignal) words[request + field.raise] = constants.still
  words[request + field.threads] = ask.loaded.length + ask.ended.length
  words[request + field.stride] = arena.tracedAt + at
}
