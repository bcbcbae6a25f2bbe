/** What a kernel of a generation does with a frame of another machine, and what of it arrives. Pure. */
import type { Policy } from '../contract/policy.ts'
import type { SentFrame } from '../contract/predict/frame.ts'
import type { HardwareAnswer, HardwareAsk } from '../contract/predict/hardware.ts'
import { answerByTheManual } from '../contract/predict/manual.ts'
import { type Ended, predict } from '../contract/predict/predict.ts'
import type { Registers } from '../contract/predict/registers.ts'
import type { Task } from '../contract/predict/task.ts'
import { frameFields, largestFrame, magic2Size } from '../frame/format.ts'
import type { Host } from '../hosts/host.ts'
import { initImage, type XsaveImage } from '../xstate/image.ts'
import type { Layout } from '../xstate/layout.ts'
import { type Arrival, arrivalOf } from './arrival.ts'
import type { ForeignFrame } from './foreign.ts'

/** Who answers what the hardware is asked; null where nobody can say. `before`: what the registers hold then. */
export type Oracle = (ask: HardwareAsk, before: XsaveImage) => HardwareAnswer | null

/** The manuals, for a CPU that is not at hand. */
export const manualOf =
  ({ layout, emulated }: Elsewhere): Oracle =>
  ask =>
    answerByTheManual(ask, layout, emulated)

/** What of a machine that is not here decides on a return. */
export type Elsewhere = Pick<Host, 'layout' | 'compacts' | 'emulated'>

/** The task on a machine that is not here. QEMU loads MXCSR with SSE alone, and has FOP, FIP and FDP of its own. */
export const taskElsewhere = ({ layout, compacts, emulated }: Elsewhere): Task => ({
  layout,
  compacts,
  avxLoadsMxcsr: !emulated,
  keepsPointers: !emulated,
  keepsZmmHi256: true,
})

const xstateSizeAt = frameFields['sw.xstateSize'].at

/** How far any kernel of this layout looks: to its own MAGIC2, or to the frame's, where that can be. */
const reachOf = (area: Uint8Array, { size }: Layout): number => {
  const view = new DataView(area.buffer, area.byteOffset, area.byteLength)
  const said = view.getUint32(xstateSizeAt, true)
  return Math.max(area.length, size + magic2Size, said <= largestFrame ? said + magic2Size : 0)
}

/**
 * A frame as it lies on a stack, aligned and whole, with zeros behind it: as far as any kernel of this layout reads. What
 * really lies there is what the process has left: another frame's MAGIC2 among it.
 */
export const standing = ({ abi, fsave, area }: ForeignFrame, layout: Layout): SentFrame => {
  const known = new Uint8Array(reachOf(area, layout))
  known.set(area)
  return {
    abi,
    pointer: 'mapped',
    area: known,
    fsave,
    misalignedBy: 0,
    pages: [],
    blocksSigsegv: false,
  }
}

/** The state that registers are in; MXCSR as in `otherwise` where nobody says. */
const imageOfRegisters = ({ loaded, area, x87, mxcsr }: Registers, otherwise: XsaveImage): XsaveImage => {
  const { layout } = otherwise
  const image = initImage(layout)
  for (const { name, ranges, mask } of layout.components) {
    if ((loaded & mask) === 0n) continue
    const from = name === 'x87' ? x87 : area
    for (const { offset, size } of ranges) image.bytes.set(from.subarray(offset, offset + size), offset)
  }
  image.mxcsr = mxcsr ?? otherwise.mxcsr
  if (layout.xsave) image.xstateBv = loaded
  return image
}

/** PKRU's bits of key 0, that of all memory of a process which asks for no other. */
const key0 = 3

/** Whether the process cannot go on with these: another layout's bytes may be read as keys. */
export const closesMemory = ({ loaded, area }: Registers, layout: Layout): boolean => {
  if (!layout.has('pkru')) return false
  const { mask, offset } = layout.component('pkru')
  return (loaded & mask) !== 0n && ((area[offset] ?? 0) & key0) !== 0
}

export interface PredictedForeign {
  readonly ended: Ended
  /** What the registers hold then; null where the frame is rejected. */
  readonly after: XsaveImage | null
  /** What of the frame is in them; null where it is rejected. */
  readonly arrival: Arrival | null
  /** Whether the hardware had to be asked, or the manuals. */
  readonly asked: boolean
  /** PKRU then denies the process its own memory: it is killed right after. */
  readonly closesMemory: boolean
}

/** Why nobody can say: no such hardware can be asked, or it hangs on bytes far behind the frame. */
export interface Unpredicted {
  readonly unpredicted: 'hardware' | 'bytes'
}

/** A frame that is sent. */
export interface Sent {
  readonly foreign: ForeignFrame
  /** As the kernel finds it: `standing`, or what an edit makes of it. */
  readonly frame: SentFrame
  /** What the registers hold before: an image of the task's layout. Its init state if left out. */
  readonly before?: XsaveImage
}

export const predictForeign = (
  { foreign, frame, before }: Sent,
  task: Task,
  policy: Policy,
  oracle: Oracle,
): PredictedForeign | Unpredicted => {
  const otherwise = before ?? initImage(task.layout)
  const first = predict(frame, task, policy)
  const asked = first.end === 'ask'
  const answer = first.end === 'ask' ? oracle(first.ask, otherwise) : undefined
  if (answer === null) return { unpredicted: 'hardware' }
  const ended = answer === undefined ? first : predict(frame, task, policy, answer)
  if (ended.end === 'ask' || ended.end === 'unknown') return { unpredicted: 'bytes' }
  if (ended.end === 'rejected' || ended.end === 'killed')
    return { ended, after: null, arrival: null, asked, closesMemory: false }
  const after = imageOfRegisters(ended.registers, otherwise)
  return {
    ended,
    after,
    arrival: arrivalOf(foreign, after),
    asked,
    closesMemory: closesMemory(ended.registers, task.layout),
  }
}
