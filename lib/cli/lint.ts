/** `sigframe lint`: whether frames are well formed. */
import { type Command, Option } from 'commander'
import { type Abi, abis } from '../frame/abi.ts'
import type { LintedFile, LintedItem } from '../report/lint-file.ts'
import type { LintInput, RawOptions } from '../report/lint-input.ts'
import { UsageError } from './errors.ts'
import { inputFile } from './input-file.ts'
import { numberIn } from './numbers.ts'
import { checkTarget, writeWhole } from './output-file.ts'
import { createProgress } from './progress.ts'
import { styleOf } from './terminal.ts'

const help = `
FILE is a frame file, as capture, lint and translate write it (- is standard
input), or an ELF core file (on disk: a pipe cannot be searched): every frame in
its memory is looked at, in flight or left over. With --raw it is any file with
memory in it: the frame whose XSAVE area begins at --offset, or every one that
MAGIC1 heads. In 32-bit frames the fsave header is the 112 bytes below the XSAVE
area; --offset is not its own.

Each frame is held to the CPU that it came from: HOST of --cpu, or what a frame
file and the notes of a core file say. Without, the CPU is guessed: it is one
of the catalogue that makes frames of these components and this size. Where
there is none, or several that differ, what needs no CPU is looked at. HOST is
"this", a name of the catalogue (sigframe cpus lists them), results of sigframe
run (json), or what sigframe info --json printed there.

An error is what a kernel or a CPU rejects, what loses state or ends the
process, or a format that no kernel writes; a warning is allowed, and known to
go wrong elsewhere; a note is worth knowing.

--save writes every frame of a known CPU to a file of its own, PREFIX-1.json
and so on, which explain, replay and translate take.

Exit codes: 0 no errors; 1 a frame with errors (with --strict warnings, too),
or no frame in raw bytes; 4 HOST is this one, and it cannot be probed; 64 wrong
usage, or a file that cannot be read; 70 sigframe itself is broken. A core file
without a frame is no error, nor is what is wrong with frames left over: their
stack may have been used again.

Examples:
  sigframe lint frame.json
  sigframe lint core.1234 --save core.1234
  sigframe lint --raw --abi x86_64 --offset 0x1ec0 --cpu zen4 stack.bin
  sigframe lint core.1234 --json | jq '.files[].frames[].findings'
`

interface LintFlags {
  readonly raw?: true
  readonly abi?: Abi
  readonly offset?: number
  readonly length?: number
  readonly cpu?: string
  readonly save?: string
  readonly strict?: true
  readonly json?: true
}

/** As many files are written. */
const mostSaved = 1000

const checkFlags = ({ raw, abi, offset, length, save, cpu }: LintFlags): void => {
  if (cpu === '') throw new UsageError('--cpu needs the name of a host')
  if (save !== undefined) checkTarget(save === '' ? '' : `${save}-1.json`, '--save')
  if (raw) return
  const option = Object.entries({ abi, offset, length }).find(([, value]) => value !== undefined)?.[0]
  if (option !== undefined) throw new UsageError(`--${option} is of --raw alone`)
}

const isRefusal = (error: unknown): error is Error =>
  error instanceof Error && ['LintInputError', 'CoreFileError'].includes(error.name)

const readOne = async (name: string, { raw, abi, offset, length }: LintFlags): Promise<LintInput> => {
  const { readFrames, readRaw } = await import('../report/lint-input.ts')
  const file = inputFile(name)
  const options: RawOptions = { abi, offset, length }
  const progress = createProgress()
  try {
    if (raw) return readRaw(file, options)
    const onProgress = (done: number, of: number): void =>
      progress.show(() => `${file}: ${Math.floor((100 * done) / of)} %`)
    return await readFrames(file, { onProgress })
  } catch (error) {
    throw isRefusal(error) ? new UsageError(error.message) : error
  } finally {
    progress.end()
  }
}

type Saved = Map<LintedItem, { readonly file: string } | { readonly problem: string }>

/** Writes what can be kept, each to a file of its own. */
const saveAll = async (files: readonly LintedFile[], prefix: string): Promise<Saved> => {
  const [{ savedOf }, { frameFileJson }] = await Promise.all([
    import('../report/lint-file.ts'),
    import('../report/frame-file.ts'),
  ])
  const saved: Saved = new Map()
  let written = 0
  for (const file of files) {
    for (const item of file.items) {
      const frame = savedOf(file, item)
      if (typeof frame === 'string') {
        saved.set(item, { problem: frame })
      } else if (written === mostSaved) {
        saved.set(item, { problem: `no more than ${mostSaved} frames are` })
      } else {
        written += 1
        const target = checkTarget(`${prefix}-${written}.json`, '--save')
        await writeWhole(target, frameFileJson(frame))
        saved.set(item, { file: target.name })
      }
    }
  }
  return saved
}

const lint = async (names: readonly string[], flags: LintFlags): Promise<void> => {
  checkFlags(flags)
  const { cpu, save, strict, json, raw } = flags
  const [{ countFindings, lintInput }, report] = await Promise.all([
    import('../report/lint-file.ts'),
    import('../report/lint.ts'),
  ])
  const host = cpu === undefined ? null : await (await import('../hosts/resolve.ts')).resolveHost(cpu)
  const files: LintedFile[] = []
  for (const name of names) files.push(lintInput(await readOne(name, flags), host))
  const saved = save === undefined ? undefined : await saveAll(files, save)
  process.stdout.write(
    json ? report.lintJson(files, saved) : report.lintText(files, styleOf(process.stdout), saved),
  )
  const { error, warning, leftOverErrors, leftOverWarnings } = countFindings(files)
  const without = raw === true && files.some(({ items }) => items.length === 0)
  if (error > leftOverErrors || without || (strict && warning > leftOverWarnings)) process.exitCode = 1
}

export const addLint = (program: Command): void => {
  program
    .command('lint')
    .summary('whether frames are well formed, also those in core files')
    .description('Looks at frames: whether each is as a kernel writes it on the CPU that it came from.')
    .argument('<file...>', 'frame files, ELF core files; with --raw any file')
    .option('--cpu <host>', 'the CPU that the frames came from')
    .option('--raw', 'the files have no format: memory, or a part of it')
    .addOption(new Option('--abi <abi>', 'of raw bytes; as they say if left out').choices([...abis]))
    .option(
      '--offset <n>',
      'of the XSAVE area in raw bytes; all are searched if left out',
      numberIn(0, Number.MAX_SAFE_INTEGER, true),
    )
    .option('--length <n>', 'how many raw bytes, from there on', numberIn(1, Number.MAX_SAFE_INTEGER, true))
    .option('--save <prefix>', 'write the frames to PREFIX-1.json, PREFIX-2.json …')
    .option('--strict', 'warnings count, too')
    .option('--json', 'for machines')
    .addHelpText('after', help)
    .action(lint)
}
