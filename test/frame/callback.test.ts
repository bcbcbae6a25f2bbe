/** Live callbacks that do what they should not. */
import { beforeEach, describe, expect, it, vi } from 'vitest'
import type { LiveFrame } from '../../lib/frame/live.ts'
import { loadNative } from '../../lib/native.ts'
import type { Native, NativeSession } from '../../lib/native-types.ts'
import { needsProbes, returned, session } from '../probe/support.ts'

const opened: NativeSession[] = []

// What a probe sent whose callback threw is in no result: only the shared memory shows it.
vi.mock('../../lib/native.ts', async importOriginal => {
  const real = await importOriginal<typeof import('../../lib/native.ts')>()
  const Session = class {
    constructor(...args: ConstructorParameters<Native['Session']>) {
      const made = new (real.loadNative().Session)(...args)
      opened.push(made)
      // biome-ignore lint/correctness/noConstructorReturn: the real one, only noted down
      return made
    }
  }
  return { ...real, loadNative: () => ({ ...real.loadNative(), Session }) }
})

beforeEach(needsProbes)

interface Recorded {
  readonly head: Uint8Array
  readonly fpstate: Uint8Array
}

/** The records of a session's probe, by its number; 0 is the first frame, which every session raises. */
const recordsOf = (native: NativeSession, sequence: number): { written: Recorded; sent: Recorded } => {
  const { arena } = loadNative()
  const memory = native.memory()
  const request = arena.requests! + (sequence % arena.ringSlots!) * arena.requestBytes! - arena.first!
  const read = (field: string): number =>
    new DataView(memory).getUint32(request + arena[`Request.${field}`]!, true)
  const bytes = (at: number, length: number) => new Uint8Array(memory, at - arena.first!, length).slice()
  const record = (field: string) => ({
    head: bytes(read(field), arena.headBytes!),
    fpstate: bytes(read(field) + arena.recordHead!, read(`${field}Bytes`)),
  })
  return { written: record('written'), sent: record('sent') }
}

const spoil = (frame: LiveFrame): void => {
  frame.xcompBv = 1n
  frame.resize(576)
  frame.fill(0, 400, 7)
  frame.fpstatePointer = 1n << 63n
}

describe('a callback that throws', () => {
  it.each([
    ['in place', spoil],
    ['moved', (frame: LiveFrame) => [spoil(frame), frame.move(), spoil(frame)]],
    ['far beyond its end', (frame: LiveFrame) => frame.fill(0, 8000, 1)],
  ] as const)('sends the frame as the kernel wrote it: %s', (_, spoil) => {
    const probe = session()
    const error = new Error('on purpose')
    const edit = (frame: LiveFrame) => {
      spoil(frame)
      throw error
    }
    expect(() => probe.runSync({ edit })).toThrow(error)
    const { written, sent } = recordsOf(opened.at(-1)!, 1)
    expect(written.head.some(byte => byte !== 0)).toBe(true)
    expect(written.fpstate).toHaveLength(probe.limits.frameBytes)
    expect(sent).toEqual(written)
    returned(probe.runSync())
  })

  it('gets its own error back, whatever it is', () => {
    const probe = session()
    const { pid } = probe
    for (const thrown of [undefined, null, 0, 'text', new RangeError('mine'), Object.create(null)]) {
      let caught: unknown = 'nothing'
      try {
        probe.runSync({
          edit: () => {
            throw thrown
          },
        })
      } catch (error) {
        caught = error
      }
      expect(caught).toBe(thrown)
    }
    expect(probe.pid).toBe(pid)
    returned(probe.runSync())
  })

  it('among many stops them there', () => {
    const probe = session()
    const stop = () => {
      throw new Error('stop')
    }
    const seen: string[] = []
    expect(() => probe.runEach([{}, {}, { edit: stop }, {}], ({ kind }) => seen.push(kind))).toThrow('stop')
    expect(seen).toEqual(['returned', 'returned'])
    expect(() => probe.runMany([{}, { edit: stop }])).toThrow('stop')
    returned(probe.runSync())
  })
})

