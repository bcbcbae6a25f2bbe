/** Whether the host's hardware can run a machine: not what it promises, but what a machine does. */
import { access, constants, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { release } from 'node:os'
import { join } from 'node:path'
import { cacheFolder, prepareFolder } from './cache.ts'
import { linesOf } from './console.ts'
import type { FoundEmulator } from './emulators/emulator.ts'
import type { Slot } from './initramfs/image.ts'
import type { MachineKernel } from './machine.ts'
import { channelLines, saidIn } from './said.ts'
import { watchMachine } from './watch.ts'

export interface Acceleration {
  readonly kind: 'kvm' | 'tcg'
  /** Why, in one line. */
  readonly reason: string
}

const device = '/dev/kvm'
/** Seconds. Under KVM the canary is off within one; where KVM is nested it may hang for ever. */
const canarySeconds = 10

const isAccessible = async (path: string): Promise<boolean> => {
  try {
    await access(path, constants.R_OK | constants.W_OK)
    return true
  } catch {
    return false
  }
}

/** A machine whose only task is to say what its kernel lacks, and to go off. */
const canarySings = async (
  emulator: FoundEmulator,
  kernel: MachineKernel,
  slot: Slot,
  folder: string,
  signal: AbortSignal,
): Promise<boolean> => {
  await mkdir(folder, { recursive: true })
  try {
    const text = 'seconds 5\narg /init\narg --check\n'
    await slot.put([{ kind: 'file', name: 'job', executable: false, bytes: Buffer.from(text) }])
    const spec = {
      kernel: kernel.path,
      initramfs: slot.path,
      cpu: 'max',
      commandLine: 'console=ttyS0 quiet panic=-1 oops=panic',
      memoryMib: 1024,
      cpus: 2,
      acceleration: 'kvm',
      folder,
    } as const
    const limits = { bootSeconds: canarySeconds, seconds: canarySeconds, silence: canarySeconds }
    const launch = await emulator.prepare(spec, signal)
    const { data, console, code } = await watchMachine(launch, limits, () => undefined, signal)
    const said = saidIn(channelLines(data, linesOf(console)))
    return code === 0 && said.ends && said.ended === 'exit code 0'
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** What the answer depends on: it holds until one of them changes. */
const keyOf = async (emulator: FoundEmulator): Promise<string> => {
  const boot = await readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(() => '')
  return `${boot.trim()} ${release()} qemu ${emulator.version}`
}

const sings = 'a canary booted with it'
const silent = `${device} is there, but a machine with it did not come to its end in ${canarySeconds} s`

/**
 * KVM where it works, otherwise software. The canary's answer is kept in the cache for as long as the host runs: where KVM
 * does not work it costs seconds.
 */
export const findAcceleration = async (
  emulator: FoundEmulator,
  kernel: MachineKernel,
  slot: Slot,
  folder: string,
  signal: AbortSignal,
): Promise<Acceleration> => {
  if (!(await isAccessible(device)))
    return { kind: 'tcg', reason: `${device} is not there, or not for this user` }
  const file = join(await prepareFolder(cacheFolder()), 'acceleration')
  const key = await keyOf(emulator)
  const [known, answer] = (await readFile(file, 'utf8').catch(() => '')).split('\n')
  const does = known === key ? answer === 'kvm' : await canarySings(emulator, kernel, slot, folder, signal)
  // Lost to another process that writes the same: no harm.
  if (known !== key && !signal.aborted)
    await writeFile(file, `${key}\n${does ? 'kvm' : 'tcg'}\n`).catch(() => undefined)
  return does ? { kind: 'kvm', reason: sings } : { kind: 'tcg', reason: silent }
}
