/** Who holds a descriptor in the process, until it is closed, or nobody can reach it any more. */
import { failed, type KvmAnswer, type KvmFailure, unanswered } from './answer.ts'
import { kvmCalls } from './constants.ts'
import type { KvmAsk, KvmProcess, KvmTold, PreparedXsave } from './process.ts'

/** EBADF, include/uapi/asm-generic/errno-base.h. */
const ebadf = 9
/** EMFILE: as many descriptors as there can be. */
const emfile = 24

const forgotten = new FinalizationRegistry<{ readonly process: KvmProcess; readonly slot: number }>(
  ({ process, slot }) => process.abandon(slot),
)

export class Holder {
  readonly process: KvmProcess
  readonly slot: number
  #open = true

  constructor(process: KvmProcess, slot: number) {
    this.process = process
    this.slot = slot
    forgotten.register(this, { process, slot }, this)
  }

  /** A call of this descriptor. One that is closed may be another's by now: it is EBADF, as the kernel would say. */
  ask(one: Omit<KvmAsk, 'slot'>, timeoutMs?: number): KvmAnswer<KvmTold> {
    if (!this.#open) return failed(kvmCalls[one.what], ebadf)
    return this.process.askAll([{ ...one, slot: this.slot }], timeoutMs)[0] as KvmAnswer<KvmTold>
  }

  /** Sets states and reads them back, each of which may fail. @returns what made all of them fail, or null */
  runTrips(room: number, states: readonly PreparedXsave[]): KvmFailure | null {
    if (!this.#open) return failed(kvmCalls.setXsave, ebadf)
    const lost = this.process.runTrips(this.slot, room, states)
    return lost === null ? null : unanswered(kvmCalls.setXsave, lost)
  }

  /** A descriptor that a call of this one makes. */
  make(ask: Omit<KvmAsk, 'slot' | 'into'>): KvmAnswer<Holder> {
    const into = this.process.takeSlot()
    if (into === null) return failed(kvmCalls[ask.what], emfile)
    const answer = this.ask({ ...ask, into })
    if (answer.ok) return { ok: true, value: new Holder(this.process, into) }
    this.process.forget(into)
    return answer
  }

  close(): void {
    if (!this.#open) return
    this.#open = false
    forgotten.unregister(this)
    this.process.release(this.slot)
  }
}
