/** The frame that a request of these parts sends. */
import type { Abi } from '../../lib/frame/abi.ts'
import { compileEdit } from '../../lib/frame/compile.ts'
import type { EditLimits, EditOp } from '../../lib/frame/edit.ts'
import type { FrameParts } from '../../lib/frame/reader.ts'
import { builtFrame } from '../../lib/frame/sent.ts'
import { imageFrom } from '../../lib/xstate/image.ts'
import type { Layout } from '../../lib/xstate/layout.ts'

export const sentFrame = (
  { abi, load, edit }: { readonly abi: Abi; readonly load: Uint8Array; readonly edit: readonly EditOp[] },
  layout: Layout,
  limits: EditLimits,
): FrameParts =>
  builtFrame(layout, imageFrom(load, layout), abi, compileEdit(edit, layout, limits, 'edit', abi).primitives)
