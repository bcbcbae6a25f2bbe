/**
 * Do the selftests notice a kernel that errs? One mistake at a time is made by the simulated kernel, and the cases
 * that should tell must get another verdict than from a kernel without it.
 */
import { describe, expect, test } from 'vitest'
import { behaviour, type GenerationId, generationOf } from '../../lib/contract/generations.ts'
import type { RuleId } from '../../lib/contract/rules.ts'
import { judge } from '../../lib/contract/verdict.ts'
import { type Execution, executeCase } from '../../lib/harness/execute.ts'
import type { PlannedCase } from '../../lib/harness/plan.ts'
import { isSimulated, machineNamed, plannedOn, ruleOfPlanned, selftests } from './simulated-cases.ts'
import { type Slip, slips } from './simulated-kernel.ts'
import { simulatedProbe } from './simulated-probe.ts'

interface Noticed {
  /** The cases that tell, `<selftest>/<case>`, each for at least one ABI and set of components. */
  readonly by: readonly string[]
  /** `classic` if left out. */
  readonly on?: GenerationId
  /** The CPU, where it takes a special one. */
  readonly machine?: string
}

const noticed: Readonly<Record<Slip, Noticed>> = {
  'magic1 is not asked for': {
    by: ['fx_only_fallback/magic1_zero', 'fx_only_fallback/magic1_bit', 'fx_only_fallback/magic1_is_magic2'],
  },
  'sizes below 576 are believed': { by: ['fx_only_fallback/size_440'] },
  'sizes above user_size are believed': { by: ['fx_only_fallback/size_plus_64'] },
  'extended_size is not looked at': {
    by: ['fx_only_fallback/size_above_extended', 'fx_only_fallback/extended_size_zero'],
  },
  'an extended_size of none but xstate_size is enough': {
    by: ['fx_only_fallback/extended_size_equal', 'fx_only_fallback/extended_size_plus_3'],
    on: 'portable',
  },
  'magic2 is not asked for': {
    by: ['fx_only_fallback/magic2_zero', 'fx_only_fallback/magic2_bit', 'foreign_frames/magic2_missing'],
  },
  'magic2 is looked for at user_size': {
    by: [
      'sigframe_fpu_portability/shrunk',
      'sigframe_fpu_portability/valid_shrunk',
      'foreign_frames/migrated',
    ],
  },
  'an unreadable magic2 is a missing one': { by: ['fx_only_fallback/magic2_unreadable'] },
  'no required size': {
    by: ['sigframe_fpu_portability/invalid_shrunk', 'sigframe_fpu_portability/insufficient'],
    on: 'portable',
  },
  'a required size of XSTATE_BV': { by: ['xfeatures_mask/size_without_them'], on: 'portable' },
  'NULL keeps the registers': { by: ['frame_placement/null'] },
  'NULL is rejected': { by: ['frame_placement/null'] },
  'an unreadable frame is no frame': { by: ['frame_placement/low', 'frame_placement/unreadable'] },
  'sw.xfeatures are ignored': { by: ['xfeatures_mask/subset'] },
  'unknown sw.xfeatures are rejected': { by: ['xfeatures_mask/future_bit', 'cet/cet_in_xfeatures'] },
  'XSTATE_BV is ignored': { by: ['untouched_frame/restores', 'ia32_frame/nothing_left_over'] },
  'unknown XSTATE_BV is accepted': { by: ['xsave_header/future_xstate_bv'] },
  'supervisor XSTATE_BV is accepted': { by: ['cet/cet_u_in_xstate_bv', 'cet/cet_s_in_xstate_bv'] },
  'XCOMP_BV is ignored': {
    by: ['xsave_header/xcomp_bv_0', 'xsave_header/xcomp_bv_63', 'ia32_frame/compacted'],
  },
  'compacted frames are rejected': { by: ['xsave_header/compacted'] },
  'the reserved header is ignored': {
    by: ['xsave_header/reserved_528', 'xsave_header/reserved_535', 'ia32_frame/header_528'],
  },
  'reserved MXCSR is accepted': {
    by: ['xsave_header/mxcsr_16', 'xsave_header/mxcsr_31', 'ia32_frame/mxcsr_reserved'],
  },
  'misaligned frames are accepted': {
    by: ['xsave_header/misaligned_by_8', 'xsave_header/misaligned_by_32'],
  },
  'components left out are kept': { by: ['xfeatures_mask/subset', 'sigframe_fpu_portability/shrunk'] },
  'FX-only keeps the other components': { by: ['fx_only_fallback/magic1_zero'] },
  'FX-only keeps the keys closed': { by: ['pkru/fx_only'] },
  'FX-only leaves MXCSR': { by: ['fx_only_fallback/magic1_zero', 'foreign_frames/legacy_part_copied'] },
  'page faults are fatal': { by: ['frame_placement/evicted', 'frame_placement/late_before_sw_bytes'] },
  'user_size is faulted in': {
    by: ['frame_placement/faulted_in_size'],
    on: 'portable',
    machine: 'sapphire-rapids-tiles',
  },
  'the claimed size is faulted in': {
    by: ['frame_placement/short_claim', 'frame_placement/short_claim_evicted'],
  },
  'ia32: x87 is the area’s': {
    by: ['ia32_frame/x87_of_the_area', 'ia32_frame/x87_of_the_header', 'ia32_frame/x87_tag'],
  },
  'ia32: x87 without its bit': { by: ['ia32_frame/x87_bit_clear'] },
  'ia32: tags as they are': { by: ['ia32_frame/x87_tag'] },
  'ia32: MXCSR is left at init': { by: ['ia32_frame/mxcsr_of_the_area'] },
  'ia32: components left over': {
    by: ['ia32_frame/nothing_left_over', 'ia32_frame/nothing_left_over_by_mask'],
  },
  'ia32: reserved header as hardware': { by: ['ia32_frame/header_536', 'ia32_frame/header_575'] },
  'ia32: compacted frames are accepted': { by: ['ia32_frame/compacted'] },
  'ia32: misaligned frames are rejected': {
    by: ['ia32_frame/misaligned_by_1', 'ia32_frame/misaligned_by_32'],
  },
  'ia32: all is read': { by: ['ia32_frame/short_read'] },
  'a rejection leaves the registers': { by: ['xsave_header/xcomp_bv_0', 'fake_sigreturn/corrupt'] },
  'a rejection leaves x87': { by: ['xsave_header/xcomp_bv_0'] },
  'a rejection leaves MXCSR': { by: ['xsave_header/xcomp_bv_0'] },
  'a rejection is silent': { by: ['xsave_header/xcomp_bv_0', 'frame_placement/unreadable'] },
  'SIGSEGV cannot be blocked': { by: ['sigreturn_registers/sigsegv_blocked'] },
  'no token is needed': { by: ['cet/without_token'] },
  'delivery loses AVX': { by: ['untouched_frame/restores', 'xstate/signal_delivery'] },
  'delivery loses x87': { by: ['untouched_frame/restores'] },
  'delivery loses MXCSR': { by: ['untouched_frame/restores'] },
  'delivery has the kernel’s keys': { by: ['pkru/in_the_frame'] },
  'delivery forgets magic2': { by: ['untouched_frame/describes_itself', 'untouched_frame/restores'] },
  'delivery forgets bits 0 and 1': { by: ['untouched_frame/describes_itself'] },
  'delivery names supervisor components': { by: ['cet/not_in_frames', 'untouched_frame/describes_itself'] },
  'ia32: delivery forgets the sw bytes': {
    by: ['untouched_frame/describes_itself', 'untouched_frame/restores'],
  },
  'ia32: delivery forgets the header’s size': { by: ['untouched_frame/describes_itself'] },
  'ia32: delivery tags all registers valid': { by: ['untouched_frame/describes_itself'] },
}

