/**
 * What the process that it happens in cannot survive happens in a fork of it: told with the probe that did it, gone
 * afterwards, and the probe process is the same as before.
 */
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { beforeEach, describe, expect, it, type TestContext } from 'vitest'
import { type Abi, abis, frameShape, type HeadField } from '../../lib/frame/abi.ts'
import type { EditOp } from '../../lib/frame/edit.ts'
import type { FrameRecord } from '../../lib/frame/reader.ts'
import type { DataRequest, ProbeRequest } from '../../lib/probe/request.ts'
import type { Seen } from '../../lib/probe/result.ts'
import type { OpenOptions, Probe } from '../../lib/probe/session.ts'
import { randomImage } from '../../lib/xstate/random.ts'
import { node } from './child.ts'
import { childrenOf, descriptorsOf, isGone, isOver } from './procfs.ts'
import { eventually, describe as inOneLine, needsProbes, returned, session } from './support.ts'

beforeEach(needsProbes)

const sessionFor = (ctx: TestContext, abi: Abi, options?: OpenOptions): Probe => {
  const probe = session(options)
  const lack = probe.lack(abi)
  if (lack !== null) ctx.skip(lack)
  return probe
}

const head = (
  field: HeadField,
  value: number | bigint,
  op: 'set' | 'or' | 'and' | 'xor' = 'set',
): EditOp => ({ op, field: `head.${field}`, value })

const maskField = (abi: Abi): HeadField => (abi === 'ia32' ? 'oldmask' : 'sigmask')
const bit = (signal: number): number => 2 ** (signal - 1)
const [SIGTRAP, SIGSEGV] = [5, 11]
const TF = 0x100
const DF = 0x400
const AC = 0x4_0000

/** What the kernel finds bad: the frame ends in its legacy region. */
const bad: EditOp = { op: 'move', guardAt: 256 }

/** Whole, in the same process as before, and without a fork that is left. */
const expectHealthy = (probe: Probe, pid: number): void => {
  expect(childrenOf(pid)).toEqual([])
  const load = randomImage(probe.layout, { seed: 1 })
  const seen = returned(probe.runSync({ load }))
  for (const { name } of probe.layout.components)
    expect([name, seen.state(name).loaded]).toEqual([name, true])
  expect(probe.pid).toBe(pid)
}

const signal = (where: string, name: string, more = {}) => ({ kind: 'signal', where, signal: name, ...more })
const died = (where: string | null, name: string) => ({ kind: 'died', where, signal: name, code: null })

