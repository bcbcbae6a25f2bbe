/** A frame of another machine, walked through a kernel's decisions there, to what becomes of each component. */
import type { Generation } from '../contract/generations.ts'
import { factsOf } from '../contract/predict/facts.ts'
import type { SentFrame } from '../contract/predict/frame.ts'
import type { Ended } from '../contract/predict/predict.ts'
import type { Task } from '../contract/predict/task.ts'
import { type Decision, decisionsOf } from '../contract/predict/words.ts'
import { isInitComponent } from '../xstate/compare.ts'
import type { ComponentName } from '../xstate/components.ts'
import type { XsaveImage } from '../xstate/image.ts'
import { type Arrival, type Arriving, isWhole } from './arrival.ts'
import type { ForeignFrame } from './foreign.ts'
import { type Oracle, predictForeign, standing, type Unpredicted } from './predict.ts'

/**
 * - `arrives`: the frame had it in use, and the registers hold it.
 * - `unused`: at init in the frame, and in the registers.
 * - `put to init`: in use in the frame, and lost.
 * - `other bytes`: in use in the frame, and the registers hold something else.
 * - `cut off`: named by the frame, which ends before it.
 * - `no register`: in use in the frame, and the destination has no such component.
 * - `unneeded`: PKRU at the kernel’s default, and the destination has no such component: nothing hangs on it.
 * - `left over`: at init in the frame, and the registers hold something: another component's bytes.
 */
const componentFates = [
  'arrives',
  'unused',
  'put to init',
  'other bytes',
  'cut off',
  'no register',
  'unneeded',
  'left over',
] as const
export type ComponentFate = (typeof componentFates)[number]

/** What need not be there for a task to be as it was. */
const harmless: ReadonlySet<ComponentFate> = new Set(['arrives', 'unused', 'unneeded'])

/** The components that are not as they were, and MXCSR where it is not. */
export const lostOf = ({
  components,
  mxcsr,
}: Pick<ExplainedForeign, 'components' | 'mxcsr'>): readonly Arriving[] => [
  ...components.filter(({ fate }) => !harmless.has(fate)).map(({ name }) => name),
  ...(mxcsr === null || mxcsr.arrives ? [] : (['mxcsr'] as const)),
]

export interface ExplainedComponent {
  readonly name: ComponentName
  readonly fate: ComponentFate
}

/** A decision, and the values that it looked at; null where it looks at none. */
export interface ExplainedDecision extends Decision {
  readonly facts: string | null
}

export interface ExplainedForeign {
  readonly generation: Generation
  readonly ended: Ended
  readonly decisions: readonly ExplainedDecision[]
  /** Whether the hardware, or the manuals, had to be asked. */
  readonly asked: boolean
  /** Those of the frame and of the destination, lowest bit first. Nothing where the frame is rejected. */
  readonly components: readonly ExplainedComponent[]
  readonly mxcsr: { readonly arrives: boolean; readonly before: number; readonly after: number } | null
  /** PKRU before and after, where both have it or the frame has; null otherwise, and where the frame is rejected. */
  readonly pkru: { readonly before: number; readonly after: number } | null
  /** PKRU then denies the process its own memory. */
  readonly closesMemory: boolean
  /** Whether all that the frame had in use is there, and nothing else. */
  readonly whole: boolean
}

const fateOf = (
  name: ComponentName,
  { cutOff }: ForeignFrame,
  arrival: Arrival,
  after: XsaveImage,
): ComponentFate => {
  const { arrived, lost, unknown, leftOver, unneeded } = arrival
  if (arrived.includes(name)) return 'arrives'
  if (unneeded.includes(name)) return 'unneeded'
  if (unknown.includes(name)) return 'no register'
  if (leftOver.includes(name)) return 'left over'
  if (!lost.includes(name)) return 'unused'
  if (cutOff.includes(name)) return 'cut off'
  const { layout } = after
  return !layout.has(name) || isInitComponent(after.bytes, layout, name) ? 'put to init' : 'other bytes'
}

export const componentsOf = (
  foreign: ForeignFrame,
  arrival: Arrival,
  after: XsaveImage,
): ExplainedComponent[] => {
  const placed = new Map(
    [...foreign.layout.components, ...after.layout.components].map(one => [one.name, one]),
  )
  return [...placed.values()]
    .toSorted((a, b) => a.index - b.index)
    .map(({ name }) => ({ name, fate: fateOf(name, foreign, arrival, after) }))
}

/** PKRU of an image; 0, its init value, where it has none. */
const pkruOf = ({ bytes, layout, xstateBv }: XsaveImage): number => {
  if (!layout.has('pkru')) return 0
  const { mask, offset } = layout.component('pkru')
  if ((xstateBv & mask) === 0n) return 0
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint32(offset, true)
}

const decisionsOn = (
  frame: SentFrame,
  task: Task,
  { policy }: Generation,
  { trail }: Ended,
): ExplainedDecision[] => {
  let fxOnly = !task.layout.xsave
  return decisionsOf(trail).map(decision => {
    const facts = factsOf(decision.step.rule, frame, task, policy, fxOnly)
    fxOnly ||= decision.said === 'fx-only'
    return { ...decision, facts }
  })
}

/** @returns what becomes of it, or why nobody here can say */
export const explainForeign = (
  foreign: ForeignFrame,
  task: Task,
  generation: Generation,
  oracle: Oracle,
): ExplainedForeign | Unpredicted => {
  const frame = standing(foreign, task.layout)
  const predicted = predictForeign({ foreign, frame }, task, generation.policy, oracle)
  if ('unpredicted' in predicted) return predicted
  const { ended, arrival, after, asked, closesMemory } = predicted
  const decisions = decisionsOn(frame, task, generation, ended)
  const common = { generation, ended, decisions, asked, closesMemory }
  if (arrival === null || after === null)
    return { ...common, components: [], mxcsr: null, pkru: null, whole: false }
  const { image, layout } = foreign
  return {
    ...common,
    components: componentsOf(foreign, arrival, after),
    mxcsr: { arrives: arrival.arrived.includes('mxcsr'), before: image.mxcsr, after: after.mxcsr },
    pkru:
      layout.has('pkru') || after.layout.has('pkru') ? { before: pkruOf(image), after: pkruOf(after) } : null,
    whole: !closesMemory && isWhole(arrival),
  }
}
