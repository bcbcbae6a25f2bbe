/**
 * What a simulated kernel makes of a 32-bit frame's x87 state: arch/x86/kernel/fpu/regset.c, `convert_to_fxsr`. Written
 * apart from lib/frame/fsave.ts, from the two formats: SDM volume 1, figures 8-9 (FSAVE) and table 10-2 (FXSAVE).
 */
import type { Slip } from './simulated-slips.ts'

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)

const registers = [0, 1, 2, 3, 4, 5, 6, 7] as const
const special = 2
const empty = 3

/** One bit for each physical register, from two. */
const abridged = (tags: number, isEmpty: (tag: number) => boolean): number =>
  registers.reduce<number>((bits, i) => (isEmpty((tags >> (2 * i)) & 3) ? bits : bits | (1 << i)), 0)

const turned = (tags: number, top: number): number => ((tags >> top) | (tags << (8 - top))) & 0xff

const tagsOf = (fsave: DataView, slip: Slip | undefined): number => {
  const tags = fsave.getUint16(8, true)
  if (slip === 'ia32: tags as they are') return tags
  const bits = abridged(
    tags,
    tag => tag === empty || (slip === 'ia32: special registers are empty' && tag === special),
  )
  return slip === 'ia32: tags turned by TOP' ? turned(bits, (fsave.getUint16(4, true) >> 11) & 7) : bits
}

/**
 * @param area at least its first 160 bytes
 * @returns a copy with the header's x87 state
 */
export const folded = (area: Uint8Array, header: Uint8Array, slip: Slip | undefined): Uint8Array => {
  const bytes = area.slice()
  if (slip === 'ia32: x87 is the area’s') return bytes
  const to = viewOf(bytes)
  const from = viewOf(header)
  to.setUint16(0, from.getUint16(0, true), true)
  to.setUint16(2, from.getUint16(slip === 'ia32: FSW is the one that is not read' ? 108 : 4, true), true)
  to.setUint16(4, tagsOf(from, slip), true)
  to.setUint16(6, slip === 'ia32: FOP is lost' ? 0 : from.getUint16(18, true), true)
  to.setBigUint64(8, BigInt(from.getUint32(12, true)), true)
  to.setBigUint64(16, BigInt(from.getUint32(slip === 'ia32: FDP is FIP' ? 12 : 20, true)), true)
  for (const i of registers) {
    if (i === 7 && slip === 'ia32: ST7 is forgotten') break
    bytes.set(header.subarray(28 + 10 * i, 38 + 10 * i), 32 + 16 * i)
  }
  return bytes
}
