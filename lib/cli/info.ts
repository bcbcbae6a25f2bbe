/** `sigframe info`: the host, its frames, its kernel. */
import type { Command } from 'commander'
import { styleOf } from './terminal.ts'

const help = `
Examples:
  sigframe info
  sigframe info --json | jq -r .kernel.generation
`

const info = async ({ json }: { readonly json?: true }): Promise<void> => {
  const [{ observeHost }, { infoJson, infoText }] = await Promise.all([
    import('../harness/observe.ts'),
    import('../report/info.ts'),
  ])
  const observed = await observeHost()
  process.stdout.write(json ? infoJson(observed) : infoText(observed, styleOf(process.stdout)))
}

export const addInfo = (program: Command): void => {
  program
    .command('info')
    .summary('show the host, its frame layout and its kernel')
    .description(
      'Shows the CPU, where each component lies in a signal frame, and which generation the kernel is, told by what it does.',
    )
    .option('--json', 'for machines')
    .addHelpText('after', help)
    .action(info)
}
