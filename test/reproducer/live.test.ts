/** Reproducers compiled and run on this kernel: right expectations hold, wrong ones are found out. */
import { describe, expect, type TestContext, test } from 'vitest'
import { resizeTo } from '../../lib/contract/frames.ts'
import type { Treatment } from '../../lib/contract/treatment.ts'
import { type Abi, abis } from '../../lib/frame/abi.ts'
import type { EditOp } from '../../lib/frame/edit.ts'
import type { Probe } from '../../lib/probe/session.ts'
import { expectedOf } from '../../lib/reproducer/expected.ts'
import type { ExpectedEnd, ReproducedProbe, Reproducible } from '../../lib/reproducer/model.ts'
import { cReproducer } from '../../lib/reproducer/reproducer.ts'
import { minXsaveSize } from '../../lib/xstate/layout.ts'
import { randomImage } from '../../lib/xstate/random.ts'
import { needsProbes, session } from '../probe/support.ts'
import { compiled, needsGcc, ran } from './compiler.ts'
import { sentFrame } from './sent.ts'

/** A session, where there is one with frames of this ABI that have an XSAVE area. */
const sessionFor = (ctx: TestContext, abi: Abi): Probe => {
  needsProbes(ctx)
  needsGcc(ctx)
  const probe = session({}, ctx)
  const lack = probe.lack(abi)
  if (lack !== null) ctx.skip(lack)
  if (!probe.layout.xsave) ctx.skip('this host has no XSAVE')
  return probe
}

interface Frame {
  readonly abi: Abi
  readonly edit: readonly EditOp[]
  readonly expected: Treatment | ExpectedEnd
  readonly rest?: Partial<ReproducedProbe>
}

const reproducible = ({ layout, limits }: Probe, ...frames: readonly Frame[]): Reproducible => ({
  title: 'a frame',
  newer: null,
  about: [],
  layout,
  limits,
  probes: frames.map(({ abi, edit, expected, rest }, i) => {
    const load = randomImage(layout, { seed: 1 }).bytes
    return {
      name: `frame ${i}`,
      abi,
      raise: 'tgkill',
      stack: null,
      load,
      poison: randomImage(layout, { seed: 2 }).bytes,
      edit,
      expected:
        typeof expected === 'string'
          ? expectedOf(expected, sentFrame({ abi, load, edit }, layout, limits), layout)
          : expected,
      ...rest,
    }
  }),
})

const run = (one: Reproducible) => ran(compiled(cReproducer(one)))

const noMagic1: EditOp = { op: 'set', field: 'sw.magic1', value: 0 }
const corrupt: EditOp = { op: 'or', field: 'xcompBv', value: 1 }
const mask = (abi: Abi) => (abi === 'ia32' ? 'head.oldmask' : 'head.sigmask')

