/** Where the frame lies: moved, cut off by an unreadable page, on pages that are gone; and the pointer to it. */
import type { EditOp, PageState } from '../../frame/edit.ts'
import { magic2Size } from '../../frame/format.ts'
import { legacySize, minXsaveSize } from '../../xstate/layout.ts'
import type { RandomGenerator } from '../../xstate/random.ts'
import type { Draft, Ingredient } from './draft.ts'
import { alignment, type Places, pageSize } from './places.ts'
import { below, pick, weighted } from './random.ts'

/** The page break at these offsets: XRSTOR alone reads what lies before it, the checks what lies behind. */
const breaks = [64, 128, 192, 256, 320, 384, 448] as const
const misaligned = [1, 4, 8, 16, 32, 63] as const

type PlaceKind = 'start' | 'step' | 'misaligned' | 'straddle' | 'end' | 'inside' | 'low'
const placeKinds = weighted<PlaceKind>([
  [2, 'start'],
  [3, 'step'],
  [2, 'misaligned'],
  [3, 'straddle'],
  [6, 'end'],
  [5, 'inside'],
  [2, 'low'],
])

const lowGuards = [64, 463, 464, 484, legacySize - 1, legacySize, minXsaveSize - 1, minXsaveSize] as const
const endDistances = [0, 0, 0, -1, 1, alignment] as const

/** Guards near the end of the frame as it claims to be. */
const guardAtEnd = (draft: Draft, places: Places, random: RandomGenerator): number => {
  const { userSize, spareBytes } = places
  const claimed = draft.xstateSize + magic2Size
  const end = claimed <= spareBytes - alignment ? claimed : userSize + magic2Size
  const distance = pick(random, endDistances)
  // So that the frame stays aligned, the guard is up to 63 bytes behind its end.
  if (distance === alignment) return Math.ceil(end / alignment) * alignment
  return Math.max(1, end + distance)
}

/** Decides where the frame goes. To be drawn behind all that changes its size. */
export const placement =
  (places: Places): Ingredient =>
  (draft, random) => {
    switch (pick(random, placeKinds)) {
      case 'start':
        draft.moveTo = 0
        return
      case 'step':
        draft.moveTo = alignment * below(random, pageSize / alignment)
        return
      case 'misaligned':
        draft.moveTo = pick(random, misaligned)
        return
      case 'straddle':
        draft.moveTo = pageSize - pick(random, breaks)
        return
      case 'end':
        draft.guardAt = guardAtEnd(draft, places, random)
        return
      case 'inside':
        draft.guardAt = pick(random, places.steps)
        return
      case 'low':
        draft.guardAt = pick(random, lowGuards)
    }
  }

const pageStates: readonly PageState[] = ['evicted', 'readonly', 'unreadable', 'hole']

const lastBreak = Math.max(...breaks)

/**
 * XRSTOR alone meets a page fault, before the sw bytes, and not all of user_size can be faulted in: the frame tells how
 * much a kernel wants. It takes one that is larger than a page.
 */
const evictedBeforeGuard = (draft: Draft, userSize: number, random: RandomGenerator): void => {
  const at = pick(random, breaks)
  const whole = Math.floor((userSize - 1 - at) / pageSize)
  draft.guardAt = at + pageSize * (1 + below(random, whole))
  draft.moveTo = -1
  draft.pages.push({ op: 'pages', at: 0, length: at, state: 'evicted' })
}

/**
 * The frame over two pages of which one is not as the other: the one before the break, which XRSTOR alone reads
 * where the break lies low enough, or all behind it.
 */
export const pages =
  (places: Places): Ingredient =>
  (draft, random) => {
    const { frameBytes, userSize } = places
    if (userSize > pageSize + lastBreak && below(random, 2) === 0) {
      evictedBeforeGuard(draft, userSize, random)
      return
    }
    const at =
      below(random, 2) === 0
        ? pick(random, breaks)
        : minXsaveSize +
          alignment * below(random, Math.max(1, Math.floor((userSize - minXsaveSize) / alignment)))
    const straddle = Math.min(at, pageSize)
    draft.guardAt = 0
    draft.moveTo = pageSize - straddle
    const state = pick(random, pageStates)
    // The first page alone, or what is behind it.
    const range =
      below(random, 2) === 0 ? { at: 0, length: straddle } : { at: straddle, length: frameBytes - straddle }
    draft.pages.push({ op: 'pages', ...range, state })
  }

const sigsegvBlocked = 1 << 10

/** SIGSEGV blocked in the frame's own mask: where the frame is refused, the process dies. */
export const blockedSignal = (): Ingredient => draft => {
  const field = draft.shape.abi === 'ia32' ? 'head.oldmask' : 'head.sigmask'
  draft.ops.push({ op: 'set', field, value: sigsegvBlocked })
}

/** Forwards alone: what lies below the frame is in no record. */
const distances = [1, 4, 8, 16, 32, 64] as const

const address = (value: bigint): EditOp => Object.freeze({ op: 'pointer', address: value })

const nullPointer = address(0n)
const far32: readonly EditOp[] = [0x1000n, 0xffff_ffffn, 0xffff_f000n, 0xffff_ffc0n].map(address)
const far64: readonly EditOp[] = [
  0x1000n,
  // The kernel's half, and what is in neither.
  0xffff_8000_0000_0000n,
  0xffff_ffff_ffff_ffc0n,
  0x8000_0000_0000_0000n,
  0x1234_5678_9abc_de00n,
  // The end of user space: TASK_SIZE_MAX, and around it.
  0x7fff_ffff_f000n,
  0x7fff_ffff_efc0n,
  0x7fff_ffff_ffc0n,
  0x8000_0000_0000n,
].map(address)

/** The pointer leads to nothing, to elsewhere, or so many bytes too far. */
export const pointer =
  (places: Places): Ingredient =>
  (draft, random) => {
    const kind = below(random, 10)
    if (kind < 2) {
      draft.pointer = nullPointer
    } else if (kind < 6) {
      const by = pick(random, distances)
      draft.pointer = { op: 'pointer', by }
      const end = places.frameBytes + by
      draft.reach = Math.max(draft.reach, draft.guardAt === 0 ? end : Math.min(end, draft.guardAt))
    } else {
      draft.pointer = pick(random, draft.shape.fields.fpstate.width === 4 ? far32 : far64)
    }
  }
