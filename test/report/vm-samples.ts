/** Reports of `sigframe vm` for tests: as small as may be, any field replaced. */
import fc from 'fast-check'
import type { GenerationId } from '../../lib/contract/generations.ts'
import type { CapturedFrame, ReplayedFrame } from '../../lib/foreign/captured.ts'
import type { Bundle, CaseResult } from '../../lib/harness/results.ts'
import type {
  MachineCpu,
  MachineKernel,
  MachineResult,
  MachineStatus,
  VmReport,
} from '../../lib/vm/machine.ts'
import { known } from '../xstate/arbitrary.ts'
import { anyBundle, anyText } from './arbitrary.ts'
import { bundle, host, kernel, result, xfail } from './stub.ts'

export const vmKernel = (name = 'debian:6.12.43', changes: Partial<MachineKernel> = {}): MachineKernel => ({
  name,
  path: `/kernels/${name.replace(/^\w+:/, '')}/vmlinuz`,
  release: `${name.replace(/^\w+:/, '')}-cloud-amd64`,
  ...changes,
})

/** The small named set, with what each has. */
export const sampleCpus = {
  none: { model: 'Nehalem', xcr0: '0x0', userFeatures: '0x3', userSize: 512, components: [] },
  avx: { model: 'Haswell-noTSX', xcr0: '0x7', userFeatures: '0x7', userSize: 832, components: [2] },
  pkru: { model: 'max,-mpx', xcr0: '0x207', userFeatures: '0x207', userSize: 2696, components: [2, 9] },
  everything: {
    model: 'max',
    xcr0: '0x21f',
    userFeatures: '0x21f',
    userSize: 2696,
    components: [2, 3, 4, 9],
  },
} as const
export type SampleCpu = keyof typeof sampleCpus

const leafNames: Readonly<Record<number, string>> = { 2: 'avx', 3: 'bndregs', 4: 'bndcsr', 9: 'pkru' }

export const vmCpu = (name: SampleCpu = 'pkru', changes: Partial<MachineCpu> = {}): MachineCpu => ({
  name,
  emulator: 'qemu',
  model: sampleCpus[name].model,
  ...changes,
})

export const sampleHost = (name: SampleCpu): Bundle['host'] => {
  const { xcr0, userFeatures, userSize, components } = sampleCpus[name]
  return host({
    vendor: 'GenuineIntel',
    brand: `QEMU ${name}`,
    hypervisor: 'TCGTCGTCGTCG',
    microcode: null,
    xcr0,
    userFeatures,
    userSize,
    leafD: components.map(index => ({
      index,
      name: leafNames[index] ?? String(index),
      size: index === 2 ? 256 : 8,
      offset: index === 2 ? 576 : 2688,
      xfd: false,
      supervisor: false,
    })),
  })
}

export const losing = (changes: Partial<CaseResult> = {}): CaseResult =>
  result('fail', {
    selftest: 'sigframe_fpu_portability',
    case: 'shrunk',
    rules: ['shrunk-frame-restores'],
    reason: 'as regressed kernels do: a frame from a CPU with fewer components loses state',
    observed: 'returned as FX-only: avx at init',
    expected: 'restored by XRSTOR',
    repro: {
      seed: 1,
      edit: [{ op: 'resize', xstateSize: 832 }],
      abi: 'x86_64',
      raise: 'tgkill',
      stack: null,
    },
    ...changes,
  })

/** A bundle as a kernel of this generation gives it on a CPU; without XSAVE nothing can be told. */
export const sampleBundle = (
  generation: GenerationId,
  cpu: SampleCpu = 'pkru',
  changes: Partial<Bundle> = {},
): Bundle => {
  const tells = cpu !== 'none'
  const lost = generation === 'regressed' && tells ? Array.from({ length: 12 }, () => losing()) : []
  return bundle([result(), result(), ...(tells ? [xfail()] : []), result('skip'), ...lost], {
    host: sampleHost(cpu),
    kernel: tells ? kernel(generation) : kernel('classic', { generation: null, headline: '', evidence: [] }),
    ...changes,
  })
}

export const machine = (changes: Partial<MachineResult> = {}): MachineResult => {
  const status = changes.status ?? 'ran'
  return {
    kernel: vmKernel(),
    cpu: vmCpu(),
    emulator: { version: '7.2.22', acceleration: 'tcg', why: '' },
    status,
    reason: '',
    phase: 'end',
    lacks: [],
    wants: [],
    attempts: 1,
    durationMs: 4200,
    bootMs: 1800,
    console: [],
    warnings: [],
    bundle: status === 'ran' ? sampleBundle('classic') : null,
    frames: [],
    replayed: [],
    ...changes,
  }
}

/** A machine that ended as it should not, with what such a machine says of itself. */
export const failedMachine = (
  status: Exclude<MachineStatus, 'ran'>,
  changes: Partial<MachineResult> = {},
): MachineResult => machine({ status, ...endings[status], ...changes })

