/** What trials conclude, from sessions that answer as told: every finding has to be earned. */
import { afterEach, describe, expect, test, vi } from 'vitest'
import { abis } from '../../lib/frame/abi.ts'
import type { EditOp } from '../../lib/frame/edit.ts'
import type { CaseContext, TrialCase } from '../../lib/harness/selftest.ts'
import { countEvictions } from '../../lib/harness/trials/evictions.ts'
import { keysAfter, keysOf } from '../../lib/harness/trials/keys.ts'
import { deliverable, refusedBelow } from '../../lib/harness/trials/stacks.ts'
import { switchAmongThreads } from '../../lib/harness/trials/switches.ts'
import type { ProbeRequest } from '../../lib/probe/request.ts'
import type { Seen } from '../../lib/probe/result.ts'
import type { Probe } from '../../lib/probe/session.ts'
import type { XsaveImage } from '../../lib/xstate/image.ts'
import { randomImage } from '../../lib/xstate/random.ts'
import { contextOf, machineNamed } from '../contract/simulated-cases.ts'
import type { Slip } from '../contract/simulated-kernel.ts'
import { simulatedProbe } from '../contract/simulated-probe.ts'

const machine = machineNamed('zen4')
const { layout } = machine
const context: CaseContext = contextOf(layout)
const { probe: session } = simulatedProbe({ ...machine, generation: 'classic' })

const sessionWith = (methods: object): Probe => ({ ...session, ...methods }) as unknown as Probe

describe('how large an alternate stack must be', () => {
  const needed = 3337
  const least = 2048

  /** A kernel whose frames need so many bytes. */
  const onStacks = (change: (bytes: number) => object | null = () => null) => {
    const asked: number[] = []
    const runSync = (request: ProbeRequest): Seen => {
      const { stack, ...rest } = request
      const bytes = stack?.bytes ?? 0
      asked.push(bytes)
      const changed = change(bytes)
      if (changed !== null) return changed as Seen
      if (bytes < least) return { kind: 'refused', call: 'sigaltstack', errno: 'ENOMEM' }
      if (bytes < needed)
        return { kind: 'signal', where: 'delivery', signal: 'SIGSEGV', siCode: 128, siAddr: 0n }
      return session.runSync(rest)
    }
    return { probe: sessionWith({ runSync }), asked }
  }

  describe('deliverable', () => {
    test('tells what is really needed, to the byte', () => {
      const { probe, asked } = onStacks()
      expect(deliverable(probe, context, 11_952)).toEqual({
        observed: 'as-stated',
        text: `AT_MINSIGSTKSZ is ${context.cpu.minSignalStack}, ${needed} are enough`,
      })
      expect(asked).toContain(needed)
      expect(asked).toContain(needed - 1)
      expect(Math.max(...asked)).toBe(11_952)
    })

    test('AT_MINSIGSTKSZ that is just enough, and one that is one byte short', () => {
      expect(deliverable(onStacks().probe, context, needed)).toMatchObject({ observed: 'as-stated' })
      expect(deliverable(onStacks().probe, context, needed - 1)).toEqual({
        observed: 'unexplained',
        text: `with ${needed - 1} bytes: SIGSEGV at delivery`,
      })
    })

    test('a frame that comes back without a component is not whole', () => {
      const fxOnly: EditOp[] = [{ op: 'set', field: 'sw.magic1', value: 0 }]
      const runSync = ({ stack, ...rest }: ProbeRequest) => session.runSync({ ...rest, edit: fxOnly })
      expect(deliverable(sessionWith({ runSync }), context, 11_952)).toEqual({
        observed: 'unexplained',
        text: 'with 11952 bytes: returned',
      })
    })

    test('what is lost, or refused, is told', () => {
      const timeout = onStacks(() => ({ kind: 'timeout', timeoutMs: 1 }))
      expect(deliverable(timeout.probe, context, 4096)).toMatchObject({ text: 'with 4096 bytes: timeout' })
      const refused = onStacks(() => ({ kind: 'refused', call: 'sigaltstack', errno: 'EPERM' }))
      expect(deliverable(refused.probe, context, 4096)).toMatchObject({
        text: 'with 4096 bytes: sigaltstack: EPERM',
      })
    })
  })

  describe('refusedBelow', () => {
    test('one byte, and one less than enough', () => {
      const { probe, asked } = onStacks()
      expect(refusedBelow(probe, context, least)).toEqual({
        observed: 'as-stated',
        text: '1 and 2047 bytes: ENOMEM',
      })
      expect(asked).toEqual([1, 2047])
    })

    test.each([
      [{ kind: 'refused', call: 'sigaltstack', errno: 'EINVAL' }, 'sigaltstack: EINVAL'],
      [{ kind: 'refused', call: 'fork', errno: 'ENOMEM' }, 'fork: ENOMEM'],
      [{ kind: 'signal', where: 'delivery', signal: 'SIGSEGV' }, 'SIGSEGV at delivery'],
      [{ kind: 'returned' }, 'returned'],
    ])('not where %o', (seen, told) => {
      for (const at of [1, 2047]) {
        const { probe } = onStacks(bytes => (bytes === at ? seen : null))
        expect(refusedBelow(probe, context, least)).toEqual({
          observed: 'unexplained',
          text: `with ${at} bytes: ${told}`,
        })
      }
    })
  })

  test.each(abis)('%s: frames of the context’s ABI, with all components in use', abi => {
    const requests: ProbeRequest[] = []
    const runSync = (request: ProbeRequest): Seen => {
      requests.push(request)
      return { kind: 'refused', call: 'sigaltstack', errno: 'ENOMEM' }
    }
    refusedBelow(sessionWith({ runSync }), { ...context, abi }, least)
    for (const request of requests) {
      expect(request.abi).toBe(abi)
      expect((request.load as XsaveImage).xstateBv).toBe(layout.features)
    }
    expect(requests).toHaveLength(2)
  })
})

