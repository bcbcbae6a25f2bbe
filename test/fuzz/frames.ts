/** Frames of the fuzzer's for every CPU that is known. */
import { abis } from '../../lib/frame/abi.ts'
import { createGrammar, type DrawFrame, type DrawnFrame } from '../../lib/fuzz/grammar.ts'
import type { Layout } from '../../lib/xstate/layout.ts'
import { createRandom } from '../../lib/xstate/random.ts'
import { limitsOf } from '../contract/simulated-probe.ts'
import { known, knownNames } from '../xstate/arbitrary.ts'

export const withXsave = knownNames.filter(name => known(name).xsave)

export const grammarOf = (layout: Layout, isolatedShare = 0.05): DrawFrame =>
  createGrammar({ layout, limits: limitsOf(layout), abis, loads: 16, poisons: 8, isolatedShare })

export const framesOf = (layout: Layout, count: number, seed = 1, isolatedShare?: number): DrawnFrame[] => {
  const draw = grammarOf(layout, isolatedShare)
  const random = createRandom(seed)
  return Array.from({ length: count }, () => draw(random))
}
