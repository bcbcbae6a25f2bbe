/** Markdown as GitHub and mail programs read it. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Collection } from '../../lib/merge/collection.ts'
import { digestOf } from '../../lib/report/digest/digest.ts'
import { fitted } from '../../lib/report/markdown/blocks.ts'
import { markdownReport } from '../../lib/report/markdown/page.ts'
import { code, escapeMarkdown, fenced } from '../../lib/report/markdown/text.ts'
import { knownNames } from '../xstate/arbitrary.ts'
import {
  anyCollection,
  collection,
  hostileCollection,
  markupTexts,
  sampleBytes,
  sampleCollection,
  sampleHost,
  samplePairs,
} from './collection-samples.ts'
import { hostileTexts, result } from './stub.ts'
import { losing } from './vm-samples.ts'

const page = (from: Collection, extras = {}): string => markdownReport(digestOf(from), extras)

describe('text', () => {
  test.each([
    ['zmm_hi256', 'zmm_hi256'],
    ['_em_', '\\_em\\_'],
    ['**b**', '\\*\\*b\\*\\*'],
    ['<b>&amp;', '&lt;b&gt;&amp;amp;'],
    ['a | b', 'a \\| b'],
    ['[x](y)', '\\[x\\](y)'],
    ['- item', '\\- item'],
    ['# heading', '\\# heading'],
    ['1. item', '1\\. item'],
    ['6.12.43', '6.12.43'],
    ['@somebody', '@<!-- -->somebody'],
    ['#12', '\\#<!-- -->12'],
    ['https://example.org', 'https<!-- -->://example.org'],
    ['www.example.org', 'www<!-- -->.example.org'],
    ['a\\b', 'a\\\\b'],
  ])('%j', (given, wanted) => {
    expect(escapeMarkdown(given)).toBe(wanted)
  })

  test.each([
    ['a', '`a`'],
    ['a`b', '`` a`b ``'],
    ['a|b', '`a\\|b`'],
    ['', ''],
    ['<b>', '`<b>`'],
  ])('code in a cell: %j', (given, wanted) => {
    expect(code(given, true)).toBe(wanted)
  })

  test('a fence is longer than any in the text', () => {
    const lines = fenced(['```', 'x', '`````'])
    expect(lines[0]).toBe('``````')
    expect(lines.at(-1)).toBe('``````')
  })
})

describe('room', () => {
  const block = (rank: number, text: string) => ({ rank, lines: [text] })

  test('what fits stays in its order, the least needed goes first, and that is said', () => {
    const blocks = [block(1, 'a'.repeat(100)), block(3, 'b'.repeat(100)), block(2, 'c'.repeat(100))]
    const text = fitted(blocks, 420)
    expect(text).toMatch(/^a+\n\nc+\n\n\*1 of 3 parts did not fit/)
    expect(fitted(blocks, 1000)).toMatch(/^a+\n\nb+\n\nc+\n$/)
  })

  test('all pairs of all known CPUs, and many failures: what GitHub takes', () => {
    const cases = Array.from({ length: 300 }, (_, i) =>
      result('fail', {
        reason: `reason ${i} ${'x'.repeat(900)}`,
        observed: 'y'.repeat(900),
        expected: 'z'.repeat(900),
        bytes: sampleBytes,
      }),
    )
    const text = page(
      collection({
        hosts: [sampleHost('a', 'zen4', cases)],
        matrices: [{ name: 'm', matrix: samplePairs(knownNames) }],
      }),
    )
    expect(text.length).toBeLessThanOrEqual(60_000)
    expect(text).toContain('did not fit here')
    expect(text).toContain('## Summary')
    expect(text).toContain('## Failures')
  })
})

/** Outside code: nothing that is an element but ours, and tables whose rows are as long as their heads. */
const checkMarkdown = (text: string): void => {
  const lines: string[] = []
  let fence = ''
  for (const line of text.split('\n')) {
    const [, run = ''] = /^(`{3,})/.exec(line) ?? []
    if (fence === '' && run !== '') fence = run
    else if (fence !== '' && line === fence) fence = ''
    else if (fence === '') lines.push(line.replace(/(`+)[^`](?:.*?[^`])?\1(?!`)/g, 'code'))
  }
  expect(fence).toBe('')
  const elements = lines.flatMap(line => line.match(/<[^>]*>?/g) ?? [])
  expect(elements.filter(one => !/^<(\/?details|\/?summary|br|!-- --)>$/.test(one))).toEqual([])
  expect(elements.filter(one => one === '<details>')).toHaveLength(
    elements.filter(one => one === '</details>').length,
  )
  let columns = 0
  for (const line of lines) {
    const cells = line.replace(/\\[\\|]/g, '').split('|').length
    if (!line.startsWith('|')) columns = 0
    else if (columns === 0) columns = cells
    else expect([line, cells]).toEqual([line, columns])
  }
  // In a summary, which is HTML, Markdown is not read.
  const read = lines.filter(line => !line.startsWith('<summary>')).map(line => line.replaceAll('\\]', ''))
  expect(read.filter(line => line.includes(']('))).toEqual([])
  expect(lines.filter(line => /@\w|#\d|https?:/.test(line))).toEqual([])
}

describe('any collection', () => {
  test.each([
    ['the sample', sampleCollection()],
    ['hostile texts', hostileCollection()],
    ['nothing', collection()],
  ])('%s', (_, from) => {
    checkMarkdown(page(from, { command: 'sigframe report x -o y', generatedAt: '2026-11-21T20:00:00.000Z' }))
  })

  test('drawn', () => {
    fc.assert(
      fc.property(anyCollection, from => {
        const text = page(from)
        checkMarkdown(text)
        expect(text.length).toBeLessThanOrEqual(60_000)
        expect(text.replaceAll('\n', '')).not.toMatch(/[\p{Cc}\p{Cs}\u202a-\u202e\u2066-\u2069]/u)
      }),
      { numRuns: 60 },
    )
  })

  test('texts alone', () => {
    fc.assert(
      fc.property(fc.constantFrom(...markupTexts, ...hostileTexts), fc.nat(200), (text, at) => {
        const one = losing({ id: `${text.slice(at)}/x`, reason: text, observed: text, expected: text })
        checkMarkdown(page(collection({ hosts: [sampleHost(text, 'zen4', [one])] })))
      }),
    )
  })
})

describe('what is told', () => {
  const text = page(sampleCollection())

  test('errors first', () => {
    const rows = text.split('\n').filter(line => line.startsWith('| `'))
    expect(rows[0]).toBe('| `db-1` | **⛔ ERROR** | **it was expected, and nothing of it is here** |  |  |')
  })

  test('bytes as a difference', () => {
    expect(text).toContain(
      '```diff\navx: 256 bytes at 576, expected as in the frame, 255 differ\n-    576  65 8a af',
    )
    expect(text).toContain(
      'mxcsr: 4 bytes at 24, expected as in the frame, 2 differ\n-     24  86 7f 00 00\n+     24  80 1f 00 00',
    )
  })

  test('the command that repeats a case, and makes a C program of it', () => {
    const repeat = "sigframe run 'sigframe_fpu_portability/shrunk_0/x86_64/avx'"
    expect(text).toContain(`${repeat}\n${repeat} --c repro.c`)
  })

  test('failures with their hosts', () => {
    expect(text).toMatch(/### FAIL: \d+ cases of shrunk-frame-restores/)
    expect(text).toContain('- On `web-2` (12), `web-3` (9), ')
  })
})
