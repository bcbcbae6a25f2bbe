/** What a traced process is asked, and what it answers. The kernel's part of it is the selftests' business. */
import { beforeEach, describe, expect, it, type TestContext } from 'vitest'
import type { RegsetAnswer, RegsetDone } from '../../lib/neighbours/ptrace/answer.ts'
import type { RegsetAsk } from '../../lib/neighbours/ptrace/ask.ts'
import type { Probe } from '../../lib/probe/session.ts'
import { diffComponents, sameMxcsr } from '../../lib/xstate/compare.ts'
import { randomImage } from '../../lib/xstate/random.ts'
import { childrenOf } from '../probe/procfs.ts'
import { needsProbes, returned, session } from '../probe/support.ts'
import { hostileValues } from '../xstate/arbitrary.ts'

beforeEach(needsProbes)

/** A session in which processes can be traced. */
const tracing = (ctx: TestContext, options?: Parameters<typeof session>[0]): Probe => {
  const probe = session(options)
  if (!probe.layout.xsave) ctx.skip('this host has no XSAVE')
  const answer = probe.regset({ loaded: [{ call: 'get' }] })
  if (answer.kind === 'refused') ctx.skip(`${answer.call} is refused here with ${answer.errno}`)
  const errno = answer.kind === 'done' ? answer.loaded[0]?.errno : null
  if (errno) ctx.skip(`PTRACE_GETREGSET is refused here with ${errno}`)
  return probe
}

const done = (answer: RegsetAnswer | undefined): RegsetDone => {
  if (answer?.kind !== 'done') throw new Error(`expected a second stop, not: ${JSON.stringify(answer)}`)
  return answer
}

const image = ({ layout }: Probe, seed: number) => randomImage(layout, { seed })

const sameRegisters = ({ layout }: Probe, a: Uint8Array, b: Uint8Array): void => {
  expect(diffComponents(a, b, layout)).toEqual([])
  expect(sameMxcsr(a, b)).toBe(true)
}

const readOf = (probe: Probe, seed: number): Uint8Array =>
  done(probe.regset({ load: image(probe, seed), loaded: [{ call: 'get' }] })).loaded[0]!.bytes

