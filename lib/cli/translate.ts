/** `sigframe translate`: a frame of one CPU for another. */
import type { Command } from 'commander'
import { UsageError } from './errors.ts'
import { inputFile } from './input-file.ts'
import { checkTarget, writeWhole } from './output-file.ts'
import { styleOf } from './terminal.ts'

const help = `
FRAME is a frame file, as capture, lint and translate write it; - is standard
input. What its own kernel would restore from it is written to FILE (- for
standard output) as a kernel of HOST would have written it: each component in
its place, sizes, sw bytes and MAGIC2 made anew. What lies below the fpstate is
kept, the pointer to it too: a frame of another size needs another place.

Components that HOST lacks are dropped where they are at init. Where they are
in use the frame is refused, with their names, and nothing is written. So is
one that its own kernel would not restore whole.

A PKRU of 0x55555554 counts as unused: Linux starts every program with it, and
without protection keys there is no memory that has one. --strict refuses it.

HOST is "this" for this host, a name of the catalogue (sigframe cpus lists
them), or a file: results of sigframe run (json), or what sigframe info --json
printed there. Its task has asked its kernel for nothing: with tiles in use,
--permit.

Exit codes: 0 translated; 1 refused; 4 HOST is this one, and it cannot be
probed; 64 wrong usage, or a file that is none; 70 sigframe itself is broken.

Examples:
  sigframe translate frame.json --to zen4 translated.json
  sigframe translate frame.json --to this - | sigframe replay -
`

interface TranslateFlags {
  readonly to: string
  readonly permit?: true
  readonly strict?: true
  readonly addPkru?: true
  readonly json?: true
}

const translate = async (from: string, file: string, flags: TranslateFlags): Promise<void> => {
  const toOutput = file === '-'
  if (toOutput && flags.json) throw new UsageError('the frame goes to standard output: --json would, too')
  const target = toOutput ? null : checkTarget(file, 'FILE')
  const [{ frameFileJson, readFrameFile }, { resolveHost }, { translateSaved }, report] = await Promise.all([
    import('../report/frame-file.ts'),
    import('../hosts/resolve.ts'),
    import('../foreign/translate.ts'),
    import('../report/translate.ts'),
  ])
  const frame = await readFrameFile(inputFile(from))
  const to = await resolveHost(flags.to)
  const translation = translateSaved(frame, to, {
    permitted: flags.permit ?? false,
    defaultPkru: flags.strict ? 'refuse' : 'drop',
    newPkru: flags.addPkru ? 'default' : 'init',
  })
  const what = { frame, from, to, file }
  if (translation.kind === 'translated') {
    const text = frameFileJson(translation.saved)
    if (target === null) {
      // Not by its name: a socket cannot be opened.
      process.stdout.write(text)
      return
    }
    await writeWhole(target, text)
  } else process.exitCode = 1
  const output = target === null ? process.stderr : process.stdout
  output.write(
    flags.json
      ? report.translationJson(translation, what)
      : report.translationText(translation, what, styleOf(output)),
  )
}

export const addTranslate = (program: Command): void => {
  program
    .command('translate')
    .summary('a frame of one CPU for another')
    .description(
      'Writes a frame as a kernel of another host would have written it, or says why it cannot be.',
    )
    .argument('<frame>', 'a frame file')
    .argument('<file>', 'where to: a name, or - for standard output')
    .requiredOption('--to <host>', 'the host that it is for')
    .option('--permit', 'for a task that has asked its kernel for tiles')
    .option('--strict', 'refuse a PKRU of the default value, too, where HOST has none')
    .option('--add-pkru', 'give PKRU its default value where HOST alone has it')
    .option('--json', 'what became of it, for machines')
    .addHelpText('after', help)
    .action(translate)
}
