/** The door to KVM: what can be asked, what hostile callers come to, and what is left behind. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { afterEach, beforeEach, describe, expect, it, type TestContext } from 'vitest'
import { runSelftests } from '../../lib/harness/run.ts'
import type { TrialCase } from '../../lib/harness/selftest.ts'
import type { KvmAnswer, KvmFailure } from '../../lib/neighbours/kvm/answer.ts'
import {
  type CpuidEntry,
  decodeEntries,
  emptyList,
  encodeEntries,
  featuresOfCpuid,
  withFeatures,
} from '../../lib/neighbours/kvm/cpuid.ts'
import type { KvmDoor } from '../../lib/neighbours/kvm/door.ts'
import { type KvmOptions, kvmAdvice, openKvm } from '../../lib/neighbours/kvm/open.ts'
import { PreparedXsave } from '../../lib/neighbours/kvm/process.ts'
import type { KvmVcpu } from '../../lib/neighbours/kvm/vcpu.ts'
import type { KvmVm } from '../../lib/neighbours/kvm/vm.ts'
import { openSync } from '../../lib/probe/session.ts'
import kvmXsave from '../../selftests/kvm_xsave.ts'
import { descriptorsOf, isOver, probesOf } from '../probe/procfs.ts'
import { eventually, needsProbes } from '../probe/support.ts'
import { hostileValues, revokedProxy } from '../xstate/arbitrary.ts'

beforeEach(needsProbes)

const doors: KvmDoor[] = []
afterEach(async () => {
  for (const door of doors.splice(0)) await door.close()
})

const value = <T>(answer: KvmAnswer<T>): T => {
  if (!answer.ok) throw new Error(answer.text)
  return answer.value
}

const failure = (answer: KvmAnswer<unknown>): KvmFailure => {
  if (answer.ok) throw new Error('it went well')
  return answer
}

const enter = (ctx: TestContext, options?: KvmOptions): KvmDoor => {
  const opened = openKvm(options)
  if (!opened.ok) return ctx.skip(`there is no KVM here (${opened.text}): ${kvmAdvice(opened)}`)
  doors.push(opened.value)
  return opened.value
}

interface All {
  readonly door: KvmDoor
  readonly vm: KvmVm
  readonly vcpu: KvmVcpu
}

const machine = (ctx: TestContext): All => {
  const door = enter(ctx)
  const vm = door.createVm()
  if (!vm.ok) return ctx.skip(vm.text)
  const vcpu = vm.value.createVcpu()
  if (!vcpu.ok) return ctx.skip(vcpu.text)
  return { door, vm: vm.value, vcpu: vcpu.value }
}

/** A state with XMM0 and MXCSR. */
const stateOf = ({ xsaveBytes }: KvmVcpu, seed: number): Uint8Array => {
  const bytes = new Uint8Array(xsaveBytes)
  new DataView(bytes.buffer).setUint32(24, 0x1f80, true)
  bytes.fill(seed, 160, 176)
  bytes[512] = 2
  return bytes
}

