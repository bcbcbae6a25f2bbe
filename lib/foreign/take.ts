/** One frame as this machine's kernel delivers it, with known values in the registers. */
import { type Abi, frameShape } from '../frame/abi.ts'
import { magic2Size } from '../frame/format.ts'
import { type FrameRecord, restorable } from '../frame/reader.ts'
import type { Seen } from '../probe/result.ts'
import type { Probe } from '../probe/session.ts'
import { diffComponents, sameMxcsr } from '../xstate/compare.ts'
import type { ComponentName } from '../xstate/components.ts'
import type { XsaveImage } from '../xstate/image.ts'
import type { Layout } from '../xstate/layout.ts'
import { randomImage } from '../xstate/random.ts'

export interface TakeOptions {
  readonly abi: Abi
  /** Those in use when the signal hits; all of the task's if left out. */
  readonly components?: readonly ComponentName[] | undefined
  /** Of what is in them. */
  readonly seed: number
}

export interface TakenFrame {
  readonly written: FrameRecord
  /** The fpstate as far as the kernel wrote it, MAGIC2 included. */
  readonly fpstate: Uint8Array
  /** What was in the registers. */
  readonly image: XsaveImage
  /** Of the XSAVE area. */
  readonly address: bigint
}

const endText = (seen: Seen): string =>
  seen.kind === 'signal' ? `${seen.signal} at ${seen.where}` : seen.kind

/** Why a frame must not be taken for what was in the registers; null where it may. */
const unfitBy = (written: FrameRecord, image: XsaveImage, layout: Layout): string | null => {
  const lost: string[] = diffComponents(restorable(written), image.bytes, layout)
  if (!sameMxcsr(written.fpstate, image.bytes)) lost.push('mxcsr')
  return lost.length === 0 ? null : `the kernel wrote a frame without ${lost.join(' ')}`
}

/**
 * @returns the frame, or in one line why there is none
 * @throws RangeError for a component that the task has not
 */
export const takeFrame = (probe: Probe, { abi, components, seed }: TakeOptions): TakenFrame | string => {
  const { layout } = probe
  const image = randomImage(layout, { seed, components })
  const lack = probe.lack(abi)
  if (lack !== null) return lack
  const seen = probe.runSync({ abi, load: image })
  if (!('written' in seen)) return `no frame was delivered: ${endText(seen)}`
  const { written } = seen
  const unfit = unfitBy(written, image, layout)
  if (unfit !== null) return unfit
  return {
    written,
    fpstate: written.fpstate.slice(0, layout.size + (layout.xsave ? magic2Size : 0)),
    image,
    address: written.fpstatePointer + BigInt(frameShape(abi).fsaveSize),
  }
}
