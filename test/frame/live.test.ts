import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { frameShape } from '../../lib/frame/abi.ts'
import type { EditLimits } from '../../lib/frame/edit.ts'
import { magic2 } from '../../lib/frame/format.ts'
import { LiveFrame, type LivePlace } from '../../lib/frame/live.ts'
import { anyHostile, known } from '../xstate/arbitrary.ts'

const layout = known('ice-lake-sp')
const limits: EditLimits = { frameBytes: 2700, inPlaceBytes: 4000, spareBytes: 8192 }

const shape = frameShape('x86_64')
const headSize = shape.headBytes
const fpstatePointerOffset = shape.fields.fpstate.at

// A piece of memory as the arena has it: guard, head, fpstate with its room, guard, second buffer, guard.
const guard = 512
const at = { frame: guard, fpstate: guard + headSize, spare: 2 * guard + headSize + limits.inPlaceBytes }
const total = at.spare + limits.spareBytes + guard
const base = 0x7f00_0000_0000n

const place = (): LivePlace => {
  const bytes = Uint8Array.from({ length: total }, (_, i) => (i * 7) % 255)
  return { bytes, view: new DataView(bytes.buffer), ...at, base, shape }
}

const live = (where = place()): LiveFrame => new LiveFrame(where, layout, limits)

/** Whether the bytes that no edit may reach are as they were. */
const guardsHold = ({ bytes }: LivePlace): boolean => {
  const before = place().bytes
  const pointer = at.frame + fpstatePointerOffset
  const mayChange = (i: number): boolean =>
    (i >= pointer && i < pointer + 8) ||
    (i >= at.fpstate && i < at.fpstate + limits.inPlaceBytes) ||
    (i >= at.spare && i < at.spare + limits.spareBytes)
  return bytes.every((byte, i) => mayChange(i) || byte === before[i])
}

describe('the fields of a live frame', () => {
  it.each([
    ['mxcsr', 24, 4],
    ['xstateBv', 512, 8],
    ['xcompBv', 520, 8],
  ] as const)('%s', (field, offset, width) => {
    const where = place()
    const frame = live(where)
    const value = width === 8 ? 0x1122334455667788n : 0x11223344
    Object.assign(frame, { [field]: value })
    expect(frame[field]).toBe(value)
    expect(frame.get(field)).toBe(BigInt(value))
    expect(where.bytes[at.fpstate + offset]).toBe(width === 8 ? 0x88 : 0x44)
    expect(frame.revoke()).toEqual({ fpstate: at.fpstate, sentBytes: 2700 })
  })

  it.each([
    ['magic1', 464],
    ['extendedSize', 468],
    ['xstateSize', 480],
  ] as const)('sw.%s', (field, offset) => {
    const where = place()
    const { sw } = live(where)
    sw[field] = 0x11223344
    expect(sw[field]).toBe(0x11223344)
    expect(where.view.getUint32(at.fpstate + offset, true)).toBe(0x11223344)
    sw.xfeatures = 0x8000000000000001n
    expect(sw.xfeatures).toBe(0x8000000000000001n)
    expect(where.view.getBigUint64(at.fpstate + 472, true)).toBe(0x8000000000000001n)
  })

  it('those of two bytes, by name', () => {
    const frame = live()
    frame.set('fcw', 0x37f)
    expect(frame.get('fcw')).toBe(0x37fn)
    expect([...frame.read(0, 2)]).toEqual([0x7f, 0x03])
  })

  it('the pointer, which moves no bytes', () => {
    const where = place()
    const frame = live(where)
    frame.fpstatePointer = 0xffff_ffff_ffff_ffffn
    expect(frame.fpstatePointer).toBe(0xffff_ffff_ffff_ffffn)
    expect(guardsHold(where)).toBe(true)
    expect(where.bytes.subarray(at.fpstate)).toEqual(place().bytes.subarray(at.fpstate))
  })

  it('refuse what does not fit', () => {
    const frame = live()
    expect(() => frame.set('mxcsr', 2n ** 32n)).toThrow(
      new RangeError('mxcsr is 0x100000000, must be in 0x0..0xffffffff'),
    )
    for (const field of ['xcr0', 'toString', '__proto__', 7, undefined] as never[]) {
      expect(() => frame.set(field, 0)).toThrow(/^field (is|must be) /)
      expect(() => frame.get(field)).toThrow(/^field (is|must be) /)
    }
    expect(() => {
      frame.fpstatePointer = -1n
    }).toThrow(RangeError)
    expect(() => {
      frame.sw.xfeatures = 'seven' as never
    }).toThrow(TypeError)
  })
})

