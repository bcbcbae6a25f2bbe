/** Components that the kernel gives to a task on its asking only: a session of its own has them. */
import { beforeEach, describe, expect, it, type TestContext } from 'vitest'
import { openSync, type Probe, permissible } from '../../lib/probe/session.ts'
import { type ComponentName, namesOf } from '../../lib/xstate/components.ts'
import { readHostCpu } from '../../lib/xstate/host.ts'
import { randomImage } from '../../lib/xstate/random.ts'
import { needsProbes, returned, session } from './support.ts'

beforeEach(needsProbes)

/** A session that has them all. */
const permitted = (ctx: TestContext): { probe: Probe; names: ComponentName[] } => {
  const names = permissible(readHostCpu())
  if (names.length === 0) ctx.skip('this host has no component that needs permission')
  return { probe: session({ permissions: names }), names }
}

describe('a session with permissions', () => {
  it('has the components in its layout and restores them', ctx => {
    const { probe, names } = permitted(ctx)
    for (const name of names) expect(probe.layout.has(name)).toBe(true)
    for (let seed = 0; seed < 4; seed++) {
      const load = randomImage(probe.layout, { seed })
      for (const edit of [[], [{ op: 'move' as const }], () => undefined]) {
        const seen = returned(probe.runSync({ load, edit }))
        for (const { name } of probe.layout.components) {
          expect([name, seen.state(name)]).toEqual([
            name,
            { restored: true, init: false, kept: false, loaded: true },
          ])
        }
      }
    }
  })

  it('puts them to init where the frame leaves them out', ctx => {
    const { probe, names } = permitted(ctx)
    const load = randomImage(probe.layout, { seed: 1 })
    for (const name of names) {
      const value = probe.layout.features & ~probe.layout.component(name).mask
      const seen = returned(probe.runSync({ load, edit: [{ op: 'and', field: 'xstateBv', value }] }))
      expect(seen.state(name)).toMatchObject({ init: true, kept: false, loaded: false })
    }
  })

  it('does not change other sessions, and is not changed by them', ctx => {
    const before = session()
    const { probe, names } = permitted(ctx)
    const after = session()
    expect(after.layout.toJSON()).toEqual(before.layout.toJSON())
    for (const name of names) expect(before.layout.has(name)).toBe(false)
    expect(probe.layout.size).toBeGreaterThan(before.layout.size)
    const load = randomImage(probe.layout, { seed: 1 })
    expect(() => before.runSync({ load: load.bytes })).toThrow(RangeError)
    for (const one of [before, probe, after, probe]) {
      const load = randomImage(one.layout, { seed: 1 })
      const seen = returned(one.runSync({ load }))
      expect(seen.layout).toBe(one.layout)
      for (const { name } of one.layout.components)
        expect([name, seen.state(name).loaded]).toEqual([name, true])
    }
  })

  it('has them still when its process was replaced', ctx => {
    const { probe, names } = permitted(ctx)
    process.kill(probe.pid, 'SIGKILL')
    expect(probe.runSync().kind).toBe('died')
    const load = randomImage(probe.layout, { seed: 1 })
    for (let i = 0; i < 3; i++) {
      const seen = returned(probe.runSync({ load }))
      expect(seen.written.sw.xstateSize).toBe(probe.layout.size)
      for (const name of names) expect([name, seen.state(name).loaded]).toEqual([name, true])
    }
  })

  it('keeps many results, each its own', ctx => {
    const { probe, names } = permitted(ctx)
    const load = Array.from({ length: 200 }, (_, seed) => randomImage(probe.layout, { seed }))
    const seen = probe.runMany(load.map(image => ({ load: image })))
    for (const [i, one] of seen.entries()) {
      expect(Buffer.compare(returned(one).before.bytes, load[i]!.bytes)).toBe(0)
      for (const name of names) expect(returned(one).state(name).loaded).toBe(true)
    }
  })
})

describe('permissions are refused', () => {
  it('for what no host asks permission for', () => {
    const names = permissible(readHostCpu())
    const limit =
      names.length === 0
        ? 'but this host has no component that needs permission'
        : `must be of ${names.join(' ')}`
    for (const permissions of [['avx'], ['sse', 'x87'], ['component_40']] as ComponentName[][]) {
      expect(() => openSync({ permissions })).toThrow(RangeError)
      expect(() => openSync({ permissions })).toThrow(limit)
      for (const name of permissions) expect(() => openSync({ permissions })).toThrow(name)
    }
  })

  it('for what this host lacks', ctx => {
    if (permissible(readHostCpu()).includes('xtiledata')) ctx.skip('this host has AMX')
    expect(() => openSync({ permissions: ['xtiledata'] })).toThrow(/^options\.permissions is "xtiledata", /)
  })

  it('for what is no component', () => {
    for (const permissions of [['amx'], [7], [undefined], [[]]] as never[]) {
      expect(() => openSync({ permissions })).toThrow(/ (is|must be) /)
    }
  })
})

describe('the host', () => {
  it('has what it may give permission for in XCR0, and nothing of it in a plain session', () => {
    const cpu = readHostCpu()
    const plain = session()
    for (const name of permissible(cpu)) {
      expect(namesOf(cpu.xcr0)).toContain(name)
      expect(plain.layout.has(name)).toBe(false)
    }
    expect(plain.layout.features & ~(cpu.xcr0 | 3n)).toBe(0n)
  })
})
