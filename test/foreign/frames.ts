/** Frames of known CPUs, as their machines would have captured them. */

import type { CapturedFrame } from '../../lib/foreign/captured.ts'
import type { SavedFrame } from '../../lib/foreign/saved.ts'
import type { Abi } from '../../lib/frame/abi.ts'
import { buildFpstate } from '../../lib/frame/build.ts'
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

/** The same, as a frame file keeps it. */
export const savedFrame = (
  layout: Layout,
  abi: Abi = 'x86_64',
  image: XsaveImage = randomImage(layout, { seed: 99 }),
): SavedFrame => ({
  source: 'captured',
  origin: '',
  host: null,
  kernel: null,
  layout,
  permissions: [],
  abi,
  address: null,
  head: null,
  ...buildFpstate(layout, image, abi),
  image,
  seed: null,
})
