/** The sizes that the sw bytes name: `check_xstate_in_sigframe` in arch/x86/kernel/fpu/signal.c believes them. */
import { namesOf } from '../../../xstate/components.ts'
import { legacySize, minXsaveSize } from '../../../xstate/layout.ts'
import { largestFrame, magic1, magic2, magic2Size } from '../../format.ts'
import { fsaveSize } from '../../fsave.ts'
import { type Check, fieldCheck, type Problem } from '../check.ts'
import { compactedSize, leastSize, summedSize } from '../compacted.ts'
import type { KnownShape } from '../finding.ts'
import { knownShapes } from '../known.ts'
import { type Subject, wordAt } from '../subject.ts'
import { vendorsOfSize } from '../vendors.ts'
import { maskText } from '../words.ts'

/** CRIU's buffer before it grew. */
const onePage = 4096
const bytes = (count: number): string => `${count} bytes`

const cutOff = ({ length, extended, sw }: Subject): Problem | null => {
  const needed = extended ? sw.xstateSize + magic2Size : legacySize
  if (length >= needed) return null
  const what = extended ? `xstate_size ${sw.xstateSize} and MAGIC2` : 'the legacy region'
  return {
    message: `fpstate is ${bytes(length)}, must be at least ${needed}: ${what}`,
    offset: length,
    known: length === onePage ? [knownShapes.criuBuffer] : [],
  }
}

/** What a kernel without XSAVE writes into its sw bytes, where it writes them. */
const saysNoXsave = ({ sw }: Subject): boolean => sw.xstateSize === legacySize && (sw.xfeatures & ~3n) === 0n

const belowHeader = (subject: Subject): Problem | null => {
  const { sw, xsave, given, length, extended } = subject
  if (length < legacySize || sw.magic1 !== magic1 || extended) return null
  if (given === null && saysNoXsave(subject))
    return { severity: 'note', message: `sw.xstateSize is ${sw.xstateSize}: of a CPU without XSAVE` }
  if (given !== null && !xsave) return null
  return {
    message: `sw.xstateSize is ${sw.xstateSize}, must be at least ${minXsaveSize}: the XSAVE header ends there`,
    known: sw.xstateSize === 0 && sw.extendedSize === 0 ? [knownShapes.fexMagic1] : [],
  }
}

/** What others took for the size of these components. */
const likeWhich = ({ sw, layout }: Subject): readonly KnownShape[] => {
  if (layout === null) return []
  return [
    ...(sw.xstateSize === summedSize(layout, sw.xfeatures) ? [knownShapes.criuSum] : []),
    ...(sw.xstateSize === compactedSize(layout, sw.xfeatures) ? [knownShapes.asterinasSize] : []),
    ...(vendorsOfSize(layout, sw.xfeatures, sw.xstateSize).length > 0 ? [knownShapes.rrOffsets] : []),
  ]
}

const vendorText = ({ sw, layout }: Subject): string => {
  const vendors = layout === null ? [] : vendorsOfSize(layout, sw.xfeatures, sw.xstateSize)
  return vendors.length === 0 ? '' : `; it is that of ${vendors.join(' and ')} CPUs`
}

const named = (features: bigint): string => `xfeatures ${maskText(features)}`

const tooSmall = (subject: Subject): Problem | null => {
  const { extended, sw, required, layout } = subject
  const least = required ?? (layout === null ? leastSize(sw.xfeatures) : null)
  if (!extended || least === null || sw.xstateSize >= least) return null
  return {
    message: `sw.xstateSize is ${sw.xstateSize}, must be at least ${least} for ${named(sw.xfeatures)}${vendorText(subject)}`,
    known: likeWhich(subject),
  }
}

const tooLarge = (subject: Subject): Problem | null => {
  const { extended, sw, required, layout, given } = subject
  if (!extended) return null
  if (given !== null && !given.xsave)
    return { message: `sw.xstateSize is ${sw.xstateSize}, must be ${legacySize}: this CPU has no XSAVE` }
  if (layout === null) {
    if (sw.xstateSize <= largestFrame) return null
    return { message: `sw.xstateSize is ${sw.xstateSize}, must be at most ${largestFrame}: no CPU has more` }
  }
  if (required === null) {
    if (sw.xstateSize <= layout.size) return null
    return {
      message: `sw.xstateSize is ${sw.xstateSize}, must be at most ${layout.size}: this CPU has no more`,
    }
  }
  if (sw.xstateSize <= required || sw.xstateSize === layout.size) return null
  return {
    severity: sw.xstateSize > layout.size ? 'error' : 'warning',
    message: `sw.xstateSize is ${sw.xstateSize}, must be ${required} for ${named(sw.xfeatures)}${vendorText(subject)}`,
    known: likeWhich(subject),
  }
}

const notNative = ({ extended, sw, required, layout }: Subject): Problem | null => {
  if (!extended || layout === null || required === null || sw.xstateSize !== required) return null
  if (sw.xstateSize === layout.size) return null
  return {
    message: `sw.xstateSize is ${sw.xstateSize}, of ${namesOf(sw.xfeatures).join(' ')} alone: this CPU’s own is ${layout.size}`,
  }
}

/** What follows the area by the ABI. */
const trailerText = ({ abi, shape }: Subject): string =>
  shape.fsave ? `MAGIC2 and the fsave header of ${abi}` : 'MAGIC2'

/** MAGIC2 as the last four bytes of what xstate_size names. */
const countsMagic2 = (subject: Subject): boolean =>
  wordAt(subject, subject.sw.xstateSize - magic2Size) === magic2

const extendedSize = (subject: Subject): Problem | null => {
  const { extended, sw, shape } = subject
  const exact = sw.xstateSize + shape.trailer
  if (!extended || sw.extendedSize === exact) return null
  const problem = `sw.extendedSize is ${sw.extendedSize}`
  const room = sw.xstateSize + magic2Size
  if (sw.extendedSize < room)
    return {
      message: `${problem}, must be at least ${room}: xstate_size and MAGIC2`,
      known: sw.extendedSize === sw.xstateSize && countsMagic2(subject) ? [knownShapes.fexSize] : [],
    }
  const other = sw.extendedSize === room + (shape.fsave ? 0 : fsaveSize)
  const whose = other ? `; it is that of a ${shape.fsave ? '64' : '32'}-bit frame` : ''
  return {
    severity: 'warning',
    message: `${problem}, must be ${exact}: xstate_size, ${trailerText(subject)}${whose}`,
  }
}

export const sizeChecks: readonly Check[] = [
  { name: 'frame-cut-off', severity: 'error', field: 'fpstate', offset: null, look: cutOff },
  fieldCheck('xstate-size-below-header', 'error', 'sw.xstateSize', belowHeader),
  fieldCheck('xstate-size-too-small', 'error', 'sw.xstateSize', tooSmall),
  fieldCheck('xstate-size-too-large', 'error', 'sw.xstateSize', tooLarge),
  fieldCheck('xstate-size-not-native', 'note', 'sw.xstateSize', notNative),
  fieldCheck('extended-size', 'error', 'sw.extendedSize', extendedSize),
]
