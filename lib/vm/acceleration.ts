/** Whether the host's hardware can run a machine: not what it promises, but what a machine does. */
import { access, constants, mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { release } from 'node:os'
import { join } from 'node:path'
import { cacheFolder, prepareFolder } from './cache.ts'
import { linesOf } from './console.ts'
import type { FoundEmulator } from './emulators/emulator.ts'
import { cachedKernels } from './kernels/store.ts'
import type { MachineKernel } from './machine.ts'
import type { Place } from './places.ts'
import { channelLines, saidIn } from './said.ts'
import { watchMachine } from './watch.ts'

export interface FoundAcceleration {
  readonly kind: 'kvm' | 'tcg'
  /** Why, in one line. */
  readonly reason: string
}

const device = '/dev/kvm'
/** Seconds. Under KVM the canary is off within one; where KVM is nested it may hang for ever. */
const canarySeconds = 10

const isAccessible = async (path: string, mode: number): Promise<boolean> => {
  try {
    await access(path, mode)
    return true
  } catch {
    return false
  }
}

/** A machine whose only task is to say what its kernel lacks, and to go off. */
const canarySings = async (
  emulator: FoundEmulator,
  kernel: string,
  { slot, folder }: Place,
  signal: AbortSignal,
): Promise<boolean> => {
  await mkdir(folder, { recursive: true })
  try {
    const text = 'seconds 5\narg /init\narg --check\n'
    await slot.put([{ kind: 'file', name: 'job', executable: false, bytes: Buffer.from(text) }])
    const spec = {
      kernel,
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

/**
 * A kernel that is known to boot: the host's own, or one that was fetched. What is to be tried out may not boot at all, which
 * would say nothing of the hardware.
 */
const provenKernel = async (given: MachineKernel): Promise<string> => {
  const own = `/boot/vmlinuz-${release()}`
  if (await isAccessible(own, constants.R_OK)) return own
  const [fetched] = await cachedKernels()
  return fetched?.path ?? given.path
}

/** What the answer depends on. */
const keyOf = async (emulator: FoundEmulator): Promise<string> => {
  const boot = await readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(() => '')
  return `${boot.trim()} ${release()} qemu ${emulator.version}`
}

/** Milliseconds for which a machine that did not sing is believed; the host may have been busy. */
const silenceKeptMs = 3600 * 1000

/** The answer of a former canary, or null where there is none that still holds. */
const rememberedAnswer = async (file: string, key: string): Promise<boolean | null> => {
  const [known, answer] = (await readFile(file, 'utf8').catch(() => '')).split('\n')
  if (known !== key) return null
  if (answer === 'kvm') return true
  return Date.now() - (await stat(file)).mtimeMs < silenceKeptMs ? false : null
}

const sings = 'a canary booted with it'
const silent = `${device} is there, but no machine came to its end with it`

/**
 * KVM where it works, otherwise software. That it works is remembered for as long as the host runs, that it does not for an
 * hour: finding out costs seconds then.
 */
export const findAcceleration = async (
  emulator: FoundEmulator,
  given: MachineKernel,
  { slot, folder }: Place,
  signal: AbortSignal,
): Promise<FoundAcceleration> => {
  if (!(await isAccessible(device, constants.R_OK | constants.W_OK)))
    return { kind: 'tcg', reason: `${device} is not there, or not for this user` }
  const file = join(await prepareFolder(cacheFolder()), 'acceleration')
  const key = await keyOf(emulator)
  const remembered = await rememberedAnswer(file, key)
  const does =
    remembered ?? (await canarySings(emulator, await provenKernel(given), { slot, folder }, signal))
  // Lost to another process that writes the same: no harm.
  if (remembered === null && !signal.aborted)
    await writeFile(file, `${key}\n${does ? 'kvm' : 'tcg'}\n`).catch(() => undefined)
  return does ? { kind: 'kvm', reason: sings } : { kind: 'tcg', reason: silent }
}
