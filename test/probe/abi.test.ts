/** Frames of every ABI, however they are raised: what the kernel wrote, what an edit made of it, what came back. */
import { availableParallelism } from 'node:os'
import { beforeEach, describe, expect, it, type TestContext } from 'vitest'
import { type Abi, abis, type FrameShape, frameShape } from '../../lib/frame/abi.ts'
import { applyPrimitives } from '../../lib/frame/apply.ts'
import { userSegments32 } from '../../lib/frame/build.ts'
import { compileEdit } from '../../lib/frame/compile.ts'
import type { EditOp } from '../../lib/frame/edit.ts'
import { magic1, magic2 } from '../../lib/frame/format.ts'
import { fsaveOf, fsaveSize, fsaveSt } from '../../lib/frame/fsave.ts'
import type { LiveFrame } from '../../lib/frame/live.ts'
import type { FrameRecord } from '../../lib/frame/reader.ts'
import { probePath } from '../../lib/native.ts'
import { type ProbeRequest, type Raise, raises } from '../../lib/probe/request.ts'
import type { Returned, Seen } from '../../lib/probe/result.ts'
import type { Probe } from '../../lib/probe/session.ts'
import type { XsaveImage } from '../../lib/xstate/image.ts'
import type { PlacedComponent } from '../../lib/xstate/layout.ts'
import { randomImage } from '../../lib/xstate/random.ts'
import { readCode } from '../package/elf.ts'
import { node } from './child.ts'
import { describe as inOneLine, needsProbes, recorded, returned, session } from './support.ts'

beforeEach(needsProbes)

/** A session; the test is skipped where it has no frames of this ABI. */
const sessionFor = (ctx: TestContext, abi: Abi): Probe => {
  const probe = session()
  const lack = probe.lack(abi)
  if (lack !== null) ctx.skip(lack)
  return probe
}

/** Skips where the host cannot have signals come this way. */
const needsRaise = (ctx: TestContext, probe: Probe, raise: Raise): void => {
  const lack = raise === 'tgkill32' ? probe.lack('ia32-rt') : null
  if (lack !== null) ctx.skip(lack)
  if (raise === 'fake' && !probe.layout.xsave) ctx.skip('this host has no XSAVE')
}

/** Runs it; skips where there is no other CPU to send it from. */
const runOrSkip = (ctx: TestContext, probe: Probe, request: ProbeRequest): Seen => {
  const seen = probe.runSync(request)
  if (seen.kind !== 'refused') return seen
  expect([seen, availableParallelism()]).toEqual([{ kind: 'refused', call: 'other CPU', errno: 'ENODEV' }, 1])
  return ctx.skip('this host has one CPU')
}

/** What puts an image's registers into a frame: x87 is read from the fsave header, where there is one. */
const putImage = (probe: Probe, image: XsaveImage, abi: Abi): EditOp[] => {
  const components = probe.layout.components.map(
    ({ name }): EditOp => ({ op: 'component', name, bytes: image.component(name) }),
  )
  if (!frameShape(abi).fsave) return components
  const bytes = fsaveOf(image.bytes, userSegments32)
  return [...components, { op: 'write', region: 'fsave', at: 0, bytes }]
}

const explained = (restored: boolean, loaded: boolean) => ({ restored, init: false, kept: false, loaded })

/** What is seen of every component. */
const expectStates = (seen: Returned, state: object): void => {
  for (const { name } of seen.layout.components) expect([name, seen.state(name)]).toEqual([name, state])
}

const every = abis.flatMap(abi => raises.map(raise => [abi, raise] as const))

