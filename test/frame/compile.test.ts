import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { frameShape } from '../../lib/frame/abi.ts'
import { compileEdit } from '../../lib/frame/compile.ts'
import type { CompiledEdit, EditLimits, EditOp } from '../../lib/frame/edit.ts'
import { frameFields, magic2 } from '../../lib/frame/format.ts'
import { anyHostile, known, revokedProxy } from '../xstate/arbitrary.ts'
import { anyEdit } from './arbitrary.ts'

const layout = known('ice-lake-sp') // avx 576..832, opmask 1088, zmm_hi256 1152, hi16_zmm 1664, pkru 2688..2696
const limits: EditLimits = { frameBytes: 2700, inPlaceBytes: 8000, spareBytes: 12288 }

const compile = (...edit: unknown[]): CompiledEdit => compileEdit(edit as EditOp[], layout, limits)
const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values)

describe('every operation comes down to primitives', () => {
  const gaps = [
    { code: 'fill', at: 416, length: 48, value: 0 },
    { code: 'fill', at: 832, length: 256, value: 0 },
  ] as const
  it.each<[string, EditOp, CompiledEdit['primitives']]>([
    ['write', { op: 'write', at: 7, bytes: bytes(1, 2) }, [{ code: 'write', at: 7, bytes: bytes(1, 2) }]],
    [
      'write, digits',
      { op: 'write', at: 7, bytes: '0aFf' },
      [{ code: 'write', at: 7, bytes: bytes(10, 255) }],
    ],
    ['write, nothing', { op: 'write', at: 7, bytes: '' }, []],
    [
      'set, 2 bytes',
      { op: 'set', field: 'fcw', value: 0x37f },
      [{ code: 'write', at: 0, bytes: bytes(0x7f, 3) }],
    ],
    [
      'set, 4 bytes',
      { op: 'set', field: 'mxcsr', value: '0x1f80' },
      [{ code: 'write', at: 24, bytes: bytes(0x80, 0x1f, 0, 0) }],
    ],
    [
      'set, 8 bytes',
      { op: 'set', field: 'xstateBv', value: 0x0102030405060708n },
      [{ code: 'write', at: 512, bytes: bytes(8, 7, 6, 5, 4, 3, 2, 1) }],
    ],
    ['and', { op: 'and', field: 'xstateBv', value: 7 }, [{ code: 'and', at: 512, length: 8, value: 7n }]],
    ['or', { op: 'or', field: 'sw.xfeatures', value: '9' }, [{ code: 'or', at: 472, length: 8, value: 9n }]],
    ['xor', { op: 'xor', field: 'sw.magic1', value: 1n }, [{ code: 'xor', at: 464, length: 4, value: 1n }]],
    [
      'fill',
      { op: 'fill', at: 576, length: 3, value: 255 },
      [{ code: 'fill', at: 576, length: 3, value: 255 }],
    ],
    ['fill, nothing', { op: 'fill', at: 576, length: 0, value: 255 }, []],
    [
      'component',
      { op: 'component', name: 'opmask', bytes: new Uint8Array(64).fill(9) },
      [
        { code: 'write', at: 1088, bytes: new Uint8Array(64).fill(9) },
        { code: 'or', at: 512, length: 8, value: 0x20n },
      ],
    ],
    [
      'component x87, around MXCSR',
      { op: 'component', name: 'x87', bytes: new Uint8Array(160).fill(9) },
      [
        { code: 'write', at: 0, bytes: new Uint8Array(24).fill(9) },
        { code: 'write', at: 32, bytes: new Uint8Array(128).fill(9) },
        { code: 'or', at: 512, length: 8, value: 1n },
      ],
    ],
    [
      'resize',
      { op: 'resize', xstateSize: 1088 },
      [
        { code: 'write', at: 480, bytes: bytes(0x40, 4, 0, 0) },
        { code: 'write', at: 468, bytes: bytes(0x44, 4, 0, 0) },
      ],
    ],
    ['magic2', { op: 'magic2', at: 832 }, [{ code: 'write', at: 832, bytes: bytes(0x45, 0x58, 0x50, 0x46) }]],
    [
      'magic2 with its tail',
      { op: 'magic2', at: 832, clearTail: true },
      [
        { code: 'write', at: 832, bytes: bytes(0x45, 0x58, 0x50, 0x46) },
        { code: 'fill', at: 836, length: 1864, value: 0 },
      ],
    ],
    ['move', { op: 'move' }, [{ code: 'move', at: 0, length: 2700 }]],
    ['move, at', { op: 'move', at: 128 }, [{ code: 'move', at: 128, length: 2700 }]],
    ['move, guardAt', { op: 'move', guardAt: 836 }, [{ code: 'move', at: 12288 - 836, length: 836 }]],
    [
      'pointer, address',
      { op: 'pointer', address: '0xffffffffffffffff' },
      [{ code: 'pointer', value: 2n ** 64n - 1n }],
    ],
    ['pointer, by', { op: 'pointer', by: -64 }, [...gaps, { code: 'offset', value: 2n ** 64n - 64n }]],
  ])('%s', (_, op, primitives) => {
    expect(compile(op).primitives).toEqual(primitives)
  })

  it('and MAGIC2 is the constant of the kernel', () => {
    expect(magic2).toBe(0x46505845)
  })

  it('an empty list sends the frame as the kernel wrote it', () => {
    expect(compile()).toEqual({ primitives: [], sentBytes: 2700, isolated: false })
  })
})

