/** Traced processes that end before they should, or may not be traced; and what is left of them, which is nothing. */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { beforeEach, describe, expect, it, type TestContext, vi } from 'vitest'
import { loadNative } from '../../lib/native.ts'
import type { NativeSession } from '../../lib/native-types.ts'
import type { RegsetAnswer } from '../../lib/neighbours/ptrace/answer.ts'
import type { RegsetAsk } from '../../lib/neighbours/ptrace/ask.ts'
import type { Probe } from '../../lib/probe/session.ts'
import { randomImage } from '../../lib/xstate/random.ts'
import { Random } from '../native/random.ts'
import { childrenOf, isOver, statOf, zombiesOf } from '../probe/procfs.ts'
import { eventually, needsProbes, returned, session } from '../probe/support.ts'

/** What is done while Node waits for the native side. */
const meanwhile = vi.hoisted(() => ({
  before: null as ((memory: ArrayBuffer) => void) | null,
  after: null as ((memory: ArrayBuffer) => void) | null,
}))

vi.mock('../../lib/native.ts', async importOriginal => {
  const real = await importOriginal<typeof import('../../lib/native.ts')>()
  const watched = (made: NativeSession): NativeSession =>
    new Proxy(made, {
      get: (target, name) => {
        const method = target[name as 'run'] as unknown as (...args: unknown[]) => unknown
        return (...args: unknown[]) => {
          if (name === 'run') meanwhile.before?.(target.memory())
          const answer = method.apply(target, args)
          if (name === 'run') meanwhile.after?.(target.memory())
          return answer
        }
      },
    })
  const native = real.loadNative()
  const Session = class {
    constructor(...args: ConstructorParameters<typeof native.Session>) {
      // biome-ignore lint/correctness/noConstructorReturn: the real one, watched
      return watched(new native.Session(...args))
    }
  }
  return { ...real, loadNative: () => ({ ...native, Session }) }
})

beforeEach(ctx => {
  meanwhile.before = meanwhile.after = null
  needsProbes(ctx)
})

const tracing = (ctx: TestContext, options?: Parameters<typeof session>[0]): Probe => {
  const probe = session(options)
  if (!probe.layout.xsave) ctx.skip('this host has no XSAVE')
  const answer = probe.regset({})
  if (answer.kind === 'refused') ctx.skip(`${answer.call} is refused here with ${answer.errno}`)
  return probe
}

const reading = ({ layout }: Probe): RegsetAsk => ({
  load: randomImage(layout, { seed: 1 }),
  loaded: [{ call: 'get' }],
})

/** More questions than a batch takes. */
const many = (probe: Probe): readonly RegsetAsk[] => new Array<RegsetAsk>(400).fill(reading(probe))

const kindsOf = (answers: readonly RegsetAnswer[]): Record<string, number> => {
  const counts: Record<string, number> = {}
  for (const { kind } of answers) counts[kind] = (counts[kind] ?? 0) + 1
  return counts
}

const tracedOf = (probe: Probe): number => {
  const [pid, ...others] = childrenOf(probe.pid)
  expect(others).toEqual([])
  expect(pid).toBeDefined()
  return pid!
}

