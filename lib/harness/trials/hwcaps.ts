/** What a process may say of its own HWCAPs, and what of it reaches what it executes. */
import {
  type AuxName,
  type AuxVector,
  auxEntry,
  auxSpelt,
  auxType,
  hwcaps,
} from '../../neighbours/auxv/vector.ts'
import type { Step } from '../../neighbours/child/steps.ts'
import type { Trial } from '../selftest.ts'
import { asStated, unable, unexplained } from './answer.ts'
import { type Child, childTrial, forgotten, succeeded } from './children.ts'
import { deliverable } from './stacks.ts'

const read: Step = { step: 'read' }
const exec: Step = { step: 'exec' }
const exec32: Step = { step: 'exec32' }
const fork: Step = { step: 'fork' }

type Entries = Partial<Record<AuxName, bigint>>

const setBy = (step: 'map' | 'set', entries: Entries): Step => ({
  step,
  entries: new Map(Object.entries(entries).map(([name, value]) => [auxType[name as AuxName], value])),
})

const hex = (value: bigint | undefined): string =>
  value === undefined ? 'absent' : `0x${value.toString(16)}`

const told = (name: AuxName, value: bigint | undefined): string => `${auxSpelt(name)} ${hex(value)}`

const lowestBit = (value: bigint): bigint => value & -value

/** The kernel's own AT_HWCAP, which x86 always has. */
const ownOf = (vector: AuxVector, name: AuxName = 'hwcap'): bigint => {
  const own = auxEntry(vector, name)
  if (own === undefined || own === 0n) throw unable(`the kernel gives no ${auxSpelt(name)}`)
  return own
}

/** AT_HWCAP without one of its bits. */
const lessOf = (own: bigint): bigint => own & ~lowestBit(own)

/** A bit of 32 that the kernel does not have. */
const foreignBit = (own: bigint): bigint => {
  const lacking = ~own & 0xffff_ffffn
  if (lacking === 0n) throw unable('AT_HWCAP has all 32 bits')
  return lowestBit(lacking)
}

/** Known bits of AT_HWCAP2: arch/x86/include/uapi/asm/hwcap2.h. */
const fsgsbase = 1n << 1n
const knownHwcap2 = (1n << 0n) | fsgsbase

const legacyBits = { fxsr: 1n << 24n, sse: 1n << 25n, sse2: 1n << 26n } as const

const entriesOf = (vector: AuxVector): string =>
  [...vector].map(([type, value]) => `${type}=${value}`).join(' ')

/** Both ways of reading the vector. */
export const readsAlike = childTrial(child => {
  const [first, second] = child.ask(read, { step: 'get' })
  const [one, two] = [succeeded(first).vector, succeeded(second).vector]
  return entriesOf(one) === entriesOf(two) && one.size > 0
    ? asStated(`${one.size} entries`)
    : unexplained(`/proc has ${one.size} entries, PR_GET_AUXV ${two.size}, and they are not the same`)
})

/** The values that the kernel gives, and that they name what frames hold. */
export const namesLegacyState = childTrial(child => {
  const vector = child.vector(read)
  const text = hwcaps.map(name => told(name, auxEntry(vector, name))).join(', ')
  const own = auxEntry(vector, 'hwcap') ?? 0n
  const lacking = Object.entries(legacyBits).filter(([, bit]) => (own & bit) === 0n)
  return lacking.length === 0
    ? asStated(text)
    : unexplained(`${text}: without ${lacking.map(([name]) => name)}`)
})

export const tellsOfFsgsbase = childTrial(child => {
  const [vector, tried] = child.ask(read, { step: 'rdfsbase' }).map(succeeded)
  const caps = auxEntry(vector?.vector ?? new Map(), 'hwcap2') ?? 0n
  const says = (caps & fsgsbase) !== 0n
  const works = tried?.value === 1n
  const unknown = caps & ~knownHwcap2
  const text = `${told('hwcap2', caps)}, RDFSBASE ${works ? 'works' : 'is #UD'}`
  const more = unknown === 0n ? '' : `; ${hex(unknown)} of it is of no released kernel`
  return says === works ? asStated(text + more) : unexplained(text + more)
})

export const pointsToVdso = childTrial(child => {
  const [vector, head] = child.ask(read, { step: 'vdso' })
  const at = auxEntry(succeeded(vector).vector, 'sysinfoEhdr')
  if (at === undefined || at === 0n) return { unable: 'this kernel gives no AT_SYSINFO_EHDR' }
  if (head?.errno !== null) return unexplained(`what it points to cannot be read: ${head?.errno}`)
  return head.value === 0x7f454c46n
    ? asStated('an ELF header')
    : unexplained(`it points to ${hex(head.value)}, not to an ELF header`)
})

/** An alternate stack of AT_MINSIGSTKSZ bytes, by the vector and not by libc, takes the task's frame. */
export const minsigstkszIsEnough =
  (leastOfSigaltstack: number) =>
  (...[probe, context, asking]: Parameters<ReturnType<typeof childTrial>>) =>
    childTrial(child => {
      const bytes = auxEntry(child.vector(read), 'minsigstksz')
      if (bytes === undefined) return { unable: 'this kernel has no AT_MINSIGSTKSZ' }
      return deliverable(probe, context, Math.max(Number(bytes), leastOfSigaltstack))
    })(probe, context, asking)