describe('MAGIC2 without an offset goes where xstate_size is by then', () => {
  const placed = (...edit: EditOp[]): number | undefined => {
    const last = compile(...edit, { op: 'magic2' }).primitives.at(-1)
    return last?.code === 'write' ? last.at : undefined
  }

  it.each<[string, number, EditOp[]]>([
    ['untouched', 2696, []],
    ['resized', 832, [{ op: 'resize', xstateSize: 832 }]],
    ['set', 1088, [{ op: 'set', field: 'sw.xstateSize', value: 1088 }]],
    ['xor', 2696 ^ 8, [{ op: 'xor', field: 'sw.xstateSize', value: 8 }]],
    ['and', 2696 & 0xff0, [{ op: 'and', field: 'sw.xstateSize', value: 0xff0 }]],
    ['or', 2696 | 1, [{ op: 'or', field: 'sw.xstateSize', value: 1 }]],
    ['written in part', 0x0a40, [{ op: 'write', at: 480, bytes: '40' }]],
    [
      'filled',
      0x0101,
      [
        { op: 'fill', at: 482, length: 8, value: 0 },
        { op: 'fill', at: 470, length: 12, value: 1 },
      ],
    ],
    [
      'resized and moved',
      832,
      [
        { op: 'resize', xstateSize: 832 },
        { op: 'move', guardAt: 836 },
      ],
    ],
  ])('%s', (_, at, edit) => {
    expect(placed(...edit)).toBe(at)
  })
})

describe('what nobody writes is cleared first where an edit leads a kernel to read it', () => {
  const cleared = (...edit: EditOp[]) =>
    compile(...edit)
      .primitives.filter(op => op.code === 'fill')
      .map(op => ('at' in op ? op.at : -1))

  it.each<[string, number[], EditOp[]]>([
    ['a size that ends where nothing is written', [832], [{ op: 'resize', xstateSize: 832 }]],
    ['a size whose MAGIC2 begins before it', [832], [{ op: 'set', field: 'sw.xstateSize', value: 829 }]],
    ['a size whose MAGIC2 ends before it', [], [{ op: 'set', field: 'sw.xstateSize', value: 828 }]],
    ['the last byte of it', [832], [{ op: 'resize', xstateSize: 1087 }]],
    ['the first byte behind it', [], [{ op: 'resize', xstateSize: 1088 }]],
    ['a size below the sw bytes', [416], [{ op: 'resize', xstateSize: 440 }]],
    [
      'the size that it has in the end',
      [],
      [
        { op: 'resize', xstateSize: 900 },
        { op: 'resize', xstateSize: 1152 },
      ],
    ],
    ['another format', [416, 832], [{ op: 'or', field: 'xcompBv', value: 1n << 63n }]],
    ['another format, by bytes', [416, 832], [{ op: 'write', at: 527, bytes: '80' }]],
    [
      'the header around it',
      [],
      [
        { op: 'write', at: 519, bytes: '80' },
        { op: 'write', at: 528, bytes: '80' },
      ],
    ],
  ])('%s', (_, at, edit) => {
    expect(cleared(...edit)).toEqual(at)
  })

  it('before all else: what an edit writes there stays', () => {
    const { primitives } = compile({ op: 'resize', xstateSize: 900 }, { op: 'magic2' })
    expect(primitives[0]).toEqual({ code: 'fill', at: 832, length: 256, value: 0 })
    expect(primitives.at(-1)).toMatchObject({ code: 'write', at: 900 })
  })
})

