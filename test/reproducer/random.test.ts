/** Random frames: what the engine saw of each, a C program sees again. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { abis } from '../../lib/frame/abi.ts'
import type { EditOp } from '../../lib/frame/edit.ts'
import type { Seen } from '../../lib/probe/result.ts'
import type { ExpectedEnd, Reproducible } from '../../lib/reproducer/model.ts'
import { cSelftest } from '../../lib/reproducer/reproducer.ts'
import { randomImage } from '../../lib/xstate/random.ts'
import { anyEdit } from '../frame/arbitrary.ts'
import { needsProbes, session } from '../probe/support.ts'
import { compiled, needsGcc, ran, readTap } from './compiler.ts'
import { observedEnd } from './observed.ts'

const frames = 300

/** What lies beside a frame is nobody's promise: no pointer goes there. */
const certain = (edit: readonly EditOp[]): readonly EditOp[] =>
  edit.filter(op => op.op !== 'pointer' || 'address' in op)

/** Half of them with little changed: most of what is random alone is no frame. */
const slight = (edit: readonly EditOp[]): readonly EditOp[] => edit.slice(0, 2)

for (const abi of abis) {
  test(`${abi}: ${frames} frames end as the engine saw them end`, ctx => {
    needsProbes(ctx)
    needsGcc(ctx)
    const probe = session({}, ctx)
    const { layout, limits } = probe
    const lack = probe.lack(abi)
    if (lack !== null) ctx.skip(lack)
    if (!layout.xsave) ctx.skip('this host has no XSAVE')
    const edits = fc
      .sample(anyEdit(layout, limits, { moves: 'at or guardAt', pointers: true, below: 'all', abi }), {
        numRuns: frames,
        seed: 7,
      })
      .map((edit, i): readonly EditOp[] => (i % 2 === 0 ? certain(edit) : slight(certain(edit))))
    const requests = edits.map((edit, i) => ({
      abi,
      edit,
      load: randomImage(layout, { seed: i % 5 }),
      poison: randomImage(layout, { seed: 5 + (i % 3) }),
    }))
    const seen = requests.map((request): Seen => probe.runSync(request))
    const ends = seen.map(observedEnd)
    const tests = requests.flatMap(({ edit, load, poison }, i): Reproducible[] => {
      const expected: ExpectedEnd | null = ends[i] ?? null
      if (expected === null) return []
      const one = { name: 'it', abi, raise: 'tgkill' as const, stack: null, edit, expected }
      return [
        {
          title: `frame ${i}`,
          newer: null,
          about: [],
          layout,
          limits,
          probes: [{ ...one, load: load.bytes, poison: poison.bytes }],
        },
      ]
    })
    const { code, out } = ran(compiled(cSelftest({ name: 'random', summary: '' }, tests)))
    const { totals } = readTap(out)
    expect(totals, out.slice(0, 6000)).toEqual({ pass: tests.length, fail: 0, xfail: 0, skip: 0 })
    expect(code).toBe(0)
    // Enough of each kind to mean something.
    expect(tests.length).toBeGreaterThan(frames * 0.9)
    for (const kind of ['returned', 'rejected'])
      expect(ends.filter(end => end?.ends === kind).length).toBeGreaterThan(frames / 10)
  })
}
