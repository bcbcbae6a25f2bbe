import picocolors from 'picocolors'
import { expect, test } from 'vitest'
import type { Listing } from '../../lib/harness/listing.ts'
import { listingText } from '../../lib/report/listing.ts'
import { widthOf } from '../../lib/report/text.ts'

const style = { columns: 80, colors: picocolors.createColors(false) }

const listing: Listing = {
  selftest: 'untouched_frame',
  summary: 'A frame that goes back as it came changes nothing.',
  cases: [
    { name: 'restores', summary: 'All of it.', rules: ['untouched-frame-restores'], commit: 'abc' },
    { name: 'long_one', summary: 'words '.repeat(30).trim(), rules: [], commit: 'def' },
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

test('keeps to its columns', () => {
  for (const line of listingText([listing], style).split('\n')) expect(widthOf(line)).toBeLessThanOrEqual(80)
})
