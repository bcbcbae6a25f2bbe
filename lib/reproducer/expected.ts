/**
 * What a treatment leaves in the registers, known before anything runs: the frame as sent is what the kernel writes of
 * the image that was loaded, and the edit. The same semantics as in lib/contract/classify.ts.
 */
import type { Treatment } from '../contract/treatment.ts'
import { isIa32 } from '../frame/abi.ts'
import { type FrameParts, FrameRecord, restorable } from '../frame/reader.ts'
import { canonicalComponent } from '../xstate/compare.ts'
import { initImage, initMxcsr, XsaveImage } from '../xstate/image.ts'
import { type Layout, legacyFeatures } from '../xstate/layout.ts'
import type { ExpectedEnd, ExpectedRegisters } from './model.ts'

const imageWith = (bytes: Uint8Array, layout: Layout, xstateBv: bigint): XsaveImage => {
  const image = new XsaveImage(new Uint8Array(layout.size), layout)
  image.bytes.set(bytes.subarray(0, layout.size))
  image.xstateBv = xstateBv
  return image
}

const sseBit = 2n
/** x87, SSE and AVX: without any of them a 32-bit return does not look at MXCSR. */
const mxcsrFeatures = 7n

const mxcsrOf = (sent: FrameRecord, layout: Layout, fxOnly: boolean): readonly number[] | 'any' => {
  const { abi, sw, xstateBv, xcompBv, mxcsr } = sent
  if (isIa32(abi) && !fxOnly && (xstateBv & mxcsrFeatures) === 0n) return 'any'
  const mayBeInit =
    fxOnly ||
    (sw.xfeatures & layout.features) !== layout.features ||
    ((isIa32(abi) || xcompBv !== 0n) && (xstateBv & sseBit) === 0n)
  return mayBeInit && mxcsr !== initMxcsr ? [mxcsr, initMxcsr] : [mxcsr]
}

const componentsOf = ({ bytes }: XsaveImage, layout: Layout): ExpectedRegisters['components'] =>
  layout.components.map(({ name }) => ({ name, bytes: canonicalComponent(bytes, layout, name) }))

const restoredFrom = (parts: FrameParts, layout: Layout, fxOnly: boolean): ExpectedRegisters => {
  const sent = new FrameRecord(parts, layout)
  const xstateBv = fxOnly ? legacyFeatures : sent.xstateBv & sent.sw.xfeatures & layout.features
  const image = imageWith(restorable(sent), layout, xstateBv)
  return { components: componentsOf(image, layout), mxcsr: mxcsrOf(sent, layout, fxOnly) }
}

/** As after `fpu__clear_user_states`: PKRU gets the kernel's default, whatever that is. */
const cleared = (layout: Layout): ExpectedRegisters => ({
  components: componentsOf(initImage(layout), layout).map(one =>
    one.name === 'pkru' ? { name: one.name, bytes: 'any' } : one,
  ),
  mxcsr: [initMxcsr],
})

/**
 * How a probe ends under a treatment, and with what in the registers.
 * @param signal the one that an `astray` frame leads to, or null for any
 * @throws RangeError for what is no treatment of one frame
 */
export const expectedOf = (
  treatment: Treatment,
  sent: FrameParts,
  layout: Layout,
  signal: 'SIGSEGV' | 'SIGTRAP' | null = null,
): ExpectedEnd => {
  switch (treatment) {
    case 'restored':
      return { ends: 'returned', ...restoredFrom(sent, layout, false) }
    case 'fx-only':
      return { ends: 'returned', ...restoredFrom(sent, layout, true) }
    case 'astray':
      return { ends: 'astray', signal, ...restoredFrom(sent, layout, false) }
    case 'init':
      return { ends: 'returned', ...cleared(layout) }
    case 'rejected':
      return { ends: 'rejected', ...cleared(layout) }
    case 'killed':
      return { ends: 'died' }
    case 'undelivered':
      return { ends: 'undelivered' }
    case 'refused':
    case 'kept':
    case 'forgotten':
    case 'as-stated':
      throw new RangeError(`treatment is ${treatment}, must be what becomes of one frame`)
  }
}
