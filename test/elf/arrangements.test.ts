import fc from 'fast-check'
import { expect, test } from 'vitest'
import { scanSource } from '../../lib/elf/scan.ts'
import { abis } from '../../lib/frame/abi.ts'
import { avxLayout, buildCore, layoutWith, type PlacedFrame, placeFrame, sourceOf } from './builder.ts'

const slot = 0x4000
const layouts = [avxLayout, layoutWith(0x3n), layoutWith(0x2e7n), layoutWith(0x602e7n)]

const anyFrame = fc.record({
  abi: fc.constantFrom(...abis),
  layout: fc.constantFrom(...layouts),
  // Room for the head below, and for the largest area above.
  into: fc.integer({ min: 1024 / 64, max: (slot - 11_008 - 64) / 64 }),
  seed: fc.nat(1000),
})

/** Mappings of some frames each, each mapping cut into segments anywhere; all of them in any order in the file. */
const anyCore = fc
  .record({
    mappings: fc.array(
      fc.record({
        frames: fc.array(anyFrame, { maxLength: 3 }),
        cuts: fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 4 }),
      }),
      { minLength: 1, maxLength: 4 },
    ),
    skew: fc.nat(100),
    order: fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 20, maxLength: 20 }),
  })
  .map(({ mappings, skew, order }) => {
    const made: PlacedFrame[] = []
    const segments = mappings.flatMap(({ frames, cuts }, i) => {
      const address = BigInt(0x1000_0000 + i * 0x10_0000)
      const bytes = new Uint8Array(Math.max(1, frames.length) * slot)
      for (const [j, { into, ...frame }] of frames.entries())
        made.push(placeFrame(bytes, address, { ...frame, address: address + BigInt(j * slot + into * 64) }))
      const borders = [0, ...cuts.map(cut => Math.floor(cut * bytes.length)), bytes.length].sort(
        (a, b) => a - b,
      )
      return borders.slice(1).map((end, j) => {
        const start = borders[j] ?? 0
        return { address: address + BigInt(start), bytes: bytes.subarray(start, end) }
      })
    })
    const shuffled = segments
      .map((segment, i) => ({ segment, key: order[i % order.length] ?? 0 }))
      .sort((a, b) => a.key - b.key)
      .map(({ segment }) => segment)
    return { made, file: buildCore({ skew, segments: shuffled, threads: [{ pid: 1, rsp: 0n }] }) }
  })

test('whatever memory looks like, all its frames are found, to the byte, and no others', async () => {
  await fc.assert(
    fc.asyncProperty(anyCore, async ({ made, file }) => {
      const { frames, gaps } = await scanSource(sourceOf(file))
      expect(gaps).toEqual([])
      const seen = frames.map(({ abi, address, head, fsave, fpstate }) => ({
        abi,
        address,
        head,
        fsave,
        fpstate,
      }))
      expect(seen).toEqual(
        made.map(({ abi, address, head, fsave, fpstate }) => ({ abi, address, head, fsave, fpstate })),
      )
    }),
    { numRuns: 100 },
  )
})
