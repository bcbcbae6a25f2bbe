/** What checkpointers rest on: that what ptrace reads inside a handler, and the frame on the stack, is all of a process. */
import type { Rule } from '../rule.ts'

export const criuRules = [
  {
    id: 'checkpoint-in-a-handler-is-whole',
    sentence:
      'A process that is checkpointed inside its signal handler and restored has the handler’s registers as CRIU keeps them, and after the return all that the signal interrupted.',
    status: 'established',
    holds: 'as-stated',
    tells: true,
    commit: 'checkpoint-restore/criu, criu/arch/x86/crtools.c, restore_fpu',
  },
  {
    id: 'cpu-check-agrees-with-frames',
    sentence: 'Where CRIU’s check of CPUs lets a process go, its frames arrive whole.',
    status: 'established',
    holds: 'as-stated',
    tells: true,
    commit: 'checkpoint-restore/criu, criu/cr-cpuinfo.c',
  },
] as const satisfies readonly Rule[]
