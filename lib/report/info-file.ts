/**
 * Reading what `sigframe info --json` printed, on this machine or on another. Nothing in it is trusted: whatever is
 * wrong with it ends in one `InfoFileError`, whose message is one line and names the file and the field.
 */
import { outOfRange } from '../errors.ts'
import type { SwBytes } from '../frame/reader.ts'
import type { HostResult, KernelResult } from '../harness/results.ts'
import { type LayoutJson, layoutFromJSON } from '../xstate/layout.ts'
import { longestArray } from './bundle-limits.ts'
import { checkMeaning, checkSchema, type FileKind, parseBounded, readText } from './checked-file.ts'
import type { Info } from './info.ts'

/** A file of a host that cannot be used; the message is for the user. */
export class InfoFileError extends Error {
  override name = 'InfoFileError'
}

/** Bytes of a file; one with a kernel that complains of everything has a tenth of it. */
const largestInfoFile = 8 << 20

const kind: FileKind = {
  noun: 'info',
  createError: message => new InfoFileError(message),
  largest: largestInfoFile,
  longestAt: () => longestArray,
}

/** As JSON has it: docs/info.schema.json describes it. */
export interface InfoFile {
  readonly format: 'sigframe info'
  readonly version: 1
  /** Null in files from before it was said. */
  readonly tool: { readonly name: 'sigframe'; readonly version: string } | null
  readonly host: HostResult
  readonly layout: LayoutJson & { readonly size: number }
  readonly sw: Omit<SwBytes, 'xfeatures'> & { readonly xfeatures: string }
  readonly kernel: KernelResult | null
}

/** What was observed of a host, and by which version of the tool. */
export interface SavedInfo extends Info {
  readonly toolVersion: string | null
}

/** What a schema cannot say. @throws TypeError, RangeError that name the field, its value and the limit */
const savedFrom = ({ tool, host, layout: source, sw, kernel }: InfoFile): SavedInfo => {
  const layout = layoutFromJSON(source)
  if (source.size !== layout.size)
    throw outOfRange('layout.size', source.size, `but its components end at ${layout.size}`)
  return {
    toolVersion: tool?.version ?? null,
    host,
    layout,
    sw: { ...sw, xfeatures: BigInt(sw.xfeatures) },
    kernel,
  }
}

/**
 * The info of a text.
 * @param file how messages call it
 * @throws InfoFileError
 */
export const parseInfoFile = async (text: string, file: string): Promise<SavedInfo> => {
  const value = parseBounded(kind, file, text)
  // Loading zod takes longer than many a run: only those pay for it who read a file.
  const { infoFileSchema } = await import('./info-file-schema.ts')
  const checked = checkSchema(kind, file, infoFileSchema, value)
  return checkMeaning(kind, file, () => savedFrom(checked))
}

/** The info in a file. @throws InfoFileError */
export const readInfoFile = async (file: string): Promise<SavedInfo> =>
  await parseInfoFile(readText(kind, file), file)
