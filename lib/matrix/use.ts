/** What a frame has in use: its components, and MXCSR, which is none and can be lost all the same. Pure. */
import { componentNamed, isKnownComponent, namesOf } from '../xstate/components.ts'
import { type Layout, legacyFeatures } from '../xstate/layout.ts'

/** A feature mask, with a bit for MXCSR that no component has: XCOMP_BV's own (SDM volume 1, 13.4.2). */
export type Use = bigint

const mxcsrBit = 1n << 63n

/** x87 and SSE in use, MXCSR at its default: what is left of any frame. */
export const legacyUse: Use = legacyFeatures

/** All that a frame can have in use: of a component that is not known by name no state can be drawn. */
export const usable = ({ components }: Layout): Use =>
  components.reduce((mask, one) => (isKnownComponent(one.name) ? mask | one.mask : mask), mxcsrBit)

export const componentsOfUse = (use: Use): bigint => use & ~mxcsrBit

export const usesMxcsr = (use: Use): boolean => (use & mxcsrBit) !== 0n

export const namesOfUse = (use: Use): string[] => [
  ...namesOf(componentsOfUse(use)),
  ...(usesMxcsr(use) ? ['mxcsr'] : []),
]

export const useOfNames = (names: readonly string[]): Use =>
  names.reduce((use, name) => use | (name === 'mxcsr' ? mxcsrBit : componentNamed(name).mask), 0n)
