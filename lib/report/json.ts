/** A bundle as JSON text. The same run gives the same text, whoever put its objects together. */
import type {
  Bundle,
  CaseBytes,
  CaseResult,
  ComponentBytes,
  HostResult,
  KernelResult,
  LogResult,
  Repro,
} from '../harness/results.ts'

/** Every key of T, each once; a key that T gains and this lacks is a type error. */
export type KeysOf<T> = { readonly [K in keyof Required<T>]: true }

/** A value with these keys alone, in this order. */
export const pick = <T extends object>(value: T, keys: KeysOf<T>): T =>
  Object.fromEntries(Object.keys(keys).map(key => [key, value[key as keyof T]])) as T

const bundleKeys: KeysOf<Bundle> = {
  bundleVersion: true,
  tool: true,
  startedAt: true,
  durationMs: true,
  host: true,
  kernel: true,
  warnings: true,
  cases: true,
}

const hostKeys: KeysOf<HostResult> = {
  vendor: true,
  brand: true,
  family: true,
  model: true,
  stepping: true,
  microcode: true,
  hypervisor: true,
  xcr0: true,
  userFeatures: true,
  userSize: true,
  minSignalStack: true,
  leafD: true,
  mxcsrMask: true,
  compacts: true,
}

const leafKeys: KeysOf<HostResult['leafD'][number]> = {
  index: true,
  name: true,
  size: true,
  offset: true,
  xfd: true,
  supervisor: true,
}

const kernelKeys: KeysOf<KernelResult> = {
  release: true,
  version: true,
  generation: true,
  headline: true,
  evidence: true,
  deviations: true,
  taintBefore: true,
  taintAfter: true,
  taintReason: true,
  log: true,
}

const logKeys: KeysOf<LogResult> = { watched: true, reason: true, onceCleared: true, lines: true }

const evidenceKeys: KeysOf<KernelResult['evidence'][number]> = {
  rule: true,
  observed: true,
  asGeneration: true,
  deviation: true,
  as: true,
}

const caseKeys: KeysOf<CaseResult> = {
  id: true,
  selftest: true,
  case: true,
  abi: true,
  components: true,
  placement: true,
  rules: true,
  verdict: true,
  reason: true,
  observed: true,
  expected: true,
  bytes: true,
  durationUs: true,
  repro: true,
}

const reproKeys: KeysOf<Repro> = {
  seed: true,
  edit: true,
  abi: true,
  raise: true,
  stack: true,
}

/** The host with its keys in the bundle's order. */
export const plainHost = (host: HostResult): HostResult => ({
  ...pick(host, hostKeys),
  leafD: host.leafD.map(leaf => pick(leaf, leafKeys)),
})

/** The kernel with its keys in the bundle's order. */
export const plainKernel = (kernel: KernelResult | null): KernelResult | null =>
  kernel === null
    ? null
    : {
        ...pick(kernel, kernelKeys),
        evidence: kernel.evidence.map(one => pick(one, evidenceKeys)),
        log: kernel.log === null ? null : pick(kernel.log, logKeys),
      }

const plainRepro = (repro: Repro): Repro => ({
  ...pick(repro, reproKeys),
  stack: repro.stack === null ? null : pick(repro.stack, { bytes: true, state: true }),
})

const bytesKeys: KeysOf<ComponentBytes> = {
  name: true,
  offset: true,
  size: true,
  wanted: true,
  differing: true,
  from: true,
  expected: true,
  observed: true,
}

const plainBytes = ({ of, components }: CaseBytes): CaseBytes => ({
  of,
  components: components.map(one => pick(one, bytesKeys)),
})

const plainCase = (one: CaseResult): CaseResult => ({
  ...pick(one, caseKeys),
  bytes: one.bytes === null ? null : plainBytes(one.bytes),
  repro: one.repro === null ? null : plainRepro(one.repro),
})

/** Any plain value as JSON text for people and machines: two spaces, a newline at the end. */
export const toJson = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`

/** A bundle with its keys in order, and with no others. */
export const plainBundle = (bundle: Bundle): Bundle => ({
  ...pick(bundle, bundleKeys),
  tool: pick(bundle.tool, { name: true, version: true }),
  host: plainHost(bundle.host),
  kernel: plainKernel(bundle.kernel),
  cases: bundle.cases.map(plainCase),
})

/** A run as JSON: docs/bundle.schema.json describes it. */
export const bundleJson = (bundle: Bundle): string => toJson(plainBundle(bundle))
