/** No native call can crash Node, whatever it is given. */
import { beforeEach, describe, expect, it } from 'vitest'
import { loadNative, probePath } from '../../lib/native.ts'
import { hostileValues, revokedProxy } from '../xstate/arbitrary.ts'
import { children, descriptors, nativeSession, needsAddon, shape, waitedName } from './support.ts'

beforeEach(needsAddon)

const thrower = (name: string) =>
  Object.defineProperty({ ...shape }, name, {
    get: () => {
      throw new Error(`the getter of ${name}`)
    },
    enumerable: true,
  })

const notNumbers: readonly unknown[] = [
  ...hostileValues,
  revokedProxy(),
  new Proxy({}, {}),
  -1,
  2 ** 32,
  2 ** 53,
  1e300,
  Number.NEGATIVE_INFINITY,
  0.5,
  5n,
  '1',
  true,
]

const number = (value: unknown): value is number => typeof value === 'number'

describe('a session cannot be made', () => {
  const { Session } = loadNativeOrNothing()

  it('without new', () => {
    expect(() => (Session as unknown as () => void)()).toThrow(TypeError)
    expect(() => Reflect.apply(Session, {}, [probePath(), shape])).toThrow(TypeError)
  })

  it('without what it needs', () => {
    const make = (...args: unknown[]) =>
      new (Session as unknown as new (...args: unknown[]) => object)(...args)
    const message = 'Session(probePath, shape): probePath must be a string and shape an object'
    for (const args of [
      [],
      [probePath()],
      [undefined, shape],
      [probePath(), 1],
      [probePath(), null],
      [shape, shape],
    ]) {
      expect(() => make(...args)).toThrow(new TypeError(message))
    }
    for (const value of [...hostileValues, revokedProxy()]) {
      if (typeof value !== 'string') expect(() => make(value, shape)).toThrow(new TypeError(message))
      expect(() => make(probePath(), value)).toThrow()
    }
  })

  it.each(['stackBytes', 'headroom', 'spareBytes', 'dataBytes'])(
    'of a shape whose %s is no number of bytes',
    name => {
      for (const value of [...notNumbers, 0, 2 ** 28 + 1]) {
        expect(() => new Session(probePath(), { ...shape, [name]: value } as never)).toThrow(
          new TypeError(`shape.${name} must be an integer from 1 to ${2 ** 28}`),
        )
      }
      expect(() => new Session(probePath(), thrower(name) as never)).toThrow(
        new Error(`the getter of ${name}`),
      )
    },
  )

  it('of a shape whose permissions are none', () => {
    const refused = new TypeError('shape.permissions must be a bigint of 64 bits')
    for (const permissions of [...notNumbers, 0, -1n, 1n << 64n, 1n << 100_000n]) {
      if (permissions === 5n) continue
      expect(() => new Session(probePath(), { ...shape, permissions } as never)).toThrow(refused)
    }
    expect(() => new Session(probePath(), thrower('permissions') as never)).toThrow(
      'the getter of permissions',
    )
  })

  it('of a shape that is a proxy', () => {
    const throwing = new Proxy(shape, {
      get: () => {
        throw new Error('trapped')
      },
    })
    expect(() => new Session(probePath(), throwing)).toThrow('trapped')
    expect(() => new Session(probePath(), revokedProxy() as never)).toThrow(TypeError)
    // One that answers is as good as any.
    expect(new Session(probePath(), new Proxy(shape, {})).close()).toBe(true)
  })

  it('of sizes that contradict each other, or that no system grants', () => {
    const { stackBytes } = shape
    expect(() => new Session(probePath(), { ...shape, headroom: stackBytes })).toThrow(
      new TypeError('shape.headroom must be less than shape.stackBytes'),
    )
    // So small that nothing works is still no crash.
    const tiny = { stackBytes: 2, headroom: 1, spareBytes: 1, dataBytes: 1, permissions: 0n }
    const session = new Session(probePath(), tiny)
    expect(waitedName(session.run(1, 1, 2000))).toMatch(/^(done|ended)$/)
    session.close()
  })

  it('with permissions that this kernel does not know', () => {
    expect(() => new Session(probePath(), { ...shape, permissions: 1n << 40n })).toThrow(
      /failed at its start: arch_prctl\(ARCH_REQ_XCOMP_PERM\): /,
    )
    expect(children()).toEqual([])
  })
})

