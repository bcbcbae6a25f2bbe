/** The values that a decision was made on, in words. */

import { namesOf } from '../../xstate/components.ts'
import { fieldOffset } from '../../xstate/image.ts'
import { minXsaveSize } from '../../xstate/layout.ts'
import type { Policy } from '../policy.ts'
import type { RuleId } from '../rules.ts'
import type { SentFrame } from './frame.ts'
import { requiredSize } from './steps/check.ts'
import type { Task } from './task.ts'
import { Walk } from './walk.ts'

const hex = (value: bigint | number): string => `0x${value.toString(16)}`

const names = (mask: bigint): string => (mask === 0n ? 'none' : namesOf(mask).join(' '))

const required = (walk: Walk): string => {
  const { xstateSize, xfeatures, known, task } = walk
  const size = requiredSize(walk)
  const what =
    xstateSize === task.layout.size && xfeatures === task.layout.features
      ? 'the task’s own size'
      : `for ${names(known)}`
  return `xstate_size ${xstateSize}, required ${size} (${what})`
}

const magic2 = ({ policy, task, xstateSize, view }: Walk): string => {
  const at = policy.magic2At === 'user_size' ? task.layout.size : xstateSize
  const where = policy.magic2At === 'user_size' ? 'user_size' : 'xstate_size'
  return at + 4 <= view.byteLength
    ? `${hex(view.getUint32(at, true))} at ${where} ${at}`
    : `at ${where} ${at}, beyond what is known of the frame`
}

const reserved = ({ view }: Walk): string => {
  for (let at: number = fieldOffset.reserved; at < minXsaveSize; at++)
    if (view.getUint8(at) !== 0) return `byte ${at} is ${hex(view.getUint8(at))}`
  return 'all zero'
}

/** What each of them looks at; the others look at where the frame lies, not at what it says. */
const facts: Partial<Record<RuleId, (walk: Walk) => string>> = {
  'magic1-is-required': ({ view }) => `magic1 ${hex(view.getUint32(464, true))}`,
  'size-below-576-is-fx-only': ({ xstateSize }) => `xstate_size ${xstateSize}`,
  'size-above-user-size-is-fx-only': ({ xstateSize, task }) =>
    `xstate_size ${xstateSize}, user_size ${task.layout.size}`,
  'size-above-extended-size-is-fx-only': ({ xstateSize, extendedSize }) =>
    `xstate_size ${xstateSize}, extended_size ${extendedSize}`,
  'extended-size-has-room-for-magic2': ({ xstateSize, extendedSize }) =>
    `xstate_size + 4 is ${xstateSize + 4}, extended_size ${extendedSize}`,
  'magic2-is-required': magic2,
  'too-small-is-rejected': required,
  'unsupported-xstate-bv-is-rejected': ({ xstateBv, task }) =>
    `XSTATE_BV ${hex(xstateBv)}; not of this CPU: ${names(xstateBv & ~task.layout.hostFeatures)}`,
  'corrupt-xcomp-bv-is-rejected': ({ xcompBv }) => `XCOMP_BV ${hex(xcompBv)}`,
  'ia32-compacted-frame-is-rejected': ({ xcompBv }) => `XCOMP_BV ${hex(xcompBv)}`,
  'reserved-header-is-rejected': reserved,
  'ia32-reserved-header-is-rejected': reserved,
  'reserved-mxcsr-is-rejected': ({ mxcsr, task }) =>
    `MXCSR ${hex(mxcsr)}, its mask ${hex(task.layout.mxcsrMask)}`,
  'left-out-components-go-to-init': ({ mask, task }) => names(task.layout.features & ~mask),
  'ia32-leaves-nothing-over': ({ mask, xstateBv, task }) => names(task.layout.features & ~(mask & xstateBv)),
}

/** Rules that look at the XSAVE header: FX-only frames need none. */
const ofHeader: ReadonlySet<RuleId> = new Set([
  'unsupported-xstate-bv-is-rejected',
  'corrupt-xcomp-bv-is-rejected',
  'ia32-compacted-frame-is-rejected',
  'reserved-header-is-rejected',
  'ia32-reserved-header-is-rejected',
])

/**
 * The values that a decision on a frame looks at.
 * @param fxOnly whether an earlier decision has the legacy region alone restored
 * @returns null where it looks at none, or the frame is too short to have them
 */
export const factsOf = (
  rule: RuleId,
  frame: SentFrame,
  task: Task,
  policy: Policy,
  fxOnly: boolean,
): string | null => {
  if (fxOnly && ofHeader.has(rule)) return null
  const walk = new Walk(frame, task, policy, undefined)
  if (!walk.hasHeader) return null
  walk.fxOnly = fxOnly
  return facts[rule]?.(walk) ?? null
}
