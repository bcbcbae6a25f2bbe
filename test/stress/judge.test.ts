import { describe, expect, test } from 'vitest'
import type { StressEnd, StressLoss } from '../../lib/probe/stress.ts'
import { endProblem, expectationProblem, lossProblem, lostParts } from '../../lib/stress/judge.ts'
import type { ComponentName } from '../../lib/xstate/components.ts'
import { initImage, type XsaveImage } from '../../lib/xstate/image.ts'
import { randomImage } from '../../lib/xstate/random.ts'
import { known } from '../xstate/arbitrary.ts'

const layout = known('sapphire-rapids-tiles')
const drawn = Array.from({ length: 5 }, (_, i) => randomImage(layout, { seed: 40 + i }))
const images = drawn.map(({ bytes }) => bytes)
const loaded = { images: images.slice(0, 4), others: images }
const at = { image: 0, poison: 1 }

/** The image that was loaded, with components of another one. */
const spoilt = (from: XsaveImage, ...names: readonly ComponentName[]): XsaveImage => {
  const after = (drawn[0] as XsaveImage).clone()
  for (const name of names) {
    for (const { offset, size } of layout.component(name).ranges)
      after.bytes.set(from.bytes.subarray(offset, offset + size), offset)
    const { mask } = layout.component(name)
    if ((from.xstateBv & mask) === 0n) after.xstateBv &= ~mask
  }
  return after
}

const loss = (after: Uint8Array, more: Partial<StressLoss> = {}): StressLoss => ({
  kind: 'registers',
  ...at,
  abi: 'ia32-rt',
  way: 'tgkill32',
  cpu: 3,
  after,
  ...more,
})

describe('what of a round was lost', () => {
  test('nothing', () => expect(lostParts(drawn[0]!.bytes, loaded, at, layout)).toEqual([]))

  test.each<[string, XsaveImage]>([
    ['poison', drawn[1]!],
    ['init', initImage(layout)],
    ['another image', drawn[2]!],
    ['another process', drawn[4]!],
    ['unknown', randomImage(layout, { seed: 99 })],
  ])('each component, found as %s', (found, from) => {
    for (const { name } of layout.components)
      expect(lostParts(spoilt(from, name).bytes, loaded, at, layout)).toEqual([{ name, found }])
  })

  test('MXCSR alone', () => {
    const after = drawn[0]!.clone()
    after.mxcsr = drawn[1]!.mxcsr
    expect(lostParts(after.bytes, loaded, at, layout)).toEqual([{ name: 'mxcsr', found: 'poison' }])
    after.mxcsr = 0x1f80
    expect(lostParts(after.bytes, loaded, at, layout)).toEqual([{ name: 'mxcsr', found: 'init' }])
  })

  test('XSTATE_BV is a hint: an init value with its bit set is the init state', () => {
    const image = randomImage(layout, { seed: 1, components: ['x87', 'sse'] })
    const after = image.clone()
    after.xstateBv |= layout.component('avx').mask
    expect(lostParts(after.bytes, { images: [image.bytes] }, { image: 0, poison: 0 }, layout)).toEqual([])
  })

  test('without XSAVE', () => {
    const old = known('nehalem')
    const [a, b] = [randomImage(old, { seed: 1 }), randomImage(old, { seed: 2 })]
    const after = a.clone()
    after.xmm(3).set(b.xmm(3))
    expect(lostParts(after.bytes, { images: [a.bytes, b.bytes] }, at, old)).toEqual([
      { name: 'sse', found: 'unknown' },
    ])
  })
})

describe('a lost round in words', () => {
  test('where, how, and what', () => {
    const after = spoilt(drawn[1]!, 'avx', 'opmask')
    expect(lossProblem(loss(after.bytes), loaded, images, layout)).toEqual({
      kind: 'lost',
      what: 'CPU 3, a signal with an ia32-rt frame sent from 32-bit code: lost avx opmask as the handler left it',
    })
    const mixed = spoilt(drawn[2]!, 'x87')
    mixed.mxcsr = 0x1f80
    expect(lossProblem(loss(mixed.bytes, { way: 'yield' }), loaded, images, layout).what).toBe(
      'CPU 3, signals from timers while it gives up its CPU: lost x87 as in another image of this process; mxcsr in its init state',
    )
  })

  test('a signal that did not come', () => {
    expect(lossProblem(loss(images[0]!, { kind: 'signal' }), loaded, images, layout)).toEqual({
      kind: 'lost',
      what: 'CPU 3, a signal with an ia32-rt frame sent from 32-bit code: the handler did not run just once',
    })
  })

  test('bytes that carry no state are no loss, but a fault of the comparison', () => {
    const after = drawn[0]!.clone()
    after.bytes[32 + 12] = 1 // behind ST0's ten bytes
    after.xstateBv &= ~1n << 60n
    expect(lossProblem(loss(after.bytes), loaded, images, layout).kind).toBe('lost')
    after.xstateBv = drawn[0]!.xstateBv
    expect(lossProblem(loss(after.bytes), loaded, images, layout)).toMatchObject({
      kind: 'broken',
      what: expect.stringContaining('XSAVE wrote byte 44 otherwise'),
    })
  })
})

test('what is expected must be what was loaded', () => {
  expect(expectationProblem(images, images, layout)).toBeNull()
  const wrong = [images[0]!, spoilt(drawn[4]!, 'hi16_zmm').bytes, ...images.slice(2)]
  expect(expectationProblem(images, wrong, layout)).toMatchObject({
    kind: 'lost',
    what: expect.stringMatching(/^without any signal: lost .*hi16_zmm/),
  })
})

test.each<[Exclude<StressEnd, null>, string, string]>([
  [
    { kind: 'signal', where: 'delivery', signal: 'SIGSEGV', siCode: 128, siAddr: 0n },
    'ended',
    'SIGSEGV (si_code 128) when a frame was written or restored',
  ],
  [
    { kind: 'signal', where: 'load', signal: 'SIGSEGV', siCode: 128, siAddr: 0n },
    'ended',
    'SIGSEGV (si_code 128) at the load',
  ],
  [{ kind: 'died', where: null, signal: 'SIGKILL', code: null }, 'ended', 'it died of SIGKILL'],
  [{ kind: 'died', where: null, signal: null, code: 3 }, 'ended', 'it ended with code 3'],
  [{ kind: 'timeout', timeoutMs: 5 }, 'ended', 'it made no progress within 5 ms'],
  [{ kind: 'stuck', timeoutMs: 5, pid: 7 }, 'ended', 'it made no progress within 5 ms, and cannot be killed'],
  [{ kind: 'refused', call: 'timer', errno: 'EAGAIN' }, 'broken', 'timer was refused: EAGAIN'],
])('an end before the time: $0.kind, $2', (end, kind, what) => {
  expect(endProblem(end)).toEqual({ kind, what })
})
