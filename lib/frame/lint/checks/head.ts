/** Where the frame lies, and what points to it: arch/x86/kernel/signal_64.c, signal_32.c, ia32/ia32_signal.c. */
import { hex } from '../../../errors.ts'
import { legacySize } from '../../../xstate/layout.ts'
import type { HeadField } from '../../abi.ts'
import { isIa32 } from '../../abi.ts'
import { magic1 } from '../../format.ts'
import type { Check, Problem } from '../check.ts'
import { knownShapes } from '../known.ts'
import { headFieldOf, type Subject } from '../subject.ts'

const xsaveAlignment = 64n
const fxsaveAlignment = 16n

const alignment = ({ address, abi, xsave }: Subject): Problem | null => {
  if (address === null || address % xsaveAlignment === 0n) return null
  const message = `address is ${hex(address)}, must be a multiple of ${xsaveAlignment}`
  if (isIa32(abi))
    return {
      severity: 'warning',
      message: `${message}: older kernels (5.10) restore x87 and SSE alone from it`,
      known: [knownShapes.dynamoRioAlignment, knownShapes.criuAlignment],
    }
  const loads = xsave ? xsaveAlignment : fxsaveAlignment
  return address % loads === 0n
    ? { severity: 'warning', message: `${message}, as kernels place it` }
    : { message: `${message}: the frame is rejected`, known: [knownShapes.felixAlignment] }
}

const pointer = (subject: Subject, head: Uint8Array | null): Problem | null => {
  const value = headFieldOf(subject, head, 'fpstate')
  if (value === null) return null
  if (value === 0n)
    return { message: 'head.fpstate is 0x0: no frame is read, and all of the state goes to init' }
  if (subject.address === null) return null
  const { fsaveSize } = subject.shape
  const expected = subject.address - BigInt(fsaveSize)
  if (value === expected) return null
  const what = fsaveSize === 0 ? 'the XSAVE area' : 'the fsave header'
  return { message: `head.fpstate is ${hex(value)}, must be ${hex(expected)}: where ${what} lies` }
}

const ucFpXstate = 1n
const ucSigcontextSs = 2n

const flagXstate = (subject: Subject, head: Uint8Array | null): Problem | null => {
  const flags = headFieldOf(subject, head, 'ucFlags')
  const { xsave, sw, given, length } = subject
  if (flags === null || length < legacySize) return null
  // Whether there is XSAVE nobody says then.
  if (given === null && sw.magic1 !== magic1) return null
  if (((flags & ucFpXstate) !== 0n) === xsave) return null
  return {
    message: `head.ucFlags is ${hex(flags)}, must ${xsave ? 'have' : 'lack'} UC_FP_XSTATE (0x1): xstate_size is ${sw.xstateSize}`,
  }
}

/** Of 64-bit frames alone: kernels before 4.6 wrote no SS. */
const lacksSs = (subject: Subject, head: Uint8Array | null): boolean => {
  const flags = headFieldOf(subject, head, 'ucFlags')
  return flags !== null && !isIa32(subject.abi) && (flags & ucSigcontextSs) === 0n
}

const flagSs = (subject: Subject, head: Uint8Array | null): Problem | null => {
  if (!lacksSs(subject, head)) return null
  return {
    message: `head.ucFlags is ${hex(headFieldOf(subject, head, 'ucFlags') ?? 0n)}, which lacks UC_SIGCONTEXT_SS (0x2): kernels before 4.6 set it not, nor do some emulators`,
    known: [knownShapes.qemuFlags],
  }
}

const rpl = 3n

const segment =
  (name: HeadField & ('cs' | 'ss')) =>
  (subject: Subject, head: Uint8Array | null): Problem | null => {
    const value = headFieldOf(subject, head, name)
    if (value === null || ((value & rpl) === rpl && value > rpl)) return null
    if (name === 'ss' && lacksSs(subject, head)) return null
    const what = value <= rpl ? 'it selects nothing' : 'user code has no other privilege'
    return { message: `head.${name} is ${hex(value)}, must be a selector of privilege 3: ${what}` }
  }

export const headChecks: readonly Check[] = [
  { name: 'misaligned', severity: 'error', field: 'address', offset: 0, look: alignment },
  { name: 'fpstate-pointer', severity: 'error', field: 'head.fpstate', offset: null, look: pointer },
  { name: 'uc-flags-xstate', severity: 'warning', field: 'head.ucFlags', offset: null, look: flagXstate },
  { name: 'uc-flags-ss', severity: 'note', field: 'head.ucFlags', offset: null, look: flagSs },
  { name: 'cs-selector', severity: 'warning', field: 'head.cs', offset: null, look: segment('cs') },
  { name: 'ss-selector', severity: 'warning', field: 'head.ss', offset: null, look: segment('ss') },
]
