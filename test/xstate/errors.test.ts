import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  byteLengthOf,
  checkBoolean,
  checkBytes,
  checkInteger,
  checkRecord,
  checkU64,
  hex,
  isUint8Array,
  outOfRange,
  show,
  wrongType,
} from '../../lib/errors.ts'
import { anyHostile, hostileValues, revokedProxy } from './arbitrary.ts'

describe('outOfRange and wrongType', () => {
  it('name the field, the value and the limit', () => {
    const refused = outOfRange('load.xstateBv', 0x4000000000000003n, 'which has bits outside 0x200e7')
    expect(refused).toBeInstanceOf(RangeError)
    expect(refused.message).toBe('load.xstateBv is 0x4000000000000003, which has bits outside 0x200e7')
    const wrong = wrongType('load', 'abc', 'a Uint8Array')
    expect(wrong).toBeInstanceOf(TypeError)
    expect(wrong.message).toBe('load must be a Uint8Array, not "abc"')
  })

  it('are one short line for any value', () => {
    fc.assert(
      fc.property(anyHostile, value => {
        for (const { message } of [
          outOfRange('field', value, 'must be 0'),
          wrongType('field', value, 'a thing'),
        ]) {
          expect(message.length).toBeLessThan(400)
          expect(message).toMatch(/^field (is|must be) [^\n]+$/)
        }
      }),
    )
  })

  it('are bounded for any field and limit', () => {
    const long = 'x'.repeat(1e6)
    expect(outOfRange(long, long, long).message.length).toBeLessThan(700)
    expect(wrongType(long, long, long).message.length).toBeLessThan(700)
  })
})

describe('show', () => {
  it.each([
    [255n, '0xff'],
    [-255n, '-0xff'],
    [1n << 128n, 'a bigint of more than 128 bits'],
    [255, '255'],
    [-0, '-0'],
    [null, 'null'],
    ['é"', '"é\\""'],
    ['x'.repeat(49), `"${'x'.repeat(48)}"… (49 characters)`],
    [[1, 2], 'an array of 2'],
    [new Uint8Array(3), 'a Uint8Array of 3 bytes'],
    [new Uint16Array(3), 'another kind of ArrayBuffer view'],
    [{}, 'an object'],
    [Object.create(Uint8Array.prototype), 'an object'],
  ])('shows %o', (value, text) => {
    expect(show(value)).toBe(text)
  })

  it('survives what cannot be read at all', () => {
    expect(show(revokedProxy())).toBe('an object that cannot be read')
  })

  it('hex keeps the sign', () => {
    expect([hex(16), hex(-16), hex(16n)]).toEqual(['0x10', '-0x10', '0x10'])
  })
})

describe('checks', () => {
  it('refuse hostile values with a named error', () => {
    for (const value of [...hostileValues, revokedProxy()]) {
      for (const check of [
        () => checkBytes('f', value, 4),
        () => checkU64('f', value),
        () => checkInteger('f', value, 1, 5),
        () => checkBoolean('f', value),
      ]) {
        expect(check).toThrow(/^f(\.length)? (is|must be) /)
      }
    }
  })

  it('accept what they should, and say where the limit is', () => {
    expect(checkInteger('f', 5, 1, 5)).toBe(5)
    expect(() => checkInteger('f', 6, 1, 5)).toThrow(new RangeError('f is 6, must be in 1..5'))
    expect(() => checkInteger('f', 0, 1, 5)).toThrow(RangeError)
    expect(() => checkInteger('f', 2.5, 1, 5)).toThrow(TypeError)
    expect(checkU64('f', 2n ** 64n - 1n)).toBe(2n ** 64n - 1n)
    expect(() => checkU64('f', 2n ** 64n)).toThrow(RangeError)
    expect(() => checkU64('f', -1n)).toThrow(RangeError)
    expect(checkBoolean('f', false)).toBe(false)
    expect(checkRecord('f', { a: 1 })).toEqual({ a: 1 })
    for (const value of [null, [], 1])
      expect(() => checkRecord('f', value)).toThrow(/^f must be an object, not /)
  })

  it('see through what pretends to be bytes', () => {
    const lying = new Uint8Array(4)
    Object.defineProperty(lying, 'length', { value: 4096 })
    Object.defineProperty(lying, 'byteLength', { value: 4096 })
    expect(byteLengthOf(lying)).toBe(4)
    expect(() => checkBytes('f', lying, 4096)).toThrow(new RangeError('f.length is 4, must be 4096'))
    expect(isUint8Array(Object.create(Uint8Array.prototype))).toBe(false)
    expect(isUint8Array({ [Symbol.toStringTag]: 'Uint8Array' })).toBe(false)
    expect(isUint8Array(new Uint8ClampedArray(1))).toBe(false)
    class Sub extends Uint8Array {}
    expect(checkBytes('f', new Sub(4), 4)).toHaveLength(4)
  })
})
