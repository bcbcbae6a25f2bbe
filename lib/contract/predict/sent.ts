/** The frame that an edit sends, as the kernel finds it: its recorded bytes, and what the edit says of their place. */
import { type Abi, frameShape } from '../../frame/abi.ts'
import type { EditLimits, PageState, Primitive } from '../../frame/edit.ts'
import { fsaveSize } from '../../frame/fsave.ts'
import type { FrameParts } from '../../frame/reader.ts'
import type { Pages, Pointer, SentFrame } from './frame.ts'

const pageSize = 4096
const alignment = 64
/** Of the guard behind the second buffer: kGuardBytes in native/shared/arena.h. */
const guardBytes = 16 * pageSize
const none: readonly Pages[] = Object.freeze([])

/** What an edit does to where the frame lies. */
interface Place {
  /** Where in the second buffer, which begins at a page; null on the stack. */
  readonly moved: number | null
  /** How far the pointer was moved from there. */
  readonly by: number
  readonly pointer: Pointer
  readonly paged: boolean
}

const placeOf = (primitives: readonly Primitive[], width: number): Place => {
  let moved: number | null = null
  let by = 0n
  let address: bigint | null = null
  let paged = false
  for (const op of primitives) {
    if (op.code === 'move') {
      // The pointer goes with the frame, wherever it led before.
      moved = op.at
      by = 0n
      address = null
    } else if (op.code === 'pages') paged = true
    else if (op.code === 'offset') by += op.value
    else if (op.code === 'pointer') {
      address = op.value
      by = 0n
    }
  }
  const distance = BigInt.asIntN(64, by)
  if (address === null) return { moved, by: Number(distance), pointer: 'mapped', paged }
  return {
    moved,
    by: 0,
    pointer: BigInt.asUintN(8 * width, address + by) === 0n ? 'null' : 'unreachable',
    paged,
  }
}

// What is behind the end of a file stays so, and what nobody may read is no more to be read for being evicted.
const nextState = (was: PageState | undefined, now: PageState): PageState => {
  if (was === 'hole') return was
  return was === 'unreadable' && now !== 'readonly' ? was : now
}

const pageStates = (moved: number, primitives: readonly Primitive[]): Map<number, PageState> => {
  const states = new Map<number, PageState>()
  for (const op of primitives) {
    if (op.code !== 'pages') continue
    const last = Math.floor((moved + op.at + op.length - 1) / pageSize)
    for (let page = Math.floor((moved + op.at) / pageSize); page <= last; page++)
      states.set(page, nextState(states.get(page), op.state))
  }
  return states
}

/** What of a moved frame's memory is not simply there. `start`: where its area begins in the second buffer. */
const pagesOf = (
  start: number,
  { moved, paged }: Place,
  primitives: readonly Primitive[],
  { spareBytes }: EditLimits,
): readonly Pages[] => {
  const guard: Pages = { from: spareBytes - start, end: spareBytes - start + guardBytes, reach: 'unreadable' }
  if (moved === null || !paged) return [guard]
  const changed = [...pageStates(moved, primitives)]
    .filter(([, state]) => state !== 'readonly')
    .map(([page, state]): Pages => {
      const from = page * pageSize - start
      const reach = state === 'unreadable' || state === 'hole' ? 'unreadable' : 'absent'
      return { from, end: from + pageSize, reach }
    })
  return [...changed, guard]
}

/** The 112 bytes that a 32-bit pointer leads to, where it was moved by so many. */
const fsaveFrom = (fsave: Uint8Array, fpstate: Uint8Array, by: number): Uint8Array => {
  if (by === 0) return fsave
  const all = new Uint8Array(fsave.length + fpstate.length)
  all.set(fsave)
  all.set(fpstate, fsave.length)
  return all.slice(by, by + fsaveSize)
}

const sigsegvBit = 1 << 2

/** Bit 10 of the mask: signal 11. */
const blocksSigsegv = (head: Uint8Array, abi: Abi): boolean => {
  const { sigmask, oldmask } = frameShape(abi).fields
  const { at } = abi === 'ia32' || sigmask === undefined ? oldmask : sigmask
  return ((head[at + 1] as number) & sigsegvBit) !== 0
}

const nowhere = new Uint8Array(0)

/**
 * @param sent the frame as it was sent
 * @param primitives the edit that sent it
 */
export const sentFrame = (
  { abi, head, fsave, fpstate }: FrameParts,
  primitives: readonly Primitive[],
  limits: EditLimits,
): SentFrame => {
  const place = placeOf(primitives, frameShape(abi).fields.fpstate.width)
  const { moved, by, pointer } = place
  const start = (moved ?? 0) + by
  // What lies before the frame is not known.
  const area = by < 0 || pointer !== 'mapped' ? nowhere : by === 0 ? fpstate : fpstate.subarray(by)
  return {
    abi,
    pointer,
    area,
    fsave: fsave === null || by < 0 ? null : fsaveFrom(fsave, fpstate, by),
    misalignedBy: ((start % alignment) + alignment) % alignment,
    pages: moved === null ? none : pagesOf(start, place, primitives, limits),
    blocksSigsegv: blocksSigsegv(head, abi),
  }
}
