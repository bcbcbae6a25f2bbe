/** What hosts are called in a collection. Pure. */

import { oneLine } from '../report/text.ts'
import { groupBy } from '../report/verdicts.ts'

const longestName = 200

/** The folders of a path and, last, the file's name without its ending. Host names have dots: only `.json` is one. */
const partsOf = (path: string): readonly string[] => {
  const parts = path.split('/').filter(part => part !== '' && part !== '.')
  const name = parts.at(-1) ?? path
  return [...parts.slice(0, -1), name.replace(/(.)\.json$/i, '$1')]
}

const stemOf = (parts: readonly string[]): string => parts.at(-1) ?? ''

const ending = (parts: readonly string[], count: number): string => parts.slice(-count).join('/')

/** How many parts at the end all have in common. */
const sharedEnd = (all: readonly (readonly string[])[]): number => {
  const [first = []] = all
  let count = 0
  while (count < first.length && all.every(parts => parts.at(-1 - count) === first.at(-1 - count))) count += 1
  return count
}

/** Of files whose names are the same: as much of the folders as tells each from the others. */
const apart = (all: readonly (readonly string[])[]): readonly string[] => {
  const shared = sharedEnd(all)
  const folders = all.map(parts => parts.slice(0, parts.length - shared))
  const different = [...new Map(folders.map(parts => [parts.join('/'), parts])).values()]
  return folders.map((own, i) => {
    const full = own.join('/')
    for (let count = 1; count <= own.length; count++) {
      const name = ending(own, count)
      if (different.every(other => other.join('/') === full || ending(other, count) !== name)) return name
    }
    return own.length === 0 ? stemOf(all[i] as readonly string[]) : full
  })
}

/**
 * A name for each file: the part of its path that was expected, from the end on; else the file's name without `.json`;
 * where several have that, as much of their folders as tells them apart.
 */
export const namesOf = (paths: readonly string[], expected: readonly string[]): readonly string[] => {
  const awaited = new Set(expected)
  const all = paths.map(partsOf)
  const named = all.map(parts => parts.findLast(part => awaited.has(part)))
  const open = all.flatMap((_, i) => (named[i] === undefined ? [i] : []))
  const found = new Map<number, string>()
  for (const group of groupBy(open, i => stemOf(all[i] as readonly string[])).values()) {
    const names =
      group.length === 1
        ? group.map(i => stemOf(all[i] as readonly string[]))
        : apart(group.map(i => all[i] as readonly string[]))
    group.forEach((i, at) => {
      found.set(i, names[at] as string)
    })
  }
  return all.map((_, i) => oneLine(named[i] ?? found.get(i) ?? '', longestName) || 'results')
}

/** A name without the number that was given to the second of it. */
export const baseOf = (name: string): string => name.replace(/ \(\d{1,9}\)$/, '')

/** Gives each name once: the second `host` is `host (2)`. */
export const createNaming = (): ((name: string) => string) => {
  const taken = new Set<string>()
  const next = new Map<string, number>()
  return name => {
    if (!taken.has(name)) {
      taken.add(name)
      return name
    }
    const base = baseOf(name)
    let number = next.get(base) ?? 2
    while (taken.has(`${base} (${number})`)) number += 1
    next.set(base, number + 1)
    const free = `${base} (${number})`
    taken.add(free)
    return free
  }
}
