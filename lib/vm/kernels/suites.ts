/**
 * Which suites of Debian's archive there are, besides those that a machine is configured for. They are not listed
 * anywhere: the names that stay the same are asked for, and then the code names that answer.
 */
import { keyOf, type Source } from './sources.ts'

/** What a suite's Release file says of it. */
export interface Release {
  readonly origin: string
  readonly label: string
  readonly suite: string
  readonly codename: string
  /** When it was made, in ms; 0 where that is not said. */
  readonly date: number
}

/** Asks for the Release files alone. @returns those that were there and are trusted, by keyOf */
export type Ask = (sources: readonly Source[]) => Promise<ReadonlyMap<string, Release>>

/** Of a Release file, or of an InRelease, which has a signature around it. */
export const parseRelease = (text: string): Release => {
  const field = (name: string): string =>
    new RegExp(`^${name}:[ \\t]*(.*?)[ \\t\\r]*$`, 'm').exec(text)?.[1] ?? ''
  return {
    origin: field('Origin'),
    label: field('Label'),
    suite: field('Suite'),
    codename: field('Codename'),
    date: Date.parse(field('Date')) || 0,
  }
}

/** Not a derivative of it, and no third party's. */
const isDebian = ({ origin }: Release): boolean => origin === 'Debian' || origin === 'Debian Backports'

const isSecurity = ({ label }: Release): boolean => label === 'Debian-Security'

const withBackports = ['oldstable', 'stable', 'testing']
const mainAliases = [...withBackports.flatMap(name => [name, `${name}-backports`]), 'experimental']
const securityAliases = withBackports.map(name => `${name}-security`)

interface Found {
  readonly source: Source
  readonly release: Release
}

const findIn = (sources: readonly Source[], releases: ReadonlyMap<string, Release>): readonly Found[] =>
  sources.flatMap(source => {
    const release = releases.get(keyOf(source))
    return release === undefined || !isDebian(release) ? [] : [{ source, release }]
  })

/** Names that are worth a question, once something of an archive is known. */
const namesFrom = ({ release }: Found): readonly string[] => {
  const { codename, suite } = release
  const names = isSecurity(release) ? securityAliases : mainAliases
  const isBase = !isSecurity(release) && (withBackports.includes(suite) || suite === 'oldoldstable')
  return [...names, codename, ...(isBase ? [`${codename}-backports`] : [])].filter(name => name !== '')
}

const unique = (sources: readonly Source[]): readonly Source[] =>
  [...new Map(sources.toReversed().map(source => [keyOf(source), source])).values()].toReversed()

/**
 * The Debian suites to fetch from: of each the name under which it is newest (a mirror may be behind with some), else
 * the configured one.
 * @returns empty where no configured archive is Debian's
 */
export const discoverSuites = async (configured: readonly Source[], ask: Ask): Promise<readonly Source[]> => {
  let open = unique(configured)
  const asked = new Set<string>()
  const found: Found[] = []
  // Configured names, then names that stay the same, then the code names that they stand for.
  for (let round = 0; round < 3 && open.length > 0; round += 1) {
    for (const source of open) asked.add(keyOf(source))
    found.push(...findIn(open, await ask(open)))
    open = unique(found.flatMap(one => namesFrom(one).map(suite => ({ ...one.source, suite })))).filter(
      source => !asked.has(keyOf(source)),
    )
  }
  const own = new Set(configured.map(keyOf))
  const best = new Map<string, Found>()
  for (const one of found) {
    const { source, release } = one
    const key = `${source.uri} ${release.codename || release.suite || source.suite}`
    const known = best.get(key)
    const isAsNew = known !== undefined && known.release.date === release.date
    // What stable is changes; what trixie is does not. But what is configured stays as it is.
    const isSteadier = isAsNew && !own.has(keyOf(known.source)) && source.suite === release.codename
    if (known === undefined || known.release.date < release.date || isSteadier) best.set(key, one)
  }
  return [...best.values()].map(({ source }) => source)
}
