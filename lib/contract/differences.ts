/** Which bytes of the registers are not as a treatment leaves them. Pure. */
import type { Seen } from '../probe/result.ts'
import { canonicalComponent } from '../xstate/compare.ts'
import { fieldOffset, initImage, type XsaveImage } from '../xstate/image.ts'
import type { Layout, PlacedComponent } from '../xstate/layout.ts'
import { afterFxrstor, afterXrstor, differences, notCleared } from './classify.ts'
import type { Treatment } from './treatment.ts'

/** A component's bytes, as they should be and as they are. */
export interface Difference {
  /** `mxcsr` too. */
  readonly name: string
  /** Bytes from the start of the area. */
  readonly offset: number
  readonly size: number
  /** Whether the frame says what it should hold; otherwise it should be at init. */
  readonly restored: boolean
  readonly expected: Uint8Array
  readonly observed: Uint8Array
}

/** From the component's first byte to its last, without what carries no state. */
const spanOf = (image: XsaveImage, { name, offset, size, ranges }: PlacedComponent): Uint8Array => {
  const span = new Uint8Array(size)
  const gathered = canonicalComponent(image.bytes, image.layout, name)
  let at = 0
  for (const range of ranges) {
    span.set(gathered.subarray(at, at + range.size), range.offset - offset)
    at += range.size
  }
  return span
}

const mxcsrOf = ({ bytes }: XsaveImage): Uint8Array => bytes.slice(fieldOffset.mxcsr, fieldOffset.mxcsrMask)

/** The image that the registers should be in, and which of them are not; null where a treatment leaves none. */
const wantedOf = (
  treatment: Treatment,
  seen: Extract<Seen, { readonly after: XsaveImage }>,
  layout: Layout,
): { readonly image: XsaveImage; readonly names: readonly string[]; readonly frame: boolean } | null => {
  switch (treatment) {
    case 'restored':
    case 'astray':
      return { image: afterXrstor(seen, layout), names: differences(seen, layout, 'restored'), frame: true }
    case 'fx-only':
      return { image: afterFxrstor(seen, layout), names: differences(seen, layout, 'fx-only'), frame: true }
    case 'rejected':
    case 'init':
      return { image: initImage(layout), names: notCleared(seen.after, layout), frame: false }
    default:
      return null
  }
}

/**
 * The components, and MXCSR, that are not as a treatment leaves them. Empty where they are, or where the probe did not
 * come to have any.
 */
export const byteDifferences = (treatment: Treatment, seen: Seen, layout: Layout): Difference[] => {
  if (!('after' in seen)) return []
  const wanted = wantedOf(treatment, seen, layout)
  if (wanted === null) return []
  const { image, names, frame } = wanted
  const { after } = seen
  const components = layout.components
    .filter(({ name }) => names.includes(name))
    .map(placed => ({
      name: placed.name,
      offset: placed.offset,
      size: placed.size,
      restored: frame && (!layout.xsave || (image.xstateBv & placed.mask) !== 0n),
      expected: spanOf(image, placed),
      observed: spanOf(after, placed),
    }))
  if (!names.includes('mxcsr')) return components
  const mxcsr = { name: 'mxcsr', offset: fieldOffset.mxcsr, size: 4, restored: frame }
  return [...components, { ...mxcsr, expected: mxcsrOf(image), observed: mxcsrOf(after) }]
}
