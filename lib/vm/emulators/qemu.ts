/** QEMU: found on PATH, asked for its version and its CPUs, and given a machine. */
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import {
  EmulatorError,
  type EmulatorSearch,
  type FoundEmulator,
  type Launch,
  type MachineSpec,
} from './emulator.ts'

const run = promisify(execFile)
const program = 'qemu-system-x86_64'
const askMs = 20_000
const askBytes = 4 << 20

const missing = `${program} is not on PATH: Debian and Ubuntu have it in qemu-system-x86, Fedora in qemu-system-x86-core`

/** The number in `QEMU emulator version 7.2.22 (Debian …)`. */
export const versionIn = (text: string): string => /version (\S+)/.exec(text)?.[1] ?? 'of unknown version'

/** The models in what `-cpu help` prints: `x86 Nehalem-v1 …`, and without the `x86` from 9.1 on. */
export const modelsIn = (text: string): ReadonlySet<string> => {
  const [models = ''] = text.split(/^Recognized CPUID flags/m)
  return new Set([...models.matchAll(/^(?:x86|\s)\s*([\w.-]+)/gm)].map(([, name]) => name as string))
}

/**
 * One host thread for all of a guest's CPUs: with a thread each, QEMU 7.2 now and then loses a race when the guest
 * patches its own code, and beside other work the CPUs wait for each other. A task that loops in the kernel leaves the
 * other CPU its turns.
 */
const accelerator: Readonly<Record<'kvm' | 'tcg', string>> = {
  tcg: 'tcg,thread=single',
  kvm: 'kvm',
}

export const qemuArguments = (
  spec: MachineSpec,
  files: Pick<Launch, 'console' | 'data'>,
): readonly string[] => [
  ...['-M', 'pc', '-accel', accelerator[spec.acceleration === 'kvm' ? 'kvm' : 'tcg'], '-cpu', spec.cpu],
  ...['-smp', String(spec.cpus), '-m', String(spec.memoryMib)],
  ...['-nodefaults', '-no-user-config', '-display', 'none', '-monitor', 'none', '-no-reboot'],
  // A comma in a path would begin an option: it is doubled.
  ...[
    '-chardev',
    `file,id=console,path=${files.console.replaceAll(',', ',,')}`,
    '-serial',
    'chardev:console',
  ],
  ...['-chardev', `file,id=data,path=${files.data.replaceAll(',', ',,')}`, '-serial', 'chardev:data'],
  ...['-kernel', spec.kernel, '-initrd', spec.initramfs, '-append', spec.commandLine],
]

const isMissing = (error: unknown): boolean => (error as NodeJS.ErrnoException).code === 'ENOENT'

const lastLine = (text: string): string => text.trim().split('\n').at(-1) as string

/** @throws EmulatorError where it is there and does not run */
const ask = async (args: readonly string[]): Promise<string | null> => {
  try {
    const { stdout } = await run(program, args, { timeout: askMs, maxBuffer: askBytes })
    return stdout
  } catch (error) {
    if (isMissing(error)) return null
    const { stderr = '', message } = error as Error & { stderr?: string }
    throw new EmulatorError(`${program} ${args.join(' ')} fails: ${lastLine(stderr || message)}`)
  }
}

/** QEMU, where it is on PATH. */
export const findQemu = async (): Promise<EmulatorSearch> => {
  const text = await ask(['--version'])
  if (text === null) return { found: null, missing }
  const found: FoundEmulator = {
    name: 'qemu',
    version: versionIn(text),
    prepare: async spec => {
      const console = join(spec.folder, 'console.log')
      const data = join(spec.folder, 'data.log')
      return { command: program, args: qemuArguments(spec, { console, data }), console, data }
    },
  }
  return { found }
}

/** What `--cpu` can name beyond the set; null where there is no QEMU. */
export const qemuModels = async (): Promise<ReadonlySet<string> | null> => {
  const text = await ask(['-cpu', 'help'])
  return text === null ? null : modelsIn(text)
}