describe('a traced process', () => {
  it('has at its first stop what is loaded, at its second what was set', ctx => {
    const probe = tracing(ctx)
    const set = readOf(probe, 2)
    const answer = done(
      probe.regset({
        load: image(probe, 1),
        loaded: [{ call: 'get' }, { call: 'set', bytes: set }],
        ended: [{ call: 'get' }],
      }),
    )
    expect(answer.loaded.map(({ errno }) => errno)).toEqual([null, null])
    sameRegisters(probe, answer.loaded[0]!.bytes, image(probe, 1).bytes)
    sameRegisters(probe, answer.ended[0]!.bytes, image(probe, 2).bytes)
    sameRegisters(probe, answer.after.bytes, image(probe, 2).bytes)
    expect(answer.seen).toBeNull()
    expect(answer.succeeded).toBe(true)
  })

  it('has the init state where nothing is loaded', ctx => {
    const probe = tracing(ctx)
    const answer = done(probe.regset({}))
    expect(answer.loaded).toEqual([])
    expect(answer.ended).toEqual([])
    expect(answer.after.xstateBv & ~3n & ~(1n << 9n)).toBe(0n)
  })

  it('makes its calls in their order, those of both stops', ctx => {
    const probe = tracing(ctx)
    const sets = [2, 3, 4].map(seed => readOf(probe, seed))
    const answer = done(
      probe.regset({
        load: image(probe, 1),
        loaded: [
          { call: 'set', bytes: sets[0]! },
          { call: 'get' },
          { call: 'set', bytes: sets[1]! },
          { call: 'get' },
        ],
        ended: [{ call: 'get' }, { call: 'set', bytes: sets[2]! }, { call: 'get' }],
      }),
    )
    sameRegisters(probe, answer.loaded[1]!.bytes, image(probe, 2).bytes)
    sameRegisters(probe, answer.loaded[3]!.bytes, image(probe, 3).bytes)
    sameRegisters(probe, answer.ended[0]!.bytes, image(probe, 3).bytes)
    sameRegisters(probe, answer.ended[2]!.bytes, image(probe, 4).bytes)
    sameRegisters(probe, answer.after.bytes, image(probe, 3).bytes)
  })

  it.for(['x86_64', 'ia32-rt', 'ia32', 'x32'] as const)('has a %s signal in between', (abi, ctx) => {
    const probe = tracing(ctx)
    const lack = probe.lack(abi)
    if (lack !== null) ctx.skip(lack)
    const answer = done(probe.regset({ load: image(probe, 1), signal: { abi }, ended: [{ call: 'get' }] }))
    const seen = returned(answer.seen!)
    expect(seen.abi).toBe(abi)
    expect(seen.effect).toEqual([])
    sameRegisters(probe, seen.after.bytes, image(probe, 1).bytes)
    sameRegisters(probe, answer.ended[0]!.bytes, image(probe, 1).bytes)
  })

  it('survives a bad frame, and stops at the end all the same', ctx => {
    const probe = tracing(ctx)
    const answer = done(
      probe.regset({
        load: image(probe, 1),
        signal: { edit: [{ op: 'or', field: 'xcompBv', value: 1n << 63n }] },
        ended: [{ call: 'get' }],
      }),
    )
    expect(answer.seen).toMatchObject({ kind: 'signal', where: 'sigreturn', signal: 'SIGSEGV', siCode: 128 })
    expect(answer.ended[0]?.errno).toBeNull()
  })

  it('may lose access to its own memory: it dies, and the next one is another', ctx => {
    const probe = tracing(ctx)
    if (!probe.layout.has('pkru')) ctx.skip('this task has no protection keys')
    const set = readOf(probe, 2)
    set[519] = 0
    set[512 + 1] = set[513]! | 2
    set.fill(3, probe.layout.offset('pkru'), probe.layout.offset('pkru') + 1)
    const [first, second] = probe.regsets([
      { load: image(probe, 1), loaded: [{ call: 'set', bytes: set }] },
      { load: image(probe, 1), loaded: [{ call: 'get' }] },
    ])
    // Before Linux 6.2 PKRU was not heeded.
    if (first?.kind !== 'done')
      expect(first).toEqual({ kind: 'died', where: null, signal: 'SIGSEGV', code: null })
    sameRegisters(probe, done(second).loaded[0]!.bytes, image(probe, 1).bytes)
    expect(childrenOf(probe.pid)).toEqual([])
  })
})

describe('many questions', () => {
  it('are answered each by itself, over many batches, and the answers stay', ctx => {
    const probe = tracing(ctx)
    const seeds = Array.from({ length: 300 }, (_, i) => i + 1)
    const answers = probe.regsets(
      seeds.map(seed => ({
        load: image(probe, seed),
        loaded: [{ call: 'get' }],
        ...(seed % 7 === 0 ? { signal: {} } : {}),
        ended: [{ call: 'get' }],
      })),
    )
    // What was asked since has other places.
    probe.regsets(seeds.map(() => ({ loaded: [{ call: 'get' }] })))
    probe.runMany(seeds.map(() => ({})))
    expect(answers).toHaveLength(seeds.length)
    answers.forEach((answer, i) => {
      const { loaded, ended, after, seen } = done(answer)
      const { bytes } = image(probe, seeds[i]!)
      for (const one of [loaded[0]!.bytes, ended[0]!.bytes, after.bytes]) sameRegisters(probe, one, bytes)
      expect(seen !== null).toBe(seeds[i]! % 7 === 0)
    })
  })

  it('that were prepared are asked again as they are, whatever the caller did to the bytes', ctx => {
    const probe = tracing(ctx)
    const bytes = readOf(probe, 2)
    const ask = probe.prepareRegset({
      load: image(probe, 1),
      loaded: [{ call: 'set', bytes }],
      ended: [{ call: 'get' }],
    })
    bytes.fill(0xff)
    const other = probe.prepareRegset({ load: image(probe, 3), ended: [{ call: 'get' }] })
    const asks = Array.from({ length: 200 }, (_, i) => (i % 3 === 1 ? other : ask))
    for (let times = 0; times < 3; times++) {
      let visited = 0
      probe.eachRegset(asks, (answer, i) => {
        expect(i).toBe(visited++)
        sameRegisters(probe, done(answer).ended[0]!.bytes, image(probe, i % 3 === 1 ? 3 : 2).bytes)
      })
      expect(visited).toBe(asks.length)
    }
  })

  it('do not come between probes', ctx => {
    const probe = tracing(ctx)
    const load = image(probe, 5)
    const request = probe.prepare({ load })
    const kept = returned(probe.runSync(request))
    for (let i = 0; i < 3; i++) {
      probe.regsets(Array.from({ length: 130 }, () => ({ loaded: [{ call: 'get' as const }] })))
      for (const seen of probe.runMany(Array.from({ length: 130 }, () => request)))
        sameRegisters(probe, returned(seen).after.bytes, load.bytes)
    }
    sameRegisters(probe, kept.after.bytes, load.bytes)
    expect(kept.effect).toEqual([])
  })

  it('may be none', ctx => {
    expect(tracing(ctx).regsets([])).toEqual([])
  })
})

