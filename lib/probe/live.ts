/** A frame that waits in the probe process for a callback: where it lies, the call, and its way back unedited. */
import type { FrameShape } from '../frame/abi.ts'
import type { EditLimits } from '../frame/edit.ts'
import type { LiveFrame, LivePlace } from '../frame/live.ts'
import type { Chunk, ChunkEnd, ProbeProcess, RunContext } from './process.ts'
import type { LiveEdit } from './request.ts'

/**
 * Where the waiting frame lies, as the probe process says it.
 * @throws Error where that is outside its stack
 */
export const waitingFrame = (
  process: ProbeProcess,
  chunk: Chunk,
  limits: EditLimits,
  shape: FrameShape,
): LivePlace => {
  const { arena } = process
  const { description, constants } = arena
  const at = arena.outcomeAt(chunk.first)
  const frame = arena.words[at + constants.outcome.frame] as number
  const fpstate = arena.words[at + constants.outcome.fpstate] as number
  const stackEnd = description.stack + description.stackBytes
  const inStack = (offset: number, bytes: number): boolean =>
    offset >= description.stack && offset + bytes <= stackEnd
  const extent = Math.max(...shape.recorded.map(({ offset, size }) => offset + size))
  if (!inStack(frame, extent) || !inStack(fpstate, limits.inPlaceBytes))
    throw new Error(
      `the probe process says its frame is at ${frame}, fpstate at ${fpstate}: outside its stack`,
    )
  return {
    bytes: arena.bytes,
    view: arena.view,
    frame: arena.index(frame),
    fpstate: arena.index(fpstate),
    spare: arena.index(description.spare),
    base: description.base + BigInt(constants.first),
    shape,
  }
}

const refusePromise = (value: unknown): void => {
  if (typeof (value as { then?: unknown } | null | undefined)?.then !== 'function') return
  // Whether it rejects later is nobody's concern any more.
  Promise.resolve(value).catch(() => undefined)
  throw new TypeError(
    'edit returned a promise: the frame waits for it in a signal handler, so it must not be async',
  )
}

/** Calls an edit with its frame. @returns what it threw, or null */
export const callEdit = (edit: LiveEdit, frame: LiveFrame): { readonly error: unknown } | null => {
  try {
    refusePromise(edit(frame))
    return null
  } catch (error) {
    return { error }
  }
}

/** Puts the frame back as the kernel wrote it, and sends it. */
export const sendUntouched = (
  process: ProbeProcess,
  chunk: Chunk,
  place: LivePlace,
  context: RunContext,
): ChunkEnd => {
  const { fsave, fpstate, head } = chunk.store.frame(chunk.firstSlot, 'written', place.shape)
  const { at, width } = place.shape.fields.fpstate
  // Of the head, a callback can change the pointer alone.
  place.bytes.set(head.subarray(at, at + width), place.frame + at)
  if (fsave !== null) place.bytes.set(fsave, place.fpstate - fsave.length)
  place.bytes.set(fpstate, place.fpstate)
  return process.reply(chunk, place.fpstate, context.frameBytes, context)
}
