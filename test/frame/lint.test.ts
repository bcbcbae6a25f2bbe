import fc from 'fast-check'
import { describe, expect, it, test } from 'vitest'
import { catalogueLayout } from '../../lib/catalogue/catalogue.ts'
import { shrinkTo } from '../../lib/contract/frames.ts'
import { type Abi, abis, isIa32 } from '../../lib/frame/abi.ts'
import { magic2 } from '../../lib/frame/format.ts'
import { type LintedFrame, type LintFinding, severities } from '../../lib/frame/lint/finding.ts'
import { checks, lintFrame } from '../../lib/frame/lint/lint.ts'
import { namesOf as componentsOf } from '../../lib/xstate/components.ts'
import type { Layout } from '../../lib/xstate/layout.ts'
import {
  address,
  type Change,
  changed,
  edited,
  everyLayout,
  find,
  goodFrame,
  graver,
  lintNames,
} from './lint-frames.ts'

const zen4 = catalogueLayout('zen4')
const skylakeSp = catalogueLayout('skylake-sp')
const sapphireRapids = catalogueLayout('sapphire-rapids-tiles')
const sapphireRapidsIdle = catalogueLayout('sapphire-rapids')
const nehalem = catalogueLayout('nehalem')

const anyLayout = fc.constantFrom(...everyLayout.map(([, layout]) => layout))
const anyAbi = fc.constantFrom(...abis)

describe('a frame as the kernel writes it', () => {
  describe.each(everyLayout)('of %s', (_, layout) => {
    test.each(abis)('%s: has nothing to be said of', abi => {
      fc.assert(
        fc.property(fc.integer(), fc.subarray([...layout.components]), (seed, components) => {
          const frame = goodFrame(layout, { abi, seed, components: components.map(({ name }) => name) })
          expect(lintFrame(frame, layout)).toEqual([])
        }),
        { numRuns: 20 },
      )
    })

    test.each(abis)('%s: without its CPU, head and address there is nothing grave', abi => {
      const frame = { ...goodFrame(layout, { abi }), address: null, head: null, fsave: null }
      const expected = layout.xsave ? [] : ['magic1-missing']
      expect(graver(lintFrame(frame, null)).map(({ check }) => check)).toEqual(expected)
    })

    test.each(abis)('%s: shrunk to any of its components there is nothing grave', abi => {
      if (!layout.xsave) return
      fc.assert(
        fc.property(fc.integer(), fc.subarray([...layout.extended]), (seed, extended) => {
          const names = extended.map(({ name }) => name)
          const frame = edited(goodFrame(layout, { abi, seed }), layout, shrinkTo(layout, names))
          expect(graver(lintFrame(frame, layout))).toEqual([])
          expect(graver(lintFrame(frame, null))).toEqual([])
        }),
        { numRuns: 20 },
      )
    })
  })

  it('of a task that has touched its tiles is of the CPU, too', () => {
    const cpu = catalogueLayout('sapphire-rapids')
    expect(cpu.has('xtiledata')).toBe(false)
    expect(lintFrame(goodFrame(sapphireRapids), cpu)).toEqual([])
    expect(lintNames(goodFrame(cpu), sapphireRapids)).toEqual(['xstate-size-not-native'])
  })

  it('may be longer than known', () => {
    const frame = goodFrame(zen4)
    const fpstate = new Uint8Array(20_000).fill(0xa5)
    fpstate.set(frame.fpstate)
    expect(lintFrame({ ...frame, fpstate }, zen4)).toEqual([])
  })

  it('of a CPU without XSAVE may have sw bytes: some kernels write them', () => {
    const frame = changed(goodFrame(nehalem), ({ field }) => {
      field('sw.magic1', 0x46505853)
      field('sw.extendedSize', 516)
      field('sw.xfeatures', 3)
      field('sw.xstateSize', 512)
    })
    expect(lintFrame(frame, nehalem)).toEqual([])
    expect(lintNames(frame, null)).toEqual(['xstate-size-below-header'])
    expect(find(frame, null, 'xstate-size-below-header').severity).toBe('note')
    expect(find(frame, zen4, 'xstate-size-below-header').severity).toBe('error')
  })
})

interface Case {
  readonly check: string
  readonly severity: LintFinding['severity']
  readonly message: RegExp
  readonly layout?: Layout
  readonly without?: true
  readonly abi?: Abi
  readonly how?: (change: Change) => void
  readonly frame?: (frame: LintedFrame) => LintedFrame
  readonly field?: string
  readonly offset?: number | null
}

const one = 1n

