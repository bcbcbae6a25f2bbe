/**
 * Bugs of the past, and the cases that would have caught them. A case counts only with the raise and the place that
 * the bug needs.
 */

export interface PastBug {
  /** A commit that repaired it, or the project and number under which it was told. */
  readonly id: string
  readonly cve?: string
  /** What went wrong, in one sentence. */
  readonly what: string
  /** The kernels that have it, or the release that repaired it; empty for bugs of other projects. */
  readonly kernels: string
  /** `<selftest>/<case>` of what would have caught it. */
  readonly cases: readonly string[]
  /** Where a good kernel cannot be brought to it: what the cases prove instead. */
  readonly proves?: string
}

/** Kernels first, the newest first; then other projects. */
export const pastBugs: readonly PastBug[] = Object.freeze([
  {
    id: '44eeff9bc467',
    what: 'MAGIC2 was looked for at the host’s size (dc8aa31a7ac2): frames of CPUs with fewer components lost their upper registers, silently.',
    kernels: '6.15 to 6.17, 6.18.0 to 6.18.34, 6.19, 7.0.0 to 7.0.11',
    cases: [
      'sigframe_fpu_portability/shrunk',
      'sigframe_fpu_portability/valid_shrunk',
      'foreign_frames/migrated',
    ],
  },
  {
    id: '3d69596c684b..391cac638edd',
    what: 'A good frame was rejected when another CPU evicted its page during the return, since more was faulted in than it needs.',
    kernels: 'up to 7.3',
    cases: ['frame_placement/faulted_in_size', 'frame_placement/eviction_race'],
  },
  {
    id: 'd877550eaf2d',
    cve: 'CVE-2024-26603',
    what: 'sigreturn faulted in only the size that the frame claimed: an endless loop in the kernel.',
    kernels: 'repaired in 6.8',
    cases: ['frame_placement/short_claim', 'frame_placement/short_claim_evicted'],
  },
  {
    id: '70044df250d0',
    what: 'A signal could not be delivered onto an alternate stack whose protection key the task had closed.',
    kernels: 'repaired in 6.12',
    cases: ['pkru/closed_stack'],
  },
  {
    id: '2beb4a53fc3f',
    what: 'A frame larger than the alternate stack was written below it, over whatever lay there.',
    kernels: 'repaired in 5.14',
    cases: ['signal_stack/too_small'],
  },
  {
    id: '484cea4f362e',
    cve: 'CVE-2021-47227',
    what: 'A corrupt header on the slow path of the return was taken, and made the kernel’s own XRSTOR fault.',
    kernels: 'repaired in 5.13',
    cases: [
      'frame_placement/corrupt_header_evicted',
      'frame_placement/corrupt_mxcsr_evicted',
      'ia32_frame/header_528',
      'ia32_frame/compacted',
    ],
  },
  {
    id: 'd8778e393afa',
    cve: 'CVE-2021-47226',
    what: 'After a failed XRSTOR the registers of another task were left in the CPU.',
    kernels: 'repaired in 5.13',
    cases: [
      'signal_sources/blocked_rejected',
      'signal_sources/late_return_rejected',
      'signal_sources/ipi_rejected',
      'signal_sources/timer_rejected',
    ],
    proves:
      'that the registers are at init after a rejection, while a sibling with known values holds the CPU',
  },
  {
    id: 'd9c9ce34ed5c',
    what: 'Since this commit AVX registers were corrupted when the signal stack was not resident (golang/go#35326).',
    kernels: 'since 5.2',
    cases: ['signal_stack/untouched', 'signal_stack/late', 'signal_sources/late_delivery'],
  },
  {
    id: '4a804c4f8356',
    what: 'What a tracer set of PKRU was not heeded, without an error, since the keys had left the XSAVE buffer.',
    kernels: '5.14 to 6.1; repaired in 6.2',
    cases: ['ptrace_xstate/inject', 'ptrace_xstate/left_out', 'ptrace_xstate/shown_by_frame'],
  },
  {
    id: '814fb7bb7db5',
    cve: 'CVE-2017-15537',
    what: 'A tracer could set a bogus XCOMP_BV: the task’s XRSTOR failed, and the registers of another task were left in the CPU.',
    kernels: 'repaired in 4.14',
    cases: ['ptrace_regset/xcomp_bv'],
  },
  {
    id: 'sw bytes of 32-bit frames',
    what: 'The sw bytes of 32-bit frames were left zero: extended state was lost on their return.',
    kernels: 'old ones',
    cases: ['untouched_frame/describes_itself', 'untouched_frame/restores'],
  },
  {
    id: 'checkpoint-restore/criu#1042',
    what: 'xstate_size was computed without the hole that MPX leaves.',
    kernels: '',
    cases: ['foreign_frames/holes_forgotten'],
    proves: 'what the kernel does with such a frame',
  },
  {
    id: 'checkpoint-restore/criu#2835',
    what: 'Frames of 11008 bytes (Sapphire Rapids) met a buffer of 4096.',
    kernels: '',
    cases: ['foreign_frames/cut_at_a_page'],
    proves: 'what the kernel does with such a frame',
  },
  {
    id: 'DynamoRIO/dynamorio#3812',
    what: 'MAGIC2 was not written: the upper halves of YMM were zero after every signal.',
    kernels: '',
    cases: ['foreign_frames/magic2_missing'],
    proves: 'what the kernel does with such a frame',
  },
  {
    id: 'Clozure/ccl#556',
    what: 'The legacy part of a frame was copied, MAGIC1 with it, and nothing else.',
    kernels: '',
    cases: ['foreign_frames/legacy_part_copied'],
    proves: 'what the kernel does with such a frame',
  },
  {
    id: 'asterinas/asterinas#3920',
    what: 'The size of the compacted format was used for an area in the standard one.',
    kernels: '',
    cases: ['foreign_frames/holes_forgotten'],
    proves: 'what the kernel does with such a frame',
  },
  {
    id: 'FEX-Emu/FEX#4644',
    what: 'MAGIC1 was written on hosts without AVX, where there is no extended state.',
    kernels: '',
    cases: ['foreign_frames/magic1_alone'],
    proves: 'what the kernel does with such a frame',
  },
  {
    id: 'rr-debugger/rr#3573',
    what: 'Component 5 was looked for at Intel’s offset on an AMD CPU.',
    kernels: '',
    cases: ['foreign_frames/other_vendor'],
    proves: 'what the kernel does with such a frame',
  },
])
