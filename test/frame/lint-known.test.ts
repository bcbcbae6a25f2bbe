/** The wrong shapes that projects made, each built from a good frame as its issue or its source describes it. */
import { describe, expect, it } from 'vitest'
import { catalogueLayout } from '../../lib/catalogue/catalogue.ts'
import { shrinkTo } from '../../lib/contract/frames.ts'
import type { Abi } from '../../lib/frame/abi.ts'
import { abis } from '../../lib/frame/abi.ts'
import type { LintedFrame } from '../../lib/frame/lint/finding.ts'
import { knownShapes } from '../../lib/frame/lint/known.ts'
import { lintFrame } from '../../lib/frame/lint/lint.ts'
import { createLayout, type Layout } from '../../lib/xstate/layout.ts'
import { changed, edited, everyLayout, goodFrame } from './lint-frames.ts'

const zen4 = catalogueLayout('zen4')
const iceLake = catalogueLayout('ice-lake-sp')
const skylakeSp = catalogueLayout('skylake-sp')
const tiles = catalogueLayout('sapphire-rapids-tiles')

const namedIn = (frame: LintedFrame, layout: Layout | null): string[] =>
  lintFrame(frame, layout).flatMap(({ check, known }) =>
    known.map(({ project, reference }) => `${check}: ${project} ${reference}`),
  )

/** The virtual CPU of the issue: BNDCSR without BNDREGS. */
const ofTheIssue = createLayout({
  ...catalogueLayout('skylake-sp').toJSON(),
  xcr0: 0x2f7n,
  userFeatures: 0x2f7n,
})

/** A size in the sw bytes, with MAGIC2 there and nowhere else. */
const resized = (frame: LintedFrame, size: number): LintedFrame =>
  changed(frame, ({ field, area, bytes }) => {
    field('sw.xstateSize', size)
    field('sw.extendedSize', size + 4)
    area(bytes.length - 4, 4, 0)
    area(size, 4, 0x4650_5845)
  })

interface Shape {
  readonly name: string
  readonly frame: LintedFrame
  readonly layout: Layout | null
  /** All that are named, in order. */
  readonly named: readonly string[]
}

const good = (layout: Layout, abi: Abi = 'x86_64'): LintedFrame => goodFrame(layout, { abi, seed: 7 })

const criuSum = 'CRIU checkpoint-restore/criu#1042'
const asterinas = 'Asterinas asterinas/asterinas#3920'
const rr = 'rr rr-debugger/rr#3573'
const dynamoRio = 'DynamoRIO DynamoRIO/dynamorio#3812'
const fexMagic2 = 'FEX FEX-Emu/FEX#5229'
const ccl = 'Clozure CL Clozure/ccl#556'
const fexSource = 'FEX FEX-Emu/FEX, SetXStateInfo'

