/** Pair matrices, some of which something was seen. */
import { createMatrix } from '../../lib/matrix/create.ts'
import type { Pair, PairMatrix } from '../../lib/matrix/matrix.ts'
import { catalogue, hostNamed } from '../matrix/arbitrary.ts'

export const whole: PairMatrix = createMatrix(catalogue)

const some = [hostNamed('haswell'), hostNamed('ice-lake-sp'), hostNamed('zen4')]

const seenAs = (pair: Pair, asPredicted: boolean): Pair => ({
  ...pair,
  evidence: 'live',
  frames: pair.frames.map(frame => ({
    ...frame,
    seen: { outcome: 'loses', observed: 'avx at init', asPredicted },
  })),
})

/** On zen4 it was seen; of its own frames otherwise than predicted. */
export const seen: PairMatrix = (() => {
  const matrix = createMatrix(some, { kernel: { release: '6.12.1', generation: 'classic' } })
  const isSeen = ({ to, generation }: Pair): boolean => to === 'zen4' && generation === 'classic'
  return {
    ...matrix,
    hosts: matrix.hosts.map(host => ({ ...host, here: host.name === 'zen4' })),
    pairs: matrix.pairs.map(pair => (isSeen(pair) ? seenAs(pair, pair.from !== 'zen4') : pair)),
  }
})()
