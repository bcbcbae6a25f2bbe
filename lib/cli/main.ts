#!/usr/bin/env node
/** The command `sigframe`. */
import { bisectCodes } from '../vm/bisect.ts'
import { ExplainedError, errorText, exitCodeFor } from './errors.ts'
import { isBisecting, runCli } from './program.ts'

const words = process.argv.slice(2)

const codeFor = (error: unknown): number => (isBisecting(words) ? bisectCodes.untold : exitCodeFor(error))

const fatal = (error: unknown): void => {
  process.stderr.write(errorText(error))
  process.exit(codeFor(error))
}

/** A reader that has seen enough (`| head`) is no error: the rest is not written, the exit code stays the run's. */
const survive = (stream: NodeJS.WriteStream, name: string): void => {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') return
    const told = new ExplainedError(`cannot write to ${name}: ${error.message.replace(/, write$/, '')}`)
    if (stream !== process.stderr) process.stderr.write(errorText(told))
    // Whatever the command says when it ends: its results did not arrive.
    process.on('exit', () => {
      process.exitCode = codeFor(told)
    })
  })
}

survive(process.stdout, 'standard output')
survive(process.stderr, 'standard error')
// Node's own answer is exit code 1, which says that the kernel failed.
process.on('uncaughtException', fatal)
process.on('unhandledRejection', fatal)

await runCli(words)
