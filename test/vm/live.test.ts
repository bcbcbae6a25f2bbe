/**
 * Real kernels under a real QEMU: those that `sigframe vm fetch` brought, and those that SIGFRAME_TEST_KERNELS names
 * (paths, with colons between them). Without either, or without QEMU, they skip.
 */
import { describe, expect, type TestContext, test } from 'vitest'
import type { GenerationId } from '../../lib/contract/generations.ts'
import { cpuOf } from '../../lib/vm/cpus.ts'
import { findQemu, qemuModels } from '../../lib/vm/emulators/qemu.ts'
import { vmExitCode } from '../../lib/vm/exit-code.ts'
import { resolveKernel } from '../../lib/vm/kernels/resolve.ts'
import { cachedKernels } from '../../lib/vm/kernels/store.ts'
import { compareVersions } from '../../lib/vm/kernels/version.ts'
import type { MachineKernel, MachineResult, VmReport } from '../../lib/vm/machine.ts'
import { runMachines, type VmOptions } from '../../lib/vm/vm.ts'
import { needsProbes } from '../probe/support.ts'

const minute = 60_000
const long = Boolean(process.env.SIGFRAME_LONG)

interface LiveKernel extends MachineKernel {
  /** `6.12.43`, of its release; null where that is none. */
  readonly version: string | null
}

const versionIn = (release: string | null): string | null =>
  /^\d+\.\d+(?:\.\d+)?(?:-rc\d+)?/.exec(release ?? '')?.[0] ?? null

const liveKernels = async (): Promise<readonly LiveKernel[]> => {
  const given = (process.env.SIGFRAME_TEST_KERNELS ?? '').split(':').filter(path => path !== '')
  const named = await Promise.all(given.map(path => resolveKernel(path)))
  const cached = (await cachedKernels()).filter(({ flavour }) => flavour === 'cloud')
  return [
    ...named.map(({ path, image }) => ({
      name: path,
      path,
      release: image.release,
      version: versionIn(image.release),
    })),
    ...cached.map(({ version, path, image }) => ({
      name: `debian:${version}`,
      path,
      release: image.release,
      version,
    })),
  ]
}

/**
 * What a kernel of this version is, where that is known: frames with fewer components lose state since 6.15 (dc8aa31a7ac2),
 * until 7.1 (44eeff9bc467), and until 7.0.12 and 6.18.35 in the stable series.
 */
const expectedOf = (version: string | null): GenerationId | null => {
  if (version === null) return null
  const since = (first: string): boolean => compareVersions(version, first) >= 0
  const isRepaired = since('7.0.12') || (version.startsWith('6.18.') && since('6.18.35'))
  return !since('6.15-rc1') || isRepaired ? 'classic' : 'regressed'
}

const kernels = await liveKernels()

/** One of each: before, with, and after the regression. */
const oneOfEach = (): readonly LiveKernel[] => {
  const known = kernels.filter(({ version }) => expectedOf(version) !== null)
  const first = (is: (kernel: LiveKernel) => boolean): LiveKernel[] => known.filter(is).slice(0, 1)
  const isBefore = (version: string) => (kernel: LiveKernel) =>
    compareVersions(kernel.version as string, version) < 0
  return [
    ...first(kernel => isBefore('6.16-rc1')(kernel) && !isBefore('6.12')(kernel)),
    ...first(({ version }) => expectedOf(version) === 'regressed'),
    ...first(kernel => !isBefore('7.0.5')(kernel)),
  ]
}

const needsMachines = (ctx: TestContext): void => {
  needsProbes(ctx)
  if (kernels.length === 0)
    ctx.skip('no kernel to boot: sigframe vm fetch 6.12 brings one, or name some in SIGFRAME_TEST_KERNELS')
}

const boot = async (
  ctx: TestContext,
  changes: Partial<VmOptions> & Pick<VmOptions, 'kernels'>,
  cpus: readonly string[],
): Promise<VmReport> => {
  const search = await findQemu()
  if (search.found === null) return ctx.skip(search.missing)
  const models = await qemuModels()
  return await runMachines({
    cpus: cpus.map(name => cpuOf(name, models)),
    emulators: { qemu: search, bochs: { found: null, missing: 'not asked for' } },
    select: [],
    require: null,
    baseline: null,
    rule: null,
    long: false,
    pairs: false,
    sources: [],
    atOnce: null,
    // The host's hardware is not what is tested.
    acceleration: 'tcg',
    memoryMib: 1024,
    seconds: 900,
    append: '',
    signal: new AbortController().signal,
    onProgress: () => undefined,
    ...changes,
  })
}

