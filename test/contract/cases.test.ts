/**
 * Every case of every selftest on every known CPU, for each ABI: does its frame reach the rule that it names, in each
 * generation? By a simulated kernel: what needs another thread, time or an alternate stack is left to live ones.
 */
import { describe, expect, test } from 'vitest'
import { tellingFrames } from '../../lib/contract/fingerprint.ts'
import { behaviour, generations } from '../../lib/contract/generations.ts'
import { abis } from '../../lib/frame/abi.ts'
import { executeCase } from '../../lib/harness/execute.ts'
import type { FrameCase } from '../../lib/harness/selftest.ts'
import {
  contextOf,
  isSimulated,
  knownMachines,
  plannedOn,
  ruleOfPlanned,
  selftests,
} from './simulated-cases.ts'
import { simulatedProbe } from './simulated-probe.ts'

const ids = generations.map(({ id }) => id)

describe.each(knownMachines)('on %s', (_, machine) => {
  const probes = generations.map(generation => ({
    generation,
    ...simulatedProbe({ ...machine, generation: generation.id }, ids),
  }))

  /** What each generation does with a case; those that decide alike are asked once. */
  const observedOf = (test: FrameCase, context: ReturnType<typeof contextOf>): Map<string, string> => {
    const found = new Map<string, string>()
    for (const { generation, probe, alike } of probes) {
      if (found.has(generation.id)) continue
      const done = executeCase(probe, test, context)
      const observed = done.kind === 'observed' ? done.observed : `${done.kind}: ${done.text}`
      found.set(generation.id, observed)
      for (const id of alike()) if (!found.has(id)) found.set(id, observed)
    }
    return found
  }

  test.each(selftests.map(one => [one.name, one] as const))('%s reaches its rules', (_name, selftest) => {
    const wrong: string[] = []
    for (const planned of plannedOn(machine.layout, selftest)) {
      if (!isSimulated(planned.test)) continue
      const rule = ruleOfPlanned(planned)
      const observed = observedOf(planned.test, planned.context)
      for (const generation of generations) {
        const [is, meant] = [observed.get(generation.id), behaviour(generation, rule)]
        if (is !== meant) wrong.push(`${planned.id} on ${generation.id}: ${is}, not ${meant}`)
      }
    }
    expect(wrong).toEqual([])
  })

  test('the telling frames tell the generations apart', () => {
    for (const { rule, edit } of tellingFrames(machine.layout)) {
      const one: FrameCase = { summary: '', rule, commit: '', edit: () => edit }
      const observed = observedOf(one, contextOf(machine.layout))
      for (const generation of generations)
        expect(`${rule}: ${observed.get(generation.id)}`).toBe(`${rule}: ${behaviour(generation, rule)}`)
    }
  })
})

/** What is another door than a frame's: there is no frame that a simulated kernel could be sent. */
const otherDoors = /^ptrace_/

/** What live kernels alone can answer: another thread, time, luck, an alternate stack, or more than one frame. */
const liveAlone = [
  'criu/cpuinfo',
  'criu/in_handler',
  'drawn_frames/as_predicted',
  'drawn_frames/many_as_predicted',
  'frame_placement/eviction_race',
  'hwcap/exec',
  'hwcap/exec_32',
  'hwcap/exec_32_exec',
  'hwcap/exec_beyond',
  'hwcap/exec_beyond_32',
  'hwcap/exec_exec',
  'hwcap/exec_masked',
  'hwcap/exec_nothing',
  'hwcap/exec_otherwise',
  'hwcap/fork',
  'hwcap/fork_exec',
  'hwcap/fsgsbase',
  'hwcap/legacy_state',
  'hwcap/minsigstksz',
  'hwcap/read_alike',
  'hwcap/set_by_auxv',
  'hwcap/set_by_map',
  'hwcap/set_without_capability',
  'hwcap/sysinfo_ehdr',
  'hwcap/user_hwcap_enabled',
  'kvm_xsave/before_cpuid',
  'kvm_xsave/beyond_cpuid',
  'kvm_xsave/bytes_written',
  'kvm_xsave/components',
  'kvm_xsave/early_permission',
  'kvm_xsave/fresh',
  'kvm_xsave/large_state',
  'kvm_xsave/late_permission',
  'kvm_xsave/reserved_header',
  'kvm_xsave/reserved_mxcsr',
  'kvm_xsave/short_buffer',
  'kvm_xsave/size',
  'kvm_xsave/supervisor_bits',
  'kvm_xsave/supervisor_state',
  'kvm_xsave/sw_bytes',
  'kvm_xsave/tiles_in_cpuid',
  'kvm_xsave/tiles_in_state',
  'kvm_xsave/unsupported_bits',
  'kvm_xsave/unused_mxcsr',
  'kvm_xsave/xcomp_bv',
  'kvm_xstate/from_frame',
  'kvm_xstate/into_frame',
  'kvm_xstate/left_out',
  'kvm_xstate/limited_by_cpuid',
  'kvm_xstate/round_trip',
  'pkru/after_null',
  'pkru/after_rejection',
  'pkru/closed_stack',
  'signal_sources/blocked',
  'signal_sources/blocked_rejected',
  'signal_sources/ipi',
  'signal_sources/ipi_rejected',
  'signal_sources/late_delivery',
  'signal_sources/late_return',
  'signal_sources/late_return_rejected',
  'signal_sources/timer',
  'signal_sources/timer_rejected',
  'signal_stack/below_minimum',
  'signal_stack/late',
  'signal_stack/minsigstksz',
  'signal_stack/readonly',
  'signal_stack/too_small',
  'signal_stack/touched',
  'signal_stack/unreadable',
  'signal_stack/untouched',
  'xcomp_permission/exec',
  'xcomp_permission/fork',
  'xcomp_permission/given',
  'xcomp_permission/in_frames',
  'xcomp_permission/kept',
  'xcomp_permission/permitted',
  'xcomp_permission/supported',
  'xcomp_permission/wrong_arguments',
  'xstate/context_switch',
]

describe('what the simulation covers', () => {
  const planned = knownMachines.flatMap(([, { layout }]) => selftests.flatMap(one => plannedOn(layout, one)))
  const all = selftests.flatMap(({ name, cases }) =>
    Object.entries(cases).flatMap(([key, test]) =>
      (test.abis ?? abis).map(abi => ({ case: `${name}/${key}`, abi })),
    ),
  )

  test('every case and ABI but those that need live machinery, each on some CPU', () => {
    const covered = new Set(
      planned
        .filter(({ test }) => isSimulated(test))
        .map(({ selftest, name, context }) => `${selftest}/${name}/${context.abi}`),
    )
    const left = all.filter(one => !otherDoors.test(one.case) && !covered.has(`${one.case}/${one.abi}`))
    expect([...new Set(left.map(one => one.case))].sort()).toEqual(liveAlone)
  })

  test('what it leaves to live kernels can be had on some CPU', () => {
    const possible = new Set(planned.map(({ selftest, name }) => `${selftest}/${name}`))
    expect(liveAlone.filter(one => !possible.has(one))).toEqual([])
  })
})
