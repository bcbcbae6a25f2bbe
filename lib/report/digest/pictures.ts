/** Two frames one above the other: what of the source lies elsewhere in the destination, or nowhere. Pure. */
import type { Collection } from '../../merge/collection.ts'
import { layoutFromJSON } from '../../xstate/layout.ts'
import type { Region } from '../layout-picture.ts'
import { mostHostPictures, mostPictures } from './bounds.ts'
import { type Frame, layoutKey } from './layouts.ts'

/** A region of both frames, or of one. */
export interface Crossing {
  readonly name: string
  readonly what: string
  readonly source: Region | null
  readonly destination: Region | null
  readonly fate: 'stays' | 'moves' | 'missing' | 'new'
}

export interface Picture {
  /** Once on a page: `picture-0-2`. */
  readonly id: string
  readonly source: Frame
  readonly destination: Frame
  readonly crossings: readonly Crossing[]
}

const fateOf = (source: Region | null, destination: Region | null): Crossing['fate'] => {
  if (source === null) return 'new'
  if (destination === null) return 'missing'
  return source.offset === destination.offset ? 'stays' : 'moves'
}

const crossingsOf = (source: Frame, destination: Frame): Crossing[] => {
  const used = ({ regions }: Frame): Region[] => regions.filter(one => one.used)
  const there = new Map(used(destination).map(one => [one.name, one]))
  const here = new Set(used(source).map(({ name }) => name))
  const all: readonly (readonly [Region | null, Region | null])[] = [
    ...used(source).map(one => [one, there.get(one.name) ?? null] as const),
    ...used(destination)
      .filter(({ name }) => !here.has(name))
      .map(one => [null, one] as const),
  ]
  return all.map(([from, to]) => {
    const { name = '', what = '' } = from ?? to ?? {}
    return { name, what, source: from, destination: to, fate: fateOf(from, to) }
  })
}

const pictureOf = (source: Frame, destination: Frame): Picture => ({
  id: `picture-${source.id.slice('frame-'.length)}-${destination.id.slice('frame-'.length)}`,
  source,
  destination,
  crossings: crossingsOf(source, destination),
})

/** A frame from each of these on each other. */
const pairwise = (frames: readonly Frame[]): (readonly [Frame, Frame])[] =>
  frames.flatMap(from => frames.filter(to => to !== from).map(to => [from, to] as const))

/** The frames of a matrix's hosts, by the hosts' names. */
export const framesByHost = (
  { hosts }: Collection['matrices'][number]['matrix'],
  frames: readonly Frame[],
): ReadonlyMap<string, Frame> => {
  const byKey = new Map(frames.map(frame => [frame.key, frame]))
  const found = new Map<string, Frame>()
  for (const { name, layout } of hosts) {
    try {
      const frame = byKey.get(layoutKey(layoutFromJSON(layout)))
      if (frame !== undefined) found.set(name, frame)
    } catch {
      // What cannot be drawn is told of once.
    }
  }
  return found
}

/**
 * What is drawn: hosts pairwise, then pairs of the matrices in their order, those that do not simply work first. A
 * collection with one layout has no pair.
 */
export const picturesOf = (
  { matrices }: Collection,
  frames: readonly Frame[],
): {
  readonly pictures: readonly Picture[]
  readonly more: number
} => {
  const ofHosts = pairwise(frames.filter(({ ran }) => ran)).slice(0, mostHostPictures)
  const ofMatrices = matrices.flatMap(({ matrix }) => {
    const byHost = framesByHost(matrix, frames)
    return matrix.pairs
      .toSorted((a, b) => Number(a.outcome === 'works') - Number(b.outcome === 'works'))
      .flatMap(({ from, to }) => {
        const source = byHost.get(from)
        const destination = byHost.get(to)
        return source === undefined || destination === undefined || source === destination
          ? []
          : [[source, destination] as const]
      })
  })
  const all = new Map([...ofHosts, ...ofMatrices].map(pair => [`${pair[0].id} ${pair[1].id}`, pair]))
  return {
    pictures: [...all.values()].slice(0, mostPictures).map(([from, to]) => pictureOf(from, to)),
    more: Math.max(0, all.size - mostPictures),
  }
}

const names = (crossings: readonly Crossing[], fate: Crossing['fate']): string =>
  crossings
    .filter(one => one.fate === fate)
    .map(({ name }) => name)
    .join(' ')

/** What is no component: where it lies, the sizes say. */
const framing: ReadonlySet<string> = new Set(['sw', 'header', 'MAGIC2'])

/** What differs, in one line: `pkru moves; opmask is missing there`. */
export const pictureText = ({ crossings }: Picture): string => {
  const components = crossings.filter(({ name }) => !framing.has(name))
  const [moves, missing, added] = (['moves', 'missing', 'new'] as const).map(fate => names(components, fate))
  const verb = (list: string | undefined, one: string, many: string): string =>
    list?.includes(' ') ? `${list} ${many}` : `${list} ${one}`
  const parts = [
    ...(moves ? [verb(moves, 'lies elsewhere', 'lie elsewhere')] : []),
    ...(missing ? [verb(missing, 'is missing there', 'are missing there')] : []),
    ...(added ? [`${added} only there`] : []),
  ]
  return parts.join('; ') || 'all lies in the same places'
}