describe.each(every)('%s frames raised by %s', (abi, raise) => {
  it('restore what they say: neither what was loaded nor what the handler left', ctx => {
    const probe = sessionFor(ctx, abi)
    needsRaise(ctx, probe, raise)
    for (let seed = 0; seed < 3; seed++) {
      const load = randomImage(probe.layout, { seed })
      const untouched = returned(runOrSkip(ctx, probe, { abi, raise, load }))
      expectStates(untouched, explained(true, true))
      expect(untouched.mxcsrState()).toEqual(explained(true, true))

      const other = randomImage(probe.layout, { seed: seed + 50 })
      const edit: EditOp[] = [
        ...putImage(probe, other, abi),
        { op: 'set', field: 'mxcsr', value: other.mxcsr },
      ]
      const edited = returned(runOrSkip(ctx, probe, { abi, raise, load, edit }))
      expectStates(edited, explained(true, false))
      expect(edited.mxcsrState()).toEqual(explained(true, false))
      for (const { name } of extended(probe.layout.components))
        expect([name, edited.after.component(name)]).toEqual([name, other.component(name)])
    }
  })

  it('are what the kernel says of such frames', ctx => {
    const probe = sessionFor(ctx, abi)
    needsRaise(ctx, probe, raise)
    const load = randomImage(probe.layout, { seed: 7 })
    const seen = returned(runOrSkip(ctx, probe, { abi, raise, load }))
    expect(seen.abi).toBe(abi)
    expectSaneHead(seen.written, raise)
    expectSaneArea(probe, seen, raise)
    expect(seen.sent.head).toEqual(seen.written.head)
    expect(seen.sent.fsave).toEqual(seen.written.fsave)
    expect(seen.sentFrom).toEqual({ buffer: 'stack', pointed: true })
    expect(seen.effect).toEqual([])
  })

  it('are refused with a signal where they are bad, and the process lives on', ctx => {
    const probe = sessionFor(ctx, abi)
    needsRaise(ctx, probe, raise)
    const { pid } = probe
    for (const at of [256, 64]) {
      const seen = runOrSkip(ctx, probe, { abi, raise, edit: [{ op: 'move', guardAt: at }] })
      expect(seen).toMatchObject({ kind: 'signal', where: 'sigreturn', signal: 'SIGSEGV', siCode: 128 })
      const bytes = recorded(seen).sent.fpstate
      expect(bytes).toHaveLength(at)
    }
    returned(probe.runSync({ abi }))
    expect(probe.pid).toBe(pid)
  })

  it('can be edited by a callback', ctx => {
    const probe = sessionFor(ctx, abi)
    needsRaise(ctx, probe, raise)
    const { mxcsr } = randomImage(probe.layout, { seed: 9 })
    let called = 0
    const edit = (frame: LiveFrame): void => {
      called += 1
      frame.mxcsr = mxcsr
    }
    const seen = returned(runOrSkip(ctx, probe, { abi, raise, edit }))
    expect([called, seen.after.mxcsr]).toEqual([1, mxcsr])
  })
})

const extended = (components: readonly PlacedComponent[]): PlacedComponent[] =>
  components.filter(({ name }) => name !== 'x87' && name !== 'pkru')

const IF = 0x200n
const TF = 0x100n
const DF = 0x400n
const AC = 0x4_0000n

const expectSaneHead = (frame: FrameRecord, raise: Raise): void => {
  const { fields, fsave, fsaveSize: below } = frameShape(frame.abi)
  const cs = raise === 'tgkill32' ? 0x23n : 0x33n
  expect(frame.headField('cs')).toBe(cs)
  // The probe is linked where it runs.
  const code = readCode(probePath())
  const inCode = (address: bigint) => code.some(({ start, end }) => address >= start && address < end)
  expect(inCode(frame.headField('rip'))).toBe(true)
  const eflags = frame.headField('eflags')
  expect([eflags & IF, eflags & (TF | DF | AC)]).toEqual([IF, 0n])
  for (const field of ['sigmask', 'oldmask', 'extramask'] as const)
    if (field in fields) expect([field, frame.headField(field)]).toEqual([field, 0n])
  // All of the arena lies below 4 GiB where there are 32-bit frames.
  const pointer = frame.fpstatePointer
  expect((pointer + BigInt(below)) % 64n).toBe(0n)
  if (fsave) expect(pointer).toBeLessThan(1n << 32n)
  // The stack is in use above what the frame has saved.
  expect(frame.headField('rsp')).toBeGreaterThan(0n)
}

