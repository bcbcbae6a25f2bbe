/**
 * Does anybody notice a kernel that errs? One mistake at a time is made by the simulated kernel: the cases that should
 * tell must get another verdict than from a kernel without it, and a short fuzz must come to a frame that shows it.
 */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { EditOp } from '../../lib/frame/edit.ts'
import { findingOf } from '../../lib/fuzz/finding.ts'
import { type Slip, slips } from './simulated-kernel.ts'
import { noticed } from './slip-notices.ts'
import {
  fuzzRuns,
  misjudged,
  type Place,
  placeOf,
  printRows,
  type Row,
  subjectOf,
  tellingCases,
  tellingFrame,
} from './slip-table.ts'

describe('a kernel that errs', () => {
  test.each(slips)('%s', slip => {
    const { by, fuzz } = noticed[slip]
    if (by.length > 0) expect(tellingCases(slip, placeOf(slip), new Set(by)).sort()).toEqual([...by].sort())
    if (fuzz !== false) expect(tellingFrame(slip), `${fuzzRuns} frames`).not.toBeNull()
    expect(by.length > 0 || fuzz !== false).toBe(true)
  })

  test('most are noticed by both', () => {
    const both = slips.filter(slip => noticed[slip].by.length > 0 && noticed[slip].fuzz !== false)
    expect(both.length).toBeGreaterThan((3 * slips.length) / 4)
  })

  const places: readonly Place[] = [
    { on: 'classic', machine: 'haswell' },
    { on: 'portable', machine: 'alder-lake' },
  ]
  test.each(places)('and one that does not: every verdict is the generation’s, $on on $machine', place => {
    expect(misjudged(place)).toEqual([])
  })
})

/** What an operation is about. */
const aboutOf = (op: EditOp): string => ('field' in op ? `${op.op} ${op.field}` : op.op)

/** The least that shows a mistake. */
const shrunk = (slip: Slip) => {
  const found = tellingFrame(slip)
  if (found === null) throw new Error(`${slip} was not found`)
  const { frame, outcome, index } = found
  const { repeated, frame: least, expected, observed } = findingOf(subjectOf(slip), frame, outcome, index)
  expect(repeated).toBe(true)
  expect(least.edit.length).toBeLessThanOrEqual(frame.edit.length)
  return { abi: least.abi, edit: least.edit.map(aboutOf), expected, observed }
}

describe('what a finding shrinks to', () => {
  test.each<[Slip, ReturnType<typeof shrunk>]>([
    [
      'sw.xfeatures are ignored',
      {
        abi: 'x86_64',
        edit: ['set sw.xfeatures'],
        expected: 'restored by XRSTOR',
        observed: 'returned, but not as expected: x87 sse avx mxcsr',
      },
    ],
    [
      'misaligned frames are accepted',
      {
        abi: 'x86_64',
        edit: ['move'],
        expected: 'rejected with SIGSEGV, by misaligned-frame-is-rejected',
        observed: 'returned',
      },
    ],
    [
      'reserved MXCSR is accepted',
      {
        abi: 'x86_64',
        edit: ['set mxcsr'],
        expected: 'rejected with SIGSEGV, by reserved-mxcsr-is-rejected',
        observed: 'returned',
      },
    ],
    [
      'the claimed size is faulted in',
      {
        abi: 'x86_64',
        edit: ['set sw.xstateSize', 'magic2', 'move'],
        expected: expect.any(String) as unknown as string,
        observed: 'no progress',
      },
    ],
    [
      'ia32: MXCSR is always looked at',
      {
        abi: 'ia32-rt',
        edit: ['set mxcsr', 'set xstateBv'],
        expected: 'restored by XRSTOR',
        observed: 'rejected',
      },
    ],
    [
      'ia32: ST7 is forgotten',
      {
        abi: 'ia32-rt',
        edit: ['write'],
        expected: 'restored by XRSTOR',
        observed: 'returned, but not as expected: x87',
      },
    ],
  ])('%s', (slip, least) => {
    expect(shrunk(slip)).toEqual(least)
  })
})

describe('the table', () => {
  const row: Row = {
    slip: 'NULL is rejected',
    place: { on: 'portable', machine: 'sapphire-rapids-tiles' },
    cases: ['frame_placement/null_and_a_name_that_is_longer_than_any_line_has_room_for'],
    frame: 1234,
  }
  const printed = (rows: readonly Row[]) => {
    const lines: string[] = []
    return { done: printRows(rows, line => lines.push(line)), lines }
  }

  test('says who notices, and is as wide as a terminal', () => {
    const { done, lines } = printed([row, { ...row, cases: [] }, { ...row, frame: null }])
    expect(done).toBe(true)
    expect(lines[1]).toMatch(
      /^NULL is rejected {2,}portable spr-tiles +1234 +1 frame_placement\/null_and_.*…$/,
    )
    expect(lines[2]).toMatch(/ 1234 {2}-$/)
    expect(lines[3]).toMatch(/ - +1 frame_placement/)
    expect(lines.at(-1)).toBe('3 slips, 2 noticed by selftests, 2 by fuzz, 0 by neither')
    expect(Math.max(...lines.map(line => line.length))).toBe(120)
    for (const slip of slips) expect(slip.length).toBeLessThanOrEqual(50)
  })

  test('says where nobody does', () => {
    const { done, lines } = printed([row, { ...row, cases: [], frame: null }])
    expect(done).toBe(false)
    expect(lines.at(-1)).toBe('2 slips, 1 noticed by selftests, 1 by fuzz, 1 by neither')
  })

  const script = join(import.meta.dirname, '..', '..', 'scripts', 'slips.mjs')
  const run = (...names: string[]) => spawnSync(process.execPath, [script, ...names], { encoding: 'utf8' })

  test('is printed by a script', () => {
    const { status, stdout, stderr } = run('NULL is rejected', 'no token is needed')
    expect(stderr).toBe('')
    expect(stdout.trimEnd().split('\n')).toEqual([
      expect.stringMatching(/^slip +generation, CPU +fuzz {2}selftest cases$/),
      expect.stringMatching(/^NULL is rejected +classic haswell +\d+ +1 frame_placement\/null$/),
      expect.stringMatching(/^no token is needed +classic haswell +- +1 cet\/without_token$/),
      '2 slips, 2 noticed by selftests, 1 by fuzz, 0 by neither',
    ])
    expect(status).toBe(0)
  })

  test('is not printed of what there is not', () => {
    const { status, stdout, stderr } = run('nothing')
    expect(stderr).toMatch(/^slip is nothing, must be one of:\n {2}magic1 is not asked for\n/)
    expect(stdout).toBe('')
    expect(status).toBe(64)
  })
})