describe('context switches', () => {
  type Switched = ReturnType<Probe['contextSwitches']>
  const switching = (give: (images: readonly XsaveImage[], rounds: number) => Switched) =>
    switchAmongThreads(sessionWith({ contextSwitches: give }), { ...context, components: ['avx'] })

  test('every thread has its own values, and the CPU changed hands', () => {
    let asked: { images: readonly XsaveImage[]; rounds: number } | undefined
    const found = switching((images, rounds) => {
      asked = { images, rounds }
      return { after: images.map(one => one.clone()), switches: 100 }
    })
    expect(found).toEqual({ observed: 'as-stated', text: '5 threads, 100 switches each and more' })
    const values = asked?.images.map(({ bytes }) => Buffer.from(bytes).toString('hex'))
    expect(new Set(values).size).toBe(5)
    for (const { xstateBv } of asked?.images ?? []) expect(xstateBv).toBe(7n)
    expect(asked?.rounds).toBeGreaterThan(0)
  })

  test('threads that could not be had, or did not switch, tell nothing', () => {
    expect(switching(() => null)).toEqual({ unable: 'the threads could not be started' })
    for (const switches of [0, 1, 2])
      expect(switching(images => ({ after: images, switches }))).toEqual({
        unable: expect.stringMatching(new RegExp(`^the CPU changed hands ${switches} times in \\d+ rounds$`)),
      })
  })

  test('a thread with another’s values', () => {
    const found = switching(images => {
      const after = images.map(one => one.clone())
      after[2]?.component('avx').set((images[3] as XsaveImage).component('avx'))
      return { after, switches: 100 }
    })
    expect(found).toEqual({ observed: 'unexplained', text: 'not as before: avx of thread 2' })
  })

  test('a component that was not in use, and MXCSR', () => {
    const found = switching(images => {
      const after = images.map(one => one.clone())
      const first = after[0] as XsaveImage
      first.pkru = 4
      first.xstateBv |= 1n << 9n
      ;(after[4] as XsaveImage).mxcsr = 0x1f80
      return { after, switches: 100 }
    })
    expect(found).toEqual({
      observed: 'unexplained',
      text: 'not as before: pkru of thread 0, mxcsr of thread 4',
    })
  })
})

