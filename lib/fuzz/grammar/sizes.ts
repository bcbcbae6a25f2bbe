/** xstate_size, extended_size and the MAGICs: what a kernel decides by whether a frame is believed. */
import type { EditOp } from '../../frame/edit.ts'
import { magic1, magic2, magic2Size } from '../../frame/format.ts'
import type { RandomGenerator } from '../../xstate/random.ts'
import { claim, type Draft, hasRoom, type Ingredient, spoil } from './draft.ts'
import type { Places, Subset } from './places.ts'
import { below, chance, pick, weighted } from './random.ts'

const u32 = 0xffff_ffff

const bytesOf = (value: number): Uint8Array => new Uint8Array(Uint32Array.of(value).buffer)
const bit = (n: number): number => (1 << n) >>> 0

const magic2Flips = Array.from({ length: 32 }, (_, n) => bytesOf((magic2 ^ bit(n)) >>> 0))
const magic1Bytes = bytesOf(magic1)
const zeros = bytesOf(0)

const magic1Ops: readonly EditOp[] = Object.freeze([
  { op: 'set', field: 'sw.magic1', value: 0 },
  { op: 'set', field: 'sw.magic1', value: magic2 },
  { op: 'set', field: 'sw.magic1', value: u32 },
])
const magic1Flips: readonly EditOp[] = Object.freeze(
  Array.from({ length: 32 }, (_, n): EditOp => ({ op: 'xor', field: 'sw.magic1', value: bit(n) })),
)

const placeMagic2 = (draft: Draft, places: Places, at: number, clearTail: boolean): void => {
  if (!hasRoom(places, at)) return
  draft.reach = Math.max(draft.reach, at + magic2Size)
  spoil(draft, places, at, magic2Size)
  draft.ops.push(clearTail ? { op: 'magic2', at, clearTail } : { op: 'magic2', at })
}

type MagicKind = 'cleared' | 'placed' | 'stale' | 'off'
const magicKinds = weighted<MagicKind>([
  [9, 'cleared'],
  [4, 'placed'],
  [4, 'stale'],
  [3, 'off'],
])
const offs = [1, -1, 4, -4, 8, 64] as const

/** MAGIC2 where the size says, not there at all, or beside it. */
const someMagic2 = (draft: Draft, places: Places, size: number, random: RandomGenerator): void => {
  const kind = pick(random, magicKinds)
  if (kind === 'stale') return
  const at = kind === 'off' ? size + pick(random, offs) : size
  placeMagic2(draft, places, at, kind === 'cleared' || (kind === 'off' && chance(random, 0.5)))
}

const resize = (draft: Draft, places: Places, xstateSize: number): void => {
  claim(draft, places, xstateSize)
  draft.ops.push({ op: 'resize', xstateSize })
}

const clampU32 = (value: number): number => Math.max(0, Math.min(value, u32))

const extendedSizes = (size: number, trailer: number): readonly number[] => [
  size - 1,
  size,
  size + magic2Size - 1,
  size + magic2Size,
  size + trailer - 1,
  size + trailer,
  size + trailer + 1,
  0,
  u32,
]

const setExtendedSize = (draft: Draft, random: RandomGenerator): void => {
  const value = clampU32(pick(random, extendedSizes(draft.xstateSize, draft.shape.trailer)))
  draft.ops.push({ op: 'set', field: 'sw.extendedSize', value })
}

const anySize = (draft: Draft, places: Places, random: RandomGenerator): number => {
  if (chance(random, 0.95)) return pick(random, places.sizes)
  return chance(random, 0.5) ? pick(random, places.farSizes) : u32 - draft.shape.trailer
}

/** The frame claims another size. */
export const sizes =
  (places: Places): Ingredient =>
  (draft, random) => {
    const size = anySize(draft, places, random)
    if (chance(random, 0.2)) {
      claim(draft, places, size)
      draft.ops.push({ op: 'set', field: 'sw.xstateSize', value: size })
    } else {
      resize(draft, places, size)
    }
    if (chance(random, 0.15)) setExtendedSize(draft, random)
    someMagic2(draft, places, size, random)
  }

/** extended_size alone. */
export const extendedSize = (): Ingredient => setExtendedSize

const damageMagic1 = (draft: Draft, random: RandomGenerator): void => {
  draft.ops.push(pick(random, chance(random, 0.5) ? magic1Ops : magic1Flips))
}

const damageMagic2 = (draft: Draft, places: Places, random: RandomGenerator): void => {
  const at = hasRoom(places, draft.xstateSize) ? draft.xstateSize : places.userSize
  const kind = below(random, 4)
  const bytes = kind === 0 ? zeros : kind === 1 ? magic1Bytes : pick(random, magic2Flips)
  draft.reach = Math.max(draft.reach, at + magic2Size)
  spoil(draft, places, at, magic2Size)
  draft.ops.push({ op: 'write', at, bytes })
}

/** One of the MAGICs is not what it should be. */
export const magics =
  (places: Places): Ingredient =>
  (draft, random) => {
    if (chance(random, 0.5)) damageMagic1(draft, random)
    else damageMagic2(draft, places, random)
  }

const largerThan = ({ extendedSizes: all }: Places, size: number, random: RandomGenerator): number => {
  const drawn = pick(random, all)
  return drawn >= size ? drawn : size
}

// A size below the one needed may still be below 576, where no kernel asks for components.
const smallerThan = (places: Places, size: number, random: RandomGenerator): number => {
  const drawn = pick(random, chance(random, 0.9) ? places.extendedSizes : places.sizes)
  return drawn < size ? drawn : size - 1
}

const keepFeatures = (draft: Draft, { mask }: Subset, random: RandomGenerator): void => {
  draft.ops.push({ op: 'set', field: 'sw.xfeatures', value: mask })
  if (chance(random, 0.75)) draft.ops.push({ op: 'and', field: 'xstateBv', value: mask })
}

/** The frame of a CPU with fewer components: as it should be, larger than it need be, or too small for them. */
export const shrunk =
  (places: Places): Ingredient =>
  (draft, random) => {
    const kind = below(random, 8)
    const tooSmall = kind < 3 && places.extendedSubsets.length > 0
    const subset = pick(random, tooSmall ? places.extendedSubsets : places.subsets)
    keepFeatures(draft, subset, random)
    const { size } = subset
    const claimed = tooSmall
      ? smallerThan(places, size, random)
      : kind === 3
        ? largerThan(places, size, random)
        : size
    resize(draft, places, claimed)
    placeMagic2(draft, places, claimed, chance(random, 0.75))
  }
