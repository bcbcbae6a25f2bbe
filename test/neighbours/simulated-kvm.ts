/** A KVM that is simulated, as the kernel's is but for what a slip says; and one of Linux before 6.6. */
import { done, failed, type KvmAnswer } from '../../lib/neighbours/kvm/answer.ts'
import { type CpuidEntry, encodeEntries, featuresOfCpuid } from '../../lib/neighbours/kvm/cpuid.ts'
import type { KvmDoor } from '../../lib/neighbours/kvm/door.ts'
import type { KvmVcpu } from '../../lib/neighbours/kvm/vcpu.ts'
import type { KvmVm } from '../../lib/neighbours/kvm/vm.ts'
import { type ComponentName, componentNamed, maskOf } from '../../lib/xstate/components.ts'
import { type HostCpu, hostLayout } from '../../lib/xstate/host.ts'
import type { Layout } from '../../lib/xstate/layout.ts'

export const slips = [
  'the size forgets a component',
  'the size is another one of the device',
  'CPUID offers another size',
  'the attribute has more than the host',
  'CPUID offers what is not permitted',
  'a byte is written behind the state',
  'too little is written',
  'short buffers are taken',
  'short buffers are EINVAL',
  'KVM_GET_XSAVE cuts large states',
  'the sw bytes have a magic',
  'the sw bytes have the guest’s features',
  'the sw bytes are kept',
  'a fresh state has registers of another',
  'a fresh state has MXCSR 0',
  'AVX is lost',
  'MXCSR is lost',
  'PKRU is lost',
  'KVM_GET_XSAVE2 reads something else',
  'what is left out is kept',
  'CPUID does not limit',
  'bytes beyond CPUID are read',
  'what CPUID hides is lost',
  'all is read before CPUID',
  'nothing beyond CPUID can be set',
  'unsupported bits are taken',
  'what is refused changes the state',
  'refusals are EFAULT',
  'supervisor bits are taken',
  'CET is in XSTATE_BV',
  'CET comes out',
  'CET is put to init',
  'compacted images are taken',
  'the last reserved byte is not looked at',
  'reserved MXCSR is taken',
  'reserved MXCSR is taken with AVX alone',
  'unused MXCSR is looked at',
  'unused MXCSR is kept',
  'late permissions are given',
  'late permissions are refused and given',
  'permissions for guests are the process’s too',
  'permissions have no effect',
  'tiles are told without a permission',
  'tiles are set without a permission',
] as const
export type KvmSlip = (typeof slips)[number]

export interface KvmMachine {
  readonly cpu: HostCpu
  /** What this KVM has for guests. */
  readonly supported: bigint
  readonly cet?: boolean
  /** Before Linux 6.6. */
  readonly old?: boolean
  /** Every guest has all of it, whatever its CPUID says. */
  readonly stacked?: boolean
  readonly slip?: KvmSlip
}

const einval = 22
const efault = 14
const tileData = maskOf(['xtiledata'])
const tiles = maskOf(['xtilecfg', 'xtiledata'])
const supervisor = maskOf(['pt', 'pasid', 'cet_u', 'cet_s', 'hdc', 'uintr', 'lbr', 'hwp'])
const legacy = 3n
const withMxcsr = 7n
const initMxcsr = 0x1f80

interface Process {
  readonly machine: KvmMachine
  own: bigint
  guests: bigint
  locked: boolean
}

const has = ({ machine }: Process, slip: KvmSlip): boolean => machine.slip === slip

const permitted = (process: Process): bigint => {
  const mask = process.machine.supported & process.guests
  return (mask & tileData) === 0n ? mask & ~tiles : mask
}

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)

