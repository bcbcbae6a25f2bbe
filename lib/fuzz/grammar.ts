/**
 * The grammar that `sigframe fuzz` draws frames from: what kernels look at, at and around the values that they
 * compare with, alone and together. The same state of the generator gives the same frame.
 *
 * Left out, because what it leads to is no answer of the kernel's:
 * - bytes that are no valid PKRU, BNDCSR or XTILECFG and would be loaded as such. MAGIC2 as PKRU locks the process
 *   out of its own memory. Where an edit overwrites them, the frame's XSTATE_BV does not have them;
 * - compacted frames in which a component would be read from another one's bytes, for the same reason;
 * - pointers to below the frame, and whatever else lets a kernel read what is in no record. A size so large that no
 *   record holds it stays: all kernels but `larger` ones pass over it;
 * - FIP and FDP in the area: CPUs differ in what they keep of them.
 */
import { outOfRange } from '../errors.ts'
import { type Abi, isIa32 } from '../frame/abi.ts'
import type { EditLimits, EditOp } from '../frame/edit.ts'
import type { Layout } from '../xstate/layout.ts'
import type { RandomGenerator } from '../xstate/random.ts'
import { contents, fsave, mxcsr, x87 } from './grammar/contents.ts'
import { createDraft, type Draft, finish, type Ingredient } from './grammar/draft.ts'
import { header, masks } from './grammar/masks.ts'
import { blockedSignal, pages, placement, pointer } from './grammar/placement.ts'
import { placesOf } from './grammar/places.ts'
import { below, chance, pick, weighted } from './grammar/random.ts'
import { extendedSize, magics, shrunk, sizes } from './grammar/sizes.ts'

export interface GrammarContext {
  /** The session's, with XSAVE. */
  readonly layout: Layout
  /** The session's. */
  readonly limits: EditLimits
  /** Those that the session has frames of, at least one. */
  readonly abis: readonly Abi[]
  /** How many images there are to load. */
  readonly loads: number
  /** How many there are for the handler to leave in the registers. */
  readonly poisons: number
  /** The share of frames that need a process of their own, 0..1: each costs as much as a hundred others. */
  readonly isolatedShare: number
}

/** How a frame of the fuzzer's is raised: nothing but the thread itself is needed. */
export type DrawnRaise = 'tgkill' | 'tgkill32' | 'fake'

export interface DrawnFrame {
  readonly abi: Abi
  readonly raise: DrawnRaise
  /** Index of the image to load. */
  readonly load: number
  /** Index of the one that the handler leaves. */
  readonly poison: number
  readonly edit: readonly EditOp[]
}

export type DrawFrame = (random: RandomGenerator) => DrawnFrame

/** How many ingredients a frame has; those of a process of its own come on top. */
const counts = weighted([
  [1, 0],
  [9, 1],
  [7, 2],
  [3, 3],
  [2, 4],
])

const checkContext = ({ layout, abis, loads, poisons, isolatedShare }: GrammarContext): void => {
  if (!layout.xsave) throw outOfRange('layout.xsave', false, 'must be true: FXRSTOR looks at nothing')
  if (abis.length === 0) throw outOfRange('abis.length', 0, 'must be at least 1')
  if (!(loads >= 1)) throw outOfRange('loads', loads, 'must be at least 1')
  if (!(poisons >= 1)) throw outOfRange('poisons', poisons, 'must be at least 1')
  if (!(isolatedShare >= 0 && isolatedShare <= 1))
    throw outOfRange('isolatedShare', isolatedShare, 'must be in 0..1')
}

/** 32-bit code is there where 32-bit frames are. */
const raisesOf = (abis: readonly Abi[]): readonly DrawnRaise[] =>
  weighted<DrawnRaise>([
    [17, 'tgkill'],
    [1, 'fake'],
    ...(abis.some(isIa32) ? [[2, 'tgkill32'] as const] : []),
  ])

/** @throws TypeError, RangeError that name the field of the context, the value and the limit */
export const createGrammar = (context: GrammarContext): DrawFrame => {
  checkContext(context)
  const { layout, limits, abis, loads, poisons, isolatedShare } = context
  const places = placesOf(layout, limits)
  const raises = raisesOf(abis)

  const bytesOfX87 = x87()
  const bytesOfFsave = fsave()
  /** x87 in a 32-bit frame is the fsave header's; what the area has of it is to be ignored. */
  const someX87: Ingredient = (draft, random) =>
    draft.shape.fsave && chance(random, 0.7) ? bytesOfFsave(draft, random) : bytesOfX87(draft, random)
  const ofArea = weighted<Ingredient>([
    [22, sizes(places)],
    [6, extendedSize()],
    [8, magics(places)],
    [18, masks(places)],
    [14, shrunk(places)],
    [9, header(places)],
    [6, mxcsr(places)],
    [12, contents(places)],
    [9, someX87],
  ])
  const place = placement(places)
  const point = pointer(places)
  const blocked = blockedSignal()
  const brokenPages = pages(places)

  /** A process of its own dies of a refused frame, or has lost pages. */
  const isolate = (draft: Draft, random: RandomGenerator): void => {
    if (draft.ops.length === 0) pick(random, ofArea)(draft, random)
    if (chance(random, 0.5)) brokenPages(draft, random)
    else blocked(draft, random)
  }

  return random => {
    const abi = pick(random, abis)
    const draft = createDraft(places, abi)
    let moves = false
    let points = false
    for (let left = pick(random, counts); left > 0; left--) {
      const kind = below(random, 100)
      if (kind < 17) moves = true
      else if (kind < 21) points = true
      else pick(random, ofArea)(draft, random)
    }
    // Behind all that decides how large the frame is, and the pointer behind where it lies.
    if (moves) place(draft, random)
    if (isolatedShare > 0 && chance(random, isolatedShare)) isolate(draft, random)
    if (points) point(draft, random)
    return {
      abi,
      raise: pick(random, raises),
      load: below(random, loads),
      poison: below(random, poisons),
      edit: finish(draft, places),
    }
  }
}
