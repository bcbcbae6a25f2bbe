/**
 * What a selftest is: a descriptor. It says which frames to send and which rule each reaches; how they are run,
 * judged and reported is the runner's business, and the same for every selftest.
 */
import type { Task } from '../contract/predict/task.ts'
import type { RuleId } from '../contract/rules.ts'
import type { Observed } from '../contract/treatment.ts'
import type { Abi } from '../frame/abi.ts'
import type { EditLimits, EditOp } from '../frame/edit.ts'
import type { AlternateStack, Raise } from '../probe/request.ts'
import type { Recorded, Returned } from '../probe/result.ts'
import type { Probe } from '../probe/session.ts'
import type { ComponentName } from '../xstate/components.ts'
import type { HostCpu } from '../xstate/host.ts'
import type { XsaveImage } from '../xstate/image.ts'
import type { Layout } from '../xstate/layout.ts'

/** The extended components that one case is about, and what a frame needs to be made of them. */
export interface CaseContext {
  readonly layout: Layout
  /** What CPUID says that the layout should be. */
  readonly expected: Layout
  /** How far edits may reach. */
  readonly limits: EditLimits
  readonly cpu: HostCpu
  readonly abi: Abi
  /** Extended components, lowest bit first. May be empty: then the case is about x87 and SSE alone. */
  readonly components: readonly ComponentName[]
  /** Seed of whatever is random. */
  readonly seed: number
}

/** What was asked of the CPU itself: emulators may do otherwise than the manual says. */
export interface Traits extends Pick<Task, 'keepsZmmHi256'> {
  /** Whether reserved bits of MXCSR are a fault: emulators may not look. */
  readonly checksMxcsr: boolean
}

/** What is assumed of a CPU that is not here. */
export const traitsByTheManual: Traits = Object.freeze({ keepsZmmHi256: true, checksMxcsr: true })

/** Where the fpstate lies when it is sent. */
export const placements = [
  'stack',
  'spare',
  'guard',
  'elsewhere',
  'evicted',
  'readonly',
  'unreadable',
  'hole',
  'late',
  'contended',
] as const
export type Placement = (typeof placements)[number]

interface CaseBase {
  /** What is verified, in one sentence. */
  readonly summary: string
  /** The rule that the frame reaches. */
  readonly rule: RuleId | ((context: CaseContext) => RuleId)
  /** The commit or message that the case comes from. */
  readonly commit: string
  /** Whose frames it makes sense for; every ABI's if left out. */
  readonly abis?: readonly Abi[]
  /** Why it cannot run here, or null. */
  readonly needs?: (context: CaseContext, traits: Traits) => string | null
  readonly placement?: Placement
  /** Runs without any extended component too: a frame of x87 and SSE alone. */
  readonly withLegacy?: boolean
  /** Needs many tries, or seconds: runs only when it is asked for. */
  readonly long?: boolean
}

/** A case that sends a frame, once as it is and once as its own witness, and is told by what became of both. */
export interface FrameCase extends CaseBase {
  readonly edit: (context: CaseContext) => readonly EditOp[]
  readonly raise?: Raise
  /** Whether the thread has a shadow stack. */
  readonly shadowStack?: boolean
  /** The alternate stack that the frame is delivered onto. */
  readonly stack?: (context: CaseContext) => AlternateStack
  /** What the handler leaves in the registers; random if left out. */
  readonly poison?: (context: CaseContext) => XsaveImage
  /** What is in the registers when the signal hits; random if left out. */
  readonly load?: (context: CaseContext) => XsaveImage
  /** Loads only the case's components; otherwise all that the task has. */
  readonly loadOnly?: boolean
  /** Whether what the case is about really happened; tried anew until it did. @returns what did not, or null */
  readonly reached?: (seen: Recorded) => string | null
  /** The signal that the frame leads to. */
  readonly signal?: 'SIGSEGV' | 'SIGTRAP'
  /** Verifies more than registers. @returns what is wrong, or null */
  readonly verify?: (seen: Returned, context: CaseContext) => string | null
}

/** What a trial found: the rule's treatment, or another, and in words what was seen. */
export interface Trial {
  readonly observed: Observed
  readonly text: string
}

/** What a trial asked went with the question: no word on the rule. */
export interface Lost {
  readonly lost: 'crash' | 'timeout' | 'stuck'
  readonly text: string
}

/** A case that is more than one frame. */
export interface TrialCase extends CaseBase {
  /** @returns what was found, why the host does not let it be found, or what was lost on the way */
  readonly trial: (probe: Probe, context: CaseContext) => Trial | Lost | { readonly unable: string }
}

export type SelftestCase = FrameCase | TrialCase

export const isTrial = (test: SelftestCase): test is TrialCase => 'trial' in test

export interface Selftest {
  readonly name: string
  /** What it verifies, in one sentence. */
  readonly summary: string
  /** Its cases run for every extended component and for combinations, for each one alone, or once with all of them. */
  readonly variants: 'each component' | 'single components' | 'once'
  /** `plain`: its cases ask nothing of the session, and run in the one without permissions alone. */
  readonly session?: 'plain'
  /** Its cases are about no extended state: they run on hosts without XSAVE, too. */
  readonly withoutXsave?: true
  readonly cases: Readonly<Record<string, SelftestCase>>
}

export const selftest = (name: string, rest: Omit<Selftest, 'name'>): Selftest =>
  Object.freeze({ name, ...rest })
