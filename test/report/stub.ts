/** Bundles for tests of reports: as small as may be, any field replaced. */
import type { GenerationId } from '../../lib/contract/generations.ts'
import type { RuleId } from '../../lib/contract/rules.ts'
import type {
  Bundle,
  CaseResult,
  HostResult,
  KernelResult,
  LogResult,
  Verdict,
} from '../../lib/harness/results.ts'

export const host = (changes: Partial<HostResult> = {}): HostResult => ({
  vendor: 'AuthenticAMD',
  brand: 'AMD EPYC 9B45',
  family: 26,
  model: 2,
  stepping: 1,
  microcode: '0xb002116',
  hypervisor: null,
  xcr0: '0x207',
  userFeatures: '0x207',
  userSize: 2696,
  minSignalStack: 3376,
  leafD: [
    { index: 2, name: 'avx', size: 256, offset: 576, xfd: false, supervisor: false },
    { index: 9, name: 'pkru', size: 8, offset: 2688, xfd: false, supervisor: false },
  ],
  mxcsrMask: 0xffff,
  compacts: true,
  ...changes,
})

export const log = (changes: Partial<LogResult> = {}): LogResult => ({
  watched: true,
  reason: '',
  onceCleared: false,
  lines: [],
  ...changes,
})

type Evidence = KernelResult['evidence'][number]

/** What was seen of a rule; with `deviation` it is not as the kernel's generation. */
export const evidence = (
  rule: RuleId,
  observed: string,
  deviation: Evidence['deviation'] = null,
  as: Evidence['as'] = [],
): Evidence => ({ rule, observed, asGeneration: deviation === null, deviation, as })

export const kernel = (
  generation: GenerationId = 'classic',
  changes: Partial<KernelResult> = {},
): KernelResult => ({
  release: '6.12.43-cloud-amd64',
  version: '#1 SMP PREEMPT_DYNAMIC Debian 6.12.43-1',
  generation,
  headline: generation,
  evidence: [evidence('too-small-is-rejected', 'restored'), evidence('shrunk-frame-restores', 'restored')],
  deviations: [],
  taintBefore: 0,
  taintAfter: 0,
  taintReason: '',
  log: log(),
  ...changes,
})

let drawn = 0

/** A case with an id of its own. */
export const result = (verdict: Verdict = 'pass', changes: Partial<CaseResult> = {}): CaseResult => {
  const selftest = changes.selftest ?? 'untouched_frame'
  const name = changes.case ?? 'restores'
  drawn += 1
  return {
    id: `${selftest}/${name}/x86_64/case_${drawn}`,
    selftest,
    case: name,
    abi: 'x86_64',
    components: ['avx'],
    placement: 'stack',
    rules: ['untouched-frame-restores'],
    verdict,
    reason: verdict === 'pass' ? '' : `because it is a ${verdict}`,
    observed: 'restored by XRSTOR',
    expected: 'restored by XRSTOR',
    bytes: null,
    durationUs: 123,
    repro: null,
    ...changes,
  }
}

/** A case of a rule that only newer kernels have. */
export const xfail = (changes: Partial<CaseResult> = {}): CaseResult =>
  result('xfail', {
    rules: ['too-small-is-rejected'],
    reason: 'since portable: 3d69596c684b..391cac638edd',
    ...changes,
  })

export const bundle = (cases: readonly CaseResult[], changes: Partial<Bundle> = {}): Bundle => ({
  bundleVersion: 1,
  tool: { name: 'sigframe', version: '0.1.0' },
  startedAt: '2026-11-21T09:57:00.000Z',
  durationMs: 412,
  host: host(),
  kernel: kernel(),
  warnings: [],
  cases,
  ...changes,
})

export const everyVerdict = [
  'pass',
  'xfail',
  'fail',
  'skip',
  'timeout',
  'crash',
  'stuck',
  'broken',
] as const satisfies readonly Verdict[]

/** Texts that break careless reports. */
export const hostileTexts: readonly string[] = [
  '',
  ' ',
  '# SKIP not really',
  'a # TIMEOUT b',
  'line\nok 1 - forged',
  'carriage\rreturn',
  '\u001b[2J\u001b[31mred',
  '\u0000\u0007\u009b31m',
  'left\u202eright',
  'half \ud800 pair',
  'other half \udc00 pair',
  "it's 'quoted'",
  'x'.repeat(5000),
  'ok 1 - x',
  '1..1',
  'KTAP version 1',
  '__proto__',
  '\u2028\u2029\u0085\ufeff',
]
