/** The host that somebody means. */
import { catalogueEntry, catalogueNames, isInCatalogue } from '../catalogue/catalogue.ts'
import { show } from '../errors.ts'
import { BundleError, parseBundle } from '../report/bundle.ts'
import { largestBundle, longestArray, longestCases } from '../report/bundle-limits.ts'
import { type FileKind, parseBounded, readText } from '../report/checked-file.ts'
import { parseCpuFile } from '../report/cpu-file.ts'
import { parseInfoFile } from '../report/info-file.ts'
import { oneLine } from '../report/text.ts'
import { hostOfEntry, hostOfResult, layoutOfResult } from './elsewhere.ts'
import type { Host } from './host.ts'

/** No host is called so, or its file cannot be used; the message is for the user. */
export class HostError extends Error {
  override name = 'HostError'
}

/** How the host that this runs on is called. */
const namesOfThisHost: readonly string[] = Object.freeze(['this host', 'this'])

/** Of any of the kinds, until it is known of which. */
const anyKind: FileKind = {
  noun: 'host',
  createError: message => new HostError(message),
  largest: largestBundle,
  longestAt: path => (path.length === 1 && path[0] === 'cases' ? longestCases : longestArray),
}

const hostOfBundle = async (text: string, file: string): Promise<Host> => {
  const { host, kernel } = await parseBundle(text, file)
  try {
    return hostOfResult({ host, kernel, layout: layoutOfResult(host) }, 'bundle', file)
  } catch (error) {
    if (error instanceof TypeError || error instanceof RangeError)
      throw new BundleError(`${oneLine(file)}: ${oneLine(error.message)}`)
    throw error
  }
}

/** By what only files of its kind have. */
const hostOfText = async (text: string, file: string): Promise<Host> => {
  const value = parseBounded(anyKind, file, text)
  const has = (key: string): boolean => typeof value === 'object' && value !== null && key in value
  if (has('bundleVersion')) return await hostOfBundle(text, file)
  if (has('layout') && has('host')) return hostOfResult(await parseInfoFile(text, file), 'info', file)
  if (has('layout') && has('cpus')) return hostOfEntry(await parseCpuFile(text, file), file)
  throw new HostError(
    `${oneLine(file)} is no host: neither results of sigframe run (json), nor what sigframe info --json printed, nor a CPU in the catalogue's format`,
  )
}

/** A word that nobody would call a file. */
const isMisspelt = (name: string, error: unknown): boolean =>
  error instanceof HostError && error.message.includes('ENOENT') && !/[./]/.test(name)

const textOf = (name: string): string => {
  try {
    return readText(anyKind, name)
  } catch (error) {
    if (!isMisspelt(name, error)) throw error
    throw new HostError(
      `${show(name)} is no host: neither "this", nor a file, nor one of the catalogue's ${catalogueNames().join(' ')}`,
    )
  }
}

/**
 * The host that is meant: this one, one of the catalogue, or one that a file tells of. A name that is both of the
 * catalogue and a file's is the catalogue's.
 * @throws HostError, BundleError, InfoFileError, CpuFileError; NativeUnavailableError for this host where nothing
 *   can be probed
 */
export const resolveHost = async (name: string): Promise<Host> => {
  if (namesOfThisHost.includes(name)) {
    const { thisHost } = await import('./here.ts')
    return await thisHost()
  }
  if (isInCatalogue(name)) return hostOfEntry(catalogueEntry(name))
  return await hostOfText(textOf(name), name)
}
