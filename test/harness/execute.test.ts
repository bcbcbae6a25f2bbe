/** How a case is run and what it comes to, by sessions whose results are other than a kernel's. */
import { describe, expect, test } from 'vitest'
import { witnessOps } from '../../lib/contract/classify.ts'
import { abis, frameShape, isIa32 } from '../../lib/frame/abi.ts'
import type { EditOp } from '../../lib/frame/edit.ts'
import { FrameRecord } from '../../lib/frame/reader.ts'
import { type Execution, executeCase } from '../../lib/harness/execute.ts'
import type { CaseContext, FrameCase, SelftestCase } from '../../lib/harness/selftest.ts'
import type { ProbeRequest } from '../../lib/probe/request.ts'
import type { Returned, Seen } from '../../lib/probe/result.ts'
import type { Probe } from '../../lib/probe/session.ts'
import type { XsaveImage } from '../../lib/xstate/image.ts'
import { randomImage } from '../../lib/xstate/random.ts'
import { contextOf, machineNamed } from '../contract/simulated-cases.ts'
import { simulatedProbe } from '../contract/simulated-probe.ts'

const { probe: session } = simulatedProbe({ ...machineNamed('zen4'), generation: 'classic' })
const { layout } = session

const frameCase = (changes: Partial<FrameCase> = {}): FrameCase => ({
  summary: 'Made up.',
  rule: 'untouched-frame-restores',
  commit: '',
  edit: () => [],
  ...changes,
})

type Change = (seen: Returned, which: 'frame' | 'witness', run: number) => object

/** A session that answers as the simulated kernel does, but for what is changed. */
const sessionWith = (change: Change = () => ({})) => {
  const runs: (readonly ProbeRequest[])[] = []
  const runMany = (requests: readonly ProbeRequest[]): Seen[] => {
    runs.push(requests)
    return session.runMany(requests).map((seen, i) => {
      const which = i === 0 ? 'frame' : 'witness'
      return { ...seen, ...change(seen as Returned, which, runs.length) } as unknown as Seen
    })
  }
  return { probe: { ...session, runMany } as unknown as Probe, runs }
}

/** A session that gives these results, whatever is asked. */
const sessionThatGives = (...results: readonly object[]): Probe =>
  ({ ...session, runMany: () => results }) as unknown as Probe

const execute = (probe: Probe, test: SelftestCase, context: Partial<CaseContext> = {}): Execution =>
  executeCase(probe, test, { ...contextOf(layout), ...context })

const run = (change: Change, test: Partial<FrameCase> = {}, context: Partial<CaseContext> = {}): Execution =>
  execute(sessionWith(change).probe, frameCase(test), context)

describe('what is asked of the session', () => {
  test('a frame and its witness, in one batch, alike but for the witness’s operations', () => {
    const { probe, runs } = sessionWith()
    const edit: EditOp[] = [{ op: 'set', field: 'sw.magic1', value: 0 }]
    expect(execute(probe, frameCase({ edit: () => edit })).kind).toBe('observed')
    expect(runs).toHaveLength(1)
    const [frame, witness, ...more] = runs[0] as [ProbeRequest, ProbeRequest]
    expect(more).toEqual([])
    expect(frame.edit).toEqual(edit)
    expect(witness).toEqual({ ...frame, edit: [...edit, ...witnessOps] })
    expect(Object.keys(frame).sort()).toEqual(['abi', 'edit', 'load'])
  })

  test.each(abis)('the context’s ABI: %s', abi => {
    const { probe, runs } = sessionWith()
    execute(probe, frameCase(), { abi })
    expect(runs[0]?.map(one => one.abi)).toEqual([abi, abi])
  })

  test('how the signal comes, onto which stack, and what is in the registers', () => {
    const requests: ProbeRequest[] = []
    const probe = {
      ...session,
      runMany: (all: readonly ProbeRequest[]) => {
        requests.push(...all)
        return [{ kind: 'timeout' }, { kind: 'timeout' }]
      },
    } as unknown as Probe
    const load = randomImage(layout, { seed: 77 })
    const poison = randomImage(layout, { seed: 78 })
    const asked: Partial<FrameCase> = {
      raise: 'timer',
      stack: ({ cpu }) => ({ bytes: cpu.minSignalStack, state: 'late' }),
      shadowStack: true,
      load: () => load,
      poison: () => poison,
    }
    execute(probe, frameCase(asked))
    for (const request of requests) {
      expect(request).toMatchObject({
        raise: 'timer',
        stack: { bytes: session.cpu.minSignalStack, state: 'late' },
        shadowStack: true,
      })
      expect(request.load).toBe(load)
      expect(request.poison).toBe(poison)
    }
    expect(requests).toHaveLength(2)
  })

  test('loads all that the task has, or only the case’s components', () => {
    const loaded = (test: Partial<FrameCase>) => {
      const { probe, runs } = sessionWith()
      execute(probe, frameCase(test), { components: ['pkru'] })
      const [[frame]] = runs as [[ProbeRequest]]
      return (frame.load as XsaveImage).xstateBv
    }
    expect(loaded({})).toBe(layout.features)
    expect(loaded({ loadOnly: true })).toBe(0x203n)
  })
})

