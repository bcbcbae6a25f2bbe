import picocolors from 'picocolors'
import { describe, expect, test } from 'vitest'
import { type GenerationId, generationOf } from '../../lib/contract/generations.ts'
import type { EditOp } from '../../lib/frame/edit.ts'
import { type Explained, explain } from '../../lib/harness/explain.ts'
import { explainJson, explainText } from '../../lib/report/explain.ts'
import type { SavedProbe } from '../../lib/report/probe-file.ts'
import { widthOf } from '../../lib/report/text.ts'
import { randomImage } from '../../lib/xstate/random.ts'
import { known } from '../xstate/arbitrary.ts'

const layout = known('skylake-sp')
const task = { layout, compacts: true, avxLoadsMxcsr: true, keepsPointers: true, keepsZmmHi256: true }

const saved = (edit: readonly EditOp[], change: Partial<SavedProbe> = {}): SavedProbe => ({
  host: null,
  layout,
  permissions: [],
  abi: 'x86_64',
  raise: 'tgkill',
  stack: null,
  load: randomImage(layout, { seed: 1 }),
  poison: randomImage(layout, { seed: 2 }),
  edit,
  kernel: null,
  finding: null,
  ...change,
})

const explained = (one: SavedProbe, id: GenerationId = 'portable'): Explained => {
  const found = explain(one, generationOf(id), task, null)
  if (typeof found === 'string') throw new Error(found)
  return found
}

const style = { columns: 80, colors: picocolors.createColors(false) }
const text = (one: SavedProbe, id?: GenerationId): string => explainText(one, explained(one, id), style)

/** Too small for what it has. */
const small: readonly EditOp[] = [{ op: 'resize', xstateSize: layout.size - 64 }, { op: 'magic2' }]

const seen = {
  kernel: { release: '6.18.44', generation: 'classic' },
  finding: {
    seed: 1,
    index: 2,
    generation: 'portable',
    expected: 'rejected with SIGSEGV',
    observed: 'returned',
    differences: [],
  },
}

