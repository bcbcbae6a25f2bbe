/** Does anybody notice a KVM that errs? Every selftest of KVM's on simulated ones, with one mistake at a time. */
import { describe, expect, test, vi } from 'vitest'
import { generations } from '../../lib/contract/generations.ts'
import { ruleOf } from '../../lib/contract/rules.ts'
import { executeCase } from '../../lib/harness/execute.ts'
import type { PlannedCase } from '../../lib/harness/plan.ts'
import type { KvmDoor } from '../../lib/neighbours/kvm/door.ts'
import type { Probe } from '../../lib/probe/session.ts'
import { maskOf } from '../../lib/xstate/components.ts'
import kvmXsave from '../../selftests/kvm_xsave.ts'
import kvmXstate from '../../selftests/kvm_xstate.ts'
import { machineNamed, plannedOn, ruleOfPlanned } from '../contract/simulated-cases.ts'
import { cpuOf, simulatedProbe } from '../contract/simulated-probe.ts'
import { type KvmMachine, type KvmSlip, simulatedKvm, slips } from './simulated-kvm.ts'

const here = vi.hoisted(() => ({ machine: null as unknown }))
vi.mock('../../lib/neighbours/kvm/open.ts', () => ({
  openKvm: (): { ok: true; value: KvmDoor } => ({
    ok: true,
    value: simulatedKvm(here.machine as KvmMachine),
  }),
  kvmAdvice: () => '',
}))

const cpuNamed = (name: string) => cpuOf(machineNamed(name).layout)

/** With CET for guests, and tiles that take a permission. */
const all = (name: string): KvmMachine => {
  const cpu = cpuNamed(name)
  return { cpu, supported: cpu.xcr0, cet: true }
}

interface Found {
  /** Cases that found something else than the rule says, and what. */
  readonly off: readonly string[]
  readonly unable: readonly string[]
  readonly cases: number
}

const run = (name: string, machine: KvmMachine): Found => {
  here.machine = machine
  const known = machineNamed(name)
  const { probe } = simulatedProbe(
    { ...known, generation: 'classic' },
    generations.map(({ id }) => id),
  )
  const session = { ...probe, cpu: machine.cpu, closeToo: () => undefined } as unknown as Probe
  const off: string[] = []
  const unable: string[] = []
  const planned: PlannedCase[] = [kvmXsave, kvmXstate].flatMap(one => plannedOn(known.layout, one))
  for (const one of planned.filter(({ context: { abi } }) => abi === 'x86_64')) {
    const done = executeCase(session, one.test, { ...one.context, cpu: machine.cpu })
    const id = [
      one.name,
      ...(one.selftest === 'kvm_xstate' ? [one.context.components.join('+') || 'legacy'] : []),
    ].join('/')
    if (done.kind === 'unable') unable.push(`${id}: ${done.text}`)
    else if (done.kind !== 'observed') off.push(`${id}: ${done.kind}: ${done.text}`)
    else if (done.observed !== ruleOf(ruleOfPlanned(one)).holds)
      off.push(`${id}: ${done.observed}: ${done.text}`)
  }
  return { off, unable, cases: planned.length }
}

const cpus = ['haswell', 'skylake-sp', 'alder-lake', 'zen4', 'sapphire-rapids', 'sapphire-rapids-tiles']

