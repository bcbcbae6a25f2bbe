/** Text in C: comments, strings, numbers. All of it ASCII. */

const plain: Readonly<Record<string, string>> = {
  '‘': "'",
  '’': "'",
  '“': '"',
  '”': '"',
  '–': '-',
  '—': '-',
  '…': '...',
  '×': 'x',
  '→': '->',
}

/** The same in one line of printable ASCII. */
export const asciiText = (text: string): string =>
  text.replace(/\s+/g, ' ').replace(/[^\x20-\x7e]/gu, character => plain[character] ?? '?')

// Neither an end of the comment, nor another beginning, nor a trigraph.
const harmless = (line: string): string =>
  asciiText(line)
    .replace(/\*(?=\/)|\/(?=\*)|\?(?=\?)/g, '$& ')
    .trim()

const commentWidth = 76

const wrap = (line: string): string[] => {
  const lines: string[] = []
  let now = ''
  for (const word of harmless(line).split(' ')) {
    if (now !== '' && now.length + 1 + word.length > commentWidth) {
      lines.push(now)
      now = word
    } else now = now === '' ? word : `${now} ${word}`
  }
  return [...lines, now]
}

/** A comment of several lines, in the kernel's style. */
export const commentOf = (lines: readonly string[]): string =>
  ['/*', ...lines.flatMap(wrap).map(line => (line === '' ? ' *' : ` * ${line}`)), ' */'].join('\n')

/** A comment behind something in its line. */
export const besideOf = (text: string): string => `/* ${harmless(text)} */`

/** A string literal. */
export const stringOf = (text: string): string =>
  `"${asciiText(text)
    .replace(/["\\]/g, '\\$&')
    // Two adjacent literals are one string: no trigraph in it.
    .replace(/\?(?=\?)/g, '?""')}"`

export const hexOf = (value: number | bigint): string => `0x${value.toString(16)}`

/** A 64-bit number. */
export const hex64Of = (value: bigint): string => `${hexOf(value)}ULL`

const byteOf = (byte: number): string => byte.toString(16).padStart(2, '0')

/** Bytes as a string literal. */
export const bytesLiteral = (bytes: Uint8Array): string =>
  `"${Array.from(bytes, b => `\\x${byteOf(b)}`).join('')}"`

/** Bytes as the members of an array, 16 a line; the zeros of whole lines are left to the compiler. */
export const bytesInitializer = (bytes: Uint8Array): string => {
  const lines: string[] = []
  let skipped = false
  for (let at = 0; at < bytes.length; at += 16) {
    const line = bytes.subarray(at, at + 16)
    if (line.every(byte => byte === 0)) {
      skipped = true
      continue
    }
    const members = Array.from(line, byte => `0x${byteOf(byte)}`).join(', ')
    lines.push(`\t${skipped ? `[${at}] =\n\t` : ''}${members},`)
    skipped = false
  }
  // An initializer must have a member.
  return lines.length === 0 ? '\t0' : lines.join('\n')
}
