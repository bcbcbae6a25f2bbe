/** Frames of machines that are not here, as their Linux writes them: with any of their components in use. Pure. */
import type { ForeignFrame } from '../foreign/foreign.ts'
import type { Abi } from '../frame/abi.ts'
import { buildFpstate } from '../frame/build.ts'
import { initMxcsr } from '../xstate/image.ts'
import type { Layout } from '../xstate/layout.ts'
import { defaultPkru } from '../xstate/pkru.ts'
import { randomImage } from '../xstate/random.ts'
import { componentsOfUse, type Use, usesMxcsr } from './use.ts'

/** Far from those of poisons. */
const seed = 2 ** 28 + 1077

/**
 * The frame of a task with random state in these components, the others at init, but for PKRU, which has Linux's default.
 * MAGIC2 is its last word: what lies behind is for others to say.
 * @param used a subset of `usable`
 */
export const synthesised = (layout: Layout, used: Use, abi: Abi): ForeignFrame => {
  const image = randomImage(layout, { seed, components: componentsOfUse(used) })
  if (!usesMxcsr(used)) image.mxcsr = initMxcsr
  if (layout.has('pkru')) {
    const { mask } = layout.component('pkru')
    if ((used & mask) === 0n) {
      image.pkru = defaultPkru
      image.xstateBv |= mask
    }
  }
  const { fsave, fpstate } = buildFpstate(layout, image, abi)
  return { abi, layout, fsave, area: fpstate, image, cutOff: [] }
}
