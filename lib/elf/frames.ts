/** From a place where MAGIC1 stands to a frame: what belongs to it, and whether it is one at all. Pure. */
import { type Abi, frameShape } from '../frame/abi.ts'
import { type FieldPlace, frameFields, largestFrame, magic2, magic2Size } from '../frame/format.ts'
import { fsaveSize } from '../frame/fsave.ts'
import { legacySize, minXsaveSize } from '../xstate/layout.ts'
import type { CoreFrame } from './core.ts'
import { type FoundHead, findHead, type View } from './head.ts'
import type { CoreMachine } from './header.ts'

/** The largest XSAVE area that is believed: AMX makes them 11008 bytes. */
export const mostXstateSize = largestFrame

/** What a frame's head says of stacks. */
export interface HeadFacts {
  /** Where the frame starts. */
  readonly start: bigint
  /** Of the interrupted code. */
  readonly rsp: bigint
  /** The alternate stack as it was set then; null where it was off, or where the frame does not say. */
  readonly alternate: { readonly start: bigint; readonly end: bigint } | null
}

export interface FoundFrame extends Omit<CoreFrame, 'state' | 'pid'> {
  readonly facts: HeadFacts | null
}

/** Where MAGIC1 stands. */
export interface Candidate {
  readonly xstateSize: number
  readonly abi: Abi
  readonly head: FoundHead | null
  /** Bytes from the fpstate on that may belong to it. */
  readonly reach: number
}

const ssDisable = 2n

const alternateOf = (read: (place: FieldPlace) => bigint, abi: Abi): HeadFacts['alternate'] => {
  const { ucStackSp, ucStackSize, ucStackFlags } = frameShape(abi).fields
  if (ucStackSp === undefined || ucStackSize === undefined || ucStackFlags === undefined) return null
  const start = read(ucStackSp)
  const size = read(ucStackSize)
  return size === 0n || (read(ucStackFlags) & ssDisable) !== 0n ? null : { start, end: start + size }
}

const factsOf = ({ data }: View, { abi, at, address }: FoundHead): HeadFacts => {
  const read = ({ at: from, width }: FieldPlace): bigint =>
    width === 8 ? data.getBigUint64(at + from, true) : BigInt(data.getUint32(at + from, true))
  return { start: address, rsp: read(frameShape(abi).fields.rsp), alternate: alternateOf(read, abi) }
}

const bytesOf = ({ data }: View, from: number, size: number): Uint8Array =>
  new Uint8Array(data.buffer, data.byteOffset + from, size).slice()

const headBytes = (view: View, { abi, at }: FoundHead): Uint8Array => {
  const { recorded, headBytes: size } = frameShape(abi)
  const bytes = new Uint8Array(size)
  let to = 0
  for (const range of recorded) {
    bytes.set(bytesOf(view, at + range.offset, range.size), to)
    to += range.size
  }
  return bytes
}

const isSize = (size: number): boolean => size >= legacySize && size <= mostXstateSize

/** Without a head, the sizes alone tell what it was: only 32-bit frames count the fsave header. */
const likelyAbi = (trailer: number, machine: CoreMachine): Abi =>
  machine === 'i386' || trailer === frameShape('ia32-rt').trailer ? 'ia32-rt' : machine

/** @param view has at least the legacy region */
export const candidateAt = (view: View, machine: CoreMachine, layoutSize: number): Candidate => {
  const { data, at } = view
  const xstateSize = data.getUint32(at + frameFields['sw.xstateSize'].at, true)
  const extendedSize = data.getUint32(at + frameFields['sw.extendedSize'].at, true)
  const head = findHead(view, machine)
  const abi = head?.abi ?? likelyAbi(extendedSize - xstateSize, machine)
  // What MAGIC2 may have been meant to follow, by any of those who say a size.
  const sizes = [xstateSize, extendedSize - frameShape(abi).trailer, layoutSize].filter(isSize)
  return { xstateSize, abi, head, reach: Math.max(minXsaveSize, ...sizes) + magic2Size }
}

/** What lies above the interrupted stack pointer is another's. */
const ownReach = ({ address }: View, { xstateSize, reach }: Candidate, facts: HeadFacts | null): number => {
  const room = facts === null ? 0n : facts.rsp - address
  const least = isSize(xstateSize) ? xstateSize + magic2Size : minXsaveSize
  return room > BigInt(least) && room < BigInt(reach) ? Number(room) : reach
}

/** What is a frame, before anything of it is copied. */
export interface Judged {
  readonly view: View
  readonly candidate: Candidate
  readonly facts: HeadFacts | null
  /** Bytes of its fpstate. */
  readonly length: number
  /** Bytes of all of it. */
  readonly size: number
}

/** Whether it is a frame: one with MAGIC2 where its xstate_size says, or with a head that leads to it. */
export const judge = (view: View, candidate: Candidate): Judged | null => {
  const { head, abi, xstateSize } = candidate
  const at = view.at + xstateSize
  const ended = isSize(xstateSize) && at + magic2Size <= view.high && view.data.getUint32(at, true) === magic2
  if (!ended && head?.sound !== true) return null
  const facts = head === null ? null : factsOf(view, head)
  const length = Math.min(ownReach(view, candidate, facts), view.high - view.at)
  const { headBytes: headSize, fsaveSize: below } = frameShape(abi)
  return { view, candidate, facts, length, size: length + below + (head === null ? 0 : headSize) }
}

/** A copy of all that belongs to it. @param offset of the fpstate in the file */
export const copyFrame = (
  { view, candidate: { abi, head }, facts, length }: Judged,
  offset: number,
): FoundFrame => {
  const below = view.at - fsaveSize
  return {
    abi,
    address: view.address,
    offset,
    head: head === null ? null : headBytes(view, head),
    fsave: frameShape(abi).fsave && below >= view.low ? bytesOf(view, below, fsaveSize) : null,
    fpstate: bytesOf(view, view.at, length),
    facts,
  }
}
