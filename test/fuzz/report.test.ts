import picocolors from 'picocolors'
import { describe, expect, test } from 'vitest'
import { generationOf } from '../../lib/contract/generations.ts'
import { steps } from '../../lib/contract/predict/predict.ts'
import { clearedRegisters } from '../../lib/contract/predict/registers.ts'
import { markOf } from '../../lib/contract/predict/trail.ts'
import { abis } from '../../lib/frame/abi.ts'
import { countTrail, coverageOf, createCounts, missedOf } from '../../lib/fuzz/coverage.ts'
import type { FoundIn, FuzzedSession, FuzzResult } from '../../lib/fuzz/fuzz.ts'
import { fuzzExitCode, fuzzJson, fuzzText } from '../../lib/fuzz/report.ts'
import { createSubject } from '../../lib/fuzz/subject.ts'
import { widthOf } from '../../lib/report/text.ts'
import { simulatedProbe, simulatedTask } from '../contract/simulated-probe.ts'
import { known } from '../xstate/arbitrary.ts'

const layout = known('skylake-sp')
const classic = generationOf('classic')
const portable = generationOf('portable')
const { probe } = simulatedProbe({ layout, xsaves: true, generation: 'classic' })
const subject = createSubject(probe, portable, abis, simulatedTask(probe))
const session: FuzzedSession = { permissions: [], subject }
const permitted: FuzzedSession = { ...session, permissions: ['xtiledata'] }

const counted = (() => {
  const counts = createCounts()
  for (const [i, { says }] of steps.entries())
    for (const said of says) for (let n = 0; n < 1234; n++) countTrail(counts, [markOf(i, said)])
  return counts
})()

const coverage = coverageOf(counted, portable.policy, abis)

const result = (changes: Partial<FuzzResult> = {}): FuzzResult => ({
  seed: 7,
  kernel: { release: '6.18.44', told: 'classic', deviations: [] },
  generation: classic,
  without: null,
  abis: ['x86_64', 'ia32-rt', 'ia32'],
  sessions: [session, permitted],
  frames: 1_234_567,
  ms: 10_000,
  asked: 54_321,
  passedOver: {},
  coverage,
  missed: [],
  findings: [],
  more: 0,
  failed: null,
  interrupted: false,
  ...changes,
})

const finding: FoundIn = {
  index: 123,
  count: 660,
  repeated: true,
  frame: {
    abi: 'ia32-rt',
    raise: 'tgkill32',
    load: 1,
    poison: 0,
    edit: [
      { op: 'resize', xstateSize: 832 },
      { op: 'and', field: 'xstateBv', value: 7n },
      { op: 'write', at: 600, bytes: new Uint8Array(200).fill(0xab) },
    ],
  },
  tries: 30,
  expected: 'rejected with SIGSEGV, by too-small-is-rejected',
  observed: 'returned, but not as expected: avx mxcsr pkru',
  rule: 'too-small-is-rejected',
  differences: [
    { name: 'avx', expected: 'init', observed: '65'.repeat(256) },
    { name: 'mxcsr', expected: '0x1f80', observed: '0x1fc9' },
    { name: 'pkru', expected: '5455555500000000', observed: '0000000000000000' },
  ],
  decisions: ['null-fpstate-is-init: passes'],
  perhapsAs: [],
  alsoAs: ['classic', 'regressed'],
  predicted: { end: 'rejected', trail: [markOf(0, 'passes')], registers: clearedRegisters },
  session,
}

const lost: FoundIn = {
  ...finding,
  count: 1,
  repeated: false,
  tries: 0,
  expected: 'the frame’s return',
  observed: 'no progress',
  rule: null,
  differences: [],
  decisions: [],
  perhapsAs: [],
  alsoAs: [],
  predicted: null,
  session: permitted,
}

const style = { columns: 80, colors: picocolors.createColors(false) }
const text = (changes: Partial<FuzzResult> = {}): string => fuzzText(result(changes), style)

/** Printable, or what breaks lines. */
const isClean = (report: string): boolean => !/[^\n\P{C}]/u.test(report)

const differing = {
  generation: portable,
  findings: [finding, lost],
  more: 3,
  missed: missedOf(coverageOf(createCounts(), portable.policy, abis)),
  passedOver: { 'mmap is refused with ENOMEM': 2, 'it hangs on bytes that are in no record': 1 },
  kernel: {
    release: '6.18.44-rc1-with-a-name-that-is-long-enough-to-be-wrapped\u001b[31m\n',
    told: 'classic' as const,
    deviations: ['as classic, except that '.repeat(9)],
  },
}

