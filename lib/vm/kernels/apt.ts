/**
 * The machine's own package manager, with a state of its own: its lists, its cache and its sources are in our cache
 * folder, and nothing is installed. How it reaches the network (proxies, certificates, passwords) stays as configured.
 */
import { createHash } from 'node:crypto'
import { readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { cacheProblem, prepareFolder } from '../cache.ts'
import { KernelError } from './errors.ts'
import { keyOf, parseDeb822, parseSourcesList, type Source, sourcesText } from './sources.ts'
import { type Ask, parseRelease, type Release } from './suites.ts'
import { runTool, type ToolOptions, type ToolResult } from './tool.ts'

const minute = 60_000
const updateMs = 15 * minute
const downloadMs = 15 * minute
const queryMs = 3 * minute
const busyMostMs = 20 * minute
const busyPauseMs = 500

const sourcesName = 'debian.sources'

/** What every message about a machine without Debian ends with. */
const remedy = 'pass the path of a bzImage instead'

export const noDebian = (why: string): KernelError =>
  new KernelError('no-debian', `Debian's kernels cannot be fetched here: ${why}; ${remedy}`)

// English messages, whatever the user speaks, and nobody to ask.
const environment = { LC_ALL: 'C', LANGUAGE: 'C', DEBIAN_FRONTEND: 'noninteractive' }

const run = async (
  command: string,
  words: readonly string[],
  options: Omit<ToolOptions, 'env'>,
): Promise<ToolResult> => {
  const result = await runTool(command, words, { ...options, env: environment })
  if (result === null) throw noDebian(`there is no ${command} on this machine`)
  return result
}

const unfit = /^\s|^$/

/** What apt or dpkg said last, errors before warnings, in one line. */
export const complaintOf = ({ stdout, stderr, timedOut, code }: ToolResult): string => {
  if (timedOut) return 'it took too long'
  const lines = [...stdout.split('\n'), ...stderr.split('\n')].filter(line => !unfit.test(line))
  const like = (pattern: RegExp): readonly string[] => lines.filter(line => pattern.test(line))
  // apt ends with a line that says no more than that something failed.
  const errors = like(/^E: |error: /).filter(
    line => !/Some index files failed|Unable to fetch some/.test(line),
  )
  const [telling = lines] = [errors, like(/^W: Failed/), like(/^Err:/)].filter(some => some.length > 0)
  const told = telling.slice(-2).map(line => line.replace(/^[EW]: /, ''))
  return told.length === 0
    ? `it ended with ${code === null ? 'a signal' : `exit code ${code}`}`
    : told.join('; ')
}

export const aptError = (what: string, result: ToolResult, problem: 'apt' | 'mirror' = 'apt'): KernelError =>
  new KernelError(problem, `${what}: ${complaintOf(result)}`)

/** Where apt looks for its sources. */
const configuredFiles = async (signal: AbortSignal | undefined): Promise<readonly string[]> => {
  const words = ['shell', 'list', 'Dir::Etc::sourcelist/f', 'parts', 'Dir::Etc::sourceparts/d']
  const { stdout } = await run('apt-config', words, { signal, timeoutMs: queryMs })
  const pathOf = (name: string): string | undefined => new RegExp(`^${name}='(.*)'$`, 'm').exec(stdout)?.[1]
  const [list, parts] = [pathOf('list'), pathOf('parts')]
  const names = parts === undefined ? [] : await readdir(parts).catch(() => [])
  // sources.list(5): other names are not read.
  const read = names.filter(name => /^[\w:-][\w.:-]*\.(list|sources)$/.test(name)).sort()
  return [...(list === undefined ? [] : [list]), ...read.map(name => join(parts ?? '', name))]
}

/** What apt is configured to fetch from, whoever's archives these are. @throws KernelError */
export const configuredSources = async (signal?: AbortSignal): Promise<readonly Source[]> => {
  const sources: Source[] = []
  for (const file of await configuredFiles(signal)) {
    let text: string
    try {
      text = await readFile(file, 'utf8')
    } catch {
      // Missing, or not for this user: as good as not configured.
      continue
    }
    sources.push(...(file.endsWith('.sources') ? parseDeb822(text) : parseSourcesList(text)))
  }
  return sources
}

/** Which configuration some lists were fetched for. */
export const fingerprintOf = (sources: readonly Source[]): string =>
  createHash('sha256').update(JSON.stringify(sources)).digest('hex')

/** A path as apt.conf takes it. */
const quoted = (path: string): string => {
  if (/["\n]/.test(path))
    throw new KernelError('apt', `the cache folder ${path} has a name that apt.conf cannot hold`)
  return `"${path}"`
}

/**
 * @param folder of this state
 * @param withPackages whether an update fetches lists of packages, or Release files alone
 */
const configText = (folder: string, withPackages: boolean): string => `Dir::State ${quoted(folder)};
Dir::State::lists ${quoted(join(folder, 'lists'))};
Dir::State::status ${quoted(join(folder, 'status'))};
Dir::State::extended_states ${quoted(join(folder, 'extended_states'))};
Dir::Cache ${quoted(join(folder, 'cache'))};
Dir::Cache::archives ${quoted(join(folder, 'cache', 'archives'))};
Dir::Cache::pkgcache "pkgcache.bin";
Dir::Cache::srcpkgcache "";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
// The folder is its owner's: another user could not write to it.
APT::Sandbox::User "root";
APT::Architecture "amd64";
#clear APT::Architectures;
APT::Architectures { "amd64"; };
#clear APT::Default-Release;
// The machine's hooks are for the machine's state.
#clear APT::Update;
#clear AptCli::Hooks;
APT::Get::List-Cleanup "${withPackages}";
// Lists are read several times: lz4 costs least.
Acquire::GzipIndexes "true";
#clear Acquire::IndexTargets::deb;
Acquire::IndexTargets::deb::Packages {
  MetaKey "$(COMPONENT)/binary-$(ARCHITECTURE)/Packages";
  flatMetaKey "Packages";
  ShortDescription "Packages";
  Description "$(RELEASE)/$(COMPONENT) $(ARCHITECTURE) Packages";
  Optional "false";
  KeepCompressedAs "lz4";
  DefaultEnabled "${withPackages}";
};
`

/** A state of apt's. */
export interface AptState {
  readonly folder: string
  readonly config: string
  /** Its sources.list. */
  readonly sources: string
}

/** Writes a file whole or not at all. */
export const writeFileWhole = async (path: string, text: string): Promise<void> => {
  const temporary = `${path}.${process.pid}.${performance.now()}.tmp`
  try {
    await writeFile(temporary, text)
    await rename(temporary, path)
  } catch (error) {
    await rm(temporary, { force: true })
    throw error
  }
}

/** A state in this folder, made where there is none. @throws CacheError */
export const prepareState = async (folder: string, withPackages: boolean): Promise<AptState> => {
  const config = join(folder, 'apt.conf')
  try {
    for (const part of ['lists/partial', 'cache/archives/partial']) await prepareFolder(join(folder, part))
    await writeFileWhole(join(folder, 'status'), '')
    await writeFileWhole(config, configText(folder, withPackages))
  } catch (error) {
    throw cacheProblem(error, folder)
  }
  return { folder, config, sources: join(folder, sourcesName) }
}

/** The same state with these sources, under a name of their own or in place of what it had. @throws CacheError */
const withSources = async (
  state: AptState,
  sources: readonly Source[],
  name = `${fingerprintOf(sources)}.sources`,
): Promise<AptState> => {
  const file = join(state.folder, name)
  try {
    await writeFileWhole(file, sourcesText(sources))
  } catch (error) {
    throw cacheProblem(error, state.folder)
  }
  return { ...state, sources: file }
}

const optionsOf = ({ config, sources }: AptState): readonly string[] => [
  '-c',
  config,
  '-q',
  '-o',
  `Dir::Etc::sourcelist=${sources}`,
]

/** Another process has the lock of the lists. */
const isBusy = ({ stderr }: ToolResult): boolean => /^E: (Could not get lock|Unable to lock)/m.test(stderr)

/**
 * `apt-get update`, once no other process does it. Suites that do not answer make its exit code one of failure.
 * @param isDone asked after each wait: whether another process has brought what is wanted
 * @returns null if so
 */
const updateUnlessBusy = async (
  state: AptState,
  signal: AbortSignal | undefined,
  isDone: () => Promise<boolean>,
): Promise<ToolResult | null> => {
  const end = performance.now() + busyMostMs
  for (;;) {
    const result = await run('apt-get', [...optionsOf(state), 'update'], { signal, timeoutMs: updateMs })
    if (!isBusy(result) || performance.now() > end) return result
    await sleep(busyPauseMs, undefined, signal === undefined ? {} : { signal })
    if (await isDone()) return null
  }
}

/** Brings the lists of these sources into a state. @returns null if another process did it meanwhile */
export const update = async (
  state: AptState,
  sources: readonly Source[],
  isDone: () => Promise<boolean>,
  signal?: AbortSignal,
): Promise<ToolResult | null> =>
  await updateUnlessBusy(await withSources(state, sources, sourcesName), signal, isDone)

const releaseHead = 1 << 16

/** The Release files that an update left. */
const releasesIn = async (
  state: AptState,
  sources: readonly Source[],
  signal: AbortSignal | undefined,
): Promise<ReadonlyMap<string, Release>> => {
  // apt names the files itself.
  const words = [...optionsOf(state), '--print-uris', 'update']
  const { stdout } = await run('apt-get', words, { signal, timeoutMs: queryMs })
  const files = new Map(
    [...stdout.matchAll(/^'([^']*)\/InRelease' (\S+)/gm)].map(([, uri, file]) => [uri, file]),
  )
  const releases = new Map<string, Release>()
  for (const source of sources) {
    const file = files.get(`${source.uri}dists/${source.suite}`)
    if (file === undefined || file.includes('/')) continue
    for (const name of [file, file.replace(/InRelease$/, 'Release')]) {
      const text = await readFile(join(state.folder, 'lists', name), 'utf8').catch(() => null)
      if (text === null) continue
      releases.set(keyOf(source), parseRelease(text.slice(0, releaseHead)))
      break
    }
  }
  return releases
}

/**
 * Asks for Release files in a state that is for nothing else.
 * @param onResult sees how each update ended
 */
export const asker =
  (state: AptState, onResult: (result: ToolResult) => void, signal?: AbortSignal): Ask =>
  async sources => {
    // Processes that ask at the same time ask for different ones.
    const asking = await withSources(state, sources)
    const result = await updateUnlessBusy(asking, signal, async () => false)
    if (result !== null) onResult(result)
    return await releasesIn(asking, sources, signal)
  }

/** What an apt-cache command prints. @throws KernelError */
export const aptCache = async (
  state: AptState,
  words: readonly string[],
  signal?: AbortSignal,
): Promise<string> => {
  const result = await run('apt-cache', [...optionsOf(state), ...words], { signal, timeoutMs: queryMs })
  if (result.code !== 0) throw aptError(`apt-cache ${words[0]} failed`, result)
  return result.stdout
}

/** Packages, `name=version` each, into a folder. @throws KernelError */
export const download = async (
  state: AptState,
  packages: readonly string[],
  cwd: string,
  signal?: AbortSignal,
): Promise<void> => {
  const words = [...optionsOf(state), 'download', ...packages]
  const result = await run('apt-get', words, { cwd, signal, timeoutMs: downloadMs })
  if (result.code !== 0) throw aptError('apt-get download failed', result)
}

/** Unpacks a package into a folder. @throws KernelError */
export const unpack = async (file: string, folder: string, signal?: AbortSignal): Promise<void> => {
  const result = await run('dpkg-deb', ['-x', file, folder], { signal, timeoutMs: queryMs })
  if (result.code !== 0) throw aptError('dpkg-deb -x failed', result)
}
