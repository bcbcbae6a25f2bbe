/** The images that a stress run loads: random ones, of random components. */
import type { XsaveImage } from '../xstate/image.ts'
import type { Layout } from '../xstate/layout.ts'
import { createRandom, type RandomGenerator, randomImage } from '../xstate/random.ts'

const below = (random: RandomGenerator, n: number): number => (random.next() >>> 0) % n

/** All components half of the time; else each with even odds: what is not in use takes other ways through the kernel. */
const drawComponents = (layout: Layout, random: RandomGenerator): bigint | undefined => {
  if (!layout.xsave || below(random, 2) === 0) return undefined
  return layout.components.reduce((mask, c) => (below(random, 2) === 0 ? mask | c.mask : mask), 0n)
}

/** Images of a layout; the same for the same seed. */
export const drawImages = (layout: Layout, seed: number, count: number): XsaveImage[] => {
  const random = createRandom(seed)
  return Array.from({ length: count }, (_, i) =>
    randomImage(layout, { seed: seed + i, components: drawComponents(layout, random) }),
  )
}

/** Some of them, each once. */
export const pick = <T>(all: readonly T[], count: number, random: RandomGenerator): T[] => {
  const rest = [...all]
  return Array.from({ length: Math.min(count, rest.length) }, () => {
    const [one] = rest.splice(below(random, rest.length), 1)
    return one as T
  })
}
