/** What is emitted, on any machine: nothing here compiles or runs it. */
import { describe, expect, test } from 'vitest'
import type { EditOp } from '../../lib/frame/edit.ts'
import { withWitness } from '../../lib/harness/execute.ts'
import { reproducibleCase } from '../../lib/reproducer/case.ts'
import { expectedOf } from '../../lib/reproducer/expected.ts'
import { isSkipped, type Reproducible } from '../../lib/reproducer/model.ts'
import { cReproducer, cSelftest } from '../../lib/reproducer/reproducer.ts'
import { randomImage } from '../../lib/xstate/random.ts'
import { machineNamed, plannedOn, selftests } from '../contract/simulated-cases.ts'
import { limitsOf } from '../contract/simulated-probe.ts'
import { known } from '../xstate/arbitrary.ts'
import { sentFrame } from './sent.ts'

const { layout } = machineNamed('zen4')
const limits = limitsOf(layout)
const load = randomImage(layout, { seed: 1 }).bytes
const poison = randomImage(layout, { seed: 2 }).bytes

const restored = () =>
  expectedOf('restored', sentFrame({ abi: 'x86_64', load, edit: [] }, layout, limits), layout)

const one = (edit: readonly EditOp[] = [], rest: Partial<Reproducible['probes'][0]> = {}): Reproducible => ({
  title: 'a frame',
  newer: null,
  about: ['*/ int x; /* ??/', '#include "x"'],
  layout,
  limits,
  probes: [
    {
      name: 'the frame',
      abi: 'x86_64',
      raise: 'tgkill',
      stack: null,
      load,
      poison,
      edit,
      expected: restored(),
      ...rest,
    },
  ],
})

describe('a reproducer', () => {
  test('is the same text whenever it is emitted', () => {
    expect(cReproducer(one())).toBe(cReproducer(one()))
  })

  test('is ASCII without trigraphs, and what is told of it stays in its comment', () => {
    const source = cReproducer(one())
    expect(source.replace(/[\t\n]/g, '')).toMatch(/^[\x20-\x7e]*$/)
    expect(source).not.toContain('??')
    expect(source).toContain(' * * / int x; / *')
    expect(source.match(/^#include "/m)).toBeNull()
    expect(source).not.toMatch(/[ \t]$/m)
    expect(source).not.toContain('undefined')
    expect(source).not.toContain('[object')
  })

  test('knows which bytes hold state', () => {
    expect(cReproducer(one())).toContain('{ "pkru", 9, 2432, 8, 4 },')
    expect(cReproducer(one())).toContain('{ "avx", 2, 576, 256, 256 },')
  })

  test('leaves out what it does not need', () => {
    expect(cReproducer(one())).not.toMatch(
      /int\\t\$0x80|\.code32|X32_BIT|memfd_create|pkey_alloc|setitimer|0x1023/,
    )
    const abi32 = one([], {
      abi: 'ia32',
      expected: { ends: 'undelivered' },
    })
    expect(cReproducer(abi32)).toContain('.code32')
  })

  test('asks for tile data before anything else has it', () => {
    const amx = known('sapphire-rapids-tiles')
    const image = randomImage(amx, { seed: 1 }).bytes
    const source = cReproducer({
      ...one(),
      layout: amx,
      limits: limitsOf(amx),
      probes: [{ ...one().probes[0]!, load: image, poison: image, expected: { ends: 'died' } }],
    })
    expect(source).toContain('SYS_arch_prctl, 0x1023, 18')
  })

  test.each<[string, Reproducible, RegExp]>([
    [
      'pages that are served late',
      one([{ op: 'move' }, { op: 'pages', at: 0, length: 1, state: 'late' }]),
      /probes\[0\] cannot be a C program: the C program has no pages that are late/,
    ],
    [
      'a stack that is served late',
      one([], { stack: { bytes: 8192, state: 'late' } }),
      /no alternate stack that is late/,
    ],
    ['no probes', { ...one(), probes: [] }, /probes is empty/],
    ['an image of another length', one([], { load: new Uint8Array(576) }), /load\.length is 576, must be/],
    [
      'no XSAVE',
      { ...one(), layout: known('nehalem') },
      /layout\.xsave is false, but the C program needs XSAVE/,
    ],
    [
      'an edit that is none',
      one([{ op: 'set', field: 'nothing' as never, value: 1 }]),
      /probes\[0\]\.edit\[0\]\.field is "nothing"/,
    ],
    [
      'a component of another length',
      one([], {
        expected: { ends: 'returned', components: [{ name: 'avx', bytes: new Uint8Array(3) }], mxcsr: 'any' },
      }),
      /expected avx\.length is 3, must be 256/,
    ],
  ])('refuses %s', (_, wrong, message) => {
    expect(() => cReproducer(wrong)).toThrow(message)
  })
})

describe('a selftest', () => {
  test.each(selftests.map(selftest => [selftest.name, selftest] as const))(
    '%s is not too long',
    (_, selftest) => {
      const tests = plannedOn(layout, selftest).map(one => reproducibleCase(one))
      const source = cSelftest(selftest, tests)
      expect(source).toBe(cSelftest(selftest, tests))
      expect(source.length).toBeLessThan(3_000_000)
      for (const { title } of tests) expect(source).toContain(`"${title}"`)
      const identifiers = [...source.matchAll(/^static const [\w ]*?(\w+)\[/gm)].map(([, name]) => name)
      for (const name of identifiers) expect(name).toMatch(/^[a-z_]\w*$/)
    },
  )

  test('has of each case the frame and its witness', () => {
    const all = selftests.flatMap(selftest => plannedOn(layout, selftest)).map(one => reproducibleCase(one))
    for (const each of all) {
      if (isSkipped(each)) continue
      const { probes } = each
      expect(probes).toHaveLength(2)
      expect(probes[1]!.edit).toEqual(withWitness(probes[0]!.edit))
    }
  })

  test('names the cases that C cannot do, and why', () => {
    const all = selftests.flatMap(selftest => plannedOn(layout, selftest)).map(one => reproducibleCase(one))
    const reasons = new Set(all.filter(isSkipped).map(({ skip }) => skip))
    expect([...reasons].sort()).toEqual([
      'it is more than one frame',
      'the C program has no alternate stack that is late',
      'the C program has no pages that are late',
      'the C program has no shadow stack',
    ])
    expect(all.filter(isSkipped).length).toBeLessThan(all.length / 10)
    expect(cSelftest({ name: 'x', summary: 'y' }, all.filter(isSkipped))).toContain(
      'it is more than one frame',
    )
  })
})
