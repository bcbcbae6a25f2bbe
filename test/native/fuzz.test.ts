/**
 * Whatever lies in the shared memory when a probe process is told to go: Node survives, and gets an answer in time.
 * Seeds are fixed; SIGFRAME_LONG multiplies the tries.
 */
import { beforeEach, describe, expect, it } from 'vitest'
import { loadNative, probePath } from '../../lib/native.ts'
import type { NativeSession, SessionDescription } from '../../lib/native-types.ts'
import { Random } from './random.ts'
import { children, descriptors, needsAddon, shape, waitedName } from './support.ts'

beforeEach(needsAddon)

const tries = process.env.SIGFRAME_LONG ? 4000 : 120

/** Spoils the memory before a run. */
type Spoil = (random: Random, memory: ArrayBuffer, description: SessionDescription) => void

const everything: Spoil = (random, memory) => {
  random.fill(new Uint32Array(memory))
}

const ring: Spoil = (random, memory) => {
  const { arena } = loadNative()
  const words = (arena.ringSlots! * (arena.requestBytes! + arena.outcomeBytes!)) >> 2
  random.fill(new Uint32Array(memory, 0, words))
}

/** Requests that nearly make sense: what is checked last is reached. */
const nearly: Spoil = (random, memory, description) => {
  const { arena } = loadNative()
  const view = new DataView(memory)
  new Uint8Array(memory, arena.outcomes! - arena.first!).fill(0)
  const put = (at: number, value: number) => view.setUint32(at, value, true)
  const { data, dataBytes } = description
  const images = data + 8192
  for (let i = 0; i < 64; i++)
    new Uint8Array(memory, images - arena.first! + 64 * i, 64).fill(random.below(8) ? 0 : random.word())
  // Init images with a header of their own: FCW, MXCSR.
  put(images - arena.first!, 0x37f)
  put(images - arena.first! + 24, 0x1f80)
  for (let slot = 0; slot < arena.ringSlots!; slot++) {
    const request = arena.requests! - arena.first! + slot * arena.requestBytes!
    const field = (name: string, value: number) =>
      put(request + arena[`Request.${name}`]!, random.below(12) === 0 ? random.edgy() : value)
    field('kind', random.below(20) === 0 ? 1 + random.below(2) : 0)
    field('flags', random.pick([0, 0, 2]))
    field('abi', random.below(4))
    field('raise', random.below(4) ? random.pick([0, 1, 5]) : random.below(7))
    field('stack', random.below(4) ? 0 : random.below(8))
    field('stackBytes', random.pick([0, 2048, 8192, 32_768, random.edgy()]))
    field('built', images + 4096 + 128)
    field('sibling', random.below(2) ? 0 : images)
    field('timeoutMs', 5)
    field('threads', random.below(10))
    field('stride', random.pick([0, 3, 64, 4096, random.edgy()]))
    field('rfbm', random.pick([3, 7, 0xff, 0xffff_ffff]))
    put(request + arena['Request.rfbm']! + 4, random.below(10) ? 0 : random.edgy())
    field('load', images)
    field('poison', images)
    field('ops', data)
    field('opCount', random.below(6))
    field('written', random.below(4) ? data + 16384 : 0)
    field('writtenBytes', random.pick([0, 512, 576, 2696, 8192]))
    field('sent', random.below(4) ? data + 65536 : 0)
    field('sentBytes', random.pick([0, 512, 576, 2696, 8192]))
    field('after', data + 131072)
    field('sentFrom', random.pick([description.stack, description.spare, data, data + dataBytes]))
    // A plain loop that never ends is a probe process that hangs.
    field('count', random.pick([0, 1, 10, 0xffff_ffff]))
    field('bad', random.below(2))
  }
  for (let i = 0; i < 8; i++) {
    const op = data - arena.first! + i * arena.opBytes!
    // With the region in its upper half.
    put(
      op + arena['Op.code']!,
      random.below(40) ? 1 + random.below(9) + 0x1_0000 * random.below(4) : random.edgy(),
    )
    put(op + arena['Op.at']!, random.pick([0, 464, 512, 2048, random.edgy()]))
    put(op + arena['Op.length']!, random.pick([0, 4, 8, 64, 2696, random.edgy()]))
    put(op + arena['Op.payload']!, random.pick([data, data + dataBytes - 64, random.edgy()]))
    put(op + arena['Op.value']!, random.edgy())
    put(op + arena['Op.value']! + 4, random.below(3) ? 0 : random.edgy())
  }
}

