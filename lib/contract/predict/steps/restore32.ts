/**
 * A 32-bit frame is copied into the kernel's buffer and loaded from there: arch/x86/kernel/fpu/signal.c,
 * `__fpu_restore_sig` with `ia32_fxstate`; arch/x86/kernel/fpu/xstate.c, `copy_uabi_to_xstate`.
 */
import { fsaveSize } from '../../../frame/fsave.ts'
import { fieldOffset, initMxcsr } from '../../../xstate/image.ts'
import { legacySize, minXsaveSize } from '../../../xstate/layout.ts'
import { foldedX87, named32 } from '../fold.ts'
import { canCopy } from '../frame.ts'
import { hasOddContents, hasReserved, isOddMxcsr, odd } from '../odd.ts'
import type { Decided, Step } from '../step.ts'
import type { Walk } from '../walk.ts'

const fsave = { at: -fsaveSize, length: fsaveSize }
const legacyRegion = { at: 0, length: legacySize }
const header = { at: legacySize, length: minXsaveSize - legacySize }
/** x87, SSE or AVX: with any of them MXCSR is looked at. */
const mxcsrFeatures = 7n

/** Nothing of the header is looked at where the legacy region alone is restored. */
const ofHeader =
  (refuses: (walk: Walk) => boolean) =>
  (walk: Walk): Decided =>
    !walk.fxOnly && refuses(walk) ? 'rejected' : 'passes'

const components = ({ task, xstateBv }: Walk) =>
  task.layout.components.filter(({ mask }) => (xstateBv & mask) !== 0n)

/** The whole component is copied; x87's includes MXCSR. */
const cannotCopy = (walk: Walk): boolean =>
  walk.frame.pages.length > 0 &&
  components(walk).some(({ offset, end }) => !canCopy(walk.frame, { at: offset, length: end - offset }))

const readsUnknown = (walk: Walk): boolean =>
  walk.view.byteLength < walk.task.layout.size &&
  components(walk).some(({ end }) => end > walk.view.byteLength)

/** The image that the kernel loads from its buffer, in the standard format. */
const bufferOf = (walk: Walk): Uint8Array => {
  const { area } = walk.frame
  const { layout } = walk.task
  const bytes = new Uint8Array(layout.size)
  bytes.set(area.subarray(0, layout.size))
  bytes.set(foldedX87(walk), 0)
  // Without XSAVE there is no header.
  if (!layout.xsave) return bytes
  bytes.fill(0, fieldOffset.xstateBv, minXsaveSize)
  const view = new DataView(bytes.buffer)
  view.setBigUint64(fieldOffset.xstateBv, named32(walk), true)
  // What nobody has checked does not get into the buffer.
  if (!walk.fxOnly && (walk.xstateBv & mxcsrFeatures) === 0n)
    view.setUint32(fieldOffset.mxcsr, initMxcsr, true)
  return bytes
}

const lookAtBytes = (walk: Walk): Decided => {
  if (!hasOddContents(walk, named32(walk), foldedX87(walk))) return 'passes'
  walk.odd = odd.contents
  if (walk.answer === 'fault') return 'rejected'
  if (walk.answer !== undefined) return 'passes'
  walk.ask = {
    instruction: walk.task.layout.xsave ? 'xrstor' : 'fxrstor',
    bytes: bufferOf(walk),
    mask: walk.task.layout.features,
    misalignedBy: 0,
    endsAt: null,
  }
  return 'ask'
}

export const steps32: readonly Step[] = [
  {
    rule: 'fsave-header-has-the-x87-state',
    says: ['passes', 'rejected'],
    decide: walk => {
      const { frame, fxOnly, hasHeader } = walk
      if (!canCopy(frame, fsave)) return 'rejected'
      if (!canCopy(frame, fxOnly ? legacyRegion : header)) return 'rejected'
      return frame.fsave !== null && (fxOnly || hasHeader) ? 'passes' : 'unknown'
    },
  },
  {
    rule: 'unsupported-xstate-bv-is-rejected',
    says: ['passes', 'rejected'],
    decide: ofHeader(({ xstateBv, task }) => (xstateBv & ~task.layout.features) !== 0n),
  },
  {
    rule: 'ia32-compacted-frame-is-rejected',
    says: ['passes', 'rejected'],
    decide: ofHeader(({ xcompBv }) => xcompBv !== 0n),
  },
  {
    rule: 'ia32-reserved-header-is-rejected',
    says: ['passes', 'rejected'],
    decide: ofHeader(({ view }) => hasReserved(view)),
  },
  {
    rule: 'reserved-mxcsr-is-rejected',
    says: ['passes', 'rejected'],
    decide: walk => {
      const looks = walk.fxOnly || (walk.xstateBv & mxcsrFeatures) !== 0n
      if (looks && !canCopy(walk.frame, { at: fieldOffset.mxcsr, length: 8 })) return 'rejected'
      return looks && isOddMxcsr(walk) ? 'rejected' : 'passes'
    },
  },
  {
    rule: 'ia32-reads-what-xstate-bv-names',
    says: ['passes', 'rejected'],
    decide: walk => {
      if (walk.fxOnly) return 'passes'
      if (cannotCopy(walk)) return 'rejected'
      return readsUnknown(walk) ? 'unknown' : 'passes'
    },
  },
  {
    rule: 'hardware-judges-contents',
    says: ['passes', 'rejected'],
    seldom: ['rejected'],
    decide: lookAtBytes,
  },
  {
    rule: 'ia32-leaves-nothing-over',
    says: ['passes', 'left out'],
    decide: walk => ((walk.task.layout.features & ~named32(walk)) === 0n ? 'passes' : 'left out'),
  },
]
