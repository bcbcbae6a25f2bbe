/** Frames of known CPUs, as their machines would have captured them. */
import type { Abi } from '../../lib/frame/abi.ts'
import { buildFpstate } from '../../lib/frame/build.ts'
import type { CapturedFrame } from '../../lib/vm/machine.ts'
import type { XsaveImage } from '../../lib/xstate/image.ts'
import type { Layout } from '../../lib/xstate/layout.ts'
import { randomImage } from '../../lib/xstate/random.ts'

export const base64 = (...parts: readonly Uint8Array[]): string => Buffer.concat(parts).toString('base64')

export const capturedFrame = (
  layout: Layout,
  abi: Abi = 'x86_64',
  image: XsaveImage = randomImage(layout, { seed: 99 }),
): CapturedFrame => {
  const { fsave, fpstate } = buildFpstate(layout, image, abi)
  return {
    id: `${abi}/all`,
    abi,
    layout: layout.toJSON(),
    fpstate: base64(fsave ?? new Uint8Array(0), fpstate),
    image: base64(image.bytes),
  }
}
