import { describe, expect, test } from 'vitest'
import type { CoreFrame } from '../../lib/elf/core.ts'
import { scanSource } from '../../lib/elf/scan.ts'
import { abis } from '../../lib/frame/abi.ts'
import {
  avxLayout,
  buildCore,
  components,
  layoutNote,
  layoutWith,
  type MadeCore,
  type PlacedFrame,
  placeFrame,
  sourceOf,
  xstateNote,
} from './builder.ts'

const page = 4096
const base = 0x7ffd_0000_0000n
const low = 0x5555_0000n

const scan = (core: MadeCore) => scanSource(sourceOf(buildCore(core)))

const stack = (pages = 8): Uint8Array => new Uint8Array(pages * page)

const told = ({ address, state, pid }: CoreFrame) => ({ address, state, pid })
const inFlight = ({ address }: PlacedFrame, pid: number) => ({ address, state: 'in flight', pid })
/** So that its lack is no gap. */
const nobody = [{ pid: 1, rsp: 0n }]

const leftOver = ({ address }: PlacedFrame) => ({ address, state: 'left over', pid: null })

describe('what is found', () => {
  test.each(abis)('a frame of %s, to the byte', async abi => {
    const bytes = stack()
    const made = placeFrame(bytes, low, { abi, address: low + 0x4000n })
    const file = buildCore({
      threads: [{ pid: 7, rsp: made.start - 64n }],
      segments: [{ address: low, bytes }],
    })
    const { frames, gaps } = await scanSource(sourceOf(file))
    expect(gaps).toEqual([])
    expect(frames).toHaveLength(1)
    const [frame] = frames
    expect(frame).toMatchObject({ abi, address: made.address, state: 'in flight', pid: 7 })
    expect(frame?.head).toEqual(made.head)
    expect(frame?.fsave).toEqual(made.fsave)
    expect(frame?.fpstate).toEqual(made.fpstate)
    const { offset = 0 } = frame ?? {}
    expect(new Uint8Array(file.subarray(offset, offset + made.fpstate.length))).toEqual(made.fpstate)
  })

  test.each(['i386', 'x32'] as const)('the threads and frames of a core of %s', async machine => {
    const bytes = stack()
    const abi = machine === 'x32' ? 'x32' : 'ia32-rt'
    const made = placeFrame(bytes, low, { abi, address: low + 0x4000n })
    const threads = [{ pid: 8, rsp: made.start - 64n, rip: 0x1234n }]
    const found = await scan({ machine, threads, segments: [{ address: low, bytes }] })
    expect(found.threads).toEqual(threads)
    expect(found.frames.map(told)).toEqual([inFlight(made, 8)])
    expect(found.frames[0]?.abi).toBe(abi)
  })

  test('a frame of x32 is none of x86_64, and the other way round', async () => {
    // Their pointers fall on the same place, and what lies below a frame is what its handler left there.
    for (const abi of ['x86_64', 'x32'] as const) {
      for (const junk of [0n, 1n, 7n, 0xffff_ffff_ffffn]) {
        const bytes = stack()
        const made = placeFrame(bytes, low, {
          abi,
          address: low + 0x4000n,
          alternate: { start: low, size: 0x8000n },
        })
        const view = new DataView(bytes.buffer)
        for (let at = Number(made.start - low) - 64; at < Number(made.start - low); at += 8)
          view.setBigUint64(at, junk, true)
        const { frames } = await scan({ segments: [{ address: low, bytes }] })
        expect(frames.map(frame => frame.abi)).toEqual([abi])
      }
    }
  })

  test('without MAGIC2 the head is enough, and more is given than its size claims', async () => {
    const bytes = stack()
    const made = placeFrame(bytes, base, { address: base + 0x4000n })
    const at = 0x4000
    bytes.fill(0, at + avxLayout.size, at + avxLayout.size + 4)
    new DataView(bytes.buffer).setUint32(at + 480, 600, true)
    const { frames } = await scan({ segments: [{ address: base, bytes }] })
    expect(frames).toHaveLength(1)
    expect(frames[0]?.head).toEqual(made.head)
    expect(frames[0]?.fpstate).toHaveLength(avxLayout.size + 4)
  })

  test('without a head MAGIC2 is enough', async () => {
    const bytes = stack()
    const made = placeFrame(bytes, base, { address: base + 0x4000n, fields: { fpstate: 0n } })
    const { frames } = await scan({ segments: [{ address: base, bytes }] })
    expect(frames).toMatchObject([{ address: made.address, head: null, fsave: null, abi: 'x86_64' }])
  })

  test('without a head the sizes tell a 32-bit frame', async () => {
    const bytes = stack()
    const made = placeFrame(bytes, low, { abi: 'ia32-rt', address: low + 0x4000n, fields: { fpstate: 0n } })
    const { frames } = await scan({ segments: [{ address: low, bytes }] })
    expect(frames).toMatchObject([{ head: null, abi: 'ia32-rt' }])
    expect(frames[0]?.fsave).toEqual(made.fsave)
  })

  test('what has neither is no frame, and is told of', async () => {
    const bytes = stack()
    placeFrame(bytes, base, { address: base + 0x4000n, fields: { fpstate: 0n } })
    bytes.fill(0, 0x4000 + avxLayout.size, 0x4000 + avxLayout.size + 4)
    const { frames, gaps } = await scan({ segments: [{ address: base, bytes }] })
    expect(frames).toEqual([])
    expect(gaps.join()).toMatch(/MAGIC1 stands at 1 place with neither .* 0x7ffd00004000/)
  })

  test('a pointer that happens to be the same is no head', async () => {
    const bytes = stack()
    const made = placeFrame(bytes, base, { address: base + 0x4000n, fields: { cs: 0n } })
    bytes.fill(0, 0x4000 + avxLayout.size, 0x4000 + avxLayout.size + 4)
    expect((await scan({ segments: [{ address: base, bytes }] })).frames).toEqual([])
    expect(made.address).toBe(base + 0x4000n)
  })

  test('where no multiple of 64 lies, no frame is looked for', async () => {
    const bytes = stack()
    placeFrame(bytes, base, { address: base + 0x4008n })
    expect((await scan({ segments: [{ address: base, bytes }] })).frames).toEqual([])
  })

  test.each([0, 1, 4, 40, 63])('segments %i bytes off in the file', async skew => {
    const bytes = stack()
    const made = placeFrame(bytes, base, { address: base + 0x4040n })
    const { frames } = await scan({ skew, segments: [{ address: base, bytes }] })
    expect(frames.map(frame => frame.address)).toEqual([made.address])
    expect(frames[0]?.fpstate).toEqual(made.fpstate)
  })

  test('segments that each lie otherwise in the file', async () => {
    const made: PlacedFrame[] = []
    const segments = [4096 + 8, 4096 + 20, 8192 + 60, 4096].map((size, i) => {
      const address = base + BigInt(i * 0x10000)
      const bytes = new Uint8Array(size)
      made.push(placeFrame(bytes, address, { address: address + 0x800n, seed: i }))
      return { address, bytes }
    })
    const { frames } = await scan({ segments })
    expect(frames.map(({ fpstate }) => fpstate)).toEqual(made.map(({ fpstate }) => fpstate))
  })

  test('a frame anywhere about the border of two windows', async () => {
    const megabyte = 1 << 20
    const layout = layoutWith(0x602e7n)
    for (let back = -2048; back < layout.size + 2048; back += 832) {
      const bytes = new Uint8Array(3 * megabyte)
      const made = placeFrame(bytes, base, { layout, address: base + BigInt((megabyte - back) & ~63) })
      const { frames, gaps } = await scan({ threads: nobody, segments: [{ address: base, bytes }] })
      expect(gaps).toEqual([])
      expect(frames).toHaveLength(1)
      expect(Buffer.compare(frames[0]?.fpstate as Uint8Array, made.fpstate)).toBe(0)
      expect(frames[0]?.head).toEqual(made.head)
    }
  })

  test('as many frames as there are, whatever windows they fall into', async () => {
    const bytes = new Uint8Array(5 << 20)
    const addresses = Array.from({ length: 1000 }, (_, i) => base + BigInt(0x1000 + i * 0x1400))
    for (const address of addresses) placeFrame(bytes, base, { address })
    const { frames, gaps } = await scan({ threads: nobody, segments: [{ address: base, bytes }] })
    expect(gaps).toEqual([])
    expect(frames.map(({ address }) => address)).toEqual(addresses)
  })

  test('a frame that lies across two segments, wherever it is cut', async () => {
    const bytes = stack(4)
    const made = placeFrame(bytes, base, { address: base + 0x2000n })
    for (let cut = 0x1e00; cut < 0x2400; cut += 16) {
      // The upper part first: side by side in memory, not in the file.
      const file = buildCore({
        threads: nobody,
        segments: [
          { address: base + BigInt(cut), bytes: bytes.subarray(cut) },
          { address: base, bytes: bytes.subarray(0, cut) },
        ],
      })
      const { frames, gaps } = await scanSource(sourceOf(file))
      expect(gaps).toEqual([])
      expect(frames).toHaveLength(1)
      expect(frames[0]?.fpstate).toEqual(made.fpstate)
      expect(frames[0]?.head).toEqual(made.head)
      const { offset = 0 } = frames[0] ?? {}
      expect(Buffer.compare(file.subarray(offset, offset + 16), made.fpstate.subarray(0, 16))).toBe(0)
    }
  })

  test('of a frame that was shrunk, what followed it is given too where the layout is known', async () => {
    const bytes = stack()
    const made = placeFrame(bytes, base, { layout: layoutWith(0x2e7n), address: base + 0x4000n })
    const view = new DataView(bytes.buffer)
    view.setUint32(0x4000 + 480, 832, true)
    view.setUint32(0x4000 + 832, 0x46505845, true)
    const notes = [xstateNote(0x2e7n), layoutNote(components)]
    const { frames } = await scan({ notes, segments: [{ address: base, bytes }] })
    expect(frames[0]?.fpstate).toHaveLength(made.fpstate.length)
    const { frames: bare } = await scan({ segments: [{ address: base, bytes }] })
    expect(bare[0]?.fpstate).toHaveLength(2700)
  })

  test('nothing of what was interrupted is given as a frame’s', async () => {
    const bytes = stack()
    const made = placeFrame(bytes, base, { address: base + 0x4000n })
    const notes = [xstateNote(0x2e7n), layoutNote(components)]
    const { frames } = await scan({ notes, segments: [{ address: base, bytes }] })
    expect(frames[0]?.fpstate).toHaveLength(Number(made.rsp - made.address))
  })
})

