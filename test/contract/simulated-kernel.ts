/**
 * The kernel's decisions on a frame's sizes and MAGICs, by generation, and what they leave in the registers: enough
 * of a kernel to hold cases, generations and classification to one another on CPUs that are not here.
 */

import type { GenerationId } from '../../lib/contract/generations.ts'
import type { Treatment } from '../../lib/contract/treatment.ts'
import { frameShape } from '../../lib/frame/abi.ts'
import { magic1, magic2, magic2Size } from '../../lib/frame/format.ts'
import { FrameRecord } from '../../lib/frame/reader.ts'
import type { Returned, Seen } from '../../lib/probe/result.ts'
import { explain } from '../../lib/xstate/compare.ts'
import type { ComponentName } from '../../lib/xstate/components.ts'
import { initMxcsr, XsaveImage } from '../../lib/xstate/image.ts'
import { type Layout, legacyFeatures, minXsaveSize } from '../../lib/xstate/layout.ts'

/** MAGIC2 lies beyond what can be read where the sent frame ends before it. */
const magic2At = (frame: FrameRecord, offset: number): number | undefined => frame.magic2At(offset)

/** Steps 3 to 6 of the decision order. XRSTOR's own faults are not modelled, but for features that no CPU has. */
export const decide = (frame: FrameRecord, layout: Layout, generation: GenerationId): Treatment => {
  const { sw } = frame
  const regressed = generation === 'regressed'
  const roomy = generation === 'portable' || generation === 'larger'
  if (sw.magic1 !== magic1) return 'fx-only'
  if (!regressed) {
    if (sw.xstateSize < minXsaveSize) return 'fx-only'
    if (sw.xstateSize > layout.size && generation !== 'larger') return 'fx-only'
    if (sw.extendedSize < sw.xstateSize + (roomy ? magic2Size : 0)) return 'fx-only'
  }
  const found = magic2At(frame, regressed ? layout.size : sw.xstateSize)
  if (found === undefined) return 'rejected'
  if (found !== magic2) return 'fx-only'
  if (roomy && sw.xstateSize < layout.sizeFor(sw.xfeatures & layout.features)) return 'rejected'
  return (frame.xstateBv & ~layout.hostFeatures) === 0n ? 'restored' : 'rejected'
}

/** The registers after a treatment. */
export const registersAfter = (frame: FrameRecord, layout: Layout, treatment: Treatment): XsaveImage => {
  const after = new XsaveImage(new Uint8Array(layout.size), layout)
  after.mxcsr = initMxcsr
  if (treatment === 'rejected') return after
  after.bytes.set(frame.fpstate.subarray(0, layout.size))
  after.xstateBv =
    treatment === 'fx-only' ? legacyFeatures : frame.xstateBv & frame.sw.xfeatures & layout.features
  return after
}

/** A 64-bit frame with this fpstate, to which its pointer leads. */
export const frameOf = (fpstate: Uint8Array, layout: Layout): FrameRecord => {
  const { headBytes, fields } = frameShape('x86_64')
  const head = new Uint8Array(headBytes)
  new DataView(head.buffer).setBigUint64(fields.fpstate.at, 0x7000_0000n, true)
  return new FrameRecord({ abi: 'x86_64', head, fsave: null, fpstate }, layout)
}

/** A result as a probe would give it. */
export const simulatedSeen = (
  layout: Layout,
  sent: Uint8Array,
  after: XsaveImage,
  { load, poison }: { readonly load: XsaveImage; readonly poison: XsaveImage },
): Returned =>
  ({
    kind: 'returned',
    layout,
    sent: frameOf(sent, layout),
    after,
    poison,
    before: load,
    state: (name: ComponentName) =>
      explain(after.bytes, { sent, loaded: load.bytes, poison: poison.bytes }, layout, name),
  }) as unknown as Returned

export const simulatedRejection = {
  kind: 'signal',
  where: 'sigreturn',
  signal: 'SIGSEGV',
  siCode: 128,
  siAddr: 0n,
} as Seen
