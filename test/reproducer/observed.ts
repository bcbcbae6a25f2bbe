/** What was seen of a probe as what is expected of its like: a C program that shows it again. */
import type { Saved, Seen, SignalInfo } from '../../lib/probe/result.ts'
import type { ExpectedEnd, ExpectedRegisters } from '../../lib/reproducer/model.ts'
import { canonicalComponent } from '../../lib/xstate/compare.ts'

const siKernel = 128

const isKernelSegv = ({ signal, siCode, siAddr }: SignalInfo): boolean =>
  signal === 'SIGSEGV' && siCode === siKernel && siAddr === 0n

const registersOf = ({ after, layout }: Pick<Saved, 'after' | 'layout'>): ExpectedRegisters => ({
  components: layout.components.map(({ name }) => ({
    name,
    bytes: canonicalComponent(after.bytes, layout, name),
  })),
  mxcsr: [after.mxcsr],
})

const nothingOf: ExpectedRegisters = { components: [], mxcsr: 'any' }

/** How a probe ended, or null for what no frame may lead to: another signal, a process that is lost. */
export const observedEnd = (seen: Seen): ExpectedEnd | null => {
  switch (seen.kind) {
    case 'returned':
      return { ends: 'returned', ...registersOf(seen) }
    case 'signal':
      if (seen.where === 'sigreturn')
        return isKernelSegv(seen) ? { ends: 'rejected', ...registersOf(seen) } : null
      if (seen.where === 'delivery') return isKernelSegv(seen) ? { ends: 'undelivered' } : null
      if (seen.where !== 'after') return null
      return {
        ends: 'astray',
        signal: seen.signal === 'SIGSEGV' || seen.signal === 'SIGTRAP' ? seen.signal : null,
        ...nothingOf,
      }
    case 'died':
      return seen.where === 'sigreturn' && seen.signal === 'SIGSEGV' ? { ends: 'died' } : null
    default:
      return null
  }
}
