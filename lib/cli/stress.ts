/** `sigframe stress`: probes on every CPU, and nothing may be lost. */
import type { Command } from 'commander'
import { UsageError } from './errors.ts'
import { interruptible, written } from './interrupt.ts'
import { numberIn } from './numbers.ts'
import { createProgress } from './progress.ts'
import { styleOf } from './terminal.ts'

const defaultSeconds = 10
const leastSeconds = 0.1
const mostSeconds = 7 * 24 * 3600
const mostSeed = 2 ** 31 - 1
const mostPerCpu = 16

const help = `
Each CPU has processes that preempt one another, and all of them are moved from
CPU to CPU. A probe loads random state into the registers; a signal of any ABI
comes, by syscall or from a timer; its handler leaves other state there and
returns. What the registers hold then is compared with what they held. Ctrl-C
ends it early.

Exit codes: 0 nothing was lost; 1 something was, or a process died or did
nothing; 4 nothing can be probed here; 64 wrong usage; 70 sigframe itself is
broken.

Examples:
  sigframe stress
  sigframe stress --seconds 3600 --json > night.json
  sigframe stress --cpus 0-3,8 --per-cpu 4 --seed 7
`

interface StressFlags {
  readonly seconds: number
  readonly seed: number
  readonly perCpu: number
  readonly cpus?: string
  readonly json?: true
}

/** What was asked for, of what this process may have. */
const chooseCpus = async (list: string | undefined): Promise<number[]> => {
  const { allowedCpus, formatCpus, parseCpus } = await import('../stress/cpus.ts')
  const allowed = allowedCpus()
  if (list === undefined) return allowed
  const chosen = parseCpus(list)
  if (chosen === null) throw new UsageError(`--cpus ${JSON.stringify(list)} is no list of CPUs as 0-3,8`)
  const others = chosen.filter(cpu => !allowed.includes(cpu))
  if (others.length > 0)
    throw new UsageError(
      `--cpus ${list}: this process may run on ${formatCpus(allowed)}, not on ${formatCpus(others)}`,
    )
  return chosen
}

const stress = async (flags: StressFlags): Promise<void> => {
  const cpus = await chooseCpus(flags.cpus)
  const [running, { stressExitCode, stressJson, stressText }] = await Promise.all([
    import('../stress/stress.ts'),
    import('../stress/report.ts'),
  ])
  const progress = createProgress()
  await interruptible(async signal => {
    try {
      const result = await running.stress({
        ...flags,
        cpus,
        signal,
        onProgress: ({ seconds, rounds, lost }) =>
          progress.show(
            () =>
              `${Math.floor(seconds)} s of ${flags.seconds}: ${rounds.toLocaleString('en-US')} probes, ${lost} lost`,
          ),
      })
      progress.end()
      await written(flags.json ? stressJson(result) : stressText(result, styleOf(process.stdout)))
      process.exitCode = stressExitCode(result)
    } finally {
      progress.end()
    }
  })
}

export const addStress = (program: Command): void => {
  program
    .command('stress')
    .summary('many probes on every CPU at once: nothing may be lost')
    .description(
      'Runs random probes on every CPU at once, as many as they can do, and compares what they find in their registers.',
    )
    .option('--json', 'for machines')
    .option(
      '--seconds <n>',
      'for all of it together, roughly',
      numberIn(leastSeconds, mostSeconds, false),
      defaultSeconds,
    )
    .option('--seed <n>', 'of all that is drawn', numberIn(0, mostSeed, true), 1)
    .option('--cpus <list>', 'where to run, as 0-3,8; everywhere if left out')
    .option('--per-cpu <n>', 'processes for each CPU', numberIn(1, mostPerCpu, true), 2)
    .addHelpText('after', help)
    .action(stress)
}
