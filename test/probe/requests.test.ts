/** Bad input is refused before anything runs, naming field, value and limit. */
import { beforeEach, describe, expect, it } from 'vitest'
import { openSync } from '../../lib/probe/session.ts'
import { initImage } from '../../lib/xstate/image.ts'
import { randomImage } from '../../lib/xstate/random.ts'
import { hostileValues, revokedProxy } from '../xstate/arbitrary.ts'
import { needsProbes, returned, session } from './support.ts'

beforeEach(needsProbes)

const named = (error: unknown): boolean =>
  (error instanceof TypeError || error instanceof RangeError) &&
  /^[\w.[\]]+( \(end\))? (is|must be) /.test(error.message)

describe('the options of a session', () => {
  it.each<[unknown, Error]>([
    [null, new TypeError('options must be an object, not null')],
    [[], new TypeError('options must be an object, not an array of 0')],
    [
      { timeout: 1 },
      new RangeError('options.timeout is 1, but open takes only permissions timeoutMs seed pin'),
    ],
    [{ timeoutMs: 0 }, new RangeError('options.timeoutMs is 0, must be in 1..86400000')],
    [{ timeoutMs: Number.NaN }, new TypeError('options.timeoutMs must be an integer, not NaN')],
    [{ timeoutMs: 2 ** 40 }, new RangeError('options.timeoutMs is 1099511627776, must be in 1..86400000')],
    [{ seed: -1 }, new RangeError('options.seed is -1, must be in 0..1073741824')],
    [{ pin: 1 }, new TypeError('options.pin must be a boolean, not 1')],
    [{ seed: '1' }, new TypeError('options.seed must be an integer, not "1"')],
    [
      { permissions: 'xtiledata' },
      new TypeError('options.permissions must be an array of components, not "xtiledata"'),
    ],
  ])('%o', (options, error) => {
    expect(() => openSync(options as never)).toThrow(error)
  })

  it('whatever they are', () => {
    for (const value of hostileValues) {
      if (value === undefined) continue
      for (const name of ['permissions', 'timeoutMs', 'seed', 'pin']) {
        const options = { [name]: value }
        if (name === 'seed' && Object.is(value, -0)) continue
        let error: unknown
        try {
          openSync(options as never).close()
        } catch (e) {
          error = e
        }
        expect([name, named(error), error]).toEqual([name, true, error])
      }
    }
  })
})

describe('a request', () => {
  it('that is none, or has what no request has', () => {
    const probe = session()
    expect(() => probe.runSync(null as never)).toThrow(new TypeError('request must be an object, not null'))
    expect(() => probe.runSync({ loud: 1 } as never)).toThrow(
      new RangeError(
        'request.loud is 1, but a request has only abi raise stack load poison sibling shadowStack edit',
      ),
    )
    expect(() => probe.runSync({ abi: 'ia64' as never })).toThrow(
      new RangeError('request.abi is "ia64", must be one of x86_64 ia32-rt ia32 x32'),
    )
    expect(() => probe.runMany({} as never)).toThrow(
      new TypeError('requests must be an array of requests, not an object'),
    )
    expect(() => probe.runMany([{}, 7 as never])).toThrow(
      new TypeError('requests[1] must be an object, not 7'),
    )
    expect(() => probe.runEach([{}], 'visit' as never)).toThrow(
      new TypeError('visit must be a function, not "visit"'),
    )
  })

  it('prepared by another session', () => {
    const [one, other] = [session(), session()]
    expect(() => one.runSync(other.prepare({}))).toThrow(
      new TypeError(
        'request must be a request prepared by this session: layouts belong to a session, not an object',
      ),
    )
  })

  it('with an image that cannot be loaded', ctx => {
    const probe = session()
    const { layout } = probe
    if (!layout.xsave) ctx.skip('this host has no XSAVE: its images have no header')
    const spoilt = (spoil: (image: ReturnType<typeof initImage>) => void) => {
      const image = initImage(layout)
      spoil(image)
      return image
    }
    const outside = spoilt(image => new DataView(image.bytes.buffer).setBigUint64(512, 1n << 62n, true))
    const compacted = spoilt(image => new DataView(image.bytes.buffer).setBigUint64(520, 1n << 63n, true))
    const header = spoilt(({ bytes }) => bytes.fill(1, 530, 531))
    const mxcsr = spoilt(image => new DataView(image.bytes.buffer).setUint32(24, 0xffff_0000, true))
    for (const field of ['load', 'poison'] as const) {
      for (const image of [outside, compacted, header, mxcsr, mxcsr.bytes]) {
        expect(() => probe.runSync({ [field]: image })).toThrow(RangeError)
        expect(() => probe.runSync({ [field]: image })).toThrow(new RegExp(`^request\\.${field}`))
      }
      expect(() => probe.runSync({ [field]: new Uint8Array(layout.size - 1) })).toThrow(
        new RegExp(`^request\\.${field}.*${layout.size - 1}.*${layout.size}`),
      )
      expect(() => probe.runSync({ [field]: [1, 2, 3] } as never)).toThrow(
        new TypeError(`request.${field} must be an XsaveImage or a Uint8Array, not an array of 3`),
      )
    }
  })

  it('with an edit out of bounds, whose place in the list is named', () => {
    const probe = session()
    const end = probe.limits.inPlaceBytes
    const edit = [{ op: 'write', at: end, bytes: '00' }] as const
    expect(() => probe.runMany([{}, {}, { edit }])).toThrow(
      new RangeError(`requests[2].edit[0] (end) is ${end + 1}, but edits in place must end by ${end}`),
    )
  })

  it('of whatever else', async () => {
    const probe = session()
    const { pid } = probe
    for (const value of hostileValues) {
      if (value === undefined) continue
      for (const field of ['abi', 'load', 'poison', 'edit']) {
        // A function is a live edit, an empty list an empty edit.
        if (field === 'edit' && typeof value === 'function') continue
        const request = { [field]: value } as never
        for (const run of [
          () => probe.runSync(request),
          () => probe.prepare(request),
          () => probe.runMany([request]),
        ]) {
          let error: unknown
          try {
            run()
          } catch (e) {
            error = e
          }
          expect([field, named(error), error]).toEqual([field, true, error])
        }
        await expect(probe.run(request)).rejects.toThrow()
      }
    }
    returned(probe.runSync())
    expect(probe.pid).toBe(pid)
  })

  it('of what cannot be looked at', () => {
    const probe = session()
    for (const field of ['abi', 'load', 'poison', 'edit']) {
      expect(() => probe.runSync({ [field]: revokedProxy() } as never)).toThrow(TypeError)
    }
    expect(() => probe.runSync(revokedProxy() as never)).toThrow(TypeError)
    expect(() => openSync(revokedProxy() as never)).toThrow(TypeError)
    returned(probe.runSync())
  })

  it('whose callback is for run(), which takes data alone', async () => {
    const probe = session()
    await expect(probe.run([{}, { edit: () => undefined }] as never)).rejects.toThrow(
      new TypeError(
        'requests[1].edit must be data: live callbacks are for runSync and runMany, not a function',
      ),
    )
  })

  it('whose edit needs more room than all edits have', () => {
    const probe = session()
    const bytes = new Uint8Array(probe.limits.frameBytes)
    const edit = new Array(4096).fill({ op: 'write', at: 0, bytes })
    expect(() => probe.runSync({ edit })).toThrow(RangeError)
    const load = randomImage(probe.layout, { seed: 1 })
    expect(returned(probe.runSync({ load })).state('sse').loaded).toBe(true)
  })
})
