/** A session that is fuzzed, with what frames are drawn from and judged by. */
import type { GenerationId } from '../contract/generations.ts'
import type { Policy } from '../contract/policy.ts'
import type { Task } from '../contract/predict/task.ts'
import type { Abi } from '../frame/abi.ts'
import { taskOf } from '../harness/task.ts'
import type { PreparedImage } from '../probe/request.ts'
import type { Probe } from '../probe/session.ts'
import { initImage, type XsaveImage } from '../xstate/image.ts'
import type { Layout } from '../xstate/layout.ts'
import { createRandom, randomImage } from '../xstate/random.ts'
import { createGrammar, type DrawFrame, type DrawnFrame } from './grammar.ts'

/** What is needed of a session. */
export type FuzzedProbe = Pick<
  Probe,
  'layout' | 'limits' | 'cpu' | 'lack' | 'prepare' | 'image' | 'runEach' | 'runMany' | 'xrstor'
>

/** An image, and its checked form. */
export interface PoolImage {
  readonly image: XsaveImage
  readonly prepared: PreparedImage
}

/** Who is judged, and by what. */
export interface Subject {
  readonly probe: FuzzedProbe
  readonly task: Task
  readonly generation: GenerationId
  readonly policy: Policy
  readonly abis: readonly Abi[]
  readonly loads: readonly PoolImage[]
  readonly poisons: readonly PoolImage[]
  readonly draw: DrawFrame
}

const loadCount = 24
const poisonCount = 8
/** Far from the seeds that others use, loads from poisons too: no MXCSR of one is another's. */
const firstSeeds = { load: 2 ** 29, poison: 2 ** 29 + 200 } as const
/** What an isolated frame costs more than others, it is drawn less often. */
const isolatedShare = 0.004

/** Some of the images have components in their init state. */
const loadImage = (layout: Layout, i: number): XsaveImage => {
  if (i === 0) return initImage(layout)
  const seed = firstSeeds.load + i
  if (i % 3 !== 0) return randomImage(layout, { seed })
  const random = createRandom(seed)
  const drawn = layout.components.filter(() => (random.next() & 0x100) !== 0).map(({ name }) => name)
  return randomImage(layout, { seed, components: drawn })
}

const pool = (probe: FuzzedProbe, count: number, draw: (i: number) => XsaveImage): PoolImage[] =>
  Array.from({ length: count }, (_, i) => {
    const image = draw(i)
    return { image, prepared: probe.image(image) }
  })

/**
 * @param abis those wanted, of those that the session has
 * @param task what frames are predicted by; what CPU and kernel say of it if left out
 */
export const createSubject = (
  probe: FuzzedProbe,
  generation: { readonly id: GenerationId; readonly policy: Policy },
  abis: readonly Abi[],
  task: Task = taskOf(probe),
): Subject => {
  const { layout, limits } = probe
  const loads = pool(probe, loadCount, i => loadImage(layout, i))
  const poisons = pool(probe, poisonCount, i => randomImage(layout, { seed: firstSeeds.poison + i }))
  return {
    probe,
    task,
    generation: generation.id,
    policy: generation.policy,
    abis,
    loads,
    poisons,
    draw: createGrammar({ layout, limits, abis, loads: loadCount, poisons: poisonCount, isolatedShare }),
  }
}

/** The request that sends a drawn frame. */
export const requestOf = ({ loads, poisons }: Subject, frame: DrawnFrame) => ({
  abi: frame.abi,
  raise: frame.raise,
  load: (loads[frame.load] as PoolImage).prepared,
  poison: (poisons[frame.poison] as PoolImage).prepared,
  edit: frame.edit,
})
