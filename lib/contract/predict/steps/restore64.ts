/** XRSTOR of the frame where it lies: arch/x86/kernel/fpu/signal.c, `restore_fpregs_from_user`. */
import { fieldOffset } from '../../../xstate/image.ts'
import { legacySize, minXsaveSize } from '../../../xstate/layout.ts'
import type { RuleId } from '../../rules.ts'
import { overlaps, type Range } from '../frame.ts'
import { type Odd, odd, oddOf } from '../odd.ts'
import type { Step } from '../step.ts'
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
const faultIn = (walk: Walk) => {
  const range = { at: 0, length: faultedIn(walk) }
  const { pages } = walk.frame
  return pages.some(page => page.reach === 'unreadable' && overlaps(page, range)) ? 'rejected' : 'faulted in'
}

const readAll = (walk: Walk) => {
  if (walk.frame.pages.length === 0) return walk.fxOnly || walk.hasHeader ? 'passes' : 'unknown'
  if (walk.fxOnly) return walk.faults(legacyRegion) ? faultIn(walk) : 'passes'
  // The header tells what else is touched: where it cannot be had, nothing else matters.
  const waits = walk.faults(header)
  if (waits && faultIn(walk) === 'rejected') return 'rejected'
  if (!walk.hasHeader) return 'unknown'
  // Where the components of a compacted area lie depends on which there are: what can be had is all the same then.
  if ((walk.xcompBv & compacted) !== 0n && walk.faults({ at: 0, length: walk.task.layout.size }))
    return faultIn(walk) === 'rejected' ? 'unknown' : 'faulted in'
  return waits || touched(walk).some(range => walk.faults(range)) ? faultIn(walk) : 'passes'
}

/** Bytes that are loaded, all of them known: what cannot be read is not loaded. */
const knowsAll = ({ task, fxOnly, mask, xstateBv, view }: Walk): boolean =>
  fxOnly ||
  task.layout.extended.every(one => (mask & xstateBv & one.mask) === 0n || one.end <= view.byteLength)

/** The first thing that is odd, and said by hardware that faults. */
const firstOf = (causes: number): number => causes & -causes

const hardwareStep = (rule: RuleId, cause: Odd): Step => ({
  rule,
  says: ['passes', 'rejected'],
  decide: walk => {
    if ((walk.odd & odd[cause]) === 0) return 'passes'
    return walk.answer === 'fault' && firstOf(walk.odd) === odd[cause] ? 'rejected' : 'passes'
  },
})

/** Whether the hardware has to be asked before anything is said by it. */
const lookAtBytes = (walk: Walk): 'passes' | 'ask' | 'unknown' => {
  if (!knowsAll(walk)) return 'unknown'
  walk.odd = oddOf(walk)
  if (walk.odd === 0 || walk.answer !== undefined) return 'passes'
  const { frame, mask, fxOnly, task } = walk
  walk.ask = {
    instruction: fxOnly ? 'fxrstor' : 'xrstor',
    bytes: frame.area.subarray(0, task.layout.size),
    mask,
    misalignedBy: frame.misalignedBy,
  }
  return 'ask'
}

export const steps64: readonly Step[] = [
  {
    rule: 'absent-pages-are-faulted-in',
    says: ['passes', 'faulted in', 'rejected'],
    decide: walk => {
      const read = readAll(walk)
      if (read === 'rejected' || read === 'unknown') return read
      const looked = lookAtBytes(walk)
      return looked === 'passes' ? read : looked
    },
  },
  hardwareStep('misaligned-frame-is-rejected', 'misaligned'),
  hardwareStep('corrupt-xcomp-bv-is-rejected', 'xcompBv'),
  hardwareStep('unsupported-xstate-bv-is-rejected', 'xstateBv'),
  hardwareStep('reserved-header-is-rejected', 'reserved'),
  hardwareStep('reserved-mxcsr-is-rejected', 'mxcsr'),
  hardwareStep('hardware-judges-contents', 'contents'),
  {
    rule: 'left-out-components-go-to-init',
    says: ['passes', 'left out'],
    decide: ({ mask, task }) => ((task.layout.features & ~mask) === 0n ? 'passes' : 'left out'),
  },
]