describe('a traced process', () => {
  it('is there while its questions are asked, stopped between two batches, and then gone', ctx => {
    const probe = tracing(ctx)
    const pids = new Set<number>()
    let visited = 0
    probe.eachRegset(many(probe), () => {
      if (visited++ === 0) {
        const pid = tracedOf(probe)
        pids.add(pid)
        expect(statOf(pid)?.state).toBe('t')
      }
    })
    expect(visited).toBe(400)
    expect(pids.size).toBe(1)
    expect(childrenOf(probe.pid)).toEqual([])
    for (const pid of pids) expect(statOf(pid)).toBeUndefined()
  })

  it('is gone when a visitor throws', ctx => {
    const probe = tracing(ctx)
    expect(() =>
      probe.eachRegset(many(probe), () => {
        tracedOf(probe)
        throw new Error('enough')
      }),
    ).toThrow('enough')
    expect(childrenOf(probe.pid)).toEqual([])
    expect(probe.regset(reading(probe)).kind).toBe('done')
  })

  it('ends with the probe process that a visitor’s close() ends', async ctx => {
    const probe = tracing(ctx)
    let pid = 0
    let closing: Promise<void> | undefined
    expect(() =>
      probe.eachRegset(many(probe), () => {
        pid = tracedOf(probe)
        closing = probe.close()
      }),
    ).toThrow('the session was closed while a run was under way')
    await closing
    expect(await eventually(() => isOver(pid))).toBe(true)
    expect(zombiesOf(process.pid)).toEqual([])
  })

  it('that is killed is told of, and the next questions have another', ctx => {
    const probe = tracing(ctx)
    let killed = 0
    const answers: RegsetAnswer[] = []
    probe.eachRegset(many(probe), answer => {
      answers.push(answer)
      if (killed === 0) {
        killed = tracedOf(probe)
        process.kill(killed, 'SIGKILL')
      }
    })
    expect(kindsOf(answers)).toEqual({ done: 399, died: 1 })
    expect(answers.find(({ kind }) => kind === 'died')).toEqual({
      kind: 'died',
      where: null,
      signal: 'SIGKILL',
      code: null,
    })
    expect(childrenOf(probe.pid)).toEqual([])
    expect(statOf(killed)).toBeUndefined()
  })

  it('ends with a probe process that is killed', async ctx => {
    const probe = tracing(ctx)
    const { pid } = probe
    let traced = 0
    const answers: RegsetAnswer[] = []
    probe.eachRegset(many(probe), answer => {
      answers.push(answer)
      if (traced !== 0) return
      traced = tracedOf(probe)
      process.kill(pid, 'SIGKILL')
    })
    expect(kindsOf(answers)).toEqual({ done: 399, died: 1 })
    expect(await eventually(() => isOver(traced))).toBe(true)
    expect(probe.pid).not.toBe(pid)
    expect(childrenOf(probe.pid)).toEqual([])
    expect(zombiesOf(process.pid)).toEqual([])
  })

  it.for(['SIGSTOP', 'SIGTERM', 'SIGUSR1', 'SIGUSR2', 'SIGALRM', 'SIGXCPU'] as const)(
    'is not reached by a %s from elsewhere',
    (signal, ctx) => {
      const probe = tracing(ctx)
      let sent = false
      const answers: RegsetAnswer[] = []
      probe.eachRegset(many(probe), answer => {
        answers.push(answer)
        if (!sent) process.kill(tracedOf(probe), signal)
        sent = true
      })
      expect(kindsOf(answers)).toEqual({ done: 400 })
    },
  )

  it('does not wait for a probe process that makes no progress', async ctx => {
    const probe = tracing(ctx, { timeoutMs: 300 })
    const { pid } = probe
    meanwhile.before = () => {
      meanwhile.before = null
      process.kill(pid, 'SIGSTOP')
    }
    expect(probe.regset(reading(probe))).toEqual({ kind: 'timeout', timeoutMs: 300 })
    expect(probe.regset(reading(probe)).kind).toBe('done')
    expect(probe.pid).not.toBe(pid)
    expect(zombiesOf(process.pid)).toEqual([])
  })

  it('has its time, and is gone when that is over', ctx => {
    const probe = tracing(ctx)
    const { arena } = loadNative()
    const { pid } = probe
    // None at all: whatever it does is too slow.
    meanwhile.before = memory => {
      meanwhile.before = null
      const words = new Uint32Array(memory)
      for (let slot = 0; slot < arena.ringSlots!; slot++) {
        const request = arena.requests! - arena.first! + slot * arena.requestBytes!
        words[(request + arena['Request.timeoutMs']!) >> 2] = 0
      }
    }
    expect(probe.regset(reading(probe)).kind).toBe('timeout')
    expect(childrenOf(pid)).toEqual([])
    expect(probe.regset(reading(probe)).kind).toBe('done')
    expect(probe.pid).toBe(pid)
    expect(zombiesOf(process.pid)).toEqual([])
  })
})

