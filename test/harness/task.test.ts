/** What the model is told of a session's task, and how the CPU answers it, here and as others would. */
import { beforeEach, describe, expect, it, type TestContext } from 'vitest'
import type { HardwareAsk } from '../../lib/contract/predict/hardware.ts'
import { askHardware, type Hardware, type Question, taskOf } from '../../lib/harness/task.ts'
import type { Probe } from '../../lib/probe/session.ts'
import type { XrstorAnswer, XrstorAsk } from '../../lib/probe/xrstor.ts'
import { diffComponents } from '../../lib/xstate/compare.ts'
import { initImage, initMxcsr, XsaveImage } from '../../lib/xstate/image.ts'
import { randomImage } from '../../lib/xstate/random.ts'
import { needsProbes, session } from '../probe/support.ts'
import { known } from '../xstate/arbitrary.ts'

const askOf = (change: Partial<HardwareAsk> & Pick<HardwareAsk, 'bytes'>): HardwareAsk => ({
  instruction: 'xrstor',
  mask: 7n,
  misalignedBy: 0,
  endsAt: null,
  ...change,
})

/** A CPU that answers so. */
const cpuSaying = (
  answer: (ask: XrstorAsk) => XrstorAnswer,
): Hardware & { readonly asked: XrstorAsk[][] } => {
  const asked: XrstorAsk[][] = []
  return {
    layout: known('skylake-sp'),
    asked,
    xrstor: asks => {
      asked.push([...asks])
      return asks.map(answer)
    },
  }
}

const image = initImage(known('skylake-sp'))
const question: Question = { ask: askOf({ bytes: image.bytes }), before: image }

describe('answers of a CPU, in the words of the model', () => {
  it.each<[string, XrstorAnswer, unknown]>([
    ['what was loaded', { kind: 'loaded', after: image.bytes }, image.bytes],
    ['#GP', { kind: 'fault', signal: 'SIGSEGV', siCode: 128 }, 'fault'],
    ['#PF', { kind: 'fault', signal: 'SIGSEGV', siCode: 2 }, 'page fault'],
    ['#AC, which some have instead of #GP', { kind: 'fault', signal: 'SIGBUS', siCode: 1 }, 'fault'],
    ['nothing, since the process was lost', { kind: 'lost' }, null],
  ])('%s', (_, answer, wanted) => {
    expect(
      askHardware(
        cpuSaying(() => answer),
        [question],
      ),
    ).toEqual([wanted])
  })

  it('are to one handful of questions; an end says where the bytes lie', () => {
    const cpu = cpuSaying(() => ({ kind: 'lost' }))
    const ends = { ask: askOf({ bytes: image.bytes, misalignedBy: 4, endsAt: 700 }), before: image }
    const away = { ask: askOf({ bytes: image.bytes, misalignedBy: 8 }), before: image }
    askHardware(cpu, [question, ends, away])
    expect(cpu.asked).toHaveLength(1)
    const [first, second, third] = cpu.asked[0] as [XrstorAsk, XrstorAsk, XrstorAsk]
    expect(first).toEqual({
      instruction: 'xrstor',
      bytes: image.bytes,
      mask: 7n,
      misalignedBy: 0,
      before: image,
    })
    expect(second).toEqual({
      instruction: 'xrstor',
      bytes: image.bytes,
      mask: 7n,
      endsAt: 700,
      before: image,
    })
    expect(third.misalignedBy).toBe(8)
    expect('endsAt' in third).toBe(false)
  })

  it('are none where nothing is asked: the CPU is left alone', () => {
    const cpu = cpuSaying(() => ({ kind: 'lost' }))
    expect(askHardware(cpu, [])).toEqual([])
    expect(cpu.asked).toEqual([])
  })

  it('do not hide what else goes wrong', () => {
    const broken: Hardware = {
      layout: image.layout,
      xrstor: () => {
        throw new TypeError('broken')
      },
    }
    expect(() => askHardware(broken, [question, question])).toThrow(new TypeError('broken'))
  })

  it('are missing for one that is refused alone', () => {
    const choosy: Hardware = {
      layout: image.layout,
      xrstor: asks => {
        if (asks.some(({ mask }) => mask === 1n)) throw new RangeError('refused')
        return asks.map(() => ({ kind: 'fault', signal: 'SIGSEGV', siCode: 128 }))
      },
    }
    const refused = { ask: askOf({ bytes: image.bytes, mask: 1n }), before: image }
    expect(askHardware(choosy, [refused])).toEqual([null])
    expect(askHardware(choosy, [question, refused, question])).toEqual(['fault', null, 'fault'])
  })
})