const shapes: readonly Shape[] = [
  {
    name: 'CRIU: sizes summed up, as if the missing MPX had no place (and as large as the compacted format is)',
    frame: resized(good(ofTheIssue), 2504),
    layout: ofTheIssue,
    named: [`xstate-size-too-small: ${criuSum}`, `xstate-size-too-small: ${asterinas}`],
  },
  {
    name: 'CRIU: the same where the compacted format is aligned',
    frame: resized(good(tiles), 10_696),
    layout: tiles,
    named: [`xstate-size-too-small: ${criuSum}`],
  },
  {
    name: 'Asterinas: the compacted size, where it is aligned',
    frame: resized(good(tiles), 10_752),
    layout: tiles,
    named: [`xstate-size-too-small: ${asterinas}`],
  },
  {
    name: 'CRIU: 11008 bytes in a buffer of 4096',
    frame: { ...good(tiles), fpstate: good(tiles).fpstate.subarray(0, 4096) },
    layout: tiles,
    named: ['frame-cut-off: CRIU checkpoint-restore/criu#2835'],
  },
  {
    name: 'CRIU: 11008 bytes in a buffer of 4096, without the CPU',
    frame: { ...good(tiles), fpstate: good(tiles).fpstate.subarray(0, 4096) },
    layout: null,
    named: ['frame-cut-off: CRIU checkpoint-restore/criu#2835'],
  },
  {
    name: 'DynamoRIO: all but MAGIC2',
    frame: changed(good(zen4), ({ area }) => area(2440, 4, 0)),
    layout: zen4,
    named: [`magic2-missing: ${dynamoRio}`, `magic2-missing: ${fexMagic2}`],
  },
  {
    name: 'DynamoRIO: all but MAGIC2, in a 32-bit frame, without the CPU',
    frame: changed(good(iceLake, 'ia32-rt'), ({ area }) => area(2696, 4, 0xabab_abab)),
    layout: null,
    named: [`magic2-missing: ${dynamoRio}`, `magic2-missing: ${fexMagic2}`],
  },
  {
    name: 'DynamoRIO: a header of whatever the heap had',
    frame: changed(good(zen4), ({ area }) => area(528, 8, 0x7f00_1234n)),
    layout: zen4,
    named: ['header-reserved: DynamoRIO DynamoRIO/dynamorio#3814'],
  },
  {
    name: 'Clozure CL: 512 bytes copied, of which MAGIC1 speaks of more',
    frame: changed(good(zen4), ({ bytes }) => {
      bytes.fill(0, 512)
    }),
    layout: zen4,
    named: [`magic2-missing: ${ccl}`, `xstate-bv-without-legacy: ${fexSource}`],
  },
  {
    name: 'Clozure CL: 512 bytes copied, the stack behind them',
    frame: changed(good(zen4), ({ bytes }) => {
      bytes.fill(0x7f, 512)
    }),
    layout: null,
    named: [`magic2-missing: ${ccl}`, 'header-reserved: DynamoRIO DynamoRIO/dynamorio#3814'],
  },
  {
    name: 'Clozure CL: 512 bytes copied, nothing behind them',
    frame: { ...good(zen4), fpstate: good(zen4).fpstate.subarray(0, 512) },
    layout: zen4,
    named: [`magic1-of-a-copy: ${ccl}`],
  },
  {
    name: 'FEX: MAGIC1 without AVX, and sizes of 0',
    frame: changed(good(zen4), ({ field, bytes }) => {
      field('sw.extendedSize', 0)
      field('sw.xstateSize', 0)
      field('sw.xfeatures', 3)
      bytes.fill(0, 512)
    }),
    layout: zen4,
    named: ['xstate-size-below-header: FEX FEX-Emu/FEX#4644'],
  },
  {
    name: 'FEX: the same without the CPU',
    frame: changed(good(zen4), ({ field }) => {
      field('sw.extendedSize', 0)
      field('sw.xstateSize', 0)
      field('sw.xfeatures', 3)
    }),
    layout: null,
    named: ['xstate-size-below-header: FEX FEX-Emu/FEX#4644'],
  },
  {
    name: 'FEX: extended_size as xstate_size, XSTATE_BV 0',
    frame: changed(edited(good(zen4), zen4, shrinkTo(zen4, ['avx'])), ({ field }) => {
      field('sw.xstateSize', 836)
      field('sw.extendedSize', 836)
      field('xstateBv', 0)
    }),
    layout: null,
    named: [
      `extended-size: ${fexSource}`,
      `magic2-missing: ${fexSource}`,
      `xstate-bv-without-legacy: ${fexSource}`,
    ],
  },
  {
    name: 'rr: an AMD frame as an Intel one',
    frame: good(zen4),
    layout: iceLake,
    // Zen packs what Intel spreads: its size is that of the sum, too.
    named: [criuSum, asterinas, rr].map(text => `xstate-size-too-small: ${text}`),
  },
  {
    name: 'rr: an Intel frame as an AMD one',
    frame: good(iceLake),
    layout: zen4,
    named: [`xstate-size-too-large: ${rr}`],
  },
  {
    name: 'Linux 3.7 to 4.3: the sw bytes of a 32-bit frame are zeros',
    frame: changed(good(skylakeSp, 'ia32'), ({ bytes }) => {
      bytes.fill(0, 464, 512)
    }),
    layout: skylakeSp,
    named: ['magic1-missing: Linux torvalds/linux@72a671ced66d'],
  },
  {
    name: 'Linux 3.7 to 4.3: the same without the CPU',
    frame: changed(good(skylakeSp, 'ia32-rt'), ({ bytes }) => {
      bytes.fill(0, 464, 512)
    }),
    layout: null,
    named: ['magic1-missing: Linux torvalds/linux@72a671ced66d'],
  },
  {
    name: 'the MAGIC2 of the old size behind a shrunk frame',
    frame: edited(good(zen4), zen4, [...shrinkTo(zen4, ['avx']), { op: 'magic2', at: zen4.size }]),
    layout: zen4,
    named: ['magic2-stale: Linux torvalds/linux@dc8aa31a7ac2'],
  },
  {
    name: 'QEMU: padding of the sw bytes as the stack had it',
    frame: changed(good(zen4), ({ area }) => area(492, 4, 0x7fff_0000)),
    layout: zen4,
    named: ['sw-padding: QEMU qemu/qemu, linux-user/i386/signal.c'],
  },
  {
    name: 'QEMU: UC_FP_XSTATE alone',
    frame: changed(good(zen4), ({ head }) => head('ucFlags', 1)),
    layout: zen4,
    named: ['uc-flags-ss: QEMU qemu/qemu, linux-user/i386/signal.c'],
  },
  {
    name: 'felix86: a 64-bit area that is not aligned',
    frame: { ...good(zen4), head: null, address: 0x7ffc_0010n },
    layout: zen4,
    named: ['misaligned: felix86 OFFTKP/felix86#607'],
  },
  {
    name: 'DynamoRIO, CRIU: the fsave header is aligned, the area behind it not',
    frame: { ...good(zen4, 'ia32'), head: null, address: 0xffff_0000n + 112n },
    layout: zen4,
    named: ['misaligned: DynamoRIO DynamoRIO/dynamorio#5079', 'misaligned: CRIU checkpoint-restore/criu#786'],
  },
]

