/**
 * What XRSTOR reads of a frame where it lies, and what it may touch besides: arch/x86/kernel/fpu/signal.c,
 * `restore_fpregs_from_user`, and the page faults in it.
 */
import { fieldOffset } from '../../xstate/image.ts'
import { legacySize, minXsaveSize } from '../../xstate/layout.ts'
import { overlaps, type Pages, type Range } from './frame.ts'
import { faultedIn } from './steps/check.ts'
import { isCompacted, type Walk } from './walk.ts'

const mxcsrFeatures = 6n

const legacyRegion: Range = { at: 0, length: legacySize }
const header: Range = { at: legacySize, length: minXsaveSize - legacySize }
const mxcsr: Range = { at: fieldOffset.mxcsr, length: 8 }

/** What XRSTOR touches of a frame in the standard format, the header apart. */
const touched = ({ task, mask, xstateBv }: Walk): Range[] => [
  ...((mask & mxcsrFeatures) === 0n ? [] : [mxcsr]),
  ...task.layout.components
    .filter(one => (mask & xstateBv & one.mask) !== 0n)
    .flatMap(({ ranges }) => ranges.map(({ offset, size }) => ({ at: offset, length: size }))),
]

/** Whether all is read, once what is not there was faulted in. */
export const faultIn = (walk: Walk): 'rejected' | 'faulted in' => {
  const range = { at: 0, length: faultedIn(walk) }
  const { pages } = walk.frame
  return pages.some(page => page.reach === 'unreadable' && overlaps(page, range)) ? 'rejected' : 'faulted in'
}

/** What XRSTOR must read, by the architecture; `unknown` without a header. */
export const readNeeded = (walk: Walk): 'passes' | 'rejected' | 'faulted in' | 'unknown' => {
  if (walk.fxOnly) return walk.faults(legacyRegion) ? faultIn(walk) : 'passes'
  // The header tells what else is touched: where it cannot be had, nothing else matters.
  if (walk.faults(header)) {
    const read = faultIn(walk)
    return read === 'rejected' || walk.hasHeader ? read : 'unknown'
  }
  if (!walk.hasHeader) return 'unknown'
  // Where the components of a compacted area lie depends on which there are.
  if (isCompacted(walk)) return 'passes'
  const { size } = walk.task.layout
  if (walk.frame.pages.every(({ from }) => from >= size)) return 'passes'
  return touched(walk).some(range => walk.faults(range)) ? faultIn(walk) : 'passes'
}

const isMissing = (walk: Walk, { from, end }: Pages): boolean =>
  walk.faults({ at: from, length: Math.min(end - from, walk.task.layout.size) })

/** Whether nothing is there from an offset to the end of the area. */
const isAllMissing = (walk: Walk, from: number): boolean => {
  let at = from
  while (at < walk.task.layout.size) {
    const page = walk.frame.pages.find(one => one.from <= at && at < one.end && isMissing(walk, one))
    if (page === undefined) return false
    at = page.end
  }
  return true
}

const line = 64

/** What XRSTOR may touch for the components of its mask, whether it reads them or not: whole lines. */
const mayTouch = ({ task, mask }: Walk): Range[] =>
  task.layout.components
    .filter(one => (mask & one.mask) !== 0n)
    .map(({ offset, end }) =>
      offset < legacySize ? legacyRegion : { at: offset, length: Math.ceil((end - offset) / line) * line },
    )

/**
 * Where the area ends for the hardware, before bytes that it need not read but may touch; `nowhere` where nothing is in
 * its way. What lies around a gap cannot be asked for.
 */
export const areaEnd = (walk: Walk): number | 'nowhere' | 'unknown' => {
  const { frame, task, fxOnly } = walk
  const { size } = task.layout
  if (fxOnly || frame.pages.every(({ from }) => from >= size)) return 'nowhere'
  const missing = frame.pages.filter(page => page.from < size && page.end > 0 && isMissing(walk, page))
  if (missing.length === 0) return 'nowhere'
  if (!isCompacted(walk) && !mayTouch(walk).some(range => walk.faults(range))) return 'nowhere'
  const end = Math.min(...missing.map(({ from }) => from))
  return end >= minXsaveSize && isAllMissing(walk, end) ? end : 'unknown'
}