/** Edits of the head, and what comes of them on any CPU. */
const fates: [string, (abi: Abi) => EditOp[], object, (readonly Abi[])?][] = [
  [
    'a bad frame that blocks SIGSEGV',
    abi => [head(maskField(abi), bit(SIGSEGV), 'or'), bad],
    died('sigreturn', 'SIGSEGV'),
  ],
  ['a mask of every signal', abi => [head(maskField(abi), 0xffff_ffff)], { kind: 'returned' }],
  ['EFLAGS.TF', () => [head('eflags', TF, 'or')], signal('after', 'SIGTRAP')],
  [
    'EFLAGS.TF, blocked',
    abi => [head('eflags', TF, 'or'), head(maskField(abi), bit(SIGTRAP), 'or')],
    died('sigreturn', 'SIGTRAP'),
  ],
  ['EFLAGS.AC', () => [head('eflags', AC, 'or')], { kind: 'returned' }],
  ['EFLAGS.DF', () => [head('eflags', DF, 'or')], { kind: 'returned' }],
  [
    'EFLAGS.AC and DF, and a bad frame',
    () => [head('eflags', AC | DF, 'or'), bad],
    signal('sigreturn', 'SIGSEGV'),
  ],
  ['no EFLAGS', () => [head('eflags', 0)], { kind: 'returned' }],
  ['RIP 0', () => [head('rip', 0)], signal('after', 'SIGSEGV', { siAddr: 0n })],
  ['RIP that is not canonical', () => [head('rip', 1n << 63n)], signal('after', 'SIGSEGV'), ['x86_64']],
  ['RIP in the kernel', () => [head('rip', 0xffff_ffff_8100_0000n)], signal('after', 'SIGSEGV'), ['x86_64']],
  [
    'RIP at the end of 4 GiB',
    () => [head('rip', 0xffff_f000)],
    signal('after', 'SIGSEGV', { siAddr: 0xffff_f000n }),
  ],
  ['RSP 0', () => [head('rsp', 0)], { kind: 'returned' }],
  ['RSP 0, and a bad frame', () => [head('rsp', 0), bad], signal('sigreturn', 'SIGSEGV')],
  ['RBX 0, which leads to all that the probe has', () => [head('rbx', 0)], signal('after', 'SIGSEGV')],
  ['CS 0', () => [head('cs', 0)], signal('sigreturn', 'SIGSEGV')],
  ['CS behind the GDT', () => [head('cs', 0xfff8)], signal('sigreturn', 'SIGSEGV')],
  ['SS 0', () => [head('ss', 0)], signal('sigreturn', 'SIGSEGV')],
  ['SS behind the GDT', () => [head('ss', 0xfff8)], signal('sigreturn', 'SIGSEGV')],
  ['no alternate stack', () => [head('ucStackFlags', 2)], { kind: 'returned' }, ['x86_64', 'ia32-rt']],
  [
    'an alternate stack of no size',
    () => [head('ucStackSize', 0)],
    { kind: 'returned' },
    ['x86_64', 'ia32-rt'],
  ],
  // Delivered onto it: nobody can write there.
  [
    'an alternate stack at 4096, and RIP 0',
    () => [head('ucStackSp', 4096), head('rip', 0)],
    died('sigreturn', 'SIGSEGV'),
    ['x86_64', 'ia32-rt'],
  ],
  ['no fpstate', () => [head('fpstate', 0)], { kind: 'returned' }],
]

describe.each(abis)('a head of %s frames with', abi => {
  const own = fates.filter(([, , , only]) => only === undefined || only.includes(abi))
  it.for(own)('%s', ([, edit, fate], ctx) => {
    const probe = sessionFor(ctx, abi)
    const { pid } = probe
    const request = probe.prepare({ abi, edit: edit(abi) })
    expect(request.isolated).toBe(true)
    for (const seen of probe.runMany([request, request])) expect(seen).toMatchObject(fate)
    expectHealthy(probe, pid)
  })

  it('segments of nobody, in 32-bit code', ctx => {
    const probe = sessionFor(ctx, abi)
    if (probe.lack('ia32') !== null) ctx.skip(probe.lack('ia32')!)
    const { pid } = probe
    for (const field of ['cs', 'ss'] as const) {
      const seen = probe.runSync({ abi, raise: 'tgkill32', edit: [head(field, 0)] })
      expect([field, seen]).toEqual([field, expect.objectContaining(signal('sigreturn', 'SIGSEGV'))])
    }
    expectHealthy(probe, pid)
  })

  it('what leads astray has the frame that did it, as data too', ctx => {
    const probe = sessionFor(ctx, abi)
    for (const edit of [[head('rip', 0x1234)], [head(maskField(abi), bit(SIGSEGV), 'or'), bad]]) {
      const seen = probe.runSync({ abi, edit })
      if (!('sent' in seen) || !('where' in seen)) throw new Error(`it has no frame: ${inOneLine(seen)}`)
      expect(seen.sent.head).not.toEqual(seen.written.head)
      expect(seen.effect.length).toBeGreaterThan(0)
      expect(probe.runSync({ abi, edit: seen.effect })).toMatchObject({ kind: seen.kind, where: seen.where })
    }
  })
})