describe('for people', () => {
  test('no difference', () => {
    const lines = text().split('\n')
    expect(
      lines.slice(0, 8).join('\n'),
    ).toBe(`Kernel    Linux 6.18.44, expected to do as classic kernels (which it is told to
          be)
Frames    1,234,567 in 10.00 s, 123,457 a second; seed 7
          x86_64 ia32-rt ia32; of 54,321 the CPU was asked

decision                             frames  passes  otherwise
null-fpstate-is-init                          1,234  1,234 init
unreachable-fpstate-is-rejected               1,234  1,234 rejected`)
    expect(lines.slice(-4)).toEqual(['', 'Reached   every outcome of every decision', 'No difference.', ''])
    expect(lines).toHaveLength(coverage.length + 11)
    for (const { rule } of coverage) expect(lines.some(line => line.startsWith(`${rule} `))).toBe(true)
  })

  test('differences: each with what was expected, seen, sent, and whose doing it is', () => {
    const report = text(differing)
    expect(report).toContain(`Difference 1
  expected  rejected with SIGSEGV, by too-small-is-rejected
  observed  returned, but not as expected: avx mxcsr pkru
  frame     ia32-rt, tgkill32, load 1, poison 0; frame 123, 660 frames like it
  shrunk    to 3 operations in 30 tries
    edit    {"op":"resize","xstateSize":832}
    edit    {"op":"and","field":"xstateBv","value":"0x7"}
`)
    expect(report).toContain(`
    avx  expected  init
         observed  65656565656565656565656565656565… (256 bytes)
    mxcsr  expected  0x1f80
           observed  0x1fc9
    and so pkru
  as        classic and regressed kernels do this
  rule      An xstate_size that is too small for the frame’s own xfeatures is a
            SIGSEGV. (3d69596c684b..391cac638edd)
`)
    expect(report).toContain(`Difference 2
  expected  the frame’s return
  observed  no progress
  frame     ia32-rt, tgkill32, load 1, poison 0; frame 123, 1 frame like it
  shrunk    no: it did not show again when it was sent again
`)
    expect(report).toContain('  as        nobody can say any more\n\n')
    expect(report).toContain('Passed    over 2 frames: mmap is refused with ENOMEM\n')
    expect(report).toContain('Passed    over 1 frame: it hangs on bytes that are in no record\n')
    expect(report.replace(/\s+/g, ' ')).toContain('as portable kernels (told to be classic) as classic, ')
    expect(report).toContain('\nNot reached  null-fpstate-is-init (passes); null-fpstate-is-init (init);\n')
    expect(report).toMatch(/\n2 kinds of difference, and 3 frames of more kinds\.\n$/)
    expect(text({ findings: [finding] })).toMatch(/\n1 kind of difference\.\n$/)
  })

  test('a rule that is left out of what is expected', () => {
    const without = 'magic2-is-required'
    expect(text({ without }).replace(/\s+/g, ' ')).toContain(
      '(which it is told to be), without magic2-is-required Frames',
    )
    expect(JSON.parse(fuzzJson(result({ without })))).toMatchObject({ without, generation: 'classic' })
    expect(JSON.parse(fuzzJson(result())).without).toBeNull()
  })

  test('where long values begin to differ', () => {
    const differences = [
      {
        name: 'hi16_zmm',
        expected: `${'00'.repeat(100)}${'11'.repeat(924)}`,
        observed: `${'00'.repeat(100)}12${'11'.repeat(923)}`,
      },
    ]
    expect(text({ findings: [{ ...finding, differences }] })).toContain(`
    hi16_zmm  expected  …11111111111111111111111111111111… (924 bytes) from byte
                        100
              observed  …12111111111111111111111111111111… (924 bytes) from byte
                        100
`)
  })

  test('interrupted before anything was sent, and nothing sent at all', () => {
    for (const interrupted of [true, false])
      expect(text({ frames: 0, ms: 0, asked: 0, interrupted })).toMatch(
        /\nFrames {4}0 in 0 ms, 0 a second; seed 7\n[\s\S]*\nNo frame was sent\.\n$/,
      )
  })

  test('nothing judged is not called no difference', () => {
    expect(text({ passedOver: { 'mmap is refused with ENOMEM': 1_234_567 } })).toMatch(
      /\nPassed {4}over 1234567 frames: mmap is refused with ENOMEM\n[\s\S]*\nNo frame was judged\.\n$/,
    )
    expect(text({ passedOver: { 'mmap is refused with ENOMEM': 1_234_566 } })).toMatch(/\nNo difference\.\n$/)
  })

  test('one line ends with each newline, nothing is unprintable', () => {
    for (const report of [text(), text(differing), text({ frames: 0 })]) {
      expect(isClean(report)).toBe(true)
      expect(report.endsWith('.\n')).toBe(true)
    }
    expect(isClean('a\u001b')).toBe(false)
  })

  test('80 columns, with numbers as large as they get', () => {
    const huge = coverageOf(
      counted.map(count => count * 1e9),
      portable.policy,
      abis,
    )
    for (const changes of [
      {},
      differing,
      { ...differing, coverage: huge, frames: 2 ** 40, ms: 6e8, asked: 2 ** 39 },
    ])
      for (const line of text(changes).split('\n')) expect([line, widthOf(line) <= 80]).toEqual([line, true])
  })

  test('no count is cut, however many there are', () => {
    const many = coverageOf(
      counted.map(count => count * 1e6),
      portable.policy,
      abis,
    )
    expect(text({ coverage: many })).toContain(`
absent-pages-are-faulted-in          64-bit  1,234,000,000  1,234,000,000
                                                            faulted in,
                                                            1,234,000,000
                                                            rejected
`)
  })

  test('colours take no columns', () => {
    const colors = picocolors.createColors(true)
    const painted = fuzzText(result(differing), { columns: 80, colors })
    expect(painted).not.toBe(text(differing))
    expect(painted.replace(new RegExp(`${String.fromCodePoint(0x1b)}\\[\\d+m`, 'g'), '')).toBe(
      text(differing),
    )
  })
})

