/** Debian's prebuilt kernels, by the machine's own package manager from its configured mirror. */
import { lstat, mkdir, readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { plural } from '../../report/text.ts'
import { cacheFolder, cacheProblem, needRoom, prepareFolder } from '../cache.ts'
import {
  type AptState,
  aptCache,
  aptError,
  asker,
  configuredSources,
  download,
  fingerprintOf,
  noDebian,
  prepareState,
  unpack,
  update,
  writeFileWhole,
} from './apt.ts'
import { isKernelError, KernelError } from './errors.ts'
import { type AvailableKernel, availableKernel, kernelPackages, kernelsIn } from './packages.ts'
import type { Source } from './sources.ts'
import { type CachedKernel, cachedKernel, inTemporary, keep } from './store.ts'
import { discoverSuites } from './suites.ts'
import type { ToolResult } from './tool.ts'
import { checkVersion, type Flavour, nameOf, resolveVersion } from './version.ts'

export interface DebianOptions {
  /** Of cacheFolder(), if left out. */
  readonly cache?: string
  readonly signal?: AbortSignal
  /** What is being done, for people; often. */
  readonly onProgress?: (text: string) => void
}

export interface FetchOptions extends DebianOptions {
  readonly flavour?: Flavour
}

export interface FetchedKernel extends CachedKernel {
  /** False where it was in the cache already. */
  readonly fetched: boolean
  readonly durationMs: number
}

const minute = 60_000
const hour = 60 * minute
/** Lists of this age are used again; such as are not whole, only for a while. */
const freshMs = 6 * hour
const partialMs = 10 * minute

/** What three releases' lists and apt's index of them take, with some to spare. */
const listsBytes = 300e6
/** What a package and all that is in it take, packed to unpacked. */
const unpackedFactor = 4

const aptFolder = (cache: string): string => join(cache, 'apt')
const catalogueFile = (cache: string): string => join(aptFolder(cache), 'kernels.json')

/** What was to be had when the lists were fetched. */
const catalogue = z.object({
  /** In ms since 1970. */
  at: z.number(),
  /** Of the configuration that it was for. */
  fingerprint: z.string(),
  isWhole: z.boolean(),
  kernels: z.array(availableKernel),
})
type Catalogue = Readonly<z.infer<typeof catalogue>>

const readCatalogue = async (cache: string): Promise<Catalogue | null> => {
  try {
    return catalogue.parse(JSON.parse(await readFile(catalogueFile(cache), 'utf8')))
  } catch {
    return null
  }
}

const writeCatalogue = async (cache: string, known: Catalogue): Promise<void> => {
  try {
    await writeFileWhole(catalogueFile(cache), JSON.stringify(known))
  } catch (error) {
    throw cacheProblem(error, cache)
  }
}

/** Whether it is of this configuration and of this time, in ms since 1970, or later; but not of the future. */
const isFresh = (known: Catalogue, fingerprint: string, since: number): boolean =>
  known.fingerprint === fingerprint && known.at >= since && known.at <= Date.now()

const isRecent = (known: Catalogue, fingerprint: string): boolean =>
  isFresh(known, fingerprint, Date.now() - (known.isWhole ? freshMs : partialMs))

/** The suites to fetch from. @throws KernelError where none of what is configured is Debian's, or none answers */
const debianSuites = async (
  configured: readonly Source[],
  cache: string,
  signal: AbortSignal | undefined,
): Promise<readonly Source[]> => {
  if (configured.length === 0) throw noDebian('apt is not configured for any archive')
  const state = await prepareState(join(aptFolder(cache), 'suites'), false)
  const results: ToolResult[] = []
  let answered = 0
  const ask = asker(state, result => results.push(result), signal)
  const suites = await discoverSuites(configured, async sources => {
    const releases = await ask(sources)
    answered += releases.size
    return releases
  })
  if (suites.length > 0) return suites
  const [first] = results
  if (answered > 0 || first === undefined)
    throw noDebian("none of the archives that apt is configured for is Debian's")
  throw aptError('no archive that apt is configured for could be read', first, 'mirror')
}

const kernelsOf = async (
  state: AptState,
  signal: AbortSignal | undefined,
): Promise<readonly AvailableKernel[]> => {
  const names = kernelPackages((await aptCache(state, ['pkgnames', 'linux-'], signal)).split('\n'))
  if (names.length === 0) return []
  const madison = await aptCache(state, ['madison', ...names], signal)
  return kernelsIn(madison, await aptCache(state, ['show', '--all-versions', ...names], signal))
}

/** A catalogue, and how to tell whether it is good enough. */
interface Wanted {
  readonly configured: readonly Source[]
  readonly fingerprint: string
  readonly fits: (known: Catalogue) => boolean
}

const fitting = async (cache: string, { fits }: Wanted): Promise<Catalogue | null> => {
  const known = await readCatalogue(cache)
  return known !== null && fits(known) ? known : null
}

const updateNow = async (
  state: AptState,
  wanted: Wanted,
  { cache = cacheFolder(), signal, onProgress }: DebianOptions,
): Promise<void> => {
  await needRoom(state.folder, listsBytes)
  onProgress?.('asking the mirror which suites it has')
  const suites = await debianSuites(wanted.configured, cache, signal)
  onProgress?.(`fetching the lists of ${plural(suites.length, 'suite')}`)
  const at = Date.now()
  const isDone = async (): Promise<boolean> => (await fitting(cache, wanted)) !== null
  const result = await update(state, suites, isDone, signal)
  if (result === null) return
  onProgress?.('reading the lists')
  const kernels = await kernelsOf(state, signal)
  // Where nothing answers, apt warns, keeps what it had, and calls that a success.
  const isWhole = result.code === 0 && !/^W: (Failed to fetch|Some index files)/m.test(result.stderr)
  if (kernels.length === 0)
    throw isWhole
      ? noDebian('the configured mirror has no kernels for amd64')
      : aptError('the lists of packages could not be fetched', result, 'mirror')
  await writeCatalogue(cache, { at, fingerprint: wanted.fingerprint, isWhole, kernels: [...kernels] })
}

/** One update at a time for each cache, whoever waits for it. */
const underWay = new Map<string, Promise<void>>()

const aborted = (signal: AbortSignal | undefined): Promise<never> =>
  new Promise((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason), { once: true }))

