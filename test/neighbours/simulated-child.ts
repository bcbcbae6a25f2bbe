/** A kernel that answers a child's steps, right or wrong: for every check a way to break it. */
import { type AuxVector, auxType, hwcaps } from '../../lib/neighbours/auxv/vector.ts'
import type { Ask, Step, StepAnswer } from '../../lib/neighbours/child/steps.ts'
import { archPrctl } from '../../lib/neighbours/xcomp/calls.ts'

/** What the kernel gives a new program. */
export const own = { hwcap: 0x1f8bfbffn, hwcap2: 2n, minsigstksz: 3376n, vdso: 0x7000n, word: 0x7f454c46n }

export interface Kernel {
  /** What is proposed: of what was set, what a program that is executed is told. */
  readonly inherits: boolean
  readonly masks: boolean
  readonly inheritsOverFork: boolean
  readonly inheritsAgain: boolean
  readonly inheritsIn32: boolean
  readonly inheritsFrom32: boolean
  readonly inheritsNothing: boolean
  /** What every kernel keeps. */
  readonly getAuxv: AuxVector | null
  readonly hwcap: bigint
  readonly hwcap2: bigint
  readonly rdfsbase: boolean
  readonly vdso: bigint
  readonly mapTakes: boolean
  readonly auxvErrno: string | null
  readonly forkKeeps: boolean
  readonly execTakesAll: boolean
  readonly execTakesMinsigstksz: boolean
  readonly execTakesVdso: boolean
  readonly exec32: string | null
  /** arch_prctl: null where it has no such calls. */
  readonly xcr0: bigint | null
  readonly guarded: bigint
  readonly permitted: bigint
  readonly grants: boolean
  readonly grantsMore: bigint
  readonly takesBack: boolean
  readonly permissionForks: boolean
  readonly permissionExecs: boolean
  readonly unneeded: string | null
  /** Whether it gives something all the same where it refuses. */
  readonly givesRefused: boolean
  readonly none: string | null
  readonly badAddress: string | null
  /** The child dies, or cannot be had. */
  readonly dies: string | null
  readonly unable: string | null
}

export const classicKernel: Kernel = {
  inherits: false,
  masks: true,
  inheritsOverFork: true,
  inheritsAgain: true,
  inheritsIn32: true,
  inheritsFrom32: true,
  inheritsNothing: true,
  getAuxv: null,
  hwcap: own.hwcap,
  hwcap2: own.hwcap2,
  rdfsbase: true,
  vdso: own.word,
  mapTakes: true,
  auxvErrno: null,
  forkKeeps: true,
  execTakesAll: false,
  execTakesMinsigstksz: false,
  execTakesVdso: false,
  exec32: null,
  xcr0: 0x602e7n,
  guarded: 1n << 18n,
  permitted: 0x202e7n,
  grants: true,
  grantsMore: 0n,
  takesBack: false,
  permissionForks: true,
  permissionExecs: false,
  unneeded: 'EOPNOTSUPP',
  givesRefused: false,
  none: 'EINVAL',
  badAddress: 'EFAULT',
  dies: null,
  unable: null,
}

interface Process {
  readonly vector: Map<number, bigint>
  /** Whether it has set its own, and what of it is still to be inherited. */
  readonly set: boolean
  readonly capable: boolean
  readonly permitted: bigint
  readonly is32: boolean
}

const fresh = ({ hwcap, hwcap2 }: Kernel): Map<number, bigint> =>
  new Map([
    [auxType.hwcap, hwcap],
    [auxType.hwcap2, hwcap2],
    [auxType.minsigstksz, own.minsigstksz],
    [auxType.sysinfoEhdr, own.vdso],
  ])

const executed = (kernel: Kernel, before: Process, is32: boolean): Process => {
  const vector = fresh(kernel)
  const old = (type: number): bigint => before.vector.get(type) ?? 0n
  const inherits =
    kernel.inherits &&
    before.set &&
    (!is32 || kernel.inheritsIn32) &&
    (!before.is32 || kernel.inheritsFrom32) &&
    (kernel.inheritsNothing || old(auxType.hwcap) !== 0n)
  for (const name of hwcaps) {
    const type = auxType[name]
    const mine = vector.get(type) ?? 0n
    if (kernel.execTakesAll) vector.set(type, old(type))
    else if (inherits && vector.has(type)) vector.set(type, kernel.masks ? old(type) & mine : old(type))
  }
  for (const [takes, type] of [
    [kernel.execTakesMinsigstksz, auxType.minsigstksz],
    [kernel.execTakesVdso, auxType.sysinfoEhdr],
  ] as const)
    if (takes) vector.set(type, old(type))
  return {
    ...before,
    vector,
    set: inherits && kernel.inheritsAgain,
    is32,
    permitted: kernel.permissionExecs ? before.permitted : kernel.permitted,
  }
}

