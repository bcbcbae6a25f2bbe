import { describe, expect, test } from 'vitest'
import { keyOf, type Source } from '../../../lib/vm/kernels/sources.ts'
import { discoverSuites, parseRelease, type Release } from '../../../lib/vm/kernels/suites.ts'

const main = 'http://example.org/debian/'
const security = 'http://example.org/security/'

const source = (
  uri: string,
  suite: string,
  options: Source['options'] = { 'signed-by': '/k.gpg' },
): Source => ({
  uri,
  suite,
  components: ['main'],
  options,
})

/** A suite as a mirror has it, under each of its names; how old it is under the name that stays the same. */
const suites = (
  uri: string,
  alias: string,
  codename: string,
  { behind = 0, label = 'Debian', origin = 'Debian' } = {},
): readonly (readonly [string, Release])[] => [
  [`${uri} ${codename}`, { origin, label, suite: alias, codename, date: 1000 }],
  [`${uri} ${alias}`, { origin, label, suite: alias, codename, date: 1000 - behind }],
]

const mirror = new Map([
  ...suites(main, 'oldstable', 'bookworm'),
  ...suites(main, 'oldstable-backports', 'bookworm-backports', { origin: 'Debian Backports' }),
  ...suites(main, 'stable', 'trixie'),
  ...suites(main, 'stable-backports', 'trixie-backports', { origin: 'Debian Backports', behind: 5 }),
  ...suites(main, 'testing', 'forky'),
  ...suites(main, 'unstable', 'sid'),
  ...suites(main, 'experimental', 'rc-buggy'),
  ...suites(security, 'oldstable-security', 'bookworm-security', { label: 'Debian-Security', behind: 5 }),
  ...suites(security, 'stable-security', 'trixie-security', { label: 'Debian-Security' }),
  ...suites('http://example.org/tool/', 'nodistro', 'nodistro', { origin: 'Tool', label: 'Tool' }),
])

const asking = (there: ReadonlyMap<string, Release>) => {
  const rounds: string[][] = []
  const ask = async (sources: readonly Source[]): Promise<ReadonlyMap<string, Release>> => {
    rounds.push(sources.map(keyOf))
    return new Map(
      sources.map(keyOf).flatMap(key => (there.has(key) ? [[key, there.get(key) as Release]] : [])),
    )
  }
  return { rounds, ask }
}

const names = (found: readonly Source[]): string[] => found.map(keyOf)

describe('the suites of a mirror', () => {
  test('from those configured to all that answer, each once, each as new as it is to be had', async () => {
    const { ask, rounds } = asking(mirror)
    const configured = [source(main, 'bookworm'), source(security, 'bookworm-security')]
    const found = await discoverSuites(configured, ask)
    expect(names(found).sort()).toEqual(
      [
        `${main} bookworm`,
        `${main} bookworm-backports`,
        `${main} trixie`,
        `${main} trixie-backports`,
        `${main} forky`,
        `${main} rc-buggy`,
        `${security} bookworm-security`,
        `${security} trixie-security`,
      ].sort(),
    )
    for (const { options, components } of found) {
      expect(options).toEqual({ 'signed-by': '/k.gpg' })
      expect(components).toEqual(['main'])
    }
    // No question twice, and only so many.
    expect(rounds.length).toBeLessThanOrEqual(3)
    expect(new Set(rounds.flat()).size).toBe(rounds.flat().length)
  })

  test('a configured name stays, where it is as new as the other', async () => {
    const found = await discoverSuites([source(main, 'stable')], asking(mirror).ask)
    expect(names(found)).toContain(`${main} stable`)
    expect(names(found)).not.toContain(`${main} trixie`)
    expect(names(found)).toContain(`${main} trixie-backports`)
  })

  test('a mirror of code names alone is asked for its backports', async () => {
    const partial = new Map([...mirror].filter(([key]) => / bookworm/.test(key)))
    const found = await discoverSuites([source(main, 'bookworm')], asking(partial).ask)
    expect(names(found)).toEqual([`${main} bookworm`, `${main} bookworm-backports`])
  })

  test('other archives are asked for what is configured, and no more', async () => {
    const tool = source('http://example.org/tool/', 'nodistro')
    const { ask, rounds } = asking(mirror)
    expect(await discoverSuites([tool], ask)).toEqual([])
    expect(rounds).toEqual([[keyOf(tool)]])
    const found = await discoverSuites([tool, source(main, 'bookworm')], ask)
    expect(names(found).filter(name => name.includes('tool'))).toEqual([])
  })

  test('nothing configured: nothing asked', async () => {
    const { ask, rounds } = asking(mirror)
    expect(await discoverSuites([], ask)).toEqual([])
    expect(rounds).toEqual([])
  })
})

describe('a Release file', () => {
  test('with a signature around it', () => {
    const text = `-----BEGIN PGP SIGNED MESSAGE-----
Hash: SHA256

Origin: Debian Backports
Label: Debian Backports
Suite: stable-backports
Codename: trixie-backports
Date: Fri, 30 Oct 2026 08:08:01 UTC
MD5Sum:
 0123 12 main/Origin: x
`
    expect(parseRelease(text)).toEqual({
      origin: 'Debian Backports',
      label: 'Debian Backports',
      suite: 'stable-backports',
      codename: 'trixie-backports',
      date: Date.UTC(2026, 9, 30, 8, 8, 1),
    })
  })

  test('that says nothing', () => {
    expect(parseRelease('')).toEqual({ origin: '', label: '', suite: '', codename: '', date: 0 })
    expect(parseRelease('Date: soon')).toMatchObject({ date: 0 })
  })
})