describe('the bytes of a live frame', () => {
  it('are read as copies', () => {
    const frame = live()
    const copy = frame.read(0, 4)
    copy.fill(0xee)
    expect(frame.read(0, 4)).toEqual(place().bytes.slice(at.fpstate, at.fpstate + 4))
    frame.component('avx').fill(0)
    expect(frame.component('avx')).toEqual(place().bytes.slice(at.fpstate + 576, at.fpstate + 832))
  })

  it('may be edited up to the end of the room, and not beyond', () => {
    const frame = live()
    const end = limits.inPlaceBytes
    frame.write(end - 2, Uint8Array.of(1, 2))
    frame.fill(end - 2, 2, 3)
    frame.placeMagic2({ at: end - 4 })
    const message = new RangeError('at (end) is 4001, but edits must end by 4000')
    expect(() => frame.write(end - 1, Uint8Array.of(1, 2))).toThrow(message)
    expect(() => frame.fill(end - 1, 2, 3)).toThrow(message)
    expect(() => frame.read(end - 1, 2)).toThrow(message)
    expect(() => frame.placeMagic2({ at: end - 3 })).toThrow(/^magic2\.at \(end\) is 4001, /)
    expect(() => frame.write(-1, Uint8Array.of(1))).toThrow(RangeError)
    expect(frame.revoke().sentBytes).toBe(end)
  })

  it('between the frame and an edit behind it are cleared: what earlier frames left there is not sent', () => {
    for (const move of [false, true]) {
      const frame = live()
      if (move) frame.move()
      frame.write(3000, Uint8Array.of(7))
      expect(frame.read(2700, 301)).toEqual(new Uint8Array(301).fill(7, 300))
      // Once it is part of the frame it stays.
      frame.write(2800, Uint8Array.of(8))
      frame.write(3010, Uint8Array.of(9))
      expect([...frame.read(2800, 1), ...frame.read(3000, 11)]).toEqual([8, 7, ...new Array(9).fill(0), 9])
      expect(frame.revoke().sentBytes).toBe(3011)
    }
  })

  it('that lie about their length stay inside too', () => {
    const where = place()
    const frame = live(where)
    const lying = new Uint8Array(600)
    Object.defineProperty(lying, 'length', { value: 1 })
    expect(() => frame.write(limits.inPlaceBytes - 1, lying)).toThrow(RangeError)
    expect(guardsHold(where)).toBe(true)
  })

  it('a component sets its bit; x87 leaves MXCSR alone', () => {
    const frame = live()
    frame.xstateBv = 0n
    const { mxcsr } = frame
    frame.setComponent('x87', new Uint8Array(160).fill(1))
    frame.setComponent('avx', new Uint8Array(256).fill(2))
    expect(frame.xstateBv).toBe(0b101n)
    expect(frame.mxcsr).toBe(mxcsr)
    expect([frame.read(23, 1)[0], frame.read(32, 1)[0], frame.read(159, 1)[0]]).toEqual([1, 1, 1])
    expect(frame.component('avx')).toEqual(new Uint8Array(256).fill(2))
    expect(() => frame.setComponent('avx', new Uint8Array(255))).toThrow(
      new RangeError('bytes.length is 255, must be 256, the size of avx'),
    )
    expect(() => frame.setComponent('bndregs', new Uint8Array(64))).toThrow(
      /^component is "bndregs", which this layout lacks/,
    )
  })

  it('a resize leaves room for MAGIC2, which is placed where xstate_size says', () => {
    const frame = live()
    frame.resize(832)
    expect([frame.sw.xstateSize, frame.sw.extendedSize]).toEqual([832, 836])
    frame.placeMagic2({ clearTail: true })
    const view = new DataView(frame.read(0, limits.inPlaceBytes).buffer)
    expect(view.getUint32(832, true)).toBe(magic2)
    expect(frame.read(836, 2700 - 836)).toEqual(new Uint8Array(2700 - 836))
    expect(frame.read(2700, 4)).toEqual(place().bytes.slice(at.fpstate + 2700, at.fpstate + 2704))
  })
})

