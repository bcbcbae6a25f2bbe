/** Whose frames have this size: the same components lie elsewhere on another vendor's CPUs. Pure. */
import { catalogueEntry, catalogueNames } from '../../catalogue/catalogue.ts'
import type { CatalogueEntry } from '../../catalogue/entry.ts'
import { type Layout, legacyFeatures } from '../../xstate/layout.ts'

/** Bytes of these components there; null where one of them is not there. */
export const sizeThere = (layout: Layout, xfeatures: bigint): number | null => {
  const features = xfeatures | legacyFeatures
  return layout.xsave && (features & ~layout.features) === 0n ? layout.sizeFor(features) : null
}

export const wholeCatalogue = (): CatalogueEntry[] => catalogueNames().map(name => catalogueEntry(name))

/** Other vendors whose CPUs have these components in an area of this size. */
export const vendorsOfSize = ({ vendor }: Layout, xfeatures: bigint, xstateSize: number): string[] => {
  const found = wholeCatalogue().filter(
    ({ layout }) => layout.vendor !== vendor && sizeThere(layout, xfeatures) === xstateSize,
  )
  return [...new Set(found.map(({ layout }) => layout.vendor))].sort()
}
