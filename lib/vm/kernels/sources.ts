/** What apt is configured to fetch from: sources.list(5), in both of its styles. Pure. */

/** One suite of one archive. */
export interface Source {
  /** With a slash at its end. */
  readonly uri: string
  readonly suite: string
  readonly components: readonly string[]
  /** By the deb822 style's names in small letters: `signed-by`. A value may have several lines. */
  readonly options: Readonly<Record<string, string>>
}

/**
 * How an archive is trusted and spoken to, which holds for its other suites too. What is fetched from it
 * (architectures, languages, targets) is decided here.
 */
const kept: ReadonlySet<string> = new Set([
  'signed-by',
  'trusted',
  'allow-insecure',
  'allow-weak',
  'allow-downgrade-to-insecure',
  'check-valid-until',
  'valid-until-min',
  'valid-until-max',
  'check-date',
  'date-max-future',
  'by-hash',
  'pdiffs',
  'snapshot',
])

const keepOptions = (options: readonly (readonly [string, string])[]): Readonly<Record<string, string>> =>
  Object.fromEntries(
    options.map(([key, value]) => [key.toLowerCase(), value] as const).filter(([key]) => kept.has(key)),
  )

/** Null for an archive without suites, which has no components either, and for what needs a disc. */
const sourceOf = (
  uri: string,
  suite: string,
  components: readonly string[],
  options: Readonly<Record<string, string>>,
): Source | null =>
  uri.startsWith('cdrom:') || components.length === 0
    ? null
    : { uri: uri.replace(/\/*$/, '/'), suite, components, options }

const words = (text: string): readonly string[] => text.split(/\s+/).filter(Boolean)

const isSource = (source: Source | null): source is Source => source !== null

/** The one-line style: `deb [signed-by=…] URI SUITE COMPONENT…`. */
export const parseSourcesList = (text: string): readonly Source[] =>
  text
    .split('\n')
    .map(line => {
      const found = /^\s*deb\s+(?:\[([^\]]*)\]\s*)?(\S+)\s+([^#]*)/.exec(line)
      if (found === null) return null
      const [, options = '', uri = '', rest = ''] = found
      const [suite = '', ...components] = words(rest)
      const pairs = words(options).map(word => {
        const [key = '', ...value] = word.split('=')
        return [key, value.join('=')] as const
      })
      return sourceOf(uri, suite, components, keepOptions(pairs))
    })
    .filter(isSource)

type Stanza = ReadonlyMap<string, string>

/** Fields by their names in small letters; the lines that continue one are kept as they are. */
const stanzaOf = (lines: readonly string[]): Stanza => {
  const fields = new Map<string, string>()
  let last = ''
  for (const line of lines) {
    const found = /^([^\s:]+):[ \t]*(.*)$/.exec(line)
    if (found !== null) {
      last = (found[1] ?? '').toLowerCase()
      fields.set(last, found[2] ?? '')
    } else if (last !== '') fields.set(last, `${fields.get(last)}\n${line}`)
  }
  return fields
}

const stanzasOf = (text: string): readonly Stanza[] =>
  text
    .split('\n')
    .filter(line => !line.startsWith('#'))
    .join('\n')
    .split(/\n[ \t\r]*\n/)
    .map(part => stanzaOf(part.split('\n').filter(line => line.trim() !== '')))

const no = /^\s*(no|false|without|off|disable|0)\s*$/i

/** The deb822 style: fields, stanza by stanza. */
export const parseDeb822 = (text: string): readonly Source[] =>
  stanzasOf(text).flatMap(stanza => {
    const all = (field: string): readonly string[] => words(stanza.get(field) ?? '')
    if (!all('types').includes('deb') || no.test(stanza.get('enabled') ?? '')) return []
    const options = keepOptions([...stanza])
    return all('uris')
      .flatMap(uri => all('suites').map(suite => sourceOf(uri, suite, all('components'), options)))
      .filter(isSource)
  })

const stanzaText = ({ uri, suite, components, options }: Source): string =>
  Object.entries({
    Types: 'deb',
    URIs: uri,
    Suites: suite,
    // Kernels are in main wherever there is a main.
    Components: components.includes('main') ? 'main' : components.join(' '),
    ...options,
  })
    .map(([field, value]) => `${field}: ${value}\n`)
    .join('')

/** In the deb822 style. */
export const sourcesText = (sources: readonly Source[]): string => sources.map(stanzaText).join('\n')

/** Tells a suite of an archive from the others. */
export const keyOf = ({ uri, suite }: Pick<Source, 'uri' | 'suite'>): string => `${uri} ${suite}`
