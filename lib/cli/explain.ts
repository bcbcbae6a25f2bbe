/** `sigframe explain`: what becomes of a frame, decision by decision. */
import { type Command, Option } from 'commander'
import { type GenerationId, generationOf, generations } from '../contract/generations.ts'
import type { ExplainedForeign } from '../foreign/explain.ts'
import type { Unpredicted } from '../foreign/predict.ts'
import type { SavedFrame } from '../foreign/saved.ts'
import { hostHelp } from '../hosts/help.ts'
import type { Host } from '../hosts/host.ts'
import type { Answered } from '../report/explain-frame.ts'
import { ExplainedError, UsageError } from './errors.ts'
import type { ExplainProbeFlags } from './explain-probe.ts'
import { inputFile } from './input-file.ts'
import { styleOf } from './terminal.ts'

const help = `
FILE is a frame file, as capture, lint and translate write it, or a probe file,
as sigframe fuzz saves its differences; - is standard input. The frame is
walked through the kernel’s decisions, to what becomes of it and of every
component. Nothing is sent: neither the frame nor the host need be of this
machine.

${hostHelp}
A frame is explained on this host where no other is named; a probe on the
machine it was made for.

Exit codes: 0 explained, and all that the frame has arrives; 1 something is
lost, or the frame is rejected; 64 wrong usage, or a file that is none; 70
sigframe itself is broken, or nobody here can say.

Examples:
  sigframe explain frame.json
  sigframe explain frame.json --on zen4 --kernel portable
  sigframe explain frame.json --on their-info.json
  sigframe explain sigframe-fuzz-1-1.json --kernel larger --c repro.c
`

interface ExplainFlags extends ExplainProbeFlags {
  readonly on?: string
  readonly permit?: true
}

interface Answer {
  readonly explained: ExplainedForeign | Unpredicted
  readonly answered: Answered
}

/** On this machine, the CPU itself is asked. */
const explainHere = async (frame: SavedFrame, kernel: GenerationId, permit: boolean): Promise<Answer> => {
  const [{ open }, { taskOf }, { liveOracle }, { foreignOf }, { explainForeign }] = await Promise.all([
    import('../probe/session.ts'),
    import('../harness/task.ts'),
    import('../foreign/expect.ts'),
    import('../foreign/meant.ts'),
    import('../foreign/explain.ts'),
  ])
  const probe = await open({ permissions: permit ? frame.permissions : [] })
  try {
    const generation = generationOf(kernel)
    const explained = explainForeign(foreignOf(frame), taskOf(probe), generation, liveOracle(probe))
    return { explained, answered: 'this CPU' }
  } finally {
    await probe.close()
  }
}

const explainThere = async (
  frame: SavedFrame,
  host: Host,
  kernel: GenerationId,
  permit: boolean,
): Promise<Answer> => {
  const [{ taskElsewhere, manualOf }, { foreignOf }, { explainForeign }, { permittedIn }] = await Promise.all(
    [
      import('../foreign/predict.ts'),
      import('../foreign/meant.ts'),
      import('../foreign/explain.ts'),
      import('../foreign/permitted.ts'),
    ],
  )
  const there = permit ? { ...host, layout: permittedIn(host.layout).layout } : host
  const explained = explainForeign(
    foreignOf(frame),
    taskElsewhere(there),
    generationOf(kernel),
    manualOf(there),
  )
  return { explained, answered: 'the manuals' }
}

/** Why there is no answer. */
const unpredictedText: Readonly<Record<Unpredicted['unpredicted'], string>> = {
  hardware: 'it hangs on what the CPU makes of odd bytes, and the manuals do not say: ask on that machine',
  bytes: 'it hangs on what lies far behind the frame: nobody can say',
}

const explainFrame = async (frame: SavedFrame, file: string, flags: ExplainFlags): Promise<void> => {
  if (flags.c !== undefined)
    throw new UsageError('--c is for probe files: a frame of another machine is no C program')
  const [{ resolveHost }, report] = await Promise.all([
    import('../hosts/resolve.ts'),
    import('../report/explain-frame.ts'),
  ])
  const host = await resolveHost(flags.on ?? 'this host')
  const kernel = flags.kernel ?? host.generation ?? 'classic'
  const { explained, answered } =
    host.kind === 'this host'
      ? await explainHere(frame, kernel, flags.permit === true)
      : await explainThere(frame, host, kernel, flags.permit === true)
  if ('unpredicted' in explained)
    throw new ExplainedError(`${file}: ${unpredictedText[explained.unpredicted]}`)
  process.stdout.write(
    flags.json
      ? report.explainFrameJson(frame, host, explained, answered)
      : report.explainFrameText(frame, host, explained, answered, styleOf(process.stdout)),
  )
  if (!explained.whole) process.exitCode = 1
}

const explainFile = async (file: string, flags: ExplainFlags): Promise<void> => {
  const { readKept } = await import('../report/kept-file.ts')
  const kept = await readKept(inputFile(file))
  if (kept.kind === 'frame') return await explainFrame(kept.frame, file, flags)
  if (flags.on !== undefined)
    throw new UsageError(`--on is for frame files: ${file} is a probe of a machine of its own`)
  const { explainProbe } = await import('./explain-probe.ts')
  await explainProbe(kept.probe, file, flags)
}

export const addExplain = (program: Command): void => {
  program
    .command('explain')
    .summary('what becomes of a frame on a host, decision by decision')
    .description('Walks a frame through the kernel’s decisions, to what becomes of every component.')
    .argument('<file>', 'a frame file, or a probe file')
    .option('--on <host>', 'where it is restored: this host if left out')
    .addOption(
      new Option(
        '--kernel <generation>',
        'of which kernels; as the host or the file says if left out',
      ).choices(generations.map(({ id }) => id)),
    )
    .option('--permit', 'to a task that may have tiles: one that asked its kernel for them')
    .option('--c <file>', 'write a probe’s frame as a C program')
    .option('--json', 'for machines')
    .addHelpText('after', help)
    .action(explainFile)
}
