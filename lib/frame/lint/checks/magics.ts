/** The two MAGICs, and what surrounds them. */
import { hex } from '../../../errors.ts'
import { fieldOffset } from '../../../xstate/image.ts'
import { legacyFeatures, legacySize, minXsaveSize } from '../../../xstate/layout.ts'
import { isIa32 } from '../../abi.ts'
import { frameFields, magic1, magic2, magic2Size } from '../../format.ts'
import { type Check, fieldCheck, type Problem } from '../check.ts'
import type { KnownShape } from '../finding.ts'
import { knownShapes } from '../known.ts'
import { type Subject, wordAt } from '../subject.ts'

const swAt = frameFields['sw.magic1'].at
/** Behind xstate_size: 7 words that nobody uses. */
const paddingAt = frameFields['sw.xstateSize'].at + 4

const firstNonZero = (bytes: Uint8Array, from: number, end: number): number | null => {
  for (let at = from; at < Math.min(end, bytes.length); at++) if (bytes[at] !== 0) return at
  return null
}

const missing1 = ({ sw, given, abi, area, length }: Subject): Problem | null => {
  if (length < legacySize || sw.magic1 === magic1 || given?.xsave === false) return null
  const zero = firstNonZero(area, swAt, legacySize) === null
  return {
    message: `sw.magic1 is ${hex(sw.magic1)}, must be ${hex(magic1)}: without it all but x87 and SSE is lost${given === null ? ' on a CPU with XSAVE' : ''}`,
    known: zero && isIa32(abi) ? [knownShapes.linuxSwBytes] : [],
  }
}

const padding = ({ sw, area, length }: Subject): Problem | null => {
  if (length < legacySize || sw.magic1 !== magic1) return null
  const at = firstNonZero(area, paddingAt, legacySize)
  if (at === null) return null
  return {
    offset: at,
    message: `sw.padding (byte ${at}) is ${hex(area[at] as number)}, must be 0: kernels clear it`,
    known: [knownShapes.qemuPadding],
  }
}

/** Whether the header is one that a kernel could have written for these xfeatures. */
const hasKernelsHeader = ({ header, sw, area }: Subject): boolean =>
  header !== null &&
  (header.xstateBv & legacyFeatures) === legacyFeatures &&
  (header.xstateBv & ~sw.xfeatures) === 0n &&
  firstNonZero(area, fieldOffset.xcompBv, minXsaveSize) === null

const whoseMagic2 = (subject: Subject): readonly KnownShape[] =>
  hasKernelsHeader(subject) ? [knownShapes.dynamoRioMagic2, knownShapes.fexMagic2] : [knownShapes.cclCopy]

/** Where else it may stand: before the end, for lack of room; where the CPU's own frames have it; as extended_size says. */
const elsewhere = (subject: Subject): number | null => {
  const { sw, layout, given, shape } = subject
  const places = [
    sw.xstateSize - magic2Size,
    ...(layout === null ? [] : [layout.size]),
    ...(given === null ? [] : [given.size]),
    sw.extendedSize - shape.trailer,
    sw.extendedSize - magic2Size,
  ]
  return places.find(at => at >= minXsaveSize && wordAt(subject, at) === magic2) ?? null
}

const missing2 = (subject: Subject): Problem | null => {
  const { extended, sw, given } = subject
  if (!extended || given?.xsave === false) return null
  const found = wordAt(subject, sw.xstateSize)
  if (found === null || found === magic2) return null
  const at = elsewhere(subject)
  const early = at === sw.xstateSize - magic2Size
  return {
    offset: sw.xstateSize,
    message: `MAGIC2 (at xstate_size, ${sw.xstateSize}) is ${hex(found)}, must be ${hex(magic2)}${at === null ? '' : `; it stands at ${at}`}: all but x87 and SSE is lost`,
    known: at === null ? whoseMagic2(subject) : early ? [knownShapes.fexSize] : [],
  }
}

/** The MAGIC1 of 512 bytes that were copied out of a frame, with nothing behind them. */
const copied = ({ extended, length, given }: Subject): Problem | null => {
  if (!extended || length < legacySize || length >= minXsaveSize || given?.xsave === false) return null
  return {
    message: `sw.magic1 is ${hex(magic1)}, but of the XSAVE area there are ${length} bytes: it must be 0 where the legacy region was copied alone`,
    known: [knownShapes.cclCopy],
  }
}

const stale = (subject: Subject): Problem | null => {
  const { extended, sw, layout, given } = subject
  if (!extended || layout === null || given === null || wordAt(subject, sw.xstateSize) !== magic2) return null
  const at = [given.size, layout.size].find(size => size > sw.xstateSize && wordAt(subject, size) === magic2)
  if (at === undefined) return null
  return {
    offset: at,
    message: `MAGIC2 (at ${at}, the size of this CPU’s frames) is ${hex(magic2)}, must be cleared: the frame ends at ${sw.xstateSize}`,
    known: [knownShapes.linuxStaleMagic2],
  }
}

export const magicChecks: readonly Check[] = [
  fieldCheck('magic1-missing', 'error', 'sw.magic1', missing1),
  fieldCheck('magic1-of-a-copy', 'error', 'sw.magic1', copied),
  { name: 'sw-padding', severity: 'warning', field: 'sw.padding', offset: paddingAt, look: padding },
  { name: 'magic2-missing', severity: 'error', field: 'MAGIC2', offset: null, look: missing2 },
  { name: 'magic2-stale', severity: 'warning', field: 'MAGIC2', offset: null, look: stale },
]
