/** XRSTOR of the frame where it lies: arch/x86/kernel/fpu/signal.c, `restore_fpregs_from_user`. */
import type { RuleId } from '../../rules.ts'
import { type Odd, odd, oddOf } from '../odd.ts'
import { areaEnd, faultIn, readNeeded } from '../reads64.ts'
import type { Decided, Step } from '../step.ts'
import type { Outcome } from '../trail.ts'
import { isCompacted, type Walk } from '../walk.ts'

/** Whether all bytes are known that may be loaded: from what cannot be read nothing is. */
const knowsAll = (walk: Walk, end: number | null): boolean => {
  // What there is no header of has none of its bits either.
  if (walk.fxOnly) return true
  const { task, view } = walk
  if (view.byteLength >= (end ?? task.layout.size)) return true
  if (isCompacted(walk)) return false
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
  const looked = lookAtBytes(walk, read === 'faulted in' ? 'nowhere' : areaEnd(walk))
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