const expectSaneArea = (probe: Probe, { before, written }: Returned, raise: Raise): void => {
  const { layout } = probe
  const shape = frameShape(written.abi)
  const segments =
    raise === 'fake' || !shape.fsave
      ? userSegments32
      : { cs: Number(written.headField('cs')), ds: Number(written.headField('ds')) }
  expect(written.fsave).toEqual(shape.fsave ? fsaveOf(written.fpstate, segments) : null)
  if (!layout.xsave) return
  expect(written.sw).toEqual({
    magic1,
    xfeatures: layout.features,
    xstateSize: layout.size,
    extendedSize: layout.size + 4 + (shape.fsave ? fsaveSize : 0),
  })
  expect(written.magic2At(layout.size)).toBe(magic2)
  expect([written.xcompBv, written.xstateBv & 3n]).toEqual([0n, 3n])
  for (const { name } of extended(layout.components))
    expect([name, written.component(name)]).toEqual([name, before.component(name)])
}

describe.each(abis)('a callback for %s frames', abi => {
  const shape = frameShape(abi)
  /** Runs a callback. */
  const live = (ctx: TestContext, edit: (frame: LiveFrame, probe: Probe) => void) => {
    const probe = sessionFor(ctx, abi)
    const load = randomImage(probe.layout, { seed: 5 })
    return recorded(probe.runSync({ abi, load, edit: frame => edit(frame, probe) }))
  }

  it('reads what the kernel wrote', ctx => {
    let read: unknown
    const seen = live(ctx, frame => {
      const { mxcsr, fpstatePointer, fsave } = frame
      read = { mxcsr, fpstatePointer, fsave, fcw: frame.get('fcw'), legacy: frame.read(0, 512) }
    })
    const { mxcsr, fpstatePointer, fsave, fpstate } = seen.written
    const fcw = BigInt(new DataView(fpstate.buffer, fpstate.byteOffset).getUint16(0, true))
    expect(read).toEqual({ mxcsr, fpstatePointer, fsave, fcw, legacy: fpstate.slice(0, 512) })
    expect(seen.effect).toEqual([])
  })

  it('writes the fsave header, within its bounds', ctx => {
    const st = fsaveSt.at + fsaveSt.size
    const value = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 0x88, 0xff, 0x3f)
    const tooFar = new RangeError(
      `at (end) is ${shape.fsaveSize + 1}, but the fsave header of ${abi} frames ends at ${shape.fsaveSize}`,
    )
    const seen = live(ctx, frame => {
      expect(() => frame.writeFsave(shape.fsaveSize, Uint8Array.of(1))).toThrow(tooFar)
      expect(() => frame.writeFsave(0, 'no' as never)).toThrow(TypeError)
      if (shape.fsave) frame.writeFsave(st, value)
    })
    if (!shape.fsave) return
    expect(seen.sent.fsave).toEqual(withBytes(seen.written.fsave!, st, value))
    expect(seen.sent.fpstate).toEqual(seen.written.fpstate)
    expect(seen.effect).toEqual([{ op: 'write', region: 'fsave', ...changed(seen, st, value) }])
    expect(seen.kind).toBe('returned')
    // ST1, padded to 16 bytes.
    expect(returned(seen).after.component('x87').slice(48, 58)).toEqual(value)
  })

  it('moves the fpstate and all that belongs to it', ctx => {
    const seen = live(ctx, frame => {
      const before = frame.fsave
      frame.move({ at: 4096 })
      expect(frame.fsave).toEqual(before)
      if (before !== null) frame.writeFsave(0, before)
      frame.mxcsr = 0x1fa0
    })
    expectStates(returned(seen), explained(true, true))
    expect(returned(seen).after.mxcsr).toBe(0x1fa0)
    expect(seen.sentFrom).toEqual({ buffer: 'spare', pointed: true })
    expect(seen.effect[0]).toEqual({ op: 'move', at: 4096 })
    expect(seen.sent.fsave).toEqual(seen.written.fsave)
  })

  it('resizes it with what lies behind counted', ctx => {
    const seen = live(ctx, (frame, { layout }) => {
      if (!layout.xsave) ctx.skip('this host has no XSAVE')
      frame.resize(576)
      frame.sw.xfeatures = 3n
      frame.xstateBv = 3n
      frame.placeMagic2({ clearTail: true })
      expect(frame.sw.extendedSize).toBe(576 + shape.trailer)
    })
    const { sw } = seen.sent
    expect([sw.xstateSize, sw.extendedSize]).toEqual([576, 576 + shape.trailer])
    for (const name of ['x87', 'sse'] as const)
      expect(returned(seen).state(name)).toEqual(explained(true, true))
  })

  it('sets the pointer, of this ABI’s width', ctx => {
    const width = shape.fields.fpstate.width
    const seen = live(ctx, frame => {
      const most = (1n << BigInt(8 * width)) - 1n
      expect(() => {
        frame.fpstatePointer = most + 1n
      }).toThrow(RangeError)
      frame.fpstatePointer = 0n
    })
    expect(seen.sent.fpstatePointer).toBe(0n)
    expect(seen.sentFrom).toEqual({ buffer: 'stack', pointed: false })
    // No fpstate gives the init state.
    for (const { name } of extended(seen.layout.components))
      expect(returned(seen).state(name)).toMatchObject({ init: true, kept: false, loaded: false })
    // Also in another process, whose arena lies elsewhere.
    expect(seen.effect).toEqual([{ op: 'pointer', address: 0n }])
  })

  it('that throws has sent the frame as it was', ctx => {
    const probe = sessionFor(ctx, abi)
    const error = new Error('on purpose')
    for (const request of [{ abi }, { abi, raise: 'blocked' as const }]) {
      const edit = (frame: LiveFrame): void => {
        frame.fill(0, 512, 0xff)
        if (shape.fsave) frame.writeFsave(0, new Uint8Array(fsaveSize).fill(0xff))
        frame.move()
        frame.fpstatePointer = 8n
        throw error
      }
      expect(() => probe.runSync({ ...request, edit })).toThrow(error)
    }
    returned(probe.runSync({ abi }))
  })
})

