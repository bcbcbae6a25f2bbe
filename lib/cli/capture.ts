/** `sigframe capture`: a live frame, into a file. */
import { type Command, InvalidArgumentError, Option } from 'commander'
import { type Abi, abis } from '../frame/abi.ts'
import { type ComponentName, components, isComponentName } from '../xstate/components.ts'
import type { Layout } from '../xstate/layout.ts'
import { ExplainedError, UsageError } from './errors.ts'
import { numberIn } from './numbers.ts'
import { checkTarget, writeWhole } from './output-file.ts'
import { styleOf } from './terminal.ts'

const help = `
Loads known values into the registers, raises a signal, and writes the frame
that the kernel delivered to FILE (- for standard output), with the layout that
it was made under: it can be read, explained and replayed on any machine. The
same seed gives the same registers. Components that are left out are at init;
tiles (xtiledata) are asked of the kernel for.

Exit codes: 0 captured; 64 wrong usage; 70 this host delivers no such frame.

Examples:
  sigframe capture frame.json
  sigframe capture --component avx --component pkru --seed 7 frame.json
  sigframe capture --abi ia32 - | ssh elsewhere sigframe replay -
`

const collect = (text: string, before: readonly ComponentName[] = []): readonly ComponentName[] => [
  ...before,
  ...text.split(',').map(name => {
    if (isComponentName(name)) return name
    throw new InvalidArgumentError(`Components are ${components.map(one => one.name).join(' ')}.`)
  }),
]

interface CaptureFlags {
  readonly component?: readonly ComponentName[]
  readonly seed: number
  readonly abi: Abi
  readonly json?: true
}

/** Those of which a session has to ask the kernel for permission. */
const permissionsFor = (
  components: readonly ComponentName[] | undefined,
  permissible: readonly ComponentName[],
): ComponentName[] => permissible.filter(name => components?.includes(name))

const checkComponents = (layout: Layout, components: readonly ComponentName[] | undefined): void => {
  const missing = components?.find(name => !layout.has(name))
  if (missing === undefined) return
  const those = layout.components.map(({ name }) => name).join(' ')
  throw new UsageError(`--component ${missing} is in no frame of this host: they have ${those}`)
}

const take = async (file: string, { component, seed, abi, json }: CaptureFlags): Promise<void> => {
  const toOutput = file === '-'
  if (toOutput && json) throw new UsageError('the frame goes to standard output: --json would, too')
  const target = toOutput ? null : checkTarget(file, 'FILE')
  const [{ open, permissible }, { readHostCpu }, { keepFrame }, files, report] = await Promise.all([
    import('../probe/session.ts'),
    import('../xstate/host.ts'),
    import('../foreign/keep.ts'),
    import('../report/frame-file.ts'),
    import('../report/frame.ts'),
  ])
  const permissions = permissionsFor(component, permissible(readHostCpu()))
  const probe = await open({ permissions })
  try {
    checkComponents(probe.layout, component)
    const saved = keepFrame(probe, { abi, components: component, seed }, permissions)
    if (typeof saved === 'string') throw new ExplainedError(`no frame of ${abi}: ${saved}`)
    const text = files.frameFileJson(saved)
    if (target === null) {
      process.stdout.write(text)
      return
    }
    await writeWhole(target, text)
    process.stdout.write(
      json ? report.savedJson(saved, file) : report.savedText(saved, file, styleOf(process.stdout)),
    )
  } finally {
    await probe.close()
  }
}

export const addCapture = (program: Command): void => {
  program
    .command('capture')
    .summary('write a live frame to a file')
    .description('Writes a frame as this kernel delivers it, with known values in the registers.')
    .argument('<file>', 'where to: a name, or - for standard output')
    .option('--component <name>', 'in use when the signal hits (more than once; all if left out)', collect)
    .addOption(
      new Option('--seed <number>', 'of what is in the registers')
        .argParser(numberIn(0, 2 ** 31 - 1, true))
        .default(1),
    )
    .addOption(new Option('--abi <name>', 'whose frame').choices(abis).default('x86_64'))
    .option('--json', 'what was written, for machines')
    .addHelpText('after', help)
    .action(take)
}
