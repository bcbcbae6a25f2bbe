/** The permission for components: what arch_prctl says of it, and for how long it is there. */
import type { Step, StepAnswer } from '../../neighbours/child/steps.ts'
import { archPrctl, getXcomp, requestXcomp } from '../../neighbours/xcomp/calls.ts'
import { permissible } from '../../probe/session.ts'
import { componentNamed } from '../../xstate/components.ts'
import type { HostCpu } from '../../xstate/host.ts'
import { allowed, asStated, unable, unexplained } from './answer.ts'
import { childTrial } from './children.ts'

const supp = getXcomp('supp')
const perm = getXcomp('perm')

const unsupported = 'EOPNOTSUPP'

const hex = (value: bigint): string => `0x${value.toString(16)}`

/** The components that XFD guards, by number. */
const guarded = (cpu: HostCpu): readonly number[] => permissible(cpu).map(name => componentNamed(name).index)

const maskOf = (numbers: readonly number[]): bigint =>
  numbers.reduce((mask, number) => mask | (1n << BigInt(number)), 0n)

/** What was written into the word. Kernels before 5.16 have no such call. */
const word = (answer: StepAnswer | undefined): bigint => {
  if (answer === undefined) throw unable('the child said less than it was asked')
  if (answer.errno !== null) throw unable(`this kernel has no ARCH_GET_XCOMP_*: ${answer.errno}`)
  return answer.value
}

/** Why a request was not granted, or null. What a filter refuses is none of the kernel's. */
const refusal = (answers: readonly (StepAnswer | undefined)[]): string | null => {
  const refused = answers.find(answer => answer?.errno !== null)
  if (refused === undefined) return null
  allowed(refused?.errno ?? null, 'ARCH_REQ_XCOMP_PERM')
  return `ARCH_REQ_XCOMP_PERM: ${refused?.errno ?? 'no answer'}`
}

export const supportsXcr0 = childTrial((child, _probe, { cpu }) => {
  const value = word(child.ask(supp)[0])
  return value === cpu.xcr0
    ? asStated(hex(value))
    : unexplained(`${hex(value)} supported, XCR0 is ${hex(cpu.xcr0)}`)
})

export const permitsWhatNeedsNone = childTrial((child, _probe, { cpu }) => {
  const value = word(child.ask(perm)[0])
  const wanted = cpu.xcr0 & ~maskOf(guarded(cpu))
  return value === wanted ? asStated(hex(value)) : unexplained(`${hex(value)} permitted, not ${hex(wanted)}`)
})

/** Asks for all that can be asked for, then does some steps, and says what is permitted in the end. */
const permittedAfter = (
  steps: readonly Step[],
  expecting: (before: bigint, asked: bigint) => bigint,
): ReturnType<typeof childTrial> =>
  childTrial((child, _probe, { cpu }) => {
    const numbers = guarded(cpu)
    const before = word(child.ask(perm)[0])
    const answers = child.ask(...numbers.map(requestXcomp), ...steps, perm)
    const problem = refusal(answers.slice(0, numbers.length))
    if (problem !== null) return unexplained(problem)
    // Between the two a fork says that it was one, and an exec that it was none.
    const other = answers
      .slice(numbers.length, -1)
      .find(({ step, errno }) => step !== 'arch' && errno !== null)
    if (other !== undefined) return { unable: `${other.step}: ${other.errno}` }
    const after = word(answers.at(-1))
    const wanted = expecting(before, maskOf(numbers))
    const text = `${hex(before)} before, ${hex(after)} afterwards`
    return after === wanted ? asStated(text) : unexplained(`${text}, not ${hex(wanted)}`)
  })

export const isGiven = permittedAfter([], (before, asked) => before | asked)
export const survivesFork = permittedAfter([{ step: 'fork' }], (before, asked) => before | asked)
export const endsWithExec = permittedAfter([{ step: 'exec' }], before => before)

/** Asked again, and for what cannot be had: neither takes anything back. */
export const isKept = childTrial((child, _probe, { cpu }) => {
  const numbers = guarded(cpu)
  const ask = numbers.map(requestXcomp)
  const [first, second] = [child.ask(...ask, perm), child.ask(...ask, ...ask, requestXcomp(0), perm)]
  const problem = refusal([...first.slice(0, -1), ...second.slice(0, 2 * numbers.length)])
  if (problem !== null) return unexplained(problem)
  const [once, twice] = [word(first.at(-1)), word(second.at(-1))]
  return once === twice && (once & maskOf(numbers)) === maskOf(numbers)
    ? asStated(hex(once))
    : unexplained(`${hex(once)} when it was asked for once, ${hex(twice)} afterwards`)
})

/** Calls that must fail, and how: with what is no component, needs no permission, or no memory. */
const wrongCalls = (cpu: HostCpu): readonly (readonly [step: Step, errno: string])[] => {
  const arch = (code: number, argument: bigint | 'word'): Step => ({ step: 'arch', code, argument })
  const free = [0, 1, 2, 9, 17].filter(number => !guarded(cpu).includes(number))
  return [
    ...free.map(number => [requestXcomp(number), unsupported] as const),
    ...[63, 64, 1 << 20].map(number => [requestXcomp(number), 'EINVAL'] as const),
    [arch(archPrctl.reqXcompPerm, (1n << 64n) - 1n), 'EINVAL'],
    [arch(archPrctl.getXcompSupp, 8n), 'EFAULT'],
    [arch(archPrctl.getXcompPerm, 8n), 'EFAULT'],
  ]
}

export const refusesWrong = childTrial((child, _probe, { cpu }) => {
  const calls = wrongCalls(cpu)
  const answers = child.ask(perm, ...calls.map(([step]) => step), perm)
  const [before, after] = [word(answers[0]), word(answers.at(-1))]
  const wrong = calls.flatMap(([step, errno], i) => {
    const seen = answers[i + 1]?.errno ?? 'no error'
    if (seen !== errno) allowed(seen, 'arch_prctl')
    const what = step.step === 'arch' ? `${hex(BigInt(step.code))} of ${step.argument}` : step.step
    return seen === errno ? [] : [`${what}: ${seen}, not ${errno}`]
  })
  if (before !== after) wrong.push(`${hex(before)} permitted before, ${hex(after)} afterwards`)
  return wrong.length === 0 ? asStated(`${calls.length} calls`) : unexplained(wrong.join('; '))
})

/** A process that has asked for what the session's has may use what the session's frames have. */
export const isInFrames = childTrial((child, _probe, { cpu, layout }) => {
  const asked = guarded(cpu).filter(number => (layout.features >> BigInt(number)) & 1n)
  const answers = child.ask(...asked.map(requestXcomp), perm)
  const problem = refusal(answers.slice(0, -1))
  if (problem !== null) return unexplained(problem)
  const value = word(answers.at(-1))
  return value === layout.features
    ? asStated(hex(value))
    : unexplained(`${hex(value)} permitted, the frames have ${hex(layout.features)}`)
})
