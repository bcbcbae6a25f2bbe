/** The page as text: what must hold of any collection. What a browser makes of it is tested in html-browser.test.ts. */
import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Collection } from '../../lib/merge/collection.ts'
import { mostGroups, mostPlaces } from '../../lib/report/digest/bounds.ts'
import { digestOf, programKey } from '../../lib/report/digest/digest.ts'
import { htmlReport } from '../../lib/report/html/page.ts'
import { known, knownNames } from '../xstate/arbitrary.ts'
import {
  anyCollection,
  collection,
  hostileCollection,
  hostOf,
  sampleBytes,
  sampleCollection,
  sampleHost,
  samplePairs,
} from './collection-samples.ts'
import { bundle, result } from './stub.ts'
import { losing, matrix, report } from './vm-samples.ts'

const page = (from: Collection, extras = {}): string => htmlReport(digestOf(from), extras)

const all = (text: string, pattern: RegExp): string[] =>
  [...text.matchAll(pattern)].map(([, one]) => one ?? '')

const hash = (text: string): string => `sha256-${createHash('sha256').update(text).digest('base64')}`

/** The page without its style sheet and script. */
const content = (text: string): string =>
  text.replace(/<style>[\s\S]*?<\/style>/, '').replace(/<script>[\s\S]*?<\/script>/, '')

describe('the file needs nothing, and lets nothing be loaded', () => {
  const text = page(sampleCollection())

  test('the policy names the style sheet and the script that are there, and nothing else', () => {
    const [policy] = all(text, /Content-Security-Policy" content="([^"]*)"/g)
    const [style] = all(text, /<style>([\s\S]*?)<\/style>/g)
    const [script] = all(text, /<script>([\s\S]*?)<\/script>/g)
    expect(policy?.replaceAll('&#39;', "'").split('; ')).toEqual([
      "default-src 'none'",
      `style-src '${hash(style ?? '')}'`,
      `script-src '${hash(script ?? '')}'`,
      "base-uri 'none'",
      "form-action 'none'",
    ])
  })

  test('no address, no source, no style and no handler of its own', () => {
    expect(content(text)).not.toMatch(/\s(src|style|srcset|on\w+|action|xlink:href)=/)
    expect(text).not.toMatch(/https?:|@import|url\(/)
    expect(all(content(text), /<([a-z]+)[\s>]/g)).not.toContain('link')
  })
})

/** What must hold of the structure, whatever is told. */
const checkStructure = (text: string): void => {
  const found = all(content(text), /\sid="([^"]*)"/g)
  const ids = new Set(found)
  expect(ids.size).toBe(found.length)
  const targets = all(content(text), /\shref="([^"]*)"/g)
  expect(targets.every(target => target.startsWith('#'))).toBe(true)
  expect(targets.map(target => target.slice(1)).filter(target => !ids.has(target))).toEqual([])
  const labels = all(content(text), /\saria-labelledby="([^"]*)"/g)
  expect(labels.filter(label => !ids.has(label))).toEqual([])
  const levels = all(content(text), /<h([1-6])[\s>]/g).map(Number)
  expect(levels[0]).toBe(1)
  levels.slice(1).forEach((level, i) => {
    expect(level).toBeGreaterThan(1)
    expect(level - (levels[i] ?? 0)).toBeLessThanOrEqual(1)
  })
  expect(content(text).replace(/<th scope="(col|row)"/g, '')).not.toMatch(/<th[\s>]/)
}

const elements = new Set(
  'html head meta title style body a header h1 h2 h3 h4 span nav main section article ul li b p div table thead tbody tr th td details summary svg g title rect text path dl dt dd code button mark pre br strong script'.split(
    ' ',
  ),
)