const cases: readonly Case[] = [
  {
    check: 'frame-cut-off',
    severity: 'error',
    message: /^fpstate is 2443 bytes, must be at least 2444: xstate_size 2440 and MAGIC2$/,
    frame: frame => ({ ...frame, fpstate: frame.fpstate.subarray(0, 2443) }),
    offset: 2443,
  },
  {
    check: 'frame-cut-off',
    severity: 'error',
    message: /^fpstate is 511 bytes, must be at least 512: the legacy region$/,
    frame: frame => ({ ...frame, fpstate: frame.fpstate.subarray(0, 511) }),
  },
  {
    check: 'xstate-size-below-header',
    severity: 'error',
    message: /^sw\.xstateSize is 575, must be at least 576/,
    how: ({ field }) => field('sw.xstateSize', 575),
    offset: 480,
  },
  {
    check: 'xstate-size-too-small',
    severity: 'error',
    message:
      /^sw\.xstateSize is 2439, must be at least 2440 for xfeatures 0x2e7 \(x87 sse avx opmask zmm_hi256 hi16_zmm pkru\)$/,
    how: ({ field }) => field('sw.xstateSize', 2439),
  },
  {
    check: 'xstate-size-too-small',
    severity: 'error',
    message: /^sw\.xstateSize is 2439, must be at least 2440/,
    how: ({ field }) => field('sw.xstateSize', 2439),
    without: true,
  },
  {
    check: 'xstate-size-too-large',
    severity: 'error',
    message: /^sw\.xstateSize is 2504, must be 2440 for /,
    how: ({ field }) => field('sw.xstateSize', 2504),
  },
  {
    check: 'xstate-size-too-large',
    severity: 'warning',
    message: /^sw\.xstateSize is 840, must be 832 for xfeatures 0x7/,
    how: ({ field }) => {
      field('sw.xfeatures', 7)
      field('xstateBv', 7)
      field('sw.xstateSize', 840)
    },
  },
  {
    check: 'xstate-size-too-large',
    severity: 'error',
    message: /^sw\.xstateSize is 2504, must be at most 2440: this CPU has no more$/,
    how: ({ field }) => {
      field('sw.xfeatures', 0x2e7n | (one << 62n))
      field('sw.xstateSize', 2504)
    },
  },
  {
    check: 'xstate-size-too-large',
    severity: 'error',
    message: /^sw\.xstateSize is 4294967295, must be at most 65536/,
    how: ({ field }) => field('sw.xstateSize', 0xffff_ffff),
    without: true,
  },
  {
    check: 'xstate-size-too-large',
    severity: 'error',
    message: /^sw\.xstateSize is 2440, must be 512: this CPU has no XSAVE$/,
    frame: () => goodFrame(zen4),
    layout: nehalem,
  },
  {
    check: 'xstate-size-not-native',
    severity: 'note',
    message: /^sw\.xstateSize is 832, of x87 sse avx alone: this CPU’s own is 2440$/,
    frame: frame => edited(frame, zen4, shrinkTo(zen4, ['avx'])),
  },
  {
    check: 'extended-size',
    severity: 'error',
    message: /^sw\.extendedSize is 2440, must be at least 2444: xstate_size and MAGIC2$/,
    how: ({ field }) => field('sw.extendedSize', 2440),
    offset: 468,
  },
  {
    check: 'extended-size',
    severity: 'warning',
    message: /^sw\.extendedSize is 2556, must be 2444: xstate_size, MAGIC2; it is that of a 32-bit frame$/,
    how: ({ field }) => field('sw.extendedSize', 2556),
  },
  {
    check: 'extended-size',
    severity: 'warning',
    message:
      /^sw\.extendedSize is 2444, must be 2556: .* the fsave header of ia32; it is that of a 64-bit frame$/,
    abi: 'ia32',
    how: ({ field }) => field('sw.extendedSize', 2444),
  },
  {
    check: 'extended-size',
    severity: 'warning',
    message: /^sw\.extendedSize is 2448, must be 2444: xstate_size, MAGIC2$/,
    how: ({ field }) => field('sw.extendedSize', 2448),
  },
  {
    check: 'magic1-missing',
    severity: 'error',
    message: /^sw\.magic1 is 0x46505852, must be 0x46505853/,
    how: ({ field }) => field('sw.magic1', 0x4650_5852),
    offset: 464,
  },
  {
    check: 'magic1-missing',
    severity: 'error',
    message: /^sw\.magic1 is 0x0, must be 0x46505853: .* is lost on a CPU with XSAVE$/,
    how: ({ field }) => field('sw.magic1', 0),
    without: true,
  },
  {
    check: 'magic1-missing',
    severity: 'error',
    message: /^sw\.magic1 is 0x1, /,
    how: ({ field }) => field('sw.magic1', 1),
    without: true,
  },
  {
    check: 'magic1-of-a-copy',
    severity: 'error',
    message: /^sw\.magic1 is 0x46505853, but of the XSAVE area there are 512 bytes/,
    frame: frame => ({ ...frame, fpstate: frame.fpstate.subarray(0, 512) }),
  },
  {
    check: 'sw-padding',
    severity: 'warning',
    message: /^sw\.padding \(byte 511\) is 0x80, must be 0/,
    how: ({ bytes }) => {
      bytes[511] = 0x80
    },
    offset: 511,
  },
  {
    check: 'magic2-missing',
    severity: 'error',
    message: /^MAGIC2 \(at xstate_size, 2440\) is 0x0, must be 0x46505845: all/,
    how: ({ area }) => area(2440, 4, 0),
    offset: 2440,
  },
  {
    check: 'magic2-missing',
    severity: 'error',
    message: /; it stands at 2440: all/,
    how: ({ field }) => {
      field('sw.xfeatures', 7)
      field('xstateBv', 7)
      field('sw.xstateSize', 832)
      field('sw.extendedSize', 836)
    },
    offset: 832,
  },
  {
    check: 'magic2-stale',
    severity: 'warning',
    message:
      /^MAGIC2 \(at 2440, the size of this CPU’s frames\) is 0x46505845, must be cleared: the frame ends at 832$/,
    how: ({ area, field }) => {
      field('sw.xfeatures', 7)
      field('xstateBv', 7)
      field('sw.xstateSize', 832)
      field('sw.extendedSize', 836)
      area(832, 4, magic2)
    },
    offset: 2440,
  },
  {
    check: 'xfeatures-without-legacy',
    severity: 'error',
    message: /^sw\.xfeatures is 0x2e6, must include 0x3 \(x87 sse\)/,
    how: ({ field }) => field('sw.xfeatures', 0x2e6),
    offset: 472,
  },
  {
    check: 'xfeatures-supervisor',
    severity: 'error',
    message: /^sw\.xfeatures is 0xae7, which has 0x800 \(cet_u\)/,
    how: ({ field }) => field('sw.xfeatures', 0xae7),
  },
  {
    check: 'xfeatures-supervisor',
    severity: 'error',
    message: /which has 0x8000000000000000/,
    how: ({ field }) => field('sw.xfeatures', 0x2e7n | (one << 63n)),
    without: true,
  },
  {
    check: 'xfeatures-unknown',
    severity: 'error',
    message: /^sw\.xfeatures is 0x2ef, which has 0x8 \(bndregs\): this CPU has 0x2e7 /,
    how: ({ field }) => field('sw.xfeatures', 0x2ef),
  },
  {
    check: 'xfeatures-unknown',
    severity: 'error',
    message: /which has 0x2e4 \(avx .*\): this CPU has 0x3 \(x87 sse\)$/,
    frame: () => goodFrame(zen4),
    layout: nehalem,
  },
  {
    check: 'xstate-bv-without-legacy',
    severity: 'warning',
    message: /^xstateBv is 0x2e5, must include 0x3/,
    how: ({ field }) => field('xstateBv', 0x2e5),
    offset: 512,
  },
  {
    check: 'xstate-bv-without-legacy',
    severity: 'error',
    message: /^xstateBv is 0x2e5, .* and what it lacks goes to init, MXCSR with it$/,
    abi: 'ia32',
    how: ({ field }) => {
      field('xstateBv', 0x2e5)
      field('mxcsr', 0x1f81)
    },
  },
  {
    check: 'xstate-bv-without-legacy',
    severity: 'warning',
    message: /goes to init$/,
    abi: 'ia32',
    how: ({ field }) => {
      field('xstateBv', 0x2e5)
      field('mxcsr', 0x1f80)
    },
  },
  {
    check: 'xstate-bv-without-legacy',
    severity: 'warning',
    message: /^xstateBv is 0x2e6, .* goes to init$/,
    abi: 'ia32-rt',
    how: ({ field }) => {
      field('xstateBv', 0x2e6)
      field('mxcsr', 0x1f81)
    },
  },
  {
    check: 'xstate-bv-unsupported',
    severity: 'error',
    message: /^xstateBv is 0x602e7, which has 0x40000 \(xtiledata\): the task has no such/,
    abi: 'ia32',
    layout: sapphireRapidsIdle,
    how: ({ field }) => field('xstateBv', 0x6_02e7),
  },
  {
    check: 'xstate-bv-unsupported',
    severity: 'error',
    message: /^xstateBv is 0x2ef, which has 0x8 \(bndregs\)/,
    how: ({ field }) => field('xstateBv', 0x2ef),
  },
  {
    check: 'xstate-bv-unsupported',
    severity: 'error',
    message: /which has 0x1000 \(cet_s\)/,
    how: ({ field }) => field('xstateBv', 0x12e7),
    without: true,
  },
  {
    check: 'xstate-bv-outside-xfeatures',
    severity: 'error',
    message: /^xstateBv is 0x2e7, which has 0x200 \(pkru\) beyond sw\.xfeatures 0xe7/,
    how: ({ field }) => field('sw.xfeatures', 0xe7),
  },
  {
    check: 'component-beyond-size',
    severity: 'error',
    message: /^xstateBv is 0x2e7, but the frame ends at 2432, before pkru \(2432\.\.2439\)/,
    how: ({ field }) => field('sw.xstateSize', 2432),
  },
  {
    check: 'xcomp-bv',
    severity: 'error',
    message: /^xcompBv is 0x2e7, must be 0x0: it describes no format/,
    how: ({ field }) => field('xcompBv', 0x2e7),
    offset: 520,
  },
  {
    check: 'xcomp-bv',
    severity: 'error',
    message: /^xcompBv is 0x80000000000000e7, must be 0x0: it describes no format for 0x200/,
    how: ({ field }) => field('xcompBv', (one << 63n) | 0xe7n),
  },
  {
    check: 'xcomp-bv',
    severity: 'error',
    message: /: this is the compacted format, which no kernel writes, and CPUs without XSAVEC reject$/,
    how: ({ field }) => field('xcompBv', (one << 63n) | 0x2e7n),
  },
  {
    check: 'xcomp-bv',
    severity: 'error',
    message: /: a 32-bit frame with any is rejected$/,
    abi: 'ia32-rt',
    how: ({ field }) => field('xcompBv', (one << 63n) | 0x2e7n),
  },
  {
    check: 'header-reserved',
    severity: 'error',
    message: /^the header’s reserved byte 535 is 0x1, must be 0: the frame is rejected$/,
    how: ({ bytes }) => {
      bytes[535] = 1
    },
    offset: 535,
  },
  {
    check: 'header-reserved',
    severity: 'warning',
    message: /^the header’s reserved byte 575 is 0xff, must be 0: not every CPU ignores it$/,
    how: ({ bytes }) => {
      bytes[575] = 255
    },
    offset: 575,
  },
  {
    check: 'xcomp-bv',
    severity: 'error',
    message:
      /^xcompBv is 0x80000100000002e7, must be 0x0: the CPU has no 0x10000000000 \(component_40\), and/,
    how: ({ field }) => field('xcompBv', (one << 63n) | (one << 40n) | 0x2e7n),
  },
  {
    check: 'xcomp-bv',
    severity: 'error',
    message: /: it describes no format for 0x200 \(pkru\), which xstateBv has, and the frame is rejected$/,
    without: true,
    how: ({ field }) => field('xcompBv', (one << 63n) | 0xe7n),
  },
  {
    check: 'header-reserved',
    severity: 'error',
    message: /byte 575 .* the frame is rejected$/,
    how: ({ field, bytes }) => {
      field('xcompBv', (one << 63n) | 0x2e7n)
      bytes[575] = 255
    },
  },
  {
    check: 'header-reserved',
    severity: 'error',
    message: /byte 575 .* the frame is rejected$/,
    abi: 'ia32',
    how: ({ bytes }) => {
      bytes[575] = 255
    },
  },
  {
    check: 'mxcsr-reserved',
    severity: 'error',
    message: /^mxcsr is 0x80001f80, which has bits outside 0x2ffff/,
    how: ({ field }) => field('mxcsr', 0x8000_1f80),
    offset: 24,
  },
  {
    check: 'mxcsr-reserved',
    severity: 'error',
    message: /^mxcsr is 0x21f80, which has bits outside 0xffff/,
    layout: skylakeSp,
    without: true,
    how: ({ field }) => field('mxcsr', 0x2_1f80),
  },
  {
    check: 'mxcsr-reserved',
    severity: 'error',
    message: /^mxcsr is 0x1fc0, which has bits outside 0xffbf/,
    without: true,
    how: ({ field, area }) => {
      field('mxcsr', 0x1fc0)
      area(28, 4, 0)
    },
  },
  {
    check: 'mxcsr-mask',
    severity: 'note',
    message: /^mxcsrMask is 0xffff, this CPU’s is 0x2ffff/,
    how: ({ area }) => area(28, 4, 0xffff),
    offset: 28,
  },
  {
    check: 'fcw-fixed-bits',
    severity: 'error',
    message: /^fcw is 0x33f, of which bits 0xe0c0 must be 0x40/,
    how: ({ field }) => field('fcw', 0x33f),
    offset: 0,
  },
  {
    check: 'fcw-fixed-bits',
    severity: 'error',
    message: /^fsave\.cw is 0x33f, /,
    abi: 'ia32',
    how: ({ fsave, field }) => {
      fsave('cw', 0xffff_033f)
      field('fcw', 0x33f)
    },
    field: 'fsave.cw',
    offset: -112,
  },
  {
    check: 'fsw-summary',
    severity: 'error',
    message:
      /^fsw is 0x1, of which ES and B must be 0x8080: an exception is pending, and another value arrives$/,
    how: ({ field }) => {
      field('fcw', 0x37e)
      field('fsw', 1)
    },
    offset: 2,
  },
  {
    check: 'fsw-summary',
    severity: 'error',
    message:
      /^fsave\.sw is 0x80, of which ES and B must be 0x0: no exception is pending, and another value arrives$/,
    abi: 'ia32-rt',
    how: ({ fsave, field }) => {
      fsave('sw', 0xffff_0080)
      fsave('cw', 0xffff_037f)
      fsave('status', 0x80)
      field('fsw', 0x80)
      field('fcw', 0x37f)
    },
    offset: -108,
  },
  {
    check: 'pkru-upper-bytes',
    severity: 'note',
    message: /^pkru \(byte 7 of 8\) is 0x1/,
    how: ({ bytes }) => {
      bytes[zen4.end('pkru') - 1] = 1
    },
    offset: 2439,
  },
  {
    check: 'pkru-key-0',
    severity: 'error',
    message: /^pkru is 0x55555555, which closes key 0/,
    how: ({ area }) => area(2432, 4, 0x5555_5555),
    offset: 2432,
  },
  {
    check: 'pkru-key-0',
    severity: 'error',
    message: /^pkru is 0x2, which write-protects key 0/,
    how: ({ area }) => area(2432, 4, 2),
  },
  {
    check: 'bndcsr-reserved',
    severity: 'error',
    message: /^bndcfgu is 0x4, must be a canonical address without bits 0xffc/,
    layout: skylakeSp,
    how: ({ area }) => area(1024, 8, 4),
    offset: 1024,
  },
  {
    check: 'bndcsr-reserved',
    severity: 'error',
    message: /^bndcfgu is 0x8000000000000, must be a canonical address/,
    layout: skylakeSp,
    how: ({ area }) => area(1024, 8, one << 51n),
  },
  {
    check: 'xtilecfg',
    severity: 'error',
    message: /^xtilecfg\.palette is 2, must be 1/,
    layout: sapphireRapids,
    how: ({ bytes }) => {
      bytes[2752] = 2
    },
    offset: 2752,
  },
  {
    check: 'xtilecfg',
    severity: 'error',
    message: /^xtilecfg \(byte 63\) is 0x1, must be 0/,
    layout: sapphireRapids,
    how: ({ bytes }) => {
      bytes[2752 + 63] = 1
    },
    offset: 2815,
  },
  {
    check: 'xtilecfg',
    severity: 'error',
    message: /^xtilecfg\.rows\[7\] is 17 with \d+ bytes, must be at most 16 and 64/,
    layout: sapphireRapids,
    how: ({ bytes }) => {
      bytes[2752 + 55] = 17
    },
    offset: 2752 + 55,
  },
  {
    check: 'xtilecfg',
    severity: 'error',
    message: /^xtilecfg\.rows\[0\] is 0 with \d+ bytes, must be at most 16 and 64, both 0 or neither/,
    layout: sapphireRapids,
    how: ({ bytes, area }) => {
      bytes[2752 + 48] = 0
      area(2752 + 16, 2, 64)
    },
  },
  {
    check: 'fcw-fixed-bits',
    severity: 'error',
    message: /^fcw is 0x0, /,
    layout: nehalem,
    how: ({ field }) => field('fcw', 0),
  },
  {
    check: 'fsw-summary',
    severity: 'error',
    message: /^fsw is 0x8000, of which ES and B must be 0x0/,
    layout: nehalem,
    how: ({ field }) => {
      field('fcw', 0x37f)
      field('fsw', 0x8000)
    },
  },
  {
    check: 'mxcsr-reserved',
    severity: 'error',
    message: /^mxcsr is 0x11f80, /,
    layout: nehalem,
    how: ({ field }) => field('mxcsr', 0x1_1f80),
  },
  {
    check: 'magic2-missing',
    severity: 'error',
    message: /^MAGIC2 \(at xstate_size, 2444\) is 0x0, must be 0x46505845; it stands at 2440: all/,
    without: true,
    frame: frame => ({ ...frame, fpstate: Uint8Array.from([...frame.fpstate, 0, 0, 0, 0]) }),
    how: ({ field }) => {
      field('sw.xstateSize', 2444)
      field('sw.extendedSize', 2448)
    },
  },
  {
    check: 'fsave-unknown',
    severity: 'note',
    message: /^fsave is not known: x87 is restored from these 112 bytes before the XSAVE area, /,
    abi: 'ia32-rt',
    frame: frame => ({ ...frame, fsave: null }),
    offset: -112,
  },
  {
    check: 'fsave-magic',
    severity: 'warning',
    message: /^fsave\.magic is 0xffff, must be 0x0/,
    abi: 'ia32',
    how: ({ fsave }) => fsave('magic', 0xffff),
    offset: -2,
  },
  {
    check: 'fsave-status',
    severity: 'note',
    message: /^fsave\.status is 0x5, kernels write fsave\.sw's/,
    abi: 'ia32',
    how: ({ fsave }) => fsave('status', 5),
    offset: -4,
  },
  {
    check: 'fsave-upper-halves',
    severity: 'note',
    message: /^fsave\.datasel is 0x2b, kernels write 0xffff as its upper half/,
    abi: 'ia32-rt',
    how: ({ fsave }) => fsave('datasel', 0x2b),
    field: 'fsave.datasel',
    offset: -88,
  },
  {
    check: 'fsave-unlike-area',
    severity: 'warning',
    message: /^fsave\.tag is another than in the XSAVE area: only the fsave header is read/,
    abi: 'ia32-rt',
    how: ({ bytes }) => {
      bytes[4]! ^= 1
    },
    field: 'fsave.tag',
  },
  {
    check: 'fsave-unlike-area',
    severity: 'warning',
    message: /^fsave\.st\(7\) is another/,
    abi: 'ia32',
    how: ({ bytes }) => {
      bytes[32 + 7 * 16 + 9]! ^= 1
    },
  },
  {
    check: 'misaligned',
    severity: 'error',
    message: /^address is 0x7ffc12304ec8, must be a multiple of 64: the frame is rejected$/,
    frame: frame => ({ ...frame, address: address + 8n }),
    offset: 0,
  },
  {
    check: 'misaligned',
    severity: 'warning',
    message: /^address is 0x12304ed0, must be a multiple of 64: older kernels/,
    abi: 'ia32',
    frame: frame => ({ ...frame, address: 0x1230_4ed0n }),
  },
  {
    check: 'misaligned',
    severity: 'warning',
    message: /, as kernels place it$/,
    layout: nehalem,
    frame: frame => ({ ...frame, address: address + 16n }),
  },
  {
    check: 'misaligned',
    severity: 'error',
    message: /: the frame is rejected$/,
    layout: nehalem,
    frame: frame => ({ ...frame, address: address + 8n }),
  },
  {
    check: 'fpstate-pointer',
    severity: 'error',
    message: /^head\.fpstate is 0x7ffc12304f00, must be 0x7ffc12304ec0: where the XSAVE area lies$/,
    how: ({ head }) => head('fpstate', address + 64n),
  },
  {
    check: 'fpstate-pointer',
    severity: 'error',
    message: /^head\.fpstate is 0x12304ec0, must be 0x12304e50: where the fsave header lies$/,
    abi: 'ia32-rt',
    how: ({ head }) => head('fpstate', 0x1230_4ec0n),
  },
  {
    check: 'fpstate-pointer',
    severity: 'error',
    message: /^head\.fpstate is 0x0: no frame is read/,
    how: ({ head }) => head('fpstate', 0n),
    frame: frame => ({ ...frame, address: null }),
  },
  {
    check: 'uc-flags-xstate',
    severity: 'warning',
    message: /^head\.ucFlags is 0x6, must have UC_FP_XSTATE/,
    how: ({ head }) => head('ucFlags', 6),
  },
  {
    check: 'uc-flags-xstate',
    severity: 'warning',
    message: /^head\.ucFlags is 0x1, must lack UC_FP_XSTATE/,
    layout: nehalem,
    abi: 'ia32-rt',
    how: ({ head }) => head('ucFlags', 1),
  },
  {
    check: 'uc-flags-ss',
    severity: 'note',
    message: /^head\.ucFlags is 0x5, which lacks UC_SIGCONTEXT_SS/,
    how: ({ head }) => head('ucFlags', 5),
  },
  {
    check: 'cs-selector',
    severity: 'warning',
    message: /^head\.cs is 0x30, must be a selector of privilege 3: user code/,
    how: ({ head }) => head('cs', 0x30),
  },
  {
    check: 'ss-selector',
    severity: 'warning',
    message: /^head\.ss is 0x3, must be a selector of privilege 3: it selects nothing/,
    abi: 'ia32',
    how: ({ head }) => head('ss', 3),
  },
]

