import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  asciiText,
  besideOf,
  bytesInitializer,
  bytesLiteral,
  commentOf,
  stringOf,
} from '../../lib/reproducer/text.ts'

/** Text that has what C could take for something else. */
const awkward = fc
  .array(
    fc.constantFrom(
      '*/',
      '/*',
      '//',
      '??/',
      '??',
      '\\',
      '"',
      '%s',
      '#',
      '\n',
      '\r',
      '’',
      '\0',
      ' ',
      'ab',
      '*',
      '/',
    ),
  )
  .map(parts => parts.join(''))

/** The bytes that C makes of a string literal of escapes. */
const literalBytes = (literal: string): number[] =>
  [...literal.matchAll(/\\x([0-9a-f]{2})/g)].map(([, digits]) => Number.parseInt(digits!, 16))

/** The bytes that C makes of an initializer. */
const initialized = (text: string, length: number): Uint8Array => {
  const bytes = new Uint8Array(length)
  let at = 0
  for (const [, place, value] of text.matchAll(/\[(\d+)\] =|0x([0-9a-f]{2})/g)) {
    if (place !== undefined) at = Number(place)
    else bytes[at++] = Number.parseInt(value!, 16)
  }
  return bytes
}

describe('text in C', () => {
  test('a comment ends where it should, and nothing in it means anything', () => {
    fc.assert(
      fc.property(fc.array(awkward, { maxLength: 5 }), lines => {
        const comment = commentOf(lines)
        expect(comment).toMatch(/^\/\*\n( \*( [\x20-\x7e]*)?\n)* \*\/$/)
        expect(comment.slice(2, -2)).not.toMatch(/\*\/|\/\*|\?\?/)
        expect(comment).not.toMatch(/ $/m)
      }),
    )
  })

  test('so does one behind a line', () => {
    fc.assert(
      fc.property(awkward, text => {
        const comment = besideOf(text)
        expect(comment).toMatch(/^\/\* [\x20-\x7e]*\*\/$/)
        expect(comment.slice(2, -2)).not.toMatch(/\*\/|\/\*|\?\?/)
      }),
    )
  })

  test('a string is one, and reads as the text', () => {
    fc.assert(
      fc.property(awkward, text => {
        const literal = stringOf(text)
        expect(literal).toMatch(/^("([\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*")+$/)
        expect(literal).not.toContain('??')
        const read = [...literal.matchAll(/""|"|\\(.)|([^"\\])/g)].map(([, a = '', b = '']) => a + b).join('')
        expect(read).toBe(asciiText(text))
      }),
    )
  })

  test('bytes come back from a string and from an array', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), bytes => {
        expect(literalBytes(bytesLiteral(bytes))).toEqual([...bytes])
        expect(initialized(bytesInitializer(bytes), bytes.length)).toEqual(bytes)
      }),
    )
  })

  test('lines of zeros are left out', () => {
    const bytes = new Uint8Array(4096)
    bytes[4000] = 7
    expect(bytesInitializer(bytes).length).toBeLessThan(200)
    expect(initialized(bytesInitializer(bytes), 4096)).toEqual(bytes)
    expect(bytesInitializer(new Uint8Array(64))).toBe('\t0')
  })
})