describe('between the frame and an edit behind it', () => {
  const gap = (at: number, length: number) => ({ code: 'fill', at, length, value: 0 }) as const
  const far = (at: number) => ({ op: 'write', at, bytes: '07' }) as const
  const write = (at: number) => ({ code: 'write', at, bytes: bytes(7) }) as const
  const move = (at: number, length: number) => ({ code: 'move', at, length }) as const

  it.each<[string, EditOp[], CompiledEdit['primitives']]>([
    ['all is cleared first', [far(3000)], [gap(2700, 301), write(3000)]],
    ['also what is read there', [far(3000), far(2800)], [gap(2700, 301), write(3000), write(2800)]],
    ['before a move', [far(3000), { op: 'move' }], [gap(2700, 301), write(3000), move(0, 3001)]],
    ['after a move', [{ op: 'move' }, far(3000)], [move(0, 2700), gap(2700, 301), write(3000)]],
    [
      'before and after',
      [far(3000), { op: 'move' }, far(4000)],
      [gap(2700, 301), write(3000), move(0, 3001), gap(3001, 1000), write(4000)],
    ],
  ])('%s', (_, edit, primitives) => {
    expect(compile(...edit).primitives).toEqual(primitives)
  })
})

describe('what is sent reaches as far as the edits', () => {
  it.each<[number, EditOp[]]>([
    [2700, [{ op: 'write', at: 0, bytes: '00' }]],
    [3001, [{ op: 'write', at: 3000, bytes: '00' }]],
    [3100, [{ op: 'fill', at: 3000, length: 100, value: 0 }]],
    [8000, [{ op: 'magic2', at: 7996 }]],
    [836, [{ op: 'move', guardAt: 836 }]],
    [4000, [{ op: 'write', at: 3999, bytes: '00' }, { op: 'move' }]],
    [12288, [{ op: 'move' }, { op: 'write', at: 12287, bytes: '00' }]],
    [
      12288 - 64,
      [
        { op: 'move', at: 64 },
        { op: 'write', at: 12287 - 64, bytes: '00' },
      ],
    ],
  ])('%i bytes', (sentBytes, edit) => {
    expect(compile(...edit).sentBytes).toBe(sentBytes)
  })
})

const areaFields = 'sw.magic1 sw.extendedSize sw.xfeatures sw.xstateSize xstateBv xcompBv mxcsr fcw fsw'
const headFields = Object.keys(frameShape('x86_64').fields).join('|')

