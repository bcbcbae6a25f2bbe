/** Frames of this machine, to be sent on others: as the kernel delivered them, with what was in the registers. */
import type { Abi } from '../frame/abi.ts'
import type { Probe } from '../probe/session.ts'
import type { ComponentName } from '../xstate/components.ts'
import type { Layout } from '../xstate/layout.ts'
import type { CapturedFrame } from './captured.ts'
import { takeFrame } from './take.ts'

/** Those whose programs are migrated; of x32 there are none. */
const capturedAbis: readonly Abi[] = ['x86_64', 'ia32-rt', 'ia32']

/** Far from those of poisons: see `poisonSeeds` in lib/probe/session.ts. */
const seed = 2 ** 28 + 77

/** What is in use when the signal hits. */
interface Use {
  readonly name: string
  readonly components: readonly ComponentName[] | undefined
}

/** All there is; and what every CPU has for years, where that is less: whether more is in use may decide. */
const usesOf = (layout: Layout): Use[] => {
  const all: Use = { name: 'all', components: undefined }
  const hasMore = layout.has('avx') && layout.extended.length > 1
  return hasMore ? [all, { name: 'avx', components: ['x87', 'sse', 'avx'] }] : [all]
}

export interface CaptureOptions {
  /** Is told of each frame that cannot be had, and why, in one line. */
  readonly skipped?: (why: string) => void
}

const base64 = (...parts: readonly Uint8Array[]): string => Buffer.concat(parts).toString('base64')

const captureOne = (probe: Probe, abi: Abi, { name, components }: Use): CapturedFrame | string => {
  const taken = takeFrame(probe, { abi, components, seed })
  if (typeof taken === 'string') return taken
  const { written, fpstate, image } = taken
  return {
    id: `${abi}/${name}`,
    abi,
    layout: probe.layout.toJSON(),
    fpstate: base64(written.fsave ?? new Uint8Array(0), fpstate),
    image: base64(image.bytes),
  }
}

/**
 * Takes a frame of each ABI that this machine runs, with all components in use, and one with x87, SSE and AVX alone where
 * there are more. One that lacks what was in the registers is none to be sent elsewhere.
 */
export const captureFrames = (probe: Probe, { skipped }: CaptureOptions = {}): CapturedFrame[] => {
  const frames: CapturedFrame[] = []
  for (const abi of capturedAbis) {
    const lack = probe.lack(abi)
    if (lack !== null) {
      skipped?.(`${abi}: ${lack}`)
      continue
    }
    for (const use of usesOf(probe.layout)) {
      const frame = captureOne(probe, abi, use)
      if (typeof frame === 'string') skipped?.(`${abi}/${use.name}: ${frame}`)
      else frames.push(frame)
    }
  }
  return frames
}