const withBytes = (bytes: Uint8Array, at: number, put: Uint8Array): Uint8Array => {
  const copy = bytes.slice()
  copy.set(put, at)
  return copy
}

/** The run of bytes that differ, as an effect tells it. */
const changed = ({ written }: { written: FrameRecord }, at: number, put: Uint8Array) => {
  const differs = [...put].map((byte, i) => byte !== written.fsave![at + i])
  const [first, last] = [differs.indexOf(true), differs.lastIndexOf(true)]
  return { at: at + first, bytes: put.slice(first, last + 1) }
}

describe.each(abis)('edits as data of %s frames', abi => {
  const shape = frameShape(abi)

  it('below the fpstate do what applyPrimitives says, and their effect says so again', ctx => {
    const probe = sessionFor(ctx, abi)
    const edit = belowEdit(shape)
    const seen = recorded(probe.runSync({ abi, edit }))
    const { primitives, isolated } = compileEdit(edit, probe.layout, probe.limits, 'edit', abi)
    expect(isolated).toBe(true)
    expect(seen.sent.head).toEqual(applyPrimitives(seen.written.head, primitives, 'head'))
    expect(seen.sent.head).not.toEqual(seen.written.head)
    if (seen.written.fsave !== null)
      expect(seen.sent.fsave).toEqual(applyPrimitives(seen.written.fsave, primitives, 'fsave'))
    expect(seen.sent.fpstate).toEqual(seen.written.fpstate)
    const again = recorded(probe.runSync({ abi, edit: seen.effect }))
    // What registers hold besides may differ from one probe to the next.
    const edited = [...seen.sent.head.keys()].filter(i => seen.sent.head[i] !== seen.written.head[i])
    expect(edited.map(i => again.sent.head[i])).toEqual(edited.map(i => seen.sent.head[i]))
    expect(again.sent.fsave).toEqual(seen.sent.fsave)
    expect(again.kind).toBe(seen.kind)
  })

  it('across what lies apart in the frame write both parts', ctx => {
    const probe = sessionFor(ctx, abi)
    // In ia32 frames extramask, at 96 of the record, is far from cr2, at 92.
    const at = abi === 'ia32' ? 90 : 200
    const bytes = Uint8Array.of(1, 2, 3, 4, 5, 6, 0, 0, 0, 0)
    const edit: EditOp[] = [
      { op: 'write', region: 'head', at, bytes: abi === 'ia32' ? bytes : bytes.fill(0) },
    ]
    const seen = recorded(probe.runSync({ abi, edit }))
    expect(seen.sent.head.slice(at, at + bytes.length)).toEqual(bytes)
    const again = recorded(probe.runSync({ abi, edit: seen.effect }))
    expect(again.sent.head.slice(at, at + bytes.length)).toEqual(bytes)
  })

  it('of the fsave header alone stay in the process that goes on', ctx => {
    const probe = sessionFor(ctx, abi)
    if (!shape.fsave) {
      const message = `request.edit[0] (end) is 1, but the fsave ends at 0`
      const edit: EditOp[] = [{ op: 'write', region: 'fsave', at: 0, bytes: '00' }]
      expect(() => probe.runSync({ abi, edit })).toThrow(new RangeError(message))
      return
    }
    const edit: EditOp[] = [{ op: 'set', field: 'fsave.cw', value: 0xffff_027f }]
    expect(probe.prepare({ abi, edit }).isolated).toBe(false)
    const seen = returned(probe.runSync({ abi, edit }))
    expect(seen.after.component('x87').slice(0, 2)).toEqual(Uint8Array.of(0x7f, 0x02))
    expect(seen.state('x87')).toMatchObject({ restored: true, loaded: false })
    // The copy in the XSAVE area is not read.
    const ignored = returned(probe.runSync({ abi, edit: [{ op: 'set', field: 'fcw', value: 0x27f }] }))
    expect(ignored.after.component('x87').slice(0, 2)).toEqual(Uint8Array.of(0x7f, 0x03))
  })
})

