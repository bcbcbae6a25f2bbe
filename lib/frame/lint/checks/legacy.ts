/** What the legacy region holds beside registers: MXCSR and its mask, x87's words. SDM volume 1, 8.1, 10.2.3, 11.6.6. */
import { hex } from '../../../errors.ts'
import { fieldOffset, fswEs } from '../../../xstate/image.ts'
import { defaultMxcsrMask, legacySize } from '../../../xstate/layout.ts'
import { fsaveFields } from '../../fsave.ts'
import { type Check, fieldCheck, type Problem } from '../check.ts'
import { hasX87, type Subject } from '../subject.ts'

const maskOf = ({ given, view }: Subject): number =>
  given?.mxcsrMask ?? (view.getUint32(fieldOffset.mxcsrMask, true) || defaultMxcsrMask)

const mxcsr = (subject: Subject): Problem | null => {
  if (subject.length < legacySize) return null
  const value = subject.view.getUint32(fieldOffset.mxcsr, true)
  const mask = maskOf(subject)
  // As unsigned: bit 31 would make it negative.
  if ((value & ~mask) === 0) return null
  return { message: `mxcsr is ${hex(value)}, which has bits outside ${hex(mask)}: the frame is rejected` }
}

const mxcsrMask = ({ given, view, length }: Subject): Problem | null => {
  if (given === null || length < legacySize) return null
  const value = view.getUint32(fieldOffset.mxcsrMask, true)
  if ((value || defaultMxcsrMask) === given.mxcsrMask) return null
  return {
    message: `mxcsrMask is ${hex(value)}, this CPU’s is ${hex(given.mxcsrMask)}; it is not read on the return`,
  }
}

/** x87's words that count: those of the fsave header, where there is one. */
const wordsOf = ({ fsave, view }: Subject): { fcw: number; fsw: number; at: readonly [number, number] } => {
  if (fsave === null)
    return {
      fcw: view.getUint16(fieldOffset.fcw, true),
      fsw: view.getUint16(fieldOffset.fsw, true),
      at: [fieldOffset.fcw, fieldOffset.fsw],
    }
  const header = new DataView(fsave.buffer, fsave.byteOffset, fsave.byteLength)
  return {
    fcw: header.getUint16(fsaveFields.cw.at, true),
    fsw: header.getUint16(fsaveFields.sw.at, true),
    at: [fsaveFields.cw.at - fsave.length, fsaveFields.sw.at - fsave.length],
  }
}

const prefix = ({ fsave }: Subject): string => (fsave === null ? '' : 'fsave.')

const fcwFixed = 0xe0c0
const fcwFixedValue = 0x40
const exceptions = 0x3f
const busy = 0x8000

const fcw = (subject: Subject): Problem | null => {
  if (subject.length < legacySize || !hasX87(subject)) return null
  const { fcw: value, at } = wordsOf(subject)
  if ((value & fcwFixed) === fcwFixedValue) return null
  const field = `${prefix(subject)}${subject.fsave === null ? 'fcw' : 'cw'}`
  return {
    field,
    offset: at[0],
    message: `${field} is ${hex(value)}, of which bits ${hex(fcwFixed)} must be ${hex(fcwFixedValue)}: no CPU keeps others, and another value arrives`,
  }
}

const fsw = (subject: Subject): Problem | null => {
  if (subject.length < legacySize || !hasX87(subject)) return null
  const { fcw: control, fsw: value, at } = wordsOf(subject)
  const pending = (value & ~control & exceptions) !== 0
  const summary = pending ? fswEs | busy : 0
  if ((value & (fswEs | busy)) === summary) return null
  const field = `${prefix(subject)}${subject.fsave === null ? 'fsw' : 'sw'}`
  return {
    field,
    offset: at[1],
    message: `${field} is ${hex(value)}, of which ES and B must be ${hex(summary)}: ${pending ? 'an exception is' : 'no exception is'} pending, and another value arrives`,
  }
}

export const legacyChecks: readonly Check[] = [
  fieldCheck('mxcsr-reserved', 'error', 'mxcsr', mxcsr),
  {
    name: 'mxcsr-mask',
    severity: 'note',
    field: 'mxcsrMask',
    offset: fieldOffset.mxcsrMask,
    look: mxcsrMask,
  },
  fieldCheck('fcw-fixed-bits', 'error', 'fcw', fcw),
  fieldCheck('fsw-summary', 'error', 'fsw', fsw),
]