describe('for machines', () => {
  test('no difference', () => {
    const { sessions, ...rest } = JSON.parse(fuzzJson(result()))
    expect(rest).toMatchObject({
      seed: 7,
      kernel: { release: '6.18.44', told: 'classic', deviations: [] },
      generation: 'classic',
      abis: ['x86_64', 'ia32-rt', 'ia32'],
      frames: 1_234_567,
      ms: 10_000,
      asked: 54_321,
      passedOver: {},
      missed: [],
      findings: [],
      more: 0,
      interrupted: false,
    })
    expect(rest.coverage[0]).toEqual({
      rule: 'null-fpstate-is-init',
      of: 'all',
      said: [
        { outcome: 'passes', count: 1234 },
        { outcome: 'init', count: 1234 },
      ],
    })
    expect(sessions).toEqual([
      { permissions: [], layout: layout.toJSON() },
      { permissions: ['xtiledata'], layout: layout.toJSON() },
    ])
  })

  test('differences are whole, and in the form in which edits are read again', () => {
    const [first, second] = JSON.parse(fuzzJson(result(differing))).findings
    const { session: _s, predicted: _p, frame, ...rest } = finding
    expect(first).toEqual({
      ...rest,
      permissions: [],
      treatment: 'rejected with SIGSEGV',
      frame: {
        ...frame,
        edit: [
          { op: 'resize', xstateSize: 832 },
          { op: 'and', field: 'xstateBv', value: '0x7' },
          { op: 'write', at: 600, bytes: 'ab'.repeat(200) },
        ],
      },
    })
    expect(second).toMatchObject({ permissions: ['xtiledata'], treatment: null, rule: null, alsoAs: [] })
  })
})

test.each<[string, Partial<FuzzResult>, number]>([
  ['no difference', {}, 0],
  ['no difference by then', { interrupted: true }, 0],
  ['a difference', { findings: [finding] }, 1],
  ['a difference by then', { findings: [finding], interrupted: true }, 1],
  ['a process that was lost', { findings: [lost] }, 1],
  ['nothing sent', { frames: 0 }, 70],
  ['nothing judged', { passedOver: { 'mmap is refused with ENOMEM': 1_234_560, other: 7 } }, 70],
  ['something judged', { passedOver: { 'mmap is refused with ENOMEM': 1_234_566 } }, 0],
  ['nothing sent by then', { frames: 0, interrupted: true }, 0],
])('exit code: %s', (_, changes, code) => {
  expect(fuzzExitCode(result(changes))).toBe(code)
})
