/** What every kernel does with a frame, and that it is told apart from what none may do. */
import { beforeEach, describe, expect, it } from 'vitest'
import { magic1, magic2 } from '../../lib/frame/format.ts'
import { initValue } from '../../lib/xstate/compare.ts'
import type { ComponentName } from '../../lib/xstate/components.ts'
import { randomImage } from '../../lib/xstate/random.ts'
import { needsProbes, plainExtended, returned, session } from './support.ts'

beforeEach(needsProbes)

const noXsave = 'this host has no XSAVE: its frames end after 512 bytes'
const noExtended = 'this host has no component beyond SSE'

describe('an untouched frame', () => {
  it('restores every component and MXCSR', () => {
    const probe = session()
    for (let seed = 0; seed < 8; seed++) {
      const seen = returned(probe.runSync({ load: randomImage(probe.layout, { seed }) }))
      for (const { name } of probe.layout.components) {
        expect([name, seen.state(name)]).toEqual([
          name,
          { restored: true, init: false, kept: false, loaded: true },
        ])
      }
      expect(seen.mxcsrState()).toEqual({ restored: true, init: false, kept: false, loaded: true })
    }
  })

  it('holds what was loaded, as the kernel describes it', ctx => {
    const probe = session()
    if (!probe.layout.xsave) ctx.skip(noXsave)
    const load = randomImage(probe.layout, { seed: 5 })
    const { written, sent, before } = returned(probe.runSync({ load }))
    const { size, features } = probe.layout
    expect(written.sw).toEqual({ magic1, xfeatures: features, xstateSize: size, extendedSize: size + 4 })
    expect(probe.sw).toEqual(written.sw)
    expect(written.magic2At(size)).toBe(magic2)
    expect(written.magic2At(size + 1)).toBeUndefined()
    expect(written.xcompBv).toBe(0n)
    expect(written.xstateBv & 3n).toBe(3n)
    expect(written.fpstatePointer % 64n).toBe(0n)
    expect(written.mxcsr).toBe(load.mxcsr)
    for (const name of plainExtended(probe.layout)) {
      expect([name, written.component(name)]).toEqual([name, load.component(name)])
    }
    expect(sent.fpstate).toEqual(written.fpstate)
    expect(sent.head).toEqual(written.head)
    expect(before.bytes).toEqual(load.bytes)
  })

  it('of registers in their init state restores that', () => {
    const probe = session()
    const seen = returned(probe.runSync())
    for (const { name } of probe.layout.components) {
      expect([name, seen.state(name)]).toEqual([
        name,
        { restored: true, init: true, kept: false, loaded: true },
      ])
    }
  })
})

describe('an edited frame', () => {
  it('restores what it says, component by component', () => {
    const probe = session()
    const load = randomImage(probe.layout, { seed: 1 })
    const other = randomImage(probe.layout, { seed: 2 })
    for (const { name } of probe.layout.components) {
      const edit = [{ op: 'component', name, bytes: other.component(name) }] as const
      const seen = returned(probe.runSync({ load, edit }))
      expect([name, seen.state(name)]).toEqual([
        name,
        { restored: true, init: false, kept: false, loaded: false },
      ])
      for (const { name: untouched } of probe.layout.components) {
        if (untouched !== name) expect([untouched, seen.state(untouched).loaded]).toEqual([untouched, true])
      }
    }
  })

  it('restores MXCSR by itself', () => {
    const probe = session()
    const load = randomImage(probe.layout, { seed: 1 })
    const { mxcsr } = randomImage(probe.layout, { seed: 2 })
    const seen = returned(probe.runSync({ load, edit: [{ op: 'set', field: 'mxcsr', value: mxcsr }] }))
    expect(seen.after.mxcsr).toBe(mxcsr)
    expect(seen.mxcsrState()).toEqual({ restored: true, init: false, kept: false, loaded: false })
    expect(seen.state('sse').loaded).toBe(true)
  })

  it('whose fpstate was moved restores from there', () => {
    const probe = session()
    const load = randomImage(probe.layout, { seed: 1 })
    const other = randomImage(probe.layout, { seed: 2 }).component('sse')
    const edits = [
      [{ op: 'move' }],
      [{ op: 'move', at: 4096 }],
      [{ op: 'component', name: 'sse', bytes: other }, { op: 'move' }],
      [{ op: 'move' }, { op: 'component', name: 'sse', bytes: other }],
    ] as const
    for (const [i, edit] of edits.entries()) {
      const seen = returned(probe.runSync({ load, edit }))
      expect(seen.sent.fpstatePointer).not.toBe(seen.written.fpstatePointer)
      for (const { name } of probe.layout.components) expect(seen.state(name).restored).toBe(true)
      expect(seen.state('sse').loaded).toBe(i < 2)
    }
  })

  it('that leaves a component out puts it to init, and is never taken to have kept it', ctx => {
    const probe = session()
    const names = plainExtended(probe.layout)
    if (names.length === 0) ctx.skip(noExtended)
    const load = randomImage(probe.layout, { seed: 1 })
    for (const name of names) {
      const value = probe.layout.features & ~probe.layout.component(name).mask
      for (const field of ['xstateBv', 'sw.xfeatures'] as const) {
        const seen = returned(probe.runSync({ load, edit: [{ op: 'and', field, value }] }))
        const { init, kept, loaded } = seen.state(name)
        expect([name, field, { init, kept, loaded }]).toEqual([
          name,
          field,
          { init: true, kept: false, loaded: false },
        ])
        for (const other of names) {
          if (other !== name) expect([other, seen.state(other).restored]).toEqual([other, true])
        }
      }
    }
  })

  it('without MAGIC1 restores the legacy region alone', ctx => {
    const probe = session()
    const names = plainExtended(probe.layout)
    if (names.length === 0) ctx.skip(noExtended)
    const load = randomImage(probe.layout, { seed: 1 })
    const seen = returned(probe.runSync({ load, edit: [{ op: 'set', field: 'sw.magic1', value: 0 }] }))
    for (const name of ['x87', 'sse'] as const) expect(seen.state(name).restored).toBe(true)
    for (const name of names) {
      expect([name, seen.state(name)]).toEqual([
        name,
        { restored: false, init: true, kept: false, loaded: false },
      ])
    }
  })

  it('that was shrunk comes back, in full or as the legacy region alone', ctx => {
    const probe = session()
    const { layout } = probe
    if (!layout.has('avx') || layout.size === layout.end('avx'))
      ctx.skip('nothing lies behind AVX on this host')
    const mask = 7n
    const load = randomImage(layout, { seed: 1 })
    const seen = returned(
      probe.runSync({
        load,
        edit: [
          { op: 'resize', xstateSize: layout.end('avx') },
          { op: 'and', field: 'sw.xfeatures', value: mask },
          { op: 'and', field: 'xstateBv', value: mask },
          { op: 'magic2', clearTail: true },
        ],
      }),
    )
    for (const name of ['x87', 'sse'] as const) expect(seen.state(name).restored).toBe(true)
    // Which of the two is the kernel's generation. Neither, or both, would be a fault of ours.
    const avx = seen.state('avx')
    expect({ ...avx, restored: avx.restored !== avx.init }).toEqual({ ...avx, restored: true, kept: false })
    expect(avx.loaded).toBe(avx.restored)
    for (const name of plainExtended(layout)) {
      if (name !== 'avx') expect([name, seen.state(name).init]).toEqual([name, true])
    }
  })
})

