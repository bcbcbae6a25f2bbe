/** `sigframe vm`: the selftests on other kernels, in virtual machines. */
import { existsSync, realpathSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { type Command, InvalidArgumentError, Option } from 'commander'
import { type DemandId, requirable } from '../contract/demand.ts'
import { type RuleId, rules } from '../contract/rules.ts'
import type { Bundle } from '../harness/results.ts'
import { namedCpus } from '../vm/cpus.ts'
import type { MachineCpu, MachineKernel, VmReport } from '../vm/machine.ts'
import type { AccelerationChoice, VmOptions } from '../vm/vm.ts'
import { ExplainedError, UsageError } from './errors.ts'
import { interruptible, written } from './interrupt.ts'
import { numberIn } from './numbers.ts'
import { checkTarget, type Target, writeWhole } from './output-file.ts'
import { createProgress } from './progress.ts'
import { fileStyle, styleOf } from './terminal.ts'
import { addVmFetch, kernelErrorAtCli } from './vm-fetch.ts'

const formats = ['pretty', 'json', 'ktap', 'junit'] as const
type Format = (typeof formats)[number]

const accelerations: readonly AccelerationChoice[] = ['auto', 'kvm', 'tcg']
const leastSeconds = 10
const mostSeconds = 24 * 3600
const defaultSeconds = 600
const leastMemory = 512
const mostMemory = 1 << 20
const defaultMemory = 1024
const mostJobs = 256

const help = `
KERNEL is a bzImage, or debian:7.2 for one that sigframe vm fetch brought. MODEL
is one of

${namedCpus.map(({ name, about }) => `  ${name.padEnd(11)}${about}`).join('\n')}

or any that qemu-system-x86_64 -cpu help lists, with its flags. With --pairs
every machine's frames are sent on all others, too, with --frames those of
former results. NAME selects selftests and cases as in sigframe run; it stands
before --kernel and --cpu, which take many.

Exit codes: 0 every machine ran and passed; 1 a case failed, or a kernel did not
come through; 4 nothing could be booted here; 64 wrong usage; 70 an emulator, or
sigframe, is broken. With --bisect, for git bisect run: 0 good, 1 bad, 125 no
verdict.

Examples:
  sigframe vm --kernel arch/x86/boot/bzImage
  sigframe vm --kernel debian:6.18 debian:7.2 --cpu avx max --require classic
  sigframe vm --kernel bzImage --cpu avx max --pairs --output vm.json
  git bisect run sh -c 'make olddefconfig && make -j8 bzImage || exit 125
    sigframe vm --bisect --kernel arch/x86/boot/bzImage'
`

interface VmFlags {
  readonly kernel?: readonly string[]
  readonly cpu: readonly string[]
  readonly require?: DemandId
  readonly rule?: RuleId
  readonly baseline?: string
  readonly long?: true
  readonly pairs?: true
  readonly frames?: string
  readonly bisect?: true
  readonly jobs?: number
  readonly accel: AccelerationChoice
  readonly memory: number
  readonly timeout: number
  readonly append?: string
  readonly format?: Format
  readonly json?: true
  readonly output?: string
}

const formatFor = ({ format, json, output }: VmFlags): Format => {
  if (json === true && format !== undefined && format !== 'json')
    throw new UsageError(`--json asks for json, --format for ${format}: give one of them`)
  if (format !== undefined) return format
  if (json === true || output?.endsWith('.json')) return 'json'
  if (output?.endsWith('.xml')) return 'junit'
  return output !== undefined && /\.k?tap$/.test(output) ? 'ktap' : 'pretty'
}

const render = async (
  report: VmReport,
  format: Format,
  style: ReturnType<typeof styleOf>,
): Promise<string> => {
  switch (format) {
    case 'pretty':
      return (await import('../report/vm/text.ts')).vmText(report, style)
    case 'json':
      return (await import('../report/vm/json.ts')).vmJson(report)
    case 'ktap':
      return (await import('../report/vm/ktap.ts')).vmKtap(report)
    case 'junit':
      return (await import('../report/vm/junit.ts')).vmJunit(report)
  }
}

/** As much of the end of each path as tells it from the others. */
export const distinctNames = (paths: readonly string[]): readonly string[] => {
  const parts = paths.map(path =>
    path.split('/').filter((part, i) => (part !== '' || i === 0) && part !== '.'),
  )
  const ending = (of: readonly string[], count: number): string => of.slice(-count).join('/')
  return parts.map((own, i) => {
    for (let count = 1; count < own.length; count++) {
      const name = ending(own, count)
      if (parts.every((other, j) => i === j || ending(other, count) !== name)) return name
    }
    return own.join('/')
  })
}

const isPath = (text: string): boolean => !text.startsWith('debian:')

const kernelsOf = async (texts: readonly string[]): Promise<readonly MachineKernel[]> => {
  const { resolveKernel } = await import('../vm/kernels/resolve.ts')
  const paths = texts.filter(isPath)
  const names = new Map(distinctNames(paths).map((name, i) => [paths[i] as string, name]))
  const kernels: MachineKernel[] = []
  for (const text of texts) {
    try {
      const { name, path, image } = await resolveKernel(text)
      kernels.push({ name: names.get(text) ?? name, path, release: image.release })
    } catch (error) {
      throw kernelErrorAtCli(error)
    }
  }
  const files = kernels.map(({ path }) => realpathSync(path))
  const twice = kernels.find((_, i) => files.indexOf(files[i] as string) !== i)
  if (twice !== undefined) throw new UsageError(`--kernel ${twice.path} is given twice`)
  return kernels
}

const cpusOf = async (texts: readonly string[]): Promise<readonly MachineCpu[]> => {
  const [{ cpuOf }, { qemuModels }] = await Promise.all([
    import('../vm/cpus.ts'),
    import('../vm/emulators/qemu.ts'),
  ])
  const models = await qemuModels()
  try {
    return [...new Set(texts)].map(text => cpuOf(text, models))
  } catch (error) {
    throw error instanceof RangeError ? new UsageError(error.message) : error
  }
}

const findEmulators = async (cpus: readonly MachineCpu[]): Promise<VmOptions['emulators']> => {
  const [{ findQemu }, { findBochs }] = await Promise.all([
    import('../vm/emulators/qemu.ts'),
    import('../vm/emulators/bochs.ts'),
  ])
  const unused = { found: null, missing: 'not asked for' } as const
  const uses = (name: MachineCpu['emulator']): boolean => cpus.some(({ emulator }) => emulator === name)
  return {
    qemu: uses('qemu') ? await findQemu() : unused,
    bochs: uses('bochs') ? await findBochs() : unused,
  }
}

const readBaseline = async (file: string): Promise<Bundle> => {
  const { readBundle } = await import('../report/bundle.ts')
  return await readBundle(file)
}

/** The machines of former results that have frames to be sent. */
const framesIn = async (file: string): Promise<VmOptions['sources']> => {
  const { readVmReport } = await import('../report/vm/read.ts')
  const { machines } = await readVmReport(file)
  const sources = machines.filter(({ frames }) => frames.length > 0)
  if (sources.length === 0)
    throw new UsageError(`--frames ${file} has no frames: sigframe vm --pairs --output ${file} writes them`)
  // A kernel that was built anew has the name of the one before.
  return sources.map(one => ({ ...one, kernel: { ...one.kernel, name: `${one.kernel.name} of ${file}` } }))
}

/** A name that selects nothing is told before anything boots. */
const checkNames = async (names: readonly string[]): Promise<void> => {
  if (names.length === 0) return
  const [{ listSelftests }, { selectListing }] = await Promise.all([
    import('../harness/listing.ts'),
    import('./select.ts'),
  ])
  selectListing(await listSelftests(), names)
}

/** Options that take many values take what stands behind them, too. */
const checkNoName = async (option: string, values: readonly string[]): Promise<void> => {
  for (const value of values) {
    if (/[./]/.test(value) || existsSync(value)) continue
    const isName = await checkNames([value]).then(
      () => true,
      () => false,
    )
    if (isName) throw new UsageError(`${option} ${value} is a selftest: names stand before ${option}`)
  }
}

/** What of the host's troubles is explained; anything else as it is. */
const explained = (error: unknown): unknown =>
  error instanceof Error && (error.name === 'HostError' || error.name === 'EmulatorError')
    ? new ExplainedError(error.message)
    : kernelErrorAtCli(error)

const optionsFrom = async (
  names: readonly string[],
  flags: VmFlags,
): Promise<Omit<VmOptions, 'signal' | 'onProgress'>> => {
  if (flags.kernel === undefined) throw new UsageError('--kernel is missing: a bzImage, or debian:VERSION')
  await checkNames(names)
  await checkNoName('--kernel', flags.kernel)
  await checkNoName('--cpu', flags.cpu)
  const kernels = await kernelsOf(flags.kernel)
  const cpus = await cpusOf(flags.cpu)
  return {
    kernels,
    cpus,
    emulators: await findEmulators(cpus),
    select: names,
    require: flags.require ?? null,
    rule: flags.rule ?? null,
    baseline: flags.baseline === undefined ? null : await readBaseline(flags.baseline),
    long: flags.long === true,
    pairs: flags.pairs === true,
    sources: flags.frames === undefined ? [] : await framesIn(flags.frames),
    atOnce: flags.jobs ?? null,
    acceleration: flags.accel,
    memoryMib: flags.memory,
    seconds: flags.timeout,
    append: flags.append ?? '',
  }
}

const show = async (report: VmReport, format: Format, target: Target | null): Promise<void> => {
  // What took hours is shown, whatever becomes of the file.
  try {
    if (target !== null) await writeWhole(target, await render(report, format, fileStyle))
  } finally {
    await written(await render(report, target === null ? format : 'pretty', styleOf(process.stdout)))
  }
}

const tellBisect = async (report: VmReport): Promise<number> => {
  const { bisectVerdict } = await import('../vm/bisect.ts')
  const { code, why } = bisectVerdict(report, report.rule)
  process.stderr.write(`sigframe: ${{ 0: 'good', 1: 'bad', 125: 'no verdict' }[code]}: ${why}\n`)
  return code
}

const run = async (names: readonly string[], flags: VmFlags): Promise<void> => {
  if (flags.rule !== undefined && flags.bisect !== true)
    throw new UsageError('--rule is for --bisect: a run tells of every rule')
  const format = formatFor(flags)
  const target = flags.output === undefined ? null : checkTarget(flags.output)
  const options = await optionsFrom(names, flags).catch((error: unknown) => {
    throw explained(error)
  })
  const { runMachines } = await import('../vm/vm.ts')
  const progress = createProgress()
  await interruptible(async signal => {
    let report: VmReport
    try {
      report = await runMachines({
        ...options,
        signal,
        onProgress: ({ done, all, kernel, cpu, state }) =>
          progress.show(() => `${done} of ${all} machines; ${kernel} on ${cpu}: ${state}`),
      })
    } catch (error) {
      throw explained(error)
    } finally {
      progress.end()
    }
    await show(report, format, target)
    const { vmExitCode } = await import('../vm/exit-code.ts')
    process.exitCode = flags.bisect === true ? await tellBisect(report) : vmExitCode(report)
  })
}

const ruleNamed = (text: string): RuleId => {
  const rule = rules.find(({ id }) => id === text)
  if (rule === undefined)
    throw new InvalidArgumentError(`Allowed choices are ${rules.map(({ id }) => id).join(', ')}.`)
  return rule.id
}

export const addVm = (program: Command): void => {
  const vm = program
    .command('vm')
    .summary('run the selftests on other kernels, in virtual machines')
    .description('Boots each kernel on each CPU in a virtual machine and runs the selftests there.')
    // Otherwise it takes the options of fetch that have the same name.
    .enablePositionalOptions()
    .argument('[name...]', 'what to run; everything if left out')
    .option('--kernel <file...>', 'what to boot')
    .option('--cpu <model...>', 'what to boot it on', ['max'])
    .addOption(
      new Option(
        '--require <what>',
        'fail where a kernel lacks a rule of it: a generation, or a proposal',
      ).choices(requirable),
    )
    .option('--baseline <bundle>', 'fail every rule that held in these results (json) and holds no longer')
    .option('--long', 'run what needs many tries or seconds too')
    .option('--frames <report>', 'send the frames of these results (json) on each machine, too')
    .option('--pairs', "send each machine's frames on all others, and tell what is lost")
    .option('--bisect', 'exit as git bisect run wants it')
    .option('--rule <rule>', 'with --bisect: what alone is judged; of those that reports name', ruleNamed)
    .option(
      '--jobs <count>',
      `machines at a time; here ${availableParallelism()} if left out`,
      numberIn(1, mostJobs, true),
    )
    .addOption(
      new Option('--accel <how>', 'hardware acceleration, or software; auto tries it out')
        .choices(accelerations)
        .default('auto'),
    )
    .option('--memory <mib>', 'of a machine', numberIn(leastMemory, mostMemory, true), defaultMemory)
    .option('--timeout <seconds>', 'for a machine', numberIn(leastSeconds, mostSeconds, true), defaultSeconds)
    .option('--append <text>', "more of the kernel's command line")
    .addOption(
      new Option('--format <format>', 'how results are written; pretty if left out').choices(formats),
    )
    .option('--json', 'for machines: the same as --format json')
    .option(
      '-o, --output <file>',
      'write the results there; without --format its name tells it (.json .ktap .xml)',
    )
    .addHelpText('after', help)
    .action(async (names: string[], flags: VmFlags) => {
      await run(names, flags)
    })
  addVmFetch(vm)
}