describe('each check', () => {
  it.each(
    cases.map(one => [`${one.check}, ${one.severity}: ${String(one.message).slice(0, 90)}`, one] as const),
  )(
    '%s',
    (_, { check, severity, message, abi = 'x86_64', layout = zen4, without, how, frame, field, offset }) => {
      const good = goodFrame(layout, { abi })
      const bad = changed(frame === undefined ? good : frame(good), how ?? (() => undefined))
      const found = find(bad, without ? null : layout, check)
      expect(found.message).toMatch(message)
      expect(found).toMatchObject({ check, severity })
      expect(severities).toContain(found.severity)
      if (field !== undefined) expect(found.field).toBe(field)
      if (offset !== undefined) expect(found.offset).toBe(offset)
    },
  )

  it('is shown here, and has a name of its own', () => {
    const names = checks.map(({ name }) => name)
    expect(new Set(names).size).toBe(names.length)
    expect([...new Set(cases.map(({ check }) => check))].sort()).toEqual([...names].sort())
    for (const name of names) expect(name).toMatch(/^[a-z0-9]+(-[a-z0-9]+)*$/)
  })

  it('comes in the order of what it means', () => {
    const bad = changed(goodFrame(zen4), ({ area, field, bytes }) => {
      area(28, 4, 1)
      field('sw.extendedSize', 2448)
      bytes[500] = 1
      field('sw.xfeatures', 0xfff)
    })
    const order = lintFrame(bad, zen4).map(({ severity }) => severities.indexOf(severity))
    expect(order).toEqual(order.toSorted((a, b) => a - b))
    expect(new Set(order).size).toBe(3)
  })
})