describe('in flight or left over', () => {
  test('above a thread’s stack pointer or below it', async () => {
    const bytes = stack()
    const made = placeFrame(bytes, base, { address: base + 0x4000n })
    const segments = [{ address: base, bytes }]
    const at = async (rsp: bigint) => (await scan({ threads: [{ pid: 1, rsp }], segments })).frames.map(told)
    expect(await at(made.start - 1000n)).toEqual([inFlight(made, 1)])
    expect(await at(made.start)).toEqual([inFlight(made, 1)])
    // The restorer's: pretcode has been taken off.
    expect(await at(made.start + 8n)).toEqual([inFlight(made, 1)])
    expect(await at(made.start + 16n)).toEqual([leftOver(made)])
    expect(await at(made.rsp)).toEqual([leftOver(made)])
  })

  test('nothing is known without threads, nor of a mapping that no stack pointer lies in', async () => {
    const bytes = stack()
    placeFrame(bytes, base, { address: base + 0x4000n })
    const segments = [{ address: base, bytes }]
    expect((await scan({ segments })).frames[0]).toMatchObject({ state: 'unknown', pid: null })
    const threads = [{ pid: 1, rsp: base - 0x10_0000n }]
    expect((await scan({ threads, segments })).frames[0]).toMatchObject({ state: 'unknown', pid: null })
  })

  test('handlers within handlers on one stack', async () => {
    const bytes = stack()
    const outer = placeFrame(bytes, base, { address: base + 0x6000n })
    const inner = placeFrame(bytes, base, { address: base + 0x4000n, rsp: outer.start - 256n })
    const old = placeFrame(bytes, base, { address: base + 0x1000n })
    const { frames } = await scan({
      threads: [{ pid: 3, rsp: inner.start - 8n }],
      segments: [{ address: base, bytes }],
    })
    expect(frames.map(told)).toEqual([leftOver(old), inFlight(inner, 3), inFlight(outer, 3)])
  })

  test('from an alternate stack on, through what was interrupted', async () => {
    const main = stack()
    const other = stack()
    const otherBase = base - 0x100_0000n
    const alternate = { start: otherBase, size: BigInt(other.length) }
    const outer = placeFrame(main, base, { address: base + 0x6000n, alternate })
    const inner = placeFrame(other, otherBase, {
      address: otherBase + 0x6000n,
      rsp: outer.start - 512n,
      alternate,
    })
    const segments = [
      { address: otherBase, bytes: other },
      { address: base, bytes: main },
    ]
    const { frames } = await scan({ threads: [{ pid: 3, rsp: inner.start - 8n }], segments })
    expect(frames.map(told)).toEqual([inFlight(inner, 3), inFlight(outer, 3)])
    // Back on the stack of the first handler.
    const { frames: later } = await scan({ threads: [{ pid: 3, rsp: outer.start - 64n }], segments })
    expect(later.map(told)).toEqual([leftOver(inner), inFlight(outer, 3)])
  })

  test('an alternate stack right above the stack is not part of it', async () => {
    const bytes = stack(16)
    const alternate = { start: base + 0x8000n, size: 0x8000n }
    const old = placeFrame(bytes, base, { address: base + 0xe000n, rsp: base + 0x7000n, alternate })
    const { frames } = await scan({
      threads: [{ pid: 1, rsp: base + 0x7000n }],
      segments: [{ address: base, bytes }],
    })
    expect(frames.map(told)).toEqual([leftOver(old)])
  })

  test('an old frame in a hole of one in flight, and what lies below what it interrupted', async () => {
    const bytes = stack()
    const layout = layoutWith(0x602e7n)
    const old = placeFrame(bytes, base, { address: base + 0x4000n })
    const keep = bytes.slice(Number(old.start - base), 0x4000 + 1024)
    const now = placeFrame(bytes, base, { layout, address: base + 0x3000n })
    bytes.set(keep, Number(old.start - base))
    const { frames } = await scan({
      threads: [{ pid: 1, rsp: now.start - 8n }],
      segments: [{ address: base, bytes }],
    })
    expect(frames.map(told)).toEqual([inFlight(now, 1), leftOver(old)])
  })

  test('threads whose stacks a guard page parts', async () => {
    const first = stack()
    const second = stack()
    const secondBase = base + BigInt(first.length + page)
    const of = [
      placeFrame(first, base, { address: base + 0x4000n }),
      placeFrame(second, secondBase, { address: secondBase + 0x2000n }),
      placeFrame(second, secondBase, { address: secondBase + 0x6000n }),
    ] as const
    const { frames } = await scan({
      threads: [
        { pid: 11, rsp: of[0].start - 8n },
        { pid: 12, rsp: of[2].start - 8n },
      ],
      segments: [
        { address: base, bytes: first },
        { address: base + BigInt(first.length), bytes: new Uint8Array(), memory: BigInt(page), flags: 0 },
        { address: secondBase, bytes: second },
      ],
    })
    expect(frames.map(told)).toEqual([inFlight(of[0], 11), leftOver(of[1]), inFlight(of[2], 12)])
  })

  test('threads whose stacks nothing parts but their own storage', async () => {
    const bytes = stack(16)
    const old = placeFrame(bytes, base, { address: base + 0xa000n })
    const now = placeFrame(bytes, base, { address: base + 0xd000n })
    const threads = [
      { pid: 11, rsp: base + 0x4000n, fsBase: base + 0x7f00n },
      { pid: 12, rsp: now.start - 8n, fsBase: base + 0xff00n },
    ]
    const { frames } = await scan({ threads, segments: [{ address: base, bytes }] })
    expect(frames.map(told)).toEqual([leftOver(old), inFlight(now, 12)])
  })

  test('of two threads below a frame, the nearer one’s', async () => {
    const bytes = stack()
    const now = placeFrame(bytes, base, { address: base + 0x6000n })
    const threads = [
      { pid: 11, rsp: base + 0x100n },
      { pid: 12, rsp: now.start - 8n },
      { pid: 13, rsp: base + 0x200n },
    ]
    const { frames } = await scan({ threads, segments: [{ address: base, bytes }] })
    expect(frames.map(told)).toEqual([inFlight(now, 12)])
  })

  test('mappings of the same permissions side by side are one stack', async () => {
    const bytes = stack()
    const now = placeFrame(bytes, base, { address: base + 0x6000n })
    const segments = [0, 1, 2, 3].map(i => ({
      address: base + BigInt(i * 0x2000),
      bytes: bytes.subarray(i * 0x2000, (i + 1) * 0x2000),
    }))
    const { frames } = await scan({ threads: [{ pid: 4, rsp: base + 0x100n }], segments })
    expect(frames.map(told)).toEqual([inFlight(now, 4)])
  })

  test('frames that lead to each other in circles end', async () => {
    const bytes = stack()
    const above = placeFrame(bytes, base, { address: base + 0x6000n, rsp: base + 0x100n })
    const below = placeFrame(bytes, base, { address: base + 0x2000n })
    const { frames } = await scan({
      threads: [
        { pid: 4, rsp: base + 0x100n },
        { pid: 5, rsp: above.start - 8n },
      ],
      segments: [{ address: base, bytes }],
    })
    expect(frames.map(({ state }) => state)).toEqual(['in flight', 'in flight'])
    expect(below.address).toBe(frames[0]?.address)
  })
})
