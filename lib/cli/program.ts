/** The command line: its commands, and how its errors are told. */
import { Command, CommanderError } from 'commander'
import { exitCodes } from '../harness/results.ts'
import { toolVersion } from '../version.ts'
import { bisectCodes } from '../vm/bisect.ts'
import { addBench } from './bench.ts'
import { addCapture } from './capture.ts'
import { addCpus } from './cpus.ts'
import { errorText, exitCodeFor, UsageError } from './errors.ts'
import { addExplain } from './explain.ts'
import { addFuzz } from './fuzz.ts'
import { addInfo } from './info.ts'
import { addLint } from './lint.ts'
import { addMatrix } from './matrix.ts'
import { addMerge } from './merge.ts'
import { addReplay } from './replay.ts'
import { addReport } from './report.ts'
import { addRun } from './run.ts'
import { addStress } from './stress.ts'
import { addTranslate } from './translate.ts'
import { addVm } from './vm.ts'

const help = `
Example:
  sigframe run
`

export const createProgram = (): Command => {
  const program = new Command('sigframe')
    .description('A laboratory for live x86 signal frames on Linux.')
    .version(toolVersion())
    .addHelpText('after', help)
    // Before the commands are added: they inherit both.
    .exitOverride()
    // A command's options are its own, also where the one above it has one of the same name.
    .enablePositionalOptions()
    .configureOutput({ outputError: () => undefined })
  addRun(program)
  addFuzz(program)
  addCapture(program)
  addReplay(program)
  addLint(program)
  addExplain(program)
  addTranslate(program)
  addInfo(program)
  addCpus(program)
  addMatrix(program)
  addBench(program)
  addStress(program)
  addVm(program)
  addMerge(program)
  addReport(program)
  return program
}

/** Which help tells more: that of the command, if one was given. */
const helpFor = (program: Command, words: readonly string[]): string => {
  const command = program.commands.find(one => one.name() === words[0])
  return command === undefined ? 'sigframe --help' : `sigframe ${command.name()} --help`
}

/** git bisect run takes 1 to 124 for bad, and stops above 127: what is no verdict is told by a code of its own. */
export const isBisecting = (words: readonly string[]): boolean =>
  words[0] === 'vm' && words.includes('--bisect')

/** Commander's errors as ours; undefined for those that are none: help and version. */
const usageError = (
  error: CommanderError,
  program: Command,
  words: readonly string[],
): UsageError | undefined => {
  if (error.exitCode === 0) return undefined
  if (error.code === 'commander.help') return new UsageError('which command? (the help is above)')
  const message = error.message.replace(/^error: /, '').replace(/\.$/, '')
  return new UsageError(`${message}; see ${helpFor(program, words)}`)
}

const tell = (error: unknown, words: readonly string[]): number => {
  process.stderr.write(errorText(error))
  return isBisecting(words) ? bisectCodes.untold : exitCodeFor(error)
}

/**
 * Runs a command line. Sets the exit code and lets the process end by itself: what is written then arrives.
 * @param words what stands behind `sigframe`
 */
export const runCli = async (words: readonly string[]): Promise<void> => {
  const program = createProgram()
  try {
    await program.parseAsync(words, { from: 'user' })
    process.exitCode ??= exitCodes.ok
  } catch (error) {
    const told = error instanceof CommanderError ? usageError(error, program, words) : error
    process.exitCode = told === undefined ? exitCodes.ok : tell(told, words)
  }
}
