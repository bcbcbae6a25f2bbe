/** The results of a run: what every report is made of, and what a bundle on disk holds. */
import type { DeviationKind } from '../contract/deviation.ts'
import type { GenerationId } from '../contract/generations.ts'
import type { RuleId } from '../contract/rules.ts'

export type Verdict = 'pass' | 'xfail' | 'fail' | 'skip' | 'timeout' | 'crash' | 'stuck' | 'broken'

/** What repeats a case: feed `edit` to `probe.runSync` with `randomImage(layout, { seed })` as load. */
export interface Repro {
  readonly seed: number
  /** Operations as in lib/frame/edit.ts; bytes as hexadecimal, bigints as 0x strings. */
  readonly edit: readonly Readonly<Record<string, unknown>>[]
  /** The other fields of the request. */
  readonly abi: string
  readonly raise: string
  readonly stack: { readonly bytes: number; readonly state: string } | null
}

/** What a component should have held and what it held, where that differs. Bytes are hexadecimal digits. */
export interface ComponentBytes {
  /** `mxcsr` too, which belongs to no component. */
  readonly name: string
  /** In bytes from the start of the XSAVE area, standard format. */
  readonly offset: number
  readonly size: number
  /** Where its bytes should have come from: from the frame, or from nowhere. */
  readonly wanted: 'restored' | 'init'
  /** How many of its bytes differ. */
  readonly differing: number
  /** Where the bytes below begin, from the component's first on; they hold the first difference, and 64 at most. */
  readonly from: number
  readonly expected: string
  readonly observed: string
}

/** The registers of a case that failed, as far as they are not as they should be. */
export interface CaseBytes {
  /** Which of the two frames that a case sends. */
  readonly of: 'frame' | 'witness'
  readonly components: readonly ComponentBytes[]
}

/** One case. `id` is `<selftest>/<case>/<abi>/<components>`, see docs/formats.md for its grammar. */
export interface CaseResult {
  readonly id: string
  readonly selftest: string
  readonly case: string
  readonly abi: string
  /** The extended components that the case is about. */
  readonly components: readonly string[]
  /** Where the fpstate lay: see `placements` in lib/harness/selftest.ts. */
  readonly placement: string
  readonly rules: readonly RuleId[]
  readonly verdict: Verdict
  /** Why this verdict, in one line. Empty for a plain pass. */
  readonly reason: string
  readonly observed: string
  readonly expected: string
  /** Null where it did not fail by what the registers held, and in bundles from before it was said. */
  readonly bytes: CaseBytes | null
  readonly durationUs: number
  readonly repro: Repro | null
}

/** The kernel's own log while the kernel was probed. */
export interface LogResult {
  /** From boot on. */
  readonly watched: boolean
  /** Why it was not watched, or what of it was missed; empty where all was seen. */
  readonly reason: string
  /** Whether clear_warn_once was written, so that what prints once a boot could print again. */
  readonly onceCleared: boolean
  /** What the kernel complained of meanwhile, each call trace cut after its 40th line. */
  readonly lines: readonly string[]
}

export interface KernelResult {
  /** uname -r, -v. */
  readonly release: string
  readonly version: string
  /** Null where no frame of this host could tell. */
  readonly generation: GenerationId | null
  /**
   * What the kernel is, in one line: its generation, and what it does otherwise. Empty where no frame could tell, and in
   * bundles from before it was said.
   */
  readonly headline: string
  /** How the generation was told: one line for each probe of the fingerprint. */
  readonly evidence: readonly {
    readonly rule: RuleId
    readonly observed: string
    readonly asGeneration: boolean
    /** Null where it does as its generation, and in bundles from before it was said. */
    readonly deviation: DeviationKind | null
    /** The generations that do so, where its own does not. */
    readonly as: readonly GenerationId[]
  }[]
  /** Where the kernel does otherwise than its generation, a line for each rule; empty for a clean fit. */
  readonly deviations: readonly string[]
  /** /proc/sys/kernel/tainted before and after; null where it cannot be read. */
  readonly taintBefore: number | null
  readonly taintAfter: number | null
  /** Why the taint was not read, or tells less than it could; empty where it tells all. */
  readonly taintReason: string
  /** Null in bundles from before it was watched. */
  readonly log: LogResult | null
}

export interface HostResult {
  readonly vendor: string
  readonly brand: string
  readonly family: number
  readonly model: number
  readonly stepping: number
  /** /proc/cpuinfo's microcode, as it stands there. */
  readonly microcode: string | null
  readonly hypervisor: string | null
  /** Hexadecimal. */
  readonly xcr0: string
  readonly userFeatures: string
  readonly userSize: number
  readonly minSignalStack: number
  readonly leafD: readonly {
    readonly index: number
    readonly name: string
    readonly size: number
    readonly offset: number
    readonly xfd: boolean
    readonly supervisor: boolean
  }[]
  /** The bits of MXCSR that may be set; null where a file from before it was said does not tell. */
  readonly mxcsrMask: number | null
  /** Whether its kernel's buffers are compacted; null as for the mask. */
  readonly compacts: boolean | null
}

/** What is told of the machine that a frame or a probe is of. */
export type OriginHost = Pick<
  HostResult,
  'vendor' | 'brand' | 'family' | 'model' | 'stepping' | 'microcode' | 'hypervisor'
>

export interface OriginKernel {
  /** uname -r */
  readonly release: string
  /** Null where it was not told. */
  readonly generation: string | null
}

/** All results of one run on one host. */
export interface Bundle {
  readonly bundleVersion: 1
  readonly tool: { readonly name: 'sigframe'; readonly version: string }
  readonly startedAt: string
  readonly durationMs: number
  readonly host: HostResult
  /** Null where nothing could be probed. */
  readonly kernel: KernelResult | null
  /** Lines that must not be overlooked. */
  readonly warnings: readonly string[]
  readonly cases: readonly CaseResult[]
}

/** Cases of the run as a whole: there is nothing to repeat by their ids. */
export const isOfTheRun = ({ selftest }: CaseResult): boolean =>
  selftest === 'require' || selftest === 'baseline' || selftest === 'kernel'

/** How many cases have each verdict. */
export const countVerdicts = (cases: readonly CaseResult[]): Record<Verdict, number> => {
  const counts = { pass: 0, xfail: 0, fail: 0, skip: 0, timeout: 0, crash: 0, stuck: 0, broken: 0 }
  for (const { verdict } of cases) counts[verdict] += 1
  return counts
}

/** The exit codes of `sigframe run`: kselftest's, and sysexits' where kselftest has none. */
export const exitCodes = { ok: 0, fail: 1, skip: 4, usage: 64, broken: 70 } as const

/**
 * The exit code of a run. Zero executed cases is no success: all skipped is 4, none at all is broken.
 */
export const exitCodeOf = (cases: readonly CaseResult[]): number => {
  const counts = countVerdicts(cases)
  if (counts.broken > 0 || cases.length === 0) return exitCodes.broken
  if (counts.fail + counts.timeout + counts.crash + counts.stuck > 0) return exitCodes.fail
  return counts.skip === cases.length ? exitCodes.skip : exitCodes.ok
}
