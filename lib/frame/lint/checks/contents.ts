/** Components whose bytes a CPU does not take as they are: XRSTOR faults, loads something else, or hurts the process. */
import { hex } from '../../../errors.ts'
import type { ComponentName } from '../../../xstate/components.ts'
import { palette1, tilecfgOffset } from '../../../xstate/image.ts'
import type { Check, Problem } from '../check.ts'
import type { Severity } from '../finding.ts'
import { loadedFrom, type Subject } from '../subject.ts'

type Look = (bytes: Uint8Array, view: DataView, at: number) => Problem | null

const contentCheck = (
  name: string,
  severity: Severity,
  component: ComponentName,
  field: string,
  look: Look,
): Check => ({
  name,
  severity,
  field,
  offset: null,
  look: (subject: Subject) => {
    const placed = loadedFrom(subject).find(one => one.name === component)
    if (placed === undefined) return null
    const bytes = subject.area.subarray(placed.offset, placed.end)
    const problem = look(bytes, new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), placed.offset)
    return problem === null ? null : { offset: placed.offset, ...problem }
  },
})

const firstNonZero = (bytes: Uint8Array, from: number): number => {
  const found = bytes.subarray(from).findIndex(byte => byte !== 0)
  return found < 0 ? -1 : from + found
}

const pkruUpper: Look = (bytes, _, at) => {
  const found = firstNonZero(bytes, 4)
  if (found < 0) return null
  return {
    offset: at + found,
    message: `pkru (byte ${found} of 8) is ${hex(bytes[found] as number)}: only 4 bytes are the register, and need be written`,
  }
}

/** Bits 0 and 1 are those of key 0: access disable, write disable. */
const pkruKey0: Look = (_, view) => {
  const pkru = view.getUint32(0, true)
  if ((pkru & 3) === 0) return null
  const closed = (pkru & 1) !== 0
  return {
    message: `pkru is ${hex(pkru)}, which ${closed ? 'closes' : 'write-protects'} key 0: the process ends, unless its memory has other keys`,
  }
}

const bndcfguReserved = 0xffcn

// SDM volume 1, appendix E: MPX CPUs have 48-bit addresses.
const bndcsr: Look = (_, view) => {
  const value = view.getBigUint64(0, true)
  const canonical = BigInt.asIntN(48, value) === BigInt.asIntN(64, value)
  if ((value & bndcfguReserved) === 0n && canonical) return null
  return {
    message: `bndcfgu is ${hex(value)}, must be a canonical address without bits ${hex(bndcfguReserved)}: the frame is rejected`,
  }
}

const tileReserved = (i: number): boolean => (i >= 2 && i < 16) || (i >= 32 && i < 48) || i >= 56

const badTile = (view: DataView): number => {
  for (let i = 0; i < palette1.tiles; i++) {
    const rows = view.getUint8(tilecfgOffset.rows + i)
    const colsb = view.getUint16(tilecfgOffset.colsb + 2 * i, true)
    if (rows > palette1.rows || colsb > palette1.colsb || (rows === 0) !== (colsb === 0)) return i
  }
  return -1
}

const goesToInit = 'XRSTOR makes its init state of it, and what it held is lost'

const xtilecfg: Look = (bytes, view, at) => {
  if (firstNonZero(bytes, 0) < 0) return null
  if (bytes[0] !== 1) return { message: `xtilecfg.palette is ${bytes[0]}, must be 1: ${goesToInit}` }
  const reserved = bytes.findIndex((byte, i) => byte !== 0 && tileReserved(i))
  if (reserved >= 0)
    return {
      offset: at + reserved,
      message: `xtilecfg (byte ${reserved}) is ${hex(bytes[reserved] as number)}, must be 0: ${goesToInit}`,
    }
  const tile = badTile(view)
  if (tile < 0) return null
  const rows = view.getUint8(tilecfgOffset.rows + tile)
  const colsb = view.getUint16(tilecfgOffset.colsb + 2 * tile, true)
  return {
    offset: at + tilecfgOffset.rows + tile,
    message: `xtilecfg.rows[${tile}] is ${rows} with ${colsb} bytes, must be at most ${palette1.rows} and ${palette1.colsb}, both 0 or neither: ${goesToInit}`,
  }
}

export const contentChecks: readonly Check[] = [
  contentCheck('pkru-upper-bytes', 'note', 'pkru', 'pkru', pkruUpper),
  contentCheck('pkru-key-0', 'error', 'pkru', 'pkru', pkruKey0),
  contentCheck('bndcsr-reserved', 'error', 'bndcsr', 'bndcfgu', bndcsr),
  contentCheck('xtilecfg', 'error', 'xtilecfg', 'xtilecfg', xtilecfg),
]