describe('what has to be reached', () => {
  const reached: FrameCase['reached'] = ({ slept }) => (slept > 0 ? null : 'the thread did not sleep')

  test('is tried anew until both have reached it', () => {
    for (const late of ['frame', 'witness'] as const) {
      const { probe, runs } = sessionWith((_, which, nth) => ({ slept: which === late && nth < 3 ? 0 : 1 }))
      expect(execute(probe, frameCase({ reached }))).toMatchObject({ kind: 'observed', observed: 'restored' })
      expect(runs).toHaveLength(3)
    }
  })

  test('is given up after 20 tries: the host was unable, and nothing is said of the kernel', () => {
    const { probe, runs } = sessionWith(() => ({ slept: 0 }))
    expect(execute(probe, frameCase({ reached }))).toEqual({
      kind: 'unable',
      text: 'in 20 tries the thread did not sleep',
    })
    expect(runs).toHaveLength(20)
  })

  test('what never came as far as a frame is not tried anew', () => {
    let calls = 0
    const probe = {
      ...session,
      runMany: () => {
        calls += 1
        return [
          { kind: 'timeout', timeoutMs: 1 },
          { kind: 'timeout', timeoutMs: 1 },
        ]
      },
    } as unknown as Probe
    expect(execute(probe, frameCase({ reached })).kind).toBe('lost')
    expect(calls).toBe(1)
  })
})

describe('what is verified besides', () => {
  test('a problem is what was observed', () => {
    const done = run(() => ({}), { verify: () => 'the frame is blue' })
    expect(done).toEqual({ kind: 'observed', observed: 'unexplained', text: 'the frame is blue' })
  })

  test('it is asked of the frame, with its context, and not of its witness', () => {
    const asked: unknown[] = []
    const verify: FrameCase['verify'] = (seen, context) => {
      asked.push(seen.sent.xstateBv, context.abi)
      return null
    }
    expect(run(() => ({}), { verify }, { abi: 'ia32' })).toMatchObject({ observed: 'restored' })
    expect(asked).toEqual([layout.features, 'ia32'])
  })

  test('not of a frame that did not come back', () => {
    const verify = () => 'never'
    const edit = (): EditOp[] => [{ op: 'or', field: 'xcompBv', value: 1 }]
    expect(run(() => ({}), { verify, edit })).toMatchObject({ observed: 'rejected' })
  })
})

describe('a case that throws is broken itself', () => {
  const boom = () => {
    throw new Error('boom')
  }

  test.each(['edit', 'verify', 'reached', 'load', 'poison', 'stack'] as const)('%s', part => {
    expect(run(() => ({}), { [part]: boom })).toEqual({ kind: 'broken', text: 'boom' })
  })

  test('whatever it throws', () => {
    const edit = () => {
      throw 'a text'
    }
    expect(run(() => ({}), { edit })).toEqual({ kind: 'broken', text: 'a text' })
  })

  test('an edit that cannot be done', () => {
    const edit = (): EditOp[] => [{ op: 'fill', at: 1 << 30, length: 1, value: 0 }]
    const done = run(() => ({}), { edit })
    expect(done.kind).toBe('broken')
    expect(done.text).toContain('edit[0]')
  })
})

/** The record with one byte of a part flipped. */
const flipped = (record: FrameRecord, part: 'head' | 'fsave' | 'fpstate', at: number): FrameRecord => {
  const bytes = record[part]?.slice()
  if (bytes === undefined) throw new Error(`no ${part} in a frame of ${record.abi}`)
  bytes[at] = (bytes[at] as number) ^ 1
  const { abi, head, fsave, fpstate } = record
  return new FrameRecord({ abi, head, fsave, fpstate, [part]: bytes }, layout)
}

const withPointer = (record: FrameRecord, pointer: bigint): FrameRecord => {
  const { abi, fsave, fpstate } = record
  const head = record.head.slice()
  new DataView(head.buffer).setBigUint64(frameShape(abi).fields.fpstate.at, pointer, true)
  return new FrameRecord({ abi, head, fsave, fpstate }, layout)
}

