/** arch_prctl's calls on components that need permission: arch/x86/include/uapi/asm/prctl.h. */
import type { Step } from '../child/steps.ts'

export const archPrctl = {
  getXcompSupp: 0x1021,
  getXcompPerm: 0x1022,
  reqXcompPerm: 0x1023,
} as const

/** Asks what the kernel supports, or what the process may use, into a word. */
export const getXcomp = (what: 'supp' | 'perm'): Step => ({
  step: 'arch',
  code: what === 'supp' ? archPrctl.getXcompSupp : archPrctl.getXcompPerm,
  argument: 'word',
})

/** Asks permission for a component, by its number. */
export const requestXcomp = (component: number): Step => ({
  step: 'arch',
  code: archPrctl.reqXcompPerm,
  argument: BigInt(component),
})
