/** The lane of `sigframe matrix`: pairs of the catalogue's CPUs predicted, beside a probe of the plain loop for each. */
import { generations } from '../contract/generations.ts'
import { hostsOfCatalogue } from '../hosts/elsewhere.ts'
import type { Host } from '../hosts/host.ts'
import { createMatrix } from '../matrix/create.ts'
import { BenchError, type Lane, type Yardstick } from './lane.ts'

const ids = generations.map(({ id }) => id)

/** So many pairs, row by row: those of a source together, as its frames are made once. */
const predictPairs = (hosts: readonly Host[], count: number): void => {
  for (let row = 0, left = count; left > 0; row++) {
    const from = [hosts[row % hosts.length] as Host]
    const to = hosts.slice(0, Math.max(1, Math.floor(left / ids.length)))
    const { pairs } = createMatrix(hosts, { from, to, generations: ids.slice(0, left) })
    const untold = pairs.find(({ outcome }) => outcome === 'unknown')
    if (untold !== undefined)
      throw new BenchError(`bench: pair matrix: from ${untold.from} on ${untold.to}: ${untold.reason}`)
    left -= pairs.length
  }
}

/** What is wanted is the catalogue's whole matrix in a second. */
export const matrixLane = (plain: Yardstick): Lane => {
  const hosts = hostsOfCatalogue()
  return {
    name: 'pair matrix',
    wanted: { perSecond: hosts.length ** 2 * ids.length },
    weight: 2,
    run: count => predictPairs(hosts, count),
    against: [plain],
  }
}
