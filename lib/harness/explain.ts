/** A saved probe, walked through the kernel's decisions: what becomes of it, and of every register. */
import type { Generation } from '../contract/generations.ts'
import type { SentFrame } from '../contract/predict/frame.ts'
import type { HardwareAnswer, HardwareAsk } from '../contract/predict/hardware.ts'
import { type Ended, type Prediction, predict } from '../contract/predict/predict.ts'
import { sentFrame } from '../contract/predict/sent.ts'
import type { Task } from '../contract/predict/task.ts'
import { type Decision, decisionsOf } from '../contract/predict/words.ts'
import { isIa32 } from '../frame/abi.ts'
import { compileEdit } from '../frame/compile.ts'
import type { EditOp } from '../frame/edit.ts'
import { builtFrame } from '../frame/sent.ts'
import { hazardOf } from '../fuzz/hazard.ts'
import { limitsOfLayout } from '../probe/geometry.ts'
import type { SavedProbe } from '../report/probe-file.ts'
import type { ComponentName } from '../xstate/components.ts'

/** Who answers what the hardware is asked; null where no such CPU is at hand. */
export type Oracle = ((ask: HardwareAsk, before: SavedProbe['poison']) => HardwareAnswer | null) | null

/** Where a component's value comes from. */
export type Origin = 'frame' | 'fsave header' | 'CPU' | 'init' | 'default'

export interface Explained {
  readonly generation: Generation
  readonly predicted: Ended
  readonly decisions: readonly Decision[]
  /** Whether the hardware was asked. */
  readonly asked: boolean
  /** Nothing where the process ends. */
  readonly registers: readonly { readonly name: ComponentName; readonly origin: Origin }[]
  /** MXCSR; null where nobody says. */
  readonly mxcsr: number | null
  /** What is not walked through, or would end the process that sends it; null where there is nothing of it. */
  readonly caveat: string | null
}

/** The frame as it is sent, and found by the kernel. */
export const frameOf = ({
  abi,
  layout,
  load,
  edit,
}: Pick<SavedProbe, 'abi' | 'layout' | 'load' | 'edit'>): SentFrame => {
  const limits = limitsOfLayout(layout)
  const { primitives } = compileEdit(edit, layout, limits, 'edit', abi)
  return sentFrame(builtFrame(layout, load, abi, primitives), primitives, limits)
}

const registersOf = (
  { layout, abi }: SavedProbe,
  { registers, end }: Ended,
  asked: boolean,
): Explained['registers'] =>
  end === 'killed'
    ? []
    : layout.components.map(({ name, mask, index }) => {
        const { loaded, keys } = registers
        if ((loaded & mask) === 0n)
          return { name, origin: name === 'pkru' && keys === 'default' ? 'default' : 'init' }
        if (asked) return { name, origin: 'CPU' }
        return { name, origin: index === 0 && isIa32(abi) ? 'fsave header' : 'frame' }
      })

/** The masks are looked at for SIGSEGV alone. */
const isMask = (op: EditOp): boolean =>
  'field' in op && (op.field === 'head.sigmask' || op.field === 'head.oldmask')

const isOfHead = (op: EditOp): boolean =>
  ('field' in op && op.field.startsWith('head.')) || (op.op === 'write' && op.region === 'head')

const hasMore = ({ edit, stack }: SavedProbe): boolean =>
  stack !== null || edit.some(op => isOfHead(op) && !isMask(op))

const caveatOf = (saved: SavedProbe): string | null => {
  if (hasMore(saved))
    return 'the frame has more to say, of registers or of a stack: where that leads is not told here'
  const { layout, load } = saved
  const hazard = hazardOf(saved, { layout, limits: limitsOfLayout(layout), load })
  return hazard === null ? null : `whoever sends it may not live to tell: ${hazard}`
}

/** @returns what becomes of it, or in words why nobody can say */
export const explain = (
  saved: SavedProbe,
  generation: Generation,
  task: Task,
  oracle: Oracle,
): Explained | string => {
  const frame = frameOf(saved)
  let predicted: Prediction = predict(frame, task, generation.policy)
  const asked = predicted.end === 'ask'
  if (predicted.end === 'ask') {
    const answer = oracle?.(predicted.ask, saved.poison) ?? null
    if (answer === null)
      return 'it hangs on what the CPU makes of odd bytes: ask on a machine whose tasks have the layout of this frame'
    predicted = predict(frame, task, generation.policy, answer)
  }
  if (predicted.end === 'ask' || predicted.end === 'unknown')
    return 'it hangs on bytes that the frame leaves to chance'
  return {
    generation,
    predicted,
    decisions: decisionsOf(predicted.trail),
    asked,
    registers: registersOf(saved, predicted, asked),
    mxcsr: predicted.end === 'killed' ? null : predicted.registers.mxcsr,
    caveat: caveatOf(saved),
  }
}