describe('a virtual CPU', () => {
  it('gives back what it was set, by either call', ctx => {
    const { vcpu } = machine(ctx)
    for (const seed of [1, 2]) {
      expect(vcpu.setXsave(stateOf(vcpu, seed))).toEqual({ ok: true, value: undefined })
      const read = value(vcpu.xsaveBytes > 4096 ? vcpu.getXsave2() : vcpu.getXsave())
      expect(read.subarray(160, 176)).toEqual(new Uint8Array(16).fill(seed))
      expect(read.length).toBe(vcpu.xsaveBytes)
    }
  })

  it('has what was read as a copy', ctx => {
    const { vcpu } = machine(ctx)
    value(vcpu.setXsave(stateOf(vcpu, 1)))
    const read = value(vcpu.getXsave2())
    value(vcpu.setXsave(stateOf(vcpu, 2)))
    value(vcpu.getXsave2())
    expect(read[160]).toBe(1)
  })

  it('says which call gave which errno', ctx => {
    const { vcpu } = machine(ctx)
    const bad = stateOf(vcpu, 1)
    bad[520] = 1
    expect(failure(vcpu.setXsave(bad))).toEqual({
      ok: false,
      call: 'KVM_SET_XSAVE',
      errno: 'EINVAL',
      text: 'KVM_SET_XSAVE: EINVAL',
    })
  })

  it('is set and read many times at once, more than one chunk takes, each in its turn', ctx => {
    const { vcpu } = machine(ctx)
    const states = Array.from({ length: 300 }, (_, i) => stateOf(vcpu, 1 + (i % 250)))
    const bad = stateOf(vcpu, 1)
    bad[528] = 1
    states[77] = bad
    const seen: string[] = []
    expect(
      vcpu.roundTrips(states, ({ ok, setError, getError, bytes }, i) =>
        seen.push(`${i} ${ok} ${setError} ${getError} ${bytes[160]}`),
      ).ok,
    ).toBe(true)
    expect(seen).toEqual(
      states.map((state, i) => (i === 77 ? '77 false 22 0 77' : `${i} true 0 0 ${state[160]}`)),
    )
  })

  it('takes states that were prepared, which are what they were then', ctx => {
    const { vcpu } = machine(ctx)
    const bytes = stateOf(vcpu, 3)
    const one = vcpu.prepareXsave(bytes)
    const two = vcpu.prepareXsave(stateOf(vcpu, 4))
    bytes.fill(0xff)
    const seen: number[] = []
    for (const states of [[one, one, two, one], [two, one], [one]])
      value(vcpu.roundTrips(states, trip => seen.push(trip.bytes[160] as number)))
    expect(seen).toEqual([3, 3, 4, 3, 4, 3, 3])
    // What other calls have put in the place of one is not taken for it.
    value(vcpu.setXsave(two))
    value(vcpu.getXcr0())
    value(vcpu.roundTrips([one], trip => seen.push(trip.bytes[160] as number)))
    expect(seen.at(-1)).toBe(3)
    value(vcpu.setXsave(two))
    value(vcpu.roundTrips([one], trip => seen.push(trip.bytes[160] as number)))
    expect(seen.at(-1)).toBe(3)
  })

  it('lends what was read to its visitor alone', ctx => {
    const { vcpu, door } = machine(ctx)
    const one = vcpu.prepareXsave(stateOf(vcpu, 3))
    const message = 'states of this KVM door are being visited: their visitor cannot call it'
    for (const call of [
      () => vcpu.getXsave(),
      () => vcpu.roundTrips([one], () => undefined),
      () => door.createVm(),
    ])
      expect(() => vcpu.roundTrips([one], call)).toThrow(message)
    const thrown = new Error('of the visitor')
    expect(() =>
      vcpu.roundTrips([one, one], () => {
        throw thrown
      }),
    ).toThrow(thrown)
    expect(vcpu.getXsave2().ok).toBe(true)
  })

  it('whose visitor closes the door has no more to visit', ctx => {
    const { vcpu, door } = machine(ctx)
    const one = vcpu.prepareXsave(stateOf(vcpu, 3))
    let visits = 0
    const answer = vcpu.roundTrips([one, one, one], () => {
      visits += 1
      door.closeSync()
    })
    expect(visits).toBe(1)
    expect(failure(answer)).toMatchObject({ errno: null, text: 'KVM_SET_XSAVE: the KVM door is closed' })
  })

  it('has a plain loop, and one that fails says so', ctx => {
    const { vcpu } = machine(ctx)
    expect(value(vcpu.plainLoop(stateOf(vcpu, 1), 100))).toBeGreaterThan(0)
    const bad = stateOf(vcpu, 1)
    bad[520] = 1
    expect(failure(vcpu.plainLoop(bad, 100)).errno).toBe('EINVAL')
  })

  it('reads and writes its buffer whole, and nothing behind it', ctx => {
    const { vcpu } = machine(ctx)
    expect(value(vcpu.bytesWritten('getXsave2'))).toBe(vcpu.xsaveBytes)
    for (const what of ['getXsave2', 'setXsave'] as const) {
      for (const room of [0, 1, 4095, vcpu.xsaveBytes - 1])
        expect(failure(vcpu.atGuard(what, room)).errno, `${what} ${room}`).toBe('EFAULT')
      expect(vcpu.atGuard(what, vcpu.xsaveBytes).ok).toBe(true)
    }
  })

  it('has registers beside its state', ctx => {
    const { vcpu, door } = machine(ctx)
    value(vcpu.setCpuid2(value(door.getSupportedCpuid())))
    value(vcpu.setXcr0(3n))
    expect(value(vcpu.getXcr0())).toBe(3n)
    expect(failure(vcpu.setXcr0(1n << 62n))).toMatchObject({ call: 'KVM_SET_XCRS', errno: 'EINVAL' })
    // IA32_EFER, which every CPU has; and one that none has.
    expect(value(vcpu.setMsr(0xc000_0080, 0n))).toBe(true)
    expect(value(vcpu.getMsr(0xc000_0080))).toBe(0n)
    expect(value(vcpu.getMsr(0xdead_beef))).toBeNull()
  })
})

