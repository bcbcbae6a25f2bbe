/** XRSTOR of the frame where it lies: arch/x86/kernel/fpu/signal.c, `restore_fpregs_from_user`. */
import { fieldOffset } from '../../../xstate/image.ts'
import { legacySize, minXsaveSize } from '../../../xstate/layout.ts'
import type { RuleId } from '../../rules.ts'
import { overlaps, type Pages, type Range } from '../frame.ts'
import { type Odd, odd, oddOf } from '../odd.ts'
import type { Decided, Step } from '../step.ts'
import type { Outcome } from '../trail.ts'
import type { Walk } from '../walk.ts'
import { faultedIn } from './check.ts'

const compacted = 1n << 63n
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
const faultIn = (walk: Walk): 'rejected' | 'faulted in' => {
  const range = { at: 0, length: faultedIn(walk) }
  const { pages } = walk.frame
  return pages.some(page => page.reach === 'unreadable' && overlaps(page, range)) ? 'rejected' : 'faulted in'
}

/** What XRSTOR must read, by the architecture; `unknown` without a header. */
const readNeeded = (walk: Walk): 'passes' | 'rejected' | 'faulted in' | 'unknown' => {
  if (walk.fxOnly) return walk.faults(legacyRegion) ? faultIn(walk) : 'passes'
  // The header tells what else is touched: where it cannot be had, nothing else matters.
  if (walk.faults(header)) {
    const read = faultIn(walk)
    return read === 'rejected' || walk.hasHeader ? read : 'unknown'
  }
  if (!walk.hasHeader) return 'unknown'
  // Where the components of a compacted area lie depends on which there are.
  if ((walk.xcompBv & compacted) !== 0n) return 'passes'
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
const endOf = (walk: Walk): number | 'nowhere' | 'unknown' => {
  const { frame, task, fxOnly } = walk
  const { size } = task.layout
  if (fxOnly || frame.pages.every(({ from }) => from >= size)) return 'nowhere'
  const missing = frame.pages.filter(page => page.from < size && page.end > 0 && isMissing(walk, page))
  if (missing.length === 0) return 'nowhere'
  const isCompacted = (walk.xcompBv & compacted) !== 0n
  if (!isCompacted && !mayTouch(walk).some(range => walk.faults(range))) return 'nowhere'
  const end = Math.min(...missing.map(({ from }) => from))
  return end >= minXsaveSize && isAllMissing(walk, end) ? end : 'unknown'
}

/** Whether all bytes are known that may be loaded: from what cannot be read nothing is. */
const knowsAll = (walk: Walk, end: number | null): boolean => {
  // What there is no header of has none of its bits either.
  if (walk.fxOnly) return true
  const { task, view } = walk
  if (view.byteLength >= (end ?? task.layout.size)) return true
  if ((walk.xcompBv & compacted) !== 0n) return false
  const loaded = walk.mask & walk.xstateBv
  return task.layout.extended.every(one => (loaded & one.mask) === 0n || one.end <= view.byteLength)
}

/** The first thing that is odd, and said by hardware that faults. */
const firstOf = (causes: number): number => causes & -causes

const hardwareStep = (rule: RuleId, cause: Odd, seldom: readonly Outcome[] = []): Step => ({
  rule,
  seldom,
  says: ['passes', 'rejected'],
  decide: walk => {
    if ((walk.odd & odd[cause]) === 0) return 'passes'
    return walk.answer === 'fault' && firstOf(walk.odd) === odd[cause] ? 'rejected' : 'passes'
  },
})

/** Whether the hardware has to be asked before anything is said by it. */
const lookAtBytes = (walk: Walk, area: number | 'nowhere' | 'unknown'): 'passes' | 'ask' | 'unknown' => {
  if (area === 'unknown') return area
  const end = area === 'nowhere' ? null : area
  if (!knowsAll(walk, end)) return 'unknown'
  walk.odd = oddOf(walk) | (end === null ? 0 : odd.ends)
  if (walk.odd === 0 || walk.answer !== undefined) return 'passes'
  const { frame, mask, fxOnly, task } = walk
  walk.ask = {
    instruction: fxOnly ? 'fxrstor' : 'xrstor',
    bytes: frame.area.subarray(0, end ?? task.layout.size),
    mask,
    misalignedBy: frame.misalignedBy,
    endsAt: end,
  }
  return 'ask'
}

/** What the hardware touched though it need not have. Whatever else is odd is asked for only once. */
const touchedMore = (walk: Walk): 'rejected' | 'faulted in' | 'unknown' => {
  const read = faultIn(walk)
  return read === 'rejected' || walk.odd === odd.ends ? read : 'unknown'
}

const readAll = (walk: Walk): Decided => {
  const read = readNeeded(walk)
  if (read === 'rejected' || read === 'unknown') return read
  const looked = lookAtBytes(walk, read === 'faulted in' ? 'nowhere' : endOf(walk))
  if (looked !== 'passes') return looked
  return walk.answer === 'page fault' ? touchedMore(walk) : read
}

export const steps64: readonly Step[] = [
  {
    rule: 'absent-pages-are-faulted-in',
    says: ['passes', 'faulted in', 'rejected'],
    decide: readAll,
  },
  hardwareStep('misaligned-frame-is-rejected', 'misaligned'),
  hardwareStep('corrupt-xcomp-bv-is-rejected', 'xcompBv'),
  hardwareStep('unsupported-xstate-bv-is-rejected', 'xstateBv'),
  hardwareStep('reserved-header-is-rejected', 'reserved'),
  hardwareStep('reserved-mxcsr-is-rejected', 'mxcsr'),
  hardwareStep('hardware-judges-contents', 'contents', ['rejected']),
  {
    rule: 'left-out-components-go-to-init',
    says: ['passes', 'left out'],
    decide: ({ mask, task }) => ((task.layout.features & ~mask) === 0n ? 'passes' : 'left out'),
  },
]
