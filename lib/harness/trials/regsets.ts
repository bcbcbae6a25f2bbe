/** What a tracer reads and sets of a stopped task's registers, and what a frame has to do with it. */
import type { RegsetAnswer, RegsetDone } from '../../neighbours/ptrace/answer.ts'
import type { RegsetAsk } from '../../neighbours/ptrace/ask.ts'
import type { CallResult, RegsetCall, SetCall } from '../../neighbours/ptrace/calls.ts'
import type { Probe } from '../../probe/session.ts'
import { diffComponents, sameMxcsr } from '../../xstate/compare.ts'
import type { ComponentName } from '../../xstate/components.ts'
import type { HostCpu } from '../../xstate/host.ts'
import type { XsaveImage } from '../../xstate/image.ts'
import type { Layout } from '../../xstate/layout.ts'
import { minXsaveSize } from '../../xstate/layout.ts'
import { createRandom, randomComponent, randomImage, randomMxcsr } from '../../xstate/random.ts'
import type { CaseContext, Trial } from '../selftest.ts'
import { allowed, gone, lost, other, unable } from './answer.ts'

const whose = 'the traced process'

const ended = (answer: RegsetAnswer): RegsetDone => {
  switch (answer.kind) {
    case 'done':
      return answer
    case 'refused':
      throw unable(`${answer.call} is refused here with ${answer.errno}`)
    case 'died':
      throw gone(whose, answer.signal ?? `exit code ${answer.code}`)
    case 'timeout':
    case 'stuck':
      throw lost(answer.kind, `${whose} made no progress`)
    default:
      throw other(`${answer.kind} instead of a second stop`)
  }
}

/** Asks, and comes back only with a process that came to its second stop. */
export const ask = (probe: Probe, one: RegsetAsk): RegsetDone => ended(probe.regset(one))

/** A call that must succeed. */
export const succeeded = (result: CallResult | undefined, what: string): CallResult => {
  if (result === undefined) throw other(`${what}: not called`)
  const { errno } = result
  if (errno === null) return result
  allowed(errno, what)
  throw other(`${what}: ${errno}`)
}

const sizes = new WeakMap<Probe, number>()

/** The regset's size as the kernel tells it. */
export const regsetSize = (probe: Probe): number => {
  const known = sizes.get(probe)
  if (known !== undefined) return known
  const { loaded } = ask(probe, { loaded: [{ call: 'get', size: 1n << 40n }] })
  const size = Number(succeeded(loaded[0], 'PTRACE_GETREGSET').size)
  sizes.set(probe, size)
  return size
}

/** Bytes of all user components of a host in the standard format. */
export const hostSize = ({ components, xcr0 }: HostCpu): number =>
  components.reduce(
    (size, { index, supervisor, offset, size: bytes }) =>
      !supervisor && ((xcr0 >> BigInt(index)) & 1n) === 1n ? Math.max(size, offset + bytes) : size,
    minXsaveSize,
  )

/** A regset with these registers. */
export const regsetOf = (probe: Probe, { bytes }: XsaveImage): Uint8Array => {
  const regset = new Uint8Array(regsetSize(probe))
  regset.set(bytes.subarray(0, regset.length))
  return regset
}

/** Which registers are not the same. */
export const differing = (layout: Layout, a: Uint8Array, b: Uint8Array): string[] => {
  const names: string[] = diffComponents(a, b, layout)
  return sameMxcsr(a, b) ? names : [...names, 'mxcsr']
}

/** The components that a case is about: x87 and SSE where it has no extended one. */
export const subjectsOf = ({ components }: CaseContext): readonly ComponentName[] =>
  components.length === 0 ? ['x87', 'sse'] : components

/** Two states: they differ in the case's components alone, and there wholly. */
export const pairOf = (context: CaseContext): { readonly one: XsaveImage; readonly two: XsaveImage } => {
  const { layout, seed } = context
  const one = randomImage(layout, { seed })
  const two = one.clone()
  const random = createRandom(seed + 1)
  const names = subjectsOf(context)
  for (const name of names) randomComponent(two.bytes, layout, name, random)
  if (names.includes('sse')) two.mxcsr = randomMxcsr(layout, seed + 1)
  return { one, two }
}

/** What became of registers that were to be `wanted`, and were `before`: so, or as before, or neither. */
export const heeded = (
  layout: Layout,
  after: Uint8Array,
  { wanted, before }: { readonly wanted: Uint8Array; readonly before: Uint8Array },
  where: string,
): Trial | null => {
  const wrong = differing(layout, after, wanted)
  if (wrong.length === 0) return null
  if (differing(layout, after, before).length === 0)
    return { observed: 'kept', text: `${where}: ${wrong.join(' ')} as before` }
  return { observed: 'unexplained', text: `${where}: ${wrong.join(' ')} not as set` }
}

/** A call that must fail so. */
const refusedSo = (result: CallResult | undefined, errno: string, what: string): void => {
  if (result?.errno === errno) return
  allowed(result?.errno ?? null, what)
  throw other(`${what}: ${result?.errno ?? 'no error'} instead of ${errno}`)
}

/** A call that must be refused, in words. */
export interface Wrong {
  readonly text: string
  readonly call: RegsetCall
}

/** At once: between a first and a last call that read. */
const mostAtOnce = 6

const inParts = <T>(list: readonly T[]): (readonly T[])[] =>
  Array.from({ length: Math.ceil(list.length / mostAtOnce) }, (_, i) =>
    list.slice(i * mostAtOnce, (i + 1) * mostAtOnce),
  )

/**
 * Each of these calls must fail with an errno, and change nothing: not what is read, not what is in the registers.
 * @param load what is in the registers; those that set should bring something else
 */
export const allRefused = (probe: Probe, load: XsaveImage, wrong: readonly Wrong[], errno: string): Trial => {
  for (const part of inParts(wrong)) {
    const done = ask(probe, {
      load,
      loaded: [{ call: 'get' }, ...part.map(({ call }) => call), { call: 'get' }],
    })
    const before = succeeded(done.loaded[0], 'PTRACE_GETREGSET')
    part.forEach(({ text }, i) => {
      refusedSo(done.loaded[i + 1], errno, text)
      if (done.loaded[i + 1]?.overran) throw other(`${text}: something was written all the same`)
    })
    const after = succeeded(done.loaded.at(-1), 'PTRACE_GETREGSET')
    const what = part.map(({ text }) => text).join(', ')
    if (Buffer.compare(before.bytes, after.bytes) !== 0) throw other(`${what}: what is read has changed`)
    const changed = differing(probe.layout, done.after.bytes, load.bytes)
    if (changed.length > 0) throw other(`${what}: ${changed.join(' ')} changed`)
  }
  return { observed: 'refused', text: `${errno}: ${wrong.map(({ text }) => text).join(', ')}` }
}

/** A regset with other registers than those that are loaded, spoilt: in words how, and as a call that sets it. */
export const spoilt = (
  regset: Uint8Array,
  text: string,
  change: (bytes: Uint8Array, view: DataView) => void,
): Wrong => {
  const bytes = regset.slice()
  change(bytes, new DataView(bytes.buffer))
  const call: SetCall = { call: 'set', bytes }
  return { text, call }
}
