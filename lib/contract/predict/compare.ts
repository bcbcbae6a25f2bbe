/** Compares what the registers hold with what they must hold, component by component, down to the bytes. */
import { holdsBytes } from '../../xstate/compare.ts'
import type { ComponentName } from '../../xstate/components.ts'
import { fieldOffset } from '../../xstate/image.ts'
import type { Layout, PlacedComponent } from '../../xstate/layout.ts'
import { defaultPkru } from '../../xstate/pkru.ts'
import type { Registers } from './registers.ts'

export { defaultPkru }

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
  const { loaded, area, x87, pointers, keys } = expected
  if ((loaded & placed.mask) !== 0n)
    return holdsBytes(saved, layout, placed, placed.index === 0 ? x87 : area, pointers)
  if (keys === 'default' && placed.name === 'pkru') return holdsKeys(saved, placed)
  return holdsBytes(saved, layout, placed, null)
}

/** All that can differ. */
export type Differing = ComponentName | 'mxcsr'

/** Components that lie side by side: one comparison, where they hold what they must. */
interface Run {
  readonly at: number
  readonly end: number
  readonly mask: bigint
}

const legacyRun: Run = { at: 160, end: 416, mask: 2n }

const runsOf = ({ extended }: Layout): Run[] => {
  const runs: Run[] = [legacyRun]
  for (const { offset, end, mask, name } of extended.toSorted((a, b) => a.offset - b.offset)) {
    const last = runs.at(-1) as Run
    // Not all bytes of these carry state.
    const joins = last.end === offset && name !== 'pkru' && name !== 'bndcsr'
    if (joins) runs[runs.length - 1] = { at: last.at, end, mask: last.mask | mask }
    else runs.push({ at: offset, end, mask })
  }
  return runs
}

const knownRuns = new WeakMap<Layout, readonly Run[]>()

const runsOfLayout = (layout: Layout): readonly Run[] => {
  let runs = knownRuns.get(layout)
  if (runs === undefined) {
    runs = runsOf(layout)
    knownRuns.set(layout, runs)
  }
  return runs
}

const stateOf = (saved: Uint8Array): bigint =>
  new DataView(saved.buffer, saved.byteOffset, saved.byteLength).getBigUint64(fieldOffset.xstateBv, true)

/** The components that hold what they must, as far as whole runs of them tell. */
const heldInRuns = (saved: Uint8Array, layout: Layout, { loaded, area }: Registers): bigint => {
  if (!layout.xsave) return 0n
  const both = loaded & stateOf(saved)
  let held = 0n
  for (const { at, end, mask } of runsOfLayout(layout)) {
    if ((both & mask) !== mask || area.length < end) continue
    if (Buffer.prototype.compare.call(saved, area, at, end, at, end) === 0) held |= mask
  }
  // Both at init.
  return held | (layout.features & ~loaded & ~stateOf(saved))
}

const pkruBit = 1n << 9n

/**
 * @param saved what XSAVE wrote after the return
 * @returns what does not hold what it must
 */
export const differing = (saved: Uint8Array, layout: Layout, expected: Registers): Differing[] => {
  const names: Differing[] = []
  const held = heldInRuns(saved, layout, expected) & (expected.keys === 'default' ? ~pkruBit : ~0n)
  for (const placed of layout.components)
    if ((held & placed.mask) === 0n && !holds(saved, layout, placed, expected)) names.push(placed.name)
  if (expected.mxcsr !== null && u32At(saved, fieldOffset.mxcsr) !== expected.mxcsr) names.push('mxcsr')
  return names
}

/** For messages: the bytes that a component must hold; null for its init value. */
export const expectedBytes = (placed: PlacedComponent, expected: Registers): Uint8Array | null => {
  if ((expected.loaded & placed.mask) === 0n) return null
  return (placed.index === 0 ? expected.x87 : expected.area).subarray(placed.offset, placed.end)
}
