/** The CPUs that a machine can have: a small set whose frames differ in size, and every model of the emulator's own. */
import { outOfRange } from '../errors.ts'
import type { EmulatorName, MachineCpu } from './machine.ts'

interface NamedCpu {
  readonly name: string
  readonly emulator: EmulatorName
  /** Tried in this order: the first whose model the installed emulator has. */
  readonly models: readonly string[]
  readonly about: string
}

/**
 * CMPXCHG16B is left out of `max`: QEMU 7.2 fails to emulate it for kernels up to 6.12 (double fault in the slab allocator).
 */
export const namedCpus: readonly NamedCpu[] = [
  {
    name: 'no-xsave',
    emulator: 'qemu',
    models: ['Nehalem', 'Penryn', 'core2duo'],
    about: 'no XSAVE: frames of FXSAVE alone',
  },
  {
    name: 'sse',
    emulator: 'qemu',
    models: ['max,-avx,-mpx,-pku,-cx16'],
    about: 'XSAVE with x87 and SSE',
  },
  { name: 'avx', emulator: 'qemu', models: ['Haswell-noTSX', 'Haswell', 'SandyBridge'], about: 'and AVX' },
  { name: 'avx-mpx', emulator: 'qemu', models: ['max,-pku,-cx16'], about: 'and AVX, MPX' },
  {
    name: 'avx-pkru',
    emulator: 'qemu',
    models: ['max,-mpx,-cx16'],
    about: 'and AVX, PKRU: a hole between them',
  },
  { name: 'max', emulator: 'qemu', models: ['max,-cx16'], about: 'all that QEMU emulates' },
  {
    name: 'skylake-x',
    emulator: 'bochs',
    models: ['corei7_skylake_x'],
    about: "AVX-512, Intel's layout; Bochs, slow",
  },
]

/** As QEMU's own texts have it: a model, and properties of it. */
const modelOf = (text: string): string => text.split(',', 1)[0] as string

/**
 * The CPU that a `--cpu` means.
 * @param models what `qemu-system-x86_64 -cpu help` lists; null where there is no QEMU to ask
 * @throws RangeError for a name that neither the set nor QEMU knows
 */
export const cpuOf = (name: string, models: ReadonlySet<string> | null): MachineCpu => {
  const named = namedCpus.find(one => one.name === name)
  if (named !== undefined) {
    const { emulator } = named
    const offered =
      emulator === 'qemu' && models !== null
        ? named.models.find(text => models.has(modelOf(text)))
        : named.models[0]
    if (offered === undefined)
      throw outOfRange('--cpu', name, `but this QEMU has none of ${named.models.join(' ')}`)
    return { name, emulator, model: offered }
  }
  if (models !== null && !models.has(modelOf(name)))
    throw outOfRange(
      '--cpu',
      name,
      `must be one of ${namedCpus.map(one => one.name).join(' ')}, or a model that qemu-system-x86_64 -cpu help lists`,
    )
  return { name, emulator: 'qemu', model: name }
}
