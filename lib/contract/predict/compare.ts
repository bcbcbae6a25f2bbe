/** Compares what the registers hold with what they must hold, component by component, down to the bytes. */
import { holdsBytes } from '../../xstate/compare.ts'
import type { ComponentName } from '../../xstate/components.ts'
import { fieldOffset } from '../../xstate/image.ts'
import { type Layout, legacySize, type PlacedComponent } from '../../xstate/layout.ts'
import type { Registers } from './registers.ts'

/** init_pkru_value: every key but 0 closed. */
export const defaultPkru = 0x5555_5554

const u32At = (bytes: Uint8Array, at: number): number =>
  ((bytes[at] as number) |
    ((bytes[at + 1] as number) << 8) |
    ((bytes[at + 2] as number) << 16) |
    ((bytes[at + 3] as number) << 24)) >>>
  0

const isSet = (bytes: Uint8Array, index: number): boolean =>
  (((bytes[fieldOffset.xstateBv + (index >> 3)] ?? 0) >> (index & 7)) & 1) === 1

const holdsKeys = (saved: Uint8Array, { index, offset }: PlacedComponent): boolean =>
  isSet(saved, index) && u32At(saved, offset) === defaultPkru

const holds = (saved: Uint8Array, layout: Layout, placed: PlacedComponent, expected: Registers): boolean => {
  const { loaded, area, x87, keys } = expected
  if ((loaded & placed.mask) !== 0n) return holdsBytes(saved, layout, placed, placed.index === 0 ? x87 : area)
  if (keys === 'default' && placed.name === 'pkru') return holdsKeys(saved, placed)
  return holdsBytes(saved, layout, placed, null)
}

/** All that can differ. */
export type Differing = ComponentName | 'mxcsr'

const xmmAt = 160
const xmmSize = 256

// The usual frame: every component comes from it, side by side. Two comparisons, where they find nothing to tell.
const areAllAsSent = (saved: Uint8Array, layout: Layout, { loaded, area }: Registers): boolean => {
  if (loaded !== layout.features || area.length < layout.size) return false
  for (const { index } of layout.components) if (!isSet(saved, index)) return false
  const same = (at: number, end: number): boolean =>
    Buffer.prototype.compare.call(saved, area, at, end, at, end) === 0
  return same(xmmAt, xmmAt + xmmSize) && same(legacySize + 64, layout.size)
}

/**
 * @param saved what XSAVE wrote after the return
 * @returns what does not hold what it must
 */
export const differing = (saved: Uint8Array, layout: Layout, expected: Registers): Differing[] => {
  const names: Differing[] = []
  const extendedHold = areAllAsSent(saved, layout, expected)
  for (const placed of layout.components) {
    if (extendedHold && placed.index !== 0) continue
    if (!holds(saved, layout, placed, expected)) names.push(placed.name)
  }
  if (expected.mxcsr !== null && u32At(saved, fieldOffset.mxcsr) !== expected.mxcsr) names.push('mxcsr')
  return names
}

/** For messages: the bytes that a component must hold; null for its init value. */
export const expectedBytes = (placed: PlacedComponent, expected: Registers): Uint8Array | null => {
  if ((expected.loaded & placed.mask) === 0n) return null
  return (placed.index === 0 ? expected.x87 : expected.area).subarray(placed.offset, placed.end)
}