const told = ({ kernel, cpu, status, reason, bundle }: MachineResult): string =>
  `${kernel.name} on ${cpu.name}: ${status} ${reason}${bundle?.kernel?.generation ?? ''}`

const failing = ({ bundle }: MachineResult): string[] =>
  (bundle?.cases ?? [])
    .filter(({ verdict }) => !['pass', 'skip', 'xfail'].includes(verdict))
    .map(({ id, verdict, observed }) => `${id}: ${verdict}, ${observed}`)

/** Of the kernels, in their order; what no version tells is only to have run. */
const expectRan = (machines: readonly MachineResult[], of: readonly LiveKernel[]): void => {
  const generations = new Map(of.map(({ name, version }) => [name, expectedOf(version)]))
  expect(machines.map(told)).toEqual(
    machines.map(machine => {
      const { kernel, cpu, bundle } = machine
      const generation = generations.get(kernel.name) ?? bundle?.kernel?.generation ?? ''
      return `${kernel.name} on ${cpu.name}: ran ${generation}`
    }),
  )
}

describe('one kernel of each kind', () => {
  const some = oneOfEach()

  test.skipIf(some.length === 0)(
    `is what its version says: ${some.map(({ name }) => name).join(' ')}`,
    async ctx => {
      needsMachines(ctx)
      const report = await boot(ctx, { kernels: some, select: ['xsave_header'] }, ['avx'])
      expectRan(report.machines, some)
      for (const { kernel, bundle, attempts, console } of report.machines) {
        expect(bundle?.kernel?.release).toBe(kernel.release)
        expect(bundle?.host.xcr0).toBe('0x7')
        expect(bundle?.cases.length).toBeGreaterThan(5)
        expect(attempts).toBeLessThanOrEqual(3)
        expect(console).toEqual([])
      }
    },
    30 * minute,
  )

  test(
    'frames of a CPU with fewer components, on one with more, and back',
    async ctx => {
      needsMachines(ctx)
      const of = [...some, ...kernels].slice(0, 1)
      const report = await boot(ctx, { kernels: of, select: ['xsave_header'], pairs: true }, [
        'avx',
        'avx-pkru',
      ])
      expectRan(report.machines, of)
      const [small, large] = report.machines as [MachineResult, MachineResult]
      for (const [machine, other] of [
        [small, large],
        [large, small],
      ] as const) {
        expect(machine.frames.length).toBeGreaterThan(0)
        expect(machine.replayed).toHaveLength(other.frames.length)
        for (const { from } of machine.replayed) expect(from).toMatch(new RegExp(`\\|${other.cpu.name}\\|`))
        expect(machine.replayed.filter(({ asExpected }) => asExpected !== true)).toEqual([])
      }
      // The smaller CPU has no PKRU: what the larger one's frame has of it is unknown there.
      expect(small.replayed.some(({ unknown }) => unknown.includes('pkru'))).toBe(true)
      expect(large.replayed.every(({ unknown }) => unknown.length === 0)).toBe(true)
    },
    30 * minute,
  )
})

describe.skipIf(!long)('all kernels', () => {
  test(
    'on three CPUs, the whole run: the regression in exactly those that have it',
    async ctx => {
      needsMachines(ctx)
      const report = await boot(ctx, { kernels }, ['no-xsave', 'avx', 'max'])
      expectRan(
        report.machines.filter(({ cpu }) => cpu.name !== 'no-xsave'),
        kernels,
      )
      // Without XSAVE a frame has no extended state to lose.
      expect(
        report.machines.filter(({ status }) => status !== 'ran').map(({ kernel }) => kernel.name),
      ).toEqual([])
      for (const machine of report.machines) {
        const generation = expectedOf(versionIn(machine.kernel.release))
        const name = `${machine.kernel.name} on ${machine.cpu.name}`
        const isLost = machine.cpu.name !== 'no-xsave' && generation === 'regressed'
        if (generation !== null)
          expect(failing(machine).length > 0, `${name}: ${failing(machine)}`).toBe(isLost)
      }
      const some = kernels.some(({ version }) => expectedOf(version) === 'regressed')
      expect(vmExitCode(report)).toBe(some ? 1 : 0)
    },
    180 * minute,
  )
})
