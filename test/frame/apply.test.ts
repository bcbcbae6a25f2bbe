import { describe, expect, it } from 'vitest'
import { applyPrimitives } from '../../lib/frame/apply.ts'
import { compileEdit } from '../../lib/frame/compile.ts'
import type { EditLimits, EditOp } from '../../lib/frame/edit.ts'
import { known } from '../xstate/arbitrary.ts'

const layout = known('haswell')
const limits: EditLimits = { frameBytes: 836, inPlaceBytes: 2000, spareBytes: 4096 }
const frame = Uint8Array.from({ length: limits.frameBytes }, (_, i) => i % 251)

const applied = (...edit: EditOp[]): Uint8Array =>
  applyPrimitives(frame, compileEdit(edit, layout, limits).primitives)

describe('applyPrimitives', () => {
  it('changes exactly the bytes of the operation, and not the frame it is given', () => {
    const before = frame.slice()
    const expected = frame.slice()
    expected.set([1, 2, 3], 600)
    expected.fill(9, 100, 110)
    expect(
      applied({ op: 'write', at: 600, bytes: '010203' }, { op: 'fill', at: 100, length: 10, value: 9 }),
    ).toEqual(expected)
    expect(frame).toEqual(before)
  })

  it.each([
    ['and', (old: number) => old & 0x0f],
    ['or', (old: number) => old | 0x0f],
    ['xor', (old: number) => old ^ 0x0f],
  ] as const)('%s works bit by bit', (op, combined) => {
    const expected = frame.slice()
    for (let i = 512; i < 520; i++) expected[i] = combined(expected[i]!)
    expect(applied({ op, field: 'xstateBv', value: 0x0f0f0f0f0f0f0f0fn })).toEqual(expected)
  })

  it('one operation after the other', () => {
    const [first, second] = ['aa', 'bb'].map(bytes => ({ op: 'write', at: 0, bytes }) as const)
    expect(applied(first!, second!)[0]).toBe(0xbb)
    expect(applied(second!, first!)[0]).toBe(0xaa)
  })

  it('a move takes along what it has room for, a pointer changes no byte', () => {
    expect(applied({ op: 'move' })).toEqual(frame)
    expect(applied({ op: 'move', guardAt: 600 })).toEqual(frame.subarray(0, 600))
    expect(applied({ op: 'pointer', address: 0n })).toEqual(frame)
    const gaps = applied({ op: 'fill', at: 416, length: 48, value: 0 })
    expect(applied({ op: 'pointer', by: 64 })).toEqual(gaps)
  })

  it.each<[string, EditOp[]]>([
    ['in place', []],
    ['after a move', [{ op: 'move', at: 64 }]],
  ])('reaches beyond the frame, %s', (_, before) => {
    const sent = applied(
      ...before,
      { op: 'write', at: 900, bytes: '07' },
      { op: 'fill', at: 902, length: 2, value: 8 },
    )
    expect([...sent.subarray(900, 904)]).toEqual([7, 0, 8, 8])
    expect(sent.subarray(0, frame.length)).toEqual(frame)
  })
})
