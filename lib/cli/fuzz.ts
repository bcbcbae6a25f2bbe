/** `sigframe fuzz`: any frame, against what the contract says of it. */
import { type Command, Option } from 'commander'
import { type GenerationId, generations } from '../contract/generations.ts'
import { dispensable } from '../contract/predict/predict.ts'
import type { RuleId } from '../contract/rules.ts'
import { type Abi, abis } from '../frame/abi.ts'
import { mostRuns, mostSeed } from '../fuzz/frames.ts'
import type { FuzzOptions, FuzzResult } from '../fuzz/fuzz.ts'
import { plural } from '../report/text.ts'
import { UsageError } from './errors.ts'
import { interruptible, written } from './interrupt.ts'
import { numberIn } from './numbers.ts'
import { checkFolder, checkTarget, type Target, writeWhole } from './output-file.ts'
import { createProgress } from './progress.ts'
import { styleOf } from './terminal.ts'

const defaultSeconds = 10
const leastSeconds = 0.1
const mostSeconds = 7 * 24 * 3600

const help = `
Frames are drawn from the grammar of the contract (sizes, masks, headers,
MAGICs, places and what they hold, alone and together), sent live, and compared
with what kernels of a generation must do with them, down to the bytes of the
registers. What the hardware makes of odd bytes is asked of the hardware. A
difference is shrunk to the least that still shows it and saved as a probe file,
which sigframe explain reads. The same seed draws the same frames. Ctrl-C ends
it early.

Exit codes: 0 no difference; 1 a difference, or a process was lost; 4 nothing
can be probed here; 64 wrong usage; 70 sigframe itself is broken.

Examples:
  sigframe fuzz
  sigframe fuzz --seconds 3600 --seed 7 --json > night.json
  sigframe fuzz --abi ia32 --abi ia32-rt --runs 1000000
  sigframe fuzz --kernel portable --save findings --c repro.c
  sigframe fuzz --without magic2-is-required
`

interface FuzzFlags {
  readonly seconds?: number
  readonly runs?: number
  readonly seed: number
  readonly abi?: readonly Abi[]
  readonly kernel?: GenerationId
  readonly without?: RuleId
  readonly save?: string
  readonly c?: string
  readonly json?: true
}

const howLong = ({ seconds, runs }: FuzzFlags): Pick<FuzzOptions, 'seconds' | 'runs'> => {
  if (seconds !== undefined && runs !== undefined)
    throw new UsageError(`--seconds ${seconds} and --runs ${runs}: give one of them`)
  return runs === undefined ? { seconds: seconds ?? defaultSeconds } : { runs }
}

const limitText = ({ seconds, runs }: Pick<FuzzOptions, 'seconds' | 'runs'>): string =>
  runs === undefined ? `${seconds} s` : `${runs.toLocaleString('en-US')} frames`

const fileName = ({ seed }: FuzzResult, i: number): string => `sigframe-fuzz-${seed}-${i + 1}.json`

/** @returns what the file is called */
const saveFinding = async (
  result: FuzzResult,
  finding: FuzzResult['findings'][number],
  name: string,
): Promise<string> => {
  const [{ savedFinding }, { probeFileJson }] = await Promise.all([
    import('../fuzz/artefact.ts'),
    import('../report/probe-file.ts'),
  ])
  await writeWhole(checkTarget(name, '--save'), probeFileJson(savedFinding(result, finding)))
  return name
}

const saveC = async (result: FuzzResult, target: Target): Promise<string> => {
  const [finding] = result.findings
  if (finding === undefined) return `Nothing differed: ${target.name} was not written.\n`
  const { predicted, session } = finding
  if (predicted === null) return `Difference 1 ended the process: ${target.name} was not written.\n`
  const [{ savedFinding }, { reproducibleProbe }, { cReproducer }] = await Promise.all([
    import('../fuzz/artefact.ts'),
    import('../reproducer/saved.ts'),
    import('../reproducer/reproducer.ts'),
  ])
  const { limits } = session.subject.probe
  const saved = savedFinding(result, finding)
  await writeWhole(target, cReproducer(reproducibleProbe(saved, limits, predicted, result.generation.id)))
  return `Difference 1 as C: ${target.name}\n`
}