/** Sets one entry and reads it back. */
const setAndRead = (child: Child, before: readonly Step[], by: 'map' | 'set'): Trial => {
  const less = lessOf(ownOf(child.vector(read)))
  const vector = child.vector(...before, setBy(by, { hwcap: less }), read)
  const now = auxEntry(vector, 'hwcap')
  return now === less ? asStated(told('hwcap', now)) : unexplained(`${hex(less)} set, ${hex(now)} read`)
}

export const setsByMap = childTrial(child => setAndRead(child, [{ step: 'drop' }], 'map'))
export const setsByAuxv = childTrial(child => setAndRead(child, [], 'set'))

export const needsCapability = childTrial(child => {
  const own = ownOf(child.vector(read))
  const [dropped, set, after] = child.ask({ step: 'drop' }, setBy('set', { hwcap: lessOf(own) }), read)
  succeeded(dropped)
  const now = auxEntry(succeeded(after).vector, 'hwcap')
  return set?.errno === 'EPERM' && now === own
    ? asStated('EPERM')
    : unexplained(`${set?.errno ?? 'no error'}, ${told('hwcap', now)} afterwards`)
})

export const survivesFork = childTrial(child => {
  const less = lessOf(ownOf(child.vector(read)))
  const now = auxEntry(child.vector(setBy('map', { hwcap: less }), fork, read), 'hwcap')
  return now === less
    ? asStated(told('hwcap', now))
    : unexplained(`${hex(less)} set, the child has ${hex(now)}`)
})

/** Everything set that can be: nothing beyond the kernel's own may arrive. */
export const noMoreThanOwn = childTrial(child => {
  const all = 0xffff_ffffn
  const set = setBy('map', { hwcap: all, hwcap2: all, hwcap3: all, hwcap4: all })
  const own = child.vector(read)
  const after = child.vector(set, exec, read)
  const beyond = hwcaps.filter(name => ((auxEntry(after, name) ?? 0n) & ~(auxEntry(own, name) ?? 0n)) !== 0n)
  const text = beyond.map(name => told(name, auxEntry(after, name))).join(', ')
  return beyond.length === 0 ? asStated('all bits set, nothing more arrives') : unexplained(`${text} arrives`)
})

export const otherwiseOwn = childTrial(child => {
  const own = auxEntry(child.vector(read), 'minsigstksz')
  const set = setBy('map', { minsigstksz: 1n, sysinfoEhdr: 0x1000n })
  const answers = child.ask(set, exec, read, { step: 'vdso' })
  const [done, vector, vdso] = answers
  succeeded(done)
  const now = auxEntry(succeeded(vector).vector, 'minsigstksz')
  const at = auxEntry(succeeded(vector).vector, 'sysinfoEhdr')
  if (now !== own) return unexplained(`${told('minsigstksz', now)}, not ${hex(own)}`)
  if (at === undefined) return asStated(told('minsigstksz', now))
  return vdso?.errno === null && vdso.value === 0x7f454c46n
    ? asStated(`${told('minsigstksz', now)}, AT_SYSINFO_EHDR to an ELF header`)
    : unexplained(`${told('sysinfoEhdr', at)} is no ELF header`)
})

/**
 * What arrives of a value that was set, after some steps.
 * @param setting what is set, of the kernel's own value
 * @param expecting what should arrive, of the same
 */
const arrives = (
  setting: (own: bigint) => bigint,
  steps: readonly Step[],
  expecting: (own: bigint) => bigint = setting,
) =>
  childTrial(child => {
    const plain = child.vector(...steps, read)
    const own = ownOf(plain)
    const wanted = expecting(own)
    const set = setting(own)
    const now = auxEntry(child.vector(setBy('map', { hwcap: set }), ...steps, read), 'hwcap')
    const text = `${hex(set)} set, ${hex(now)} arrives`
    if (now === wanted) return asStated(text)
    return now === own ? forgotten(text) : unexplained(`${text}, not ${hex(wanted)}`)
  })

export const inherits = arrives(lessOf, [exec])
export const isMasked = arrives(own => lessOf(own) | foreignBit(own), [exec], lessOf)
export const inheritsThroughFork = arrives(lessOf, [fork, exec])
export const inheritsAgain = arrives(lessOf, [exec, exec])
export const inheritsThrough32 = arrives(lessOf, [exec32, exec])
export const inheritsNothing = arrives(() => 0n, [exec])

/** The 32-bit program reads its vector by itself. */
export const inheritsIn32 = childTrial(child => {
  const own = ownOf(child.vector(exec32))
  const less = lessOf(own)
  const now = auxEntry(child.vector(setBy('map', { hwcap: less }), exec32), 'hwcap')
  const text = `${hex(less)} set, ${hex(now)} arrives`
  if (now === less) return asStated(text)
  return now === own ? forgotten(text) : unexplained(text)
})

/** The same limit in a 32-bit program. */
export const noMoreThanOwnIn32 = childTrial(child => {
  const own = ownOf(child.vector(exec32))
  const now = auxEntry(child.vector(setBy('map', { hwcap: 0xffff_ffffn }), exec32), 'hwcap') ?? 0n
  return (now & ~own) === 0n
    ? asStated('all bits set, nothing more arrives')
    : unexplained(`${told('hwcap', now)} arrives, the kernel has ${hex(own)}`)
})
