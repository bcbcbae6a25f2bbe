/** `sigframe replay`: a frame of any machine, through this kernel. */
import type { Command } from 'commander'
import { ExplainedError } from './errors.ts'
import { inputFile } from './input-file.ts'
import { styleOf } from './terminal.ts'

const help = `
FILE is a frame file, as capture, lint and translate write it; - is standard
input. Its fpstate takes the place of the one that this kernel has just
delivered, the handler leaves other values in every register and returns, and
what the registers hold then is told component by component, beside what
kernels of this generation are expected to do. The task that it is sent to has
asked the kernel for nothing (tiles), but with --permit for what the frame’s
own task had.

Exit codes: 0 all that the frame has arrived; 1 something is lost, or the
kernel rejected it, or did otherwise than expected; 4 this machine cannot
probe; 64 wrong usage, or a file that is none; 70 the frame could not be sent.

Examples:
  sigframe replay frame.json
  sigframe replay frame.json --json | jq .lost
`

interface ReplayFlags {
  readonly permit?: true
  readonly json?: true
}

const replay = async (file: string, { permit, json }: ReplayFlags): Promise<void> => {
  const { readFrameFile } = await import('../report/frame-file.ts')
  const frame = await readFrameFile(inputFile(file))
  const [{ open }, { fingerprintKernel }, { sendFrame }, report] = await Promise.all([
    import('../probe/session.ts'),
    import('../harness/host.ts'),
    import('../foreign/send.ts'),
    import('../report/replay.ts'),
  ])
  const probe = await open({ permissions: permit ? frame.permissions : [] })
  try {
    const { evidence, generation } = fingerprintKernel(probe)
    const sent = sendFrame(probe, frame, evidence.length > 0 ? generation.id : null)
    if (sent.outcome === 'unable') throw new ExplainedError(`${file} cannot be sent here: ${sent.observed}`)
    process.stdout.write(
      json ? report.replayJson(frame, sent) : report.replayText(frame, sent, styleOf(process.stdout)),
    )
    if (sent.outcome !== 'holds' || sent.asExpected === false) process.exitCode = 1
  } finally {
    await probe.close()
  }
}

export const addReplay = (program: Command): void => {
  program
    .command('replay')
    .summary('send a frame of any machine through this kernel')
    .description('Sends a frame through this kernel’s sigreturn, and tells what arrived.')
    .argument('<file>', 'a frame file')
    .option('--permit', 'to a task that may what the frame’s may')
    .option('--json', 'for machines')
    .addHelpText('after', help)
    .action(replay)
}
