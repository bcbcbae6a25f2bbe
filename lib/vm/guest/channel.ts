/**
 * The lines that a machine sends its host over the second serial port: a word for the kind, a blank, and the rest. PID 1
 * sends its own (native/init/), the run sends these.
 */
import { createHash } from 'node:crypto'
import { brotliCompressSync, brotliDecompressSync, constants } from 'node:zlib'
import type { Answer } from './task.ts'

/** The line that carries the answer: its hash, and itself compressed. */
export const answerLine = (answer: Answer): string => {
  const text = JSON.stringify(answer)
  // A serial port carries some hundred kilobytes a second; the best compression would take longer than it saves.
  const packed = brotliCompressSync(text, { params: { [constants.BROTLI_PARAM_QUALITY]: 5 } })
  return `result ${createHash('sha256').update(text).digest('hex')} ${packed.toString('base64')}\n`
}

/** Bytes of an answer's text: a run of all cases with every frame has a hundredth of it. */
const largestAnswer = 64 << 20

/** The text of an answer, or null where it is not whole. */
export const answerText = (rest: string): string | null => {
  const [hash, packed] = rest.split(' ', 2)
  if (hash === undefined || packed === undefined) return null
  try {
    const text = brotliDecompressSync(Buffer.from(packed, 'base64'), { maxOutputLength: largestAnswer })
    return createHash('sha256').update(text).digest('hex') === hash ? text.toString('utf8') : null
  } catch {
    return null
  }
}

/** One line of the channel. */
export interface Line {
  readonly kind: string
  readonly rest: string
}

export const lineOf = (text: string): Line => {
  const at = text.indexOf(' ')
  return at === -1 ? { kind: text, rest: '' } : { kind: text.slice(0, at), rest: text.slice(at + 1) }
}
