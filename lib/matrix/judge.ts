/** Which components have to be unused for a frame to arrive, and whether that is enough. Pure. */
import type { Layout } from '../xstate/layout.ts'
import { type Fate, isWhole } from './fate.ts'
import type { PairOutcome } from './matrix.ts'
import { componentsOfUse, legacyUse, type Use, useOfNames } from './use.ts'

/** A frame that was asked about. */
export interface Asked {
  readonly used: Use
  readonly fate: Fate
}

export interface Judged {
  readonly outcome: PairOutcome
  /** Nothing but where it works if that is so. */
  readonly unused: Use
  /** With all in use first, then with ever less of it; where nothing else is left, with x87 and SSE alone. */
  readonly asked: readonly [Asked, ...Asked[]]
}

/** The source's components that the destination's tasks have not. */
export const missingAt = (from: Layout, to: Layout): bigint => from.features & ~to.features

/** The components that both have, at different places. */
export const elsewhereAt = (from: Layout, to: Layout): bigint =>
  from.extended.reduce(
    (mask, one) => (to.has(one.name) && to.offset(one.name) !== one.offset ? mask | one.mask : mask),
    0n,
  )

/**
 * What has to be unused, by what became of a frame. None of it could arrive: what returns tells what is lost; of a frame
 * that does not, the destination lacks it, or reads other bytes in its place.
 */
const toLeaveOut = (from: Layout, to: Layout, { used, fate }: Asked): Use => {
  const open = used & ~legacyUse
  if (fate.end === 'returned') return open & useOfNames([...fate.lost, ...fate.unknown])
  const missing = open & missingAt(from, to)
  return missing === 0n ? open & elsewhereAt(from, to) : missing
}

/** What there was not before XSAVE. */
const beyondLegacy = (use: Use): bigint => componentsOfUse(use) & ~legacyUse

/** Whether there is more in use than x87 and SSE, if the source has more. */
export const isMore = (all: Use, used: Use): boolean => beyondLegacy(used) !== 0n || beyondLegacy(all) === 0n

/**
 * There is nothing more to leave out. Where the legacy region alone is restored, it is whatever is in use: that a frame of
 * x87 and SSE arrives then tells nothing of the pair.
 */
const outcomeOf = (all: Use, asked: readonly [Asked, ...Asked[]]): Omit<Judged, 'asked'> => {
  const { used, fate } = asked.at(-1) as Asked
  if (isWhole(fate) && (isMore(all, used) || !asked.some(one => one.fate.fxOnly)))
    return used === all
      ? { outcome: 'works', unused: 0n }
      : { outcome: 'works if unused', unused: all & ~used }
  return { outcome: fate.end === 'unknown' ? 'unknown' : 'breaks', unused: 0n }
}

/**
 * @param all what the source's frames can have in use
 * @param fateOf what becomes of a frame with these in use
 */
export const judge = (from: Layout, to: Layout, all: Use, fateOf: (used: Use) => Fate): Judged => {
  const asked: [Asked, ...Asked[]] = [{ used: all, fate: fateOf(all) }]
  for (;;) {
    const last = asked.at(-1) as Asked
    const { used, fate } = last
    const left = isWhole(fate) ? used : used & ~toLeaveOut(from, to, last)
    if (left === used) return { ...outcomeOf(all, asked), asked }
    asked.push({ used: left, fate: fateOf(left) })
  }
}
