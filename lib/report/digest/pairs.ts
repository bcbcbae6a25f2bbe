/** Pair matrices as tables: hosts that fare alike once, equal evidence once. Pure. */
import type { GenerationId } from '../../contract/generations.ts'
import type { MatrixHost, Pair, PairMatrix } from '../../matrix/matrix.ts'
import type { Collection } from '../../merge/collection.ts'
import { oneLine } from '../text.ts'
import { groupBy } from '../verdicts.ts'
import { longestName, mostEvidence, mostPairHosts } from './bounds.ts'

/** What is known of pairs, and of which. */
export interface Evidence {
  /** Once on a page: `matrix-0-pair-17`. */
  readonly id: string
  readonly table: PairTable['id']
  /** The first that has it: in all but the names the others are as it is. */
  readonly pair: Pair
  readonly pairs: readonly Pick<Pair, 'generation' | 'from' | 'to'>[]
}

/** Hosts that fare alike as source and as destination. */
export interface PairHost {
  readonly name: string
  readonly title: string
  /** Of the others. */
  readonly alike: readonly string[]
}

export interface PairCell {
  readonly pair: Pair
  /** Null where the page has no room for it. */
  readonly evidence: string | null
}

/** Generations in which all pairs are the same. */
export interface PairGrid {
  readonly id: string
  readonly generations: readonly GenerationId[]
  /** A row for each source; undefined where the file lacks a pair. */
  readonly rows: readonly (readonly (PairCell | undefined)[])[]
}

export interface PairTable {
  readonly id: string
  readonly name: string
  readonly matrix: PairMatrix
  readonly hosts: readonly PairHost[]
  /** Hosts that are not shown. */
  readonly more: number
  readonly grids: readonly PairGrid[]
}

type PairAt = (generation: string, from: string, to: string) => Pair | undefined

const keyOf = (generation: string, from: string, to: string): string => JSON.stringify([generation, from, to])

const pairsByPlace = ({ pairs }: PairMatrix): PairAt => {
  const found = new Map(pairs.map(pair => [keyOf(pair.generation, pair.from, pair.to), pair]))
  return (...at) => found.get(keyOf(...at))
}

/** All that a cell shows. */
const shownOf = (pair: Pair | undefined): string =>
  pair === undefined ? '' : JSON.stringify([pair.outcome, pair.unused, pair.silent, pair.evidence])

/** All that there is to know of it. */
const knownOf = ({ outcome, unused, silent, reason, evidence, frames }: Pair): string =>
  JSON.stringify([outcome, unused, silent, reason, evidence, frames])

const alikeHosts = ({ hosts, generations }: PairMatrix, pairAt: PairAt): MatrixHost[][] => {
  const groups = groupBy(hosts, ({ name, here }) =>
    JSON.stringify([
      // Of these it is known more.
      here,
      ...generations.flatMap(generation =>
        hosts.flatMap(other => [
          shownOf(pairAt(generation, name, other.name)),
          shownOf(pairAt(generation, other.name, name)),
        ]),
      ),
    ]),
  )
  return [...groups.values()]
}

const nameOf = (text: string): string => oneLine(text, longestName)

const pairHost = ([host, ...others]: readonly MatrixHost[]): PairHost => ({
  name: nameOf(host?.name ?? ''),
  title: nameOf(host?.title ?? ''),
  alike: others.map(({ name }) => nameOf(name)),
})

/** A matrix, and the evidence of the pairs that are shown; of so many kinds at most. */
const tableOf = (
  name: string,
  matrix: PairMatrix,
  id: string,
  room: number,
): { readonly table: PairTable; readonly evidence: readonly Evidence[] } => {
  const pairAt = pairsByPlace(matrix)
  const alike = alikeHosts(matrix, pairAt)
  const shown = alike.slice(0, mostPairHosts)
  const heads = shown.flatMap(([host]) => host ?? [])
  const rowsOf = (generation: string) =>
    heads.map(from => heads.map(to => pairAt(generation, from.name, to.name)))
  const grids = [
    ...groupBy(matrix.generations, generation =>
      JSON.stringify(rowsOf(generation).map(row => row.map(pair => pair && knownOf(pair)))),
    ).values(),
  ]
  const all = groupBy(matrix.pairs, knownOf)
  const ids = new Map<string, string>()
  const cellOf = (pair: Pair | undefined): PairCell | undefined => {
    if (pair === undefined) return undefined
    const known = knownOf(pair)
    if (!ids.has(known) && ids.size < room) ids.set(known, `${id}-pair-${ids.size}`)
    return { pair, evidence: ids.get(known) ?? null }
  }
  const table: PairTable = {
    id,
    name: nameOf(name),
    matrix,
    hosts: shown.map(pairHost),
    more: alike.slice(mostPairHosts).reduce((sum, group) => sum + group.length, 0),
    grids: grids.map((generations, i) => ({
      id: `${id}-grid-${i}`,
      generations,
      rows: rowsOf(generations[0] as string).map(row => row.map(cellOf)),
    })),
  }
  const evidence = [...ids].map(([known, own]) => {
    const pairs = all.get(known) ?? []
    return { id: own, table: id, pair: pairs[0] as Pair, pairs }
  })
  return { table, evidence }
}

/** All matrices of a collection, and the evidence that their cells lead to. */
export const pairTables = ({
  matrices,
}: Pick<Collection, 'matrices'>): {
  readonly tables: readonly PairTable[]
  readonly evidence: readonly Evidence[]
} => {
  const tables: PairTable[] = []
  const evidence: Evidence[] = []
  matrices.forEach(({ name, matrix }, i) => {
    const one = tableOf(name, matrix, `matrix-${i}`, mostEvidence - evidence.length)
    tables.push(one.table)
    evidence.push(...one.evidence)
  })
  return { tables, evidence }
}

/** A pair's outcome in words: `works if opmask is not in use; silently wrong otherwise`. */
export const outcomeText = ({
  outcome,
  unused,
  silent,
}: Pick<Pair, 'outcome' | 'unused' | 'silent'>): string => {
  if (outcome !== 'works if unused') return outcome === 'breaks' && silent ? 'breaks silently' : outcome
  const names = unused.map(nameOf)
  const be = names.length === 1 ? 'is' : 'are'
  return `works if ${names.join(' and ')} ${be} not in use${silent ? '; silently wrong otherwise' : ''}`
}
