/** The fsave header of 32-bit frames: x87 is restored from it, whatever the XSAVE area says. */
import { hex } from '../../../errors.ts'
import { fieldOffset, fswEs } from '../../../xstate/image.ts'
import { legacySize } from '../../../xstate/layout.ts'
import { isIa32 } from '../../abi.ts'
import { type FsaveField, foldFsave, fsaveFields, fsaveSize, fsaveSt } from '../../fsave.ts'
import type { Check, Problem } from '../check.ts'
import { hasX87, type Subject } from '../subject.ts'

const read = (fsave: Uint8Array, name: FsaveField): number => {
  const { at, width } = fsaveFields[name]
  const view = new DataView(fsave.buffer, fsave.byteOffset, fsave.byteLength)
  return width === 2 ? view.getUint16(at, true) : view.getUint32(at, true)
}

const place = (name: FsaveField): number => fsaveFields[name].at - fsaveSize

/** Not the frame's fault: nobody knows what x87 comes back as. */
const unknown = ({ fsave, abi }: Subject): Problem | null => {
  if (fsave !== null || !isIa32(abi)) return null
  return {
    message: `fsave is not known: x87 is restored from these ${fsaveSize} bytes before the XSAVE area, and was not looked at`,
  }
}

const magic = ({ fsave }: Subject): Problem | null => {
  if (fsave === null) return null
  const value = read(fsave, 'magic')
  if (value === 0) return null
  return {
    message: `fsave.magic is ${hex(value)}, must be 0x0: an FXSAVE image follows (0xffff: none does)`,
  }
}

const status = ({ fsave }: Subject): Problem | null => {
  if (fsave === null) return null
  const value = read(fsave, 'status')
  const sw = read(fsave, 'sw') & 0xffff
  return value === sw
    ? null
    : {
        message: `fsave.status is ${hex(value)}, kernels write fsave.sw's ${hex(sw)}; it is not read on the return`,
      }
}

const upperHalves: readonly FsaveField[] = ['cw', 'sw', 'tag', 'datasel']
const upperHalf = 0xffff

const upper = ({ fsave }: Subject): Problem | null => {
  if (fsave === null) return null
  const name = upperHalves.find(one => read(fsave, one) >>> 16 !== upperHalf)
  if (name === undefined) return null
  return {
    field: `fsave.${name}`,
    offset: place(name),
    message: `fsave.${name} is ${hex(read(fsave, name))}, kernels write ${hex(upperHalf)} as its upper half; it is not read on the return`,
  }
}

const stSize = 16

/** The first x87 field in which the area differs from what the header makes of it. */
const differing = (area: Uint8Array, folded: Uint8Array): string | null => {
  const differs = (from: number, end: number): boolean => {
    for (let i = from; i < end; i++) if (area[i] !== folded[i]) return true
    return false
  }
  if (differs(fieldOffset.fcw, fieldOffset.fsw)) return 'cw'
  if (differs(fieldOffset.fsw, fieldOffset.ftw)) return 'sw'
  if (differs(fieldOffset.ftw, fieldOffset.ftw + 1)) return 'tag'
  // AMD writes pointers only where an exception is pending. FOP is never in a header; the selectors share FIP's place.
  const pending = ((area[fieldOffset.fsw] as number) & fswEs) !== 0
  if (pending && differs(fieldOffset.fip, fieldOffset.fip + 4)) return 'ipoff'
  if (pending && differs(fieldOffset.fdp, fieldOffset.fdp + 4)) return 'dataoff'
  for (let i = 0; i < fsaveSt.count; i++) {
    const at = fieldOffset.st + i * stSize
    if (differs(at, at + fsaveSt.size)) return `st(${i})`
  }
  return null
}

const unlike = (subject: Subject): Problem | null => {
  const { fsave, area, length } = subject
  if (fsave === null || length < legacySize || !hasX87(subject)) return null
  const legacy = area.subarray(0, legacySize)
  const field = differing(legacy, foldFsave(legacy, fsave))
  if (field === null) return null
  return {
    field: `fsave.${field}`,
    message: `fsave.${field} is another than in the XSAVE area: only the fsave header is read on the return`,
  }
}

export const fsaveChecks: readonly Check[] = [
  { name: 'fsave-unknown', severity: 'note', field: 'fsave', offset: -fsaveSize, look: unknown },
  { name: 'fsave-magic', severity: 'warning', field: 'fsave.magic', offset: place('magic'), look: magic },
  { name: 'fsave-status', severity: 'note', field: 'fsave.status', offset: place('status'), look: status },
  { name: 'fsave-upper-halves', severity: 'note', field: 'fsave', offset: -fsaveSize, look: upper },
  { name: 'fsave-unlike-area', severity: 'warning', field: 'fsave', offset: -fsaveSize, look: unlike },
]