describe.each(abis)('%s frames', abi => {
  test('that are treated as expected: good, bad, without MAGIC1, moved, deadly, astray', ctx => {
    const probe = sessionFor(ctx, abi)
    const { code, out } = run(
      reproducible(
        probe,
        { abi, edit: [], expected: 'restored' },
        { abi, edit: [corrupt], expected: 'rejected' },
        { abi, edit: [noMagic1], expected: 'fx-only' },
        { abi, edit: [{ op: 'move', at: 64 }], expected: 'restored' },
        {
          abi,
          edit: [
            { op: 'move', guardAt: probe.limits.frameBytes + 60 - ((probe.limits.frameBytes - 4) % 64) },
          ],
          expected: 'restored',
        },
        { abi, edit: [{ op: 'pointer', address: 0n }], expected: 'init' },
        { abi, edit: [{ op: 'or', field: mask(abi), value: 1n << 10n }, corrupt], expected: 'killed' },
        { abi, edit: [{ op: 'set', field: 'head.rip', value: 0 }], expected: 'astray' },
        { abi, edit: [{ op: 'set', field: 'head.ss', value: 0 }], expected: 'astray' },
        { abi, edit: [{ op: 'or', field: 'head.eflags', value: 0x4_0500 }], expected: 'astray' },
        { abi, edit: [], expected: 'restored', rest: { raise: 'tgkill32' } },
        { abi, edit: [], expected: 'restored', rest: { raise: 'timer' } },
        { abi, edit: [], expected: 'restored', rest: { raise: 'blocked' } },
        { abi, edit: [corrupt], expected: 'rejected', rest: { raise: 'fake' } },
        { abi, edit: [], expected: 'restored', rest: { raise: 'fake' } },
        { abi, edit: [], expected: 'restored', rest: { stack: { bytes: 65536 } } },
        { abi, edit: [], expected: 'undelivered', rest: { stack: { bytes: 65536, state: 'readonly' } } },
        ...(['evicted', 'readonly'] as const).map(state => ({
          abi,
          edit: [{ op: 'move' }, { op: 'pages', at: 0, length: minXsaveSize, state }] as const,
          expected: 'restored' as const,
        })),
        ...(['unreadable', 'hole'] as const).map(state => ({
          abi,
          edit: [{ op: 'move' }, { op: 'pages', at: 0, length: minXsaveSize, state }] as const,
          expected: 'rejected' as const,
        })),
      ),
    )
    expect(out).toMatch(/^PASS: as expected: a frame$/m)
    expect(code, out).toBe(0)
  })

  test('that are treated otherwise, in the words that say how', ctx => {
    const probe = sessionFor(ctx, abi)
    const wrong = (edit: readonly EditOp[], expected: Treatment | ExpectedEnd): string => {
      const { code, out } = run(reproducible(probe, { abi, edit, expected }))
      expect(code, out).toBe(1)
      expect(out).toMatch(/^FAIL: not as expected: a frame$/m)
      return out
    }
    expect(wrong([], 'rejected')).toMatch(/ended NOT AS EXPECTED: returned\n +expected: SIGSEGV at sigreturn/)
    expect(wrong([corrupt], 'restored')).toMatch(/ended NOT AS EXPECTED: Segmentation fault at sigreturn/)
    expect(wrong([], 'undelivered')).toMatch(/ended NOT AS EXPECTED: returned/)
    expect(wrong([corrupt], 'killed')).toMatch(
      /NOT AS EXPECTED: Segmentation fault at sigreturn, si_code 128/,
    )
    expect(wrong([corrupt], 'init')).toMatch(/NOT AS EXPECTED: Segmentation fault/)
    const nowhere: EditOp = { op: 'set', field: 'head.rip', value: 0 }
    expect(wrong([nowhere], 'rejected')).toMatch(
      /NOT AS EXPECTED: Segmentation fault behind sigreturn, si_code 1/,
    )
    const trap = { ends: 'astray', signal: 'SIGTRAP', components: [], mxcsr: 'any' } as const
    expect(wrong([nowhere], trap)).toMatch(/NOT AS EXPECTED: Segmentation fault behind sigreturn/)
    if (probe.layout.has('avx')) {
      expect(wrong([noMagic1], 'restored')).toMatch(
        /avx +NOT AS EXPECTED \(as before the signal\), from byte 0 of 256 on\n.*expected( [0-9a-f]{2}){16}\n +got +00( 00){15}\n.*init state/,
      )
      expect(wrong([], 'fx-only')).toMatch(
        /avx +NOT AS EXPECTED \(at init\), from byte 0 of 256 on\n.*\n.*\n.*what the frame has/,
      )
    }
  })

  test('return with the handler’s image in the registers', ctx => {
    const probe = sessionFor(ctx, abi)
    const { layout } = probe
    if (!layout.has('pkru')) ctx.skip('this task has no protection keys')
    // Seen by what it does: with key 0 closed nobody gets as far as the return.
    const poison = randomImage(layout, { seed: 2 })
    poison.pkru = 1
    const lost = { ends: 'astray', signal: 'SIGSEGV', components: [], mxcsr: 'any' } as const
    const frames = (['tgkill', 'fake'] as const).map(raise => ({
      abi,
      edit: [],
      expected: lost,
      rest: { raise, poison: poison.bytes },
    }))
    const { code, out } = run(reproducible(probe, ...frames))
    expect(code, out).toBe(0)
    expect(out.match(/ended as expected: Segmentation fault behind sigreturn/g)).toHaveLength(2)
  })

  test('that have one bit in one register other than expected', ctx => {
    const probe = sessionFor(ctx, abi)
    const [right] = reproducible(probe, { abi, edit: [], expected: 'restored' }).probes
    const { expected } = right!
    if (expected.ends !== 'returned') throw new Error('not restored')
    const found = expected.components.map(({ name }) => {
      const components = expected.components.map(one => {
        if (one.name !== name || one.bytes === 'any') return one
        const bytes = one.bytes.slice()
        bytes[3] = bytes[3]! ^ 1
        return { name, bytes }
      })
      return { abi, edit: [], expected: { ...expected, components } }
    })
    const mxcsr = { abi, edit: [], expected: { ...expected, mxcsr: [0x1f81] } }
    const { code, out } = run(reproducible(probe, ...found, mxcsr))
    expect(code, out).toBe(1)
    const said = out.split(/^frame \d+: /m).slice(1)
    expect(
      said.map(text => [...text.matchAll(/^ {4}(\S+) +NOT AS EXPECTED/gm)].map(([, name]) => name)),
    ).toEqual([...expected.components.map(({ name }) => [name]), ['MXCSR']])
  })
})

test('frames of another layout are not judged', ctx => {
  const probe = sessionFor(ctx, 'x86_64')
  if (probe.layout.extended.length === 0) ctx.skip('this task has nothing above SSE')
  const layout = probe.layout.withFeatures(3n)
  const limits = { ...probe.limits, frameBytes: layout.size + 4 }
  const { code, out } = run(
    reproducible({ layout, limits } as Probe, { abi: 'x86_64', edit: [], expected: 'restored' }),
  )
  expect(out).toMatch(/frames here have xstate_size \d+ .* not 576 and 0x3:/)
  expect(out).toMatch(/^SKIP: /m)
  expect(code).toBe(4)
})

const flags = [
  ['-O0'],
  ['-O3'],
  ['-O2', '-fstack-protector-all', '-D_FORTIFY_SOURCE=2', '-fcf-protection=full'],
  ['-O2', '-no-pie'],
]
for (const each of flags) {
  test(`a program that is compiled with ${each.join(' ')}`, ctx => {
    const probe = sessionFor(ctx, 'x86_64')
    const frames = abis
      .filter(abi => probe.lack(abi) === null)
      .flatMap((abi): Frame[] => [
        { abi, edit: resizeTo(probe.layout.size), expected: 'restored' },
        { abi, edit: [corrupt], expected: 'rejected' },
      ])
    const { code, out } = ran(compiled(cReproducer(reproducible(probe, ...frames)), each))
    expect(code, out).toBe(0)
  })
}
