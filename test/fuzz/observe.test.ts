import { describe, expect, test } from 'vitest'
import type { Ended } from '../../lib/contract/predict/predict.ts'
import { clearedRegisters, type Registers } from '../../lib/contract/predict/registers.ts'
import { endOf, observe, surpriseOf } from '../../lib/fuzz/observe.ts'
import type { Seen, SignalInfo } from '../../lib/probe/result.ts'
import { initImage, initMxcsr, type XsaveImage } from '../../lib/xstate/image.ts'
import { randomImage } from '../../lib/xstate/random.ts'
import { known } from '../xstate/arbitrary.ts'

const layout = known('skylake-sp')
const afterView = new Uint8Array(layout.size)

const seen = (one: object): Seen => one as unknown as Seen
const info = { signal: 'SIGSEGV', siCode: 128, siAddr: 0n, trapNr: 13 }
const signalled = (where: string, change: Partial<SignalInfo> = {}): Seen =>
  seen({ kind: 'signal', where, ...info, ...change, afterView })

describe('what was seen, in the words of the model', () => {
  test.each<[string, Seen, string, boolean]>([
    ['a return', seen({ kind: 'returned', afterView }), 'returned', true],
    ['the kernel’s own SIGSEGV', signalled('sigreturn'), 'rejected', true],
    [
      'a page fault of the process',
      signalled('sigreturn', { siCode: 1, siAddr: 0x123n }),
      'SIGSEGV (si_code 1, si_addr 0x123) at sigreturn',
      true,
    ],
    [
      'a SIGSEGV of the kernel’s that names an address',
      signalled('sigreturn', { siAddr: 16n }),
      'SIGSEGV (si_code 128, si_addr 0x10) at sigreturn',
      true,
    ],
    [
      'another signal',
      signalled('sigreturn', { signal: 'SIGBUS', siCode: 128 }),
      'SIGBUS (si_code 128, si_addr 0x0) at sigreturn',
      true,
    ],
    ['at the load', signalled('load'), 'SIGSEGV (si_code 128, si_addr 0x0) at load', false],
    ['instead of a frame', signalled('delivery'), 'SIGSEGV (si_code 128, si_addr 0x0) at delivery', false],
    ['behind the return', signalled('after'), 'SIGSEGV (si_code 128, si_addr 0x0) at after', false],
    [
      'the end by a SIGSEGV that was blocked',
      seen({ kind: 'died', where: 'sigreturn', signal: 'SIGSEGV', code: null }),
      'killed',
      false,
    ],
    [
      'another end there',
      seen({ kind: 'died', where: 'sigreturn', signal: 'SIGKILL', code: null }),
      'died of SIGKILL',
      false,
    ],
    [
      'the same end elsewhere',
      seen({ kind: 'died', where: 'handler', signal: 'SIGSEGV', code: null }),
      'died of SIGSEGV',
      false,
    ],
    ['an exit', seen({ kind: 'died', where: null, signal: null, code: 3 }), 'died of exit code 3', false],
    ['a timeout', seen({ kind: 'timeout', where: 'sigreturn' }), 'no progress', false],
    ['one that is stuck', seen({ kind: 'stuck' }), 'stuck: SIGKILL did not end it', false],
    [
      'a refusal',
      seen({ kind: 'refused', call: 'mmap', errno: 'ENOMEM' }),
      'mmap refused with ENOMEM',
      false,
    ],
  ])('%s', (_, one, end, looked) => {
    expect(observe(one)).toEqual({ end, after: looked ? afterView : null })
  })
})

const ended = (end: Ended['end'], registers: Registers = clearedRegisters): Ended => ({
  end,
  trail: [],
  registers,
})

const loadedFrom = (image: XsaveImage, change: Partial<Registers> = {}): Registers => ({
  loaded: image.xstateBv,
  area: image.bytes,
  x87: image.bytes,
  mxcsr: image.mxcsr,
  pointers: true,
  keys: 'init',
  ...change,
})

const image = randomImage(layout, { seed: 1 })

/** What XSAVE would write where the kernel cleared all. */
const cleared = (): XsaveImage => {
  const one = initImage(layout)
  one.pkru = 0x5555_5554
  one.xstateBv = 1n << 9n
  return one
}

