/** The CPU that a frame came from, told by its sw bytes: the catalogue's that make such frames. Pure. */
import type { CatalogueEntry } from '../../catalogue/entry.ts'
import { namesOf } from '../../xstate/components.ts'
import { fieldOffset } from '../../xstate/image.ts'
import { type Layout, legacyFeatures, minXsaveSize } from '../../xstate/layout.ts'
import type { LintedFrame } from './finding.ts'
import { subjectOf } from './subject.ts'
import { sizeThere, wholeCatalogue } from './vendors.ts'

export interface Guess {
  /** The layout that all of the CPUs agree on, as far as the frame has components; null where they do not. */
  readonly layout: Layout | null
  /** The CPUs that make such frames, as the catalogue calls them; none where it has none. */
  readonly names: readonly string[]
}

const nobody: Guess = Object.freeze({ layout: null, names: Object.freeze([]) })

/** Where these components lie, and what else of the layout a frame shows. */
const placesOf = (layout: Layout, xfeatures: bigint): string =>
  layout.components
    .filter(({ mask }) => (mask & xfeatures) !== 0n)
    .map(({ name, offset, end }) => `${name} ${offset} ${end}`)
    .join()

/**
 * The CPUs whose frames have these components in an area of this size. Those whose own frames are so come alone, where
 * there are any: a smaller frame can be of all the others.
 */
export const guessLayout = (
  xfeatures: bigint,
  xstateSize: number,
  candidates: readonly CatalogueEntry[] = wholeCatalogue(),
): readonly CatalogueEntry[] => {
  if (xstateSize < minXsaveSize || (xfeatures & legacyFeatures) !== legacyFeatures) return []
  const fitting = candidates.filter(({ layout }) => sizeThere(layout, xfeatures) === xstateSize)
  const native = fitting.filter(({ layout }) => layout.features === xfeatures)
  return native.length > 0 ? native : fitting
}

/**
 * What is known of the CPU by the frame alone. Where the catalogue's CPUs differ in MXCSR_MASK alone, the frame's own
 * tells which they are.
 * @throws TypeError, RangeError as `lintFrame`
 */
export const guessOf = (
  frame: LintedFrame,
  candidates: readonly CatalogueEntry[] = wholeCatalogue(),
): Guess => {
  const { sw, header, extended, view } = subjectOf(frame, null)
  if (!extended) return nobody
  // A frame that was shrunk may still name what its CPU had.
  const named = candidates.filter(({ layout }) => ((header?.xstateBv ?? 0n) & ~layout.hostFeatures) === 0n)
  const fitting = guessLayout(sw.xfeatures, sw.xstateSize, named.length > 0 ? named : candidates)
  const mxcsrMask = view.getUint32(fieldOffset.mxcsrMask, true)
  const masked = fitting.filter(({ layout }) => layout.mxcsrMask === mxcsrMask)
  const found = masked.length > 0 ? masked : fitting
  const [first] = found
  if (first === undefined) return nobody
  const places = new Set(found.map(({ layout }) => placesOf(layout, sw.xfeatures)))
  return {
    layout: places.size === 1 ? layoutOf(first.layout, sw.xfeatures) : null,
    names: found.map(one => one.name),
  }
}

/** Of the frame's components alone: what else its CPU has is not known. */
const layoutOf = (layout: Layout, xfeatures: bigint): Layout =>
  layout.features === xfeatures ? layout : layout.withFeatures(xfeatures)

/** A guess in words. */
export const guessText = ({ layout, names }: Guess, xfeatures: bigint): string => {
  if (names.length === 0) return 'no CPU of the catalogue makes such frames'
  const list = names.join(' ')
  return layout === null
    ? `ambiguous: ${list} make such frames, and have ${namesOf(xfeatures & ~legacyFeatures).join(' ')} in different places`
    : `guessed: ${list}`
}