const simulatedVcpu = (process: Process, xsaveBytes: number): KvmVcpu => {
  const { machine } = process
  const { cpu, supported, old = false, stacked = false } = machine
  const whole: Layout = hostLayout(cpu, cpu.xcr0)
  const takes =
    (permitted(process) | (supported & tiles & ~tileData)) & ~(process.guests & tileData ? 0n : tileData)
  let told: bigint | null = null
  let header = 0n
  let mxcsr = has(process, 'a fresh state has MXCSR 0') ? 0 : initMxcsr
  const state = new Uint8Array(whole.size)
  const msrs = new Map<number, bigint>()
  let xcr0 = 1n

  const limit = (): bigint => {
    if (told === null) return old || has(process, 'all is read before CPUID') ? supported : legacy
    return stacked || has(process, 'CPUID does not limit') ? supported : told | legacy
  }

  const refusal = (bytes: Uint8Array): number => {
    const view = viewOf(bytes)
    const bv = view.getBigUint64(512, true)
    const bad = bv & ~supported
    const takesTiles = has(process, 'tiles are set without a permission') ? supported | takes : takes
    if ((bad & supervisor) !== 0n && !has(process, 'supervisor bits are taken')) return einval
    if ((bad & ~supervisor) !== 0n && !has(process, 'unsupported bits are taken')) return einval
    if ((bv & supported & ~takesTiles) !== 0n) return einval
    if (
      (old || has(process, 'nothing beyond CPUID can be set')) &&
      told !== null &&
      (bv & ~(told | legacy)) !== 0n
    )
      return einval
    if (view.getBigUint64(520, true) !== 0n && !has(process, 'compacted images are taken')) return einval
    const last = has(process, 'the last reserved byte is not looked at') ? 575 : 576
    for (let i = 528; i < last; i++) if (bytes[i] !== 0) return einval
    const looked = has(process, 'unused MXCSR is looked at') || (bv & withMxcsr) !== 0n
    const excused =
      has(process, 'reserved MXCSR is taken') ||
      (has(process, 'reserved MXCSR is taken with AVX alone') && (bv & withMxcsr) === 4n)
    if (looked && !excused && (view.getUint32(24, true) & ~cpu.mxcsrMask) !== 0) return einval
    return 0
  }

  const take = (bytes: Uint8Array): void => {
    const bv = viewOf(bytes).getBigUint64(512, true) & whole.features
    if ((bv & withMxcsr) !== 0n || has(process, 'unused MXCSR is kept'))
      mxcsr = viewOf(bytes).getUint32(24, true)
    if (has(process, 'the sw bytes are kept')) state.set(bytes.subarray(464, 512), 464)
    for (const { name, mask, ranges, end } of whole.components) {
      if ((bv & mask) === 0n || end > bytes.length) continue
      if (has(process, 'AVX is lost') && name === 'avx') continue
      if (has(process, 'PKRU is lost') && name === 'pkru') continue
      for (const { offset, size } of ranges) state.set(bytes.subarray(offset, offset + size), offset)
    }
    header = has(process, 'what is left out is kept') ? header | bv : bv
    if (has(process, 'CET is put to init')) msrs.clear()
  }

  const give = (): Uint8Array => {
    const bytes = new Uint8Array(xsaveBytes)
    const view = viewOf(bytes)
    const mask = header & limit()
    view.setUint16(0, 0x37f, true)
    view.setUint32(24, initMxcsr, true)
    for (const { mask: bit, ranges, end } of whole.components) {
      const shown = has(process, 'bytes beyond CPUID are read') ? header : mask
      if ((shown & bit) === 0n || end > bytes.length) continue
      for (const { offset, size } of ranges) bytes.set(state.subarray(offset, offset + size), offset)
    }
    const shownMxcsr =
      (mask & withMxcsr) !== 0n || /fresh state has MXCSR|unused MXCSR is kept/.test(machine.slip ?? '')
    if (shownMxcsr && !has(process, 'MXCSR is lost')) view.setUint32(24, mxcsr, true)
    view.setBigUint64(464, has(process, 'the sw bytes have the guest’s features') ? limit() : cpu.xcr0, true)
    if (has(process, 'the sw bytes are kept') && state[470] !== 0) bytes.set(state.subarray(464, 512), 464)
    if (has(process, 'the sw bytes have a magic')) view.setUint32(508, 0x46505853, true)
    if (has(process, 'a fresh state has registers of another') && header === 0n) {
      bytes[160] = 1
      view.setBigUint64(512, 2n, true)
    } else view.setBigUint64(512, mask, true)
    if (msrs.size > 0 && has(process, 'CET is in XSTATE_BV')) view.setBigUint64(512, mask | (1n << 11n), true)
    if (msrs.size > 0 && has(process, 'CET comes out')) bytes[whole.size < 3000 ? 3000 : xsaveBytes - 1] = 1
    return bytes
  }

  const setXsave = (bytes: Uint8Array): KvmAnswer<void> => {
    const errno = refusal(bytes)
    if (errno !== 0 && has(process, 'what is refused changes the state')) mxcsr ^= 0x40
    if (errno !== 0) return failed('KVM_SET_XSAVE', has(process, 'refusals are EFAULT') ? efault : errno)
    take(bytes)
    return done(undefined)
  }

  return {
    xsaveBytes,
    setXsave,
    getXsave: () =>
      xsaveBytes > 4096 && !has(process, 'KVM_GET_XSAVE cuts large states')
        ? failed('KVM_GET_XSAVE', einval)
        : done(give().slice(0, 4096)),
    getXsave2: () => {
      const bytes = give()
      if (has(process, 'KVM_GET_XSAVE2 reads something else')) bytes[200] = (bytes[200] as number) ^ 1
      return done(bytes)
    },
    bytesWritten: (what: string) => {
      const bytes = what === 'getXsave' ? 4096 : xsaveBytes
      if (has(process, 'a byte is written behind the state')) return done(bytes + 1)
      return done(has(process, 'too little is written') ? bytes - 8 : bytes)
    },
    atGuard: (what: string, room: number) => {
      if (room < xsaveBytes && has(process, 'short buffers are EINVAL')) return failed(what, einval)
      if (room < xsaveBytes && !has(process, 'short buffers are taken')) return failed(what, efault)
      return what === 'setXsave' ? setXsave(new Uint8Array(xsaveBytes)) : done(undefined)
    },
    setCpuid2: (entries: readonly CpuidEntry[]) => {
      encodeEntries(entries)
      const features = featuresOfCpuid(entries)
      const beyond = features & tileData & ~process.guests
      if (beyond !== 0n && !has(process, 'tiles are told without a permission'))
        return failed('KVM_SET_CPUID2', 1)
      told = features & supported
      if (has(process, 'what CPUID hides is lost')) header &= told | legacy
      return done(undefined)
    },
    setXcr0: (value: bigint) => {
      if ((value & ~((stacked ? supported : (told ?? 0n)) | 1n)) !== 0n) return failed('KVM_SET_XCRS', einval)
      xcr0 = value
      return done(undefined)
    },
    getXcr0: () => done(xcr0),
    setMsr: (index: number, value: bigint) => done(machine.cet === true && msrs.set(index, value) === msrs),
    getMsr: (index: number) => done(msrs.get(index) ?? (machine.cet === true ? 0n : null)),
    close: () => undefined,
  } as unknown as KvmVcpu
}

