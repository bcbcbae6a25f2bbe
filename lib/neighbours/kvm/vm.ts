/** A virtual machine: no memory, nothing runs; its CPUs are all that there is of it. */
import { checkInteger } from '../../errors.ts'
import { done, failed, type KvmAnswer, mapped } from './answer.ts'
import { kvmCalls } from './constants.ts'
import type { Holder } from './holder.ts'
import { leastXsave } from './process.ts'
import { KvmVcpu } from './vcpu.ts'

/** include/uapi/linux/kvm.h. */
export const capXsave2 = 208

const u32 = 0xffff_ffff
/** ENOBUFS: the state is larger than this CPU's leaf 0xD says that one can be. */
const enobufs = 105

export class KvmVm {
  readonly #holder: Holder
  readonly #vcpus = new Set<WeakRef<KvmVcpu>>()
  #nextId = 0

  /** Use `createVm`. */
  constructor(holder: Holder) {
    this.#holder = holder
  }

  /** KVM_CHECK_EXTENSION. 0: there is no such thing. */
  checkExtension(extension: number): KvmAnswer<number> {
    checkInteger('extension', extension, 0, u32)
    return mapped(this.#holder.ask({ what: 'checkExtension', argument: extension }), told => told.result)
  }

  /** KVM_CREATE_VCPU. @param id the next one, if left out */
  createVcpu(id: number = this.#nextId): KvmAnswer<KvmVcpu> {
    checkInteger('id', id, 0, u32)
    const size = this.checkExtension(capXsave2)
    if (!size.ok) return size
    const bytes = Math.max(size.value, leastXsave)
    if (bytes > this.#holder.process.mostXsave) return failed(kvmCalls.createVcpu, enobufs)
    const made = this.#holder.make({ what: 'createVcpu', argument: id })
    if (!made.ok) return made
    this.#nextId = Math.max(this.#nextId, id + 1)
    const vcpu = new KvmVcpu(made.value, bytes)
    this.#vcpus.add(new WeakRef(vcpu))
    return done(vcpu)
  }

  /** Closes it and its CPUs, which would keep it alive. Twice is no error. */
  close(): void {
    for (const vcpu of this.#vcpus) vcpu.deref()?.close()
    this.#vcpus.clear()
    this.#holder.close()
  }
}
