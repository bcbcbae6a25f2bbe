/** `sigframe run`: the selftests on the running kernel. */
import { type Command, Option } from 'commander'
import { type DemandId, requirable } from '../contract/demand.ts'
import { type Bundle, exitCodeOf } from '../harness/results.ts'
import type { Style } from '../report/style.ts'
import { isSkip, UsageError } from './errors.ts'
import { checkTarget, type Target, writeWhole } from './output-file.ts'
import { createProgress } from './progress.ts'
import { fileStyle, styleOf } from './terminal.ts'

const formats = ['pretty', 'ktap', 'json', 'junit'] as const
type Format = (typeof formats)[number]

interface RunFlags {
  readonly format?: Format
  readonly json?: true
  readonly output?: string
  readonly list?: true
  readonly long?: true
  readonly require?: DemandId
  readonly baseline?: string
  readonly c?: string
  readonly layout?: string
}

const help = `
NAME is a selftest, a case's id, or the beginning of an id up to a slash; *
stands for anything. With --output the results go to FILE, whole or not at all,
and a report for people to standard output.

SIGFRAME_KVM names the device of the kvm selftests, /dev/kvm if it is not set.

Exit codes: 0 every case passed, xfailed or was skipped; 1 a fail, timeout,
crash or stuck; 4 all skipped; 64 wrong usage; 70 sigframe itself is broken.

Examples:
  sigframe run
  sigframe run sigframe_fpu_portability --require portable
  sigframe run 'fx_only_fallback/*' --format ktap
  sigframe run '*/ia32/*' --long
  sigframe run --output before.json
  sigframe run --baseline before.json
  sigframe run xsave_header --c xsave_header.c --layout zen4
`

/** The format that was asked for, or that a file's name says. */
export const formatFor = ({ format, json, output }: Pick<RunFlags, 'format' | 'json' | 'output'>): Format => {
  if (json === true && format !== undefined && format !== 'json')
    throw new UsageError(`--json asks for json, --format for ${format}: give one of them`)
  if (format !== undefined) return format
  if (json === true) return 'json'
  if (output?.endsWith('.json')) return 'json'
  if (output?.endsWith('.xml')) return 'junit'
  return output !== undefined && /\.k?tap$/.test(output) ? 'ktap' : 'pretty'
}

const render = async (bundle: Bundle, format: Format, style: Style): Promise<string> => {
  switch (format) {
    case 'ktap':
      return (await import('../report/ktap.ts')).ktap(bundle)
    case 'json':
      return (await import('../report/json.ts')).bundleJson(bundle)
    case 'junit':
      return (await import('../report/junit.ts')).bundleJunit(bundle)
    case 'pretty':
      return (await import('../report/pretty.ts')).pretty(bundle, style)
  }
}

const list = async (names: readonly string[], flags: RunFlags): Promise<number> => {
  if (flags.output !== undefined) throw new UsageError('--list is printed: --output is for results')
  const format = formatFor(flags)
  if (format === 'ktap' || format === 'junit')
    throw new UsageError(`--list is printed as pretty or json, not as ${format}`)
  const { historyOf, listSelftests } = await import('../harness/listing.ts')
  const { selectListing } = await import('./select.ts')
  const listings = selectListing(await listSelftests(), names)
  if (format === 'json') {
    const { toJson } = await import('../report/json.ts')
    process.stdout.write(toJson({ selftests: listings, history: historyOf(listings) }))
  } else {
    const { listingText } = await import('../report/listing.ts')
    const { historyText } = await import('../report/history.ts')
    const style = styleOf(process.stdout)
    const history = historyText(historyOf(listings), style)
    process.stdout.write(listingText(listings, style) + (history === '' ? '' : `\n${history}`))
  }
  return 0
}

const readBaseline = async (file: string): Promise<Bundle> => {
  const { readBundle } = await import('../report/bundle.ts')
  return await readBundle(file)
}

/** What is refused this way is what was asked for. */
const asUsage = (error: unknown): unknown =>
  error instanceof RangeError && !error.message.includes('call stack') ? new UsageError(error.message) : error

