/** `sigframe report`: results of any number of hosts as one page for people. */
import { type Command, Option } from 'commander'
import type { Collection } from '../merge/collection.ts'
import type { Digest, PageExtras } from '../report/digest/digest.ts'
import { shellQuoted } from '../report/text.ts'
import { UsageError } from './errors.ts'
import { written } from './interrupt.ts'
import { checkTarget, type Target, writeWhole } from './output-file.ts'
import { createProgress } from './progress.ts'

const formats = ['html', 'markdown'] as const
type Format = (typeof formats)[number]

const help = `
FILE is what sigframe run --output wrote on a host, what sigframe vm, sigframe
matrix or sigframe merge wrote; its content says which. A folder stands for all
*.json in it, - for standard input.

The page has the hosts with problems first, their frames drawn to scale, what
travels between which CPUs, kernels and CPUs, and each failure with its bytes
and what repeats it. As HTML it is one file that loads nothing; Markdown is for
a mail or an issue. How hosts fared changes nothing of the exit code: sigframe
merge tells by its own.

Exit codes: 0 written; 64 wrong usage, or a file that does not exist; 70
sigframe itself is broken.

Examples:
  sigframe report host-a.json host-b.json -o report.html
  sigframe report results --expect host-a host-b -o report.html
  sigframe report all.json --format markdown
  sigframe vm --json | sigframe report - -o report.md
`

interface ReportFlags {
  readonly output?: string
  readonly format?: Format
  readonly expect?: readonly string[]
}

const standardOutput = '-'

/** The format that was asked for, or that a file's name says. */
export const formatFor = ({ format, output }: Pick<ReportFlags, 'format' | 'output'>): Format => {
  if (format !== undefined) return format
  if (output !== undefined && /\.html?$/i.test(output)) return 'html'
  if (output !== undefined && /\.(md|markdown)$/i.test(output)) return 'markdown'
  if (output === undefined || output === standardOutput)
    throw new UsageError('-o names the file: report.html, report.md; - with --format is standard output')
  throw new UsageError(`-o ${output} does not say how: name it .html or .md, or add --format`)
}

/** Null for standard output. A page of HTML on a terminal is a mistake. */
const targetFor = ({ output }: ReportFlags, format: Format): Target | null => {
  if (output !== undefined && output !== standardOutput) return checkTarget(output)
  if (output === undefined && format === 'html' && process.stdout.isTTY)
    throw new UsageError('a page of HTML is for a file: -o report.html, or -o - for here all the same')
  return null
}

const word = (text: string): string => (/^[\w.,:+/@%=-]+$/.test(text) ? text : shellQuoted(text))

const commandLine = (files: readonly string[], { output, format, expect }: ReportFlags): string =>
  [
    'sigframe report',
    ...files.map(word),
    ...(expect === undefined ? [] : ['--expect', ...expect.map(word)]),
    ...(format === undefined ? [] : ['--format', format]),
    ...(output === undefined ? [] : ['-o', word(output)]),
  ].join(' ')

const collectFiles = async (files: readonly string[], expected: readonly string[]): Promise<Collection> => {
  const { collect } = await import('../merge/collect.ts')
  const progress = createProgress()
  try {
    return await collect(files, {
      expected,
      onFile: (file, done, all) => progress.show(() => `${done} of ${all} files; ${file}`),
    })
  } finally {
    progress.end()
  }
}

const render = async (digest: Digest, format: Format, command: string): Promise<string> => {
  const { programsOf } = await import('../report/digest/programs.ts')
  const extras: PageExtras = {
    generatedAt: new Date().toISOString(),
    command,
    programs: await programsOf(digest),
  }
  return format === 'html'
    ? (await import('../report/html/page.ts')).htmlReport(digest, extras)
    : (await import('../report/markdown/page.ts')).markdownReport(digest, extras)
}

const size = (bytes: number): string =>
  bytes < 1_000_000 ? `${Math.ceil(bytes / 1000)} kB` : `${(bytes / 1_000_000).toFixed(1)} MB`

const report = async (files: readonly string[], flags: ReportFlags): Promise<void> => {
  const format = formatFor(flags)
  const target = targetFor(flags, format)
  const collection = await collectFiles(files, flags.expect ?? [])
  const { digestOf, standing } = await import('../report/digest/digest.ts')
  const digest = digestOf(collection)
  const text = await render(digest, format, commandLine(files, flags))
  if (target === null) {
    await written(text)
    return
  }
  await writeWhole(target, text)
  await written(`Written: ${target.name}, ${size(Buffer.byteLength(text))}; ${standing(digest)}.\n`)
}

export const addReport = (program: Command): void => {
  program
    .command('report')
    .summary('results of any number of hosts as one page')
    .description('Makes one page of results: hosts, frames, pairs of CPUs, failures with their bytes.')
    .argument('<file...>', 'results, or folders of them')
    .option('-o, --output <file>', 'write the page there: .html or .md; - is standard output')
    .addOption(
      new Option('--format <format>', 'as what; what the name of the file says if left out').choices(formats),
    )
    .option('--expect <name...>', 'hosts that must be there: one that is not is an error')
    .addHelpText('after', help)
    .action(report)
}