/** Values that the field of a good frame has not, and that no good frame has there. */
const wrongValue = (bits: number, right: (value: bigint) => boolean): fc.Arbitrary<bigint> =>
  fc.bigInt(0n, (one << BigInt(bits)) - 1n).filter(value => !right(value))

describe('one wrong field is found, and named', () => {
  const fieldsOf = (layout: Layout, abi: Abi) => {
    const { size, features, mxcsrMask } = layout
    const trailer = isIa32(abi) ? 116 : 4
    return [
      { field: 'sw.magic1', wrong: wrongValue(32, value => value === 0x46505853n) },
      { field: 'sw.extendedSize', wrong: wrongValue(32, value => value === BigInt(size + trailer)) },
      { field: 'sw.xstateSize', wrong: wrongValue(32, value => value === BigInt(size)) },
      // A subset that is as large may be what a handler left; then XSTATE_BV has more.
      { field: 'sw.xfeatures', wrong: wrongValue(64, value => value === features) },
      {
        field: 'xstateBv',
        wrong: wrongValue(64, value => (value & ~features) === 0n && (value & 3n) === 3n),
      },
      { field: 'xcompBv', wrong: wrongValue(64, value => value === 0n) },
      { field: 'mxcsr', wrong: wrongValue(32, value => (value & ~BigInt(mxcsrMask)) === 0n) },
    ] as const
  }

  /** By whichever field: xstate_size and xfeatures contradict each other, not themselves. */
  const related: Readonly<Record<string, readonly string[]>> = {
    'sw.xfeatures': ['sw.xfeatures', 'xstateBv', 'sw.xstateSize'],
    'sw.xstateSize': ['sw.xstateSize', 'MAGIC2', 'fpstate'],
  }

  it('of the area', () => {
    const anyWrong = fc
      .record({ layout: anyLayout.filter(({ xsave }) => xsave), abi: anyAbi, seed: fc.integer() })
      .chain(({ layout, abi, seed }) =>
        fc
          .constantFrom(...fieldsOf(layout, abi))
          .chain(({ field, wrong }) => wrong.map(value => ({ layout, abi, seed, field, value }))),
      )
    fc.assert(
      fc.property(anyWrong, ({ layout, abi, seed, field, value }) => {
        const bad = changed(goodFrame(layout, { abi, seed }), change => change.field(field, value))
        const fields = lintFrame(bad, layout).map(found => found.field)
        expect(fields.some(found => (related[field] ?? [field]).includes(found))).toBe(true)
      }),
      { numRuns: 2000 },
    )
  })

  it('one wrong bit of MAGIC2, of the padding or of the header', () => {
    const places = ({ size }: Layout) =>
      fc.oneof(
        fc.record({ at: fc.integer({ min: size, max: size + 3 }), field: fc.constant('MAGIC2') }),
        fc.record({ at: fc.integer({ min: 484, max: 511 }), field: fc.constant('sw.padding') }),
        fc.record({ at: fc.integer({ min: 528, max: 575 }), field: fc.constant('header.reserved') }),
      )
    const anyFlip = anyLayout
      .filter(({ xsave }) => xsave)
      .chain(layout =>
        fc.record({ layout: fc.constant(layout), abi: anyAbi, bit: fc.nat(7), place: places(layout) }),
      )
    fc.assert(
      fc.property(anyFlip, ({ layout, abi, bit, place: { at, field } }) => {
        const bad = changed(goodFrame(layout, { abi }), ({ bytes }) => {
          bytes[at]! ^= 1 << bit
        })
        expect(lintFrame(bad, layout).map(found => found.field)).toEqual([field])
        if (field !== 'MAGIC2') expect(lintFrame(bad, layout)[0]!.offset).toBe(at)
      }),
      { numRuns: 500 },
    )
  })

  it('a frame that is cut off anywhere', () => {
    fc.assert(
      fc.property(anyLayout, anyAbi, fc.nat(), (layout, abi, n) => {
        const good = goodFrame(layout, { abi })
        const length = n % good.fpstate.length
        const bad = { ...good, fpstate: good.fpstate.subarray(0, length) }
        expect(find(bad, layout, 'frame-cut-off')).toMatchObject({ severity: 'error', offset: length })
      }),
    )
  })

  it('bits of its registers are nobody’s business', () => {
    fc.assert(
      fc.property(anyLayout, fc.integer(), fc.nat(), (layout, seed, n) => {
        const at = 160 + (n % 256)
        const bad = changed(goodFrame(layout, { seed }), ({ bytes }) => {
          bytes[at]! ^= 0x55
        })
        expect(lintFrame(bad, layout)).toEqual([])
      }),
    )
  })
})