describe('calls', () => {
  it('have any size, also one that no buffer has', ctx => {
    const probe = tracing(ctx)
    const size = readOf(probe, 1).length
    const sizes = [0, 8, 9, size, size + 8, 2 ** 40, 2n ** 64n - 1n, 2n ** 64n - 8n]
    const { loaded } = done(
      probe.regset({
        load: image(probe, 1),
        loaded: sizes.map(one => ({ call: 'get', size: one }) as const),
      }),
    )
    expect(loaded.map(({ errno }) => errno)).toEqual([null, null, 'EINVAL', null, null, null, 'EINVAL', null])
    expect(loaded.map(one => one.bytes.length)).toEqual([0, 8, 0, size, size, size, 0, size])
    expect(loaded.map(({ overran }) => overran)).toEqual(sizes.map(() => false))
  })

  it('may be of the FXSAVE area', ctx => {
    const probe = tracing(ctx)
    const { loaded } = done(
      probe.regset({ load: image(probe, 1), loaded: [{ call: 'get', note: 'fp' }, { call: 'get' }] }),
    )
    expect(loaded[0]?.size).toBe(512n)
    expect(Buffer.compare(loaded[0]!.bytes.subarray(0, 416), loaded[1]!.bytes.subarray(0, 416))).toBe(0)
  })

  it('tell their errno', ctx => {
    const probe = tracing(ctx)
    const bytes = readOf(probe, 2)
    const answer = done(
      probe.regset({
        loaded: [
          { call: 'get', buffer: 'null' },
          { call: 'set', bytes, buffer: 'guard' },
          { call: 'set', bytes, size: 8 },
          { call: 'set', bytes, size: 7 },
        ],
      }),
    )
    expect(answer.loaded.map(({ errno }) => errno)).toEqual(['EFAULT', 'EFAULT', 'EFAULT', 'EINVAL'])
    expect(answer.succeeded).toBe(false)
  })
})

