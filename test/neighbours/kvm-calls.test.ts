/** Calls with anything in them, written straight into the shared memory: the process tells, and goes on. */
import { beforeEach, expect, it } from 'vitest'
import { loadNative } from '../../lib/native.ts'
import type { NativeSession } from '../../lib/native-types.ts'
import { kvmCalls } from '../../lib/neighbours/kvm/constants.ts'
import { Random } from '../native/random.ts'
import { nativeSession, needsAddon, waitedName } from '../native/support.ts'

beforeEach(needsAddon)

const malformed = -1
const u32 = 0xffff_ffff

interface Call {
  readonly what: number
  readonly flags: number
  readonly slot: number
  readonly into: number
  readonly at: number
  readonly room: number
  readonly argument: bigint
  readonly value: bigint
}

const numbers = (name: string): number => {
  const found = loadNative().arena[name]
  if (found === undefined) throw new Error(name)
  return found
}

/** Runs one request of calls. @returns how it ended, and the errno of each */
const runner = (session: NativeSession) => {
  const view = new DataView(session.memory())
  const { data } = session.describe()
  const first = numbers('first')
  let submitted = 0
  return (calls: readonly Partial<Call>[], load = data, count = BigInt(calls.length)) => {
    const slot = submitted % numbers('ringSlots')
    const request = numbers('requests') - first + slot * numbers('requestBytes')
    view.setUint32(request + numbers('Request.kind'), numbers('RequestKind.kvm'), true)
    view.setUint32(request + numbers('Request.load'), load, true)
    view.setBigUint64(request + numbers('Request.count'), count, true)
    const base = (i: number): number => data - first + i * numbers('kvmCallBytes')
    calls.forEach((call, i) => {
      const { what = 0, flags = 0, slot = 0, into = 0, at = 0, room = 0, argument = 0n, value = 0n } = call
      for (const [name, number] of Object.entries({ what, flags, slot, into, at, room }))
        view.setUint32(base(i) + numbers(`KvmCall.${name}`), number, true)
      view.setBigUint64(base(i) + numbers('KvmCall.argument'), argument, true)
      view.setBigUint64(base(i) + numbers('KvmCall.value'), value, true)
    })
    submitted += 1
    expect(waitedName(session.run(1, submitted, 5000))).toBe('done')
    const outcome = numbers('outcomes') - first + slot * numbers('outcomeBytes')
    return {
      returned: view.getUint32(outcome + numbers('Outcome.ending'), true) === numbers('Ending.returned'),
      errors: calls.map((_, i) => view.getInt32(base(i) + numbers('KvmCall.error'), true)),
    }
  }
}

it('a list of calls that lies nowhere, or is too long, is none', () => {
  const session = nativeSession()
  const run = runner(session)
  const { data, dataBytes } = session.describe()
  const most = BigInt(numbers('mostKvmCalls'))
  expect(run([{}], data, 1n).returned).toBe(true)
  expect(run([], data, most).returned).toBe(true)
  for (const [load, count] of [
    [data, most + 1n],
    [data, (1n << 64n) - 1n],
    [data + 4, 1n],
    [0, 1n],
    [data + dataBytes, 1n],
    [data + dataBytes - 48, 1n],
    [u32 - 7, 1n],
  ] as const)
    expect(run([], load, count).returned, `${load} ${count}`).toBe(false)
})

it('buffers that are too small, lie elsewhere or are not there are not handed to the kernel', () => {
  const session = nativeSession()
  const run = runner(session)
  const { data, dataBytes, spare, spareBytes } = session.describe()
  const at = data + 65_536
  const what = (name: keyof typeof kvmCalls): number => numbers(`KvmDo.${name}`)
  const short = numbers('kvmShort')
  const wrong: Partial<Call>[] = [
    { what: what('getXsave'), at, room: 4095 },
    { what: what('getXsave'), at, room: 0 },
    { what: what('getXsave'), at: at + 4, room: 8192 },
    { what: what('getXsave'), at: 0, room: 4096 },
    { what: what('getXsave'), at: numbers('first'), room: 4096 },
    { what: what('getXsave'), at: data + dataBytes - 4088, room: 4096 },
    { what: what('getXsave'), at: u32 - 7, room: u32 },
    { what: what('getXsave'), at, room: 4096, flags: short },
    { what: what('getXsave'), at: spare + spareBytes - 8, room: 16, flags: short },
    { what: what('getXsave'), at: 8, room: spare + spareBytes - 8, flags: short },
    { what: what('supportedCpuid'), at, room: 0 },
    { what: what('supportedCpuid'), at, room: 4 },
    { what: what('open'), at, room: 0 },
    { what: what('apiVersion'), slot: numbers('kvmSlots') },
    { what: what('createVm'), into: numbers('kvmSlots') },
    { what: what('apiVersion'), slot: u32, into: u32 },
  ]
  expect(run(wrong)).toEqual({ returned: true, errors: wrong.map(() => malformed) })
  // A list that says it has more entries than there is room for.
  const view = new DataView(session.memory())
  view.setUint32(at - numbers('first'), 3, true)
  const lists = [8 + 3 * 40 - 8, 8 + 3 * 40].map(room => ({ what: what('setCpuid2'), at, room }))
  expect(run(lists).errors).toEqual([malformed, 9])
  // A path without an end.
  view.setUint32(at - numbers('first'), u32, true)
  expect(run([{ what: what('open'), at, room: 4 }]).errors).toEqual([malformed])
})

it('calls of nothing are EBADF, and what is no call ENOSYS', () => {
  const run = runner(nativeSession())
  const names = [
    'close',
    'apiVersion',
    'checkExtension',
    'createVm',
    'createVcpu',
    'getAttribute',
    'getXcr0',
  ] as const
  expect(run(names.map(name => ({ what: numbers(`KvmDo.${name}`), slot: 5 }))).errors).toEqual(
    names.map(() => 9),
  )
  expect(run([{ what: 0 }, { what: 99 }, { what: u32 }]).errors).toEqual([38, 38, 38])
})

it('any calls at all', () => {
  const session = nativeSession()
  const run = runner(session)
  const { data, dataBytes, spare, spareBytes } = session.describe()
  const random = new Random(7)
  const odd = [
    0,
    1,
    7,
    8,
    4088,
    4095,
    4096,
    65_536,
    data,
    data + 65_536,
    data + dataBytes,
    spare,
    spare + spareBytes,
    u32,
  ]
  const number = (): number => odd[random.below(odd.length)] as number
  const seen = new Set<number>()
  for (let round = 0; round < 300; round++) {
    const calls = Array.from({ length: 1 + random.below(20) }, () => ({
      // Not the requests of permissions, which are for good.
      what: random.below(Object.keys(kvmCalls).length + 2),
      flags: random.below(4),
      slot: random.below(130),
      into: random.below(130),
      at: number(),
      room: number(),
      argument: BigInt(number()),
      value: BigInt(number()) * BigInt(1 + random.below(3)),
    }))
    const { returned, errors } = run(calls)
    expect(returned).toBe(true)
    for (const error of errors) seen.add(error)
  }
  expect(seen).toContain(malformed)
  expect(seen).toContain(9)
  expect([...seen].every(error => error >= malformed && error < 134)).toBe(true)
  expect(run([{ what: numbers('KvmDo.apiVersion') }]).returned).toBe(true)
})