describe('what cannot be done is refused, naming operation, field, value and limit', () => {
  const range = (message: string) => new RangeError(message)
  const type = (message: string) => new TypeError(message)
  it.each<[unknown, Error]>([
    ['write', type('edit[1] must be an object, not "write"')],
    [{}, type('edit[1].op must be a string, not undefined')],
    [
      { op: 'copy' },
      range(
        'edit[1].op is "copy", must be one of write set and or xor fill component resize magic2 move pointer pages',
      ),
    ],
    [{ op: 'write', bytes: '00' }, type('edit[1].at must be an integer, not undefined')],
    [{ op: 'magic2', cleartail: true }, range('edit[1].cleartail is true, but magic2 has only at clearTail')],
    [{ op: 'write', at: -1, bytes: '00' }, range('edit[1].at is -1, must be in 0..4294967295')],
    [{ op: 'write', at: 1.5, bytes: '00' }, type('edit[1].at must be an integer, not 1.5')],
    [{ op: 'write', at: 0 }, type('edit[1].bytes must be a Uint8Array or hexadecimal digits, not undefined')],
    [
      { op: 'write', at: 0, bytes: [1] },
      type('edit[1].bytes must be a Uint8Array or hexadecimal digits, not an array of 1'),
    ],
    [{ op: 'write', at: 0, bytes: '0' }, range('edit[1].bytes is "0", must be pairs of hexadecimal digits')],
    [
      { op: 'write', at: 0, bytes: '0g' },
      range('edit[1].bytes is "0g", must be pairs of hexadecimal digits'),
    ],
    [
      { op: 'write', at: 7999, bytes: '0000' },
      range('edit[1] (end) is 8001, but edits in place must end by 8000'),
    ],
    [
      { op: 'set', field: 'xcr0', value: 0 },
      range(`edit[1].field is "xcr0", must be one of ${areaFields} or head.<${headFields}>`),
    ],
    [
      { op: 'set', field: 'toString', value: 0 },
      range(`edit[1].field is "toString", must be one of ${areaFields} or head.<${headFields}>`),
    ],
    [{ op: 'set', field: 7, value: 0 }, type('edit[1].field must be the name of a field, not 7')],
    [{ op: 'set', field: 'fcw', value: 0x10000 }, range('edit[1].value is 0x10000, must be in 0x0..0xffff')],
    [{ op: 'set', field: 'mxcsr', value: -1 }, range('edit[1].value is -0x1, must be in 0x0..0xffffffff')],
    [
      { op: 'or', field: 'xstateBv', value: 1n << 64n },
      range('edit[1].value is 0x10000000000000000, must be in 0x0..0xffffffffffffffff'),
    ],
    [
      { op: 'and', field: 'xstateBv', value: '7n' },
      type(
        'edit[1].value must be an integer, a bigint or a string of digits (0x… for hexadecimal), not "7n"',
      ),
    ],
    [
      { op: 'xor', field: 'xstateBv', value: Number.NaN },
      type('edit[1].value must be an integer, a bigint or a string of digits (0x… for hexadecimal), not NaN'),
    ],
    [{ op: 'fill', at: 0, length: -1, value: 0 }, range('edit[1].length is -1, must be in 0..4294967295')],
    [{ op: 'fill', at: 0, length: 1, value: 256 }, range('edit[1].value is 256, must be in 0..255')],
    [
      { op: 'fill', at: 8000, length: 1, value: 0 },
      range('edit[1] (end) is 8001, but edits in place must end by 8000'),
    ],
    [
      { op: 'component', name: 'zmm', bytes: '' },
      type('edit[1].name must be the name of a component, not "zmm"'),
    ],
    [
      { op: 'component', name: 'apx', bytes: '' },
      range(
        'edit[1].name is "apx", which this layout lacks: it has x87 sse avx opmask zmm_hi256 hi16_zmm pkru',
      ),
    ],
    [
      { op: 'component', name: 'pkru', bytes: '00' },
      range('edit[1].bytes.length is 1, must be 8, the size of pkru'),
    ],
    [
      { op: 'resize', xstateSize: 2 ** 32 - 4 },
      range('edit[1].xstateSize is 4294967292, must be in 0..4294967291'),
    ],
    [{ op: 'resize' }, type('edit[1].xstateSize must be an integer, not undefined')],
    [{ op: 'magic2', at: 7997 }, range('edit[1].at (end) is 8001, but edits in place must end by 8000')],
    [{ op: 'magic2', clearTail: 1 }, type('edit[1].clearTail must be a boolean, not 1')],
    [
      { op: 'move', at: 12288 - 2699 },
      range('edit[1].at is 9589, must be at most 9588: the frame has to fit'),
    ],
    [{ op: 'move', at: 12288 }, range('edit[1].at is 12288, must be in 0..12287')],
    [{ op: 'move', guardAt: 0 }, range('edit[1].guardAt is 0, must be in 1..12288')],
    [{ op: 'move', guardAt: 12289 }, range('edit[1].guardAt is 12289, must be in 1..12288')],
    [
      { op: 'move', at: 0, guardAt: 1 },
      range('edit[1].at is 0, but guardAt is given too: only one of them can hold'),
    ],
    [{ op: 'pointer' }, type('edit[1] must be an operation with either address or by, not an object')],
    [
      { op: 'pointer', address: 0n, by: 1 },
      type('edit[1] must be an operation with either address or by, not an object'),
    ],
    [
      { op: 'pointer', by: 2 ** 31 + 1 },
      range('edit[1].by is 2147483649, must be in -2147483648..2147483648'),
    ],
    [
      { op: 'pointer', address: '-1' },
      type(
        'edit[1].address must be an integer, a bigint or a string of digits (0x… for hexadecimal), not "-1"',
      ),
    ],
  ])('%o', (op, error) => {
    const edit = () => compile({ op: 'fill', at: 0, length: 0, value: 0 }, op)
    expect(edit).toThrow(error)
    // toThrow compares messages alone.
    expect(edit).toThrow(error.constructor as new () => Error)
  })

  it('a MAGIC2 whose xstate_size lies beyond reach', () => {
    expect(() => compile({ op: 'resize', xstateSize: 1e6 }, { op: 'magic2' })).toThrow(
      new RangeError('edit[1].at (end) is 1000004, but edits in place must end by 8000'),
    )
  })

  it('a second move, and edits beyond what the first one left', () => {
    expect(() => compile({ op: 'move' }, { op: 'move' })).toThrow(
      new RangeError('edit[1] is "move", but this edit has moved the fpstate already'),
    )
    expect(() => compile({ op: 'move', guardAt: 836 }, { op: 'write', at: 836, bytes: '00' })).toThrow(
      new RangeError('edit[1] (end) is 837, but edits of the second buffer must end by 836'),
    )
  })

  it('lists that are none, and too long ones', () => {
    expect(() => compileEdit('magic2' as never, layout, limits)).toThrow(
      new TypeError('edit must be an array of operations, not "magic2"'),
    )
    expect(() => compile(...new Array(4097).fill({ op: 'magic2' }))).toThrow(
      new RangeError('edit.length is 4097, must be at most 4096'),
    )
    expect(() => compileEdit([{ op: 'x' } as never], layout, limits, 'requests[3].edit')).toThrow(
      /^requests\[3\]\.edit\[0\]\.op is "x"/,
    )
  })

  it('whatever else is put where something belongs: by a TypeError or RangeError, or taken', () => {
    const op = fc.constantFrom(
      'write',
      'set',
      'and',
      'fill',
      'component',
      'resize',
      'magic2',
      'move',
      'pointer',
    )
    const hostile = fc.record(
      {
        op,
        at: anyHostile,
        bytes: anyHostile,
        field: fc.oneof(anyHostile, fc.constant('xstateBv')),
        value: anyHostile,
        length: anyHostile,
        name: fc.oneof(anyHostile, fc.constant('avx')),
        xstateSize: anyHostile,
        clearTail: anyHostile,
        guardAt: anyHostile,
        address: anyHostile,
        by: anyHostile,
      },
      { requiredKeys: ['op'] },
    )
    fc.assert(
      fc.property(fc.oneof(hostile, anyHostile), value => {
        try {
          compile(value)
        } catch (error) {
          expect(error).toSatisfy(e => e instanceof TypeError || e instanceof RangeError)
          expect((error as Error).message).toMatch(/^edit\[0\].* (is|must be) /s)
        }
      }),
      { seed: 2, numRuns: 500 },
    )
    expect(() => compile(revokedProxy())).toThrow(TypeError)
  })
})

