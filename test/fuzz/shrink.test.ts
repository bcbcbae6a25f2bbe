import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { applyPrimitives } from '../../lib/frame/apply.ts'
import { buildFpstate } from '../../lib/frame/build.ts'
import { compileEdit } from '../../lib/frame/compile.ts'
import type { EditOp } from '../../lib/frame/edit.ts'
import type { DrawnFrame } from '../../lib/fuzz/grammar.ts'
import { hazardOf } from '../../lib/fuzz/hazard.ts'
import { type ShrinkOptions, type Shrunk, shrink } from '../../lib/fuzz/shrink.ts'
import { plainOp } from '../../lib/harness/repro.ts'
import { createRandom, randomImage } from '../../lib/xstate/random.ts'
import { limitsOf } from '../contract/simulated-probe.ts'
import { known } from '../xstate/arbitrary.ts'
import { framesOf, grammarOf } from './frames.ts'

const layout = known('skylake-sp')
const limits = limitsOf(layout)
const load = randomImage(layout, { seed: 1 })

const compiles = (frame: DrawnFrame): boolean => hazardOf(frame, { layout, limits, load }) === null

const options: ShrinkOptions = {
  budget: 500,
  simplest: { load: 0, poison: 0 },
  layout,
  compiles,
}

const frameOf = (edit: readonly EditOp[], rest: Partial<DrawnFrame> = {}): DrawnFrame => ({
  abi: 'x86_64',
  raise: 'tgkill',
  load: 0,
  poison: 0,
  edit,
  ...rest,
})

const sentOf = ({ abi, edit }: DrawnFrame): Uint8Array => {
  const { primitives } = compileEdit(edit, layout, limits, 'edit', abi)
  return applyPrimitives(buildFpstate(layout, load, abi).fpstate, primitives)
}

const u32 = (bytes: Uint8Array, at: number): number => new DataView(bytes.buffer).getUint32(at, true)
const xstateSize = (frame: DrawnFrame): number => {
  const sent = sentOf(frame)
  return sent.length < 484 ? Number.NaN : u32(sent, 480)
}
const byte = (frame: DrawnFrame, at: number): number => sentOf(frame)[at] ?? 0

const showEdit = (edit: readonly EditOp[]): string => JSON.stringify(edit.map(plainOp))

/** Shrinks, and holds it to what it promises. */
const checked = (
  start: DrawnFrame,
  differs: (frame: DrawnFrame) => boolean,
  change: Partial<ShrinkOptions> = {},
): Shrunk => {
  const given = { ...options, ...change }
  expect(differs(start)).toBe(true)
  let asked = 0
  const counted = (candidate: DrawnFrame): boolean => {
    asked += 1
    expect(given.compiles(candidate)).toBe(true)
    return differs(candidate)
  }
  const shrunk = shrink(start, counted, given)
  expect(asked).toBe(shrunk.tries)
  expect(asked).toBeLessThanOrEqual(given.budget)
  expect(differs(shrunk.frame)).toBe(true)
  if (asked < given.budget) {
    const { edit } = shrunk.frame
    edit.forEach((_, i) => {
      const fewer = { ...shrunk.frame, edit: edit.toSpliced(i, 1) }
      expect(given.compiles(fewer) && differs(fewer), `without ${i} of ${showEdit(edit)}`).toBe(false)
    })
  }
  return shrunk
}

const much: readonly EditOp[] = [
  { op: 'set', field: 'sw.xfeatures', value: 0x2e7n },
  { op: 'xor', field: 'xstateBv', value: 0xe0n },
  { op: 'resize', xstateSize: 464 },
  { op: 'magic2', at: 464, clearTail: true },
  { op: 'component', name: 'avx', bytes: new Uint8Array(256).fill(0xa5) },
  { op: 'write', at: 528, bytes: Uint8Array.of(0xff, 0xfe, 0xff, 0xff) },
  { op: 'set', field: 'mxcsr', value: 0xffff_ffff },
  { op: 'fill', at: 700, length: 100, value: 9 },
  { op: 'move', at: 4032 },
]
const many = frameOf(much, { raise: 'fake', load: 3, poison: 5, abi: 'ia32-rt' })