describe('whatever the bytes are', () => {
  const anyBytes = fc.oneof(
    fc.uint8Array({ maxLength: 4000 }),
    fc
      .record({
        size: fc.integer({ min: 500, max: 3000 }),
        xstateSize: fc.nat(0xffff_ffff),
        fill: fc.nat(255),
      })
      .map(({ size, xstateSize, fill }) => {
        const bytes = new Uint8Array(size).fill(fill)
        const view = new DataView(bytes.buffer)
        if (size >= 512) {
          view.setUint32(464, 0x46505853, true)
          view.setUint32(480, xstateSize, true)
        }
        return bytes
      }),
    // All the right fields, and any byte of them wrong.
    fc
      .record({ layout: anyLayout, wrong: fc.array(fc.tuple(fc.nat(700), fc.nat(255)), { maxLength: 8 }) })
      .map(
        ({ layout, wrong }) =>
          changed(goodFrame(layout), ({ bytes }) => {
            for (const [at, value] of wrong) if (at < bytes.length) bytes[at] = value
          }).fpstate,
      ),
  )

  it('there is a list of findings, each with one line', () => {
    fc.assert(
      fc.property(
        anyBytes,
        anyAbi,
        fc.option(anyLayout),
        fc.option(fc.bigInt(0n, (one << 64n) - 1n)),
        fc.uint8Array({ minLength: 112, maxLength: 112 }),
        (fpstate, abi, layout, where, fsave) => {
          const frame = { abi, address: where, head: null, fsave: isIa32(abi) ? fsave : null, fpstate }
          for (const { check, severity, field, message, known } of lintFrame(frame, layout)) {
            expect(check).not.toBe('')
            expect(field).not.toBe('')
            expect(severities).toContain(severity)
            expect(message).toMatch(/^[^\n]{10,600}$/)
            expect(Array.isArray(known)).toBe(true)
          }
        },
      ),
      { numRuns: 1000 },
    )
  })

  it('a view of other bytes is looked at alone', () => {
    const { fpstate, ...rest } = goodFrame(zen4)
    const around = new Uint8Array(fpstate.length + 100).fill(0xff)
    around.set(fpstate, 33)
    expect(lintFrame({ ...rest, fpstate: around.subarray(33, 33 + fpstate.length) }, zen4)).toEqual([])
  })

  it.each<[string, object, RegExp]>([
    ['an ABI that is none', { abi: 'i386' }, /^frame\.abi is "i386", must be one of x86_64 /],
    ['no bytes', { fpstate: [1, 2] }, /^frame\.fpstate must be a Uint8Array, not an array of 2$/],
    ['a head of another ABI', { head: new Uint8Array(268) }, /^frame\.head\.length is 268, must be 440$/],
    ['a head that is no bytes', { head: 'x' }, /^frame\.head must be a Uint8Array or null/],
    [
      'an fsave header of a 64-bit frame',
      { fsave: new Uint8Array(112) },
      /^frame\.fsave must be null: frames of x86_64/,
    ],
    [
      'a short fsave header',
      { abi: 'ia32', head: null, fsave: new Uint8Array(1) },
      /^frame\.fsave\.length is 1, must be 112$/,
    ],
    [
      'an fsave header that is no bytes',
      { abi: 'ia32', head: null, fsave: 7 },
      /^frame\.fsave must be a Uint8Array or null/,
    ],
    ['an address that is a number', { address: 64 }, /^frame\.address must be a bigint or null, not 64$/],
  ])('refused: %s', (_, change, message) => {
    expect(() => lintFrame({ ...goodFrame(zen4), ...change } as LintedFrame, zen4)).toThrow(message)
  })

  it('refused: what is no frame, and what is no layout', () => {
    expect(() => lintFrame(null as never, zen4)).toThrow(/^frame must be an object, not null$/)
    expect(() => lintFrame(goodFrame(zen4), {} as never)).toThrow(
      /^layout must be a Layout or null, not an object$/,
    )
  })
})