describe('what guests are told', () => {
  const entry: CpuidEntry = { function: 0xd, index: 0, flags: 1, eax: 7, ebx: 576, ecx: 832, edx: 1 }

  it('is encoded as the kernel has it, and decoded', () => {
    const bytes = encodeEntries([entry, { ...entry, function: 7 }])
    expect(bytes.length).toBe(8 + 2 * 40)
    expect(decodeEntries(bytes)).toEqual([entry, { ...entry, function: 7 }])
    expect(featuresOfCpuid([entry])).toBe((1n << 32n) | 7n)
    expect(featuresOfCpuid(withFeatures([entry], (5n << 32n) | 3n))).toBe((5n << 32n) | 3n)
  })

  it('is as many entries as there was room for, whatever the kernel says', () => {
    const bytes = emptyList(2)
    new DataView(bytes.buffer).setUint32(0, 0xffff_ffff, true)
    expect(decodeEntries(bytes).length).toBe(2)
  })

  it('is refused where it is none', () => {
    for (const entries of [
      ...hostileValues,
      revokedProxy(),
      [null],
      new Array(3),
      [[]],
      [{}],
      [{ ...entry, eax: -1 }],
    ])
      expect(() => encodeEntries(entries as never)).toThrow()
    expect(() => encodeEntries(new Array(257).fill(entry))).toThrow(
      'entries.length is 257, must be in 0..256',
    )
    expect(() => encodeEntries([entry, { ...entry, ecx: 2 ** 32 }])).toThrow(
      'entries[1].ecx is 4294967296, must be in 0..4294967295',
    )
  })

  it('is what KVM offers, with x87 and SSE at least', ctx => {
    const offered = value(enter(ctx).getSupportedCpuid())
    expect(featuresOfCpuid(offered) & 3n).toBe(3n)
    expect(offered.length).toBeGreaterThan(5)
  })
})

