/** `sigframe vm fetch`: Debian's prebuilt kernels, to be booted. */
import { type Command, Option } from 'commander'
import { align, oneLine } from '../report/text.ts'
import type { FetchedKernel } from '../vm/kernels/debian.ts'
import type { AvailableKernel } from '../vm/kernels/packages.ts'
import type { CachedKernel } from '../vm/kernels/store.ts'
import { compareVersions, type Flavour, flavours, isVersion, nameOf } from '../vm/kernels/version.ts'
import { ExplainedError, UsageError } from './errors.ts'
import { interruptible, written } from './interrupt.ts'
import { createProgress } from './progress.ts'

const help = `
VERSION is a series, 7.2 for the newest 7.2.x, or one kernel, 7.0.4. What is
brought is unpacked into the cache ($SIGFRAME_CACHE, else sigframe in
$XDG_CACHE_HOME, else ~/.cache/sigframe) and never installed; apt works with a
state of its own, on the mirror that this machine is configured for.

Exit codes: 0 all are there; 1 some are not; 64 wrong usage; 70 kernels cannot
be fetched on this machine at all.

Examples:
  sigframe vm fetch 7.2
  sigframe vm fetch 6.12 6.18.5 7.0.4 7.3
  sigframe vm fetch --list
  sigframe vm fetch 7.2 --flavour amd64
`

interface FetchFlags {
  readonly list?: true
  readonly json?: true
  readonly flavour: Flavour
}

const notTheirs: ReadonlySet<string> = new Set(['apt', 'mirror', 'no-debian'])

/** What of the kernels' errors is the user's mistake, and what is explained; anything else as it is. */
export const kernelErrorAtCli = (error: unknown): unknown => {
  if (!(error instanceof Error)) return error
  if (error.name === 'CacheError') return new ExplainedError(error.message)
  if (error.name !== 'KernelError') return error
  const { problem } = error as Error & { readonly problem?: string }
  return problem !== undefined && notTheirs.has(problem)
    ? new ExplainedError(error.message)
    : new UsageError(error.message)
}

/** Whether nothing at all can be fetched. */
const isGeneral = (error: unknown): boolean => {
  if (error instanceof Error && error.name === 'CacheError') return true
  const { problem } = error as { readonly problem?: string }
  return problem === 'no-debian' || problem === 'mirror'
}