describe('isolated probes among others', () => {
  it('have each their own result, also without blocking', async ctx => {
    const probe = sessionFor(ctx, 'ia32')
    const { pid } = probe
    const requests: DataRequest[] = Array.from({ length: 300 }, (_, i) => ({
      abi: abis[i % 3]!,
      load: randomImage(probe.layout, { seed: i }),
      edit:
        i % 4 === 0
          ? [head('rip', 4096 * i)]
          : i % 4 === 1
            ? [head('cr2', i), { op: 'component', name: 'sse', bytes: new Uint8Array(256).fill(i) }]
            : i % 4 === 2
              ? [{ op: 'component', name: 'sse', bytes: new Uint8Array(256).fill(i) }]
              : [bad],
    }))
    const check = (seen: Seen, i: number): void => {
      if (i % 4 === 0) expect(seen).toMatchObject(signal('after', 'SIGSEGV', { siAddr: BigInt(4096 * i) }))
      else if (i % 4 === 3) expect(seen).toMatchObject(signal('sigreturn', 'SIGSEGV'))
      else expect([i, returned(seen).after.component('sse')]).toEqual([i, new Uint8Array(256).fill(i)])
      if ('before' in seen)
        expect(Buffer.compare(seen.before.bytes, randomImage(probe.layout, { seed: i }).bytes)).toBe(0)
    }
    for (const [i, seen] of probe.runMany(requests).entries()) check(seen, i)
    for (const [i, seen] of (await probe.run(requests)).entries()) check(seen, i)
    probe.runEach(requests, check)
    expectHealthy(probe, pid)
  })

  it('say how often they slept, and what a sibling held meanwhile', () => {
    const probe = session()
    const sibling = randomImage(probe.layout, { seed: 99 })
    const load = randomImage(probe.layout, { seed: 1 })
    const blocked = returned(probe.runSync({ load, raise: 'blocked', sibling }))
    expect(blocked.sibling?.bytes).toEqual(sibling.bytes)
    expect(blocked.slept).toBeGreaterThan(0)
    const plain = returned(probe.runSync({ load }))
    expect([plain.slept, plain.served, plain.sibling]).toEqual([0, 0, null])
    // One is drawn where none is given, unlike the others.
    const drawn = returned(probe.runSync({ load, raise: 'timer' }))
    for (const image of [load, drawn.poison]) expect(drawn.sibling?.bytes).not.toEqual(image.bytes)
  })
})

/** The frame of a probe that waited in its loop: what counts down there is a large number. */
const spinning = (probe: Probe, abi: Abi): FrameRecord => {
  for (let i = 0; i < 100; i++) {
    const { written } = returned(probe.runSync({ abi, raise: 'timer' }))
    if (written.headField('rcx') > 1000n) return written
  }
  throw new Error('the timer never met a probe that waited for it')
}

/** A frame that leads into the loop in which a probe waits for its timer, with a count that takes minutes. */
const endless = (probe: Probe, abi: Abi = 'x86_64'): ProbeRequest & { edit: EditOp[] } => {
  const written = spinning(probe, abi)
  const zeros = probe.limits.frameBytes + 64
  // There it finds that its signal has not come yet.
  const rbx = written.fpstatePointer + BigInt(frameShape(abi).fsaveSize + zeros)
  return {
    abi,
    edit: [
      { op: 'fill', at: zeros, length: 256, value: 0 },
      head('rip', written.headField('rip')),
      head('eflags', written.headField('eflags')),
      head('rcx', 0xffff_ffff),
      head('rbx', rbx),
    ],
  }
}

/** The fork of a probe process, once it is there. */
const forkOf = async (probe: Probe): Promise<number> => {
  const { pid } = probe
  expect(await eventually(() => childrenOf(pid).length === 1)).toBe(true)
  return childrenOf(pid)[0]!
}