describe('hostile arguments', () => {
  it('of states', ctx => {
    const { vcpu } = machine(ctx)
    const { xsaveBytes } = vcpu
    for (const bytes of [
      ...hostileValues,
      revokedProxy(),
      new Uint16Array(xsaveBytes),
      new ArrayBuffer(xsaveBytes),
    ]) {
      expect(() => vcpu.setXsave(bytes as never)).toThrow(TypeError)
      expect(() => vcpu.prepareXsave(bytes as never)).toThrow(TypeError)
      expect(() => vcpu.roundTrips([bytes as never], () => undefined)).toThrow(TypeError)
      expect(() => vcpu.plainLoop(bytes as never, 1)).toThrow(TypeError)
      expect(() => vcpu.roundTrips(bytes as never, () => undefined)).toThrow(TypeError)
    }
    for (const length of [0, 1, 512, 4095, xsaveBytes - 1, xsaveBytes + 1, 2 ** 20]) {
      expect(() => vcpu.setXsave(new Uint8Array(length))).toThrow(
        `bytes.length is ${length}, must be ${xsaveBytes}, what KVM_SET_XSAVE reads`,
      )
    }
    const lying = Object.defineProperty(new Uint8Array(1), 'length', { value: xsaveBytes })
    Object.defineProperty(lying, 'byteLength', { value: xsaveBytes })
    expect(() => vcpu.setXsave(lying)).toThrow(RangeError)
    expect(() => vcpu.setXsave(new PreparedXsave(new Uint8Array(5)))).toThrow(RangeError)
    expect(() => vcpu.setXsave(new PreparedXsave('x'.repeat(xsaveBytes) as never))).toThrow(TypeError)
    expect(() => vcpu.roundTrips(new Array(3), () => undefined)).toThrow(TypeError)
    expect(() => vcpu.roundTrips([], 5 as never)).toThrow(TypeError)
    const iterated = stateOf(vcpu, 9)
    Object.defineProperty(iterated, Symbol.iterator, { value: () => [][Symbol.iterator]() })
    value(vcpu.setXsave(iterated))
    expect(value(vcpu.getXsave2())[160]).toBe(9)
  })

  it('of numbers', ctx => {
    const { vcpu, vm, door } = machine(ctx)
    for (const number of [...hostileValues, revokedProxy(), -1, 2 ** 32, 2 ** 53, 0.5, '0']) {
      if (number === undefined) continue
      if (!Object.is(number, -0)) {
        expect(() => vm.checkExtension(number as never)).toThrow(/extension (must be|is)/)
        expect(() => door.checkExtension(number as never)).toThrow(/extension (must be|is)/)
        expect(() => vm.createVcpu(number as never)).toThrow(/id (must be|is)/)
        expect(() => vcpu.setMsr(number as never, 0n)).toThrow(/index (must be|is)/)
        expect(() => vcpu.getMsr(number as never)).toThrow(/index (must be|is)/)
        expect(() => vcpu.atGuard('getXsave', number as never)).toThrow(/room (must be|is)/)
      }
      expect(() => vcpu.plainLoop(stateOf(vcpu, 1), number as never)).toThrow(/count (must be|is)/)
      expect(() => vcpu.setMsr(0, number as never)).toThrow(/value (must be|is)/)
      expect(() => vcpu.setXcr0(number as never)).toThrow(/value (must be|is)/)
      expect(() => vcpu.bytesWritten(number as never)).toThrow(/what is/)
      expect(() => vcpu.atGuard(number as never, 0)).toThrow(/what is/)
      expect(() => door.requestGuestPermission(number as never)).toThrow(/component (must be|is)/)
    }
    expect(failure(vm.createVcpu(0)).errno).toBe('EEXIST')
    expect(failure(vm.createVcpu(2 ** 32 - 1)).errno).toBe('EINVAL')
    expect(value(vm.checkExtension(2 ** 32 - 1))).toBe(0)
  })

  it('of options', () => {
    for (const options of [
      null,
      5,
      [],
      { path: 5 },
      { path: '' },
      { path: 'a\0b' },
      { timeoutMs: 0 },
      { device: '' },
    ])
      expect(() => openKvm(options as never)).toThrow(/options/)
    expect(() => openKvm({ path: 'x'.repeat(4096) })).toThrow(
      'options.path.length is 4096, must be in 1..4095',
    )
    expect(failure(openKvm({ path: 'x'.repeat(4095) })).errno).toBe('ENAMETOOLONG')
  })
})

describe('a device that is none', () => {
  it.each([
    ['/dev/null', 'KVM_GET_API_VERSION', 'ENOTTY'],
    ['/etc/passwd', 'KVM_GET_API_VERSION', 'ENOTTY'],
    ['/nowhere/kvm', 'open', 'ENOENT'],
    ['/tmp', 'open', 'EISDIR'],
    // Not even root may write it.
    ['/sys/kernel/uevent_seqnum', 'open', 'EACCES'],
  ])('%s', (path, call, errno) => {
    const answer = failure(openKvm({ path }))
    if (path === '/etc/passwd' && answer.errno === 'EACCES') return
    expect(answer).toMatchObject({ call, errno, text: `${call}: ${errno}` })
    if (path !== '/tmp') expect(kvmAdvice(answer, path)).not.toBe('')
  })

  it('without rights says whom to ask', () => {
    const denied = { ok: false, call: 'open', errno: 'EACCES', text: '' } as const
    expect(kvmAdvice(denied)).toMatch(/^add yourself to the group kvm/)
    expect(kvmAdvice({ ...denied, errno: 'EPERM' })).toMatch(/^add yourself to the group kvm/)
    expect(kvmAdvice({ ...denied, errno: 'ENOENT' })).toMatch(/^load kvm_intel or kvm_amd/)
    expect(kvmAdvice({ ...denied, errno: 'ENXIO' })).toMatch(/^load kvm_intel or kvm_amd/)
    expect(kvmAdvice({ ...denied, errno: 'EMFILE' })).toBe('')
  })

  it('leaves no process behind', () => {
    for (let i = 0; i < 5; i++) failure(openKvm({ path: '/dev/null' }))
    expect(probesOf(process.pid)).toEqual([])
  })

  it('has every selftest of it skipped, with the reason', async () => {
    const before = process.env.SIGFRAME_KVM
    process.env.SIGFRAME_KVM = '/sys/kernel/uevent_seqnum'
    try {
      const { cases } = await runSelftests({
        select: ['kvm_xsave', 'kvm_xstate'],
        require: null,
        baseline: null,
      })
      expect(cases.length).toBeGreaterThan(20)
      expect([...new Set(cases.map(({ verdict }) => verdict))]).toEqual(['skip'])
      const reasons = cases.filter(({ selftest }) => selftest === 'kvm_xsave').map(({ reason }) => reason)
      expect(reasons).toContain(
        'there is no KVM here (open: EACCES): add yourself to the group kvm (sudo usermod -aG kvm "$USER", then log in anew), or give it to the container (--device /dev/kvm)',
      )
    } finally {
      if (before === undefined) delete process.env.SIGFRAME_KVM
      else process.env.SIGFRAME_KVM = before
    }
  })
})

