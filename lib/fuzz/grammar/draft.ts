/** A frame while it is drawn: what its ingredients have done so far. */
import { type Abi, type FrameShape, frameShape } from '../../frame/abi.ts'
import type { EditOp } from '../../frame/edit.ts'
import { magic2Size } from '../../frame/format.ts'
import type { RandomGenerator } from '../../xstate/random.ts'
import type { Places } from './places.ts'

export interface Draft {
  readonly shape: FrameShape
  /** On the area and the fsave header, in the order in which they are executed. */
  readonly ops: EditOp[]
  /** xstate_size as the frame claims it so far. */
  xstateSize: number
  /** The end of what has to be sent, so that all that a kernel may read is in the record. */
  reach: number
  /** Which of `places.fragile` hold bytes that they must not be loaded with; a bit each. */
  spoilt: number
  /** Offset at which the frame ends before an unreadable page; 0 for none. */
  guardAt: number
  /** Where it is moved to in the second buffer; -1 for nowhere. */
  moveTo: number
  readonly pages: EditOp[]
  pointer: EditOp | null
}

/** One thing that a frame can have; adds to a draft what it draws. */
export type Ingredient = (draft: Draft, random: RandomGenerator) => void

export const createDraft = (places: Places, abi: Abi): Draft => ({
  shape: frameShape(abi),
  ops: [],
  xstateSize: places.userSize,
  reach: places.frameBytes,
  spoilt: 0,
  guardAt: 0,
  moveTo: -1,
  pages: [],
  pointer: null,
})

/** Notes that these bytes of the area are overwritten with whatever. */
export const spoil = (draft: Draft, { fragile }: Places, at: number, length: number): void => {
  for (let i = 0; i < fragile.length; i++) {
    const { offset, end } = fragile[i] as { offset: number; end: number }
    if (at < end && at + length > offset) draft.spoilt |= 1 << i
  }
}

/** What the frame claims to have must be sent, as far as it can be. */
export const claim = (draft: Draft, { mostReach }: Places, size: number): void => {
  draft.xstateSize = size
  const end = size + magic2Size
  if (end <= mostReach) draft.reach = Math.max(draft.reach, end)
}

/** Whether 4 bytes at this offset can be edited. */
export const hasRoom = ({ mostReach }: Places, at: number): boolean => at >= 0 && at + magic2Size <= mostReach

/** XSTATE_BV without what must not be loaded. Seldom needed: its bigints cost nothing on the whole. */
const spare = (spoilt: number, { fragile }: Places): EditOp => {
  const mask = fragile.reduce((sum, one, i) => ((spoilt >>> i) & 1 ? sum | one.mask : sum), 0n)
  return { op: 'and', field: 'xstateBv', value: BigInt.asUintN(64, ~mask) }
}

/** The draft as an edit. What must come last does: a frame is moved with all that was done to it. */
export const finish = (draft: Draft, places: Places): EditOp[] => {
  const { ops, reach, spoilt, guardAt, moveTo, pages, pointer } = draft
  const { frameBytes } = places
  const edit: EditOp[] = []
  // First of all: what others write there must stay.
  if (reach > frameBytes) edit.push({ op: 'fill', at: frameBytes, length: reach - frameBytes, value: 0 })
  edit.push(...ops)
  if (spoilt !== 0) edit.push(spare(spoilt, places))
  if (guardAt > 0) edit.push({ op: 'move', guardAt })
  else if (moveTo >= 0) edit.push({ op: 'move', at: moveTo })
  edit.push(...pages)
  if (pointer !== null) edit.push(pointer)
  return edit
}
