/** Where frames lie when they are written and when they are restored: pages, stacks, guard pages; and what repeats. */
import { availableParallelism } from 'node:os'
import { beforeEach, describe, expect, it, type TestContext } from 'vitest'
import { type Abi, abis, frameShape } from '../../lib/frame/abi.ts'
import { type EditOp, pageStates } from '../../lib/frame/edit.ts'
import { magic2Size } from '../../lib/frame/format.ts'
import { type ProbeRequest, prepareRequest, type StackState, stackStates } from '../../lib/probe/request.ts'
import type { Seen } from '../../lib/probe/result.ts'
import type { Probe } from '../../lib/probe/session.ts'
import { initImage, type XsaveImage } from '../../lib/xstate/image.ts'
import type { PlacedComponent } from '../../lib/xstate/layout.ts'
import { randomImage } from '../../lib/xstate/random.ts'
import { childrenOf } from './procfs.ts'
import { describe as inOneLine, needsProbes, recorded, returned, session } from './support.ts'

beforeEach(needsProbes)

const page = 4096

const sessionFor = (ctx: TestContext, abi: Abi): Probe => {
  const probe = session()
  const lack = probe.lack(abi)
  if (lack !== null) ctx.skip(lack)
  return probe
}

/** Skips where the kernel, or the number of CPUs, forbids it: with the one error that says so. */
const granted = (ctx: TestContext, seen: Seen): Seen => {
  if (seen.kind !== 'refused') return seen
  const { call, errno } = seen
  const why = `${call} ${errno}`
  if (call === 'other CPU') expect(availableParallelism()).toBe(1)
  expect(why).toMatch(
    /^(other CPU ENODEV|userfaultfd (EPERM|EACCES|ENOSYS)|pkey_alloc (EINVAL|ENOSPC|ENOSYS))$/,
  )
  return ctx.skip(`not to be had here: ${why}`)
}

const expectRestored = (seen: Seen): void => {
  const one = returned(seen)
  for (const { name } of one.layout.components) {
    expect([name, one.state(name)]).toEqual([
      name,
      { restored: true, init: false, kept: false, loaded: true },
    ])
  }
}

const refused = { kind: 'signal', where: 'sigreturn', signal: 'SIGSEGV', siCode: 128 }

/** Places of a moved fpstate: on one page or two, and with a page break where nothing but XRSTOR reads before it. */
const placements: [string, EditOp][] = [
  ['at the beginning of a page', { op: 'move' }],
  ['across two pages, broken in the legacy region', { op: 'move', at: page - 256 }],
  ['across two pages, broken behind the header', { op: 'move', at: 2 * page - 640 }],
]