describe('the methods', () => {
  const methods = [
    'memory',
    'describe',
    'run',
    'reply',
    'runAsync',
    'completed',
    'kill',
    'tryReap',
    'close',
  ] as const

  it('are those', () => {
    const { prototype } = loadNative().Session
    const names = Object.getOwnPropertyNames(prototype).filter(name => name !== 'constructor')
    expect(names).toEqual(expect.arrayContaining([...methods]))
  })

  it('refuse whatever is no session', () => {
    const session = nativeSession()
    const { prototype } = loadNative().Session
    for (const name of Object.getOwnPropertyNames(prototype)) {
      if (name === 'constructor') continue
      const method = prototype[name as 'run'] as unknown as (...args: unknown[]) => unknown
      for (const that of [
        ...hostileValues,
        revokedProxy(),
        prototype,
        Object.create(session),
        new Proxy(session, {}),
      ]) {
        expect(() => Reflect.apply(method, that, [0, 0, 0])).toThrow(TypeError)
      }
    }
    expect(session.completed()).toBe(0)
  })

  const message = /^(count|target|timeoutMs) must be an integer from 0 to \d+$/
  it.each<[string, readonly number[]]>([
    ['run', [128, 2 ** 32 - 1, 24 * 3600 * 1000]],
    ['runAsync', [128, 2 ** 32 - 1, 24 * 3600 * 1000]],
    ['reply', [2 ** 32 - 1, 24 * 3600 * 1000]],
  ])('%s refuses arguments that are no numbers, or too large', (name, most) => {
    const session = nativeSession()
    const call = (...args: unknown[]) =>
      (session as unknown as Record<string, (...a: unknown[]) => unknown>)[name]!(...args)
    const good = most.map(() => 0)
    for (let i = 0; i < good.length; i++) {
      expect(() => call(...good.slice(0, i))).toThrow(message)
      expect(() => call(...good.with(i, most[i]! + 1))).toThrow(message)
      for (const value of notNumbers) {
        if (number(value) && Object.is(value, -0)) continue
        const args = (good as readonly unknown[]).with(i, value)
        expect(() => call(...args)).toThrow(message)
        expect(() => call(...args)).toThrow(TypeError)
      }
    }
  })

  it('take more arguments than they need, and none where they need none', () => {
    const session = nativeSession()
    const call = (name: string, ...args: unknown[]) =>
      (session as unknown as Record<string, (...a: unknown[]) => unknown>)[name]!(...args)
    for (const name of ['memory', 'describe', 'completed', 'tryReap']) {
      expect(() => call(name, ...hostileValues)).not.toThrow()
    }
    expect(session.run(0, 0, 0)).toBe(loadNative().arena['Waited.done'])
  })
})

describe('a session in the wrong order', () => {
  it('waits for what nobody submitted no longer than it is told', async () => {
    const session = nativeSession()
    expect(waitedName(session.run(0, 5, 30))).toBe('timeout')
    expect(waitedName(session.reply(5, 30))).toBe('timeout')
    expect(waitedName(await session.runAsync(0, 5, 30))).toBe('timeout')
    expect(waitedName(session.run(0, 0xffff_ffff, 30))).toBe('done')
  })

  it('takes replies to frames that do not wait, and more requests than the ring has slots', () => {
    const session = nativeSession()
    for (let i = 0; i < 5; i++) session.reply(0, 10)
    for (let i = 0; i < 5; i++) session.run(128, 0, 10)
    expect(waitedName(session.run(0, 640, 5000))).toMatch(/^(done|ended)$/)
    expect(session.describe().pid).toBeGreaterThan(1)
  })

  it('may be killed, asked and closed in any order and often', async () => {
    const session = nativeSession()
    const run = session.runAsync(0, 1, 60_000)
    for (let i = 0; i < 3; i++) session.kill()
    expect(waitedName(await run)).toMatch(/^(cancelled|ended)$/)
    for (let i = 0; i < 3; i++) session.tryReap()
    expect(waitedName(session.run(1, 1, 1000))).toMatch(/^(cancelled|ended)$/)
    expect(waitedName(session.reply(1, 1000))).toMatch(/^(cancelled|ended)$/)
    for (let i = 0; i < 3; i++) expect(session.close()).toBe(true)
  })

  it('has one wait under way at a time', async () => {
    const session = nativeSession()
    const underWay = new Error('a wait of this session is under way')
    for (let i = 0; i < 5; i++) {
      const wait = session.runAsync(0, 1, 40)
      for (let more = 0; more < 3; more++) expect(() => session.runAsync(0, 0, 40)).toThrow(underWay)
      // Which blocks, and so may be asked at the same time.
      expect(waitedName(session.run(0, 0, 40))).toBe('done')
      expect(waitedName(await wait)).toBe('timeout')
    }
  })
})

