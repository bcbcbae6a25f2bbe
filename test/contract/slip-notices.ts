/** Who is to notice which mistake, and where it shows. */
import type { GenerationId } from '../../lib/contract/generations.ts'
import type { Slip } from './simulated-kernel.ts'

interface Noticed {
  /** Selftest cases that tell, `<selftest>/<case>`, each for at least one ABI and set of components. None: the fuzz alone. */
  readonly by: readonly string[]
  /** `classic` if left out. */
  readonly on?: GenerationId
  /** The CPU; one with AVX and without XSAVES if left out. */
  readonly machine?: string
  /**
   * False where no drawn frame shows it. The model begins with the frame as it is sent, and takes what was delivered for
   * granted; tokens on shadow stacks are not drawn, nor pages that are gone before others that cannot be read.
   */
  readonly fuzz?: false
}

export const noticed: Readonly<Record<Slip, Noticed>> = {
  'magic1 is not asked for': {
    by: ['fx_only_fallback/magic1_zero', 'fx_only_fallback/magic1_bit', 'fx_only_fallback/magic1_is_magic2'],
  },
  'magic1 is compared in its lower half': { by: ['fx_only_fallback/magic1_high_bit'] },
  'sizes below 576 are believed': { by: ['fx_only_fallback/size_440'] },
  'a size of 576 is not believed': {
    by: [
      'sigframe_fpu_portability/invalid_shrunk',
      'sigframe_fpu_portability/insufficient',
      'frame_placement/short_claim',
    ],
  },
  'a size of user_size is not believed': { by: ['untouched_frame/restores', 'frame_placement/ends_mapping'] },
  'sizes above user_size are believed': { by: ['fx_only_fallback/size_plus_64'] },
  'sizes up to the host’s are believed': {
    by: ['foreign_frames/tiles_in_a_task_without', 'fx_only_fallback/size_plus_64'],
    machine: 'sapphire-rapids',
  },
  'extended_size is not looked at': {
    by: ['fx_only_fallback/size_above_extended', 'fx_only_fallback/extended_size_zero'],
  },
  'an extended_size of xstate_size is not believed': { by: ['fx_only_fallback/extended_size_equal'] },
  'an extended_size of none but xstate_size is enough': {
    by: ['fx_only_fallback/extended_size_equal', 'fx_only_fallback/extended_size_plus_3'],
    on: 'portable',
  },
  'extended_size needs a byte to spare': { by: ['untouched_frame/restores'] },
  'extended_size is compared with 576': { by: ['fx_only_fallback/size_above_extended'] },
  'extended_size is compared with user_size': {
    by: ['sigframe_fpu_portability/valid_shrunk', 'fake_sigreturn/shrunk'],
  },
  'magic2 is not asked for': {
    by: ['fx_only_fallback/magic2_zero', 'fx_only_fallback/magic2_bit', 'foreign_frames/magic2_missing'],
  },
  'magic2 is compared in its lower half': { by: ['fx_only_fallback/magic2_bit'] },
  'magic2 is looked for at user_size': {
    by: [
      'sigframe_fpu_portability/shrunk',
      'sigframe_fpu_portability/valid_shrunk',
      'foreign_frames/migrated',
    ],
    machine: 'alder-lake',
  },
  'magic2 is looked for a byte further': { by: ['untouched_frame/restores'] },
  'magic2 is looked for 4 bytes before': { by: ['untouched_frame/restores'] },
  'magic2 is looked for by extended_size': { by: ['untouched_frame/restores'] },
  'an unreadable magic2 is a missing one': { by: ['fx_only_fallback/magic2_unreadable'] },
  'no required size': {
    by: ['sigframe_fpu_portability/invalid_shrunk', 'sigframe_fpu_portability/insufficient'],
    on: 'portable',
  },
  'a required size of XSTATE_BV': { by: ['xfeatures_mask/size_without_them'], on: 'portable' },
  'a required size of features that the task has not': {
    by: ['xfeatures_bits/not_the_tasks'],
    on: 'portable',
    machine: 'sapphire-rapids',
  },
  'a required size of user_size': {
    by: ['sigframe_fpu_portability/valid_shrunk', 'frame_placement/shrunk_ends_mapping'],
    on: 'portable',
  },
  'a required size of 576': {
    by: ['sigframe_fpu_portability/invalid_shrunk', 'sigframe_fpu_portability/insufficient'],
    on: 'portable',
  },
  'a required size in the compacted format': {
    by: ['foreign_frames/holes_forgotten', 'sigframe_fpu_portability/insufficient'],
    on: 'portable',
    machine: 'alder-lake',
  },
  'a required size that must be exceeded': {
    by: ['foreign_frames/migrated', 'frame_placement/ends_mapping'],
    on: 'portable',
  },
  'too small is FX-only': {
    by: ['sigframe_fpu_portability/invalid_shrunk', 'sigframe_fpu_portability/insufficient'],
    on: 'portable',
  },
  'NULL keeps the registers': { by: ['frame_placement/null'] },
  'NULL opens the keys': { by: [], machine: 'alder-lake' },
  'NULL is rejected': { by: ['frame_placement/null'] },
  'an unreadable frame is no frame': { by: ['frame_placement/low', 'frame_placement/unreadable'] },
  'sw.xfeatures are ignored': { by: ['xfeatures_mask/subset'] },
  'unknown sw.xfeatures are rejected': { by: ['xfeatures_mask/future_bit', 'cet/cet_in_xfeatures'] },
  'the mask has always x87 and SSE': { by: ['xfeatures_bits/without_both'] },
  'the mask is XSTATE_BV’s': { by: ['untouched_frame/restores'] },
  'XSTATE_BV is ignored': { by: ['untouched_frame/restores', 'ia32_frame/nothing_left_over'] },
  'unknown XSTATE_BV is accepted': { by: ['xsave_header/future_xstate_bv'] },
  'supervisor XSTATE_BV is accepted': { by: ['cet/cet_u_in_xstate_bv', 'cet/cet_s_in_xstate_bv'] },
  'XCOMP_BV is ignored': {
    by: ['xsave_header/xcomp_bv_0', 'xsave_header/xcomp_bv_63', 'ia32_frame/compacted'],
  },
  'compacted frames are rejected': { by: ['xsave_header/compacted'], machine: 'alder-lake' },
  'the reserved header is ignored': {
    by: ['xsave_header/reserved_528', 'xsave_header/reserved_535', 'ia32_frame/header_528'],
  },
  'reserved MXCSR is accepted': {
    by: ['xsave_header/mxcsr_16', 'xsave_header/mxcsr_31', 'ia32_frame/mxcsr_reserved'],
  },
  'misaligned frames are accepted': { by: ['xsave_header/misaligned_by_8', 'xsave_header/misaligned_by_32'] },
  'components left out are kept': { by: ['xfeatures_mask/subset', 'sigframe_fpu_portability/shrunk'] },
  'x87 left out is kept': { by: ['xfeatures_bits/without_x87'] },
  'AVX left out is kept': { by: ['xfeatures_mask/subset', 'sigframe_fpu_portability/shrunk'] },
  'the keys left out are kept': {
    by: ['foreign_frames/migrated', 'fx_only_fallback/magic1_zero'],
    machine: 'alder-lake',
  },
  'MXCSR is kept where SSE is left out': { by: [] },
  'FX-only keeps the other components': { by: ['fx_only_fallback/magic1_zero'] },
  'FX-only keeps AVX': { by: ['fx_only_fallback/magic1_zero', 'foreign_frames/magic1_alone'] },
  'FX-only keeps the keys closed': { by: ['pkru/fx_only'], machine: 'alder-lake' },
  'FX-only leaves MXCSR': { by: ['fx_only_fallback/magic1_zero', 'foreign_frames/legacy_part_copied'] },
  'FX-only looks at the header': { by: ['fx_only_fallback/magic1_zero', 'foreign_frames/magic1_alone'] },
  'page faults are fatal': {
    by: ['frame_placement/evicted_before_sw_bytes', 'frame_placement/late_before_sw_bytes'],
  },
  'user_size is faulted in': {
    by: ['frame_placement/faulted_in_size'],
    on: 'portable',
    machine: 'sapphire-rapids-tiles',
    fuzz: false,
  },
  'the claimed size is faulted in': {
    by: ['frame_placement/short_claim', 'frame_placement/short_claim_evicted'],
  },
  'the legacy region is faulted in': {
    by: ['frame_placement/short_claim', 'frame_placement/short_claim_evicted'],
  },
  '576 bytes are faulted in': { by: ['frame_placement/short_claim', 'frame_placement/short_claim_evicted'] },
  'ia32: the header is not skipped': { by: ['untouched_frame/restores'] },
  'ia32: extended_size must count the header': {
    by: ['fx_only_fallback/extended_size_equal', 'fx_only_fallback/extended_size_plus_3'],
  },
  'ia32: x87 is the area’s': {
    by: ['ia32_frame/x87_of_the_area', 'ia32_frame/x87_of_the_header', 'ia32_frame/x87_tag'],
  },
  'ia32: x87 without its bit': { by: ['ia32_frame/x87_bit_clear'] },
  'ia32: tags as they are': { by: ['ia32_frame/x87_tag'] },
  'ia32: tags turned by TOP': { by: ['untouched_frame/restores'] },
  'ia32: special registers are empty': { by: ['untouched_frame/restores'] },
  'ia32: FSW is the one that is not read': { by: ['ia32_frame/x87_of_the_header'] },
  'ia32: FOP is lost': { by: [] },
  'ia32: FDP is FIP': { by: [] },
  'ia32: ST7 is forgotten': { by: ['ia32_frame/x87_of_the_header'] },
  'ia32: XMM8 and up are lost': { by: ['untouched_frame/restores'] },
  'ia32: MXCSR is left at init': { by: ['ia32_frame/mxcsr_of_the_area'] },
  'ia32: MXCSR has no denormals-are-zeros': { by: ['ia32_frame/mxcsr_of_the_area'] },
  'ia32: MXCSR is looked at for SSE alone': { by: ['ia32_frame/mxcsr_reserved'] },
  'ia32: MXCSR is always looked at': { by: [] },
  'ia32: components left over': {
    by: ['ia32_frame/nothing_left_over', 'ia32_frame/nothing_left_over_by_mask'],
  },
  'ia32: XSTATE_BV without the mask': { by: ['xfeatures_mask/subset'] },
  'ia32: FX-only looks at the header': { by: ['sigframe_fpu_portability/unsupported_xfeatures'] },
  'ia32: reserved header as hardware': { by: ['ia32_frame/header_536', 'ia32_frame/header_575'] },
  'ia32: compacted frames are accepted': { by: ['ia32_frame/compacted'] },
  'ia32: misaligned frames are rejected': {
    by: ['ia32_frame/misaligned_by_1', 'ia32_frame/misaligned_by_32'],
  },
  'ia32: all is read': { by: ['ia32_frame/short_read'] },
  'a rejection leaves the registers': { by: ['xsave_header/xcomp_bv_0', 'fake_sigreturn/corrupt'] },
  'a rejection leaves x87': { by: ['xsave_header/xcomp_bv_0'] },
  'a rejection leaves MXCSR': { by: ['xsave_header/xcomp_bv_0'] },
  'a rejection opens the keys': { by: [], machine: 'alder-lake' },
  'a rejection is silent': { by: ['xsave_header/xcomp_bv_0', 'frame_placement/unreadable'] },
  'a rejection has another si_code': { by: ['fake_sigreturn/corrupt', 'xsave_header/xcomp_bv_0'] },
  'SIGSEGV cannot be blocked': { by: ['sigreturn_registers/sigsegv_blocked'] },
  'SIGSEGV is looked for a bit too far': { by: ['sigreturn_registers/sigsegv_blocked'] },
  'no token is needed': { by: ['cet/without_token'], fuzz: false },
  'delivery loses AVX': { by: ['untouched_frame/restores', 'xstate/signal_delivery'], fuzz: false },
  'delivery loses x87': { by: ['untouched_frame/restores'], fuzz: false },
  'delivery loses MXCSR': { by: ['untouched_frame/restores'], fuzz: false },
  'delivery has the kernel’s keys': { by: ['pkru/in_the_frame'], machine: 'alder-lake', fuzz: false },
  'delivery forgets magic2': {
    by: ['untouched_frame/describes_itself', 'untouched_frame/restores'],
    fuzz: false,
  },
  'delivery forgets bits 0 and 1': { by: ['untouched_frame/describes_itself'], fuzz: false },
  'delivery names supervisor components': {
    by: ['cet/not_in_frames', 'untouched_frame/describes_itself'],
    fuzz: false,
  },
  'ia32: delivery forgets the sw bytes': {
    by: ['untouched_frame/describes_itself', 'untouched_frame/restores'],
    fuzz: false,
  },
  'ia32: delivery forgets the header’s size': { by: ['untouched_frame/describes_itself'], fuzz: false },
  'ia32: delivery tags all registers valid': { by: ['untouched_frame/describes_itself'], fuzz: false },
}