describe.each(abis)('pages of %s frames', abi => {
  describe.each(placements)('%s', (_, move) => {
    it.for(pageStates)('%s, the first one', (state, ctx) => {
      const probe = sessionFor(ctx, abi)
      const { pid } = probe
      const load = randomImage(probe.layout, { seed: 21 })
      const edit: EditOp[] = [move, { op: 'pages', at: 0, length: 1, state }]
      expect(probe.prepare({ abi, edit }).isolated).toBe(true)
      for (let i = 0; i < 3; i++) {
        const seen = granted(ctx, probe.runSync({ abi, load, edit }))
        expectPages(seen, state)
        const { effect, sent, written } = recorded(seen)
        expect(effect).toEqual(edit.map(op => (op.op === 'move' ? { at: 0, ...op } : op)))
        // Recorded before the pages changed.
        expect(sent.fpstate).toEqual(written.fpstate)
      }
      expect([probe.pid, childrenOf(pid)]).toEqual([pid, []])
      expectRestored(probe.runSync({ abi, load, edit: [move] }))
    })
  })

  it.for(pageStates)('%s, all that it lies in', (state, ctx) => {
    const probe = sessionFor(ctx, abi)
    const load = randomImage(probe.layout, { seed: 22 })
    const edit: EditOp[] = [
      { op: 'move', at: page - 128 },
      { op: 'pages', at: 0, length: probe.limits.frameBytes, state },
    ]
    expectPages(granted(ctx, probe.runSync({ abi, load, edit })), state)
  })

  it('of several states, each as it says', ctx => {
    const probe = sessionFor(ctx, abi)
    const load = randomImage(probe.layout, { seed: 23 })
    const move: EditOp = { op: 'move', at: page - 128 }
    const pages = (at: number, state: (typeof pageStates)[number]): EditOp => ({
      op: 'pages',
      at,
      length: 1,
      state,
    })
    const run = (...ops: EditOp[]): Seen => granted(ctx, probe.runSync({ abi, load, edit: [move, ...ops] }))
    expectRestored(run(pages(0, 'readonly'), pages(128, 'evicted')))
    expect(run(pages(0, 'readonly'), pages(128, 'unreadable'))).toMatchObject(refused)
    expect(run(pages(0, 'unreadable'), pages(128, 'evicted'))).toMatchObject(refused)
    // The last one counts, and what was not taken away can be served.
    expectRestored(run(pages(0, 'unreadable'), pages(0, 'readonly')))
    expect(run(pages(0, 'hole'), pages(128, 'late'))).toMatchObject(refused)
  })

  it('late, both, while the thread sleeps twice', ctx => {
    const probe = sessionFor(ctx, abi)
    const load = randomImage(probe.layout, { seed: 24 })
    const sibling = randomImage(probe.layout, { seed: 25 })
    const late = (at: number): EditOp => ({ op: 'pages', at, length: 1, state: 'late' })
    const edit: EditOp[] = [{ op: 'move', at: page - 128 }, late(0), late(128)]
    const seen = granted(ctx, probe.runSync({ abi, load, sibling, edit }))
    expectRestored(seen)
    const { served, slept } = returned(seen)
    expect([served, slept >= 2]).toEqual([2, true])
  })

  it('late, more of them than can be served, are refused', ctx => {
    const probe = sessionFor(ctx, abi)
    const late: EditOp = { op: 'pages', at: 0, length: 1, state: 'late' }
    const seen = probe.runSync({ abi, edit: [{ op: 'move' }, late, late, late] })
    if (seen.kind === 'refused' && seen.call === 'userfaultfd') granted(ctx, seen)
    expect(seen).toEqual({ kind: 'refused', call: 'pages', errno: 'ENOSPC' })
    returned(probe.runSync({ abi, edit: [{ op: 'move' }, late, late] }))
  })

  it('with siblings of every kind at once', ctx => {
    const probe = sessionFor(ctx, abi)
    const load = randomImage(probe.layout, { seed: 26 })
    for (const raise of ['blocked', 'ipi'] as const) {
      const edit: EditOp[] = [
        { op: 'move', at: page - 128 },
        { op: 'pages', at: 0, length: 1, state: 'contended' },
        { op: 'pages', at: 128, length: 1, state: 'late' },
      ]
      const stack = { bytes: 8 * page, state: 'late' } as const
      for (let i = 0; i < 10; i++) {
        const seen = granted(ctx, probe.runSync({ abi, raise, load, stack, edit }))
        // Old kernels may find the contended page gone.
        if (seen.kind === 'returned') expectRestored(seen)
        else expect(seen).toMatchObject(refused)
        expect(recorded(seen).served).toBeGreaterThanOrEqual(2)
      }
    }
  })
})

const expectPages = (seen: Seen, state: (typeof pageStates)[number]): void => {
  const lost = state === 'unreadable' || state === 'hole'
  // What is evicted by another CPU all the time, some kernels do not find.
  if (state === 'contended' && seen.kind === 'signal') expect(seen).toMatchObject(refused)
  else if (lost) expect(seen).toMatchObject(refused)
  else expectRestored(seen)
  expect(recorded(seen).served > 0).toBe(state === 'late')
}

