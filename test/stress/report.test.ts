import picocolors from 'picocolors'
import { describe, expect, test } from 'vitest'
import type { StressOn } from '../../lib/probe/stress.ts'
import { widthOf } from '../../lib/report/text.ts'
import type { Problem } from '../../lib/stress/judge.ts'
import { scaling, stressExitCode, stressJson, stressText } from '../../lib/stress/report.ts'
import type { StressPart, StressResult } from '../../lib/stress/stress.ts'

const on = (cpu: number, rounds: number, lost = 0): StressOn => ({
  cpu,
  rounds,
  signals: rounds - 10,
  timed: 5,
  moves: 3,
  lost,
})

const part = (elapsedMs: number, ...all: readonly StressOn[]): StressPart => ({
  processes: 4,
  elapsedMs,
  totals: { on: all, signals: { x86_64: 1, 'ia32-rt': 2, ia32: 3, x32: 0 }, refused: 0, switches: 4 },
})

const result = (changes: Partial<StressResult> = {}): StressResult => ({
  host: { cpu: 'A CPU', cpus: 2, kernel: '6.18.44', node: '20.19.0' },
  seed: 1,
  cpus: [0, 1],
  abis: ['x86_64', 'ia32-rt', 'ia32'],
  processes: [
    { pid: 10, permissions: [], totals: part(0, on(0, 500)).totals },
    { pid: 11, permissions: ['xtiledata'], totals: part(0, on(1, 400)).totals },
  ],
  one: part(2000, on(0, 600_000)),
  all: part(8000, on(0, 2_000_000), on(1, 1_600_000)),
  lost: 0,
  problems: [],
  interrupted: false,
  ...changes,
})

const problem: Problem = { kind: 'lost', what: 'process 10: CPU 1, a signal: lost avx' }
const losing = { lost: 2, problems: [problem], all: part(8000, on(0, 2_000_000), on(1, 1_600_000, 2)) }
const style = { columns: 80, colors: picocolors.createColors(false) }

describe('for people', () => {
  test('the table, to the letter', () => {
    expect(stressText(result(), style)).toBe(`Host  A CPU, 2 CPUs, Linux 6.18.44, Node 20.19.0
      2 processes, 1 of them with xtiledata, on CPU 0-1; x86_64, ia32-rt, ia32
      frames; seed 1

CPU     probes  a second    signals  by timers  moves here  lost
0    2,000,000   250,000  1,999,990          5           3     0
1    1,600,000   200,000  1,599,990          5           3     0
all  3,600,000   450,000  3,599,980         10           6     0

One CPU  300,000 probes a second alone (4 processes for 2.00 s), 225,000 beside
         the others: 0.75

PASS  3,600,000 probes, 3,599,980 signals in 8.00 s: nothing lost
`)
  })

  test('what was lost, and not more of it than can be read', () => {
    expect(stressText(result(losing), style)).toMatch(
      /\nFAIL {2}3,600,000 probes, .*: 2 lost\n {6}process 10: CPU 1, a signal: lost avx\n$/,
    )
    const many = stressText(result({ ...losing, problems: new Array<Problem>(25).fill(problem) }), style)
    expect(many.match(/process 10/g)).toHaveLength(10)
    expect(many).toMatch(/\n {6}and 15 more\n$/)
  })

  test('one CPU is all there is', () => {
    const text = stressText(result({ one: null, cpus: [3], all: part(1000, on(3, 5)) }), style)
    expect(text).not.toContain('One CPU')
    expect(text).toContain('on CPU 3;')
  })

  test('stopped before all CPUs had begun: what there is', () => {
    const text = stressText(result({ interrupted: true, all: part(0, on(0, 0), on(1, 0)) }), style)
    expect(text).toMatch(/\n0 {4}600,000 {3}300,000/)
    expect(text).not.toContain('One CPU')
    expect(text).toMatch(/\nSTOPPED {2}600,000 probes, .* in 2\.00 s: nothing lost\n$/)
  })

  test('only CPUs that lost something are red', () => {
    const colors = picocolors.createColors(true)
    const lines = stressText(result(losing), { columns: 80, colors }).split('\n')
    expect(lines.filter(line => line.startsWith(colors.red('x').slice(0, 5)))).toHaveLength(1)
  })

  test('80 columns', () => {
    for (const line of stressText(result(losing), style).split('\n'))
      expect(widthOf(line)).toBeLessThanOrEqual(80)
  })
})

test('for machines', () => {
  expect(JSON.parse(stressJson(result(losing)))).toMatchObject({
    lost: 2,
    problems: [{ kind: 'lost', what: problem.what }],
    interrupted: false,
    seed: 1,
    cpus: [0, 1],
    all: {
      processes: 4,
      elapsedMs: 8000,
      probes: 3_600_000,
      perSecond: 450_000,
      migrations: 6,
      lost: 2,
      signalsByAbi: { x86_64: 1, 'ia32-rt': 2, ia32: 3, x32: 0 },
      cpus: [
        { cpu: 0, probes: 2_000_000, perSecond: 250_000, lost: 0 },
        { cpu: 1, probes: 1_600_000, perSecond: 200_000, lost: 2 },
      ],
    },
    oneCpu: { probes: 600_000, perSecond: 300_000 },
    ratio: 0.75,
    processes: [
      { pid: 10, permissions: [], probes: 500 },
      { pid: 11, permissions: ['xtiledata'], probes: 400 },
    ],
    host: { cpus: 2 },
  })
})

test('one CPU against all; nothing where there is nothing to compare', () => {
  expect(scaling(result())).toEqual({ alone: 300_000, beside: 225_000, ratio: 0.75 })
  expect(scaling(result({ one: null }))).toBeNull()
  expect(scaling(result({ one: part(0, on(0, 0)) }))).toBeNull()
})

test.each<[string, Partial<StressResult>, number]>([
  ['nothing lost', {}, 0],
  ['something lost', losing, 1],
  ['a process that died', { problems: [{ kind: 'ended', what: 'it died' }] }, 1],
  ['a process that did nothing', { problems: [{ kind: 'idle', what: 'it did nothing' }] }, 1],
  [
    'our own fault, which outranks the others',
    { ...losing, problems: [problem, { kind: 'broken', what: 'x' }] },
    70,
  ],
  ['nothing done', { all: part(8000, on(0, 0)) }, 70],
  ['nothing done by then', { all: part(8000, on(0, 0)), interrupted: true }, 0],
])('exit code: %s', (_, changes, code) => {
  expect(stressExitCode(result(changes))).toBe(code)
})
