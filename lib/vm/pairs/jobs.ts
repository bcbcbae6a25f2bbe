/** Which captured frames go to which machine. Pure. */
import type { CapturedFrame, FrameJob } from '../../foreign/captured.ts'
import type { MachineResult } from '../machine.ts'

/** What of a machine decides which frames it gets. */
export type FrameSource = Pick<MachineResult, 'kernel' | 'cpu' | 'frames'>

const machineName = ({ kernel, cpu }: FrameSource): string => `${kernel.name}|${cpu.name}`

/** All that decides on what becomes of a frame: the name does not. */
const contentOf = ({ abi, layout, fpstate, image }: CapturedFrame): string =>
  JSON.stringify([abi, layout, fpstate, image])

/**
 * For each machine the frames of all others, in their order: those of other CPUs, and those that another kernel has
 * written on the same CPU. What is the same to the last byte is sent once, for all that it comes from. A machine without
 * frames of its own did not come so far that it could return from others' either: it gets none.
 */
export const framesFor = (machines: readonly FrameSource[]): FrameJob[][] => {
  const captured = machines.flatMap(machine =>
    machine.frames.map(frame => ({ machine: machineName(machine), frame, content: contentOf(frame) })),
  )
  return machines.map(target => {
    if (target.frames.length === 0) return []
    const own = machineName(target)
    const jobs = new Map<string, { readonly from: string[]; readonly frame: CapturedFrame }>()
    for (const { machine, frame, content } of captured) {
      if (machine === own) continue
      const from = `${machine}|${frame.id}`
      const job = jobs.get(content)
      if (job === undefined) jobs.set(content, { from: [from], frame })
      else job.from.push(from)
    }
    return [...jobs.values()]
  })
}
