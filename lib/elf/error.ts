/** What refuses a core file: one line, whatever the file and its name hold. */
import { hex } from '../errors.ts'

const longestName = 200
const unprintable = /[^\x20-\x7e\u00a1-\u00ac\u00ae-\u02ff\u0370-\u058f]/gu

/** A name in one printable line. */
const printable = (name: string): string => {
  const shown = name.replace(unprintable, '?')
  return shown.length > longestName ? `${shown.slice(0, longestName)}…` : shown
}

/** A core file that cannot be read: the message names the file, the field, where it lies, its value and the limit. */
export class CoreFileError extends Error {
  override name = 'CoreFileError'
  readonly file: string
  /** As the ELF specification spells it: `e_phoff`; null where the file is wrong as a whole. */
  readonly field: string | null
  /** Of the field, in bytes from the start of the file. */
  readonly offset: number | null

  constructor(file: string, message: string, field: string | null = null, offset: number | null = null) {
    super(message)
    this.file = file
    this.field = field
    this.offset = offset
  }
}

/** The error for a file that is wrong as a whole: `NAME problem`. */
export const wrongCore = (file: string, problem: string): CoreFileError =>
  new CoreFileError(file, `${printable(file)} ${problem}`)

/**
 * The error for a field of it.
 * @param limit the end of the sentence: `must be 2`
 */
export const wrongCoreField = (
  file: string,
  field: string,
  offset: number,
  value: number | bigint,
  limit: string,
): CoreFileError =>
  new CoreFileError(
    file,
    `${printable(file)}: ${field} at offset ${hex(offset)} is ${hex(value)}, ${limit}`,
    field,
    offset,
  )