const isOurs = (tag: string): boolean => {
  if (/^<!doctype html>$|^<\/[a-z]+[0-9]?>$/.test(tag)) return true
  const [, name, attributes = ''] = /^<([a-z]+[0-9]?)((?:\s+[\w:-]+(?:="[^"<>]*")?)*)\s*\/?>$/.exec(tag) ?? []
  return elements.has(name ?? '') && !/\son\w+/.test(attributes.replace(/="[^"]*"/g, ''))
}

/** Every element and every attribute is one of ours, whatever the texts are. */
const checkMarkup = (text: string): void => {
  const tags = content(text).match(/<[^>]*>/g) ?? []
  expect(tags.filter(tag => !isOurs(tag))).toEqual([])
}

describe('structure', () => {
  test.each([
    ['the sample', sampleCollection()],
    ['nothing', collection()],
    ['a host alone', collection({ hosts: [sampleHost('a', 'zen4')] })],
    ['an error alone', collection({ hosts: [{ name: 'a', problem: 'nothing ran', bundle: null }] })],
    ['machines alone', collection({ vms: [{ name: 'v', report: report(matrix()) }] })],
    ['pairs alone', collection({ matrices: [{ name: 'm', matrix: samplePairs(['zen4', 'haswell']) }] })],
    ['hostile texts', hostileCollection()],
  ])('%s', (_, from) => {
    const text = page(from, { generatedAt: '2026-11-21T20:00:00.000Z', command: "sigframe report '<x>'" })
    checkStructure(text)
    checkMarkup(text)
  })

  test('any collection', () => {
    fc.assert(
      fc.property(anyCollection, from => {
        const text = page(from)
        checkStructure(text)
        checkMarkup(text)
        // As it is written to a file, and read: nothing that UTF-8 cannot hold, nothing that does not print.
        expect(Buffer.from(text).toString()).toBe(text)
        expect(text.replace(/[\n\t]/g, '')).not.toMatch(/[\p{Cc}\p{Cs}\u202a-\u202e\u2066-\u2069]/u)
      }),
      { numRuns: 40 },
    )
  })

  test('the same collection gives the same page', () => {
    const from = sampleCollection()
    expect(page(from)).toBe(page(structuredClone(from)))
  })
})

describe('what is told', () => {
  test('an error is a row of its own, before all others', () => {
    const text = page(
      collection({
        hosts: [sampleHost('fine', 'zen4'), { name: 'gone', problem: 'nothing of it is here', bundle: null }],
      }),
    )
    const rows = all(text, /<tr class="(error|bad|quiet|good)" role="row">/g)
    expect(rows).toEqual(['error', 'good'])
    expect(text).toMatch(/gone<\/a><\/th>[\s\S]{0,120}ERROR[\s\S]{0,80}nothing of it is here/)
  })

  test('bytes: what differs is marked, in both', () => {
    const one = losing({ id: 'a/b/x86_64/avx', bytes: sampleBytes })
    const text = page(collection({ hosts: [sampleHost('a', 'zen4', [one])] }))
    expect(text).toContain('<td><mark>86 7f</mark> 00 00</td>')
    expect(text).toContain('<td><mark>80 1f</mark> 00 00</td>')
    expect(text).toContain('256 bytes at 576 of the XSAVE area')
  })

  test('the command, the edit and the program that repeat a case', () => {
    const one = losing({ id: 'a/b/x86_64/avx' })
    const programs = new Map([
      [programKey({ id: 'host-0' }, one.id), '#include <stdio.h>\nint main(void) {}'],
    ])
    const text = page(collection({ hosts: [sampleHost('a', 'zen4', [one])] }), { programs })
    expect(text).toContain('<code>sigframe run &#39;a/b/x86_64/avx&#39;</code>')
    expect(text).toContain('{&quot;op&quot;:&quot;resize&quot;,&quot;xstateSize&quot;:832}')
    expect(text).toContain('#include &lt;stdio.h&gt;\nint main(void) {}')
  })

  test('frames are drawn in one scale: a region’s width is that of its bytes', () => {
    const text = page(collection({ hosts: [sampleHost('a', 'zen4'), sampleHost('b', 'haswell')] }))
    const [picture] = all(text, /<div id="picture-0-1"[^>]*>([\s\S]*?)<\/svg>/g)
    const rects = [
      ...(picture ?? '').matchAll(
        /<title>(\S+): bytes (\d+) to (\d+)[^<]*<\/title><rect x="([\d.]+)" y="([\d.]+)" width="([\d.]+)"/g,
      ),
    ]
    const scale = (980 - 4 - 66) / (known('zen4').size + 4)
    expect(rects.length).toBeGreaterThan(12)
    for (const [, , from, to, x, , width] of rects) {
      expect(Number(x)).toBeCloseTo(4 + Number(from) * scale, 0)
      const bytes = Number(to) - Number(from) + 1
      expect(Math.abs(Number(width) - Math.max(1.5, bytes * scale))).toBeLessThan(0.2)
    }
    expect(new Set(rects.map(([, , , , , y]) => y)).size).toBe(2)
  })
})

describe('size', () => {
  test('many hosts, many failures: bounded, and what is left out is said', () => {
    const cases = Array.from({ length: 200 }, (_, i) =>
      result('fail', {
        id: `a/${i}/x86_64/avx`,
        reason: `reason ${i} ${'x'.repeat(5000)}`,
        bytes: sampleBytes,
      }),
    )
    const names = ['zen4', 'sapphire-rapids', 'haswell']
    const hosts = Array.from({ length: 700 }, (_, i) => ({
      name: `host-${i}-${'n'.repeat(400)}`,
      // The last is the worst: it must not be among those that are left out.
      problem: i === 699 ? 'its disk was full' : null,
      bundle: bundle(cases, { host: hostOf(known(names[i % 3] as string), 'x'.repeat(400)) }),
    }))
    const text = page(collection({ hosts }))
    expect(text.length).toBeLessThan(8_000_000)
    expect(text).toContain(`${200 - mostGroups} more kinds of failure left out`)
    expect(text).toContain(`${700 - mostPlaces} more hosts and machines left out`)
    expect(text).toMatch(/<tr class="error"[\s\S]{0,1200}its disk was full/)
    // Links to hosts that are left out would lead nowhere.
    checkStructure(text)
  })

  test('all pairs of all known CPUs', () => {
    const text = page(
      collection({
        matrices: [
          { name: 'm', matrix: samplePairs(knownNames, ['classic', 'regressed', 'portable', 'larger']) },
        ],
      }),
    )
    expect(text.length).toBeLessThan(3_000_000)
    checkStructure(text)
  })
})