describe('a callback that returns a promise', () => {
  it('is a TypeError, and what the promise does later is nobody’s concern', async () => {
    const probe = session()
    const unhandled: unknown[] = []
    const note = (reason: unknown) => unhandled.push(reason)
    process.on('unhandledRejection', note)
    try {
      const edit = async (frame: LiveFrame) => {
        spoil(frame)
        throw new Error('too late')
      }
      expect(() => probe.runSync({ edit: edit as never })).toThrow(
        new TypeError(
          'edit returned a promise: the frame waits for it in a signal handler, so it must not be async',
        ),
      )
      await new Promise(resolve => setTimeout(resolve, 20))
    } finally {
      process.off('unhandledRejection', note)
    }
    expect(unhandled).toEqual([])
    const { written, sent } = recordsOf(opened.at(-1)!, 1)
    expect(sent).toEqual(written)
    returned(probe.runSync())
  })

  it('so is anything with a then', () => {
    const probe = session()
    // biome-ignore lint/suspicious/noThenProperty: that is the point
    expect(() => probe.runSync({ edit: () => ({ then: () => undefined }) as never })).toThrow(TypeError)
    const hostile = Object.defineProperty({}, 'then', {
      get: () => {
        throw new Error('a getter of its own')
      },
    })
    expect(() => probe.runSync({ edit: () => hostile as never })).toThrow('a getter of its own')
    returned(probe.runSync())
  })
})

describe('a frame', () => {
  it('that was kept cannot be used once its callback has returned, nor once it has thrown', () => {
    const probe = session()
    let kept: LiveFrame | undefined
    const keep = (frame: LiveFrame) => {
      kept = frame
    }
    returned(probe.runSync({ edit: keep }))
    expect(() => kept?.mxcsr).toThrow(/^this frame has gone back to the kernel/)
    expect(() => kept?.write(0, new Uint8Array(1))).toThrow(/^this frame has gone back to the kernel/)
    const keepAndThrow = (frame: LiveFrame) => {
      kept = frame
      throw new Error('thrown')
    }
    expect(() => probe.runSync({ edit: keepAndThrow })).toThrow('thrown')
    expect(() => kept?.sw).toThrow(/^this frame has gone back to the kernel/)
    returned(probe.runSync({ edit: () => expect(() => kept?.sw).toThrow() }))
  })
})

describe('a callback', () => {
  it.each<[string, (probe: ReturnType<typeof session>) => unknown]>([
    ['runSync', probe => probe.runSync()],
    ['runMany', probe => probe.runMany([{}])],
    ['runEach', probe => probe.runEach([{}], () => undefined)],
  ])('cannot start another probe of its session: %s', (_, start) => {
    const probe = session()
    const edit = () => {
      start(probe)
    }
    expect(() => probe.runSync({ edit })).toThrow(
      new Error('a probe is under way in this session: its edit callback cannot start another'),
    )
    returned(probe.runSync())
  })

  it('may run a probe of another session', () => {
    const [one, other] = [session(), session()]
    let inner = ''
    const edit = () => {
      inner = other.runSync({ edit: frame => frame.set('fcw', 0x27f) }).kind
    }
    expect([one.runSync({ edit }).kind, inner]).toEqual(['returned', 'returned'])
  })

  it('may start a run, which waits for its turn', async () => {
    const probe = session()
    let later: Promise<{ kind: string }> | undefined
    const edit = () => {
      later = probe.run({})
    }
    returned(probe.runSync({ edit }))
    expect(await later).toMatchObject({ kind: 'returned' })
  })

  it('may close its session: the probe has no result then, and nothing else breaks', async () => {
    // Whether the process is gone by the time the frame would go back is a matter of luck.
    for (let i = 0; i < 20; i++) {
      const probe = session()
      let closing: Promise<void> | undefined
      const edit = () => {
        closing = probe.close()
      }
      expect(() => (i % 2 ? probe.runSync({ edit }) : probe.runMany([{}, { edit }, {}]))).toThrow(
        /^the session (is|was) closed/,
      )
      await closing
      expect(() => probe.runSync()).toThrow(new Error('the session is closed'))
    }
  })

  it('may read and may not be fooled: pid is the one that waits', () => {
    const probe = session()
    const { pid } = probe
    let inside = 0
    const edit = () => {
      inside = probe.pid
    }
    returned(probe.runSync({ edit }))
    expect(inside).toBe(pid)
  })
})
