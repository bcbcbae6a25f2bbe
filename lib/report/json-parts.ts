/**
 * JSON too large for one text, in parts: the elements of the arrays that lie directly in it come one at a time, and
 * what is around them as a text of its own. Bytes go in as they are read; of what went by, nothing is kept.
 */

const quote = 0x22
const backslash = 0x5c
const openBracket = 0x5b
const closeBracket = 0x5d
const openBrace = 0x7b
const closeBrace = 0x7d

const longestKey = 200

/** An array or object in an array in the outermost object. */
export interface JsonPart {
  /** Of the array. */
  readonly key: string
  /** How many came before it in the array. */
  readonly index: number
  /** How many came before it in all. */
  readonly number: number
  readonly text: string
}

export interface PartLimits {
  /** Bytes of one. */
  readonly part: number
  /** Bytes of what is around them. */
  readonly shell: number
  /** How many, in all. */
  readonly parts: number
}

/** Bytes that come in pieces, bounded. */
const createSink = (most: number, problem: string, fail: (problem: string) => Error) => {
  let pieces: Buffer[] = []
  let length = 0
  return {
    add(bytes: Uint8Array): void {
      if (bytes.length === 0) return
      length += bytes.length
      if (length > most) throw fail(problem)
      // What comes may be overwritten by what comes next.
      pieces.push(Buffer.from(bytes))
    },
    take(): string {
      const all = Buffer.concat(pieces, length)
      pieces = []
      length = 0
      try {
        return new TextDecoder('utf-8', { fatal: true }).decode(all)
      } catch {
        throw fail('is not UTF-8 text')
      }
    },
  }
}

const keyOf = (bytes: readonly number[]): string => {
  try {
    return String(JSON.parse(`"${Buffer.from(bytes).toString()}"`))
  } catch {
    return ''
  }
}

/**
 * Yields the parts and returns the shell: the text with `[number]` for each part. What is wrong with the JSON is still
 * wrong in the shell or in a part.
 * @param fail makes the error for what is too large or no text
 */
export function* jsonParts(
  chunks: Iterable<Uint8Array>,
  limits: PartLimits,
  fail: (problem: string) => Error,
): Generator<JsonPart, string> {
  const shell = createSink(
    limits.shell,
    `has more than ${limits.shell} bytes around what it lists, the most that is read`,
    fail,
  )
  const part = createSink(
    limits.part,
    `lists something of more than ${limits.part} bytes, the most that is read`,
    fail,
  )
  let depth = 0
  let inString = false
  let escaped = false
  let inPart = false
  /** Whether what was opened last at the second level is an array. */
  let inArray = false
  let lastString: number[] = []
  let key = ''
  let index = 0
  let number = 0
  for (const chunk of chunks) {
    let from = 0
    for (let i = 0; i < chunk.length; i++) {
      const byte = chunk[i] as number
      if (inString) {
        if (byte === quote && !escaped) inString = false
        else if (depth === 1 && lastString.length < longestKey) lastString.push(byte)
        escaped = byte === backslash && !escaped
        continue
      }
      if (byte === quote) {
        inString = true
        if (depth === 1) lastString = []
      } else if (byte === openBracket || byte === openBrace) {
        if (depth === 2 && inArray) {
          shell.add(chunk.subarray(from, i))
          from = i
          inPart = true
        }
        depth += 1
        if (depth === 2) {
          inArray = byte === openBracket
          key = keyOf(lastString)
          index = 0
        }
      } else if (byte === closeBracket || byte === closeBrace) {
        depth -= 1
        if (!inPart || depth !== 2) continue
        part.add(chunk.subarray(from, i + 1))
        from = i + 1
        inPart = false
        if (number === limits.parts)
          throw fail(`lists more than ${limits.parts} things, the most that are read`)
        yield { key, index, number, text: part.take() }
        shell.add(Buffer.from(`[${number}]`))
        index += 1
        number += 1
      }
    }
    const sink = inPart ? part : shell
    sink.add(chunk.subarray(from))
  }
  return shell.take()
}