describe('a wrong shape is named with the project that had it', () => {
  it.each(shapes.map(shape => [shape.name, shape] as const))('%s', (_, { frame, layout, named }) => {
    expect(namedIn(frame, layout)).toEqual(named)
  })

  it('every one of them', () => {
    const named = new Set(shapes.flatMap(one => one.named.map(text => text.replace(/^[^:]*: /, ''))))
    const all = Object.values(knownShapes).map(({ project, reference }) => `${project} ${reference}`)
    expect([...named].sort()).toEqual([...new Set(all)].sort())
  })

  it.each(everyLayout)('none in a good frame of %s', (_, layout) => {
    for (const abi of abis) {
      expect(namedIn(good(layout, abi), layout)).toEqual([])
      if (layout.xsave) expect(namedIn(good(layout, abi), null)).toEqual([])
    }
  })

  it('none where something else is wrong', () => {
    expect(namedIn(resized(good(iceLake), 2500), iceLake)).toEqual([])
    expect(namedIn(resized(good(tiles), 10_697), tiles)).toEqual([])
    const long = { ...good(tiles), fpstate: good(tiles).fpstate.subarray(0, 4095) }
    expect(namedIn(long, tiles)).toEqual([])
    const sw = changed(good(zen4), ({ bytes }) => {
      bytes.fill(0, 464, 512)
    })
    expect(namedIn(sw, zen4)).toEqual([])
    const partly = changed(good(zen4, 'ia32'), ({ field }) => field('sw.magic1', 0))
    expect(namedIn(partly, zen4)).toEqual([])
    const moved = changed(good(zen4), ({ field }) => field('sw.xstateSize', 2432))
    expect(namedIn(moved, zen4)).toEqual([])
  })
})
