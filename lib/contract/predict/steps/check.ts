/** Whether the frame is believed: arch/x86/kernel/fpu/signal.c, `fpu__restore_sig`, `check_xstate_in_sigframe`. */
import { magic2, magic2Size } from '../../../frame/format.ts'
import { legacySize, minXsaveSize } from '../../../xstate/layout.ts'
import { canCopy } from '../frame.ts'
import type { Step } from '../step.ts'
import type { Walk } from '../walk.ts'

const swBytes = { at: 464, length: 48 }

const magic2Range = ({ policy, task, xstateSize }: Walk) => ({
  at: policy.magic2At === 'user_size' ? task.layout.size : xstateSize,
  length: magic2Size,
})

/** The standard-format size of what the frame says it has and the task has, too. */
export const requiredSize = ({ task: { layout }, xstateSize, xfeatures, known }: Walk): number =>
  xstateSize === layout.size && xfeatures === layout.features ? layout.size : layout.sizeFor(known)

export const checkSteps: readonly Step[] = [
  {
    rule: 'null-fpstate-is-init',
    says: ['passes', 'init'],
    decide: ({ frame }) => (frame.pointer === 'null' ? 'init' : 'passes'),
  },
  {
    rule: 'unreachable-fpstate-is-rejected',
    says: ['passes', 'rejected'],
    decide: ({ frame, view, copied }) => {
      if (frame.pointer === 'unreachable' || !canCopy(frame, swBytes)) return 'rejected'
      copied.push(swBytes)
      return frame.area.length >= legacySize && view.byteLength >= legacySize ? 'passes' : 'unknown'
    },
  },
  {
    rule: 'magic1-is-required',
    says: ['passes', 'fx-only'],
    decide: ({ hasMagic1 }) => (hasMagic1 ? 'passes' : 'fx-only'),
  },
  {
    rule: 'size-below-576-is-fx-only',
    says: ['passes', 'fx-only'],
    when: ({ magic2At }) => magic2At === 'xstate_size',
    decide: ({ xstateSize }) => (xstateSize < minXsaveSize ? 'fx-only' : 'passes'),
  },
  {
    rule: 'size-above-user-size-is-fx-only',
    says: ['passes', 'fx-only'],
    when: ({ magic2At, aboveUserSize }) => magic2At === 'xstate_size' && aboveUserSize === 'fx-only',
    decide: ({ xstateSize, task }) => (xstateSize > task.layout.size ? 'fx-only' : 'passes'),
  },
  {
    rule: 'size-above-extended-size-is-fx-only',
    says: ['passes', 'fx-only'],
    when: ({ magic2At }) => magic2At === 'xstate_size',
    decide: ({ xstateSize, extendedSize }) => (xstateSize > extendedSize ? 'fx-only' : 'passes'),
  },
  {
    rule: 'extended-size-has-room-for-magic2',
    says: ['passes', 'fx-only'],
    when: ({ magic2Room }) => magic2Room === 'asked',
    decide: ({ xstateSize, extendedSize }) => (xstateSize + magic2Size > extendedSize ? 'fx-only' : 'passes'),
  },
  {
    rule: 'magic2-is-readable',
    says: ['passes', 'rejected'],
    decide: walk => {
      const range = magic2Range(walk)
      if (!canCopy(walk.frame, range)) return 'rejected'
      walk.copied.push(range)
      return range.at + magic2Size <= walk.view.byteLength ? 'passes' : 'unknown'
    },
  },
  {
    rule: 'magic2-is-required',
    says: ['passes', 'fx-only'],
    decide: walk => (walk.view.getUint32(magic2Range(walk).at, true) === magic2 ? 'passes' : 'fx-only'),
  },
  {
    rule: 'too-small-is-rejected',
    says: ['passes', 'rejected'],
    when: ({ tooSmall }) => tooSmall === 'rejected',
    decide: walk => (walk.xstateSize < requiredSize(walk) ? 'rejected' : 'passes'),
  },
]

/** How much is faulted in, once it is known what of the frame is believed. */
export const faultedIn = (walk: Walk): number => {
  if (walk.policy.faultsIn === 'user_size') return walk.task.layout.size
  return walk.fxOnly ? legacySize : requiredSize(walk)
}
