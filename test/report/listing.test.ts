import picocolors from 'picocolors'
import { describe, expect, test } from 'vitest'
import { type PastBug, pastBugs } from '../../lib/contract/history.ts'
import { abis } from '../../lib/frame/abi.ts'
import { historyOf, type Listing, listSelftests } from '../../lib/harness/listing.ts'
import { historyText } from '../../lib/report/history.ts'
import { listingText } from '../../lib/report/listing.ts'
import { widthOf } from '../../lib/report/text.ts'

const style = { columns: 80, colors: picocolors.createColors(false) }

const listing: Listing = {
  selftest: 'untouched_frame',
  summary: 'A frame that goes back as it came changes nothing.',
  cases: [
    {
      name: 'restores',
      summary: 'All of it.',
      rules: ['untouched-frame-restores'],
      commit: 'abc',
      abis,
      long: false,
    },
    { name: 'long_one', summary: 'words '.repeat(30).trim(), rules: [], commit: 'def', abis, long: false },
  ],
}

test('selftests, their cases, the rules and where they come from', () => {
  expect(listingText([listing], { ...style, columns: 60 })).toBe(`untouched_frame
  A frame that goes back as it came changes nothing.
  restores  All of it.
            untouched-frame-restores · abc
  long_one  words words words words words words words words
            words words words words words words words words
            words words words words words words words words
            words words words words words words
            def
`)
})

test('none, one, many', () => {
  expect(listingText([], style)).toBe('')
  expect(listingText([listing, listing], style)).toBe(
    `${listingText([listing], style)}\n${listingText([listing], style)}`,
  )
})

const one = (changes: Partial<Listing['cases'][number]>): Listing => ({
  selftest: 'made_up',
  summary: 'Made up.',
  cases: [{ name: 'x', summary: 'It.', rules: [], commit: 'abc', abis, long: false, ...changes }],
})

const lastLine = (text: string): string => text.trimEnd().split('\n').at(-1)?.trim() ?? ''

test('whose frames it is for, unless it is everybody’s, and whether it takes --long', () => {
  expect(lastLine(listingText([one({})], style))).toBe('abc')
  expect(lastLine(listingText([one({ abis: ['ia32-rt', 'ia32'] })], style))).toBe('abc · ia32-rt ia32')
  expect(lastLine(listingText([one({ long: true })], style))).toBe('abc · --long')
  expect(lastLine(listingText([one({ abis: ['x86_64'], long: true })], style))).toBe('abc · x86_64 · --long')
})

describe('past bugs', () => {
  test('what happened, where, what would have caught it, and what that proves', () => {
    const bug = {
      id: 'abc123',
      cve: 'CVE-2021-1',
      what: 'It broke.',
      kernels: 'up to 5.1',
      cases: ['a/x', 'b/y'],
      proves: 'that it does not',
    }
    const { cve, proves, ...plain } = bug
    expect(historyText([bug, { ...plain, kernels: '' }], style)).toBe(`Past bugs
  abc123 · CVE-2021-1 · up to 5.1
    It broke.
    caught by a/x, b/y
    proves here: that it does not
  abc123
    It broke.
    caught by a/x, b/y
`)
  })

  test('none: nothing', () => {
    expect(historyText([], style)).toBe('')
  })

  test('those of the listed cases alone', () => {
    const [first] = pastBugs as [PastBug]
    const [selftest, name] = (first.cases[0] as string).split('/') as [string, string]
    const listed = (names: readonly string[]): Listing[] => [
      { selftest, summary: '', cases: names.map(one => ({ ...listing.cases[0], name: one })) as never },
    ]
    expect(historyOf(listed([name]))).toContain(first)
    for (const bug of historyOf(listed([name]))) expect(bug.cases).toContain(`${selftest}/${name}`)
    expect(historyOf(listed(['no_such_case']))).toEqual([])
    expect(historyOf([{ ...(listed([name])[0] as Listing), selftest: 'other' }])).toEqual([])
  })

  test('of everything: all of them, in their order', async () => {
    expect(historyOf(await listSelftests())).toEqual(pastBugs)
  })
})

test.each([40, 60, 80, 120])('keeps to %i columns', async columns => {
  const everything = await listSelftests()
  const text = [listing, ...everything, one({ abis: ['x86_64'], long: true })]
  for (const line of [
    ...listingText(text, { ...style, columns }).split('\n'),
    ...historyText(historyOf(everything), { ...style, columns }).split('\n'),
  ])
    expect(widthOf(line), line).toBeLessThanOrEqual(columns)
})
