/** The signal handler, the pure interpreter, live callbacks and recorded effects: one edit, one frame. */
import fc from 'fast-check'
import { beforeEach, describe, expect, it, type TestContext } from 'vitest'
import { type Abi, abis, type FrameShape, frameShape } from '../../lib/frame/abi.ts'
import { applyPrimitives } from '../../lib/frame/apply.ts'
import { compileEdit } from '../../lib/frame/compile.ts'
import type { EditField, EditOp } from '../../lib/frame/edit.ts'
import type { FrameField } from '../../lib/frame/format.ts'
import type { LiveFrame } from '../../lib/frame/live.ts'
import type { Seen } from '../../lib/probe/result.ts'
import type { Probe } from '../../lib/probe/session.ts'
import { randomImage } from '../../lib/xstate/random.ts'
import { needsProbes, recorded, session } from '../probe/support.ts'
import { type AnyEditOptions, anyEdit } from './arbitrary.ts'

beforeEach(needsProbes)

const inArea = (field: EditField): FrameField => field as FrameField

/** The same edit as calls; of fields of the fpstate alone, of writes to the fsave header too, and no pages. */
const perform = (frame: LiveFrame, op: EditOp, { fields }: FrameShape): void => {
  switch (op.op) {
    case 'write':
      {
        const bytes = typeof op.bytes === 'string' ? Buffer.from(op.bytes, 'hex') : op.bytes
        if (op.region === 'fsave') frame.writeFsave(op.at, bytes)
        else frame.write(op.at, bytes)
      }
      return
    case 'set':
      frame.set(inArea(op.field), BigInt(op.value))
      return
    case 'and':
      frame.set(inArea(op.field), frame.get(inArea(op.field)) & BigInt(op.value))
      return
    case 'or':
      frame.set(inArea(op.field), frame.get(inArea(op.field)) | BigInt(op.value))
      return
    case 'xor':
      frame.set(inArea(op.field), frame.get(inArea(op.field)) ^ BigInt(op.value))
      return
    case 'fill':
      frame.fill(op.at, op.length, op.value)
      return
    case 'component':
      frame.setComponent(op.name, Buffer.from(op.bytes as Uint8Array))
      return
    case 'resize':
      frame.resize(op.xstateSize)
      return
    case 'magic2':
      frame.placeMagic2(op)
      return
    case 'move':
      frame.move('at' in op ? { at: op.at! } : {})
      return
    case 'pointer':
      frame.fpstatePointer =
        'address' in op
          ? BigInt(op.address)
          : BigInt.asUintN(8 * fields.fpstate.width, frame.fpstatePointer + BigInt(op.by))
  }
}

/** Runs edits of one session, each over memory in which the ones before have left the same. */
class Bench {
  readonly probe: Probe
  readonly shape: FrameShape
  readonly #load: Uint8Array
  readonly #wipe: readonly EditOp[][]

