import { describe, expect, test } from 'vitest'
import { scanSource } from '../../lib/elf/scan.ts'
import {
  buildCore,
  components,
  layoutNote,
  layoutWith,
  type MadeCore,
  type MadeNote,
  placeFrame,
  places,
  sourceOf,
  xstateNote,
} from './builder.ts'

const base = 0x7ffd_0000_0000n
const segments = [{ address: base, bytes: new Uint8Array(4096) }]
const threads = [{ pid: 5, rsp: base + 64n, rip: 0x4000n }]

const scan = (made: Partial<MadeCore>) => scanSource(sourceOf(buildCore({ threads, segments, ...made })))

describe('the layout', () => {
  test('of XCR0 and the places of components', async () => {
    const { layout, xcr0, gaps } = await scan({ notes: [xstateNote(0x2e7n), layoutNote(components)] })
    expect(gaps).toEqual([])
    expect(xcr0).toBe(0x2e7n)
    expect(layout?.toJSON()).toEqual(layoutWith(0x2e7n, 0x2e7n).toJSON())
  })

  test('tile data is in it where a frame has it', async () => {
    const notes = [xstateNote(0x602e7n), layoutNote(components)]
    expect((await scan({ notes })).layout?.size).toBe(2816)
    const bytes = new Uint8Array(8 * 4096)
    placeFrame(bytes, base, { layout: layoutWith(0x602e7n), address: base + 0x2000n })
    const { layout, frames } = await scan({ notes, segments: [{ address: base, bytes }] })
    expect(layout?.size).toBe(11008)
    expect(frames[0]?.fpstate).toHaveLength(11012)
  })

  test('is not known without its note, nor without XCR0', async () => {
    expect(await scan({ notes: [xstateNote(0x2e7n)] })).toMatchObject({
      layout: null,
      xcr0: 0x2e7n,
      gaps: [],
    })
    expect(await scan({ notes: [layoutNote(components)] })).toMatchObject({
      layout: null,
      xcr0: null,
      gaps: [],
    })
  })

  test.each([
    ['components that overlap', components.map(one => ({ ...one, offset: 576 })), /lies inside avx/],
    [
      'a component too large to be',
      components.map(one => ({ ...one, size: 0xffff_ffff })),
      /size is 4294967295/,
    ],
    ['the same one twice', [components[0]!, components[0]!], /an earlier entry has already/],
  ])('%s are a gap', async (_, some, message) => {
    const { layout, gaps } = await scan({ notes: [xstateNote(0x27n), layoutNote(some)] })
    expect(layout).toBeNull()
    expect(gaps).toHaveLength(1)
    expect(gaps[0]).toMatch(/^NT_X86_XSAVE_LAYOUT is of no use: /)
    expect(gaps[0]).toMatch(message)
  })

  test('notes of the same number by another owner are others', async () => {
    const other = [xstateNote(0x7n), layoutNote(components)].map(note => ({ ...note, owner: 'OTHER' }))
    expect(await scan({ notes: other })).toMatchObject({ layout: null, xcr0: null })
  })
})

describe('the threads', () => {
  test('of every NT_PRSTATUS', async () => {
    const all = Array.from({ length: 3000 }, (_, i) => ({ pid: i + 1, rsp: BigInt(i), rip: BigInt(2 * i) }))
    const found = await scan({ threads: all, notes: [xstateNote(0x7n)] })
    expect(found.threads).toEqual(all)
    expect(found.xcr0).toBe(0x7n)
    expect(found.gaps).toEqual([])
  })

  test('one that is too short is a gap', async () => {
    const short: MadeNote = { owner: 'CORE', type: 1, desc: new Uint8Array(64) }
    const { threads: found, gaps } = await scan({ threads: [], notes: [short] })
    expect(found).toEqual([])
    expect(gaps).toEqual([
      '1 thread not looked at: an NT_PRSTATUS is too short, or there are more than 262144',
      'no thread is known: no NT_PRSTATUS',
    ])
  })

  test('a long note between them is passed over', async () => {
    const long: MadeNote = { owner: 'GDB', type: 0xff00_0000, desc: new Uint8Array(300_000) }
    const file = buildCore({ threads, segments, notes: [long, xstateNote(0x7n)] })
    const source = sourceOf(file)
    expect(await scanSource(source)).toMatchObject({ xcr0: 0x7n, gaps: [] })
    expect(source.bytesRead()).toBeLessThan(file.length)
  })
})

test('notes that several segments claim count once', async () => {
  const file = buildCore({ threads, segments })
  // The memory's header becomes another one of the same notes.
  file.copy(
    file,
    places[64].header + places[64].entry,
    places[64].header,
    places[64].header + places[64].entry,
  )
  const { threads: found, gaps } = await scanSource(sourceOf(file))
  expect(found).toHaveLength(1)
  expect(gaps).toEqual(['1 segment of notes not looked at: others overlap them'])
})

test('sizes of notes that lie are a gap, and what came before counts', async () => {
  const file = buildCore({ threads, segments, notes: [xstateNote(0x7n)] })
  for (const [at, value] of [
    [0, 0xffff_ffff],
    [4, 0xffff_ffff],
    [4, 0x7fff_fff0],
    [4, 900],
  ] as const) {
    const bad = Buffer.from(file)
    // The second note, behind a thread's.
    const note = 64 + 2 * 56 + 12 + 8 + 336
    expect(bad.readUInt32LE(note + 8)).toBe(0x202)
    bad.writeUInt32LE(value, note + at)
    const { threads: found, gaps } = await scanSource(sourceOf(bad))
    expect(found).toHaveLength(1)
    expect(gaps).toHaveLength(1)
    expect(gaps[0]).toMatch(
      new RegExp(`^the note at offset ${note} .*${value}.* does not end within its segment`),
    )
  }
})