describe('nonsense is refused before anything runs', () => {
  const wrong: readonly (readonly [string, (probe: Probe) => unknown, string | RegExp])[] = [
    ['an unknown field', () => ({ regs: 1 }), 'ask.regs is 1, but it can have only load loaded signal ended'],
    ['no array of calls', () => ({ loaded: 'get' }), 'ask.loaded must be an array of calls, not "get"'],
    [
      'a call that is none',
      () => ({ ended: [{ call: 'peek' }] }),
      'ask.ended[0].call must be one of get set, not "peek"',
    ],
    ['a null call', () => ({ ended: [null] }), 'ask.ended[0] must be an object, not null'],
    [
      'nothing to set',
      () => ({ loaded: [{ call: 'set' }] }),
      'ask.loaded[0].bytes must be a Uint8Array, not undefined',
    ],
    [
      'bytes to read',
      () => ({ loaded: [{ call: 'get', bytes: 1 }] }),
      'ask.loaded[0].bytes is 1, but this call reads',
    ],
    [
      'a negative size',
      () => ({ loaded: [{ call: 'get', size: -8 }] }),
      /^ask\.loaded\[0\]\.size is -0x8, must be in 0x0/,
    ],
    [
      'a size of 65 bits',
      () => ({ loaded: [{ call: 'get', size: 2n ** 64n }] }),
      /^ask\.loaded\[0\]\.size is 0x1/,
    ],
    [
      'half a byte',
      () => ({ loaded: [{ call: 'get', size: 0.5 }] }),
      'ask.loaded[0].size must be an integer or a bigint, not 0.5',
    ],
    [
      'another note',
      () => ({ loaded: [{ call: 'get', note: 0x202 }] }),
      'ask.loaded[0].note must be one of xstate fp, not 514',
    ],
    [
      'another buffer',
      () => ({ loaded: [{ call: 'get', buffer: 0 }] }),
      'ask.loaded[0].buffer must be one of arena null guard, not 0',
    ],
    [
      'far too many bytes',
      () => ({ loaded: [{ call: 'set', bytes: new Uint8Array(1 << 20) }] }),
      /^ask\.loaded\[0\]\.bytes\.length is 1048576, must be in 0\.\./,
    ],
    [
      'too many calls',
      () => ({ loaded: new Array(9).fill({ call: 'get' }) }),
      'ask.loaded.length is 9, must be in 0..8',
    ],
    [
      'too many at both stops',
      () => ({ loaded: new Array(5).fill({ call: 'get' }), ended: new Array(4).fill({ call: 'get' }) }),
      /^ask\.ended\.length is 4, but there are 5 in loaded/,
    ],
    [
      'a signal from a timer',
      () => ({ signal: { raise: 'timer' } }),
      'ask.signal.raise must be one of tgkill tgkill32, not "timer"',
    ],
    [
      'a signal on another stack',
      () => ({ signal: { stack: { bytes: 9000 } } }),
      /^ask\.signal\.stack is an object, but it can have only/,
    ],
    ['a live edit', () => ({ signal: { edit: () => undefined } }), /^ask\.signal\.edit must be data/],
    [
      'an edit that wants a fork',
      () => ({ signal: { edit: [{ op: 'set', field: 'head.rip', value: 0n }] } }),
      /^ask\.signal\.edit is .* but the process is traced/,
    ],
    ['an image of another size', () => ({ load: new Uint8Array(3) }), /^ask\.load/],
    [
      'a question of another session',
      () => session().prepareRegset({}),
      /^ask must be prepared by this session/,
    ],
  ]

  it.each(wrong)('%s', (_, make, message) => {
    const probe = session()
    if (!probe.layout.xsave) return
    expect(() => probe.regset(make(probe) as RegsetAsk)).toThrow(
      typeof message === 'string'
        ? message.replace(/^ask/, 'asks[0]')
        : new RegExp(message.source.replace('^ask', '^asks\\[0\\]')),
    )
    expect(childrenOf(probe.pid)).toEqual([])
  })

  it('whatever a field is', () => {
    const probe = session()
    if (!probe.layout.xsave) return
    for (const value of hostileValues) {
      for (const ask of [
        value,
        { load: value },
        { loaded: value },
        { loaded: [value] },
        { loaded: [{ call: value }] },
        { loaded: [{ call: 'get', size: value }] },
        { loaded: [{ call: 'set', bytes: value }] },
        { signal: value },
        { signal: { abi: value } },
        { signal: { edit: value } },
      ]) {
        try {
          const answer = probe.regset(ask as RegsetAsk)
          expect(['done', 'refused']).toContain(answer.kind)
        } catch (error) {
          expect(error).toSatisfy(one => one instanceof TypeError || one instanceof RangeError)
        }
      }
    }
    for (const asks of [undefined, null, {}, 'abc', 7])
      expect(() => probe.regsets(asks as never)).toThrow(/^asks must be an array of questions/)
    expect(() => probe.eachRegset([], 1 as never)).toThrow(/^visit must be a function/)
  })
})