describe('a process that lies', () => {
  it('about its calls: no more is read than was asked for', ctx => {
    const probe = tracing(ctx)
    const { arena } = loadNative()
    const random = new Random(7)
    let spoilt = 0
    /** Where the calls of the latest traced request are: each has its place from the start of their region on. */
    const callsIn = (memory: ArrayBuffer): number => {
      const words = new Uint32Array(memory)
      for (let slot = 0; slot < arena.ringSlots!; slot++) {
        const request = (arena.requests! - arena.first! + slot * arena.requestBytes!) >> 2
        if (words[request + (arena['Request.kind']! >> 2)] === arena['RequestKind.traced'])
          return words[request + (arena['Request.stride']! >> 2)]! - arena.first!
      }
      throw new Error('there is no traced request')
    }
    const spoil = (memory: ArrayBuffer): void => {
      const at = callsIn(memory)
      const bytes = new Uint8Array(memory, at)
      const view = new DataView(memory, at)
      expect(view.getUint32(arena['TraceCall.note']!, true)).toBe(0x202)
      spoilt++
      for (let i = 0; i < 3; i++) {
        const call = i * arena.traceCallBytes!
        view.setInt32(call + arena['TraceCall.error']!, random.below(3) - 1, true)
        view.setUint32(call + arena['TraceCall.told']!, random.edgy(), true)
        view.setUint32(call + arena['TraceCall.told']! + 4, random.below(2) * random.edgy(), true)
        view.setUint32(call + arena['TraceCall.at']!, random.edgy(), true)
        view.setUint32(call + arena['TraceCall.room']!, random.edgy(), true)
      }
      bytes.fill(random.below(256), 4096, 4096 + random.below(20_000))
    }
    const size = 576
    for (let i = 0; i < 300; i++) {
      meanwhile.after = spoil
      const answer = probe.regset({
        loaded: [
          { call: 'get', size },
          { call: 'get', size: 8 },
        ],
        ended: [{ call: 'get', size }],
      })
      meanwhile.after = null
      if (answer.kind !== 'done') throw new Error(answer.kind)
      for (const [one, most] of [
        [answer.loaded[0], size],
        [answer.loaded[1], 8],
        [answer.ended[0], size],
      ] as const) {
        expect([null, 'not called', 'EPERM']).toContain(one?.errno)
        // What it claims to have read beyond is its room's: 64 bytes behind.
        expect(one?.bytes.length).toBeLessThanOrEqual(most + 64)
      }
    }
    expect(spoilt).toBe(300)
  })

  it('about how it ended: a fault of the harness, or an answer', ctx => {
    const probe = tracing(ctx)
    const { arena } = loadNative()
    const random = new Random(8)
    for (let i = 0; i < 300; i++) {
      meanwhile.after = memory => {
        const outcomes = new Uint32Array(
          memory,
          arena.outcomes! - arena.first!,
          (arena.ringSlots! * arena.outcomeBytes!) >> 2,
        )
        for (let at = 0; at < outcomes.length; at++)
          outcomes[at] = random.below(2) ? random.below(14) : random.edgy()
      }
      try {
        const answer = probe.regset({ loaded: [{ call: 'get', size: 8 }] })
        expect(['done', 'died', 'signal', 'timeout', 'refused']).toContain(answer.kind)
      } catch (error) {
        expect(error).toMatchObject({ message: expect.stringContaining('a fault of the harness') })
      }
      meanwhile.after = null
    }
    expect(childrenOf(probe.pid)).toEqual([])
    expect(probe.regset(reading(probe)).kind).toBe('done')
  })
})

describe('where tracing is not allowed', () => {
  const script = join(import.meta.dirname, 'scripts', 'regset.mjs')
  const deny = (requests: string, ctx: TestContext): string[] => {
    const filter = join(import.meta.dirname, 'deny-ptrace.py')
    const { status, stdout, stderr } = spawnSync('python3', [filter, requests, process.execPath, script], {
      encoding: 'utf8',
      timeout: 25_000,
    })
    if (status === null || status === 77) ctx.skip(`needs python3 and seccomp: ${stdout}`)
    expect(stderr).toBe('')
    return stdout.trim().split('\n')
  }

  it.for([
    ['all', ['refused PTRACE_TRACEME EPERM']],
    ['0', ['refused PTRACE_TRACEME EPERM']],
    ['0x4200', ['refused PTRACE_SETOPTIONS EPERM']],
    ['7', ['refused PTRACE_CONT EPERM']],
    ['0x4204', ['done', 'EPERM EFAULT']],
    ['0x4205', ['done', ' EPERM']],
    ['0x4204,0x4205', ['done', 'EPERM EPERM']],
  ] as const)(
    '%s: the call is told with its errno, nothing is left, and probes go on',
    ([requests, told], ctx) => {
      tracing(ctx)
      const [first, ...rest] = deny(requests, ctx)
      expect([first, ...rest.slice(0, told.length - 1).map(line => line)].map(line => line?.trim())).toEqual(
        told.map(line => line.trim()),
      )
      expect(rest.slice(told.length - 1)).toEqual(['returned', '0 left'])
    },
  )

  it('no process may be made', ctx => {
    const probe = tracing(ctx)
    // Root is not bound by it, nor is a process with few children by what others have.
    if (process.getuid?.() === 0) ctx.skip('root may make any number of processes')
    const limited = spawnSync('prlimit', ['--pid', `${probe.pid}`, '--nproc=1'])
    if (limited.status !== 0) ctx.skip('needs prlimit')
    expect(probe.regset({})).toMatchObject({ kind: 'refused', call: 'fork', errno: 'EAGAIN' })
    returned(probe.runSync())
  })
})
