import { resizeTo, shrinkTo } from '../lib/contract/frames.ts'
import type { RuleId } from '../lib/contract/rules.ts'
import { magic2Size } from '../lib/frame/format.ts'
import { needsExtended, needsFramesAbove } from '../lib/harness/needs.ts'
import { type CaseContext, selftest } from '../lib/harness/selftest.ts'
import { type Layout, legacySize, minXsaveSize } from '../lib/xstate/layout.ts'

/** Where XSAVE puts AVX-512 on Intel's CPUs and on AMD's, and where their frames then end. */
const intel = { opmask: 1088, end: 2688 }
const amd = { opmask: 832, end: 2432 }

/** Components one behind the other, without the holes of the standard format. */
const packedSize = (layout: Layout): number =>
  layout.extended.reduce((size, component) => size + component.size, minXsaveSize)

/** The size that a frame has where the other vendor's offsets are believed. */
const othersSize = (layout: Layout): number =>
  layout.offset('opmask') === intel.opmask ? amd.end : intel.end

/** What size rule a frame of this size reaches. */
const ruleOfSize = (size: number, layout: Layout): RuleId =>
  size < layout.size ? 'too-small-is-rejected' : 'larger-frame-restores'

/** MAGIC2 there would be read as keys, tile configuration or bounds: what happens then says nothing of sizes. */
const hitsFragile = (layout: Layout, size: number): boolean =>
  layout.extended.some(
    ({ name, offset, end }) =>
      ['pkru', 'xtilecfg', 'bndcsr'].includes(name) && size < end && size + magic2Size > offset,
  )

const needsHoles = ({ layout }: CaseContext): string | null => {
  const size = packedSize(layout)
  if (size === layout.size) return 'this task’s frames have no holes between components'
  return hitsFragile(layout, size) ? 'MAGIC2 would be read as the state of a component' : null
}

const needsAvx512 = ({ layout }: CaseContext): string | null => {
  if (!layout.has('opmask')) return 'this task has no AVX-512'
  return hitsFragile(layout, othersSize(layout)) ? 'MAGIC2 would be read as the state of a component' : null
}

/** Bytes of the standard format with every component of XCR0, also those that the task has not. */
const hostSize = ({ cpu }: CaseContext): number =>
  cpu.components.reduce((size, c) => (c.supervisor ? size : Math.max(size, c.offset + c.size)), minXsaveSize)

/** Frames that other projects have made by mistake, each as its kernel would have met it. */
export default selftest('foreign_frames', {
  summary:
    'Frames as checkpointers, emulators and runtimes have got them wrong, and what the kernel makes of them.',
  variants: 'once',
  cases: {
    holes_forgotten: {
      summary: 'xstate_size as if components lay side by side (CRIU#1042, without MPX; asterinas#3920).',
      rule: 'too-small-is-rejected',
      commit: 'checkpoint-restore/criu#1042, asterinas/asterinas#3920',
      needs: needsHoles,
      edit: ({ layout }) => resizeTo(packedSize(layout)),
    },
    cut_at_a_page: {
      summary: 'A large frame of which 4096 bytes were kept, the rest zero (CRIU#2835, Sapphire Rapids).',
      rule: 'magic2-is-required',
      commit: 'checkpoint-restore/criu#2835',
      needs: needsFramesAbove(4096),
      edit: ({ layout }) => [{ op: 'fill', at: 4096, length: layout.size + magic2Size - 4096, value: 0 }],
    },
    magic2_missing: {
      summary: 'Everything there but MAGIC2: the upper halves of YMM are lost (DynamoRIO#3812).',
      rule: 'magic2-is-required',
      commit: 'DynamoRIO/dynamorio#3812',
      needs: needsExtended,
      edit: ({ layout }) => [{ op: 'fill', at: layout.size, length: magic2Size, value: 0 }],
    },
    legacy_part_copied: {
      summary:
        'The legacy 512 bytes with MAGIC1 in them, and nothing of what they promise (Clozure/ccl#556).',
      rule: 'magic2-is-required',
      commit: 'Clozure/ccl#556',
      edit: ({ layout }) => [
        { op: 'fill', at: legacySize, length: layout.size + magic2Size - legacySize, value: 0 },
      ],
    },
    magic1_alone: {
      summary: 'MAGIC1 though there is no extended state: sizes and features 0 (FEX#4644, without AVX).',
      rule: 'size-below-576-is-fx-only',
      commit: 'FEX-Emu/FEX#4644',
      edit: () => [
        { op: 'set', field: 'sw.xstateSize', value: 0 },
        { op: 'set', field: 'sw.extendedSize', value: 0 },
        { op: 'set', field: 'sw.xfeatures', value: 0 },
      ],
    },
    other_vendor: {
      summary: 'The size of the other vendor’s frame, whose AVX-512 lies elsewhere (rr#3573).',
      rule: ({ layout }) => ruleOfSize(othersSize(layout), layout),
      commit: 'rr-debugger/rr#3573',
      needs: needsAvx512,
      edit: ({ layout }) => [
        // The old MAGIC2 would hide a kernel that looks there.
        { op: 'fill', at: layout.size, length: magic2Size, value: 0 },
        ...resizeTo(othersSize(layout)),
      ],
    },
    tiles_in_a_task_without: {
      summary: 'The frame of a task with AMX tiles, returned in one that has not touched them.',
      rule: 'larger-frame-restores',
      commit: 'v3 of 15 June 2026',
      placement: 'spare',
      needs: context =>
        hostSize(context) > context.layout.size
          ? null
          : 'no component of this CPU is left out of this task’s frames',
      edit: context => {
        const size = hostSize(context)
        const { layout } = context
        return [
          { op: 'move' },
          { op: 'fill', at: layout.size, length: size + magic2Size - layout.size, value: 0 },
          ...resizeTo(size),
          { op: 'or', field: 'sw.xfeatures', value: context.cpu.xcr0 },
        ]
      },
    },
    migrated: {
      summary: 'The frame of a CPU with x87, SSE and AVX, as CRIU restores it on a larger one.',
      rule: ({ layout }) => (layout.size > 832 ? 'shrunk-frame-restores' : 'untouched-frame-restores'),
      commit: 'broken by dc8aa31a7ac2, repaired by 44eeff9bc467',
      needs: ({ layout }) => (layout.has('avx') ? null : 'this task has no AVX'),
      edit: ({ layout }) => shrinkTo(layout, ['avx']),
    },
  },
})
