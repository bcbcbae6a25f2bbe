/** Which bytes XRSTOR takes as they are on every CPU: all others are odd, and asked of the hardware. */
import { fieldOffset, palette1, tilecfgOffset } from '../../xstate/image.ts'
import type { PlacedComponent } from '../../xstate/layout.ts'

const word = (bytes: Uint8Array, at: number): number =>
  (bytes[at] as number) | ((bytes[at + 1] as number) << 8)

// FCW: bit 6 always reads 1; 7 and 13..15 are reserved (SDM volume 1, 8.1.5).
const fcwFixed = 0xe0c0
const fcwFixedValue = 0x40
const fswEsAndB = 0x8080
const exceptions = 0x3f

/** Whether x87's words are as XSAVE would write them, with no exception pending. */
export const isPlainX87 = (bytes: Uint8Array): boolean => {
  const fcw = word(bytes, fieldOffset.fcw)
  const fsw = word(bytes, fieldOffset.fsw)
  return (
    (fcw & fcwFixed) === fcwFixedValue &&
    (fsw & fswEsAndB) === 0 &&
    (fsw & ~fcw & exceptions) === 0 &&
    bytes[fieldOffset.ftw + 1] === 0
  )
}

const isZero = (bytes: Uint8Array, from: number, end: number): boolean => {
  for (let i = from; i < end; i++) if (bytes[i] !== 0) return false
  return true
}

// What LDTILECFG would refuse, XRSTOR makes init of, or so some CPUs do.
const isPlainTilecfg = (bytes: Uint8Array, at: number): boolean => {
  const { colsb, rows } = tilecfgOffset
  if (bytes[at] !== 1 || !isZero(bytes, at + 1, at + colsb)) return isZero(bytes, at, at + 64)
  const colsbEnd = at + colsb + 2 * palette1.tiles
  const rowsEnd = at + rows + palette1.tiles
  if (!isZero(bytes, colsbEnd, at + rows) || !isZero(bytes, rowsEnd, at + 64)) return false
  for (let i = 0; i < palette1.tiles; i++) {
    const columns = word(bytes, at + colsb + 2 * i)
    const lines = bytes[at + rows + i] as number
    if (columns > palette1.colsb || lines > palette1.rows || (columns === 0) !== (lines === 0)) return false
  }
  return true
}

// BNDCFGU: bits 2..11 are reserved, the base is canonical (SDM volume 1, appendix E).
const isPlainBndcsr = (bytes: Uint8Array, at: number): boolean =>
  (word(bytes, at) & 0xffc) === 0 && isZero(bytes, at + 6, at + 8) && ((bytes[at + 5] as number) & 0x80) === 0

/** Whether an extended component's bytes are loaded as they are. */
export const isPlainComponent = ({ name, offset }: PlacedComponent, bytes: Uint8Array): boolean => {
  if (name === 'xtilecfg') return isPlainTilecfg(bytes, offset)
  return name !== 'bndcsr' || isPlainBndcsr(bytes, offset)
}
