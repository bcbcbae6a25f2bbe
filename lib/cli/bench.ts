/** `sigframe bench`: how fast the engine is on this host. */
import type { Command } from 'commander'
import { numberIn } from './numbers.ts'
import { createProgress } from './progress.ts'
import { styleOf } from './terminal.ts'

const defaultSeconds = 5
const leastSeconds = 0.1
const mostSeconds = 3600

const help = `
Examples:
  sigframe bench
  sigframe bench --seconds 30 --json | jq '.lanes[] | {lane, ratio}'
`

const bench = async (flags: { readonly json?: true; readonly seconds: number }): Promise<void> => {
  const [measuring, { benchJson, benchText }] = await Promise.all([
    import('../bench/bench.ts'),
    import('../bench/report.ts'),
  ])
  const progress = createProgress()
  try {
    const result = await measuring.bench(flags.seconds, (done, of) =>
      progress.show(() => `measuring: ${Math.floor((100 * done) / of)} %`),
    )
    progress.end()
    process.stdout.write(flags.json ? benchJson(result) : benchText(result, styleOf(process.stdout)))
  } finally {
    progress.end()
  }
}

export const addBench = (program: Command): void => {
  program
    .command('bench')
    .summary('measure the engine against the plain loop')
    .description(
      'Measures how many probes a second the engine runs, and which part that is of the most possible; of 32-bit frames, which part of the pace of 64-bit ones.',
    )
    .option('--json', 'for machines')
    .option(
      '--seconds <n>',
      'for all of it together, roughly',
      numberIn(leastSeconds, mostSeconds, false),
      defaultSeconds,
    )
    .addHelpText('after', help)
    .action(bench)
}
