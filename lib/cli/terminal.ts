/** What is known of where the output goes. */
import type { WriteStream } from 'node:tty'
import picocolors from 'picocolors'
import type { Style } from '../report/style.ts'

const fallback = 80
const narrowest = 40
// Longer lines are hard to read, however wide the terminal.
const widest = 120

type Environment = Readonly<Record<string, string | undefined>>

/** A stream as far as it matters here. */
export type Output = Pick<WriteStream, 'isTTY' | 'columns'> | { readonly isTTY?: undefined }

const isOff = (value: string | undefined): boolean => value === '0' || value === 'false'

/** Colours on a terminal; NO_COLOR and FORCE_COLOR as people agreed on them, the first outranks the second. */
export const wantsColor = (output: Output, env: Environment): boolean => {
  if (env.NO_COLOR !== undefined && env.NO_COLOR !== '') return false
  if (env.FORCE_COLOR !== undefined) return !isOff(env.FORCE_COLOR)
  return output.isTTY === true && env.TERM !== 'dumb'
}

/** The terminal's columns; elsewhere $COLUMNS, else 80. */
export const columnsOf = (output: Output, env: Environment): number => {
  const said = output.isTTY === true ? output.columns : Number(env.COLUMNS)
  const columns = Number.isInteger(said) && said > 0 ? said : fallback
  return Math.min(widest, Math.max(narrowest, columns))
}

export const styleOf = (output: Output, env: Environment = process.env): Style => ({
  columns: columnsOf(output, env),
  colors: picocolors.createColors(wantsColor(output, env)),
})

/** For files: the same wherever they are written. */
export const fileStyle: Style = { columns: fallback, colors: picocolors.createColors(false) }
