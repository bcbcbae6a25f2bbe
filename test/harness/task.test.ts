/** What the model is told of a session's task, and how the CPU answers it, here and as others would. */
import { readFileSync } from 'node:fs'
import { beforeEach, describe, expect, it, type TestContext } from 'vitest'
import type { HardwareAsk } from '../../lib/contract/predict/hardware.ts'
import {
  askHardware,
  type Hardware,
  keepsZmmHi256,
  type Question,
  taskOf,
  traitsOf,
} from '../../lib/harness/task.ts'
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
    ['a CPU that loads MXCSR for AVX', probeOf('skylake-sp', 15, initMxcsr), true, true],
    ['one that leaves MXCSR to SSE', probeOf('skylake-sp', 15, 0x1fbf), true, false],
    ['one without XSAVES, but with XSAVEC', probeOf('skylake-sp', 7, initMxcsr), true, true],
    ['one without either', probeOf('skylake-sp', 5, initMxcsr), false, true],
    ['one without AVX', probeOf('sse-only', 0, initMxcsr), false, false],
    ['one without XSAVE', probeOf('nehalem', 0, initMxcsr), false, false],
  ])('%s', (_, probe, compacts, avxLoadsMxcsr) => {
    const { layout } = probe
    // The one answer that they have to everything holds another ZMM_Hi256.
    const keepsZmmHi256 = !layout.has('zmm_hi256')
    expect(taskOf(probe, null)).toEqual({
      layout,
      compacts,
      avxLoadsMxcsr,
      keepsPointers: false,
      keepsZmmHi256,
    })
  })

  it('of a CPU that loads all as it is', () => {
    const { layout } = image
    const probe: Parameters<typeof taskOf>[0] = {
      layout,
      cpu: { xsaveFeatures: 8 } as Probe['cpu'],
      xrstor: asks => asks.map(({ bytes }) => ({ kind: 'loaded', after: bytes.slice() })),
    }
    expect(taskOf(probe, null)).toMatchObject({
      layout,
      compacts: true,
      avxLoadsMxcsr: true,
      keepsPointers: true,
    })
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
      expect(taskOf(other, null)).toMatchObject({ avxLoadsMxcsr: true, keepsPointers: false })
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
    expect(taskOf(probe, null).avxLoadsMxcsr).toBe(false)
  })

  it('of a CPU that does not load its own init image is not told', () => {
    const { layout } = image
    const probe: Parameters<typeof taskOf>[0] = {
      layout,
      cpu: { xsaveFeatures: 0 } as Probe['cpu'],
      xrstor: asks => asks.map(() => ({ kind: 'lost' })),
    }
    expect(() => taskOf(probe, null)).toThrow(new Error('this CPU does not load its own init image'))
  })
})

describe('whether the kernel compacts its buffers', () => {
  const flags = (some: string): string => `processor\t: 0\nflags\t\t: fpu ${some}\nbugs\t\t: xsaves xsavec\n`
  const compacts = (xsaveFeatures: number, cpuinfo?: string | null): boolean => {
    const layout = known('sse-only')
    const probe = { layout, cpu: { xsaveFeatures }, xrstor: () => [{ kind: 'lost' }] }
    return taskOf(probe as unknown as Parameters<typeof taskOf>[0], cpuinfo).compacts
  }
  /** Of this kernel; empty where nobody tells. */
  const ownFlags = (): Set<string> => {
    try {
      const [flags = ''] = /^flags\s*:.*$/m.exec(readFileSync('/proc/cpuinfo', 'utf8')) ?? []
      return new Set(flags.split(/\s+/).filter(flag => flag !== ''))
    } catch {
      return new Set()
    }
  }

  it.each<[string, number, string | null, boolean]>([
    ['both are used', 15, flags('xsaveopt xsavec xgetbv1 xsaves avx_vnni'), true],
    ['XSAVES alone is, the last of the flags', 15, flags('xsaveopt xgetbv1 xsaves'), true],
    ['XSAVEC alone is, by noxsaves', 15, flags('xsaveopt xsavec xgetbv1'), true],
    ['neither is, though the CPU has both', 15, flags('xsave xsaveopt xgetbv1'), false],
    ['no flag is one of them as a whole', 15, flags('xsavecs nxsaves xsaves_'), false],
    ['both are used, though CPUID shows neither', 0, flags('xsavec xsaves'), true],
    ['nobody says, and the CPU has both', 15, null, true],
    ['nobody says, and the CPU has neither', 5, null, false],
    ['no flags are told, and the CPU has both', 15, 'processor\t: 0\n', true],
    ['no flags are told, and the CPU has neither', 5, '', false],
  ])('%s', (_, xsaveFeatures, cpuinfo, wanted) => {
    expect(compacts(xsaveFeatures, cpuinfo)).toBe(wanted)
  })

  it('is what this kernel’s own flags say, whatever CPUID does', ctx => {
    const flags = ownFlags()
    if (flags.size === 0) ctx.skip('/proc/cpuinfo has no flags')
    const wanted = flags.has('xsaves') || flags.has('xsavec')
    expect([compacts(0), compacts(15)]).toEqual([wanted, wanted])
  })
})