const oops = [
  'BUG: kernel NULL pointer dereference, address: 0000000000000018',
  'Oops: 0000 [#1] PREEMPT SMP NOPTI',
  'RIP: 0010:restore_fpregs_from_user+0x8e/0x170',
  'Call Trace:',
  ' <TASK>',
  ' __fpu_restore_sig+0x5b/0x4f0',
  ' fpu__restore_sig+0x3f/0xa0',
  ' __do_sys_rt_sigreturn+0xb5/0xf0',
]

const endings: Readonly<Record<Exclude<MachineStatus, 'ran'>, Partial<MachineResult>>> = {
  stuck: {
    phase: 'probes',
    reason: 'the probe process 77 (sigframe-probe) could not be killed: state R, in -',
    console: ['watchdog: BUG: soft lockup - CPU#0 stuck for 26s! [sigframe-probe:77]'],
  },
  oops: { phase: 'probes', reason: oops[0] as string, console: oops },
  panic: {
    phase: 'boot',
    reason: 'Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)',
    console: ['VFS: Cannot open root device', 'Kernel panic - not syncing: VFS: Unable to mount root fs'],
  },
  hang: { phase: 'boot', reason: 'nothing was heard of it for 10 s', console: ['smpboot: CPU0: QEMU'] },
  timeout: { phase: 'probes', reason: 'the run did not end in 60 s', console: ['random: crng init done'] },
  memory: {
    phase: 'probes',
    reason: 'the kernel ran out of memory 3 times',
    console: ['Out of memory: Killed'],
  },
  lacks: {
    phase: 'boot',
    reason: 'the kernel lacks 3 options that Node or the probes need',
    lacks: ['CONFIG_FUTEX (futex)', 'CONFIG_EPOLL (epoll)', 'CONFIG_MEMFD_CREATE (memfd_create)'],
  },
  silent: { phase: 'boot', reason: 'it printed nothing at all in 20 s: no serial console, or no start' },
  'cut-off': { phase: 'end', reason: 'the result is 1,024 bytes long, not as its hash says' },
  broken: {
    phase: 'probes',
    reason: 'the run ended with exit code 70',
    console: ['sigframe: no case is named x'],
  },
  refused: {
    phase: 'emulator',
    reason: 'qemu-system-x86_64 ended with 1: unable to find CPU model',
    console: ['qemu-system-x86_64: unable to find CPU model'],
  },
  skipped: { phase: 'emulator', reason: 'bochs is not installed: apt install bochs', emulator: null },
  interrupted: { phase: 'boot', reason: 'Ctrl-C came first' },
}

export const failedStatuses = Object.keys(endings) as Exclude<MachineStatus, 'ran'>[]

export const report = (machines: readonly MachineResult[], changes: Partial<VmReport> = {}): VmReport => ({
  format: 'sigframe vm',
  version: 1,
  tool: { name: 'sigframe', version: '0.1.0' },
  startedAt: '2026-11-21T09:57:00.000Z',
  durationMs: 132_000,
  require: null,
  rule: null,
  interrupted: false,
  machines,
  ...changes,
})

/** The kernels that the matrix is made for, and what they are. */
export const sampleKernels: readonly (readonly [string, GenerationId])[] = [
  ['debian:6.1.192', 'classic'],
  ['debian:6.12.43', 'classic'],
  ['debian:6.16.3', 'regressed'],
  ['debian:6.17.8', 'regressed'],
  ['debian:6.18.5', 'regressed'],
  ['debian:6.19.14', 'regressed'],
  ['debian:7.0.4', 'regressed'],
  ['debian:7.0.13', 'classic'],
  ['debian:7.1.3', 'classic'],
  ['debian:7.2.12', 'classic'],
  ['debian:7.3.4', 'classic'],
]

export const matrix = (
  cpus: readonly SampleCpu[] = ['none', 'avx', 'everything'],
  kernels = sampleKernels,
): MachineResult[] =>
  kernels.flatMap(([name, generation]) =>
    cpus.map(cpu =>
      machine({ kernel: vmKernel(name), cpu: vmCpu(cpu), bundle: sampleBundle(generation, cpu) }),
    ),
  )

const base64 = (length: number, fill: number): string => Buffer.alloc(length, fill).toString('base64')

/** A frame of Zen 4's layout. */
export const frame = (changes: Partial<CapturedFrame> = {}): CapturedFrame => {
  const zen4 = known('zen4')
  return {
    id: 'x86_64/all',
    abi: 'x86_64',
    layout: zen4.toJSON(),
    fpstate: base64(zen4.size + 4, 1),
    image: base64(zen4.size, 0),
    ...changes,
  }
}

export const replay = (from: string, changes: Partial<ReplayedFrame> = {}): ReplayedFrame => ({
  from,
  outcome: 'holds',
  lost: [],
  unknown: [],
  leftOver: [],
  observed: 'restored by XRSTOR',
  expected: 'restored by XRSTOR',
  asExpected: true,
  ...changes,
})