describe('a KVM that does not err', () => {
  test.each(cpus)('on %s', name => {
    const { off, unable, cases } = run(name, all(name))
    expect(off).toEqual([])
    expect(cases).toBeGreaterThan(15)
    expect(unable).toEqual([])
  })

  test('without CET or tiles for guests says so', () => {
    const name = 'sapphire-rapids-tiles'
    const cpu = cpuNamed(name)
    const { off, unable } = run(name, { cpu, supported: cpu.xcr0 & ~maskOf(['xtilecfg', 'xtiledata']) })
    expect(off).toEqual([])
    expect(unable).toEqual(
      expect.arrayContaining([
        'large_state: the states of this KVM have 4096 bytes, with all permissions',
        'tiles_in_state: this KVM has no tiles that take a permission',
        'round_trip/xtiledata: this KVM has no xtiledata for guests: 0x2e7',
      ]),
    )
  })

  test('that is stacked on another, and gives guests all that the host has, says so', () => {
    const { off, unable } = run('haswell', { ...all('haswell'), stacked: true })
    expect(off).toEqual([])
    expect(unable).toEqual([
      'limited_by_cpuid/avx: this KVM gives guests 0x7 whatever KVM_SET_CPUID2 says: KVM_SET_XCRS takes all of it, too',
    ])
  })

  test('of Linux before 6.6 does as such do', () => {
    const { off } = run('haswell', { ...all('haswell'), old: true })
    expect(off).toEqual([
      'before_cpuid: kept: without a CPUID also read: avx',
      'beyond_cpuid: refused: KVM_SET_XSAVE: EINVAL for 0x7',
    ])
  })
})

/** Who notices it, among others. */
const noticed: Readonly<Record<KvmSlip, string>> = {
  'the size forgets a component': 'early_permission',
  'the size is another one of the device': 'size',
  'CPUID offers another size': 'size',
  'the attribute has more than the host': 'components',
  'CPUID offers what is not permitted': 'components',
  'a byte is written behind the state': 'bytes_written',
  'too little is written': 'bytes_written',
  'short buffers are taken': 'short_buffer',
  'short buffers are EINVAL': 'short_buffer',
  'KVM_GET_XSAVE cuts large states': 'large_state',
  'the sw bytes have a magic': 'sw_bytes',
  'the sw bytes have the guest’s features': 'sw_bytes',
  'the sw bytes are kept': 'sw_bytes',
  'a fresh state has registers of another': 'fresh',
  'a fresh state has MXCSR 0': 'fresh',
  'AVX is lost': 'round_trip/avx',
  'MXCSR is lost': 'from_frame/legacy',
  'PKRU is lost': 'into_frame/pkru',
  'KVM_GET_XSAVE2 reads something else': 'fresh',
  'what is left out is kept': 'left_out/opmask',
  'CPUID does not limit': 'limited_by_cpuid/pkru',
  'bytes beyond CPUID are read': 'limited_by_cpuid/avx',
  'what CPUID hides is lost': 'limited_by_cpuid/hi16_zmm',
  'all is read before CPUID': 'before_cpuid',
  'nothing beyond CPUID can be set': 'beyond_cpuid',
  'unsupported bits are taken': 'unsupported_bits',
  'what is refused changes the state': 'xcomp_bv',
  'refusals are EFAULT': 'reserved_header',
  'supervisor bits are taken': 'supervisor_bits',
  'CET is in XSTATE_BV': 'supervisor_state',
  'CET comes out': 'supervisor_state',
  'CET is put to init': 'supervisor_state',
  'compacted images are taken': 'xcomp_bv',
  'the last reserved byte is not looked at': 'reserved_header',
  'reserved MXCSR is taken': 'reserved_mxcsr',
  'reserved MXCSR is taken with AVX alone': 'reserved_mxcsr',
  'unused MXCSR is looked at': 'unused_mxcsr',
  'unused MXCSR is kept': 'unused_mxcsr',
  'late permissions are given': 'late_permission',
  'late permissions are refused and given': 'late_permission',
  'permissions for guests are the process’s too': 'early_permission',
  'permissions have no effect': 'early_permission',
  'tiles are told without a permission': 'tiles_in_cpuid',
  'tiles are set without a permission': 'tiles_in_state',
}

describe('a KVM that errs', () => {
  test.each(slips)('%s', slip => {
    const name = 'sapphire-rapids-tiles'
    const { off } = run(name, { ...all(name), slip })
    expect(off.map(one => one.split(':')[0])).toContain(noticed[slip])
    expect(off.filter(one => / broken: /.test(one))).toEqual([])
  })
})

test('every case of KVM’s notices something', () => {
  const names = [kvmXsave, kvmXstate].flatMap(({ cases }) => Object.keys(cases))
  const tellers = new Set(Object.values(noticed).map(name => name.split('/')[0]))
  expect(names.filter(name => !tellers.has(name))).toEqual([])
})