describe('what is held', () => {
  const own = (): string[] =>
    [...descriptorsOf('self')!.values()].filter(what => !/^socket:|^\/proc/.test(what)).sort()

  const held = (ctx: TestContext, { pid }: KvmDoor): string[] => {
    const found = descriptorsOf(pid)
    if (found === undefined)
      return ctx.skip('reading another process’s descriptors needs more rights than this user has')
    return [...found.values()].filter(what => what !== '/dev/null').sort()
  }

  it('is in the process of the door, and nothing of it in Node', ctx => {
    const before = own()
    const { door, vm, vcpu } = machine(ctx)
    expect(own().filter(what => /kvm/.test(what))).toEqual([])
    expect(own().length - before.length).toBeLessThanOrEqual(2)
    expect(held(ctx, door)).toEqual(['/dev/kvm', 'anon_inode:kvm-vcpu:0', 'anon_inode:kvm-vm'])
    value(vm.createVcpu())
    expect(held(ctx, door)).toContain('anon_inode:kvm-vcpu:1')
    vcpu.close()
    vcpu.close()
    expect(held(ctx, door)).toEqual(['/dev/kvm', 'anon_inode:kvm-vcpu:1', 'anon_inode:kvm-vm'])
    vm.close()
    vm.close()
    expect(held(ctx, door)).toEqual(['/dev/kvm'])
  })

  it('is gone with the door, as often as it was opened', async ctx => {
    await machine(ctx).door.close()
    const before = own()
    for (let i = 0; i < 20; i++) {
      const { door } = machine(ctx)
      const { pid } = door
      if (i % 2 === 0) await door.close()
      else door.closeSync()
      expect(isOver(pid)).toBe(true)
    }
    expect(own()).toEqual(before)
    expect(probesOf(process.pid)).toEqual([])
  })

  it('is closed once nobody can reach it', async ctx => {
    setFlagsFromString('--expose-gc')
    const collect = runInNewContext('gc') as () => void
    const { door } = machine(ctx)
    const drop = (): void => {
      value(value(door.createVm()).createVcpu())
    }
    held(ctx, door)
    drop()
    const done = await eventually(() => {
      collect()
      // What was dropped is closed as the next descriptor is asked for.
      const probe = value(door.createVm())
      probe.close()
      return held(ctx, door).length <= 1
    }, 3000)
    expect(done).toBe(true)
  })

  it('ends with a door that nobody can reach', async ctx => {
    setFlagsFromString('--expose-gc')
    const collect = runInNewContext('gc') as () => void
    enter(ctx)
    const drop = (): number => value(value(openKvm()).createVm()) && (probesOf(process.pid).at(-1) as number)
    const pid = drop()
    const gone = await eventually(() => {
      collect()
      return isOver(pid)
    }, 3000)
    expect(gone).toBe(true)
  })

  it('is closed with the session that had it opened for its cases', async ctx => {
    enter(ctx)
    const before = probesOf(process.pid).length
    const probe = openSync()
    const { layout, limits, cpu } = probe
    const context = { layout, expected: layout, limits, cpu, abi: 'x86_64', components: [], seed: 1 } as const
    const fresh = kvmXsave.cases.fresh as TrialCase
    expect(fresh.trial(probe, context)).toMatchObject({ observed: 'as-stated' })
    expect(probesOf(process.pid).length).toBe(before + 2)
    await probe.close()
    expect(probesOf(process.pid).length).toBe(before)
  })

  it('is no more than there is room for', ctx => {
    const { vm } = machine(ctx)
    // What fails takes no room.
    for (let i = 0; i < 300; i++) failure(vm.createVcpu(0))
    const made: KvmVcpu[] = []
    let last: KvmAnswer<KvmVcpu> = vm.createVcpu()
    while (last.ok && made.length < 300) {
      made.push(last.value)
      last = vm.createVcpu()
    }
    expect(made.length).toBeLessThan(128)
    expect(failure(last)).toMatchObject({ call: 'KVM_CREATE_VCPU' })
    made[0]!.close()
    if (failure(last).errno === 'EMFILE') expect(vm.createVcpu().ok).toBe(true)
  })
})

