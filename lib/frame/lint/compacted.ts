/** Sizes that others have taken for that of the standard format. Pure. */
import type { ComponentName } from '../../xstate/components.ts'
import { componentNamed, namesOf } from '../../xstate/components.ts'
import { type Layout, legacyFeatures, minXsaveSize, type PlacedComponent } from '../../xstate/layout.ts'

const alignment = 64

// CPUID leaf 0xD says it of each component in ECX bit 1; of those that there are, it is true of AMX's two.
const aligned: readonly ComponentName[] = ['xtilecfg', 'xtiledata']

const chosen = ({ extended }: Layout, features: bigint): PlacedComponent[] =>
  extended.filter(({ mask }) => (features & mask) !== 0n)

/** Of the compacted format: one component right behind the other, some of them aligned. */
export const compactedSize = (layout: Layout, features: bigint): number =>
  chosen(layout, features).reduce((end, { name, size }) => {
    const at = aligned.includes(name) ? Math.ceil(end / alignment) * alignment : end
    return at + size
  }, minXsaveSize)

/** The sum of the sizes, whatever lies between. */
export const summedSize = (layout: Layout, features: bigint): number =>
  chosen(layout, features).reduce((sum, { size }) => sum + size, minXsaveSize)

/** No CPU has room for these components in less: what is known of their sizes, side by side. */
export const leastSize = (features: bigint): number =>
  namesOf(features & ~legacyFeatures).reduce(
    (sum, name) => sum + (componentNamed(name).size ?? 0),
    minXsaveSize,
  )
