/** What comes of a call to KVM: what it gave, or which call gave which errno. */
import { errnoName } from '../../probe/result.ts'

/** A call that failed. */
export interface KvmFailure {
  readonly ok: false
  /** As the kernel names it: `KVM_CREATE_VM`, `open`. */
  readonly call: string
  /** `EACCES`; null where there was nobody to call any more: `text` says what became of the process. */
  readonly errno: string | null
  /** Both in words. */
  readonly text: string
}

export interface KvmDone<T> {
  readonly ok: true
  readonly value: T
}

export type KvmAnswer<T> = KvmDone<T> | KvmFailure

export const done = <T>(value: T): KvmDone<T> => ({ ok: true, value })

export const failed = (call: string, errno: number): KvmFailure => {
  const name = errnoName(errno)
  return { ok: false, call, errno: name, text: `${call}: ${name}` }
}

/** A call that nobody answered. */
export const unanswered = (call: string, why: string): KvmFailure => ({
  ok: false,
  call,
  errno: null,
  text: `${call}: ${why}`,
})

/** The same of what an answer has. */
export const mapped = <T, U>(answer: KvmAnswer<T>, map: (value: T) => U): KvmAnswer<U> =>
  answer.ok ? done(map(answer.value)) : answer