describe('the frame that was sent is the frame that was meant', () => {
  const broken = { kind: 'broken', text: 'the frame sent is not the frame meant' }
  const edit = ({ abi }: CaseContext): EditOp[] => [
    { op: 'set', field: 'mxcsr', value: 0x1fa0 },
    { op: 'set', field: 'head.rsp', value: 64 },
    ...(isIa32(abi) ? [{ op: 'set', field: 'fsave.cw', value: 0xffff_037f } as const] : []),
  ]

  test.each(abis)('%s: as it is', abi => {
    expect(run(() => ({}), { edit }, { abi })).toMatchObject({ observed: 'restored' })
  })

  const parts = abis.flatMap(abi =>
    (['fpstate', 'head', 'fsave'] as const)
      .filter(part => part !== 'fsave' || isIa32(abi))
      .flatMap(part => (['frame', 'witness'] as const).map(of => ({ abi, part, of }))),
  )

  test.each(parts)('$abi: another byte in the $part of the $of', ({ abi, part, of }) => {
    const change: Change = (seen, which) => (which === of ? { sent: flipped(seen.sent, part, 5) } : {})
    expect(run(change, { edit }, { abi })).toEqual(broken)
  })

  test('a byte that no edit reaches counts too: behind MAGIC2', () => {
    const change: Change = ({ sent }) => {
      const { abi, head, fsave } = sent
      const fpstate = new Uint8Array(sent.fpstate.length + 1)
      fpstate.set(sent.fpstate)
      return { sent: new FrameRecord({ abi, head, fsave, fpstate }, layout) }
    }
    expect(run(change)).toEqual(broken)
  })

  test('the pointer alone is the session’s business: it is told by where it led', () => {
    const repointed: Change = ({ sent }) => ({ sent: withPointer(sent, 0x1234_0000n) })
    expect(run(repointed)).toMatchObject({ observed: 'restored' })
    expect(run(() => ({ sentFrom: { buffer: 'stack', pointed: false } }))).toEqual(broken)
    expect(run(() => ({ sentFrom: { buffer: 'spare', pointed: true } }))).toEqual(broken)
  })

  test('a moved frame lies in the second buffer', () => {
    const moved = (): EditOp[] => [{ op: 'move' }]
    expect(run(() => ({}), { edit: moved })).toMatchObject({ observed: 'restored' })
    expect(run(() => ({ sentFrom: { buffer: 'stack', pointed: true } }), { edit: moved })).toEqual(broken)
  })

  test('a pointer that is meant to lead elsewhere may', () => {
    const elsewhere = (): EditOp[] => [{ op: 'pointer', address: 64n }]
    expect(run(() => ({}), { edit: elsewhere })).toMatchObject({ observed: 'rejected' })
  })
})

describe('the frame that the kernel wrote has what was in the registers', () => {
  const lost = (names: string) => ({
    kind: 'observed',
    observed: 'unexplained',
    text: `the frame as the kernel wrote it has not what was in the registers: ${names}`,
  })

  test.each([
    ['avx', layout.offset('avx')],
    ['sse', 160],
    ['x87', 32],
    ['mxcsr', 25],
    ['pkru', layout.offset('pkru') + 1],
  ] as const)('%s', (name, at) => {
    const { before } = session.runMany([{ load: randomImage(layout, { seed: 1 }) }])[0] as Returned
    const other = before.clone()
    other.bytes[at] = (other.bytes[at] as number) ^ 1
    for (const of of ['frame', 'witness'] as const)
      expect(run((_, which) => (which === of ? { before: other } : {}))).toEqual(lost(name))
  })

  test('32-bit: x87 is the fsave header’s', () => {
    const change: Change = seen => {
      const written = flipped(seen.written, 'fsave', 30)
      return { written, sent: flipped(seen.sent, 'fsave', 30) }
    }
    expect(run(change, {}, { abi: 'ia32-rt' })).toEqual(lost('x87'))
  })

  test('also where the frame was rejected', () => {
    const other = randomImage(layout, { seed: 99 })
    const rejecting = (): EditOp[] => [{ op: 'or', field: 'xcompBv', value: 1 }]
    const done = run(() => ({ before: other }), { edit: rejecting })
    expect(done.text).toMatch(/^the frame as the kernel wrote it has not/)
  })
})

