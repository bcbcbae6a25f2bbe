import { execFileSync } from 'node:child_process'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  align,
  bounded,
  cut,
  hang,
  oneLine,
  plural,
  seconds,
  shellQuoted,
  widthOf,
  wrap,
} from '../../lib/report/text.ts'
import { anyText } from './arbitrary.ts'
import { hostileTexts } from './stub.ts'

const printable = /^[\x20-\x7e\u00a0-\u{10ffff}]*$/u

describe('oneLine', () => {
  test.each([
    ['plain', 'plain'],
    [' two\n\tlines\r\n', 'two lines'],
    ['\u001b[31mred', '\\x1b[31mred'],
    ['\u009b31m', '\\x9b31m'],
    ['a\u202eb', 'a\\u202eb'],
    ['\ud800', '\\ud800'],
    ['\udc00\ud800', '\\udc00\\ud800'],
    ['\u{1f600}', '\u{1f600}'],
    ['frame’s × …', 'frame’s × …'],
    ['', ''],
  ])('%j is %j', (text, line) => {
    expect(oneLine(text)).toBe(line)
  })

  test('any text prints as one line, and again as the same', () => {
    fc.assert(
      fc.property(anyText(), text => {
        const line = oneLine(text)
        expect(line).toMatch(printable)
        expect(line).not.toMatch(/[\n\r\u2028\u2029\u202e]|\p{Surrogate}/u)
        expect(oneLine(line)).toBe(line)
      }),
    )
  })
})

describe('bounded', () => {
  test('what fits stays', () => {
    expect(bounded('abc', 3)).toBe('abc')
  })

  test('what does not says how much is missing', () => {
    expect(bounded('abcdef', 4)).toBe('abcd… (2 more characters)')
  })

  test('no half of a pair is left', () => {
    expect(bounded('abc\u{1f600}def', 4)).toBe('abc… (5 more characters)')
  })
})

describe('wrap', () => {
  test.each([
    ['one two three', 7, ['one two', 'three']],
    ['one two three', 80, ['one two three']],
    ['abcdefgh ij', 3, ['abc', 'def', 'gh', 'ij']],
    ['', 10, ['']],
    ['abc', 0, ['a', 'b', 'c']],
  ])('%j in %i columns', (text, width, lines) => {
    expect(wrap(text, width)).toEqual(lines)
  })

  test('loses nothing and keeps to the width', () => {
    fc.assert(
      fc.property(
        anyText().map(text => oneLine(text)),
        fc.integer({ min: 1, max: 100 }),
        (text, width) => {
          const lines = wrap(text, width)
          expect(lines.join('').replaceAll(' ', '')).toBe(text.replaceAll(' ', ''))
          for (const line of lines) expect(widthOf(line)).toBeLessThanOrEqual(width)
        },
      ),
    )
  })
})

test('hang: later lines stand under the text', () => {
  expect(hang('label  ', 'one two three', 14)).toEqual(['label  one two', '       three'])
})

test.each([
  ['abcdef', 6, 'abcdef'],
  ['abcdef', 5, 'abcd…'],
  ['abcdef', 1, '…'],
  ['abcdef', 0, '…'],
])('cut %j to %i', (text, width, short) => {
  expect(cut(text, width)).toBe(short)
})

test('align: columns under one another, numbers to the right, nothing at the end of a line', () => {
  expect(align([['a', '1', 'x'], ['bbb', '22', ''], ['c']], [1])).toEqual(['a     1  x', 'bbb  22', 'c'])
  expect(align([])).toEqual([])
})

test.each([
  [0, '0 cases'],
  [1, '1 case'],
  [2, '2 cases'],
])('%i is %j', (count, text) => {
  expect(plural(count, 'case')).toBe(text)
})

test.each([
  [0, '0 ms'],
  [412.4, '412 ms'],
  [999.9, '1.00 s'],
  [1234, '1.23 s'],
  [59_999, '1 min 0 s'],
  [125_000, '2 min 5 s'],
])('%d ms are %j', (ms, text) => {
  expect(seconds(ms)).toBe(text)
})

describe.skipIf(process.platform === 'win32')('shellQuoted', () => {
  test.each(hostileTexts.filter(text => !text.includes('\0')).map(text => [text.slice(0, 20), text]))(
    '%j comes out of a shell as it went in',
    (_, text) => {
      const word = text.replace(/\p{Surrogate}/gu, '?')
      expect(execFileSync('sh', ['-c', `printf %s ${shellQuoted(word)}`], { encoding: 'utf8' })).toBe(word)
    },
  )
})
