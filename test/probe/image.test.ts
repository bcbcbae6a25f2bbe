/** Images that are checked once, for many requests. */
import { beforeEach, describe, expect, it } from 'vitest'
import { diffComponents } from '../../lib/xstate/compare.ts'
import { randomImage } from '../../lib/xstate/random.ts'
import { needsProbes, returned, session } from './support.ts'

beforeEach(needsProbes)

describe('a prepared image', () => {
  it('makes the same of a probe as the image itself', () => {
    const probe = session()
    const { layout } = probe
    const load = randomImage(layout, { seed: 1 })
    const poison = randomImage(layout, { seed: 2 })
    const edit = [{ op: 'set', field: 'mxcsr', value: 0x1fa0 }] as const
    const images = { load: probe.image(load), poison: probe.image(poison.bytes) }
    const plain = returned(probe.runSync({ load, poison, edit }))
    const prepared = returned(probe.runSync({ ...images, edit }))
    expect(prepared.before.bytes).toEqual(load.bytes)
    expect(prepared.poison.bytes).toEqual(poison.bytes)
    expect(prepared.written.fpstate).toEqual(plain.written.fpstate)
    expect(diffComponents(prepared.after.bytes, plain.after.bytes, layout)).toEqual([])
  })

  it('is a copy: what becomes of the caller’s bytes is nothing to it', () => {
    const probe = session()
    const load = randomImage(probe.layout, { seed: 1 })
    const image = probe.image(load)
    const want = load.bytes.slice()
    load.bytes.fill(0xff)
    expect(returned(probe.runSync({ load: image })).before.bytes).toEqual(want)
  })

  it('serves a sibling, a fake frame, and the next process', async () => {
    const probe = session()
    const image = probe.image(randomImage(probe.layout, { seed: 1 }))
    returned(probe.runSync({ load: image, poison: image, sibling: image }))
    if (probe.layout.xsave) returned(probe.runSync({ raise: 'fake', load: image }))
    const { pid } = probe
    process.kill(pid, 'SIGKILL')
    expect(probe.runSync({ load: image }).kind).toBe('died')
    const seen = returned(probe.runSync({ load: image }))
    expect(probe.pid).not.toBe(pid)
    expect(diffComponents(seen.after.bytes, image.placed.bytes, probe.layout)).toEqual([])
    expect((await probe.run([{ load: image }])).map(({ kind }) => kind)).toEqual(['returned'])
  })

  it('is refused where it cannot be loaded, and by another session', () => {
    const probe = session()
    const bad = randomImage(probe.layout, { seed: 1 })
    bad.fcw = 0
    expect(() => probe.image(bad)).toThrow(RangeError)
    expect(() => probe.image(7 as never)).toThrow(
      new TypeError('image must be an XsaveImage or a Uint8Array, not 7'),
    )
    const image = session().image(randomImage(probe.layout, { seed: 1 }))
    for (const name of ['load', 'poison', 'sibling']) {
      expect(() => probe.runSync({ [name]: image })).toThrow(
        new TypeError(
          `request.${name} must be an image prepared by this session: layouts belong to a session, not an object`,
        ),
      )
    }
  })
})