describe('what is closed', () => {
  it('is EBADF, also where its number is another’s by now', async ctx => {
    const { door, vm, vcpu } = machine(ctx)
    vcpu.close()
    const next = value(vm.createVcpu())
    expect(failure(vcpu.getXsave())).toEqual({
      ok: false,
      call: 'KVM_GET_XSAVE',
      errno: 'EBADF',
      text: 'KVM_GET_XSAVE: EBADF',
    })
    expect(failure(vcpu.setXsave(stateOf(vcpu, 1))).errno).toBe('EBADF')
    expect(failure(vcpu.roundTrips([stateOf(vcpu, 1)], () => undefined)).errno).toBe('EBADF')
    expect(next.getXsave2().ok).toBe(true)
    vm.close()
    expect(failure(next.getXsave2()).errno).toBe('EBADF')
    expect(failure(vm.createVcpu()).errno).toBe('EBADF')
    await door.close()
    await door.close()
    for (const answer of [
      door.createVm(),
      door.getSupportedCpuid(),
      door.guestSupported(),
      door.permissions(),
    ])
      expect(failure(answer)).toMatchObject({
        errno: null,
        text: expect.stringMatching(/: the KVM door is closed$/),
      })
    expect(failure(vcpu.getXsave()).errno).toBe('EBADF')
    vm.close()
    vcpu.close()
  })
})

describe('a process that is lost', () => {
  it('is told with the call, and nothing of it is left', ctx => {
    const { door, vcpu } = machine(ctx)
    process.kill(door.pid, 'SIGKILL')
    const lost = failure(vcpu.getXsave())
    expect(lost).toMatchObject({
      errno: null,
      text: 'KVM_GET_XSAVE: the process of this door ended by SIGKILL',
    })
    expect(isOver(door.pid)).toBe(true)
    for (const answer of [
      vcpu.bytesWritten('getXsave'),
      vcpu.atGuard('setXsave', 5),
      door.createVm(),
      vcpu.getXsave2(),
    ])
      expect(failure(answer).text).toMatch(/the process of this door ended by SIGKILL/)
  })

  it('that hangs is ended', ctx => {
    const door = enter(ctx, { timeoutMs: 50 })
    process.kill(door.pid, 'SIGSTOP')
    expect(failure(door.createVm())).toMatchObject({
      errno: null,
      text: 'KVM_CREATE_VM: no answer within 50 ms',
    })
    expect(isOver(door.pid)).toBe(true)
  })
})

describe('permissions', () => {
  it('are those of the door’s process, and die with it', async ctx => {
    const door = enter(ctx)
    const before = door.guestPermissions()
    if (!before.ok) return ctx.skip(before.text)
    const asked = door.requestGuestPermission('xtiledata')
    if (!asked.ok) {
      expect(asked).toMatchObject({ call: 'ARCH_REQ_XCOMP_GUEST_PERM', errno: 'EOPNOTSUPP' })
      return ctx.skip('this host has no component that takes a permission')
    }
    expect(value(door.guestPermissions())).toBe(value(before) | (1n << 18n))
    expect(value(door.permissions()) & (1n << 18n)).toBe(0n)
    expect(value(enter(ctx).guestPermissions())).toBe(value(before))
  })

  it('are refused for what takes none', ctx => {
    const door = enter(ctx)
    expect(failure(door.requestGuestPermission('cet_u')).errno).toBe('EOPNOTSUPP')
    expect(failure(door.requestGuestPermission('component_63')).errno).toBe('EINVAL')
  })
})

describe('a file', () => {
  let folder: string
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'sigframe-kvm-'))
  })
  afterEach(() => rmSync(folder, { recursive: true, force: true }))

  it('is neither changed nor made', () => {
    const path = join(folder, 'file')
    expect(failure(openKvm({ path })).errno).toBe('ENOENT')
    writeFileSync(path, 'content')
    expect(failure(openKvm({ path })).errno).toBe('ENOTTY')
  })
})
