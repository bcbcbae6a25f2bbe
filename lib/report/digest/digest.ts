/** A collection as both kinds of pages tell it. Pure. */
import type { Collection } from '../../merge/collection.ts'
import { plural } from '../text.ts'
import { type FailureGroup, failureGroups } from './failures.ts'
import { type Frame, framesOf } from './layouts.ts'
import { type Evidence, type PairTable, pairTables } from './pairs.ts'
import { type Picture, picturesOf } from './pictures.ts'
import { type Place, type PlaceTable, placeTables } from './places.ts'

export interface Digest {
  readonly collection: Collection
  readonly tables: readonly PlaceTable[]
  /** Of all tables. */
  readonly places: readonly Place[]
  readonly frames: readonly Frame[]
  /** What of the frames could not be shown, a line each. */
  readonly framesLeft: readonly string[]
  readonly pictures: readonly Picture[]
  readonly picturesLeft: number
  readonly pairTables: readonly PairTable[]
  readonly evidence: readonly Evidence[]
  readonly failures: readonly FailureGroup[]
}

export const digestOf = (collection: Collection): Digest => {
  const tables = placeTables(collection)
  const places = tables.flatMap(one => one.places)
  const { frames, left } = framesOf(collection, tables)
  const { pictures, more } = picturesOf(collection, frames)
  const pairs = pairTables(collection)
  return {
    collection,
    tables,
    places,
    frames,
    framesLeft: left,
    pictures,
    picturesLeft: more,
    pairTables: pairs.tables,
    evidence: pairs.evidence,
    failures: failureGroups(places),
  }
}

/** How it stands with all of it, in a few words. */
export const standing = ({ places, pairTables: tables }: Pick<Digest, 'places' | 'pairTables'>): string => {
  const count = (tone: Place['tone']): number => places.filter(one => one.tone === tone).length
  const parts = [
    ...(count('error') > 0 ? [plural(count('error'), 'error')] : []),
    ...(count('bad') > 0 ? [`${count('bad')} failed`] : []),
  ]
  if (parts.length > 0) return parts.join(', ')
  if (places.length === 0) return tables.length === 0 ? 'nothing in it' : 'predictions alone'
  return count('good') > 0 ? 'nothing failed' : 'all skipped'
}

/** What a page says beyond its collection. */
export interface PageExtras {
  /** ISO 8601; null where it is not said. */
  readonly generatedAt: string | null
  /** The command line that made it, as a shell takes it; null where none did. */
  readonly command: string | null
  /** C programs of failures told in full: see `programKey`. */
  readonly programs: ReadonlyMap<string, string>
}

export const noExtras: PageExtras = Object.freeze({ generatedAt: null, command: null, programs: new Map() })

/** What the C program of a case in a place goes by. */
export const programKey = (place: Pick<Place, 'id'>, caseId: string): string => `${place.id} ${caseId}`
