/** Hosts that there may be: CPUs of the catalogue with some of their components, in their places or in others. */
import fc from 'fast-check'
import { hostsOfCatalogue } from '../../lib/hosts/elsewhere.ts'
import type { Host } from '../../lib/hosts/host.ts'
import { createLayout, type Layout, type LayoutSource } from '../../lib/xstate/layout.ts'

export const catalogue: readonly Host[] = hostsOfCatalogue()

export const hostOf = (name: string, layout: Layout, compacts = true): Host => ({
  name,
  kind: 'catalogue',
  title: name,
  layout,
  compacts,
  emulated: false,
  generation: null,
})

export const hostNamed = (name: string): Host => catalogue.find(host => host.name === name)!

const sourceOf = (layout: Layout): LayoutSource => {
  const { xcr0, userFeatures, ...rest } = layout.toJSON()
  return { ...rest, xcr0: BigInt(xcr0), userFeatures: BigInt(userFeatures) }
}

/** The layout with these features alone, in their places. */
export const withOnly = (layout: Layout, features: bigint): Layout => {
  const kept = (layout.features & features) | 3n
  return createLayout({ ...sourceOf(layout), xcr0: kept, userFeatures: kept })
}

/** The components one behind the other, in another order. */
const reordered = (layout: Layout, order: readonly number[]): Layout => {
  const source = sourceOf(layout)
  let offset = 576
  const places = layout.extended
    .map((one, i) => ({ one, key: order[i] ?? 0 }))
    .toSorted((a, b) => a.key - b.key)
    .map(({ one }) => {
      const at = offset
      offset += Math.ceil(one.size / 64) * 64
      return [one.index, at] as const
    })
  const offsets = new Map(places)
  return createLayout({
    ...source,
    components: source.components.map(one => ({ ...one, offset: offsets.get(one.index) ?? one.offset })),
  })
}

const withXsave = catalogue.filter(({ layout }) => layout.xsave).map(({ layout }) => layout)

/** XTILECFG and BNDCSR in another's place are for the hardware to judge. */
const judged = 0x20010n

const anyLayout: fc.Arbitrary<Layout> = fc
  .record({
    layout: fc.constantFrom(...withXsave),
    features: fc.bigInt(0n, 0x1f_ffffn),
    order: fc.option(fc.array(fc.nat({ max: 99 }), { minLength: 12, maxLength: 12 })),
  })
  .map(({ layout, features, order }) => {
    const some = withOnly(layout, order === null ? features : features & ~judged)
    return order === null ? some : reordered(some, order)
  })

export const anyHost = (name: string): fc.Arbitrary<Host> =>
  fc
    .record({
      layout: fc.oneof(anyLayout, fc.constantFrom(...catalogue.map(one => one.layout))),
      compacts: fc.boolean(),
    })
    .map(({ layout, compacts }) => hostOf(name, layout, compacts))
