/** `sigframe cpus`: the catalogue of CPUs and where each has its components. */
import type { Command } from 'commander'
import { UsageError } from './errors.ts'
import { inputFile } from './input-file.ts'
import { styleOf } from './terminal.ts'

const help = `
Wherever a command takes a HOST, one of these names will do. xfeatures and size
are those of a frame of a task that has asked its kernel for nothing, except
where the title says otherwise.

With --from the entry of a new CPU is printed: INFO is what sigframe info --json
printed on it (- for standard input). Written to catalogue/NAME.json, with its
title and models put right by hand, it is one of them.

Exit codes: 0 printed; 64 wrong usage, a name that is none of them, or a file
that is none.

Examples:
  sigframe cpus
  sigframe cpus zen4
  sigframe cpus zen4 --json > cpu.json
  sigframe info --json | sigframe cpus --from - --name my-cpu
`

interface CpusFlags {
  readonly from?: string
  readonly name?: string
  readonly json?: true
}

/** What is refused this way is what was asked for. */
const asUsage = (error: unknown): unknown =>
  error instanceof RangeError ? new UsageError(error.message) : error

const printEntry = async (file: string, name: string): Promise<void> => {
  const [{ readInfoFile }, { entryOfInfo, sameFrames }, { cpuFileJson }] = await Promise.all([
    import('../report/info-file.ts'),
    import('../hosts/entry.ts'),
    import('../report/cpu-file.ts'),
  ])
  const entry = entryOfInfo(await readInfoFile(inputFile(file)), name)
  const same = sameFrames(entry)
  process.stdout.write(cpuFileJson(entry))
  if (same !== null)
    process.stderr.write(`sigframe: ${same} has the same frames: add the model to its cpus instead\n`)
}

const printKnown = async (name: string | undefined, json: boolean): Promise<void> => {
  const [{ catalogueEntry, catalogueNames }, { cpusJson, cpusText, cpuText }, { cpuFileJson }] =
    await Promise.all([
      import('../catalogue/catalogue.ts'),
      import('../report/cpus.ts'),
      import('../report/cpu-file.ts'),
    ])
  if (name !== undefined) {
    const entry = catalogueEntry(name)
    process.stdout.write(json ? cpuFileJson(entry) : cpuText(entry, styleOf(process.stdout)))
    return
  }
  const entries = catalogueNames().map(one => catalogueEntry(one))
  process.stdout.write(json ? cpusJson(entries) : cpusText(entries, styleOf(process.stdout)))
}

const cpus = async (name: string | undefined, flags: CpusFlags): Promise<void> => {
  const { from, name: own, json = false } = flags
  if (from !== undefined && name !== undefined)
    throw new UsageError(`--from is for a CPU that is new: leave out ${name}, or --from`)
  if (from !== undefined && own === undefined)
    throw new UsageError('--from needs --name: what to call the CPU')
  if (from === undefined && own !== undefined)
    throw new UsageError('--name is for --from: name the CPU alone')
  try {
    if (from !== undefined && own !== undefined) await printEntry(from, own)
    else await printKnown(name, json)
  } catch (error) {
    throw asUsage(error)
  }
}

export const addCpus = (program: Command): void => {
  program
    .command('cpus')
    .summary('the catalogue of CPUs, and where each has its components')
    .description('Lists the CPUs whose signal frames are known, or shows one with its sources.')
    .argument('[name]', 'which one; all if left out')
    .option('--from <info>', 'print an entry made of what sigframe info --json printed')
    .option('--name <name>', 'with --from: what to call it')
    .option('--json', 'for machines')
    .addHelpText('after', help)
    .action(cpus)
}