/** Where standard output is for machines. */
const writtenAside = (text: string): void => {
  process.stderr.write(text)
}

/** What this host cannot do of what was asked for is no fault of ours. */
const unable = (error: unknown): unknown =>
  error instanceof RangeError && /^(abi|host|without) is /.test(error.message)
    ? new UsageError(`nothing to fuzz: ${error.message}`)
    : error

const fuzz = async (flags: FuzzFlags): Promise<void> => {
  const limit = howLong(flags)
  // Where none is named, one is looked for only once there is something to save.
  const folder = flags.save === undefined ? '.' : checkFolder(flags.save, '--save')
  const c = flags.c === undefined ? null : checkTarget(flags.c, '--c')
  const [running, report] = await Promise.all([import('../fuzz/fuzz.ts'), import('../fuzz/report.ts')])
  const progress = createProgress()
  await interruptible(async signal => {
    try {
      const result = await running
        .fuzz({
          ...limit,
          seed: flags.seed,
          ...(flags.abi === undefined ? {} : { abis: flags.abi }),
          ...(flags.kernel === undefined ? {} : { generation: flags.kernel }),
          ...(flags.without === undefined ? {} : { without: flags.without }),
          signal,
          onProgress: ({ frames, ms, findings }) =>
            progress.show(
              () =>
                `${Math.floor(ms / 1000)} s, ${frames.toLocaleString('en-US')} frames of ${limitText(limit)}, ${plural(findings, 'difference')}`,
            ),
        })
        .catch(error => {
          throw unable(error)
        })
      progress.end()
      // Before anything that can fail: hours may have gone into it.
      await written(flags.json ? report.fuzzJson(result) : report.fuzzText(result, styleOf(process.stdout)))
      const tell = flags.json ? writtenAside : written
      process.exitCode = report.fuzzExitCode(result)
      const failures: unknown[] = []
      const attempt = async (save: () => Promise<string>): Promise<void> => {
        try {
          await tell(await save())
        } catch (error) {
          failures.push(error)
        }
      }
      for (const [i, finding] of result.findings.entries())
        await attempt(
          async () => `Saved: ${await saveFinding(result, finding, `${folder}/${fileName(result, i)}`)}\n`,
        )
      if (c !== null) await attempt(() => saveC(result, c))
      // What could be saved is; the first that could not says why.
      if (failures.length > 0) throw failures[0]
    } finally {
      progress.end()
    }
  })
}

const checkAbi = (text: string, others: readonly Abi[] = []): readonly Abi[] => {
  if (!abis.includes(text as Abi))
    throw new UsageError(`--abi ${JSON.stringify(text)} is none: there are ${abis.join(' ')}`)
  return [...new Set([...others, text as Abi])]
}

export const addFuzz = (program: Command): void => {
  program
    .command('fuzz')
    .summary('any frame, against what the contract says of it')
    .description(
      'Sends frames drawn at random, and compares what the running kernel does with each of them with what it must do.',
    )
    .option(
      '--seconds <n>',
      `how long; ${defaultSeconds} if left out`,
      numberIn(leastSeconds, mostSeconds, false),
    )
    .option('--runs <n>', 'how many frames, instead', numberIn(1, mostRuns, true))
    .option('--seed <n>', 'of all that is drawn', numberIn(0, mostSeed, true), 1)
    .option('--abi <abi>', `of whose frames; may be given again (${abis.join(' ')})`, checkAbi)
    .addOption(
      new Option(
        '--kernel <generation>',
        'whose behaviour is expected; that which the kernel is told by if left out',
      ).choices(generations.map(({ id }) => id)),
    )
    .addOption(
      new Option(
        '--without <rule>',
        'expect a kernel that forgot this rule: what it is worth, and that it would be noticed',
      ).choices(dispensable),
    )
    .option('--save <folder>', 'where differences are saved; here if left out')
    .option('--c <file>', 'write the first difference as a C program')
    .option('--json', 'for machines')
    .addHelpText('after', help)
    .action(fuzz)
}
