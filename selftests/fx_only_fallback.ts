import { shrinkTo } from '../lib/contract/frames.ts'
import type { EditOp } from '../lib/frame/edit.ts'
import { magic1, magic2, magic2Size } from '../lib/frame/format.ts'
import { type CaseContext, selftest } from '../lib/harness/selftest.ts'
import { type Layout, minXsaveSize } from '../lib/xstate/layout.ts'

const source = 'arch/x86/kernel/fpu/signal.c, check_xstate_in_sigframe'
const portable = '3d69596c684b..391cac638edd'
const everyBit = 0xffff_ffff
const alignment = 64

/** xstate_size alone is wrong: extended_size goes with it, and MAGIC2 stays where the host has it. */
const sized = (xstateSize: number): EditOp[] => [{ op: 'resize', xstateSize }]

const magic2Bytes = (value: number): Uint8Array => {
  const bytes = new Uint8Array(magic2Size)
  new DataView(bytes.buffer).setUint32(0, value, true)
  return bytes
}

/** The frame that has none but x87 and SSE: 576 bytes. */
const legacyFrame = (layout: Layout): EditOp[] => shrinkTo(layout, [])

/** The furthest size up to the task's at which the area before an unreadable page is aligned. */
const guardSize = (layout: Layout): number => Math.floor(layout.size / alignment) * alignment

/**
 * Every condition under which the kernel restores the legacy state alone, one at a time, all else being right; and
 * the one that looks like them and is a SIGSEGV.
 */
export default selftest('fx_only_fallback', {
  summary: 'Each reason not to believe a frame’s extended state leads to FX-only, proved by its witness.',
  variants: 'once',
  cases: {
    magic1_zero: {
      summary: 'MAGIC1 is 0.',
      rule: 'magic1-is-required',
      commit: source,
      edit: () => [{ op: 'set', field: 'sw.magic1', value: 0 }],
    },
    magic1_bit: {
      summary: 'MAGIC1 has one bit flipped.',
      rule: 'magic1-is-required',
      commit: source,
      edit: () => [{ op: 'set', field: 'sw.magic1', value: magic1 ^ 1 }],
    },
    magic1_high_bit: {
      summary: 'MAGIC1 has its highest bit flipped.',
      rule: 'magic1-is-required',
      commit: source,
      edit: () => [{ op: 'xor', field: 'sw.magic1', value: 0x8000_0000 }],
    },
    magic1_is_magic2: {
      summary: 'MAGIC1 is MAGIC2.',
      rule: 'magic1-is-required',
      commit: source,
      edit: () => [{ op: 'set', field: 'sw.magic1', value: magic2 }],
    },
    size_zero: {
      summary: 'xstate_size is 0.',
      rule: 'size-below-576-is-fx-only',
      commit: source,
      edit: () => sized(0),
    },
    size_512: {
      summary: 'xstate_size is 512: no room for the header.',
      rule: 'size-below-576-is-fx-only',
      commit: source,
      edit: () => sized(512),
    },
    size_575: {
      summary: 'xstate_size is 575: one byte short.',
      rule: 'size-below-576-is-fx-only',
      commit: source,
      edit: () => sized(minXsaveSize - 1),
    },
    size_440: {
      summary: 'xstate_size is 440, and MAGIC2 lies there too, where no register does.',
      rule: 'size-below-576-is-fx-only',
      commit: source,
      edit: () => [...sized(440), { op: 'magic2' }],
    },
    size_plus_64: {
      summary: 'xstate_size is 64 above what the task has, MAGIC2 at both sizes.',
      rule: 'size-above-user-size-is-fx-only',
      commit: source,
      edit: ({ layout }) => [...sized(layout.size + alignment), { op: 'magic2' }],
    },
    size_above_extended: {
      summary: 'extended_size is one less than xstate_size.',
      rule: 'size-above-extended-size-is-fx-only',
      commit: source,
      edit: ({ layout }) => [{ op: 'set', field: 'sw.extendedSize', value: layout.size - 1 }],
    },
    extended_size_zero: {
      summary: 'extended_size is 0.',
      rule: 'size-above-extended-size-is-fx-only',
      commit: source,
      edit: () => [{ op: 'set', field: 'sw.extendedSize', value: 0 }],
    },
    extended_size_equal: {
      summary: 'extended_size is xstate_size: no byte for MAGIC2.',
      rule: 'extended-size-has-room-for-magic2',
      commit: portable,
      edit: ({ layout }) => [{ op: 'set', field: 'sw.extendedSize', value: layout.size }],
    },
    extended_size_plus_3: {
      summary: 'extended_size has three of the four bytes of MAGIC2.',
      rule: 'extended-size-has-room-for-magic2',
      commit: portable,
      edit: ({ layout }) => [{ op: 'set', field: 'sw.extendedSize', value: layout.size + magic2Size - 1 }],
    },
    magic2_zero: {
      summary: 'MAGIC2 is 0.',
      rule: 'magic2-is-required',
      commit: source,
      edit: ({ layout }) => [{ op: 'fill', at: layout.size, length: magic2Size, value: 0 }],
    },
    magic2_bit: {
      summary: 'MAGIC2 has one bit flipped.',
      rule: 'magic2-is-required',
      commit: source,
      edit: ({ layout }) => [
        { op: 'write', at: layout.size, bytes: magic2Bytes((magic2 ^ (1 << 31)) & everyBit) },
      ],
    },
    magic2_in_legacy_frame: {
      summary: 'A frame of 576 bytes, x87 and SSE alone, without MAGIC2 behind it or anywhere.',
      rule: 'magic2-is-required',
      commit: source,
      edit: ({ layout }) => [
        ...legacyFrame(layout),
        { op: 'fill', at: minXsaveSize, length: magic2Size, value: 0 },
      ],
    },
    magic2_unreadable: {
      summary: 'MAGIC2 would lie in a page that cannot be read: SIGSEGV, not FX-only.',
      rule: 'magic2-is-readable',
      commit: source,
      placement: 'guard',
      edit: ({ layout }: CaseContext) => {
        const size = guardSize(layout)
        return [...sized(size), { op: 'move', guardAt: size }]
      },
    },
  },
})