const runWithProgress = async (names: readonly string[], flags: RunFlags): Promise<Bundle> => {
  const baseline = flags.baseline === undefined ? null : await readBaseline(flags.baseline)
  const { runSelftests } = await import('../harness/run.ts')
  const progress = createProgress()
  let count = 0
  try {
    return await runSelftests({
      select: names,
      require: flags.require ?? null,
      baseline,
      long: flags.long === true,
      onCase: ({ id }) => {
        count += 1
        progress.show(() => `${count} cases, ${id}`)
      },
    })
  } catch (error) {
    throw asUsage(error)
  } finally {
    progress.end()
  }
}

/** What was named as a C program, instead of a run. */
const writeC = async (names: readonly string[], flags: RunFlags, file: string): Promise<number> => {
  if (
    flags.output !== undefined ||
    flags.format !== undefined ||
    flags.json === true ||
    flags.baseline !== undefined
  )
    throw new UsageError('--c writes a C program and runs nothing: leave out what is for results')
  if (names.length === 0) throw new UsageError('--c writes one selftest, or one case: name it')
  const target = checkTarget(file, '--c')
  const { cOfSelection } = await import('../reproducer/selection.ts')
  const { layout, long = false } = flags
  let text: string
  try {
    text = await cOfSelection({
      select: names,
      long,
      require: flags.require ?? null,
      ...(layout === undefined ? {} : { layout }),
    })
  } catch (error) {
    throw asUsage(error)
  }
  await writeWhole(target, text)
  process.stdout.write(`Written: ${target.name}; gcc -O2 compiles it, and it runs by itself.\n`)
  return 0
}

/** A machine that cannot be probed has its results too: all is skipped, and why. */
const printSkipped = async (error: Error, format: Format, target: Target | null): Promise<void> => {
  if (format !== 'ktap') return
  const { ktapSkippedWhole } = await import('../report/ktap.ts')
  const text = ktapSkippedWhole(error.message)
  if (target === null) process.stdout.write(text)
  else await writeWhole(target, text)
}

const run = async (names: readonly string[], flags: RunFlags): Promise<number> => {
  if (flags.list) return await list(names, flags)
  if (flags.c !== undefined) return await writeC(names, flags, flags.c)
  if (flags.layout !== undefined) throw new UsageError('--layout is for --c: this host has its own')
  const format = formatFor(flags)
  const target = flags.output === undefined ? null : checkTarget(flags.output)
  let bundle: Bundle
  try {
    bundle = await runWithProgress(names, flags)
  } catch (error) {
    if (isSkip(error)) await printSkipped(error, format, target)
    throw error
  }
  const style = styleOf(process.stdout)
  if (target !== null) await writeWhole(target, await render(bundle, format, fileStyle))
  process.stdout.write(await render(bundle, target === null ? format : 'pretty', style))
  return exitCodeOf(bundle.cases)
}

export const addRun = (program: Command): void => {
  program
    .command('run')
    .summary('run the selftests on the running kernel')
    .description('Runs the signal-frame selftests on the running kernel and tells which rules it keeps.')
    .argument('[name...]', 'what to run; everything if left out')
    .addOption(
      new Option('--format <format>', 'how results are written; pretty if left out').choices(formats),
    )
    .option('--json', 'for machines: the same as --format json')
    .option(
      '-o, --output <file>',
      'write the results there; without --format its name tells it (.json .ktap .xml)',
    )
    .option('--list', 'print what there is to run, and which past bugs it would have caught')
    .option('--long', 'run what needs many tries or seconds too')
    .addOption(
      new Option(
        '--require <what>',
        'fail where the kernel lacks a rule of it: a generation, or a proposal',
      ).choices(requirable),
    )
    .option('--baseline <bundle>', 'fail every rule that held in these results (json) and holds no longer')
    .option('--c <file>', 'write one selftest, or one case, as a C program instead')
    .option('--layout <cpu>', 'with --c: for the frames of that CPU, one that sigframe cpus lists')
    .addHelpText('after', help)
    .action(async (names: string[], flags: RunFlags) => {
      process.exitCode = await run(names, flags)
    })
}