describe('what is lost', () => {
  test.each([
    [
      { kind: 'died', where: null, signal: 'SIGKILL', code: null },
      'crash',
      'the probe process died of SIGKILL',
    ],
    [
      { kind: 'died', where: null, signal: null, code: 81 },
      'crash',
      'the probe process died of exit code 81',
    ],
    [{ kind: 'timeout', timeoutMs: 5000 }, 'timeout', 'no progress within 5000 ms'],
    [{ kind: 'stuck', timeoutMs: 5000, pid: 42 }, 'stuck', 'SIGKILL did not end the probe process (pid 42)'],
  ] as const)('%o is a %s', (seen, how, text) => {
    const good = session.runMany([{ load: randomImage(layout, { seed: 1 }) }])[0] as object
    expect(execute(sessionThatGives(seen, seen), frameCase())).toEqual({ kind: 'lost', how, text })
    expect(execute(sessionThatGives(seen, good), frameCase())).toEqual({ kind: 'lost', how, text })
  })

  test('also of the witness alone', () => {
    const { probe } = sessionWith((_, which) =>
      which === 'witness' ? { kind: 'timeout', timeoutMs: 1 } : {},
    )
    expect(execute(probe, frameCase())).toEqual({
      kind: 'lost',
      how: 'timeout',
      text: 'no progress within 1 ms',
    })
  })

  test('what the host refuses is no word of the kernel', () => {
    const seen = { kind: 'refused', call: 'sigaltstack', errno: 'ENOMEM' }
    expect(execute(sessionThatGives(seen, seen), frameCase())).toEqual({
      kind: 'unable',
      text: 'sigaltstack is refused here with ENOMEM',
    })
  })

  test('a fork that dies at the return has been killed: a treatment', () => {
    const edit = (): EditOp[] => [
      { op: 'or', field: 'head.sigmask', value: 1n << 10n },
      { op: 'or', field: 'xcompBv', value: 1 },
    ]
    expect(run(() => ({}), { edit })).toMatchObject({ kind: 'observed', observed: 'killed' })
    expect(run(() => ({ signal: 'SIGKILL' }), { edit })).toMatchObject({ observed: 'unexplained' })
    expect(run(seen => ({ sent: flipped(seen.sent, 'fpstate', 40) }), { edit }).kind).toBe('broken')
  })

  test('a fork that dies before a frame was sent is unexplained, and no crash', () => {
    const seen = { kind: 'died', where: 'handler', signal: 'SIGSEGV', code: null }
    expect(execute(sessionThatGives(seen, seen), frameCase())).toEqual({
      kind: 'observed',
      observed: 'unexplained',
      text: 'died before a frame was sent',
    })
  })
})

describe('without a frame', () => {
  const signal = (where: string) => ({ kind: 'signal', where, signal: 'SIGSEGV', siCode: 128, siAddr: 0n })

  test('at delivery: it was not delivered', () => {
    const seen = signal('delivery')
    expect(execute(sessionThatGives(seen, seen), frameCase())).toMatchObject({ observed: 'undelivered' })
  })

  test.each(['load', 'handler'])('at %s: unexplained', where => {
    const seen = signal(where)
    expect(execute(sessionThatGives(seen, seen), frameCase())).toEqual({
      kind: 'observed',
      observed: 'unexplained',
      text: `SIGSEGV at ${where} before a frame was sent`,
    })
  })
})

describe('what cannot be told', () => {
  test('a poison that is what is expected: the case is broken', () => {
    const poison = ({ seed }: CaseContext) => randomImage(layout, { seed })
    const done = run(() => ({}), { poison })
    expect(done.kind).toBe('broken')
    expect(done.text).toContain('the poison has the same')
  })

  test('without an fpstate there is nothing to be told from it', () => {
    const edit = (): EditOp[] => [{ op: 'pointer', address: 0n }]
    const poison = ({ seed }: CaseContext) => randomImage(layout, { seed })
    expect(run(() => ({}), { edit, poison })).toMatchObject({ observed: 'init' })
  })
})

describe('a trial', () => {
  const trial = (
    found: () => ReturnType<Extract<SelftestCase, { trial: unknown }>['trial']>,
  ): SelftestCase => ({
    summary: 'Made up.',
    rule: 'untouched-frame-restores',
    commit: '',
    trial: found,
  })

  test('says itself what it found', () => {
    const found = { observed: 'as-stated', text: 'seen' } as const
    expect(
      execute(
        session,
        trial(() => found),
      ),
    ).toEqual({ kind: 'observed', ...found })
  })

  test('or that the host did not let it', () => {
    expect(
      execute(
        session,
        trial(() => ({ unable: 'no threads' })),
      ),
    ).toEqual({ kind: 'unable', text: 'no threads' })
  })

  test('one that throws is broken', () => {
    const throwing = trial(() => {
      throw new Error('boom')
    })
    expect(execute(session, throwing)).toEqual({ kind: 'broken', text: 'boom' })
  })

  test('it gets the session and the context', () => {
    const seen: unknown[] = []
    const test: SelftestCase = {
      ...trial(() => ({ unable: '' })),
      trial: (probe, context) => {
        seen.push(probe, context.abi)
        return { unable: '' }
      },
    }
    execute(session, test, { abi: 'x32' })
    expect(seen).toEqual([session, 'x32'])
  })
})