describe('a fork that hangs', () => {
  it.for(abis)('is killed before the process would be: %s', (abi, ctx) => {
    const probe = sessionFor(ctx, abi, { timeoutMs: 300 })
    const { pid } = probe
    const request = endless(probe, abi)
    expect(probe.runSync(request)).toEqual({ kind: 'timeout', timeoutMs: 150 })
    expectHealthy(probe, pid)
  })

  it('costs its batch no other result', async () => {
    const probe = session({ timeoutMs: 800 })
    const { pid } = probe
    const request = endless(probe)
    const requests = [{}, request, { edit: [bad] }, request, { raise: 'blocked' }, {}] as const
    const kinds = ['returned', 'timeout', 'signal', 'timeout', 'returned', 'returned']
    expect(probe.runMany(requests).map(({ kind }) => kind)).toEqual(kinds)
    expect((await probe.run(requests)).map(({ kind }) => kind)).toEqual(kinds)
    expectHealthy(probe, pid)
  })

  it('and is stopped besides, or killed by somebody else', async () => {
    const probe = session({ timeoutMs: 600 })
    const { pid } = probe
    const request = endless(probe)
    for (const [sent, fate] of [
      ['SIGSTOP', { kind: 'timeout', timeoutMs: 300 }],
      ['SIGKILL', died('sigreturn', 'SIGKILL')],
      ['SIGTERM', died('sigreturn', 'SIGTERM')],
    ] as const) {
      const run = probe.run(request)
      process.kill(await forkOf(probe), sent)
      expect(await run).toMatchObject(fate)
      expectHealthy(probe, pid)
    }
  })

  it('ends with the process that it came of', async () => {
    const probe = session({ timeoutMs: 20_000 })
    const { pid } = probe
    const run = probe.run(endless(probe))
    const fork = await forkOf(probe)
    process.kill(pid, 'SIGKILL')
    expect(await run).toEqual(died(null, 'SIGKILL'))
    expect(await eventually(() => isOver(fork))).toBe(true)
    returned(probe.runSync())
    expect(isGone(pid)).toBe(true)
  })

  it('ends with the process where that hangs itself', async () => {
    const probe = session({ timeoutMs: 400 })
    const { pid } = probe
    const run = probe.run(endless(probe))
    const fork = await forkOf(probe)
    process.kill(pid, 'SIGSTOP')
    expect(await run).toEqual({ kind: 'timeout', timeoutMs: 400 })
    expect(await eventually(() => isOver(fork))).toBe(true)
    returned(probe.runSync())
  })

  it('ends when its session is closed', async () => {
    const probe = session({ timeoutMs: 20_000 })
    const run = probe.run(endless(probe))
    run.catch(() => undefined)
    const fork = await forkOf(probe)
    await probe.close()
    await expect(run).rejects.toThrow(/^the session (is|was) closed/)
    expect(await eventually(() => isOver(fork))).toBe(true)
  })

  it.each(['SIGKILL', 'SIGINT', 'SIGTERM'] as const)('ends with Node, by %s', async sent => {
    const child = node('endless.mjs')
    const [probe, fork] = (await child.line('running')).split(' ').map(Number) as [number, number]
    expect([isOver(probe), isOver(fork)]).toEqual([false, false])
    process.kill(child.pid, sent)
    expect(await child.ended).toMatchObject({ code: null, signal: sent })
    expect(await eventually(() => isOver(probe) && isOver(fork))).toBe(true)
  })
})

describe('a callback for an isolated probe', () => {
  it('has all the time that it wants', () => {
    const probe = session({ timeoutMs: 600 })
    const { pid } = probe
    const edit = (): void => void Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 700)
    for (const raise of ['timer', 'blocked'] as const) returned(probe.runSync({ raise, edit }))
    expectHealthy(probe, pid)
  })

  it('whose fork is killed, or stopped, meanwhile', () => {
    const probe = session({ timeoutMs: 600 })
    const { pid } = probe
    const killing = (sent: NodeJS.Signals) => (): void => process.kill(childrenOf(pid)[0]!, sent) as never
    expect(probe.runSync({ raise: 'timer', edit: killing('SIGKILL') })).toMatchObject(
      died('handler', 'SIGKILL'),
    )
    expectHealthy(probe, pid)
    const stopped = probe.runSync({ raise: 'timer', edit: killing('SIGSTOP') })
    expect(stopped).toEqual({ kind: 'timeout', timeoutMs: 300 })
    expectHealthy(probe, pid)
  })
})

