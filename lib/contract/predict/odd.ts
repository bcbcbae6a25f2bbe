/**
 * Why bytes are odd, in the order in which hardware looks at them (SDM volume 1, 13.8.1 and 13.8.2); `ends`: some that
 * it need not read cannot be read, and whether it touches them all the same is its own business.
 */
import { fieldOffset } from '../../xstate/image.ts'
import { legacyFeatures, minXsaveSize } from '../../xstate/layout.ts'
import { isPlainComponent, isPlainX87 } from './plain.ts'
import type { Walk } from './walk.ts'

export const odd = {
  misaligned: 1,
  xcompBv: 2,
  xstateBv: 4,
  reserved: 8,
  mxcsr: 16,
  contents: 32,
  ends: 64,
} as const
export type Odd = keyof typeof odd

const alignment = { xrstor: 64, fxrstor: 16 } as const
const x87Bit = 1n

/** Whether any of the header's reserved bytes, 528..575, is not zero. */
export const hasReserved = (view: DataView): boolean => {
  for (let at: number = fieldOffset.reserved; at < minXsaveSize; at += 4)
    if (view.getUint32(at, true) !== 0) return true
  return false
}

/** MXCSR bits that the CPU has not. */
export const isOddMxcsr = ({ mxcsr, task }: Walk): boolean => (mxcsr & ~task.layout.mxcsrMask) !== 0

const oddHeader = ({ view, xstateBv, xcompBv, task }: Walk): number =>
  (xcompBv === 0n ? 0 : odd.xcompBv) |
  ((xstateBv & ~task.layout.hostFeatures) === 0n ? 0 : odd.xstateBv) |
  (hasReserved(view) ? odd.reserved : 0)

/** Whether a component that is loaded has bytes that hardware might not take as they are. */
export const hasOddContents = (walk: Walk, loaded: bigint, x87: Uint8Array): boolean => {
  if ((loaded & x87Bit) !== 0n && !isPlainX87(x87)) return true
  if ((loaded & ~legacyFeatures) === 0n) return false
  const { area } = walk.frame
  for (const placed of walk.task.layout.extended)
    if ((loaded & placed.mask) !== 0n && !isPlainComponent(placed, area)) return true
  return false
}

/** What is odd about an area that XRSTOR or FXRSTOR reads where it lies. */
export const oddOf = (walk: Walk): number => {
  const { fxOnly, frame, mask } = walk
  const misaligned = frame.misalignedBy % alignment[fxOnly ? 'fxrstor' : 'xrstor'] === 0 ? 0 : odd.misaligned
  const mxcsr = isOddMxcsr(walk) ? odd.mxcsr : 0
  const header = fxOnly ? 0 : oddHeader(walk)
  const loaded = fxOnly ? legacyFeatures : mask & walk.xstateBv
  const contents = hasOddContents(walk, loaded, frame.area) ? odd.contents : 0
  return misaligned | mxcsr | header | contents
}