describe('whether it is what the model says', () => {
  test.each<[Ended['end'], string]>([
    ['restored', 'returned'],
    ['fx-only', 'returned'],
    ['init', 'returned'],
    ['rejected', 'rejected'],
    ['killed', 'killed'],
  ])('%s is seen as %s', (end, wanted) => {
    expect(endOf(ended(end))).toBe(wanted)
  })

  test('all as predicted', () => {
    expect(
      surpriseOf({ end: 'returned', after: image.bytes }, ended('restored', loadedFrom(image)), layout),
    ).toBeNull()
    expect(surpriseOf({ end: 'rejected', after: cleared().bytes }, ended('rejected'), layout)).toBeNull()
    expect(surpriseOf({ end: 'returned', after: cleared().bytes }, ended('init'), layout)).toBeNull()
    expect(surpriseOf({ end: 'killed', after: null }, ended('killed'), layout)).toBeNull()
  })

  test.each<[string, Ended['end']]>([
    ['rejected', 'restored'],
    ['returned', 'rejected'],
    ['killed', 'rejected'],
    ['rejected', 'killed'],
    ['SIGSEGV (si_code 1, si_addr 0x0) at sigreturn', 'rejected'],
    ['no progress', 'restored'],
  ])('%s where %s was predicted: the end alone, whatever the registers hold', (end, wanted) => {
    const expected = ended(wanted)
    for (const after of [null, image.bytes, cleared().bytes])
      expect(surpriseOf({ end, after }, expected, layout)).toEqual({ expected, end, registers: [] })
  })

  test.each(layout.components.map(({ name }) => name))('one bit of %s', name => {
    const after = image.clone()
    const { offset } = layout.component(name)
    after.bytes[offset] = (after.bytes[offset] as number) ^ (name === 'bndcsr' ? 1 : 4)
    const expected = ended('restored', loadedFrom(image))
    expect(surpriseOf({ end: 'returned', after: after.bytes }, expected, layout)).toEqual({
      expected,
      end: null,
      registers: [name],
    })
  })

  test.each(layout.components.map(({ name }) => name))('%s at init where it should not be', name => {
    const after = image.clone()
    after.xstateBv &= ~layout.component(name).mask
    const expected = ended('restored', loadedFrom(image))
    expect(surpriseOf({ end: 'returned', after: after.bytes }, expected, layout)?.registers).toEqual([name])
  })

  test('MXCSR, unless nobody says what it is', () => {
    const after = image.clone()
    after.mxcsr ^= 0x40
    const observation = { end: 'returned', after: after.bytes }
    expect(surpriseOf(observation, ended('restored', loadedFrom(image)), layout)?.registers).toEqual([
      'mxcsr',
    ])
    expect(surpriseOf(observation, ended('restored', loadedFrom(image, { mxcsr: null })), layout)).toBeNull()
  })

  test('where an exception was, unless the CPU keeps its own', () => {
    const pending = image.clone()
    pending.fcw &= ~1
    pending.fsw |= 0x8081
    const after = pending.clone()
    after.fip ^= 0x10n
    const observation = { end: 'returned', after: after.bytes }
    const expecting = (pointers: boolean) => ended('restored', loadedFrom(pending, { pointers }))
    expect(surpriseOf(observation, expecting(true), layout)?.registers).toEqual(['x87'])
    expect(surpriseOf(observation, expecting(false), layout)).toBeNull()
  })

  test('keys that a rejection left as they were, or opened', () => {
    for (const pkru of [0, 0x5555_5555, 0x10]) {
      const after = cleared()
      after.pkru = pkru
      expect(
        surpriseOf({ end: 'rejected', after: after.bytes }, ended('rejected'), layout)?.registers,
      ).toEqual(['pkru'])
    }
  })

  test('all that differs is named, in the order of the layout', () => {
    const after = initImage(layout)
    const expected = ended('restored', loadedFrom(image))
    expect(image.mxcsr).not.toBe(initMxcsr)
    expect(surpriseOf({ end: 'returned', after: after.bytes }, expected, layout)?.registers).toEqual([
      ...layout.components.map(({ name }) => name),
      'mxcsr',
    ])
  })
})
