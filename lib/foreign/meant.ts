/** A kept frame as one that is sent elsewhere. Pure. */

import { viewOf } from '../bytes.ts'
import { frameFields } from '../frame/format.ts'
import { restorable } from '../frame/reader.ts'
import { fieldOffset, initImage } from '../xstate/image.ts'
import { type Layout, legacyFeatures, minXsaveSize } from '../xstate/layout.ts'
import type { ForeignFrame } from './foreign.ts'
import type { SavedFrame } from './saved.ts'

/** What the frame names: by XSTATE_BV, or by the sw bytes where it ends before its header. */
const namedBy = (area: Uint8Array, { xsave, features }: Layout): bigint => {
  if (!xsave) return legacyFeatures
  const at = area.length >= minXsaveSize ? fieldOffset.xstateBv : frameFields['sw.xfeatures'].at
  return viewOf(area).getBigUint64(at, true) & features
}

/** What a frame says was in the registers. */
export type Meant = Pick<ForeignFrame, 'image' | 'cutOff'>

/** By the layout that it was made under. */
export const meantBy = (saved: Pick<SavedFrame, 'abi' | 'layout' | 'fsave' | 'fpstate'>): Meant => {
  const { abi, layout, fsave, fpstate } = saved
  const area = restorable({ abi, head: new Uint8Array(0), fsave, fpstate })
  const named = namedBy(area, layout)
  const all = layout.components.filter(({ mask }) => (named & mask) !== 0n)
  const held = all.filter(({ end }) => end <= area.length)
  const image = initImage(layout)
  for (const { ranges } of held)
    for (const { offset, size } of ranges) image.bytes.set(area.subarray(offset, offset + size), offset)
  image.mxcsr = viewOf(area).getUint32(fieldOffset.mxcsr, true)
  if (layout.xsave) image.xstateBv = held.reduce((mask, one) => mask | one.mask, 0n)
  return { image, cutOff: all.filter(one => !held.includes(one)).map(({ name }) => name) }
}

/** The frame with what it brings: what was in the registers where that is known, else what the frame itself says. */
export const foreignOf = (saved: SavedFrame): ForeignFrame => {
  const { abi, layout, fsave, fpstate, image } = saved
  const meant: Meant = image === null ? meantBy(saved) : { image, cutOff: [] }
  return { abi, layout, fsave, area: fpstate, ...meant }
}
