/** What a 32-bit frame is made into before it is loaded. */
import { foldFsave } from '../../frame/fsave.ts'
import { legacyFeatures } from '../../xstate/layout.ts'
import type { Walk } from './walk.ts'

/** x87 with the ST registers, and MXCSR between: what the fsave header decides on. */
const x87End = 160

/** The legacy region up to XMM0, with the fsave header's x87 state. */
export const foldedX87 = (walk: Walk): Uint8Array => {
  const { area, fsave } = walk.frame
  walk.folded ??= foldFsave(area.subarray(0, x87End), fsave as Uint8Array)
  return walk.folded
}

/** The components that are loaded from the kernel's buffer: the frame's XSTATE_BV, less what its xfeatures lack. */
export const named32 = (walk: Walk): bigint => (walk.fxOnly ? legacyFeatures : walk.xstateBv & walk.known)