describe.each(abis)('an alternate stack for %s frames', abi => {
  const bytes = 8 * page
  it.for(stackStates)('%s', (state, ctx) => {
    const probe = sessionFor(ctx, abi)
    const { pid } = probe
    const load = randomImage(probe.layout, { seed: 31 })
    // Keys that are closed at the return are closed for the frame too.
    const poison = randomImage(probe.layout, { seed: 32, components: ['x87', 'sse'] })
    const seen = granted(ctx, probe.runSync({ abi, load, poison, stack: { bytes, state } }))
    expectStack(seen, state)
    if ('written' in seen) {
      const { ucStackSize } = frameShape(abi).fields
      if (ucStackSize !== undefined) expect(seen.written.headField('ucStackSize')).toBe(BigInt(bytes))
    }
    expectRestored(probe.runSync({ abi, load }))
    expect([probe.pid, childrenOf(pid)]).toEqual([pid, []])
  })

  it('is where the frame is written, up to its last byte', ctx => {
    const probe = sessionFor(ctx, abi)
    for (const bytes of [4 * page, 5 * page + 17]) {
      const { written } = returned(probe.runSync({ abi, stack: { bytes } }))
      const { ucStackSp, ucStackSize } = frameShape(abi).fields
      if (ucStackSp === undefined || ucStackSize === undefined) continue
      const [start, size] = [written.headField('ucStackSp'), written.headField('ucStackSize')]
      expect(size).toBe(BigInt(bytes))
      expect((start + size) % BigInt(page)).toBe(0n)
      expect(written.fpstatePointer).toBeGreaterThan(start)
      expect(written.fpstatePointer + BigInt(probe.limits.frameBytes)).toBeLessThanOrEqual(start + size)
    }
  })

  it('that is too small for a frame is a signal at delivery', ctx => {
    const probe = sessionFor(ctx, abi)
    if (probe.limits.frameBytes < 2048) ctx.skip('the smallest stack has room for the frames of this host')
    const seen = probe.runSync({ abi, stack: { bytes: 2048 } })
    expect(seen).toMatchObject({ kind: 'signal', where: 'delivery', signal: 'SIGSEGV' })
    expect('written' in seen).toBe(false)
  })

  it('with a closed key takes frames of threads that have the key', ctx => {
    const probe = sessionFor(ctx, abi)
    // In its init state PKRU closes none.
    const open = { components: ['x87', 'sse'] as const }
    const load = randomImage(probe.layout, { seed: 36, ...open })
    const poison = randomImage(probe.layout, { seed: 37, ...open })
    const seen = granted(ctx, probe.runSync({ abi, load, poison, stack: { bytes, state: 'closed-key' } }))
    for (const name of open.components)
      expect([name, returned(seen).state(name).loaded]).toEqual([name, true])
  })

  it('goes with every way of raising and with moved frames', ctx => {
    const probe = sessionFor(ctx, abi)
    const load = randomImage(probe.layout, { seed: 33 })
    for (const raise of ['tgkill', 'blocked', 'timer'] as const) {
      for (const edit of [[], [{ op: 'move' as const }]])
        expectRestored(probe.runSync({ abi, raise, load, edit, stack: { bytes } }))
    }
    expect(probe.runSync({ abi, stack: { bytes }, edit: [{ op: 'move', guardAt: 256 }] })).toMatchObject(
      refused,
    )
  })

  it('that cannot be written is a signal at delivery, however the probe waits for it', ctx => {
    const probe = sessionFor(ctx, abi)
    const { pid } = probe
    for (const raise of ['tgkill', 'blocked', 'timer', 'ipi'] as const) {
      for (let i = 0; i < 5; i++) {
        const seen = granted(ctx, probe.runSync({ abi, raise, stack: { bytes, state: 'readonly' } }))
        expect([raise, inOneLine(seen)]).toEqual([
          raise,
          'kind signal, where delivery, signal SIGSEGV, siCode 128',
        ])
      }
    }
    expect([probe.pid, childrenOf(pid)]).toEqual([pid, []])
  })

  it('and a callback share memory, or are refused together', ctx => {
    const probe = sessionFor(ctx, abi)
    const load = randomImage(probe.layout, { seed: 34 })
    const { mxcsr } = randomImage(probe.layout, { seed: 35 })
    let read = 0
    const edit = (frame: { mxcsr: number }): void => {
      read = frame.mxcsr
      frame.mxcsr = mxcsr
    }
    const seen = returned(probe.runSync({ abi, load, edit, stack: { bytes } }))
    expect([read, seen.after.mxcsr]).toEqual([load.mxcsr, mxcsr])
    for (const state of ['fresh', 'late'] as const) {
      expect(() => probe.runSync({ abi, load, edit, stack: { bytes, state } })).toThrow(
        new RangeError(`request.stack.state is "${state}", but a live edit needs a frame in shared memory`),
      )
    }
  })
})

