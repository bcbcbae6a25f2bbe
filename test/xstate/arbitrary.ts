import fc from 'fast-check'
import { catalogueLayout, catalogueNames } from '../../lib/catalogue/catalogue.ts'
import type { ComponentName } from '../../lib/xstate/components.ts'
import type { Layout, LayoutSource } from '../../lib/xstate/layout.ts'

/** The CPUs that are known. */
export const knownNames: readonly string[] = catalogueNames()

/** The layout of a known CPU. */
export const known = (name: string): Layout => catalogueLayout(name)

/** What it is made of, to make another. */
export const knownSource = (name: string): LayoutSource => {
  const { xcr0, userFeatures, ...rest } = known(name).toJSON()
  return { ...rest, xcr0: BigInt(xcr0), userFeatures: BigInt(userFeatures) }
}

export const anyLayout: fc.Arbitrary<Layout> = fc.constantFrom(...knownNames).map(known)

export const anySeed: fc.Arbitrary<number> = fc.maxSafeInteger()

export interface Place {
  readonly layout: Layout
  readonly name: ComponentName
}

/** A layout and one of its components. */
export const anyPlace: fc.Arbitrary<Place> = anyLayout.chain(layout =>
  fc.record({ layout: fc.constant(layout), name: fc.constantFrom(...layout.components.map(c => c.name)) }),
)

/** A layout and a subset of its features. */
export const anyFeatures = anyLayout.chain(layout =>
  fc.record({
    layout: fc.constant(layout),
    mask: fc.bigInt(0n, layout.features).map(m => m & layout.features),
  }),
)

/** Cannot even be asked whether it is an array. Not among the others: fast-check itself stumbles over it. */
export const revokedProxy = (): unknown => {
  const { proxy, revoke } = Proxy.revocable({}, {})
  revoke()
  return proxy
}

/** Values that break careless formatting and careless checks. */
export const hostileValues: readonly unknown[] = [
  undefined,
  null,
  Symbol('s'.repeat(1000)),
  Object.create(null),
  new Proxy({}, { get: () => Symbol('never a string') }),
  'x'.repeat(1e6),
  'two\nlines\ud800',
  1n << 100_000n,
  -(1n << 100_000n),
  Number.NaN,
  Number.POSITIVE_INFINITY,
  -0,
  1.5,
  () => {
    throw new Error('called')
  },
  {
    toString: () => {
      throw new Error('called')
    },
  },
  [1, 2, 3],
  new Float64Array(2),
  new DataView(new ArrayBuffer(8)),
  Object.create(Uint8Array.prototype),
]

export const anyHostile: fc.Arbitrary<unknown> = fc.oneof(fc.constantFrom(...hostileValues), fc.anything())
