/** `sigframe matrix`: what becomes of frames of every CPU on every other. */
import { type Command, Option } from 'commander'
import { type GenerationId, generations } from '../contract/generations.ts'
import { type Abi, abis } from '../frame/abi.ts'
import type { Host } from '../hosts/host.ts'
import type { Live } from '../matrix/live.ts'
import { checkTarget, writeWhole } from './output-file.ts'
import { styleOf } from './terminal.ts'

const help = `
A frame is made as the source's Linux writes it, with all of its components in
use and zeros behind it; where not all of that arrives, those that do not are
left unused, until it works or nothing helps. Where this host is the
destination, and its kernel of the generation, the frames are sent; all else is
predicted.

HOST is a name of the catalogue (sigframe cpus lists them), "this" for this
host, or a file: results of sigframe run (json), or what sigframe info --json
printed. One source and one destination are shown in full.

With --output the matrix goes to FILE as JSON, and what is for people to
standard output.

Exit codes: 0 told; 1 something that was sent is not as predicted; 64 wrong
usage, or a file that is none; 70 sigframe itself is broken.

Examples:
  sigframe matrix
  sigframe matrix --kernel portable larger
  sigframe matrix --from ice-lake-sp --on zen4
  sigframe matrix --on this
  sigframe matrix --with their-info.json --output matrix.json
`

interface MatrixFlags {
  readonly kernel?: readonly GenerationId[]
  readonly from?: readonly string[]
  readonly on?: readonly string[]
  readonly with?: readonly string[]
  readonly abi: Abi
  readonly live: boolean
  readonly json?: true
  readonly output?: string
}

const thisNames: readonly string[] = ['this', 'this host']

/** Null where nothing can be sent; why not is said on standard error. */
const openIfWanted = async ({ live }: MatrixFlags): Promise<Live | null> => {
  if (!live) return null
  const { openLive } = await import('../matrix/live.ts')
  try {
    return await openLive()
  } catch (error) {
    if (!(error instanceof Error) || error.name !== 'NativeUnavailableError') throw error
    process.stderr.write(`sigframe: nothing is sent: ${error.message}\n`)
    return null
  }
}

/** The hosts of a matrix, by their names. */
type Hosts = Map<string, Host>

/** Those that are meant; what is new of them joins the others. */
const resolved = async (words: readonly string[], hosts: Hosts, live: Live | null): Promise<Host[]> => {
  const { resolveHost } = await import('../hosts/resolve.ts')
  const meant: Host[] = []
  for (const word of words) {
    const here = thisNames.includes(word) ? live?.hosts[0] : undefined
    const host = hosts.get(word) ?? here ?? (await resolveHost(word))
    if (!hosts.has(host.name)) hosts.set(host.name, host)
    if (!meant.includes(host)) meant.push(hosts.get(host.name) as Host)
  }
  return meant
}

const hostsBefore = async (live: Live | null): Promise<Hosts> => {
  const [{ hostsOfCatalogue }, { addedBy }] = await Promise.all([
    import('../hosts/elsewhere.ts'),
    import('../matrix/live.ts'),
  ])
  const known = hostsOfCatalogue()
  return new Map([...known, ...(live === null ? [] : addedBy(live, known))].map(host => [host.name, host]))
}

const createAsked = async (flags: MatrixFlags, live: Live | null) => {
  const { createMatrix } = await import('../matrix/create.ts')
  const hosts = await hostsBefore(live)
  const others = await resolved(flags.with ?? [], hosts, live)
  const base = [...hosts.values()]
  const side = async (words: readonly string[] | undefined): Promise<Host[]> =>
    words === undefined ? base : await resolved(words, hosts, live)
  const [from, to] = [await side(flags.from), await side(flags.on)]
  const all = [...hosts.values()]
  const order = (some: readonly Host[]): Host[] => all.filter(host => some.includes(host))
  return createMatrix(order([...from, ...to, ...others]), {
    abi: flags.abi,
    generations: generations
      .map(({ id }) => id)
      .filter(id => flags.kernel === undefined || flags.kernel.includes(id)),
    from: order(from),
    to: order(to),
    senders: live?.senders ?? [],
    kernel: live?.kernel ?? null,
  })
}

const matrix = async (flags: MatrixFlags): Promise<void> => {
  const target = flags.output === undefined ? null : checkTarget(flags.output)
  const live = await openIfWanted(flags)
  try {
    const made = await createAsked(flags, live)
    const [{ surprises }, { matrixJson }, { matrixText }] = await Promise.all([
      import('../matrix/create.ts'),
      import('../report/matrix-file.ts'),
      import('../report/matrix.ts'),
    ])
    if (target !== null) await writeWhole(target, matrixJson(made))
    const wantsJson = flags.json === true && target === null
    process.stdout.write(wantsJson ? matrixJson(made) : matrixText(made, styleOf(process.stdout)))
    if (surprises(made).length > 0) process.exitCode = 1
  } finally {
    await live?.close()
  }
}

export const addMatrix = (program: Command): void => {
  program
    .command('matrix')
    .summary('what becomes of frames of every CPU on every other')
    .description(
      'Tells for each pair of CPUs, and each generation of kernels, whether signal frames of one can be returned from on the other: works, works if some components are unused, breaks.',
    )
    .addOption(
      new Option('--kernel <generation...>', 'of these kernels; of all if left out').choices(
        generations.map(({ id }) => id),
      ),
    )
    .option('--from <host...>', 'frames of these; of all if left out')
    .option('--on <host...>', 'returned from on these; on all if left out')
    .option('--with <host...>', 'besides the CPUs of the catalogue')
    .addOption(new Option('--abi <abi>', 'whose frames').choices([...abis]).default('x86_64'))
    .option('--no-live', 'send nothing, predict all')
    .option('-o, --output <file>', 'write the matrix to a file as JSON')
    .option('--json', 'for machines')
    .addHelpText('after', help)
    .action(matrix)
}