/** Does the update, or waits for the one that is under way. @returns whether it was this one's own */
const shareUpdate = async (options: DebianOptions, work: () => Promise<void>): Promise<boolean> => {
  const { cache = cacheFolder(), signal, onProgress } = options
  signal?.throwIfAborted()
  const known = underWay.get(cache)
  if (known !== undefined) {
    onProgress?.('waiting for the lists')
    // That another one was called off, or failed, is not ours.
    await Promise.race([known.catch(() => undefined), aborted(signal)])
    return false
  }
  const started = work().finally(() => underWay.delete(cache))
  underWay.set(cache, started)
  await started
  return true
}

interface Offer {
  readonly state: AptState
  readonly kernels: readonly AvailableKernel[]
}

/** What is to be had, by lists that are recent, or of this time or later. */
const offer = async (options: DebianOptions, since: number | null): Promise<Offer> => {
  const { cache = cacheFolder(), signal } = options
  await prepareFolder(cache)
  const configured = await configuredSources(signal)
  const fingerprint = fingerprintOf(configured)
  const wanted: Wanted = {
    configured,
    fingerprint,
    fits: known => (since === null ? isRecent(known, fingerprint) : isFresh(known, fingerprint, since)),
  }
  const state = await prepareState(join(aptFolder(cache), 'packages'), true)
  for (let isOwn = false; ; ) {
    const known = await fitting(cache, wanted)
    if (known !== null) return { state, kernels: known.kernels }
    if (isOwn) throw new Error('the lists were fetched and cannot be read')
    isOwn = await shareUpdate(options, () => updateNow(state, wanted, options))
  }
}

/** All kernels that are to be had, oldest first. @throws KernelError, CacheError */
export const listKernels = async (options: DebianOptions = {}): Promise<readonly AvailableKernel[]> =>
  (await offer(options, null)).kernels