const answer = (step: string, rest: Partial<StepAnswer> = {}): StepAnswer => ({
  step,
  errno: null,
  vector: new Map(),
  value: 0n,
  ...rest,
})

const archAnswer = (
  kernel: Kernel,
  now: Process,
  { code, argument }: Extract<Step, { step: 'arch' }>,
): [StepAnswer, Process] => {
  const said = (errno: string | null, value = 0n): StepAnswer => answer('arch', { errno, value })
  if (kernel.xcr0 === null) return [said('EINVAL'), now]
  if (code !== archPrctl.reqXcompPerm) {
    const value = code === archPrctl.getXcompSupp ? kernel.xcr0 : now.permitted
    return [argument === 'word' ? said(null, value) : said(kernel.badAddress), now]
  }
  const bit = argument === 'word' || argument > 62n ? 0n : 1n << argument
  if (bit === 0n) return [said(kernel.none), now]
  if ((kernel.guarded & bit) === 0n) {
    const more = kernel.givesRefused ? 1n << 20n : 0n
    const permitted = (kernel.takesBack ? kernel.permitted : now.permitted) | more
    return [said(kernel.unneeded), { ...now, permitted }]
  }
  const given = kernel.grants ? bit | kernel.grantsMore : 0n
  return [said(null), { ...now, permitted: now.permitted | given }]
}

const vectorOf = ({ vector }: Process): AuxVector => new Map(vector)

const stepped = (kernel: Kernel, now: Process, step: Step): [StepAnswer | null, Process] => {
  switch (step.step) {
    case 'read':
      return [answer('read', { vector: vectorOf(now) }), now]
    case 'get':
      return [answer('get', { vector: kernel.getAuxv ?? vectorOf(now) }), now]
    case 'map':
    case 'set': {
      const errno = step.step === 'set' ? (now.capable ? null : kernel.auxvErrno) : null
      if (errno !== null || (step.step === 'map' && !kernel.mapTakes))
        return [answer(step.step, { errno }), now]
      const vector = new Map([...now.vector, ...(step.entries ?? [])])
      return [answer(step.step), { ...now, vector, set: true }]
    }
    case 'drop':
      return [answer('drop'), { ...now, capable: false }]
    case 'vdso': {
      const isThere = now.vector.get(auxType.sysinfoEhdr) === own.vdso
      return [answer('vdso', { errno: isThere ? null : 'EIO', value: kernel.vdso }), now]
    }
    case 'rdfsbase':
      return [answer('rdfsbase', { value: kernel.rdfsbase ? 1n : 0n }), now]
    case 'fork':
      return [
        answer('fork'),
        {
          ...now,
          vector: kernel.forkKeeps ? now.vector : fresh(kernel),
          set: now.set && kernel.inheritsOverFork,
          permitted: kernel.permissionForks ? now.permitted : kernel.permitted,
        },
      ]
    case 'exec':
      return [null, executed(kernel, now, false)]
    case 'exec32':
      return kernel.exec32 === null
        ? [null, executed(kernel, now, true)]
        : [answer('exec32', { errno: kernel.exec32 }), now]
    case 'arch':
      return archAnswer(kernel, now, step)
  }
}

/** A child of such a kernel. */
export const askSimulated =
  (changes: Partial<Kernel> = {}): Ask =>
  steps => {
    const kernel = { ...classicKernel, ...changes }
    if (kernel.dies !== null) return { kind: 'died', signal: kernel.dies }
    if (kernel.unable !== null) return { kind: 'unable', text: kernel.unable }
    let now: Process = {
      vector: fresh(kernel),
      set: false,
      capable: kernel.auxvErrno === null,
      permitted: kernel.permitted,
      is32: false,
    }
    const answers: StepAnswer[] = []
    for (const step of steps) {
      const [said, then] = stepped(kernel, now, step)
      now = then
      if (said !== null) answers.push(said)
      if (said?.step === 'exec32') return { kind: 'answered', answers }
    }
    // The 32-bit program reads its own vector where no other is executed.
    if (now.is32) answers.push(answer('auxv32', { vector: vectorOf(now) }))
    return { kind: 'answered', answers }
  }