test('a compacted area is not read as if it were a standard one', () => {
  const bad = changed(goodFrame(zen4), ({ field, area }) => {
    field('xcompBv', (one << 63n) | 0x2e7n)
    area(zen4.offset('pkru'), 4, 0xffff_ffff)
  })
  expect(lintNames(bad, zen4)).toEqual(['xcomp-bv'])
})

test('an SS that older kernels did not write is not looked at', () => {
  const old = changed(goodFrame(zen4), ({ head }) => {
    head('ucFlags', 1)
    head('ss', 0)
  })
  expect(lintNames(old, zen4)).toEqual(['uc-flags-ss'])
  expect(
    lintNames(
      changed(goodFrame(zen4, { abi: 'ia32-rt' }), ({ head }) => head('ss', 0)),
      zen4,
    ),
  ).toEqual(['ss-selector'])
})

test('without MAGIC1 its sizes are nobody’s business', () => {
  const shrunk = edited(goodFrame(zen4), zen4, shrinkTo(zen4, ['avx']))
  for (const [magic, size] of [
    [0, 832],
    [1, 832],
    [1, 575],
    [1, 0],
  ] as const) {
    const without = changed(shrunk, ({ field }) => {
      field('sw.magic1', magic)
      field('sw.xstateSize', size)
    })
    expect(lintNames(without, zen4)).toEqual(['magic1-missing'])
  }
})

