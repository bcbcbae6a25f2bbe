/**
 * A CPU in the format of the catalogue. Nothing in a file is trusted: whatever is wrong with it ends in one
 * `CpuFileError`, whose message is one line and names the file and the field.
 */
import type { CatalogueEntry, CpuFile } from '../catalogue/entry.ts'
import { layoutFromJSON } from '../xstate/layout.ts'
import { longestArray } from './bundle-limits.ts'
import { checkMeaning, checkSchema, type FileKind, parseBounded, readText } from './checked-file.ts'
import { toJson } from './json.ts'

/** A file of a CPU that cannot be used; the message is for the user. */
export class CpuFileError extends Error {
  override name = 'CpuFileError'
}

/** Bytes of a file; those of the catalogue have a few thousand. */
const largestCpuFile = 1 << 20

const kind: FileKind = {
  noun: 'CPU',
  createError: message => new CpuFileError(message),
  largest: largestCpuFile,
  longestAt: () => longestArray,
}

/** An entry as its file has it. */
export const cpuFile = ({
  name,
  title,
  cpus,
  task,
  announced,
  sources,
  compacts,
  emulated,
  layout,
}: CatalogueEntry): CpuFile => ({
  format: 'sigframe cpu',
  version: 1,
  name,
  title,
  cpus,
  task,
  announced,
  sources: sources.map(({ kind, text }) => ({ kind, text })),
  compacts,
  emulated,
  layout: layout.toJSON(),
})

/** An entry as the text of a file. The same entry gives the same text. */
export const cpuFileJson = (entry: CatalogueEntry): string => toJson(cpuFile(entry))

/** @throws TypeError, RangeError that name the field of the layout, its value and the limit */
const entryFrom = ({ format: _, version: _v, layout, ...rest }: CpuFile): CatalogueEntry => ({
  ...rest,
  layout: layoutFromJSON(layout),
})

/**
 * The CPU of a text.
 * @param file how messages call it
 * @throws CpuFileError
 */
export const parseCpuFile = async (text: string, file: string): Promise<CatalogueEntry> => {
  const value = parseBounded(kind, file, text)
  // Loading zod takes longer than many a run: only those pay for it who read a file.
  const { cpuFileSchema } = await import('./cpu-file-schema.ts')
  const checked = checkSchema(kind, file, cpuFileSchema, value)
  return checkMeaning(kind, file, () => entryFrom(checked))
}

/** The CPU in a file. @throws CpuFileError */
export const readCpuFile = async (file: string): Promise<CatalogueEntry> =>
  await parseCpuFile(readText(kind, file), file)