const expectStack = (seen: Seen, state: StackState): void => {
  switch (state) {
    case 'readonly':
    case 'unreadable':
      expect(seen).toMatchObject({ kind: 'signal', where: 'delivery', signal: 'SIGSEGV' })
      return
    case 'closed-key':
      // Kernels differ in whether they can write there, and read the frame's end once its keys are restored.
      if (seen.kind === 'returned') expectRestored(seen)
      else expect(inOneLine(seen)).toMatch(/^kind signal, where (delivery|sigreturn), signal SIGSEGV/)
      return
    default:
      expectRestored(seen)
      expect(returned(seen).served > 0).toBe(state === 'late')
  }
}

describe.each(abis)('the unreadable page behind %s frames', abi => {
  it('at every place of them', ctx => {
    const probe = sessionFor(ctx, abi)
    const { pid } = probe
    const { frameBytes, spareBytes } = probe.limits
    const load = randomImage(probe.layout, { seed: 41 })
    // What is copied may lie anywhere.
    const step = frameShape(abi).fsave ? 60 : 64
    const most = Math.min(spareBytes, frameBytes + 4 * 64)
    const places = Array.from({ length: Math.floor(most / step) }, (_, i) => (i + 1) * step)
    const requests = places.map(guardAt => ({ abi, load, edit: [{ op: 'move', guardAt } as const] }))
    for (const [i, seen] of probe.runMany(requests).entries()) {
      const guardAt = places[i]!
      const one = recorded(seen)
      expect(one.sent.fpstate).toEqual(one.written.fpstate.slice(0, guardAt))
      expect(one.sentFrom).toEqual({ buffer: 'spare', pointed: true })
      // Without the legacy region nothing can be restored; with all that the kernel wrote all of it is.
      if (guardAt < 512) expect([guardAt, one]).toEqual([guardAt, expect.objectContaining(refused)])
      if (guardAt >= frameBytes) expectRestored(one)
      if (one.kind === 'signal') expect(one).toMatchObject(refused)
    }
    expect(probe.pid).toBe(pid)
  })

  it('takes nothing of a frame that fits before it', ctx => {
    const probe = sessionFor(ctx, abi)
    const { layout } = probe
    if (!layout.xsave) ctx.skip('this host has no XSAVE')
    const guardAt = Math.ceil((layout.size + magic2Size) / 64) * 64
    const load = randomImage(layout, { seed: 42 })
    expectRestored(probe.runSync({ abi, load, edit: [{ op: 'move', guardAt }] }))
  })
})