test('a legacy region alone is a copy, one with its header is a frame cut off', () => {
  const of = (length: number) => ({
    ...goodFrame(zen4),
    fpstate: goodFrame(zen4).fpstate.subarray(0, length),
  })
  expect(lintNames(of(575), zen4)).toEqual(['frame-cut-off', 'magic1-of-a-copy'])
  expect(lintNames(of(576), zen4)).toEqual(['frame-cut-off'])
  const padded = changed(of(512), ({ bytes }) => {
    bytes[484] = 1
  })
  expect(lintNames(padded, zen4)).toEqual(['frame-cut-off', 'magic1-of-a-copy', 'sw-padding'])
})

test('of flags nothing is said where nobody knows whether there is XSAVE', () => {
  const without = changed(goodFrame(zen4), ({ field }) => field('sw.magic1', 0))
  expect(lintNames(without, null)).toEqual(['magic1-missing'])
  expect(lintNames(goodFrame(nehalem), null)).toEqual(['magic1-missing'])
  const short = { ...goodFrame(zen4), fpstate: new Uint8Array(511) }
  expect(lintNames(short, null)).toEqual(['frame-cut-off'])
})

test('what XSTATE_BV leaves out is not looked at', () => {
  const names = componentsOf(zen4.features).filter(name => name !== 'pkru')
  const frame = changed(goodFrame(zen4, { components: names }), ({ field, area }) => {
    field('xstateBv', 0xe7)
    area(zen4.offset('pkru'), 4, 0xffff_ffff)
  })
  expect(lintFrame(frame, zen4)).toEqual([])
})

test('what the CPU has and the task has not is rejected in a 32-bit frame, lost in a 64-bit one: said once', () => {
  const naming = (abi: Abi) => {
    const { features } = sapphireRapidsIdle
    const tiles = sapphireRapids.features & ~features
    return changed(goodFrame(sapphireRapidsIdle, { abi }), ({ field }) => field('xstateBv', features | tiles))
  }
  expect(lintNames(naming('ia32'), sapphireRapidsIdle)).toEqual(['xstate-bv-unsupported'])
  expect(lintNames(naming('ia32-rt'), sapphireRapidsIdle)).toEqual(['xstate-bv-unsupported'])
  expect(lintNames(naming('x86_64'), sapphireRapidsIdle)).toEqual(['xstate-bv-outside-xfeatures'])
})