  constructor(probe: Probe, abi: Abi) {
    this.probe = probe
    this.shape = frameShape(abi)
    this.#load = randomImage(probe.layout, { seed: 11 }).bytes
    const { inPlaceBytes, spareBytes } = probe.limits
    // The kernel does not write every byte of a frame: what an edit left on the stack shows in the next one. So let
    // it be the same each time, and nothing that an edit would put there by itself.
    this.#wipe = [
      [{ op: 'fill', at: 0, length: inPlaceBytes, value: 0x5a }],
      [{ op: 'move' }, { op: 'fill', at: 0, length: spareBytes, value: 0x5a }],
    ]
  }

  run(edit: EditOp[] | ((frame: LiveFrame) => void)): Seen {
    const { abi } = this.shape
    for (const wipe of this.#wipe) this.probe.runSync({ abi, edit: wipe })
    return this.probe.runSync({ abi, load: this.#load, edit })
  }

  /** Runs it in a callback. */
  runLive(edit: EditOp[]): Seen {
    return this.run(frame => {
      for (const op of edit) perform(frame, op, this.shape)
    })
  }

  compile(edit: EditOp[]) {
    const { layout, limits } = this.probe
    return compileEdit(edit, layout, limits, 'edit', this.shape.abi)
  }

  /** Any edit that these frames can have. */
  any(options: AnyEditOptions): fc.Arbitrary<EditOp[]> {
    const { layout, limits } = this.probe
    return anyEdit(layout, limits, { ...options, abi: this.shape.abi })
  }
}

const benchFor = (ctx: TestContext, abi: Abi): Bench => {
  const probe = session()
  const lack = probe.lack(abi)
  if (lack !== null) ctx.skip(lack)
  return new Bench(probe, abi)
}

/** A probe with frames, whatever became of it. */
type Framed = Exclude<Extract<Seen, { sent: unknown }>, undefined>

/** Where two frames as sent differ, and how; undefined where they are the same. */
const difference = (a: Framed, b: Framed): string | undefined => {
  // Where the pointer leads elsewhere, what lies there is not of the frame.
  if (a.sentFrom.pointed && a.kind !== b.kind) return `${a.kind} and ${b.kind}`
  // Addresses may differ from one process to the next, places in the arena do not.
  const [p, q] = [a, b].map(({ sent, written }) => sent.fpstatePointer - written.fpstatePointer)
  if (p !== q) return `pointers moved by ${p} and ${q}`
  if (a.sent.fsave !== null && b.sent.fsave !== null) {
    const inFsave = differentBytes(a.sent.fsave, b.sent.fsave)
    if (inFsave !== undefined) return `fsave ${inFsave}`
  }
  return differentBytes(a.sent.fpstate, b.sent.fpstate)
}

const differentBytes = (a: Uint8Array, b: Uint8Array): string | undefined => {
  if (a.length !== b.length) return `${a.length} and ${b.length} bytes`
  const at = a.findIndex((byte, i) => byte !== b[i])
  return at < 0 ? undefined : `at ${at}: ${a[at]} and ${b[at]}`
}

/** Random bytes may lock PKRU's owner out of its own memory, where there is PKRU: such a probe may have no frames. */
const framesOf = (seen: Seen, probe: Probe): Framed | undefined => {
  if ('sent' in seen) return seen
  return seen.kind === 'died' && probe.layout.has('pkru') ? undefined : recorded(seen)
}

const everyOp: AnyEditOptions = { moves: 'at or guardAt', pointers: true, below: 'all' }
const callable: AnyEditOptions = { moves: 'at', pointers: true, below: 'fsave' }
const runs = { seed: 4, numRuns: 150 }

describe.each(abis)('one edit gives one frame of %s', abi => {
  it('in the signal handler and in applyPrimitives', ctx => {
    const bench = benchFor(ctx, abi)
    let compared = 0
    fc.assert(
      fc.property(bench.any(everyOp), edit => {
        const seen = framesOf(bench.run(edit), bench.probe)
        if (seen === undefined) return
        compared += 1
        const { primitives, sentBytes } = bench.compile(edit)
        const { written, sent } = seen
        const expected = applyPrimitives(written.fpstate, primitives)
        expect(expected).toHaveLength(sentBytes)
        expect(differentBytes(sent.fpstate, expected)).toBeUndefined()
        const head = applyPrimitives(written.head, primitives, 'head')
        expect(differentBytes(withoutPointer(sent.head, bench), withoutPointer(head, bench))).toBeUndefined()
        if (sent.fsave === null || written.fsave === null) return
        const fsave = applyPrimitives(written.fsave, primitives, 'fsave')
        expect(differentBytes(sent.fsave, fsave)).toBeUndefined()
      }),
      runs,
    )
    expect(compared).toBeGreaterThan(runs.numRuns / 2)
  })

  it('as data and as a live callback', ctx => {
    const bench = benchFor(ctx, abi)
    let compared = 0
    fc.assert(
      fc.property(bench.any(callable), edit => {
        const data = framesOf(bench.run(edit), bench.probe)
        if (data === undefined) return
        compared += 1
        const live = recorded(bench.runLive(edit))
        expect(difference(live, data)).toBeUndefined()
        expect(asJson(live.effect)).toBe(asJson(data.effect))
      }),
      runs,
    )
    expect(compared).toBeGreaterThan(runs.numRuns / 2)
  })

  it('and its recorded effect gives it again', ctx => {
    const bench = benchFor(ctx, abi)
    let compared = 0
    fc.assert(
      fc.property(bench.any(everyOp), edit => {
        const first = framesOf(bench.run(edit), bench.probe)
        if (first === undefined) return
        // Through JSON, as a file holds it.
        const effect = JSON.parse(asJson(first.effect)) as EditOp[]
        const again = framesOf(bench.run(effect), bench.probe)
        // An edit of the head that changed nothing leaves none: then it is the process itself that is lost.
        if (again === undefined) return
        compared += 1
        expect(difference(again, first)).toBeUndefined()
        const [from, to] = [withoutPointer(first.written.head, bench), withoutPointer(first.sent.head, bench)]
        const edited = [...to.keys()].filter(i => from[i] !== to[i])
        // What registers hold besides may differ from one probe to the next.
        expect(edited.map(i => again.sent.head[i])).toEqual(edited.map(i => to[i]))
      }),
      runs,
    )
    expect(compared).toBeGreaterThan(runs.numRuns / 2)
  })
})

/** The head with a pointer of zeros: where that leads is compared apart. */
const withoutPointer = (head: Uint8Array, { shape }: Bench): Uint8Array => {
  const { at, width } = shape.fields.fpstate
  return head.slice().fill(0, at, at + width)
}

const asJson = (edit: EditOp[]): string => JSON.stringify(edit, asText)

const asText = (_: string, value: unknown): unknown =>
  typeof value === 'bigint'
    ? `0x${value.toString(16)}`
    : value instanceof Uint8Array
      ? Buffer.from(value).toString('hex')
      : value

describe('the recorded effect', () => {
  it('of no edit is empty', () => {
    const probe = session()
    expect(recorded(probe.runSync()).effect).toEqual([])
    expect(recorded(probe.runSync({ edit: () => undefined })).effect).toEqual([])
  })

  it('of a move before the unreadable page can be had again', () => {
    const probe = session()
    const edit: EditOp[] = [{ op: 'move', guardAt: 512 }]
    const { effect } = recorded(probe.runSync({ edit }))
    expect(recorded(probe.runSync({ edit: effect })).effect).toEqual(effect)
    expect(effect[0]?.op).toBe('move')
  })

  it('tells the bytes that changed, the move and the pointer', () => {
    const probe = session()
    const { effect } = recorded(
      probe.runSync({
        edit: frame => {
          frame.set('fcw', 0x27f)
          frame.move({ at: 64 })
          frame.fpstatePointer += 8n
        },
      }),
    )
    expect(effect).toEqual([
      { op: 'move', at: 64 },
      { op: 'write', at: 1, bytes: Uint8Array.of(2) },
      { op: 'pointer', by: 8 },
    ])
  })

  it('of zeros behind the frame has them, whatever lies there the next time', () => {
    const probe = session()
    const at = probe.limits.frameBytes
    const { effect } = recorded(probe.runSync({ edit: [{ op: 'fill', at, length: 16, value: 0 }] }))
    probe.runSync({ edit: [{ op: 'fill', at, length: 16, value: 7 }] })
    const { sent } = recorded(probe.runSync({ edit: effect }))
    expect([...sent.fpstate.subarray(at)]).toEqual(new Array(16).fill(0))
  })
})
