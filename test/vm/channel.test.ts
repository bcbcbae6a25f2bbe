import { createHash } from 'node:crypto'
import { brotliCompressSync, constants } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { answerLine, answerText, lineOf } from '../../lib/vm/guest/channel.ts'
import type { Answer } from '../../lib/vm/guest/task.ts'

/** An answer in which a text is. */
const answerWith = (observed: string): Answer => ({
  bundle: null,
  frames: [],
  replayed: [
    {
      from: 'k|c|x86_64/all',
      outcome: 'holds',
      lost: [],
      unknown: [],
      leftOver: [],
      observed,
      expected: '',
      asExpected: true,
    },
  ],
})

const answer = answerWith('größer')
const rest = (line: string): string => line.slice('result '.length, -1)

describe('an answer', () => {
  const line = answerLine(answer)

  test('is one line of ASCII, and comes back', () => {
    expect(line).toMatch(/^result [0-9a-f]{64} [A-Za-z0-9+/]+=*\n$/)
    expect(JSON.parse(answerText(rest(line)) as string)).toEqual(answer)
  })

  test('of any text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), observed => {
        const sent = answerWith(observed)
        expect(answerText(rest(answerLine(sent)))).toBe(JSON.stringify(sent))
      }),
    )
  })

  test('cut anywhere it is none', () => {
    const text = rest(line).replace(/=+$/, '')
    // Base64 whose last character has bits to spare may lose them.
    for (let length = 0; length < text.length - 1; length++)
      expect(answerText(text.slice(0, length)), `${length}`).toBeNull()
  })

  test('with a character changed anywhere it is none, or the same', () => {
    const text = rest(line)
    fc.assert(
      fc.property(
        fc.nat({ max: text.length - 1 }),
        fc.constantFrom(...'09afAZ/+= \0\u00ff\n'),
        (at, character) => {
          const seen = answerText(text.slice(0, at) + character + text.slice(at + 1))
          // A blank ends the text; what follows it counts for nothing, and base64 passes over what is none.
          expect([null, JSON.stringify(answer)]).toContain(seen)
        },
      ),
      { numRuns: 2000 },
    )
  })

  test('with a bit of the compressed bytes flipped it is none, or the same', () => {
    const [hash, packed] = rest(line).split(' ') as [string, string]
    const bytes = Buffer.from(packed, 'base64')
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const changed = Buffer.from(bytes)
      changed[bit >> 3]! ^= 1 << (bit & 7)
      const seen = answerText(`${hash} ${changed.toString('base64')}`)
      expect([null, JSON.stringify(answer)], `bit ${bit}`).toContain(seen)
    }
  })

  test('with a wrong hash it is none', () => {
    const [hash, packed] = rest(line).split(' ') as [string, string]
    expect(answerText(`${createHash('sha256').update('other').digest('hex')} ${packed}`)).toBeNull()
    expect(answerText(`${hash.toUpperCase()} ${packed}`)).toBeNull()
  })

  test('of more than any run has: none, and no gigabytes', () => {
    const huge = Buffer.alloc(65 << 20, 32)
    const hash = createHash('sha256').update(huge).digest('hex')
    const packed = brotliCompressSync(huge, { params: { [constants.BROTLI_PARAM_QUALITY]: 1 } })
    expect(answerText(`${hash} ${packed.toString('base64')}`)).toBeNull()
  })

  test('anything is read without throwing', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), text => {
        expect(answerText(text)).toBeNull()
      }),
    )
  })
})

describe('a line', () => {
  test.each([
    ['beat 12', 'beat', '12'],
    ['end', 'end', ''],
    ['', '', ''],
    [' x', '', 'x'],
    ['case 3 a/b c', 'case', '3 a/b c'],
  ])('%j', (text, kind, rest) => {
    expect(lineOf(text)).toEqual({ kind, rest })
  })

  test('loses nothing', () => {
    fc.assert(
      fc.property(fc.string(), text => {
        const { kind, rest } = lineOf(text)
        expect(text.includes(' ') ? `${kind} ${rest}` : kind).toBe(text)
      }),
    )
  })
})
