/** The rule that all others make together. */
import type { Rule } from '../rule.ts'

export const anyRules = [
  {
    id: 'any-frame-as-predicted',
    sentence:
      'Whatever a frame is, it is treated as the other rules say together, down to the bytes of the registers.',
    status: 'established',
    holds: 'as-stated',
    commit: 'arch/x86/kernel/fpu/signal.c, fpu__restore_sig',
  },
] as const satisfies readonly Rule[]