describe('what makes no sense is refused before anything runs', () => {
  const cases: [string, (probe: Probe) => unknown, (probe: Probe) => Error][] = [
    [
      'pages without a move',
      () => ({ edit: [{ op: 'pages', at: 0, length: 1, state: 'evicted' }] }),
      () =>
        new RangeError(
          'request.edit[0] is "pages", but the frame lies on the stack of the process itself: move it to the second buffer first',
        ),
    ],
    [
      'pages behind the second buffer',
      ({ limits }) => ({
        edit: [{ op: 'move' }, { op: 'pages', at: limits.spareBytes, length: 1, state: 'evicted' }],
      }),
      ({ limits }) =>
        new RangeError(`request.edit[1].at is ${limits.spareBytes}, must be in 0..${limits.spareBytes - 1}`),
    ],
    [
      'pages that end behind it',
      ({ limits }) => ({
        edit: [
          { op: 'move', at: 64 },
          { op: 'pages', at: 0, length: limits.spareBytes - 63, state: 'evicted' },
        ],
      }),
      ({ limits }) =>
        new RangeError(
          `request.edit[1].length is ${limits.spareBytes - 63}, must be in 1..${limits.spareBytes - 64}`,
        ),
    ],
    [
      'no pages',
      () => ({ edit: [{ op: 'move' }, { op: 'pages', at: 0, length: 0, state: 'evicted' }] }),
      ({ limits }) => new RangeError(`request.edit[1].length is 0, must be in 1..${limits.spareBytes}`),
    ],
    [
      'pages of no state',
      () => ({ edit: [{ op: 'move' }, { op: 'pages', at: 0, length: 1, state: 'gone' }] }),
      () =>
        new TypeError(
          'request.edit[1].state must be one of evicted readonly unreadable hole late contended, not "gone"',
        ),
    ],
    ...(['hole', 'unreadable'] as const).map((taken): (typeof cases)[number] => [
      `pages that are served once they are ${taken}`,
      () => ({
        edit: [
          { op: 'move', at: page - 64 },
          { op: 'pages', at: 0, length: 65, state: taken },
          { op: 'pages', at: 4000, length: 1, state: 'late' },
        ],
      }),
      () =>
        new RangeError(
          'request.edit[2].state is "late", but an earlier operation has taken these pages away',
        ),
    ]),
    [
      'a move behind the second buffer',
      ({ limits }) => ({ edit: [{ op: 'move', guardAt: limits.spareBytes + 1 }] }),
      ({ limits }) =>
        new RangeError(
          `request.edit[0].guardAt is ${limits.spareBytes + 1}, must be in 1..${limits.spareBytes}`,
        ),
    ],
    ...(
      [
        ['a field that is set', { op: 'set', field: 'xstateBv', value: 1 }, 'request.edit[1]'],
        ['a field that is combined', { op: 'and', field: 'xstateBv', value: 1 }, 'request.edit[1].field'],
        ['a size', { op: 'resize', xstateSize: 576 }, 'request.edit[1]'],
      ] as const
    ).map(([what, op, field]): (typeof cases)[number] => [
      `${what} behind the second buffer’s end`,
      () => ({ edit: [{ op: 'move', guardAt: 464 }, op] }),
      () =>
        new RangeError(
          `${field} (end) is ${op.op === 'resize' ? 484 : 520}, but edits of the second buffer must end by 464`,
        ),
    ]),
    [
      'a stack for a frame that no signal makes',
      () => ({ raise: 'fake', stack: { bytes: 8192 } }),
      () => new RangeError('request.stack is 8192, but raise is fake: nothing is delivered onto a stack'),
    ],
    [
      'a stack of no bytes',
      () => ({ stack: { bytes: 0 } }),
      () => new RangeError('request.stack.bytes is 0, must be in 1..'),
    ],
    [
      'a stack without a size',
      () => ({ stack: {} }),
      () => new TypeError('request.stack.bytes must be an integer, not undefined'),
    ],
    [
      'a stack of no state',
      () => ({ stack: { bytes: 8192, state: 'soft' } }),
      () =>
        new TypeError(
          'request.stack.state must be one of plain fresh readonly unreadable late closed-key, not "soft"',
        ),
    ],
    [
      'a stack with something else',
      () => ({ stack: { bytes: 8192, size: 1 } }),
      () => new RangeError('request.stack.size is 1, but a stack has only bytes state'),
    ],
    [
      'a way of raising that is none',
      () => ({ raise: 'kill' }),
      () => new RangeError('request.raise is "kill", must be one of tgkill tgkill32 blocked timer ipi fake'),
    ],
    [
      'an fsave header where there is none',
      () => ({ edit: [{ op: 'set', field: 'fsave.cw', value: 1 }] }),
      () => new RangeError('request.edit[0].field is "fsave.cw", must be one of '),
    ],
    [
      'a field of the head of other frames',
      () => ({ abi: 'x86_64', edit: [{ op: 'set', field: 'head.extramask', value: 1 }] }),
      () => new RangeError('request.edit[0].field is "head.extramask", must be one of '),
    ],
    [
      'a region that is none',
      () => ({ edit: [{ op: 'write', region: 'tail', at: 0, bytes: '00' }] }),
      () => new TypeError('request.edit[0].region must be one of area fsave head, not "tail"'),
    ],
    [
      'a write behind the head',
      () => ({ edit: [{ op: 'write', region: 'head', at: 440, bytes: '00' }] }),
      () => new RangeError('request.edit[0] (end) is 441, but the head ends at 440'),
    ],
  ]

  it.each(cases)('%s', (_, request, error) => {
    const probe = session()
    const { pid } = probe
    const { message, name } = error(probe)
    // A sibling of its own, whose process would tell that it was started.
    for (const run of [
      () => probe.runSync(request(probe) as never),
      () => probe.prepare(request(probe) as never),
    ]) {
      const thrown = caught(run)
      expect([thrown.name, thrown.message.slice(0, message.length)]).toEqual([name, message])
    }
    expect(probe.pid).toBe(pid)
    returned(probe.runSync())
  })

  it('the bit of a component behind the second buffer’s end', ctx => {
    const probe = session()
    if (!probe.layout.xsave) ctx.skip('this host has no XSAVE, and no such bits')
    const edit: EditOp[] = [
      { op: 'move', guardAt: 464 },
      { op: 'component', name: 'x87', bytes: new Uint8Array(160) },
    ]
    expect(() => probe.runSync({ edit })).toThrow(
      new RangeError('request.edit[1] (end) is 520, but edits of the second buffer must end by 464'),
    )
  })

  it('what this host lacks, as a host without it has it', () => {
    const probe = session()
    const { layout, limits } = probe
    const nothing = { bytes: initImage(layout).bytes, owner: null, slot: -1 }
    const context = {
      session: {},
      layout,
      limits,
      initLoad: nothing,
      stackBytes: 3 * page,
      lack: (abi: Abi) => (abi === 'x86_64' ? null : 'this kernel has no IA32 emulation'),
      nextPoison: () => nothing,
    }
    const prepare = (request: ProbeRequest) => prepareRequest(request, context)
    for (const abi of ['ia32-rt', 'ia32'] as const) {
      expect(() => prepare({ abi })).toThrow(
        new RangeError(`request.abi is "${abi}", but this kernel has no IA32 emulation`),
      )
    }
    expect(() => prepare({ raise: 'tgkill32' })).toThrow(
      new RangeError('request.raise is "tgkill32", but this kernel has no IA32 emulation'),
    )
    expect(() => prepare({ stack: { bytes: 3 * page + 1 } })).toThrow(
      new RangeError(`request.stack.bytes is ${3 * page + 1}, must be in 1..${3 * page}`),
    )
    expect(prepare({}).isolated).toBe(false)
    expect(prepare({ stack: { bytes: 3 * page } }).isolated).toBe(true)
  })
})

