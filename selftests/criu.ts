import { selftest } from '../lib/harness/selftest.ts'
import { checkpointed, cpuCheck } from '../lib/harness/trials/checkpoints.ts'

/** Checkpoint and restore with the program that does it. */
export default selftest('criu', {
  summary: 'CRIU takes a process down inside its signal handler, and sets it up again.',
  variants: 'once',
  session: 'plain',
  cases: {
    in_handler: {
      summary: 'Every register, in the handler after the restore and behind its return.',
      rule: 'checkpoint-in-a-handler-is-whole',
      commit: 'checkpoint-restore/criu, criu/arch/x86/crtools.c, restore_fpu',
      abis: ['x86_64'],
      long: true,
      trial: (probe, context) => checkpointed(probe, context),
    },
    cpuinfo: {
      summary: 'criu cpuinfo check of this host by itself, beside what becomes of its frame here.',
      rule: 'cpu-check-agrees-with-frames',
      commit: 'checkpoint-restore/criu, criu/cr-cpuinfo.c',
      abis: ['x86_64'],
      long: true,
      trial: (probe, context) => cpuCheck(probe, context),
    },
  },
})