describe('for people', () => {
  test('a frame that is rejected', () => {
    expect(
      text(saved(small, seen)),
    ).toBe(`Frame     x86_64, tgkill; 2696 bytes: x87 sse avx bndregs bndcsr opmask
          zmm_hi256 hi16_zmm pkru
  edit    {"op":"resize","xstateSize":2632}
  edit    {"op":"magic2"}
Seen      on Linux 6.18.44: returned
          expected of portable kernels: rejected with SIGSEGV
Kernel    portable: believes the frame’s xstate_size and rejects one that is too
          small

Decisions
  null-fpstate-is-init: passes
  unreachable-fpstate-is-rejected: passes
  magic1-is-required: passes
  size-below-576-is-fx-only: passes
  size-above-user-size-is-fx-only: passes
  size-above-extended-size-is-fx-only: passes
  extended-size-has-room-for-magic2: passes
  magic2-is-readable: passes
  magic2-is-required: passes
  too-small-is-rejected: rejected
    An xstate_size that is too small for the frame’s own xfeatures is a SIGSEGV.
    (3d69596c684b..391cac638edd)
  blocked-sigsegv-kills: passes

Outcome   rejected with SIGSEGV, by too-small-is-rejected
  x87        at init: lost, if the frame had any
  sse        at init: lost, if the frame had any
  avx        at init: lost, if the frame had any
  bndregs    at init: lost, if the frame had any
  bndcsr     at init: lost, if the frame had any
  opmask     at init: lost, if the frame had any
  zmm_hi256  at init: lost, if the frame had any
  hi16_zmm   at init: lost, if the frame had any
  pkru       the kernel’s default, 0x55555554
  mxcsr  0x1f80
`)
  })

  test('a frame that comes back, and where each register’s value is from', () => {
    const report = text(saved([{ op: 'and', field: 'sw.xfeatures', value: 7n }]))
    expect(report).toContain('\nOutcome   restored by XRSTOR\n')
    expect(report).toContain('\n  left-out-components-go-to-init: left out\n    ')
    expect(report).toMatch(/\n {2}avx +from the frame\n/)
    expect(report).toMatch(/\n {2}opmask +at init: lost, if the frame had any\n/)
    expect(report).toMatch(/\n {2}pkru +at init: lost, if the frame had any\n/)
    expect(report).toContain(`\n  mxcsr  0x${randomImage(layout, { seed: 1 }).mxcsr.toString(16)}\n`)
    expect(text(saved([], { abi: 'ia32' }))).toMatch(
      /\n {2}x87 +from the fsave header\n {2}sse +from the frame\n/,
    )
  })

  test('a frame that ends the process leaves no registers', () => {
    const blocked: EditOp = { op: 'or', field: 'head.sigmask', value: 1n << 10n }
    expect(text(saved([...small, blocked]))).toMatch(
      /\nOutcome {3}the process ended by SIGSEGV, by too-small-is-rejected\n$/,
    )
  })

  test('what is asked of the CPU, and what nobody says', () => {
    const one = saved([])
    expect(explainText(one, { ...explained(one), asked: true, mxcsr: null }, style)).toMatch(
      /\n {10}as this CPU says of the odd bytes in it\n[\s\S]*\n {2}mxcsr {2}whatever the kernel’s buffer held\n$/,
    )
  })

  const hostile = 'returned\n\u001b[31mforged\u202e\r Outcome   restored '
  const quoting = saved([], {
    kernel: { release: `6.18\n\u001b[2J${'x'.repeat(300)}`, generation: null },
    finding: {
      ...seen.finding,
      generation: `\u0007${'y'.repeat(200)}`,
      expected: hostile.repeat(800),
      observed: hostile,
    },
  })

  test('nothing that a file says moves a cursor, forges a line, or goes on for ever', () => {
    const report = text(quoting)
    expect(report).not.toMatch(/[^\n\P{C}]/u)
    expect(report).toContain('returned \\x1b[31mforged\\u202e Outcome restored')
    expect(report.match(/^Outcome/gm)).toHaveLength(1)
    expect(report.length).toBeLessThan(8000)
  })

  test('80 columns', () => {
    const long: EditOp = { op: 'write', at: 600, bytes: new Uint8Array(100).fill(0xab) }
    const permitted = saved([...small, long], { permissions: ['xtiledata', 'xtilecfg'] })
    for (const one of [quoting, permitted, saved([], { ...seen, abi: 'ia32-rt' })])
      for (const line of text(one).split('\n')) expect([line, widthOf(line) <= 80]).toEqual([line, true])
    expect(text(permitted).replace(/\s+/g, ' ')).toContain('(permitted: xtiledata xtilecfg)')
  })
})

describe('for machines', () => {
  test('a frame that is rejected', () => {
    const one = saved(small, seen)
    const read = JSON.parse(explainJson(one, explained(one)))
    expect(read).toMatchObject({
      generation: 'portable',
      outcome: 'rejected',
      rule: 'too-small-is-rejected',
      asked: false,
      mxcsr: 0x1f80,
      abi: 'x86_64',
      layout: layout.toJSON(),
      edit: [{ op: 'resize', xstateSize: layout.size - 64 }, { op: 'magic2' }],
    })
    expect(read.decisions[0]).toEqual({ rule: 'null-fpstate-is-init', said: 'passes' })
    expect(read.decisions.at(-2)).toEqual({ rule: 'too-small-is-rejected', said: 'rejected' })
    expect(read.registers).toEqual(
      layout.components.map(({ name }) => ({ name, origin: name === 'pkru' ? 'default' : 'init' })),
    )
  })

  test('a frame that comes back', () => {
    const one = saved([{ op: 'set', field: 'sw.xfeatures', value: 3n }])
    const read = JSON.parse(explainJson(one, explained(one, 'classic')))
    expect(read).toMatchObject({ generation: 'classic', outcome: 'restored', rule: null })
    expect(read.edit).toEqual([{ op: 'set', field: 'sw.xfeatures', value: '0x3' }])
    expect(read.registers.slice(0, 3)).toEqual([
      { name: 'x87', origin: 'frame' },
      { name: 'sse', origin: 'frame' },
      { name: 'avx', origin: 'init' },
    ])
  })
})