describe('whether ZMM_Hi256 is kept where AVX is put to init', () => {
  const layout = known('ice-lake-sp')
  /** A CPU that does so with what its registers hold. */
  const cpuDoing = (change: (after: XsaveImage) => void) => {
    const asked: XrstorAsk[] = []
    const xrstor = (asks: readonly XrstorAsk[]): XrstorAnswer[] => {
      asked.push(...asks)
      return asks.map(({ before }) => {
        const after = (before as XsaveImage).clone()
        change(after)
        return { kind: 'loaded', after: after.bytes }
      })
    }
    return { layout, xrstor, asked }
  }
  const { offset, end, mask } = layout.component('zmm_hi256')

  it.each<[string, (after: XsaveImage) => void, boolean]>([
    ['it is', () => {}, true],
    [
      'the half that lies with AVX-512 is lost: zeros',
      ({ bytes }) => {
        bytes.fill(0, offset, end)
      },
      false,
    ],
    [
      'it is at init by XSTATE_BV',
      after => {
        after.xstateBv &= ~mask
      },
      false,
    ],
    [
      'a byte of the last register is another',
      ({ bytes }) => {
        bytes[end - 1] = (bytes[end - 1] as number) ^ 1
      },
      false,
    ],
    [
      'what lies beside it is another',
      ({ bytes }) => {
        bytes.fill(1, layout.offset('avx'), layout.end('avx'))
        bytes.fill(1, end, layout.end('hi16_zmm'))
      },
      true,
    ],
  ])('%s', (_, change, kept) => {
    expect(keepsZmmHi256(cpuDoing(change))).toBe(kept)
  })

  it('is asked once, with ZMM_Hi256 in use, AVX alone in the mask, and at init', () => {
    const cpu = cpuDoing(() => {})
    keepsZmmHi256(cpu)
    expect(cpu.asked).toHaveLength(1)
    const [{ mask: asked, bytes, before, instruction }] = cpu.asked as [XrstorAsk]
    expect([instruction, asked]).toEqual(['xrstor', 4n])
    expect(new XsaveImage(bytes, layout).xstateBv & 4n).toBe(0n)
    expect((before as XsaveImage).bytes.subarray(offset, end).some(byte => byte !== 0)).toBe(true)
    expect((before as XsaveImage).xstateBv & mask).toBe(mask)
  })

  it('is not asked of a task without it', () => {
    const xrstor = () => {
      throw new Error('asked')
    }
    for (const name of ['nehalem', 'haswell', 'alder-lake'] as const)
      expect(keepsZmmHi256({ layout: known(name), xrstor })).toBe(true)
  })

  it('is so where there is no answer', () => {
    expect(keepsZmmHi256({ layout, xrstor: asks => asks.map(() => ({ kind: 'lost' })) })).toBe(true)
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

  it('has a CPU that keeps ZMM_Hi256 without AVX', ctx => {
    const probe = xsaveSession(ctx)
    if (!probe.layout.has('zmm_hi256')) ctx.skip('this task has no AVX-512')
    expect(taskOf(probe).keepsZmmHi256).toBe(true)
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

describe('what is asked of a CPU without XSAVE', () => {
  it('is asked by FXRSTOR, and is what it says', () => {
    const asked: XrstorAsk[] = []
    const cpu = (answer: XrstorAnswer): Hardware => ({
      layout: known('nehalem'),
      xrstor: asks => {
        asked.push(...asks)
        return asks.map(() => answer)
      },
    })
    const { bytes } = initImage(known('nehalem'))
    expect(traitsOf(cpu({ kind: 'fault', signal: 'SIGSEGV', siCode: 128 })).checksMxcsr).toBe(true)
    expect(traitsOf(cpu({ kind: 'loaded', after: bytes })).checksMxcsr).toBe(false)
    expect(asked.every(({ instruction }) => instruction === 'fxrstor')).toBe(true)
  })
})