describe('what the kernel refuses', () => {
  it('is told by the call and its error: a stack that is too small', ctx => {
    const probe = session()
    for (const abi of abis) {
      if (probe.lack(abi) !== null) ctx.skip(probe.lack(abi)!)
      for (const bytes of [1, 2047]) {
        const seen = probe.runSync({ abi, stack: { bytes } })
        expect(seen).toEqual({ kind: 'refused', call: 'sigaltstack', errno: 'ENOMEM' })
      }
    }
    expectHealthy(probe, probe.pid)
  })

  it('userfaultfd where we may not have it, and only there', () => {
    const probe = session()
    const seen = [
      probe.runSync({ stack: { bytes: 3 * 4096, state: 'late' } }),
      probe.runSync({ edit: [{ op: 'move' }, { op: 'pages', at: 0, length: 1, state: 'late' }] }),
    ]
    for (const one of seen) {
      if (one.kind === 'refused') {
        expect([one.call, mayUserfault()]).toEqual(['userfaultfd', false])
        expect(['EPERM', 'ENOSYS', 'EACCES']).toContain(one.errno)
      } else if (one.kind === 'returned') {
        expect([one.served > 0, one.slept > 0]).toEqual([true, true])
      } else throw new Error(inOneLine(one))
    }
    expect(new Set(seen.map(({ kind }) => kind)).size).toBe(1)
    expectHealthy(probe, probe.pid)
  })

  it('as another user, who may have fewer processes too', async ctx => {
    if (process.getuid?.() !== 0) ctx.skip('only root can become another user')
    if (spawnSync('prlimit', ['--version']).status !== 0) ctx.skip('needs prlimit')
    const nobody = 65_534
    const child = node('unprivileged.mjs', [], { uid: nobody, gid: nobody })
    const { code, stdout, stderr } = await child.ended
    if (/EACCES|not there/.test(stderr)) ctx.skip('another user cannot read what is tested here')
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    const [late, fork, after] = stdout.trim().split('\n')
    if (readFileSync('/proc/sys/vm/unprivileged_userfaultfd', 'utf8').trim() === '0')
      expect(late).toMatch(/^refused userfaultfd (EPERM|EACCES)$/)
    expect([fork, after]).toEqual(['refused fork EAGAIN', 'returned'])
  })

  it('a shadow stack where there is none, and only there', () => {
    const probe = session()
    const { pid } = probe
    const has = / user_shstk( |$)/m.test(readFileSync('/proc/cpuinfo', 'utf8'))
    const seen = probe.runSync({ shadowStack: true })
    if (seen.kind === 'refused') {
      expect([seen.call, has]).toEqual(['shadow stack', false])
      expect(seen.errno).toMatch(/^(ENOTSUP|EINVAL)$/)
    } else expect(inOneLine(seen)).toBe('kind returned')
    expectHealthy(probe, pid)
    expect(() => probe.runSync({ shadowStack: 1 as never })).toThrow(
      new TypeError('request.shadowStack must be a boolean, not 1'),
    )
  })

  it('protection keys where this CPU has none, and only there', ctx => {
    const probe = session()
    const poison = randomImage(probe.layout, { seed: 2, components: ['x87', 'sse'] })
    // All keys open where the frame is restored.
    const seen = probe.runSync({ poison, stack: { bytes: 16 * 1024, state: 'closed-key' } })
    if (seen.kind !== 'refused') {
      // Whether the kernel can write there is its generation's business.
      expect(inOneLine(seen)).toMatch(/^kind (returned|signal, where (delivery|sigreturn))/)
      expect(readFileSync('/proc/cpuinfo', 'utf8')).toMatch(/ ospke( |$)/m)
      return
    }
    expect(seen.call).toBe('pkey_alloc')
    if (/ ospke( |$)/m.test(readFileSync('/proc/cpuinfo', 'utf8')))
      ctx.skip(`not to be had here: ${seen.errno}`)
  })
})

