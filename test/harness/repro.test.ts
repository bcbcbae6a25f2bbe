import { describe, expect, test } from 'vitest'
import { compileEdit } from '../../lib/frame/compile.ts'
import type { EditOp } from '../../lib/frame/edit.ts'
import { plainOp, reproOf } from '../../lib/harness/repro.ts'
import type { FrameCase } from '../../lib/harness/selftest.ts'
import { contextOf, machineNamed, plannedOn, selftests } from '../contract/simulated-cases.ts'

const { layout } = machineNamed('zen4')
const context = contextOf(layout)

const frameCase = (changes: Partial<FrameCase> = {}): FrameCase => ({
  summary: '',
  rule: 'untouched-frame-restores',
  commit: '',
  edit: () => [],
  ...changes,
})

test('bytes are hexadecimal, bigints 0x strings, all else as it is', () => {
  const op: EditOp = { op: 'write', at: 3, bytes: Uint8Array.of(0, 1, 0xab), region: 'head' }
  expect(plainOp(op)).toEqual({ op: 'write', at: 3, bytes: '0001ab', region: 'head' })
  expect(plainOp({ op: 'set', field: 'xstateBv', value: 1n << 62n })).toEqual({
    op: 'set',
    field: 'xstateBv',
    value: '0x4000000000000000',
  })
})

test('whose frame, how raised, onto which stack', () => {
  expect(reproOf(frameCase(), { ...context, abi: 'ia32', seed: 7 })).toEqual({
    seed: 7,
    edit: [],
    abi: 'ia32',
    raise: 'tgkill',
    stack: null,
  })
  expect(reproOf(frameCase({ raise: 'timer', stack: () => ({ bytes: 4096 }) }), context)).toMatchObject({
    raise: 'timer',
    stack: { bytes: 4096, state: 'plain' },
  })
  const late = frameCase({ stack: () => ({ bytes: 4096, state: 'late' }) })
  expect(reproOf(late, context)?.stack).toEqual({ bytes: 4096, state: 'late' })
})

test('a case that is more than one frame has none', () => {
  const trial = {
    summary: '',
    rule: 'untouched-frame-restores',
    commit: '',
    trial: () => ({ unable: '' }),
  } as const
  expect(reproOf(trial, context)).toBeNull()
})

describe('as JSON and back, the edit of every case does the same', () => {
  test.each(['sse-only', 'alder-lake', 'zen4'])('on %s', name => {
    const machine = machineNamed(name)
    for (const planned of selftests.flatMap(one => plannedOn(machine.layout, one))) {
      const { test: one, context } = planned
      const repro = reproOf(one, context)
      if (repro === null || !('edit' in one)) continue
      const again = JSON.parse(JSON.stringify(repro)).edit
      const compile = (edit: readonly EditOp[]) =>
        compileEdit(edit, context.layout, context.limits, 'edit', context.abi)
      expect(compile(again), planned.id).toEqual(compile(one.edit(context)))
    }
  })
})
