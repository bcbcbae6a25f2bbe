/** What this machine's kernel writes is the reference: lint has nothing to complain of in it. */
import { beforeEach, describe, expect, it } from 'vitest'
import { resizeTo, shrinkTo } from '../../lib/contract/frames.ts'
import { abis, isIa32 } from '../../lib/frame/abi.ts'
import type { EditOp } from '../../lib/frame/edit.ts'
import { fsaveSize } from '../../lib/frame/fsave.ts'
import type { LintedFrame } from '../../lib/frame/lint/finding.ts'
import { guessOf } from '../../lib/frame/lint/guess.ts'
import { lintFrame } from '../../lib/frame/lint/lint.ts'
import type { FrameRecord } from '../../lib/frame/reader.ts'
import { type Probe, permissible } from '../../lib/probe/session.ts'
import type { ComponentName } from '../../lib/xstate/components.ts'
import { readHostCpu } from '../../lib/xstate/host.ts'
import type { Layout } from '../../lib/xstate/layout.ts'
import { randomImage } from '../../lib/xstate/random.ts'
import { needsProbes, recorded, session } from '../probe/support.ts'
import { graver, namesOf } from './lint-frames.ts'

beforeEach(needsProbes)

const linted = (frame: FrameRecord): LintedFrame => {
  const { abi, head, fsave, fpstate, fpstatePointer } = frame
  const address = fpstatePointer + BigInt(fsave === null ? 0 : fsaveSize)
  return { abi, address, head, fsave, fpstate }
}

const abisOf = (probe: Probe) => abis.filter(abi => probe.lack(abi) === null)

const errorsOf = (frame: LintedFrame, layout: Layout): string[] =>
  namesOf(lintFrame(frame, layout).filter(({ severity }) => severity === 'error'))

const everyUse = (probe: Probe): (readonly ComponentName[])[] => [
  probe.layout.components.map(({ name }) => name),
  ['x87', 'sse'],
  [],
  ...probe.layout.extended.map(({ name }): ComponentName[] => [name]),
]

const compacted = (1n << 63n) | 7n
const inUse: EditOp = { op: 'set', field: 'xstateBv', value: 7n }

describe('frames of this machine', () => {
  it('give no error and no warning, of every ABI, whatever is in use', () => {
    const probe = session()
    const { layout } = probe
    for (const abi of abisOf(probe)) {
      everyUse(probe).forEach((components, i) => {
        const seen = recorded(
          probe.runSync({ abi, load: randomImage(layout, { seed: 900 + i, components }) }),
        )
        const frame = linted(seen.written)
        expect(graver(lintFrame(frame, layout))).toEqual([])
        expect(frame.address! % 64n).toBe(0n)
        if (!layout.xsave) return
        expect(graver(lintFrame(frame, null))).toEqual([])
        expect(graver(lintFrame(frame, guessOf(frame).layout))).toEqual([])
      })
    }
  })

  it('nor with many seeds', () => {
    const probe = session()
    for (const abi of abisOf(probe)) {
      for (let seed = 1; seed <= 40; seed++) {
        const seen = recorded(probe.runSync({ abi, load: randomImage(probe.layout, { seed }) }))
        expect(graver(lintFrame(linted(seen.written), probe.layout))).toEqual([])
      }
    }
  })

  it('nor where the kernel was asked for more, before and after it is used', ctx => {
    const permissions = permissible(readHostCpu())
    if (permissions.length === 0) return ctx.skip('this machine has nothing to ask for')
    const plain = session(undefined, ctx).layout
    const probe = session({ permissions }, ctx)
    const { layout } = probe
    for (const abi of abisOf(probe)) {
      for (const components of [
        [],
        ['avx'],
        layout.components.map(({ name }) => name),
      ] as ComponentName[][]) {
        const seen = recorded(probe.runSync({ abi, load: randomImage(layout, { seed: 5, components }) }))
        const frame = linted(seen.written)
        // Also to the CPU as a task sees it that has not asked.
        for (const cpu of [layout, plain, null]) expect(graver(lintFrame(frame, cpu))).toEqual([])
      }
    }
  })

  it('nor when they were shrunk as another generation’s CPU would have made them', ctx => {
    const probe = session(undefined, ctx)
    const { layout } = probe
    if (!layout.xsave) return ctx.skip('this machine has no XSAVE')
    const uses = everyUse(probe).map(names => names.filter(name => name !== 'x87' && name !== 'sse'))
    for (const abi of abisOf(probe)) {
      for (const names of uses) {
        const seen = recorded(probe.runSync({ abi, edit: shrinkTo(layout, names) }))
        expect(graver(lintFrame(linted(seen.sent), layout))).toEqual([])
      }
    }
  })

  it('do, where what a kernel rejects was made of them', ctx => {
    const probe = session(undefined, ctx)
    const { layout } = probe
    if (!layout.xsave || !layout.has('avx')) return ctx.skip('this machine has no AVX')
    const rejected: readonly (readonly [string, readonly EditOp[]])[] = [
      ['xcomp-bv', [{ op: 'set', field: 'xcompBv', value: 1n << 63n }]],
      ['header-reserved', [{ op: 'write', at: 528, bytes: '01' }]],
      ['xstate-bv-unsupported', [{ op: 'or', field: 'xstateBv', value: 1n << 62n }]],
      ['mxcsr-reserved', [{ op: 'set', field: 'mxcsr', value: 0x8000_0000 }]],
      ['misaligned', [{ op: 'move', at: 8 }]],
      // Compacted, and a bit of XCOMP_BV that no CPU has, or a byte that the standard format has room for.
      ['xcomp-bv', [inUse, { op: 'set', field: 'xcompBv', value: compacted | (1n << 40n) }]],
      [
        'header-reserved',
        [inUse, { op: 'set', field: 'xcompBv', value: compacted }, { op: 'write', at: 550, bytes: '01' }],
      ],
    ]
    for (const [check, edit] of rejected) {
      const seen = recorded(probe.runSync({ edit }))
      expect(seen.kind).toBe('signal')
      expect(errorsOf(linted(seen.sent), layout)).toContain(check)
    }
    const notOfTheTask = layout.hostFeatures & ~layout.features
    for (const abi of abisOf(probe).filter(isIa32)) {
      if (notOfTheTask === 0n) break
      const seen = recorded(
        probe.runSync({ abi, edit: [{ op: 'or', field: 'xstateBv', value: notOfTheTask }] }),
      )
      expect(seen.kind).toBe('signal')
      expect(errorsOf(linted(seen.sent), layout)).toContain('xstate-bv-unsupported')
    }
    const lost: readonly (readonly [string, readonly EditOp[]])[] = [
      ['magic1-missing', [{ op: 'set', field: 'sw.magic1', value: 0 }]],
      ['magic2-missing', [{ op: 'fill', at: layout.size, length: 4, value: 0 }]],
      ['xstate-size-below-header', [{ op: 'set', field: 'sw.xstateSize', value: 575 }]],
      ['xstate-size-too-large', resizeTo(layout.size + 64)],
      ['xstate-bv-outside-xfeatures', [{ op: 'set', field: 'sw.xfeatures', value: layout.features & ~4n }]],
    ]
    for (const [check, edit] of lost) {
      const seen = recorded(probe.runSync({ load: randomImage(layout, { seed: 3 }), edit }))
      expect(errorsOf(linted(seen.sent), layout)).toContain(check)
    }
  })
})
