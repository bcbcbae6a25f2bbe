/** The device, in a process of its own. */
import { checkInteger } from '../../errors.ts'
import { type ComponentName, componentNamed } from '../../xstate/components.ts'
import { done, type KvmAnswer, mapped } from './answer.ts'
import { type CpuidEntry, decodeEntries, emptyList, mostEntries } from './cpuid.ts'
import type { Holder } from './holder.ts'
import { KvmVm } from './vm.ts'

/** Attribute of group 0, arch/x86/include/uapi/asm/kvm.h. */
const xcompGuestSupp = 0
const u32 = 0xffff_ffff
const closed = 'the KVM door is closed'

export class KvmDoor {
  /** Of the process that holds all of it. */
  readonly pid: number
  readonly #device: Holder

  /** Use `openKvm`. */
  constructor(device: Holder) {
    this.#device = device
    this.pid = device.process.pid
  }

  /** KVM_CHECK_EXTENSION. 0: there is no such thing. */
  checkExtension(extension: number): KvmAnswer<number> {
    checkInteger('extension', extension, 0, u32)
    return mapped(this.#device.ask({ what: 'checkExtension', argument: extension }), told => told.result)
  }

  /** KVM_GET_SUPPORTED_CPUID: what guests of this process can be told that they have. */
  getSupportedCpuid(): KvmAnswer<CpuidEntry[]> {
    const { process } = this.#device
    const list = process.placeList(emptyList(mostEntries))
    return mapped(this.#device.ask({ what: 'supportedCpuid', ...list }), () =>
      decodeEntries(process.readList(list.room)),
    )
  }

  /** KVM_X86_XCOMP_GUEST_SUPP: the components that KVM has for guests, also those that need a permission. */
  guestSupported(): KvmAnswer<bigint> {
    const ask = { what: 'getAttribute', argument: xcompGuestSupp } as const
    return mapped(this.#device.ask(ask), told => told.value)
  }

  /** ARCH_GET_XCOMP_PERM of the process: its own components. */
  permissions(): KvmAnswer<bigint> {
    return mapped(this.#device.ask({ what: 'getPermissions' }), told => told.value)
  }

  /** ARCH_GET_XCOMP_GUEST_PERM: those that its guests may have. */
  guestPermissions(): KvmAnswer<bigint> {
    return mapped(this.#device.ask({ what: 'getGuestPermissions' }), told => told.value)
  }

  /**
   * ARCH_REQ_XCOMP_GUEST_PERM, for this process alone: it cannot be given back. EBUSY once it had a virtual CPU.
   * @throws TypeError, RangeError for what is no component
   */
  requestGuestPermission(component: ComponentName): KvmAnswer<void> {
    const { index } = componentNamed(component)
    return mapped(this.#device.ask({ what: 'requestGuestPermission', argument: index }), () => undefined)
  }

  /** KVM_CREATE_VM. */
  createVm(): KvmAnswer<KvmVm> {
    const made = this.#device.make({ what: 'createVm' })
    return made.ok ? done(new KvmVm(made.value)) : made
  }

  /** Ends the process, and with it everything that it holds. Twice is no error; other calls fail then. */
  async close(): Promise<void> {
    await this.#device.process.endAsync(closed)
  }

  /** The same, waiting for the end of the process. */
  closeSync(): void {
    this.#device.process.end(closed)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}