const caught = (run: () => unknown): Error => {
  try {
    run()
  } catch (error) {
    return error as Error
  }
  throw new Error('nothing was thrown')
}

describe('which probes are isolated', () => {
  it('those that their process would not survive, and no others', ctx => {
    const probe = sessionFor(ctx, 'ia32')
    const isolated = (request: ProbeRequest): boolean => probe.prepare(request).isolated
    const plain: ProbeRequest[] = [
      {},
      { abi: 'ia32' },
      { raise: 'tgkill32' },
      ...(probe.layout.xsave ? [{ raise: 'fake' } as const] : []),
      { edit: [{ op: 'move' }, { op: 'pointer', address: 7n }, { op: 'set', field: 'xcompBv', value: 1 }] },
      { abi: 'ia32', edit: [{ op: 'set', field: 'fsave.cw', value: 0 }] },
      { edit: () => undefined },
    ]
    const apart: ProbeRequest[] = [
      { raise: 'blocked' },
      { raise: 'timer' },
      { raise: 'ipi' },
      { stack: { bytes: 8192 } },
      { edit: [{ op: 'set', field: 'head.rip', value: 0 }] },
      { edit: [{ op: 'write', region: 'head', at: 0, bytes: '00' }] },
      { edit: [{ op: 'move' }, { op: 'pages', at: 0, length: 1, state: 'readonly' }] },
      { raise: 'blocked', edit: () => undefined },
    ]
    expect(plain.map(isolated)).toEqual(plain.map(() => false))
    expect(apart.map(isolated)).toEqual(apart.map(() => true))
  })
})