describe('a moved live frame', () => {
  it('is a copy in the second buffer, with the pointer to it, and has that room', () => {
    const where = place()
    const frame = live(where)
    frame.mxcsr = 0x1fa0
    frame.move({ at: 64 })
    expect(frame.fpstatePointer).toBe(base + BigInt(at.spare + 64))
    expect(frame.mxcsr).toBe(0x1fa0)
    frame.mxcsr = 0x1f80
    expect(where.view.getUint32(at.fpstate + 24, true)).toBe(0x1fa0)
    frame.fill(limits.spareBytes - 65, 1, 7)
    expect(() => frame.fill(limits.spareBytes - 64, 1, 7)).toThrow(RangeError)
    expect(guardsHold(where)).toBe(true)
    expect(frame.revoke()).toEqual({ fpstate: at.spare + 64, sentBytes: limits.spareBytes - 64 })
  })

  it('moves once, and only where it fits', () => {
    const frame = live()
    expect(() => frame.move({ at: 8192 - 2699 })).toThrow(
      new RangeError('move.at is 5493, must be in 0..5492'),
    )
    frame.write(3000, Uint8Array.of(1))
    expect(() => frame.move({ at: 8192 - 3000 })).toThrow(RangeError)
    frame.move({ at: 8192 - 3001 })
    expect(() => frame.move()).toThrow(new RangeError('move is 0, but the fpstate was moved already'))
  })
})

describe('after its callback', () => {
  const gone = 'this frame has gone back to the kernel: it can be used only inside its edit callback'
  it.each<[string, (frame: LiveFrame) => unknown]>([
    ['sw', frame => frame.sw],
    ['get', frame => frame.get('xstateBv')],
    ['set', frame => frame.set('xstateBv', 0n)],
    ['mxcsr', frame => frame.mxcsr],
    ['fpstatePointer', frame => frame.fpstatePointer],
    ['fpstatePointer =', frame => Object.assign(frame, { fpstatePointer: 0n })],
    ['read', frame => frame.read(0, 1)],
    ['write', frame => frame.write(0, new Uint8Array(1))],
    ['fill', frame => frame.fill(0, 1, 0)],
    ['component', frame => frame.component('avx')],
    ['setComponent', frame => frame.setComponent('avx', new Uint8Array(256))],
    ['resize', frame => frame.resize(576)],
    ['placeMagic2', frame => frame.placeMagic2({ at: 0 })],
    ['move', frame => frame.move()],
  ])('%s throws', (_, use) => {
    const where = place()
    const frame = live(where)
    const { sw } = frame
    frame.revoke()
    expect(() => use(frame)).toThrow(new Error(gone))
    expect(() => sw.magic1).toThrow(gone)
    expect(where.bytes).toEqual(place().bytes)
  })
})

describe('whatever it is given, a live frame', () => {
  const number = fc.oneof(fc.integer({ min: -100, max: 9000 }), anyHostile)
  const call = fc.oneof(
    fc.record({
      name: fc.constant('write'),
      args: fc.tuple(number, fc.oneof(fc.uint8Array({ maxLength: 5000 }), anyHostile)),
    }),
    fc.record({ name: fc.constant('fill'), args: fc.tuple(number, number, number) }),
    fc.record({ name: fc.constant('read'), args: fc.tuple(number, number) }),
    fc.record({ name: fc.constant('resize'), args: fc.tuple(number) }),
    fc.record({
      name: fc.constant('placeMagic2'),
      args: fc.tuple(fc.record({ at: number, clearTail: anyHostile }, { requiredKeys: [] })),
    }),
    fc.record({ name: fc.constant('move'), args: fc.tuple(fc.record({ at: number })) }),
    fc.record({ name: fc.constant('setComponent'), args: fc.tuple(anyHostile, anyHostile) }),
    fc.record({ name: fc.constant('set'), args: fc.tuple(anyHostile, number) }),
  )

  it('touches nothing but its fpstate, its pointer and the second buffer', () => {
    let refused = 0
    fc.assert(
      fc.property(fc.array(call, { maxLength: 20 }), calls => {
        const where = place()
        const frame = live(where)
        for (const { name, args } of calls) {
          try {
            ;(frame as unknown as Record<string, (...a: unknown[]) => unknown>)[name]!(...args)
          } catch (error) {
            refused += 1
            expect(error).toSatisfy(e => e instanceof TypeError || e instanceof RangeError)
          }
        }
        const { fpstate, sentBytes } = frame.revoke()
        const room = fpstate === at.fpstate ? limits.inPlaceBytes : at.spare + limits.spareBytes - fpstate
        expect(sentBytes).toBeLessThanOrEqual(room)
        expect(guardsHold(where)).toBe(true)
      }),
      { seed: 3, numRuns: 200 },
    )
    expect(refused).toBeGreaterThan(100)
  })
})
