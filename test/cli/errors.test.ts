import { expect, test } from 'vitest'
import { ExplainedError, errorText, exitCodeFor, UsageError } from '../../lib/cli/errors.ts'
import { formatFor } from '../../lib/cli/run.ts'
import { selectListing } from '../../lib/cli/select.ts'
import type { Listing } from '../../lib/harness/listing.ts'
import { BundleError } from '../../lib/report/bundle.ts'

const unavailable = Object.assign(new Error('no addon'), { name: 'NativeUnavailableError' })
const supported = process.platform === 'linux' && process.arch === 'x64'

test.each<[string, unknown, number, string]>([
  ['a user’s mistake', new UsageError('no'), 64, 'sigframe: no\n'],
  ['a bundle that cannot be used', new BundleError('x is empty'), 64, 'sigframe: x is empty\n'],
  ['what is explained', new ExplainedError('disk full'), 70, 'sigframe: disk full\n'],
  ['no addon', unavailable, supported ? 70 : 4, 'sigframe: no addon\n'],
  [
    'a fault',
    new TypeError('x is not a function'),
    70,
    'sigframe: x is not a function; this is a fault of sigframe: please report it, with what SIGFRAME_DEBUG=1 prints\n',
  ],
  [
    'an error without words',
    new RangeError(),
    70,
    'sigframe: RangeError; this is a fault of sigframe: please report it, with what SIGFRAME_DEBUG=1 prints\n',
  ],
  [
    'no error at all',
    'text',
    70,
    'sigframe: text; this is a fault of sigframe: please report it, with what SIGFRAME_DEBUG=1 prints\n',
  ],
  ['lines and colours', new UsageError('a\n\u001b[31mb'), 64, 'sigframe: a \\x1b[31mb\n'],
])('%s', (_, error, code, text) => {
  expect(exitCodeFor(error)).toBe(code)
  expect(errorText(error, false)).toBe(text)
})

test.each([
  [{}, 'pretty'],
  [{ output: 'x.json' }, 'json'],
  [{ output: 'x.ktap' }, 'ktap'],
  [{ output: 'x.tap' }, 'ktap'],
  [{ output: 'x.txt' }, 'pretty'],
  [{ output: 'json' }, 'pretty'],
  [{ output: 'x.json', format: 'ktap' as const }, 'ktap'],
  [{ format: 'json' as const }, 'json'],
])('format for %j: %s', (flags, format) => {
  expect(formatFor(flags)).toBe(format)
})

const listing = (selftest: string, ...names: string[]): Listing => ({
  selftest,
  summary: '',
  cases: names.map(name => ({ name, summary: '', rules: [], commit: '', abis: ['x86_64'], long: false })),
})

const all = [listing('a', 'x', 'y'), listing('ab', 'x')]

test.each([
  [[], { a: ['x', 'y'], ab: ['x'] }],
  [['a'], { a: ['x', 'y'] }],
  [['a/y'], { a: ['y'] }],
  [['a/y/x86_64/avx'], { a: ['y'] }],
  [['*/x'], { a: ['x'], ab: ['x'] }],
  [['a*'], { a: ['x', 'y'], ab: ['x'] }],
  [['ab', 'a/x'], { a: ['x'], ab: ['x'] }],
])('selecting %j', (names, selected) => {
  const found = selectListing(all, names).map(one => [one.selftest, one.cases.map(({ name }) => name)])
  expect(Object.fromEntries(found)).toEqual(selected)
})

test.each(['', 'b', 'a/z', 'a/x.', '['])('selecting %j is a mistake', name => {
  expect(() => selectListing(all, ['a', name])).toThrow(UsageError)
})
