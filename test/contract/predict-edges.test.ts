/** Frames at the edges of the model: where the pointer leads in the end, kernels and CPUs that few have. */
import { describe, expect, test } from 'vitest'
import { shrinkTo } from '../../lib/contract/frames.ts'
import { generationOf } from '../../lib/contract/generations.ts'
import type { HardwareAnswer } from '../../lib/contract/predict/hardware.ts'
import { dispensable, isMade, leavingOut, predict } from '../../lib/contract/predict/predict.ts'
import { sentFrame } from '../../lib/contract/predict/sent.ts'
import type { Task } from '../../lib/contract/predict/task.ts'
import type { Abi } from '../../lib/frame/abi.ts'
import { compileEdit } from '../../lib/frame/compile.ts'
import type { EditOp } from '../../lib/frame/edit.ts'
import { builtFrame } from '../../lib/frame/sent.ts'
import { createGrammar } from '../../lib/fuzz/grammar.ts'
import { taskOf } from '../../lib/harness/task.ts'
import { limitsOfLayout } from '../../lib/probe/geometry.ts'
import { type ComponentName, maskOf } from '../../lib/xstate/components.ts'
import { createRandom, randomImage } from '../../lib/xstate/random.ts'
import { known } from '../xstate/arbitrary.ts'
import { simulatedProbe } from './simulated-probe.ts'

const { policy } = generationOf('classic')
const layout = known('ice-lake-sp')

const taskFor = (compacts: boolean, of = layout): Task => ({
  layout: of,
  compacts,
  avxLoadsMxcsr: true,
  keepsPointers: true,
  keepsZmmHi256: true,
})

const predicted = (
  edit: EditOp[],
  abi: Abi = 'x86_64',
  task = taskFor(true),
  by = policy,
  answer?: HardwareAnswer,
) => {
  const limits = limitsOfLayout(task.layout)
  const { primitives } = compileEdit(edit, task.layout, limits, 'edit', abi)
  const load = randomImage(task.layout, { seed: 5 })
  return predict(
    sentFrame(builtFrame(task.layout, load, abi, primitives), primitives, limits),
    task,
    by,
    answer,
  )
}

describe('where the pointer leads in the end', () => {
  test.each<[string, string, Abi, EditOp[]]>([
    ['with the frame that is moved', 'restored', 'x86_64', [{ op: 'pointer', address: 0n }, { op: 'move' }]],
    [
      'so, from wherever',
      'restored',
      'x86_64',
      [
        { op: 'pointer', by: 64 },
        { op: 'move', at: 64 },
      ],
    ],
    ['nowhere, having moved', 'init', 'x86_64', [{ op: 'move' }, { op: 'pointer', address: 0n }]],
    [
      'around to NULL',
      'init',
      'x86_64',
      [
        { op: 'pointer', address: 0xffff_ffff_ffff_ffffn },
        { op: 'pointer', by: 1 },
      ],
    ],
    [
      'around to NULL, in 32 bits',
      'init',
      'ia32',
      [
        { op: 'pointer', address: 0xffff_ffffn },
        { op: 'pointer', by: 1 },
      ],
    ],
    [
      'not around, in 64 bits',
      'rejected',
      'x86_64',
      [
        { op: 'pointer', address: 0xffff_ffffn },
        { op: 'pointer', by: 1 },
      ],
    ],
  ])('%s: %s', (_, end, abi, edit) => {
    expect(predicted(edit, abi).end).toBe(end)
  })
})

