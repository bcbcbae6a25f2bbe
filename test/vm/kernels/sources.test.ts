import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parseDeb822, parseSourcesList, sourcesText } from '../../../lib/vm/kernels/sources.ts'

describe('the one-line style', () => {
  test('archives, their suites and their options', () => {
    const text = `
# deb http://example.org/old buzz main
deb http://example.org/debian trixie main contrib # the mirror
deb [ arch=amd64,i386 signed-by=/k/a.gpg,/k/b.gpg Trusted=yes lang=de ] http://example.org/debian/ trixie-updates main
deb-src http://example.org/debian trixie main
 deb [] http://example.org/x  y   z
deb http://example.org/flat ./
deb cdrom:[Debian 12 _Bookworm_]/ bookworm main
debx http://example.org/debian trixie main
deb http://example.org/nothing
`
    const options = { 'signed-by': '/k/a.gpg,/k/b.gpg', trusted: 'yes' }
    expect(parseSourcesList(text)).toEqual([
      { uri: 'http://example.org/debian/', suite: 'trixie', components: ['main', 'contrib'], options: {} },
      { uri: 'http://example.org/debian/', suite: 'trixie-updates', components: ['main'], options },
      { uri: 'http://example.org/x/', suite: 'y', components: ['z'], options: {} },
    ])
  })
})

describe('the deb822 style', () => {
  test('every suite of every archive of a stanza', () => {
    const text = `# a comment
Types: deb deb-src
URIs: http://example.org/debian https://example.org/other/
# in between
Suites: trixie
  trixie-updates
components: main non-free
SIGNED-BY: /k/a.gpg
Architectures: arm64
By-Hash: no

Types: deb
URIs: http://example.org/security
Suites: trixie-security
Components: main
Enabled: No

Types: deb-src
URIs: http://example.org/src
Suites: trixie
Components: main

Types: deb
URIs: http://example.org/flat
Suites: ./
`
    const options = { 'signed-by': '/k/a.gpg', 'by-hash': 'no' }
    const components = ['main', 'non-free']
    expect(parseDeb822(text)).toEqual(
      ['http://example.org/debian/', 'https://example.org/other/'].flatMap(uri =>
        ['trixie', 'trixie-updates'].map(suite => ({ uri, suite, components, options })),
      ),
    )
  })

  test('a key within it is kept line by line', () => {
    const text = `Types: deb
URIs: http://example.org/debian
Suites: trixie
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 mDMEY865UxYJKwYBBAHaRw8BAQdAd7Z0srwuhlB6JKFkcf4HU4SSS/xcRfwEQWzr
 -----END PGP PUBLIC KEY BLOCK-----
`
    const sources = parseDeb822(text)
    expect(sources[0]?.options['signed-by']?.split('\n')).toHaveLength(5)
    expect(sourcesText(sources)).toContain('signed-by: \n -----BEGIN PGP')
    expect(parseDeb822(sourcesText(sources))).toEqual(sources)
  })
})

test('what is written is what was read, but for components that hold no kernels', () => {
  const word = fc.stringMatching(/^[a-z0-9][a-z0-9.-]{0,8}$/)
  const source = fc.record({
    uri: word.map(name => `http://${name}.example.org/debian/`),
    suite: word,
    components: fc.array(word, { minLength: 1, maxLength: 3 }),
    options: fc.dictionary(fc.constantFrom('signed-by', 'trusted', 'check-valid-until'), word),
  })
  fc.assert(
    fc.property(fc.array(source), sources => {
      const expected = sources.map(one =>
        one.components.includes('main') ? { ...one, components: ['main'] } : one,
      )
      expect(parseDeb822(sourcesText(sources))).toEqual(
        expected.map(one => ({ ...one, options: { ...one.options } })),
      )
    }),
  )
})

test('any text is read without a complaint', () => {
  fc.assert(
    fc.property(
      fc.string({ unit: fc.constantFrom(...'deb []#:\n\t =Types URIs:Suites./Components'), maxLength: 200 }),
      text => {
        for (const { uri, suite } of [...parseSourcesList(text), ...parseDeb822(text)]) {
          expect(uri).toMatch(/\/$/)
          expect(suite).not.toBe('')
        }
      },
    ),
  )
})