describe('comes down to the one thing that matters', () => {
  test.each<[string, (frame: DrawnFrame) => boolean, EditOp[]]>([
    ['anything at all', () => true, []],
    ['a size of at most 575', frame => xstateSize(frame) <= 575, [{ op: 'resize', xstateSize: 575 }]],
    [
      'a size that is not the frame’s own',
      frame => xstateSize(frame) !== layout.size,
      [{ op: 'resize', xstateSize: layout.size - 1 }],
    ],
    [
      'bit 3 of byte 530',
      frame => (byte(frame, 530) & 8) !== 0,
      [{ op: 'write', at: 530, bytes: Uint8Array.of(8) }],
    ],
    [
      'bit 17 of MXCSR',
      frame => (byte(frame, 26) & 2) !== 0,
      [{ op: 'set', field: 'mxcsr', value: 0x2_0000n }],
    ],
    [
      'a byte of AVX',
      frame => byte(frame, 600) === 0xa5,
      [{ op: 'write', at: 600, bytes: Uint8Array.of(0xa5) }],
    ],
    [
      'another byte where the tail is',
      frame => byte(frame, 777) === 9,
      [{ op: 'fill', at: 777, length: 1, value: 9 }],
    ],
    [
      'a tail that is zero',
      frame => byte(frame, 1200) === 0 && byte(frame, 1201) === 0,
      [{ op: 'magic2', clearTail: true }],
    ],
    [
      'one bit of XSTATE_BV',
      frame => ((byte(frame, 512) ^ (sentOf(frameOf([]))[512] as number)) & 0x40) !== 0,
      [{ op: 'xor', field: 'xstateBv', value: 0x40n }],
    ],
    ['elsewhere', ({ edit }) => edit.some(({ op }) => op === 'move'), [{ op: 'move' }]],
    [
      'two things together',
      frame => (byte(frame, 531) & 1) !== 0 && xstateSize(frame) < 2000,
      [
        { op: 'resize', xstateSize: 1999 },
        { op: 'write', at: 531, bytes: Uint8Array.of(1) },
      ],
    ],
  ])('%s', (name, differs, expected) => {
    const { frame, tries } = checked(many, differs)
    // MAGIC2 is where the size says: the tail is cleared from there.
    if (name === 'a tail that is zero') expect(frame.edit.at(-1)?.op).toBe('magic2')
    else expect(showEdit(frame.edit)).toBe(showEdit(expected))
    expect(frame).toMatchObject({ abi: 'x86_64', raise: 'tgkill', load: 0, poison: 0 })
    expect(tries).toBeLessThan(300)
  })

  test.each<[string, EditOp, (frame: DrawnFrame) => boolean, EditOp]>([
    [
      'and: one bit is cleared',
      { op: 'and', field: 'sw.xfeatures', value: 3 },
      frame => (byte(frame, 472) & 4) === 0,
      { op: 'and', field: 'sw.xfeatures', value: 0xffff_ffff_ffff_fffbn },
    ],
    [
      'or: one bit is set',
      { op: 'or', field: 'xstateBv', value: 0xffff_ffff_0000_0000n },
      frame => (byte(frame, 518) & 0x80) !== 0,
      { op: 'or', field: 'xstateBv', value: 1n << 55n },
    ],
    [
      'a guard as far behind as it may be',
      { op: 'move', guardAt: 100 },
      frame => sentOf(frame).length <= 2000,
      { op: 'move', guardAt: 2000 },
    ],
    ['a guard that need not be', { op: 'move', guardAt: 100 }, ({ edit }) => edit.length > 0, { op: 'move' }],
    [
      'a place',
      { op: 'move', at: 4095 },
      ({ edit }) => edit.some(op => op.op === 'move' && 'at' in op && Number(op.at) >= 77),
      { op: 'move', at: 77 },
    ],
    [
      'a pointer anywhere',
      { op: 'pointer', address: 0xffff_8000_0000_0000n },
      ({ edit }) => edit.length > 0,
      { op: 'pointer', address: 0n },
    ],
    [
      'pages: the one that counts',
      { op: 'pages', at: 0, length: 1000, state: 'hole' },
      ({ edit }) => edit.some(op => op.op === 'pages' && op.at <= 600 && op.at + op.length > 600),
      { op: 'pages', at: 600, length: 1, state: 'hole' },
    ],
    [
      'a size alone',
      { op: 'set', field: 'sw.xstateSize', value: 0xffff_ffff },
      frame => xstateSize(frame) > 5000,
      { op: 'set', field: 'sw.xstateSize', value: 5001 },
    ],
    [
      'a long fill',
      { op: 'fill', at: 1100, length: 1500, value: 255 },
      frame => byte(frame, 1500) === 255,
      { op: 'fill', at: 1500, length: 1, value: 255 },
    ],
    [
      'MAGIC2 without its tail',
      { op: 'magic2', at: 832, clearTail: true },
      frame => byte(frame, 832) === 0x45,
      { op: 'magic2', at: 832 },
    ],
  ])('%s', (_, op, differs, expected) => {
    const before: readonly EditOp[] = op.op === 'pages' ? [{ op: 'move', at: 0 }] : []
    const { frame, tries } = checked(frameOf([...before, op]), differs)
    expect(showEdit(frame.edit.slice(before.length))).toBe(showEdit([expected]))
    expect(tries).toBeLessThan(200)
  })

  test('operations as strings, as they come from a file', () => {
    const start = frameOf([
      { op: 'set', field: 'mxcsr', value: '0xffffffff' },
      { op: 'write', at: 528, bytes: 'fffeffff' },
      { op: 'pointer', address: '0x1000' },
    ])
    expect(showEdit(checked(start, frame => (byte(frame, 530) & 8) !== 0).frame.edit)).toBe(
      showEdit([{ op: 'write', at: 530, bytes: '08' }]),
    )
  })
})