describe('the task', () => {
  const probeOf = (
    layoutName: 'skylake-sp' | 'sse-only' | 'nehalem',
    xsaveFeatures: number,
    mxcsr: number,
  ) => {
    const layout = known(layoutName)
    const after = randomImage(layout, { seed: 3 })
    after.mxcsr = mxcsr
    const cpu = { xsaveFeatures } as Probe['cpu']
    return {
      layout,
      cpu,
      xrstor: (asks: readonly XrstorAsk[]) =>
        asks.map(() => ({ kind: 'loaded', after: after.bytes }) as const),
    }
  }

  it.each<[string, ReturnType<typeof probeOf>, boolean, boolean]>([
    ['a CPU as the manual has it', probeOf('skylake-sp', 15, initMxcsr), true, true],
    ['one that leaves MXCSR to SSE', probeOf('skylake-sp', 15, 0x1fbf), true, false],
    ['one without XSAVES, but with XSAVEC', probeOf('skylake-sp', 7, initMxcsr), true, true],
    ['one without either', probeOf('skylake-sp', 5, initMxcsr), false, true],
    ['one without AVX', probeOf('sse-only', 0, initMxcsr), false, false],
    ['one without XSAVE', probeOf('nehalem', 0, initMxcsr), false, false],
  ])('%s', (_, probe, compacts, avxLoadsMxcsr) => {
    expect(taskOf(probe)).toEqual({ layout: probe.layout, compacts, avxLoadsMxcsr, keepsPointers: false })
  })

  it('of a CPU that loads all as it is', () => {
    const { layout } = image
    const probe: Parameters<typeof taskOf>[0] = {
      layout,
      cpu: { xsaveFeatures: 8 } as Probe['cpu'],
      xrstor: asks => asks.map(({ bytes }) => ({ kind: 'loaded', after: bytes.slice() })),
    }
    expect(taskOf(probe)).toEqual({ layout, compacts: true, avxLoadsMxcsr: true, keepsPointers: true })
    for (const spoilt of [2 + 4, 8, 16]) {
      const other: typeof probe = {
        ...probe,
        xrstor: asks =>
          asks.map(({ bytes, mask }) => {
            const after = bytes.slice()
            if (mask === 1n) after[spoilt] = 0xee
            return { kind: 'loaded', after }
          }),
      }
      expect(taskOf(other)).toMatchObject({ avxLoadsMxcsr: true, keepsPointers: false })
    }
  })

  it('of a CPU that leaves MXCSR as it was: what it was is told from what is loaded', () => {
    const { layout } = image
    const probe: Parameters<typeof taskOf>[0] = {
      layout,
      cpu: { xsaveFeatures: 8 } as Probe['cpu'],
      xrstor: asks =>
        asks.map(({ bytes, before, mask }) => {
          const after = new XsaveImage(bytes.slice(), layout)
          if ((mask & 2n) === 0n) after.mxcsr = (before as XsaveImage).mxcsr
          return { kind: 'loaded', after: after.bytes }
        }),
    }
    expect(taskOf(probe).avxLoadsMxcsr).toBe(false)
  })

  it('of a CPU that does not load its own init image is not told', () => {
    const { layout } = image
    const probe: Parameters<typeof taskOf>[0] = {
      layout,
      cpu: { xsaveFeatures: 0 } as Probe['cpu'],
      xrstor: asks => asks.map(() => ({ kind: 'lost' })),
    }
    expect(() => taskOf(probe)).toThrow(new Error('this CPU does not load its own init image'))
  })
})

describe('a live session', () => {
  beforeEach(needsProbes)

  const xsaveSession = (ctx: TestContext): Probe => {
    const probe = session({}, ctx)
    if (!probe.layout.xsave) ctx.skip('this host has no XSAVE')
    return probe
  }

  it('tells its task, the same each time', ctx => {
    const probe = session({}, ctx)
    const task = taskOf(probe)
    expect(task.layout).toBe(probe.layout)
    expect(task.compacts).toBe((probe.cpu.xsaveFeatures & 10) !== 0)
    expect(taskOf(probe)).toEqual(task)
    if (!probe.layout.has('avx')) expect(task.avxLoadsMxcsr).toBe(false)
  })

  it('has a CPU that keeps where an exception was', ctx => {
    const probe = xsaveSession(ctx)
    if (probe.cpu.hypervisor === 'TCGTCGTCGTCG') ctx.skip('this emulated CPU need not')
    expect(taskOf(probe).keepsPointers).toBe(true)
  })

  it('has a CPU that loads MXCSR for AVX alone', ctx => {
    const probe = xsaveSession(ctx)
    if (!probe.layout.has('avx')) ctx.skip('this task has no AVX')
    if (probe.cpu.hypervisor === 'TCGTCGTCGTCG') ctx.skip('this emulated CPU need not')
    expect(taskOf(probe).avxLoadsMxcsr).toBe(true)
  })

  it('answers: what it loads, what it refuses, and what is behind the end', ctx => {
    const probe = xsaveSession(ctx)
    const { layout } = probe
    const good = randomImage(layout, { seed: 1 })
    const before = randomImage(layout, { seed: 2 })
    const bad = good.bytes.slice()
    bad[528] = 1
    const mask = layout.features
    const answers = askHardware(probe, [
      { ask: askOf({ bytes: good.bytes, mask }), before },
      { ask: askOf({ bytes: bad, mask }), before },
      { ask: askOf({ bytes: good.bytes, mask, endsAt: 512 }), before },
      { ask: askOf({ bytes: good.bytes, mask, misalignedBy: 1 }), before },
    ])
    expect(answers.slice(1)).toEqual(['fault', 'page fault', 'fault'])
    expect(diffComponents(answers[0] as Uint8Array, good.bytes, layout)).toEqual([])
  })

  it('has no answer to what would close its memory, and answers the others', ctx => {
    const probe = xsaveSession(ctx)
    const { layout } = probe
    if (!layout.has('pkru')) ctx.skip('this task has no protection keys')
    const before = initImage(layout)
    const closing = randomImage(layout, { seed: 1 }).bytes.slice()
    closing[layout.offset('pkru')] = 1
    const asks = Array.from({ length: 5 }, (_, i) => {
      const one = randomImage(layout, { seed: 10 + i })
      return {
        one,
        question: { ask: askOf({ bytes: i === 2 ? closing : one.bytes, mask: layout.features }), before },
      }
    })
    const { pid } = probe
    const answers = askHardware(
      probe,
      asks.map(({ question: q }) => q),
    )
    expect(answers.map(answer => answer === null)).toEqual([false, false, true, false, false])
    for (const [i, { one }] of asks.entries()) {
      if (i === 2) continue
      const after = new XsaveImage(answers[i] as Uint8Array, layout)
      expect(diffComponents(after.bytes, one.bytes, layout)).toEqual([])
    }
    expect(probe.pid).toBe(pid)
  })
})