/** Stress requests that nearly make sense. */
const stressing: Spoil = (random, memory, description) => {
  nearly(random, memory, description)
  const { arena } = loadNative()
  const view = new DataView(memory)
  const { data } = description
  const images = data + 8192
  for (let slot = 0; slot < arena.ringSlots!; slot++) {
    const request = arena.requests! - arena.first! + slot * arena.requestBytes!
    const field = (name: string, value: number) =>
      view.setUint32(
        request + arena[`Request.${name}`]!,
        random.below(20) === 0 ? random.edgy() : value,
        true,
      )
    field('kind', arena['RequestKind.stress']!)
    field('threads', random.pick([2, 3, 7]))
    field('stride', random.pick([640, 4096]))
    field('writtenBytes', random.pick([576, 640]))
    field('load', images)
    field('after', images + 65536)
    field('count', random.pick([1, 10, 1000]))
    view.setUint32(request + arena['Request.count']! + 4, 0, true)
  }
  const stress = data - arena.first!
  const put = (name: string, value: number) =>
    view.setUint32(stress + arena[`Stress.${name}`]!, random.below(20) === 0 ? random.edgy() : value, true)
  put('limitMs', random.pick([0, 1, 5]))
  put('abis', random.pick([1, 7, 15]))
  put('cpuCount', random.pick([1, 2, 64]))
  put('lane', random.edgy())
  put('team', random.edgy())
  put('spoil', random.below(12))
  for (let i = 0; i < arena.mostStressCpus!; i++)
    view.setUint32(
      stress + arena['Stress.cpus']! + 4 * i,
      random.below(4) ? random.below(2) : random.edgy(),
      true,
    )
}

/** Questions to the CPU that nearly make sense. */
const asking: Spoil = (random, memory, description) => {
  nearly(random, memory, description)
  const { arena } = loadNative()
  const view = new DataView(memory)
  const images = description.data + 8192
  for (let slot = 0; slot < arena.ringSlots!; slot++) {
    const request = arena.requests! - arena.first! + slot * arena.requestBytes!
    const field = (name: string, value: number) =>
      view.setUint32(
        request + arena[`Request.${name}`]!,
        random.below(20) === 0 ? random.edgy() : value,
        true,
      )
    field('kind', arena['RequestKind.xrstor']!)
    field('flags', random.pick([0, arena.requestFxrstor!]))
    field('load', images + 4096 + random.below(128))
    field('mask', random.pick([0, 3, 7, 0xff, 0xffff_ffff]))
    view.setUint32(request + arena['Request.mask']! + 4, random.below(2) ? 0 : random.word(), true)
  }
  // What is asked about: garbage, or a header that is nearly sound.
  const asked = new Uint32Array(memory, images + 4096 - arena.first!, 2048)
  random.fill(asked)
  if (random.below(3)) asked.fill(0, 128, 144)
  asked[6] = 0x1f80
}

/** Kills it, and waits until it is gone: a busy machine takes its time. */
const endOf = (session: NativeSession): void => {
  session.kill()
  const pause = new Int32Array(new SharedArrayBuffer(4))
  for (let waited = 0; session.tryReap() === undefined && waited < 10_000; waited += 5)
    Atomics.wait(pause, 0, 0, 5)
  expect(session.close()).toBe(true)
}

describe('a probe process over garbage', () => {
  it.each<[string, Spoil]>([
    ['everything', everything],
    ['the ring', ring],
    ['requests that nearly make sense', nearly],
    ['stress requests that nearly make sense', stressing],
    ['questions to the CPU that nearly make sense', asking],
  ])('%s', { timeout: process.env.SIGFRAME_LONG ? 600_000 : 30_000 }, (_, spoil) => {
    const { Session } = loadNative()
    const before = descriptors()
    const random = new Random(0xf00d)
    const ends: Record<string, number> = {}
    let session: NativeSession | undefined
    let submitted = 0
    try {
      for (let i = 0; i < tries; i++) {
        if (session === undefined) {
          session = new Session(probePath(), shape)
          submitted = 0
        }
        spoil(random, session.memory(), session.describe())
        const count = random.pick([1, 1, 3, 128])
        submitted += count
        let end = waitedName(session.run(count, submitted, 20))
        if (end === 'frame') end = waitedName(session.reply(submitted, 20))
        ends[end] = (ends[end] ?? 0) + 1
        expect(['done', 'frame', 'ended', 'timeout']).toContain(end)
        if (end === 'done') continue
        endOf(session)
        session = undefined
      }
    } finally {
      session?.close()
    }
    expect(Object.values(ends).reduce((sum, n) => sum + n)).toBe(tries)
    expect(descriptors()).toEqual(before)
    expect(children()).toEqual([])
  })
})