describe('what has to stay stays', () => {
  test('an ABI, a raise, images', () => {
    const needs = many
    const { frame } = checked(
      many,
      ({ abi, raise, load, poison }) =>
        abi === needs.abi && raise === needs.raise && load === needs.load && poison === needs.poison,
    )
    expect(frame).toEqual({ ...many, edit: [] })
  })

  test('a 32-bit frame, the plainer of the two', () => {
    const start = frameOf([{ op: 'set', field: 'fsave.tag', value: 0xffff }], { abi: 'ia32' })
    expect(checked(start, ({ abi }) => abi !== 'x86_64').frame).toEqual(frameOf([], { abi: 'ia32-rt' }))
  })

  test('an edit of the fsave header does not keep a frame 32-bit that need not be', () => {
    const start = frameOf(
      [
        { op: 'set', field: 'fsave.tag', value: 0xffff },
        { op: 'set', field: 'mxcsr', value: 1 },
      ],
      { abi: 'ia32' },
    )
    // Needs two operations as long as it is 32-bit.
    const differs = ({ abi, edit }: DrawnFrame) => edit.length > (abi === 'x86_64' ? 0 : 1)
    expect(checked(start, differs).frame.abi).toBe('x86_64')
  })

  test('nothing can be left out: the start itself', () => {
    const start = frameOf([{ op: 'magic2', at: 600 }])
    const only = showEdit(start.edit)
    expect(checked(start, ({ edit }) => showEdit(edit) === only).frame).toBe(start)
  })

  test('what cannot be sent is not tried', () => {
    const start = frameOf([
      { op: 'magic2', at: layout.offset('pkru') },
      { op: 'and', field: 'xstateBv', value: 0xff },
    ])
    // `checked` sees to it that no candidate has MAGIC2 loaded as PKRU.
    const { frame } = checked(start, ({ edit }) => edit.some(({ op }) => op === 'magic2'))
    expect(compiles(frame)).toBe(true)
  })
})

describe('the budget', () => {
  test.each([0, 1, 2, 5, 10])('%i tries and no more', budget => {
    const { tries } = checked(many, frame => (byte(frame, 530) & 8) !== 0, { budget })
    expect(tries).toBe(budget)
  })

  test('no candidate is tried twice', () => {
    const seen = new Set<string>()
    shrink(
      many,
      frame => {
        const key = JSON.stringify([frame.abi, frame.raise, frame.load, frame.poison, showEdit(frame.edit)])
        expect(seen.has(key)).toBe(false)
        seen.add(key)
        return (byte(frame, 530) & 8) !== 0
      },
      options,
    )
    expect(seen.size).toBeGreaterThan(5)
  })
})

describe('any frame of the grammar', () => {
  const draw = grammarOf(layout)
  const anyFrame = fc.maxSafeInteger().map(seed => draw(createRandom(seed)))

  test('by what is sent of it: the result shows it too, with nothing that could be left out', () => {
    fc.assert(
      fc.property(anyFrame, fc.nat({ max: 700 }), (start, at) => {
        const value = byte(start, at)
        checked(start, frame => byte(frame, at) === value, { budget: 2000 })
      }),
      { numRuns: 100 },
    )
  })

  test('by a predicate that is but a hash: whatever it leads to holds', () => {
    const hash = (text: string): number =>
      [...text].reduce((sum, character) => (Math.imul(sum, 31) + (character.codePointAt(0) as number)) | 0, 7)
    fc.assert(
      fc.property(anyFrame, fc.integer(), (start, salt) => {
        const own = JSON.stringify(showEdit(start.edit))
        const differs = (frame: DrawnFrame): boolean => {
          const text = JSON.stringify(showEdit(frame.edit))
          return text === own || (hash(text) ^ salt) % 3 === 0
        }
        checked(start, differs, { budget: 300 })
      }),
      { numRuns: 100 },
    )
  })

  test('the same every time', () => {
    for (const start of framesOf(layout, 50, 3)) {
      const differs = ({ edit }: DrawnFrame): boolean => edit.length >= Math.min(1, start.edit.length)
      expect(shrink(start, differs, options)).toEqual(shrink(start, differs, options))
    }
  })
})
