/**
 * What a kernel does with a frame: the contract as a program. The frame goes through the kernel's decisions in their
 * order; what the hardware makes of odd bytes is asked of the hardware.
 */
import { isIa32 } from '../../frame/abi.ts'
import type { Policy } from '../policy.ts'
import type { RuleId } from '../rules.ts'
import type { SentFrame } from './frame.ts'
import type { HardwareAnswer, HardwareAsk } from './hardware.ts'
import { clearedRegisters, type Registers, registersOf } from './registers.ts'
import type { Decided, Step } from './step.ts'
import { checkSteps } from './steps/check.ts'
import { steps32 } from './steps/restore32.ts'
import { steps64 } from './steps/restore64.ts'
import type { Task } from './task.ts'
import { type Mark, markOf, type Outcome } from './trail.ts'
import { Walk } from './walk.ts'

/** What becomes of a SIGSEGV that the frame's own mask blocks. */
const killStep: Step = {
  rule: 'blocked-sigsegv-kills',
  says: ['passes', 'killed'],
  decide: ({ frame }) => (frame.blocksSigsegv ? 'killed' : 'passes'),
}

/** Every decision, in the kernel's order: first those on any frame, then those on 64-bit and on 32-bit ones. */
export const steps: readonly Step[] = Object.freeze([...checkSteps, ...steps64, ...steps32, killStep])

const first64 = checkSteps.length
const first32 = first64 + steps64.length
const kill = steps.length - 1
const [nullStep, unreachableStep] = [0, 1]

/** Whether a decision is on 32-bit frames alone, or on 64-bit ones; null where it is on both. */
export const isOf32 = (step: number): boolean | null => {
  if (step < first64 || step === kill) return null
  return step >= first32
}

export interface Ended {
  /**
   * `rejected`: SIGSEGV with SI_KERNEL and address 0, `registers` as they are when its handler runs. `killed`: the same
   * where the frame blocks SIGSEGV: the process ends.
   */
  readonly end: 'restored' | 'fx-only' | 'init' | 'rejected' | 'killed'
  readonly trail: readonly Mark[]
  readonly registers: Registers
}

export type Prediction =
  | Ended
  /** Predict again, with the hardware's answer. */
  | { readonly end: 'ask'; readonly ask: HardwareAsk }
  /** It hangs on bytes that are not known. */
  | { readonly end: 'unknown' }

/** Which decisions kernels of a policy make, by index. */
const made = new WeakMap<Policy, readonly boolean[]>()

export const madeBy = (policy: Policy): readonly boolean[] => {
  let known = made.get(policy)
  if (known === undefined) {
    known = steps.map(({ when }) => when === undefined || when(policy))
    made.set(policy, known)
  }
  return known
}

const rejected = (walk: Walk, trail: Mark[]): Ended => {
  const said = madeBy(walk.policy)[kill] === true ? (killStep.decide(walk) as Outcome) : 'passes'
  trail.push(markOf(kill, said))
  return { end: said === 'killed' ? 'killed' : 'rejected', trail, registers: clearedRegisters }
}

/** Without these nothing could be said at all, or nothing else: they tell what comes of others. */
const indispensable: ReadonlySet<RuleId> = new Set([
  'null-fpstate-is-init',
  'unreachable-fpstate-is-rejected',
  'magic2-is-readable',
  'absent-pages-are-faulted-in',
  'fsave-header-has-the-x87-state',
  'hardware-judges-contents',
  'left-out-components-go-to-init',
  'ia32-leaves-nothing-over',
])

/** Whether kernels of a policy make the decision of a rule. */
export const isMade = (policy: Policy, rule: RuleId): boolean =>
  madeBy(policy).some((asked, i) => asked && steps[i]?.rule === rule)

/** The rules that can be left out, in the kernel's order. */
export const dispensable: readonly RuleId[] = Object.freeze([
  ...new Set(steps.map(({ rule }) => rule).filter(rule => !indispensable.has(rule))),
])

/**
 * A policy that does not make one decision: as wrong as a kernel that forgot it, to see what the rule is worth and that
 * whoever compares notices.
 */
export const leavingOut = (policy: Policy, rule: RuleId): Policy => {
  const own = { ...policy }
  made.set(
    own,
    madeBy(policy).map((asked, i) => asked && steps[i]?.rule !== rule),
  )
  return own
}

/** Asks steps from one index to another; ends with the first that has anything to say against the frame. */
const ask = (walk: Walk, from: number, end: number, trail: Mark[]): Decided => {
  const asked = madeBy(walk.policy)
  for (let i = from; i < end; i++) {
    if (asked[i] !== true) continue
    const said = (steps[i] as Step).decide(walk)
    if (said === 'ask' || said === 'unknown') return said
    trail.push(markOf(i, said))
    if (said === 'fx-only' || said === 'rejected' || said === 'init') return said
  }
  return 'passes'
}

/**
 * @param answer what the hardware said to what an earlier prediction of the same frame asked
 */
export const predict = (
  frame: SentFrame,
  task: Task,
  policy: Policy,
  answer?: HardwareAnswer,
): Prediction => {
  const walk = new Walk(frame, task, policy, answer)
  const trail: Mark[] = []
  // Without XSAVE nobody looks at the sw bytes.
  const believed = ask(walk, nullStep, task.layout.xsave ? first64 : unreachableStep + 1, trail)
  if (believed === 'init') return { end: 'init', trail, registers: clearedRegisters }
  if (believed === 'rejected') return rejected(walk, trail)
  if (believed === 'unknown') return { end: believed }
  walk.fxOnly = believed === 'fx-only' || !task.layout.xsave
  const restored = isIa32(frame.abi) ? ask(walk, first32, kill, trail) : ask(walk, first64, first32, trail)
  if (restored === 'rejected') return rejected(walk, trail)
  if (restored === 'unknown') return { end: restored }
  if (restored === 'ask') return { end: restored, ask: walk.ask as HardwareAsk }
  return { end: walk.fxOnly ? 'fx-only' : 'restored', trail, registers: registersOf(walk) }
}
