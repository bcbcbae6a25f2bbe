import { resizeTo, shrinkTo } from '../lib/contract/frames.ts'
import { isIa32 } from '../lib/frame/abi.ts'
import type { EditOp, PageState } from '../lib/frame/edit.ts'
import { magic2Size } from '../lib/frame/format.ts'
import {
  needsExtended,
  needsFramesAbove,
  needsMxcsrCheck,
  needsMxcsrWithoutSse,
} from '../lib/harness/needs.ts'
import { type CaseContext, type FrameCase, type Placement, selftest } from '../lib/harness/selftest.ts'
import { countEvictions } from '../lib/harness/trials/evictions.ts'
import { minXsaveSize } from '../lib/xstate/layout.ts'

const wide = ['x86_64', 'x32'] as const
const source = 'arch/x86/kernel/fpu/signal.c, restore_fpregs_from_user'
const portable = '3d69596c684b..391cac638edd'
const page = 4096
const alignment = 64
/** The kernel checks the sw bytes (464..511) and MAGIC2 first: only the return itself touches what is before them. */
const beforeSwBytes = 384
/** Where the XSAVE header begins. */
const headerAt = 512
/** The first multiple of the alignment behind header and MAGIC2. */
const behindHeader = 640

const roundUp = (bytes: number): number => Math.ceil(bytes / alignment) * alignment

/** Ends the mapping behind so many bytes of the frame, as near as its alignment lets. */
const endMappingBehind = (bytes: number): EditOp => ({ op: 'move', guardAt: roundUp(bytes) })

/** Moves the frame so that a page begins at this offset of it. */
const breakAt = (offset: number): EditOp => ({ op: 'move', at: page - offset })

const wholeFrame = ({ layout }: CaseContext): number => layout.size + magic2Size

/** All pages of a moved frame. */
const allPages =
  (state: PageState) =>
  (context: CaseContext): EditOp[] => [
    { op: 'move' },
    { op: 'pages', at: 0, length: wholeFrame(context), state },
  ]

/** The page with the first bytes of the frame, which only the return itself reads. */
const firstPage = (state: PageState) => (): EditOp[] => [
  breakAt(beforeSwBytes),
  { op: 'pages', at: 0, length: beforeSwBytes, state },
]

/** The page behind header and MAGIC1. */
const secondPage = (state: PageState) => (): EditOp[] => [
  breakAt(behindHeader),
  { op: 'pages', at: behindHeader, length: 1, state },
]

/** A frame that claims to end behind its header, all bits of XSTATE_BV left; what they name is in the next pages. */
const shortClaim =
  (state: PageState) =>
  ({ layout }: CaseContext): EditOp[] => [
    ...resizeTo(minXsaveSize),
    breakAt(behindHeader),
    { op: 'pages', at: behindHeader, length: layout.size + magic2Size - behindHeader, state },
  ]

const atAddress =
  (address: bigint): FrameCase['edit'] =>
  () => [{ op: 'pointer', address }]

const unreachable = (summary: string, edit: FrameCase['edit'], placement: Placement): FrameCase => ({
  summary,
  rule: 'unreachable-fpstate-is-rejected',
  commit: source,
  placement,
  edit,
})

const faultedIn = (summary: string, edit: FrameCase['edit'], placement: Placement): FrameCase => ({
  summary,
  rule: 'absent-pages-are-faulted-in',
  commit: source,
  placement,
  edit,
})