describe('a compiled edit', () => {
  it('is a copy: what was checked is what is sent', () => {
    const given = bytes(1, 2, 3)
    const { primitives } = compile({ op: 'write', at: 0, bytes: given })
    given.fill(9)
    expect(primitives).toEqual([{ code: 'write', at: 0, bytes: bytes(1, 2, 3) }])
  })

  it('sees through bytes that lie about their length', () => {
    const lying = new Uint8Array(4)
    Object.defineProperty(lying, 'length', { value: 1 })
    const { primitives, sentBytes } = compile({ op: 'write', at: 7996, bytes: lying })
    expect(primitives.at(-1)).toEqual({ code: 'write', at: 7996, bytes: new Uint8Array(4) })
    expect(sentBytes).toBe(8000)
    expect(() => compile({ op: 'write', at: 7997, bytes: lying })).toThrow(RangeError)
  })

  it('stays within the limits, whatever the list', () => {
    const edits = anyEdit(layout, limits, { moves: 'at or guardAt', pointers: true })
    fc.assert(
      fc.property(edits, edit => {
        const { primitives, sentBytes } = compileEdit(edit, layout, limits)
        let room = limits.inPlaceBytes
        for (const primitive of primitives) {
          if (primitive.code === 'move') {
            expect(primitive.at + primitive.length).toBeLessThanOrEqual(limits.spareBytes)
            room = limits.spareBytes - primitive.at
          } else if (primitive.code === 'write') {
            expect(primitive.at + primitive.bytes.length).toBeLessThanOrEqual(room)
          } else if ('at' in primitive) {
            expect(primitive.at + primitive.length).toBeLessThanOrEqual(room)
          }
        }
        expect(sentBytes).toBeLessThanOrEqual(room)
        expect(sentBytes).toBeGreaterThanOrEqual(Math.min(limits.frameBytes, room))
      }),
      { seed: 1 },
    )
  })

  it('of a host without XSAVE knows no header', () => {
    const none = known('nehalem')
    const small: EditLimits = { frameBytes: 512, inPlaceBytes: 4096, spareBytes: 8192 }
    expect(
      compileEdit([{ op: 'component', name: 'sse', bytes: new Uint8Array(256) }], none, small).primitives,
    ).toEqual([{ code: 'write', at: 160, bytes: new Uint8Array(256) }])
  })

  it('places each field where the kernel has it', () => {
    expect(frameFields).toEqual({
      'sw.magic1': { at: 464, width: 4 },
      'sw.extendedSize': { at: 468, width: 4 },
      'sw.xfeatures': { at: 472, width: 8 },
      'sw.xstateSize': { at: 480, width: 4 },
      xstateBv: { at: 512, width: 8 },
      xcompBv: { at: 520, width: 8 },
      mxcsr: { at: 24, width: 4 },
      fcw: { at: 0, width: 2 },
      fsw: { at: 2, width: 2 },
    })
  })
})