describe('a closed session', () => {
  it('says so, whatever it is asked', () => {
    const session = nativeSession()
    session.close()
    for (const call of [
      () => session.memory(),
      () => session.describe(),
      () => session.run(1, 1, 1),
      () => session.reply(1, 1),
      () => session.runAsync(1, 1, 1),
      () => session.completed(),
      () => session.kill(),
      () => session.tryReap(),
    ]) {
      expect(call).toThrow(new Error('the session is closed'))
    }
    expect(session.close()).toBe(true)
  })

  it('has taken its memory with it: views are empty, and writing to them changes nothing', () => {
    const session = nativeSession()
    const memory = session.memory()
    expect(session.memory()).toBe(memory)
    const bytes = new Uint8Array(memory)
    const words = new Uint32Array(memory, 4096, 64)
    const view = new DataView(memory)
    bytes[100] = 7
    expect(bytes[100]).toBe(7)
    session.close()
    expect([memory.byteLength, bytes.length, words.length, bytes[100], words[0]]).toEqual([
      0,
      0,
      0,
      undefined,
      undefined,
    ])
    bytes[100] = 8
    expect(() => words.fill(1)).toThrow(TypeError)
    expect(() => view.getUint8(100)).toThrow(TypeError)
    expect(() => bytes.set([1, 2, 3])).toThrow()
    expect(() => Atomics.load(words, 0)).toThrow()
    expect(() => new Uint8Array(memory)).toThrow(TypeError)
  })

  it('has ended the wait that was under way', async () => {
    for (let i = 0; i < 20; i++) {
      const session = nativeSession()
      const wait = session.runAsync(0, 1, 60_000)
      if (i % 2) await new Promise(resolve => setImmediate(resolve))
      session.close()
      expect(waitedName(await wait)).toMatch(/^(cancelled|ended)$/)
    }
  })

  it('hurts nobody who took its memory away before', () => {
    const session = nativeSession()
    const memory = session.memory()
    const taken = take(memory)
    expect(waitedName(session.run(0, 0, 0))).toBe('done')
    expect(() => session.memory()).not.toThrow()
    session.close()
    if (taken === undefined) return
    const bytes = new Uint8Array(taken)
    bytes.fill(7)
    expect(bytes.every(byte => byte === 7)).toBe(true)
  })
})

describe('nothing is left', () => {
  it('of all of this', () => {
    const before = descriptors()
    for (let i = 0; i < 20; i++) {
      const session = new (loadNative().Session)(probePath(), shape)
      if (i % 2) session.memory()
      if (i % 3) session.kill()
      session.close()
    }
    expect(descriptors()).toEqual(before)
    expect(children()).toEqual([])
  })
})

/** Newer Nodes can take a buffer's memory away from it, and refuse some ways of trying. */
function take(memory: ArrayBuffer): ArrayBuffer | undefined {
  try {
    structuredClone(memory, { transfer: [memory] })
  } catch (error) {
    expect(error).toMatchObject({ name: 'DataCloneError' })
  }
  const { transfer } = memory as unknown as { transfer?: () => ArrayBuffer }
  return transfer?.call(memory)
}

function loadNativeOrNothing(): Pick<ReturnType<typeof loadNative>, 'Session'> {
  try {
    return loadNative()
  } catch {
    return { Session: class {} as never }
  }
}