describe('a bad frame is answered with SIGSEGV at sigreturn', () => {
  const refused = { kind: 'signal', where: 'sigreturn', signal: 'SIGSEGV' }

  it('XCOMP_BV set where the image is not compacted: from the kernel, and the process lives on', ctx => {
    const probe = session()
    if (!probe.layout.xsave) ctx.skip(noXsave)
    const { pid } = probe
    for (const value of [1n, 1n << 63n]) {
      const seen = probe.runSync({ edit: [{ op: 'set', field: 'xcompBv', value }] })
      expect(seen).toMatchObject({ ...refused, siCode: 128, siAddr: 0n })
      returned(probe.runSync())
    }
    expect(probe.pid).toBe(pid)
  })

  it('a pointer that is not canonical', () => {
    const probe = session()
    const edit = [{ op: 'pointer', address: 1n << 63n }] as const
    expect(probe.runSync({ edit })).toMatchObject(refused)
  })

  it('a pointer into the kernel', () => {
    const probe = session()
    const edit = [{ op: 'pointer', address: (1n << 64n) - 4096n }] as const
    expect(probe.runSync({ edit })).toMatchObject(refused)
  })

  it('a frame before an unreadable page', () => {
    const probe = session()
    expect(probe.runSync({ edit: [{ op: 'move', guardAt: 256 }] })).toMatchObject(refused)
  })

  it('and its images are there', ctx => {
    const probe = session()
    if (!probe.layout.xsave) ctx.skip(noXsave)
    const load = randomImage(probe.layout, { seed: 3 })
    const seen = probe.runSync({ load, edit: [{ op: 'set', field: 'xcompBv', value: 1 }] })
    if (seen.kind !== 'signal' || seen.where !== 'sigreturn') throw new Error(`unexpected: ${seen.kind}`)
    expect(seen.sent.xcompBv).toBe(1n)
    expect(seen.written.xcompBv).toBe(0n)
    expect(seen.before.bytes).toEqual(load.bytes)
    expect(seen.after.bytes).toHaveLength(probe.layout.size)
  })
})

describe('a frame without fpstate', () => {
  it('gives the init state', () => {
    const probe = session()
    const load = randomImage(probe.layout, { seed: 4 })
    const seen = returned(probe.runSync({ load, edit: [{ op: 'pointer', address: 0n }] }))
    const names: ComponentName[] = ['x87', 'sse', ...plainExtended(probe.layout)]
    for (const name of names) {
      expect([name, seen.state(name)]).toEqual([
        name,
        { restored: false, init: true, kept: false, loaded: false },
      ])
    }
    expect(seen.sent.fpstatePointer).toBe(0n)
  })
})

describe('the poison', () => {
  it('tells kept from init: it is in every component, and never the same twice in a row', () => {
    const probe = session()
    let last: Uint8Array | undefined
    for (let i = 0; i < 20; i++) {
      const { poison } = returned(probe.runSync())
      expect(poison.bytes).not.toEqual(last)
      for (const { name } of probe.layout.components) {
        expect(Buffer.from(poison.component(name))).not.toEqual(Buffer.from(initValue(probe.layout, name)))
      }
      last = poison.bytes
    }
  })

  it('is no image that a caller may have drawn', () => {
    const probe = session()
    const poisons = Array.from({ length: 16 }, () => returned(probe.runSync()).poison)
    for (let seed = 0; seed < 32; seed++) {
      const drawn = randomImage(probe.layout, { seed })
      expect(poisons.filter(poison => Buffer.compare(poison.bytes, drawn.bytes) === 0)).toEqual([])
    }
  })

  it('may be given: where all images are the same, every explanation holds', () => {
    const probe = session()
    const image = randomImage(probe.layout, { seed: 9 })
    const seen = returned(probe.runSync({ load: image, poison: image }))
    expect(seen.state('sse')).toEqual({ restored: true, init: false, kept: true, loaded: true })
    expect(seen.poison.bytes).toEqual(image.bytes)
  })
})
