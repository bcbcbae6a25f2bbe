/**
 * A throw-away child that does system calls on itself, one after the other, and tells what each gave: what changes a
 * process for good is never done to Node or to a probe process. native/probe/steps.cc is the child.
 */
import { spawnSync } from 'node:child_process'
import { probePath } from '../../native.ts'
import { errnoName } from '../../probe/result.ts'
import { type AuxVector, parseAuxv32 } from '../auxv/vector.ts'

/** What the child does. `exec` and `exec32` execute a 64-bit and a 32-bit program, which does the steps behind. */
export type Step =
  /** Its auxiliary vector by /proc/self/auxv, or by PR_GET_AUXV. */
  | { readonly step: 'read' | 'get' }
  /** Sets entries of it by PR_SET_MM_MAP, or by PR_SET_MM_AUXV; null leaves none. */
  | { readonly step: 'map' | 'set'; readonly entries: ReadonlyMap<number, bigint> | null }
  /** Drops all capabilities; reads the head of what AT_SYSINFO_EHDR points to; tries RDFSBASE. */
  | { readonly step: 'drop' | 'vdso' | 'rdfsbase' | 'fork' | 'exec' | 'exec32' }
  /** arch_prctl with a number, or with the address of a word. */
  | { readonly step: 'arch'; readonly code: number; readonly argument: bigint | 'word' }

/** What a step gave. `errno` is null where it succeeded. */
export interface StepAnswer {
  readonly step: string
  readonly errno: string | null
  /** Of `read`, `get`, and the 32-bit program's `auxv32`. */
  readonly vector: AuxVector
  /** Of `arch` (the word), `rdfsbase` (1 where it works) and `vdso` (its first four bytes, big-endian). */
  readonly value: bigint
}

export type Answered =
  | { readonly kind: 'answered'; readonly answers: readonly StepAnswer[] }
  /** The child could not be had, or was not let through its steps. */
  | { readonly kind: 'unable'; readonly text: string }
  /** It died of a signal. */
  | { readonly kind: 'died'; readonly signal: string }

export type Ask = (steps: readonly Step[]) => Answered

const hex = (value: bigint | number): string => value.toString(16)

const entriesText = (entries: ReadonlyMap<number, bigint>): string =>
  [...entries].map(([type, value]) => `${hex(type)}=${hex(value)}`).join(',')

const argumentOf = (step: Step, self: string): string => {
  switch (step.step) {
    case 'map':
    case 'set':
      return `${step.step}:${step.entries === null ? '-' : entriesText(step.entries)}`
    case 'arch':
      return `arch:${hex(step.code)}:${step.argument === 'word' ? 'p' : hex(step.argument)}`
    case 'exec':
      return `exec:${self}`
    default:
      return step.step
  }
}

const raw = 'auxv32\n'

const isHex = (text: string): boolean => /^[0-9a-f]{1,16}$/.test(text)

const vectorOf = (words: readonly string[]): AuxVector =>
  new Map(
    words
      .map(word => word.split('='))
      .filter(([type = '', value = '']) => isHex(type) && isHex(value))
      .map(([type, value]) => [Number.parseInt(type as string, 16), BigInt(`0x${value}`)]),
  )

const answerOf = (line: string): StepAnswer => {
  const [step = '', errno = '', ...words] = line.split(' ')
  const number = Number.parseInt(errno, 10)
  const [word = ''] = words
  return {
    step,
    errno: number === 0 ? null : errnoName(number),
    vector: vectorOf(words),
    value: isHex(word.slice(0, 8)) ? BigInt(`0x${step === 'vdso' ? word.slice(0, 8) : word}`) : 0n,
  }
}

/** What the child said, up to the 32-bit program's own vector, which is binary. */
export const parseAnswers = (said: Buffer): StepAnswer[] => {
  const at = said.indexOf(raw)
  const text = (at < 0 ? said : said.subarray(0, at)).toString('latin1')
  const answers = text
    .split('\n')
    .filter(line => line !== '')
    .map(answerOf)
  if (at < 0) return answers
  const vector = parseAuxv32(said.subarray(at + raw.length))
  return [...answers, { step: 'auxv32', errno: null, vector, value: 0n }]
}

const timeoutMs = 10_000

/** Runs a child through its steps. Blocks for the milliseconds that it takes. @throws NativeUnavailableError */
export const askChild: Ask = steps => {
  const path = probePath()
  const done = spawnSync(path, ['steps', ...steps.map(step => argumentOf(step, path))], {
    env: {},
    stdio: ['ignore', 'pipe', 'ignore'],
    timeout: timeoutMs,
    killSignal: 'SIGKILL',
    maxBuffer: 1 << 16,
  })
  if (done.error !== undefined) return { kind: 'unable', text: `the child: ${done.error.message}` }
  // A seccomp filter's answer is none of the kernel's.
  if (done.signal === 'SIGSYS') return { kind: 'unable', text: 'a seccomp filter ended the child' }
  if (done.signal !== null) return { kind: 'died', signal: done.signal }
  if (done.status !== 0) return { kind: 'unable', text: `the child ended with ${done.status}` }
  return { kind: 'answered', answers: parseAnswers(done.stdout) }
}