/** Harmless edits of head and fsave header, in every form. */
const belowEdit = ({ abi, fsave, headBytes, fields }: FrameShape): EditOp[] => [
  { op: 'set', field: 'head.cr2', value: 0x1234_5678 },
  { op: 'xor', field: 'head.err', value: 0x55 },
  { op: 'or', field: 'head.rbp', value: 0x1111 },
  { op: 'and', field: 'head.rdx', value: 0xff },
  // The end of the recorded head: siginfo, or the code of a restorer that is not used.
  { op: 'write', region: 'head', at: headBytes - 8, bytes: '0102030405060708' },
  ...('ucLink' in fields ? [{ op: 'set', field: 'head.ucLink', value: 0x7777 } as const] : []),
  ...(abi === 'ia32' ? [{ op: 'write', region: 'head', at: 92, bytes: '0a0b0c0d' } as const] : []),
  ...(fsave
    ? [
        { op: 'write', region: 'fsave', at: 28, bytes: new Uint8Array(80).fill(0x11) } as const,
        { op: 'set', field: 'fsave.status', value: 0xabcd } as const,
        { op: 'xor', field: 'fsave.ipoff', value: 0 } as const,
      ]
    : []),
]

describe('after thousands of 32-bit frames', () => {
  it('64-bit ones, threads, forks and close() work', async ctx => {
    const probe = sessionFor(ctx, 'ia32')
    const { pid } = probe
    const requests = (['ia32', 'ia32-rt'] as const).flatMap(abi =>
      [[], [{ op: 'pointer', address: 0xffff_fff0 }] as const].map((edit, i) =>
        probe.prepare({ abi, edit: edit as EditOp[], load: randomImage(probe.layout, { seed: i }) }),
      ),
    )
    const kinds = { returned: 0, signal: 0 } as Record<string, number>
    probe.runEach(
      Array.from({ length: 4000 }, (_, i) => requests[i % 4]!),
      ({ kind }) => {
        kinds[kind] = (kinds[kind] ?? 0) + 1
      },
    )
    expect(kinds).toEqual({ returned: 2000, signal: 2000 })
    const load = randomImage(probe.layout, { seed: 3 })
    for (const seen of probe.runMany(new Array(300).fill({ load }))) {
      expectStates(returned(seen), explained(true, true))
      // The thread's FS is its own again: a null selector, with the base that goes with it.
      expect(returned(seen).written.headField('fs')).toBe(0n)
    }
    // Threads and forks need what FS leads to.
    if (probe.layout.xsave) expect(probe.contextSwitches([load, load], 10)).not.toBeNull()
    returned(probe.runSync({ load, raise: 'blocked' }))
    returned(await probe.run({ load, raise: 'timer' }))
    expect(probe.pid).toBe(pid)
    await probe.close()
    expect(() => process.kill(pid, 0)).toThrow()
  })
})

