/**
 * Many probes unlike each other, in every way of running them, over more images, edits and records than the shared
 * memory holds at once: each result is that of its own request.
 */

import { beforeEach, describe, expect, it } from 'vitest'
import { applyPrimitives } from '../../lib/frame/apply.ts'
import { compileEdit } from '../../lib/frame/compile.ts'
import type { EditOp } from '../../lib/frame/edit.ts'
import type { LiveFrame } from '../../lib/frame/live.ts'
import type { PreparedRequest } from '../../lib/probe/request.ts'
import type { Seen } from '../../lib/probe/result.ts'
import type { Probe } from '../../lib/probe/session.ts'
import { createRandom, randomImage } from '../../lib/xstate/random.ts'
import { needsProbes, recorded, session } from './support.ts'

beforeEach(needsProbes)

interface Case {
  readonly request: PreparedRequest
  readonly edit: readonly EditOp[]
  readonly live: boolean
  readonly bad: boolean
}

/** An edit that tells itself from the others, in a component and far behind the frame, and moves now and then. */
const editFor = (probe: Probe, n: number, bad: boolean): EditOp[] => {
  const { frameBytes, inPlaceBytes } = probe.limits
  const marked = Uint8Array.from({ length: 256 }, (_, i) => (n >> (i % 3 === 0 ? 8 : 0)) ^ i)
  const far = frameBytes + ((n * 97) % (inPlaceBytes - frameBytes - 2000))
  return [
    { op: 'component', name: 'sse', bytes: marked },
    ...(n % 5 === 0 ? [{ op: 'write', at: far, bytes: new Uint8Array(2000).fill(n) } as const] : []),
    ...(n % 7 === 0 ? [{ op: 'move', at: 64 * (n % 4) } as const] : []),
    ...(bad ? [{ op: 'pointer', address: 1n << 63n } as const] : []),
  ]
}

const callbackFor =
  (edit: readonly EditOp[]) =>
  (frame: LiveFrame): void => {
    for (const op of edit) {
      if (op.op === 'component') frame.setComponent(op.name, op.bytes as Uint8Array)
      if (op.op === 'write') frame.write(op.at, op.bytes as Uint8Array)
      if (op.op === 'move' && 'at' in op) frame.move({ at: op.at! })
      if (op.op === 'pointer' && 'address' in op) frame.fpstatePointer = BigInt(op.address)
    }
  }

const casesFor = (probe: Probe, count: number): Case[] =>
  Array.from({ length: count }, (_, n) => {
    const [live, bad] = [n % 11 === 4, n % 6 === 5]
    const fits = n % 5 !== 0 || n % 7 !== 0 || probe.limits.spareBytes > probe.limits.inPlaceBytes + 192
    const edit = editFor(probe, fits ? n : n + 1, bad)
    const load = randomImage(probe.layout, { seed: n })
    return { request: probe.prepare({ load, edit: live ? callbackFor(edit) : edit }), edit, live, bad }
  })

/** What is wrong with a result; undefined if nothing. */
const wrong = (probe: Probe, { request, edit, bad }: Case, seen: Seen): string | undefined => {
  const { kind, before, written, sent } = recorded(seen)
  if ((kind === 'signal') !== bad) return `it ended by ${kind}`
  if (Buffer.compare(before.bytes, request.load.bytes) !== 0) return 'another image was loaded'
  const loaded = request.load.bytes.subarray(160, 416)
  if (Buffer.compare(written.component('sse'), loaded) !== 0) return 'the kernel wrote another frame'
  const { primitives, sentBytes } = compileEdit(edit, probe.layout, probe.limits)
  const expected = applyPrimitives(written.fpstate, primitives)
  if (sent.fpstate.length !== sentBytes) return `${sent.fpstate.length} bytes were sent`
  // Between the frame and a write far behind it lies what was there before.
  const known = probe.limits.frameBytes
  if (Buffer.compare(sent.fpstate.subarray(0, known), expected.subarray(0, known)) !== 0)
    return 'another edit was made'
  const far = edit.find(op => op.op === 'write')
  if (far?.op === 'write') {
    const bytes = sent.fpstate.subarray(far.at, far.at + far.bytes.length)
    if (Buffer.compare(bytes, far.bytes as Uint8Array) !== 0) return 'another edit was made behind the frame'
  }
  if (bad) return undefined
  for (const { name } of probe.layout.components) {
    if (!recorded(seen).state(name).restored) return `${name} was not restored`
  }
  return undefined
}