describe('MXCSR where the kernel’s buffers are compacted, and where not', () => {
  const mxcsr = (edit: EditOp[], abi: Abi, compacts: boolean) => {
    const end = predicted(edit, abi, taskFor(compacts))
    return 'registers' in end ? end.registers.mxcsr : end.end
  }
  const { mxcsr: own } = randomImage(layout, { seed: 5 })

  test('64-bit, without AVX in the mask', () => {
    const edit: EditOp[] = [{ op: 'set', field: 'sw.xfeatures', value: 3 }]
    expect([mxcsr(edit, 'x86_64', true), mxcsr(edit, 'x86_64', false)]).toEqual([own, 0x1f80])
  })

  test('32-bit, without SSE in XSTATE_BV', () => {
    const edit: EditOp[] = [{ op: 'set', field: 'xstateBv', value: 1 }]
    expect([mxcsr(edit, 'ia32', true), mxcsr(edit, 'ia32', false)]).toEqual([0x1f80, own])
  })

  test.each([
    ['XSAVES', 8, true],
    ['XSAVEC alone', 2, true],
    ['XSAVEOPT alone', 1, false],
  ])('a CPU with %s', (_, xsaveFeatures, compacts) => {
    const { probe } = simulatedProbe({ layout, xsaves: true, generation: 'classic' })
    const cpu = { ...probe.cpu, xsaveFeatures }
    expect(taskOf({ ...probe, cpu } as never, null).compacts).toBe(compacts)
  })
})

describe('AVX-512 without AVX', () => {
  const loaded = (names: readonly ComponentName[], abi: Abi, keepsZmmHi256: boolean) => {
    const end = predicted(shrinkTo(layout, names), abi, { ...taskFor(false), keepsZmmHi256 })
    return 'registers' in end ? end.registers.loaded : end.end
  }

  test.each<[readonly ComponentName[], Abi, bigint]>([
    [['zmm_hi256'], 'x86_64', 0x3n],
    [['opmask', 'zmm_hi256', 'hi16_zmm'], 'x32', 0xa3n],
    [['avx', 'zmm_hi256'], 'x86_64', 0x47n],
    [['opmask'], 'x86_64', 0x23n],
    // Loaded at once, with AVX at init.
    [['zmm_hi256'], 'ia32-rt', 0x43n],
    [['zmm_hi256'], 'ia32', 0x43n],
  ])('%s of %s, where ZMM_Hi256 goes to init with AVX', (names, abi, left) => {
    expect(loaded(names, abi, false)).toBe(left)
    expect(loaded(names, abi, true)).toBe(maskOf(names) | 3n)
  })
})

describe('a CPU without XSAVE', () => {
  const task = taskFor(false, known('nehalem'))

  test.each<[Abi, EditOp[]]>([
    ['x86_64', []],
    ['ia32', []],
    ['ia32', [{ op: 'set', field: 'mxcsr', value: 0x1f80 }]],
  ])('%s: the legacy region is restored', (abi, edit) => {
    expect(predicted(edit, abi, task).end).toBe('fx-only')
  })

  test('odd words of a 32-bit frame are asked of FXRSTOR', () => {
    const end = predicted([{ op: 'set', field: 'fsave.cw', value: 0 }], 'ia32', task)
    expect(end).toMatchObject({ end: 'ask', ask: { instruction: 'fxrstor' } })
    if (end.end === 'ask') expect(end.ask.bytes).toHaveLength(512)
  })
})

describe('a rule that is left out', () => {
  const draw = createGrammar({
    layout,
    limits: limitsOfLayout(layout),
    abis: ['x86_64', 'ia32-rt', 'ia32'],
    loads: 1,
    poisons: 1,
    isolatedShare: 0.2,
  })

  test.each(dispensable)(
    '%s: whatever the frame is, something is said, and of some frame another thing',
    rule => {
      const full = isMade(policy, rule) ? policy : generationOf('portable').policy
      const less = leavingOut(full, rule)
      expect(isMade(full, rule)).toBe(true)
      expect(isMade(less, rule)).toBe(false)
      const random = createRandom(11)
      let others = 0
      for (let i = 0; i < 3000; i++) {
        const { abi, edit } = draw(random)
        const [all, some] = [full, less].map(by => predicted([...edit], abi, taskFor(true), by, 'fault').end)
        if (all !== some) others += 1
      }
      expect(others).toBeGreaterThan(0)
    },
  )
})
