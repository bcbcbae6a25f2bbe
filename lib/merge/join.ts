/** Results of several sources as one: what is there twice once, each name once, what was expected named. Pure. */
import { createHash } from 'node:crypto'
import { plainBundle } from '../report/json.ts'
import { matrixJson } from '../report/matrix-file.ts'
import { vmJson } from '../report/vm/json.ts'
import { type CollectedHost, missing, type Results } from './collection.ts'
import { baseOf, createNaming } from './names.ts'
import { problemOf } from './outcome.ts'

const hashOf = (text: string): string => createHash('sha256').update(text).digest('base64')

/** The same for two that are the same results, whatever they are called. */
const hostKey = ({ name, problem, bundle }: CollectedHost): string =>
  bundle === null ? `${baseOf(name)}\n${problem}` : hashOf(JSON.stringify(plainBundle(bundle)))

/** Those whose key no earlier one has; `onTwin` is told of the others and of which they are twins. */
const distinct = <T>(
  things: readonly T[],
  keyOf: (thing: T) => string,
  onTwin: (twin: T, of: number) => void = () => undefined,
): readonly T[] => {
  const seen = new Map<string, number>()
  return things.filter(thing => {
    const key = keyOf(thing)
    const first = seen.get(key)
    if (first === undefined) seen.set(key, seen.size)
    else onTwin(thing, first)
    return first === undefined
  })
}

/** What a file says of a problem is not believed where there are results to tell by. */
const judged = (host: CollectedHost): CollectedHost =>
  host.bundle === null ? host : { ...host, problem: problemOf(host.bundle) }

const isMissing = ({ problem, bundle }: CollectedHost): boolean => bundle === null && problem === missing

const withNames = <T extends { readonly name: string }>(things: readonly T[]): readonly T[] => {
  const nameFor = createNaming()
  return things.map(thing => ({ ...thing, name: nameFor(thing.name) }))
}

const joinedHosts = (
  all: readonly CollectedHost[],
  expected: readonly string[],
): readonly CollectedHost[] => {
  const came = new Set(all.filter(host => !isMissing(host)).map(({ name }) => name))
  const present = all.filter(host => !isMissing(host) || !came.has(host.name)).map(judged)
  const twins = new Map<string, number>()
  const hosts = withNames(
    distinct(present, hostKey, ({ name }, of) => {
      twins.set(name, of)
    }),
  )
  const names = new Set(hosts.map(({ name }) => name))
  const absent = [...new Set(expected)].filter(name => !names.has(name))
  const problemFor = (name: string): string => {
    const twin = hosts[twins.get(name) ?? -1]
    return twin === undefined
      ? missing
      : `it was expected, and what came as its results are those of ${twin.name}`
  }
  return [...hosts, ...absent.map(name => ({ name, problem: problemFor(name), bundle: null }))]
}

/**
 * All of it in one, in the order given. Results that are there twice are there once, under the name that came first; of
 * different ones that have the same name, the later ones are numbered.
 */
export const joined = (parts: readonly Results[], expected: readonly string[] = []): Results => ({
  hosts: joinedHosts(
    parts.flatMap(({ hosts }) => hosts),
    expected,
  ),
  vms: withNames(
    distinct(
      parts.flatMap(({ vms }) => vms),
      ({ report }) => hashOf(vmJson(report)),
    ),
  ),
  matrices: withNames(
    distinct(
      parts.flatMap(({ matrices }) => matrices),
      ({ matrix }) => hashOf(matrixJson(matrix)),
    ),
  ),
})