describe('repeat', () => {
  it.for(abis)('sends the same frame so many times, and counts the refused: %s', (abi, ctx) => {
    const probe = sessionFor(ctx, abi)
    const { pid } = probe
    const bad: EditOp[] = [{ op: 'move', guardAt: 256 }]
    const raisesHere = probe.layout.xsave ? (['tgkill', 'tgkill32', 'fake'] as const) : (['tgkill'] as const)
    for (const raise of raisesHere) {
      if (raise === 'tgkill32' && probe.lack('ia32') !== null) continue
      expect(probe.repeat({ abi, raise }, 500)).toEqual({ done: 500, refused: 0 })
      expect(probe.repeat({ abi, raise, edit: bad }, 500)).toEqual({ done: 500, refused: 500 })
    }
    const evicted: EditOp[] = [{ op: 'move' }, { op: 'pages', at: 0, length: 1, state: 'evicted' }]
    expect(probe.repeat({ abi, edit: evicted }, 500)).toEqual({ done: 500, refused: 0 })
    expectRestored(probe.runSync({ abi, load: randomImage(probe.layout, { seed: 1 }) }))
    expect([probe.pid, childrenOf(pid)]).toEqual([pid, []])
  })

  it('gets to the end where another CPU takes the page away', ctx => {
    const probe = session()
    const edit: EditOp[] = [
      { op: 'move', at: page - 256 },
      { op: 'pages', at: 0, length: 1, state: 'contended' },
    ]
    granted(ctx, probe.runSync({ edit }))
    const { done, refused: lost } = probe.repeat({ edit }, 2000)!
    expect(done).toBe(2000)
    // How many is the kernel's doing.
    expect(lost).toBeLessThanOrEqual(2000)
  })

  it('of what ends the fork is null, and the process is the same', () => {
    const probe = session()
    const { pid } = probe
    const astray: EditOp[] = [{ op: 'set', field: 'head.rip', value: 0 }]
    const blocks: EditOp[] = [
      { op: 'or', field: 'head.sigmask', value: 1 << 10 },
      { op: 'move', guardAt: 256 },
    ]
    for (const edit of [astray, blocks]) expect(probe.repeat({ edit }, 100)).toBeNull()
    returned(probe.runSync())
    expect(probe.pid).toBe(pid)
  })

  it('that is ended, or does not end, costs no later probe its result', () => {
    const probe = session({ timeoutMs: 600 })
    const { pid } = probe
    expect(probe.repeat({}, 10_000_000)).toBeNull()
    returned(probe.runSync())
    expect(probe.pid).toBe(pid)
    process.kill(pid, 'SIGKILL')
    expect(probe.repeat({}, 10)).toBeNull()
    returned(probe.runSync())
    process.kill(probe.pid, 'SIGSTOP')
    expect(probe.repeat({}, 10)).toBeNull()
    returned(probe.runSync())
    expect(probe.repeat({}, 10)).toEqual({ done: 10, refused: 0 })
  })

  it('refuses what cannot be repeated', () => {
    const probe = session()
    for (const tries of [1, 0, -1, 10_000_001, 1.5, '2', undefined, Number.NaN])
      expect(() => probe.repeat({}, tries as never)).toThrow(/^tries (is|must be) /)
    expect(() => probe.repeat({ edit: () => undefined }, 2)).toThrow(/^request\.edit must be data/)
    for (const raise of ['blocked', 'timer', 'ipi'] as const)
      expect(() => probe.repeat({ raise }, 2)).toThrow(
        new RangeError(`request.raise is "${raise}", but what is repeated is raised by tgkill tgkill32 fake`),
      )
    for (const state of ['readonly', 'unreadable', 'hole', 'late'] as const) {
      const edit: EditOp[] = [{ op: 'move' }, { op: 'pages', at: 0, length: 1, state }]
      expect(() => probe.repeat({ edit }, 2)).toThrow(RangeError)
    }
    for (const state of ['fresh', 'late'] as const)
      expect(() => probe.repeat({ stack: { bytes: 8192, state } }, 2)).toThrow(RangeError)
    expect(() => probe.repeat(null as never, 2)).toThrow(TypeError)
    expect(() => probe.repeat({ loud: 1 } as never, 2)).toThrow(RangeError)
  })
})

