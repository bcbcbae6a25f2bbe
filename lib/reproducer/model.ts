/** What becomes a C file: frames, and what is expected of each. */
import type { Abi } from '../frame/abi.ts'
import type { EditLimits, EditOp } from '../frame/edit.ts'
import type { AlternateStack, Raise } from '../probe/request.ts'
import type { ComponentName } from '../xstate/components.ts'
import type { Layout } from '../xstate/layout.ts'

/** A component's value: `canonicalComponent`'s bytes, or whatever there may be. */
export interface ExpectedComponent {
  readonly name: ComponentName
  readonly bytes: Uint8Array | 'any'
}

/** What the registers hold afterwards. A component that is not named may hold anything. */
export interface ExpectedRegisters {
  readonly components: readonly ExpectedComponent[]
  /** The values that MXCSR may have. */
  readonly mxcsr: readonly number[] | 'any'
}

/** How a probe ends. */
export type ExpectedEnd =
  | ({ readonly ends: 'returned' } & ExpectedRegisters)
  /** SIGSEGV at the return, si_code SI_KERNEL, si_addr 0. */
  | ({ readonly ends: 'rejected' } & ExpectedRegisters)
  /**
   * A signal from where the frame led, or null for any. Where it is the kernel's own SIGSEGV at the return, as for
   * segments that cannot be, the registers are looked at.
   */
  | ({ readonly ends: 'astray'; readonly signal: 'SIGSEGV' | 'SIGTRAP' | null } & ExpectedRegisters)
  /** The process is ended by SIGSEGV at the return. */
  | { readonly ends: 'died' }
  /** SIGSEGV, si_code SI_KERNEL, instead of a frame. */
  | { readonly ends: 'undelivered' }
  /** The return never ends. */
  | { readonly ends: 'endless' }

/** One frame. */
export interface ReproducedProbe {
  /** What it is among the others of its file: `the frame`. */
  readonly name: string
  readonly abi: Abi
  readonly raise: Raise
  readonly stack: AlternateStack | null
  /** What the registers hold when the signal hits: `layout.size` bytes, standard format. */
  readonly load: Uint8Array
  /** What they hold when the handler returns. */
  readonly poison: Uint8Array
  readonly edit: readonly EditOp[]
  readonly expected: ExpectedEnd
}

/** Frames of one layout that make one test. */
export interface Reproducible {
  readonly title: string
  /** Lines for the comment at the top: rule, commit, where it was seen. */
  readonly about: readonly string[]
  /** Why kernels may do otherwise: the rule is newer than they may be. Null where none may. */
  readonly newer: string | null
  readonly layout: Layout
  readonly limits: EditLimits
  readonly probes: readonly ReproducedProbe[]
}

/** A test that is named, and not run. */
export interface SkippedTest {
  readonly title: string
  readonly skip: string
}

export type ReproducedTest = Reproducible | SkippedTest

export const isSkipped = (test: ReproducedTest): test is SkippedTest => 'skip' in test