describe('protection keys behind a return that restored nothing', () => {
  const defaultKeys = 0x5555_5554
  const rejecting: readonly EditOp[] = [{ op: 'or', field: 'xcompBv', value: 1 }]
  const nowhere: readonly EditOp[] = [{ op: 'pointer', address: 0n }]
  const onKernel = (
    edit: readonly EditOp[],
    abi = context.abi,
    slip?: Slip,
  ): ReturnType<TrialCase['trial']> =>
    keysAfter(edit, defaultKeys)(simulatedProbe({ ...machine, generation: 'classic', slip }).probe, {
      ...context,
      abi,
    })

  test.each(abis)('%s: the kernel’s default', abi => {
    for (const edit of [rejecting, nowhere])
      expect(onKernel(edit, abi)).toEqual({
        observed: 'as-stated',
        text: 'PKRU is 0x55555554 afterwards',
      })
  })

  test('other keys are told', () => {
    expect(onKernel(rejecting, 'x86_64', 'a rejection leaves the registers')).toMatchObject({
      observed: 'unexplained',
    })
    expect(onKernel(nowhere, 'x86_64', 'NULL keeps the registers')).toMatchObject({ observed: 'unexplained' })
    expect(onKernel([])).toMatchObject({ observed: 'unexplained' })
  })

  test.each([
    [{ kind: 'timeout' }, 'timeout'],
    [{ kind: 'died', where: 'sigreturn' }, 'died'],
    [{ kind: 'signal', where: 'after' }, 'signal'],
    [{ kind: 'signal', where: 'delivery' }, 'signal'],
  ])('%o is no answer to the frame', (seen, kind) => {
    expect(keysAfter(rejecting, defaultKeys)(sessionWith({ runSync: () => seen }), context)).toEqual({
      observed: 'unexplained',
      text: `${kind} instead of an answer to the frame`,
    })
  })

  test('keysOf reads the four bytes that are keys', () => {
    const image = randomImage(layout, { seed: 1 })
    image.pkru = 0x1234_5678
    image.component('pkru').fill(0xff, 4)
    expect(keysOf(image)).toBe(0x1234_5678)
  })
})

describe('evictions', () => {
  afterEach(() => {
    vi.restoreAllMocks()
  })

  const edit: readonly EditOp[] = [{ op: 'move' }, { op: 'pages', at: 0, length: 1, state: 'contended' }]

  /** A clock on which every batch takes so many milliseconds. */
  const clock = (batchMs: number) => {
    let now = 0
    vi.spyOn(performance, 'now').mockImplementation(() => now)
    return () => {
      now += batchMs
    }
  }

  const racing = (batchMs: number, results: (nth: number) => { done: number; refused: number } | null) => {
    const tick = clock(batchMs)
    let batches = 0
    const tries: number[] = []
    const prepared: ProbeRequest[] = []
    const probe = sessionWith({
      prepare: (request: ProbeRequest) => {
        prepared.push(request)
        return request
      },
      runSync: () => ({ kind: 'returned' }),
      repeat: (_: unknown, count: number) => {
        tick()
        tries.push(count)
        batches += 1
        return results(batches)
      },
    })
    return { found: countEvictions(probe, { ...context, abi: 'x32' }, edit), tries, prepared }
  }

  test('are counted until the time is over', () => {
    const { found, tries, prepared } = racing(1000, nth => ({ done: 20_000, refused: nth }))
    expect(found).toEqual({ observed: 'as-stated', text: '15 of 100000 good frames were rejected' })
    // So slow a machine is asked for no more than the first time.
    expect(tries).toEqual([250, 250, 250, 250, 250])
    expect(prepared).toEqual([{ abi: 'x32', load: expect.anything(), edit }])
  })

  test('more at once where that is quick', () => {
    const { tries } = racing(100, () => ({ done: 1, refused: 0 }))
    expect(tries.slice(0, 8)).toEqual([250, 500, 1000, 2000, 4000, 8000, 16_000, 20_000])
    expect(new Set(tries.slice(8))).toEqual(new Set([20_000]))
    expect(tries).toHaveLength(50)
  })

  test('none at all tells nothing', () => {
    expect(racing(5000, () => ({ done: 0, refused: 0 })).found).toEqual({
      unable: 'no frame was returned from in time',
    })
  })

  test('no rejection is as good a number as any', () => {
    expect(racing(5000, () => ({ done: 7, refused: 0 })).found).toEqual({
      observed: 'as-stated',
      text: '0 of 7 good frames were rejected',
    })
  })

  test('one that does not come to its end is no number', () => {
    const { found } = racing(1000, nth => (nth < 3 ? { done: 10, refused: 1 } : null))
    expect(found).toEqual({ observed: 'unexplained', text: 'after 20 tries one did not come to its end' })
  })

  test('what the host refuses is not counted', () => {
    const runSync = () => ({ kind: 'refused', call: 'other CPU', errno: 'ENODEV' })
    const repeat = () => {
      throw new Error('repeated')
    }
    expect(countEvictions(sessionWith({ runSync, repeat }), context, edit)).toEqual({
      unable: 'other CPU is refused here with ENODEV',
    })
  })
})