const featuresOf = ({ bundle: one }: MachineResult): bigint => BigInt(one?.host.userFeatures ?? 0)

const namesIn = (mask: bigint): string[] =>
  Object.entries(leafNames)
    .filter(([index]) => (mask >> BigInt(index)) & 1n)
    .map(([, name]) => name)

const replayOn = (from: MachineResult, to: MachineResult): ReplayedFrame => {
  const id = `${from.kernel.name}|${from.cpu.name}|x86_64/all`
  const there = featuresOf(from)
  const here = featuresOf(to)
  const [known, unknown] = [namesIn(there & here), namesIn(there & ~here)]
  const smaller = to.bundle?.kernel?.generation === 'regressed' && there !== here
  if (unknown.length === 0 && !smaller) return replay(id)
  const observed = [
    'x87 sse mxcsr arrived',
    ...(known.length > 0 ? [`${known.join(' ')} at init`] : []),
    ...(unknown.length > 0 ? [`${unknown.join(' ')} unknown here`] : []),
  ].join('; ')
  const lost = { outcome: 'loses', lost: known, unknown } as const
  return replay(id, { ...lost, observed, expected: 'FX-only: MAGIC2 is not where it is looked for' })
}

/** Frames of each machine on each other. */
export const withPairs = (machines: readonly MachineResult[]): MachineResult[] =>
  machines.map(to => ({
    ...to,
    replayed: machines.filter(from => from !== to).map(from => replayOn(from, to)),
  }))

const anyStatus = fc.constantFrom<MachineStatus>('ran', 'ran', 'ran', ...failedStatuses)
const anyLine = anyText(2000).map(text => text.replace(/\p{Surrogate}/gu, '?'))
const anyName = fc.oneof(
  fc.constantFrom('debian:6.12.43', 'debian:7.0.4', 'max', 'max,-mpx', 'vmlinux'),
  anyText(300).map(text => text.replace(/\p{Surrogate}/gu, '?')),
)
const anyLines = fc.array(anyLine, { maxLength: 4 })
const anyComponents = fc.array(
  fc.oneof(
    fc.constantFrom('avx', 'pkru', 'mxcsr'),
    anyText(100).map(text => text.replace(/\p{Surrogate}/gu, '?')),
  ),
  { maxLength: 3 },
)

const anyReplayed: fc.Arbitrary<ReplayedFrame> = fc.record({
  from: fc.oneof(
    fc.constantFrom('debian:6.12.43|max|x86_64/all', 'debian:7.0.4|max,-mpx|ia32/avx'),
    anyLine.map(text => text.slice(0, 1000)),
  ),
  outcome: fc.constantFrom('holds', 'loses', 'rejected', 'killed', 'unable'),
  lost: anyComponents,
  unknown: anyComponents,
  leftOver: anyComponents,
  observed: anyLine,
  expected: anyLine,
  asExpected: fc.option(fc.boolean()),
})

const anyMachine: fc.Arbitrary<MachineResult> = fc.record({
  kernel: fc.record({ name: anyName, path: anyName, release: fc.option(anyName) }),
  cpu: fc.record({ name: anyName, emulator: fc.constantFrom('qemu', 'bochs'), model: anyName }),
  emulator: fc.option(
    fc.record({ version: anyName, acceleration: fc.constantFrom('kvm', 'tcg', 'interpreter'), why: anyLine }),
  ),
  status: anyStatus,
  reason: anyLine,
  phase: fc.constantFrom('emulator', 'boot', 'probes', 'end'),
  lacks: anyLines,
  wants: anyLines,
  attempts: fc.integer({ min: 0, max: 3 }),
  durationMs: fc.integer({ min: 0, max: 1e9 }),
  bootMs: fc.option(fc.integer({ min: 0, max: 1e9 })),
  console: fc.array(anyLine, { maxLength: 30 }),
  warnings: anyLines,
  bundle: fc.option(anyBundle),
  frames: fc.constantFrom([], [frame()]),
  replayed: fc.array(anyReplayed, { maxLength: 6 }),
})

/** Any report, the texts in it hostile as often as not; no two machines are one. */
export const anyReport: fc.Arbitrary<VmReport> = fc.record({
  format: fc.constant('sigframe vm' as const),
  version: fc.constant(1 as const),
  tool: fc.record({ name: fc.constant('sigframe' as const), version: anyName }),
  startedAt: fc.constant('2026-11-21T09:57:00.000Z'),
  durationMs: fc.integer({ min: 0, max: 1e9 }),
  require: fc.option(fc.constantFrom<GenerationId>('classic', 'portable')),
  rule: fc.option(anyName),
  interrupted: fc.boolean(),
  machines: fc.uniqueArray(anyMachine, {
    maxLength: 6,
    selector: ({ kernel: { name }, cpu }) => `${name} on ${cpu.name}`,
  }),
})