/** Whether userfaultfd with faults of the kernel's own must be granted: by sysctl or capability, and no filter. */
const mayUserfault = (): boolean => {
  const status = readFileSync('/proc/self/status', 'utf8')
  const field = (name: string): bigint =>
    BigInt(`0x${new RegExp(`^${name}:\\s*(\\w+)`, 'm').exec(status)?.[1] ?? '0'}`)
  const CAP_SYS_PTRACE = 19n
  let sysctl = ''
  try {
    sysctl = readFileSync('/proc/sys/vm/unprivileged_userfaultfd', 'utf8').trim()
  } catch {
    return false
  }
  const granted = sysctl === '1' || ((field('CapEff') >> CAP_SYS_PTRACE) & 1n) === 1n
  return granted && field('Seccomp') === 0n
}

describe('five thousand of them', () => {
  it('leave nothing behind: no process, no memory, no descriptor, no thread', { timeout: 120_000 }, ctx => {
    const probe = sessionFor(ctx, 'ia32')
    const { pid } = probe
    const { layout } = probe
    const load = randomImage(layout, { seed: 1 })
    const page: EditOp[] = [{ op: 'move' }, { op: 'pages', at: 0, length: 1, state: 'evicted' }]
    const kinds: ProbeRequest[] = [
      { edit: [head('rip', 0)] },
      { edit: [head('cr2', 1)] },
      { abi: 'ia32', edit: [head('eflags', TF, 'or')] },
      { abi: 'ia32-rt', edit: [head('sigmask', bit(SIGSEGV), 'or'), bad] },
      { edit: page },
      { abi: 'ia32', edit: [...page, { op: 'pages', at: 0, length: 1, state: 'hole' }] },
      { raise: 'timer', load },
      { raise: 'blocked', load },
      { stack: { bytes: 32 * 1024 } },
      { stack: { bytes: 32 * 1024, state: 'readonly' } },
    ]
    const requests = kinds.map(request => probe.prepare(request))
    for (const { isolated } of requests) expect(isolated).toBe(true)
    const counts: Record<string, number> = {}
    const round = (count: number): void => {
      const batch = Array.from({ length: count }, (_, i) => requests[i % requests.length]!)
      probe.runEach(batch, seen => {
        const name = `${seen.kind} ${('where' in seen && seen.where) || ''}`
        counts[name] = (counts[name] ?? 0) + 1
      })
    }
    round(500)
    const before = holdings(pid)
    round(4500)
    const after = holdings(pid)
    expect(counts).toEqual({
      'signal after': 1000,
      'returned ': 2500,
      'died sigreturn': 500,
      'signal sigreturn': 500,
      'signal delivery': 500,
    })
    expect({ ...after, residentKb: 0 }).toEqual({ ...before, residentKb: 0 })
    // What the records and images of the arena make resident is there after the first rounds.
    expect(after.residentKb - before.residentKb).toBeLessThan(512)
    expectHealthy(probe, pid)
  })
})

/** What a process holds. */
const holdings = (pid: number) => {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  const field = (name: string): number => Number(new RegExp(`^${name}:\\s*(\\d+)`, 'm').exec(status)![1])
  return {
    residentKb: field('VmRSS'),
    virtualKb: field('VmSize'),
    threads: field('Threads'),
    descriptors: descriptorsOf(pid)?.size ?? null,
    children: childrenOf(pid).length,
  }
}