const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`

const nameFor = ({ version, flavour }: Pick<CachedKernel, 'version' | 'flavour'>): string =>
  `debian:${nameOf(version, flavour)}`

const cachedJson = ({ image, ...kernel }: CachedKernel) => ({
  name: nameFor(kernel),
  ...kernel,
  bytes: image.bytes,
  release: image.release,
})

const listText = (available: readonly AvailableKernel[], cached: readonly CachedKernel[]): string => {
  const there = new Set(cached.map(nameFor))
  const offered = new Set(available.map(nameFor))
  const rows = [
    ...available.map(kernel => ({ ...kernel, note: there.has(nameFor(kernel)) ? 'in the cache' : '' })),
    ...cached
      .filter(kernel => !offered.has(nameFor(kernel)))
      .map(({ image, ...kernel }) => ({ ...kernel, bytes: null, note: 'in the cache, no longer to be had' })),
  ].sort((a, b) => compareVersions(a.version, b.version))
  const lines = align(
    rows.map(kernel => [
      nameFor(kernel),
      kernel.bytes === null ? '' : megabytes(kernel.bytes),
      kernel.suite,
      kernel.package,
      kernel.note,
    ]),
    [1],
  )
  return lines.map(line => `${line}\n`).join('')
}

const list = async (flags: FetchFlags, signal: AbortSignal): Promise<void> => {
  const { listKernels } = await import('../vm/kernels/debian.ts')
  const { cachedKernels } = await import('../vm/kernels/store.ts')
  const isMeant = ({ flavour }: { readonly flavour: Flavour }): boolean => flavour === flags.flavour
  const cached = (await cachedKernels()).filter(isMeant)
  const progress = createProgress()
  let available: readonly AvailableKernel[] = []
  let problem: unknown = null
  try {
    const onProgress = (text: string): void => progress.show(() => text)
    available = (await listKernels({ signal, onProgress })).filter(isMeant)
  } catch (error) {
    if (signal.aborted) return
    problem = kernelErrorAtCli(error)
  } finally {
    progress.end()
  }
  if (problem !== null && !(problem instanceof ExplainedError)) throw problem
  if (flags.json) {
    const { toJson } = await import('../report/json.ts')
    const said = problem === null ? null : problem.message
    await written(
      toJson({
        available: available.map(kernel => ({ name: nameFor(kernel), ...kernel })),
        cached: cached.map(cachedJson),
        problem: said,
      }),
    )
  } else await written(listText(available, cached))
  if (problem !== null) throw problem
}

interface Failure {
  readonly version: string
  readonly reason: string
}

const lineOf = (kernel: FetchedKernel): string =>
  `${nameFor(kernel)}  ${megabytes(kernel.image.bytes)}  ${kernel.path}  ${kernel.fetched ? 'fetched' : 'already there'}\n`

const fetchedJson = ({ fetched, durationMs, ...kernel }: FetchedKernel) => ({
  ...cachedJson(kernel),
  fetched,
  durationMs,
})

/** One after the other: what limits is the network. @returns whether all of them are there */
const fetchAll = async (
  versions: readonly string[],
  flags: FetchFlags,
  signal: AbortSignal,
): Promise<boolean> => {
  const { fetchKernel } = await import('../vm/kernels/debian.ts')
  const { cachedKernel } = await import('../vm/kernels/store.ts')
  const kernels: FetchedKernel[] = []
  const failures: Failure[] = []
  let impossible: ExplainedError | null = null
  for (const version of versions) {
    // What is in the cache needs no mirror.
    if (impossible !== null && (await cachedKernel(nameOf(version, flags.flavour))) === null) {
      failures.push({ version, reason: impossible.message })
      continue
    }
    const progress = createProgress()
    const onProgress = (text: string): void => progress.show(() => text)
    try {
      const kernel = await fetchKernel(version, { flavour: flags.flavour, signal, onProgress })
      progress.end()
      kernels.push(kernel)
      if (!flags.json) await written(lineOf(kernel))
    } catch (error) {
      progress.end()
      if (signal.aborted) break
      const told = kernelErrorAtCli(error)
      if (!(told instanceof ExplainedError) && !(told instanceof UsageError)) throw told
      if (isGeneral(error)) impossible = told
      else process.stderr.write(`sigframe: debian:${version}: ${oneLine(told.message)}\n`)
      failures.push({ version, reason: told.message })
    }
  }
  if (flags.json) {
    const { toJson } = await import('../report/json.ts')
    await written(toJson({ kernels: kernels.map(fetchedJson), failures }))
  }
  if (impossible !== null) throw impossible
  return failures.length === 0
}

const fetch = async (versions: readonly string[], flags: FetchFlags): Promise<void> => {
  if (flags.list && versions.length > 0)
    throw new UsageError(`--list shows all there is: leave out ${versions.join(' ')}, or --list`)
  if (!flags.list && versions.length === 0)
    throw new UsageError('which versions? sigframe vm fetch --list shows what is to be had')
  for (const version of versions)
    if (!isVersion(version))
      throw new UsageError(
        `${JSON.stringify(version.slice(0, 48))} is no version of a kernel, such as 7.2 or 7.0.4`,
      )
  await interruptible(async signal => {
    if (flags.list) await list(flags, signal)
    else if (!(await fetchAll(versions, flags, signal))) process.exitCode = 1
  })
}

/** @param vm the command that this is one of */
export const addVmFetch = (vm: Command): void => {
  vm.command('fetch')
    .summary("bring Debian's prebuilt kernels into the cache")
    .description("Brings Debian's prebuilt kernels into the cache, where --kernel debian:VERSION finds them.")
    .argument('[version...]', 'which kernels: 7.2 is the newest 7.2.x, 7.0.4 that one')
    .option('--list', 'print what is to be had, and what is in the cache')
    .addOption(
      new Option('--flavour <flavour>', 'for virtual machines, or for everything (with x32)')
        .choices(flavours)
        .default('cloud' satisfies Flavour),
    )
    .option('--json', 'for machines')
    .addHelpText('after', help)
    .action(async (versions: string[], flags: FetchFlags) => {
      await fetch(versions, flags)
    })
}
