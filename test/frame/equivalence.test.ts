/** The signal handler, the pure interpreter, live callbacks and recorded effects: one edit, one frame. */
import fc from 'fast-check'
import { beforeEach, describe, expect, it } from 'vitest'
import { applyPrimitives } from '../../lib/frame/apply.ts'
import { compileEdit } from '../../lib/frame/compile.ts'
import type { EditField, EditOp } from '../../lib/frame/edit.ts'
import type { FrameField } from '../../lib/frame/format.ts'
import type { LiveFrame } from '../../lib/frame/live.ts'
import type { Returned, Seen, Signalled } from '../../lib/probe/result.ts'
import type { Probe } from '../../lib/probe/session.ts'
import { randomImage } from '../../lib/xstate/random.ts'
import { needsProbes, recorded, session } from '../probe/support.ts'
import { type AnyEditOptions, anyEdit } from './arbitrary.ts'

beforeEach(needsProbes)

const inArea = (field: EditField): FrameField => field as FrameField

/** The same edit as calls; of fields of the fpstate alone, and no pages. */
const perform = (frame: LiveFrame, op: EditOp): void => {
  switch (op.op) {
    case 'write':
      frame.write(op.at, typeof op.bytes === 'string' ? Buffer.from(op.bytes, 'hex') : op.bytes)
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
        'address' in op ? BigInt(op.address) : BigInt.asUintN(64, frame.fpstatePointer + BigInt(op.by))
  }
}

/** Runs edits of one session, each over memory in which the ones before have left the same. */
class Bench {
  readonly probe: Probe
  readonly #load: Uint8Array
  readonly #wipe: readonly EditOp[][]

  constructor(probe: Probe) {
    this.probe = probe
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
    for (const wipe of this.#wipe) this.probe.runSync({ edit: wipe })
    return this.probe.runSync({ load: this.#load, edit })
  }
}

type Images = Returned | Signalled

/** Where two frames as sent differ, and how; undefined where they are the same. */
const difference = (a: Images, b: Images): string | undefined => {
  if (a.kind !== b.kind) return `${a.kind} and ${b.kind}`
  // Addresses may differ from one process to the next, places in the arena do not.
  const [p, q] = [a, b].map(({ sent, written }) => sent.fpstatePointer - written.fpstatePointer)
  if (p !== q) return `pointers moved by ${p} and ${q}`
  return differentBytes(a.sent.fpstate, b.sent.fpstate)
}

const differentBytes = (a: Uint8Array, b: Uint8Array): string | undefined => {
  if (a.length !== b.length) return `${a.length} and ${b.length} bytes`
  const at = a.findIndex((byte, i) => byte !== b[i])
  return at < 0 ? undefined : `at ${at}: ${a[at]} and ${b[at]}`
}

/** Random bytes may lock PKRU's owner out of its own memory, where there is PKRU: such a probe has no images. */
const imagesOf = (seen: Seen, probe: Probe): Images | undefined =>
  seen.kind === 'died' && probe.layout.has('pkru') ? undefined : recorded(seen)

const everyOp: AnyEditOptions = { moves: 'at or guardAt', pointers: true }
const callable: AnyEditOptions = { moves: 'at', pointers: true }
const runs = { seed: 4, numRuns: 150 }

describe('one edit gives one frame', () => {
  it('in the signal handler and in applyPrimitives', () => {
    const probe = session()
    const bench = new Bench(probe)
    let compared = 0
    fc.assert(
      fc.property(anyEdit(probe.layout, probe.limits, everyOp), edit => {
        const seen = imagesOf(bench.run(edit), probe)
        if (seen === undefined) return
        compared += 1
        const { primitives, sentBytes } = compileEdit(edit, probe.layout, probe.limits)
        const expected = applyPrimitives(seen.written.fpstate, primitives)
        expect(expected).toHaveLength(sentBytes)
        expect(differentBytes(seen.sent.fpstate, expected)).toBeUndefined()
      }),
      runs,
    )
    expect(compared).toBeGreaterThan(runs.numRuns / 2)
  })

  it('as data and as a live callback', () => {
    const probe = session()
    const bench = new Bench(probe)
    let compared = 0
    fc.assert(
      fc.property(anyEdit(probe.layout, probe.limits, callable), edit => {
        const data = imagesOf(bench.run(edit), probe)
        if (data === undefined) return
        compared += 1
        const live = recorded(
          bench.run(frame => {
            for (const op of edit) perform(frame, op)
          }),
        )
        expect(difference(live, data)).toBeUndefined()
        expect(asJson(live.effect)).toBe(asJson(data.effect))
      }),
      runs,
    )
    expect(compared).toBeGreaterThan(runs.numRuns / 2)
  })

  it('and its recorded effect gives it again', () => {
    const probe = session()
    const bench = new Bench(probe)
    let compared = 0
    fc.assert(
      fc.property(anyEdit(probe.layout, probe.limits, everyOp), edit => {
        const first = imagesOf(bench.run(edit), probe)
        if (first === undefined) return
        compared += 1
        // Through JSON, as a file holds it.
        const effect = JSON.parse(asJson(first.effect)) as EditOp[]
        expect(difference(recorded(bench.run(effect)), first)).toBeUndefined()
      }),
      runs,
    )
    expect(compared).toBeGreaterThan(runs.numRuns / 2)
  })
})

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