const none = { require: null, held: new Set<RuleId>() }

const verdictOf = (done: Execution, rule: RuleId, generation: GenerationId): string =>
  done.kind === 'observed' ? judge(rule, done.observed, generationOf(generation), none).verdict : done.kind

const nameOf = ({ selftest, name }: PlannedCase): string => `${selftest}/${name}`

/** The cases whose verdict a mistake changes, of those that are to be looked at. */
const tellingCases = (
  slip: Slip | undefined,
  { on = 'classic', machine = 'alder-lake' }: Noticed,
  names: ReadonlySet<string>,
) => {
  const host = machineNamed(machine)
  const { probe } = simulatedProbe({ ...host, generation: on, slip })
  const planned = selftests
    .flatMap(one => plannedOn(host.layout, one))
    .filter(one => names.has(nameOf(one)) && isSimulated(one.test))
  const changed = planned.filter(one => {
    const rule = ruleOfPlanned(one)
    const good = judge(rule, behaviour(generationOf(on), rule), generationOf(on), none).verdict
    return verdictOf(executeCase(probe, one.test, one.context), rule, on) !== good
  })
  return [...new Set(changed.map(nameOf))]
}

describe('a kernel that errs', () => {
  test.each(slips)('%s', slip => {
    const how = noticed[slip]
    expect(tellingCases(slip, how, new Set(how.by)).sort()).toEqual([...how.by].sort())
  })

  test('and one that does not: no case changes its verdict', () => {
    const names = new Set(Object.values(noticed).flatMap(({ by }) => by))
    for (const on of ['classic', 'portable'] as const)
      expect(tellingCases(undefined, { by: [], on }, names)).toEqual([])
  })
})