/** A component without what lies between its parts: MXCSR and its mask are in the midst of x87. */
const registersOf = ({ bytes }: XsaveImage, { ranges }: PlacedComponent): number[] =>
  ranges.flatMap(({ offset, size }) => [...bytes.subarray(offset, offset + size)])

describe('contextSwitches', () => {
  it('give every thread its own registers back', ctx => {
    const probe = session()
    const { layout, pid } = probe
    if (!layout.xsave) ctx.skip('this host has no XSAVE')
    for (const threads of [2, 3, 8]) {
      const images = Array.from({ length: threads }, (_, seed) => randomImage(layout, { seed }))
      const { after, switches } = probe.contextSwitches(images, 200)!
      expect(after).toHaveLength(threads)
      expect(switches).toBeGreaterThan(0)
      for (const [i, image] of images.entries()) {
        expect(after[i]!.mxcsr).toBe(image.mxcsr)
        for (const placed of layout.components)
          expect([i, placed.name, registersOf(after[i]!, placed)]).toEqual([
            i,
            placed.name,
            registersOf(image, placed),
          ])
      }
    }
    // Nor are the probes that follow disturbed.
    const requests = Array.from({ length: 200 }, (_, seed) => ({ load: randomImage(layout, { seed }) }))
    for (const seen of probe.runMany(requests)) expectRestored(seen)
    expect(probe.pid).toBe(pid)
  })

  it('with components in their init state give those back', ctx => {
    const probe = session()
    const { layout } = probe
    if (!layout.xsave) ctx.skip('this host has no XSAVE')
    const images = [initImage(layout), randomImage(layout, { seed: 1 })]
    const { after } = probe.contextSwitches(images, 50)!
    for (const placed of layout.components)
      expect([placed.name, registersOf(after[0]!, placed)]).toEqual([
        placed.name,
        registersOf(images[0]!, placed),
      ])
  })

  it('that take too long cost no later probe its result', ctx => {
    const probe = session({ timeoutMs: 400 })
    if (!probe.layout.xsave) ctx.skip('this host has no XSAVE')
    const images = [initImage(probe.layout), initImage(probe.layout)]
    expect(probe.contextSwitches(images, 10_000_000)).toBeNull()
    returned(probe.runSync())
    process.kill(probe.pid, 'SIGKILL')
    expect(probe.contextSwitches(images, 10)).toBeNull()
    returned(probe.runSync())
    expect(probe.contextSwitches(images, 10)).not.toBeNull()
  })

  it('refuse what they cannot do', async () => {
    const probe = session()
    const image = initImage(probe.layout)
    for (const images of [undefined, null, 'ab', {}, 7, new Set([image, image])])
      expect(() => probe.contextSwitches(images as never, 10)).toThrow(/^images must be an array of images/)
    for (const count of [0, 1, 9])
      expect(() => probe.contextSwitches(new Array(count).fill(image), 10)).toThrow(
        new RangeError(`images.length is ${count}, must be in 2..8`),
      )
    expect(() => probe.contextSwitches([image, 7 as never], 10)).toThrow(
      /^images\[1\]\.load must be an XsaveImage/,
    )
    expect(() => probe.contextSwitches([image, undefined as never], 10)).not.toThrow(/Cannot read/)
    for (const rounds of [0, -1, 10_000_001, 0.5, '3', undefined])
      expect(() => probe.contextSwitches([image, image], rounds as never)).toThrow(/^rounds (is|must be) /)
    await probe.close()
    expect(() => probe.contextSwitches([image, image], 10)).toThrow('the session is closed')
    expect(() => probe.repeat({}, 10)).toThrow('the session is closed')
  })
})

describe('an image for a sibling', () => {
  it('is checked as the others are', () => {
    const probe = session()
    expect(() => probe.runSync({ sibling: new Uint8Array(3) })).toThrow(/^request\.sibling/)
    expect(() => probe.runSync({ sibling: 7 as never })).toThrow(
      new TypeError('request.sibling must be an XsaveImage or a Uint8Array, not 7'),
    )
    const line = inOneLine(probe.runSync({ sibling: initImage(probe.layout) }))
    expect(line).toBe('kind returned')
  })
})