describe('frames of all ABIs in one batch', () => {
  it('have each their own', ctx => {
    const probe = sessionFor(ctx, 'ia32')
    const cases = Array.from({ length: 600 }, (_, i) => ({
      abi: abis[(i * 7) % 3]!,
      raise: (['tgkill', 'tgkill', 'tgkill32', 'fake'] as const)[i % (probe.layout.xsave ? 4 : 3)]!,
      load: randomImage(probe.layout, { seed: i }),
      edit: i % 5 === 0 ? [{ op: 'move' } as const] : [],
    }))
    for (const [i, seen] of probe.runMany(cases).entries()) {
      const { abi, load, edit } = cases[i]!
      if (seen.kind !== 'returned') throw new Error(`${i}: ${inOneLine(seen)}`)
      expect([i, seen.abi, seen.written.head.length]).toEqual([i, abi, frameShape(abi).headBytes])
      expect([i, Buffer.compare(seen.before.bytes, load.bytes)]).toEqual([i, 0])
      expect([i, seen.sentFrom.buffer]).toEqual([i, edit.length > 0 ? 'spare' : 'stack'])
      expectStates(seen, explained(true, true))
    }
  })

  it('have room for all images that a batch can have', { timeout: 40_000 }, async () => {
    // In a process that can be ended: without room it would never come back.
    const { code, stdout, stderr } = await node('many-images.mjs').ended
    expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: '400 of 400 restored\n', stderr: '' })
  })
})

describe('what this host lacks', () => {
  it('is asked by the name of an ABI', () => {
    const probe = session()
    expect(probe.lack('x86_64')).toBeNull()
    expect(() => probe.lack('ia64' as Abi)).toThrow(RangeError)
    expect(() => probe.lack(undefined as never)).toThrow(TypeError)
    expect(probe.lack('ia32')).toBe(probe.lack('ia32-rt'))
  })

  it('is refused before anything runs', ctx => {
    const probe = session()
    const lack = probe.lack('ia32')
    if (lack === null) ctx.skip('this host has 32-bit frames')
    for (const abi of ['ia32', 'ia32-rt'] as const)
      expect(() => probe.runSync({ abi })).toThrow(new RangeError(`request.abi is "${abi}", but ${lack}`))
    expect(() => probe.runSync({ raise: 'tgkill32' })).toThrow(
      new RangeError(`request.raise is "tgkill32", but ${lack}`),
    )
  })
})