/** Good and bad frames in places where reading them is not a matter of course. */
export default selftest('frame_placement', {
  summary: 'Frames at the end of a mapping, in pages that are not there, not readable or late, and nowhere.',
  variants: 'once',
  cases: {
    ends_mapping: {
      summary: 'The task’s own frame, an unreadable page right behind it.',
      rule: 'untouched-frame-restores',
      commit: source,
      placement: 'guard',
      edit: context => [endMappingBehind(wholeFrame(context))],
    },
    shrunk_ends_mapping: {
      summary: 'A frame of x87 and SSE alone, an unreadable page right behind it.',
      rule: 'frame-may-end-a-mapping',
      commit: portable,
      placement: 'guard',
      needs: needsExtended,
      edit: ({ layout }) => [...shrinkTo(layout, []), endMappingBehind(minXsaveSize + magic2Size)],
    },
    straddles: {
      summary: 'A page begins within the frame.',
      rule: 'untouched-frame-restores',
      commit: source,
      placement: 'spare',
      edit: () => [breakAt(beforeSwBytes)],
    },
    evicted: faultedIn('None of its pages is mapped.', allPages('evicted'), 'evicted'),
    evicted_before_sw_bytes: faultedIn(
      'The page with its first 384 bytes is not mapped: XRSTOR itself meets the fault.',
      firstPage('evicted'),
      'evicted',
    ),
    evicted_behind_header: {
      ...faultedIn('The page behind its header is not mapped.', secondPage('evicted'), 'evicted'),
      needs: needsFramesAbove(behindHeader),
    },
    late: faultedIn('userfaultfd serves its pages while the return waits.', allPages('late'), 'late'),
    late_before_sw_bytes: faultedIn(
      'userfaultfd serves the page with its first 384 bytes: XRSTOR itself waits.',
      firstPage('late'),
      'late',
    ),
    readonly: {
      summary: 'Its pages cannot be written.',
      rule: 'untouched-frame-restores',
      commit: source,
      placement: 'readonly',
      edit: allPages('readonly'),
    },
    unreadable: unreachable('Its pages cannot be read.', allPages('unreadable'), 'unreadable'),
    unreadable_before_sw_bytes: unreachable(
      'The page with its first 384 bytes cannot be read.',
      firstPage('unreadable'),
      'unreadable',
    ),
    unreadable_behind_header: {
      ...unreachable('The page behind its header cannot be read.', secondPage('unreadable'), 'unreadable'),
      needs: needsFramesAbove(behindHeader),
    },
    hole: unreachable('Its pages lie behind the end of a file.', allPages('hole'), 'hole'),
    null: {
      summary: 'The fpstate pointer is NULL.',
      rule: 'null-fpstate-is-init',
      commit: source,
      placement: 'elsewhere',
      edit: atAddress(0n),
    },
    low: unreachable('The pointer leads to address 64.', atAddress(64n), 'elsewhere'),
    kernel: {
      ...unreachable('The pointer leads into the kernel.', atAddress(0xffff_8880_0000_0000n), 'elsewhere'),
      abis: wide,
    },
    non_canonical: {
      ...unreachable('The pointer is not canonical.', atAddress(1n << 63n), 'elsewhere'),
      abis: wide,
    },
    end_of_4_gib: {
      ...unreachable('The pointer leads to the end of 4 GiB.', atAddress(0xffff_fff0n), 'elsewhere'),
      abis: ['ia32-rt', 'ia32'],
    },
    corrupt_mxcsr_evicted: {
      summary: 'A reserved bit in MXCSR, in a page that only XRSTOR meets: the slow path finds it too.',
      rule: 'rejected-return-leaves-init',
      commit: '484cea4f362e',
      placement: 'evicted',
      // A 32-bit witness without AVX has no component left that MXCSR goes with.
      needs: (context, traits) =>
        isIa32(context.abi) ? needsMxcsrWithoutSse(context) : needsMxcsrCheck(context, traits),
      edit: () => [{ op: 'or', field: 'mxcsr', value: 1 << 16 }, ...firstPage('evicted')()],
    },
    corrupt_header_evicted: {
      summary: 'A corrupt header in a page that only XRSTOR meets, between those of sw bytes and MAGIC2.',
      rule: 'rejected-return-leaves-init',
      commit: '484cea4f362e',
      placement: 'evicted',
      needs: needsFramesAbove(headerAt + page),
      edit: () => [
        { op: 'or', field: 'xcompBv', value: 1n << 63n },
        breakAt(headerAt),
        { op: 'pages', at: headerAt, length: 1, state: 'evicted' },
      ],
    },
    short_claim: {
      summary:
        'A frame claims to end with its header; what XSTATE_BV names lies in a page that cannot be read.',
      rule: 'short-claim-does-not-loop',
      commit: 'd877550eaf2d',
      placement: 'unreadable',
      needs: needsExtended,
      edit: shortClaim('unreadable'),
    },
    short_claim_evicted: {
      summary: 'The same with the page not mapped.',
      rule: 'too-small-is-rejected',
      commit: 'd877550eaf2d',
      placement: 'evicted',
      needs: needsExtended,
      edit: shortClaim('evicted'),
    },
    faulted_in_size: {
      summary:
        'A small frame, its first page not mapped, and unreadable what only the task’s own size reaches.',
      rule: 'only-the-required-size-is-faulted-in',
      commit: portable,
      placement: 'evicted',
      abis: wide,
      // Smaller ones end in the page that MAGIC2 is in.
      needs: needsFramesAbove(beforeSwBytes + page),
      edit: ({ layout }) => [
        ...shrinkTo(layout, []),
        ...firstPage('evicted')(),
        { op: 'pages', at: beforeSwBytes + page, length: 1, state: 'unreadable' },
      ],
    },
    eviction_race: {
      summary: 'A good frame at the end of a mapping, its page evicted by another CPU during the return.',
      rule: 'eviction-race-is-counted',
      commit: portable,
      placement: 'contended',
      abis: wide,
      long: true,
      needs: needsExtended,
      trial: (probe, context) =>
        countEvictions(probe, context, [
          ...shrinkTo(context.layout, []),
          endMappingBehind(minXsaveSize + magic2Size),
          { op: 'pages', at: 0, length: minXsaveSize, state: 'contended' },
        ]),
    },
  },
})
