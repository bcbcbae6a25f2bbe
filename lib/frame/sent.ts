/** The frame that an edit sends, known before anything runs. Pure. */
import type { XsaveImage } from '../xstate/image.ts'
import type { Layout } from '../xstate/layout.ts'
import { type Abi, frameShape } from './abi.ts'
import { applyPrimitives } from './apply.ts'
import { buildFpstate } from './build.ts'
import type { Primitive } from './edit.ts'
import type { FrameParts } from './reader.ts'

/**
 * What primitives make of the frame that the kernel writes where a signal hits this state. What lies below the fpstate
 * counts as zeros, but for what is edited.
 * @throws TypeError, RangeError as `buildFpstate`
 */
export const builtFrame = (
  layout: Layout,
  load: XsaveImage,
  abi: Abi,
  primitives: readonly Primitive[],
): FrameParts => {
  const { fsave, fpstate } = buildFpstate(layout, load, abi)
  return {
    abi,
    head: applyPrimitives(new Uint8Array(frameShape(abi).headBytes), primitives, 'head'),
    fsave: fsave === null ? null : applyPrimitives(fsave, primitives, 'fsave'),
    fpstate: applyPrimitives(fpstate, primitives),
  }
}
