/** The rest of the XSAVE header: SDM volume 1, 13.4.2, 13.8.1 and 13.8.2; `validate_user_xstate_header` for 32-bit frames. */
import { hex } from '../../../errors.ts'
import { fieldOffset } from '../../../xstate/image.ts'
import { minXsaveSize } from '../../../xstate/layout.ts'
import { isIa32 } from '../../abi.ts'
import { type Check, fieldCheck, type Problem } from '../check.ts'
import { knownShapes } from '../known.ts'
import type { Subject } from '../subject.ts'
import { maskText } from '../words.ts'

const compacted = 1n << 63n
/** In the standard format XRSTOR looks at 528..535; of what is behind, CPUs differ. In the compacted one it looks at all. */
const lookedAt = 536

/** The compacted format (SDM volume 1, 13.4.3). */
const isCompacted = ({ header }: Subject): boolean => ((header?.xcompBv ?? 0n) & compacted) !== 0n

/** Why XRSTOR faults at it (SDM volume 1, 13.8.1 and 13.8.2); null where it need not. */
const faults = (subject: Subject): string | null => {
  const { header, given } = subject
  if (header === null) return null
  const { xcompBv, xstateBv } = header
  if (!isCompacted(subject)) return 'it describes no format, and the frame is rejected'
  const lacks = xstateBv & ~xcompBv
  if (lacks !== 0n)
    return `it describes no format for ${maskText(lacks)}, which xstateBv has, and the frame is rejected`
  const beyond = xcompBv & ~compacted & ~(given?.hostFeatures ?? ~0n)
  return beyond === 0n ? null : `the CPU has no ${maskText(beyond)}, and the frame is rejected`
}

/** Never right: portable kernels, too, tell its size by the standard format, and older CPUs have no other. */
const xcompBv = (subject: Subject): Problem | null => {
  const { header, abi } = subject
  if (header === null || header.xcompBv === 0n) return null
  const why = isIa32(abi) ? 'a 32-bit frame with any is rejected' : faults(subject)
  return {
    message: `xcompBv is ${hex(header.xcompBv)}, must be 0x0: ${why ?? 'this is the compacted format, which no kernel writes, and CPUs without XSAVEC reject'}`,
  }
}

const reserved = (subject: Subject): Problem | null => {
  const { header, area, abi } = subject
  if (header === null) return null
  for (let at: number = fieldOffset.reserved; at < minXsaveSize; at++) {
    if (area[at] === 0) continue
    const rejected = at < lookedAt || isIa32(abi) || isCompacted(subject)
    return {
      severity: rejected ? 'error' : 'warning',
      offset: at,
      message: `the header’s reserved byte ${at} is ${hex(area[at] as number)}, must be 0: ${rejected ? 'the frame is rejected' : 'not every CPU ignores it'}`,
      known: [knownShapes.dynamoRioHeader],
    }
  }
  return null
}

export const headerChecks: readonly Check[] = [
  fieldCheck('xcomp-bv', 'error', 'xcompBv', xcompBv),
  {
    name: 'header-reserved',
    severity: 'error',
    field: 'header.reserved',
    offset: fieldOffset.reserved,
    look: reserved,
  },
]