/** Regular files whose path in the package fits. */
const filesLike = async (folder: string, pattern: RegExp): Promise<readonly string[]> => {
  const paths = (await readdir(folder, { recursive: true })).filter(path => pattern.test(path)).sort()
  const found = await Promise.all(
    paths.map(async path => ((await lstat(join(folder, path))).isFile() ? [join(folder, path)] : [])),
  )
  return found.flat()
}

const vmlinuzLike = /^(boot\/vmlinuz-|(usr\/)?lib\/modules\/[^/]+\/vmlinuz)[^/]*$/
const configLike = /^(boot\/config-[^/]+|(usr\/)?lib\/modules\/[^/]+\/config)$/

const fetchPackages = async (
  state: AptState,
  kernel: AvailableKernel,
  { cache, signal }: DebianOptions,
): Promise<CachedKernel> =>
  await inTemporary(cache, async folder => {
    await needRoom(folder, kernel.bytes * unpackedFactor)
    const packages = join(folder, 'packages')
    const unpacked = join(folder, 'unpacked')
    await mkdir(packages)
    await mkdir(unpacked)
    const names = [kernel.package, ...(kernel.config === null ? [] : [kernel.config])]
    await download(
      state,
      names.map(name => `${name}=${kernel.packageVersion}`),
      packages,
      signal,
    )
    for (const file of (await readdir(packages)).filter(name => name.endsWith('.deb')).sort()) {
      await unpack(join(packages, file), unpacked, signal)
      // Twice its size on a full disk would be once too many.
      await rm(join(packages, file))
    }
    const [vmlinuz] = await filesLike(unpacked, vmlinuzLike)
    const [config = null] = await filesLike(unpacked, configLike)
    if (vmlinuz === undefined)
      throw new KernelError(
        'apt',
        `the package ${kernel.package} ${kernel.packageVersion} has no vmlinuz in it`,
      )
    signal?.throwIfAborted()
    return await keep(kernel, { vmlinuz, config }, folder, cache)
  })

/** What an update can repair: lists that know nothing of it, or of a package that the mirror has no longer. */
const isOutdated = (error: unknown): boolean => isKernelError(error, 'unknown') || isKernelError(error, 'apt')

/**
 * Brings a kernel into the cache, unless it is there.
 * @param wanted `7.2` is the newest 7.2.x that is to be had, `7.2.12` that one
 * @throws KernelError, CacheError; the signal's reason, with nothing left behind
 */
export const fetchKernel = async (wanted: string, options: FetchOptions = {}): Promise<FetchedKernel> => {
  const { flavour = 'cloud', cache, onProgress } = options
  checkVersion(wanted)
  const start = performance.now()
  const done = (kernel: CachedKernel, fetched: boolean): FetchedKernel => ({
    ...kernel,
    fetched,
    durationMs: performance.now() - start,
  })
  const cached = await cachedKernel(nameOf(wanted, flavour), cache)
  if (cached !== null) return done(cached, false)
  const bring = async (since: number | null): Promise<FetchedKernel> => {
    const { state, kernels } = await offer(options, since)
    const offered = kernels.filter(kernel => kernel.flavour === flavour)
    const versions = offered.map(kernel => kernel.version)
    const version = resolveVersion(wanted, versions)
    const name = nameOf(version, flavour)
    const there = await cachedKernel(name, cache)
    if (there !== null) return done(there, false)
    onProgress?.(`debian:${name}: fetching`)
    return done(
      await fetchPackages(state, offered[versions.indexOf(version)] as AvailableKernel, options),
      true,
    )
  }
  try {
    return await bring(null)
  } catch (error) {
    // Lists of this process's own time are as new as they get.
    const known = await readCatalogue(cache ?? cacheFolder())
    if (!isOutdated(error) || known === null || known.at >= performance.timeOrigin) throw error
    return await bring(performance.timeOrigin).catch(later => {
      throw isKernelError(later, 'mirror') ? error : later
    })
  }
}