const extension = (process: Process, number: number, ofDevice: boolean): KvmAnswer<number> => {
  if (number !== 208) return done(1)
  const { cpu } = process.machine
  let mask = permitted(process) | legacy
  if (has(process, 'the size forgets a component')) mask &= ~(1n << BigInt(mask.toString(2).length - 1))
  const size = Math.max(4096, hostLayout(cpu, mask).size)
  return done(ofDevice && has(process, 'the size is another one of the device') ? size + 64 : size)
}

/** A door to it, as a process that has just been started has one. */
export const simulatedKvm = (machine: KvmMachine): KvmDoor => {
  const { cpu, supported } = machine
  const own = cpu.xcr0 & ~tileData
  const process: Process = { machine, own, guests: own, locked: false }
  const vm = {
    checkExtension: (number: number) => extension(process, number, false),
    createVcpu: () => {
      process.locked = true
      const size = extension(process, 208, false)
      return done(simulatedVcpu(process, size.ok ? size.value : 0))
    },
    close: () => undefined,
  } as unknown as KvmVm
  return {
    pid: 0,
    checkExtension: (number: number) => extension(process, number, true),
    createVm: () => done(vm),
    guestSupported: () =>
      done(has(process, 'the attribute has more than the host') ? supported | (1n << 40n) : supported),
    permissions: () => done(process.own),
    guestPermissions: () => done(process.guests),
    requestGuestPermission: (component: ComponentName) => {
      const { mask } = componentNamed(component)
      const late = process.locked && !has(process, 'late permissions are given')
      if (!late || has(process, 'late permissions are refused and given')) {
        if (!has(process, 'permissions have no effect')) process.guests |= mask
        if (has(process, 'permissions for guests are the process’s too')) process.own |= mask
      }
      return late ? failed('ARCH_REQ_XCOMP_GUEST_PERM', 16) : done(undefined)
    },
    getSupportedCpuid: () => {
      const features = has(process, 'CPUID offers what is not permitted')
        ? supported | (1n << 30n)
        : permitted(process)
      const { size } = hostLayout(cpu, (features & cpu.xcr0) | legacy)
      const ecx = has(process, 'CPUID offers another size') ? size + 8 : size
      const entry = {
        function: 0xd,
        index: 0,
        flags: 1,
        eax: Number(features & 0xffff_ffffn),
        ebx: 576,
        ecx,
        edx: Number(features >> 32n),
      }
      const seven = {
        function: 7,
        index: 0,
        flags: 1,
        eax: 0,
        ebx: 0,
        ecx: machine.cet === true ? 0x80 : 0,
        edx: 0,
      }
      return done([seven, entry])
    },
    close: async () => undefined,
    closeSync: () => undefined,
  } as unknown as KvmDoor
}