/** Loads and edits that tell themselves from all others of other numbers. */
const marked = (probe: Probe, from: number, count: number, bytes: number): Case[] =>
  Array.from({ length: count }, (_, i) => {
    const n = from + i
    const edit: EditOp[] = [
      { op: 'write', at: probe.limits.inPlaceBytes - bytes, bytes: new Uint8Array(bytes).fill(n) },
    ]
    edit.push({
      op: 'component',
      name: 'sse',
      bytes: randomImage(probe.layout, { seed: -n - 1 }).component('sse'),
    })
    const request = probe.prepare({ load: randomImage(probe.layout, { seed: n }), edit })
    return { request, edit, live: false, bad: false }
  })

describe('probes unlike each other', () => {
  it('have each their own edit, also where the memory for edits is too small for all', () => {
    const probe = session()
    const wanted = 16_000
    const room = probe.limits.inPlaceBytes - probe.limits.frameBytes
    expect(room).toBeGreaterThan(wanted)
    // Half a ring each, so that every request meets its own slot again.
    const [few, many] = [marked(probe, 0, 64, 16), marked(probe, 64, 64, wanted)]
    const more = marked(probe, 200, 300, wanted)
    for (const cases of [few, many, few, more.slice(0, 64), few, many, few, more, few, many]) {
      const seen = probe.runMany(cases.map(({ request }) => request))
      for (const [i, one] of seen.entries()) expect([i, wrong(probe, cases[i]!, one)]).toEqual([i, undefined])
    }
  })

  it('have their own result where a slot of the ring was used for a plain loop', () => {
    const probe = session()
    const [other, one] = marked(probe, 0, 2, 16)
    // Everything is in its place in the shared memory, and stays there.
    probe.runMany(new Array(128).fill(one!.request))
    probe.runMany(new Array(128).fill(other!.request))
    expect(probe.plainLoop(one!.request, 10, false)).toBeGreaterThan(0)
    probe.runMany(new Array(127).fill(other!.request))
    // The slot that the plain loop had.
    expect(wrong(probe, one!, probe.runSync(one!.request))).toBeUndefined()
  })

  it('have each their own result', { timeout: 60_000 }, async () => {
    const probe = session()
    const cases = casesFor(probe, 420)
    const random = createRandom(42)
    const below = (n: number): number => (random.next() >>> 0) % n
    const kept: { one: Case; seen: Seen }[] = []
    let count = 0
    const check = (one: Case, seen: Seen): void => {
      count += 1
      const problem = wrong(probe, one, seen)
      if (problem !== undefined) throw new Error(`probe ${count}, of case ${cases.indexOf(one)}: ${problem}`)
    }
    let batch: Case[] = []
    for (let round = 0; round < 120; round++) {
      // The same batch again now and then: what stands in the shared memory may be used as it is.
      if (round % 4 !== 3) {
        const few = below(3) === 0
        batch = Array.from({ length: 1 + below(few ? 4 : 200) }, () => cases[below(few ? 4 : cases.length)]!)
      }
      const way = below(4)
      // The one request that is no probe uses the same ring.
      if (round % 10 === 5) probe.plainLoop(cases[round]!.request, 10, false)
      const data = way === 3 ? batch.filter(one => !one.live) : batch
      const requests = data.map(one => one.request)
      if (way === 0) for (const one of data.slice(0, 80)) kept.push({ one, seen: probe.runSync(one.request) })
      if (way === 1) probe.runEach(requests, (seen, i) => check(data[i]!, seen))
      const seen = way === 2 ? probe.runMany(requests) : way === 3 ? await probe.run(requests) : []
      for (const [i, one] of seen.entries()) kept.push({ one: data[i]!, seen: one })
      // Looked at only after a while, when the memory has been used anew.
      if (kept.length > 600) for (const { one, seen } of kept.splice(0, 400)) check(one, seen)
    }
    for (const { one, seen } of kept) check(one, seen)
    expect(count).toBeGreaterThan(1000)
  })
})
