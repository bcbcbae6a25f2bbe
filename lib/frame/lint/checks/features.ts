/** Which components the frame says it has, in the sw bytes and in XSTATE_BV. */
import { hex } from '../../../errors.ts'
import { components, maskOf } from '../../../xstate/components.ts'
import { fieldOffset, initMxcsr } from '../../../xstate/image.ts'
import { legacyFeatures } from '../../../xstate/layout.ts'
import { isIa32 } from '../../abi.ts'
import { type Check, fieldCheck, type Problem } from '../check.ts'
import { knownShapes } from '../known.ts'
import type { Subject } from '../subject.ts'
import { maskText } from '../words.ts'

const supervisor = maskOf(components.filter(({ kind }) => kind === 'supervisor').map(({ name }) => name))
/** Bit 63 of XCR0 and XSTATE_BV stands for no component (SDM volume 1, 13.4.2). */
const reservedBit = 1n << 63n

const withoutLegacy = ({ extended, sw }: Subject): Problem | null => {
  if (!extended || (sw.xfeatures & legacyFeatures) === legacyFeatures) return null
  return {
    message: `sw.xfeatures is ${hex(sw.xfeatures)}, must include ${maskText(legacyFeatures)}: what it lacks goes to init`,
  }
}

const supervisorIn = ({ extended, sw }: Subject): Problem | null => {
  const found = sw.xfeatures & (supervisor | reservedBit)
  if (!extended || found === 0n) return null
  return {
    message: `sw.xfeatures is ${hex(sw.xfeatures)}, which has ${maskText(found)}: no user components`,
  }
}

const unknownIn = ({ extended, sw, given }: Subject): Problem | null => {
  if (!extended || given === null) return null
  const has = given.hostFeatures | given.features
  const found = sw.xfeatures & ~has & ~supervisor & ~reservedBit
  if (found === 0n) return null
  return {
    message: `sw.xfeatures is ${hex(sw.xfeatures)}, which has ${maskText(found)}: this CPU has ${maskText(has)}`,
  }
}

const sse = maskOf(['sse'])

/**
 * MXCSR of a 32-bit frame is loaded from the kernel's own buffer, which is compacted where it can be: it belongs to SSE
 * there. In a 64-bit frame it does not hang on XSTATE_BV (SDM volume 1, 13.8.1).
 */
const losesMxcsr = ({ abi, header, view }: Subject): boolean =>
  isIa32(abi) &&
  ((header?.xstateBv ?? sse) & sse) === 0n &&
  view.getUint32(fieldOffset.mxcsr, true) !== initMxcsr

const bvLegacy = (subject: Subject): Problem | null => {
  const { header } = subject
  if (header === null || (header.xstateBv & legacyFeatures) === legacyFeatures) return null
  const lost = losesMxcsr(subject)
  return {
    severity: lost ? 'error' : 'warning',
    message: `xstateBv is ${hex(header.xstateBv)}, must include ${maskText(legacyFeatures)}: kernels always set both, and what it lacks goes to init${lost ? ', MXCSR with it' : ''}`,
    known: header.xstateBv === 0n ? [knownShapes.fexHeader] : [],
  }
}

/**
 * What XSTATE_BV may name: XRSTOR faults for what XCR0 lacks (SDM volume 1, 13.8.1). A 32-bit frame is held to the
 * task's own components (`validate_user_xstate_header`). Everything where no CPU is known.
 */
const allowed = ({ abi, given, layout }: Subject): bigint => {
  if (given === null || layout === null) return ~0n
  return isIa32(abi) ? layout.features : given.hostFeatures
}

/** What has the frame rejected. */
const unsupported = (subject: Subject): bigint =>
  (subject.header?.xstateBv ?? 0n) & (supervisor | reservedBit | ~allowed(subject))

const bvUnsupported = (subject: Subject): Problem | null => {
  const found = unsupported(subject)
  if (subject.header === null || found === 0n) return null
  const { given, header, abi } = subject
  const host = given?.hostFeatures ?? 0n
  const who = isIa32(abi) && (found & ~host) === 0n ? 'the task' : 'the CPU'
  return {
    message: `xstateBv is ${hex(header.xstateBv)}, which has ${maskText(found)}: ${who} has no such user components, and the frame is rejected`,
  }
}

const bvOutside = (subject: Subject): Problem | null => {
  const { header, sw } = subject
  if (header === null) return null
  const found = header.xstateBv & ~sw.xfeatures & ~unsupported(subject)
  if (found === 0n) return null
  return {
    message: `xstateBv is ${hex(header.xstateBv)}, which has ${maskText(found)} beyond sw.xfeatures ${hex(sw.xfeatures)}: they go to init, and their state is lost`,
  }
}

const beyond = ({ header, sw, layout }: Subject): Problem | null => {
  if (header === null || layout === null || header.xcompBv !== 0n) return null
  const found = layout.extended.filter(
    ({ mask, end }) => (header.xstateBv & sw.xfeatures & mask) !== 0n && end > sw.xstateSize,
  )
  if (found.length === 0) return null
  const where = found.map(({ name, offset, end }) => `${name} (${offset}..${end - 1})`).join(' ')
  return {
    message: `xstateBv is ${hex(header.xstateBv)}, but the frame ends at ${sw.xstateSize}, before ${where}: what follows it is read as registers`,
  }
}

export const featureChecks: readonly Check[] = [
  fieldCheck('xfeatures-without-legacy', 'error', 'sw.xfeatures', withoutLegacy),
  fieldCheck('xfeatures-supervisor', 'error', 'sw.xfeatures', supervisorIn),
  fieldCheck('xfeatures-unknown', 'error', 'sw.xfeatures', unknownIn),
  fieldCheck('xstate-bv-without-legacy', 'warning', 'xstateBv', bvLegacy),
  fieldCheck('xstate-bv-unsupported', 'error', 'xstateBv', bvUnsupported),
  fieldCheck('xstate-bv-outside-xfeatures', 'error', 'xstateBv', bvOutside),
  fieldCheck('component-beyond-size', 'error', 'xstateBv', beyond),
]
