/**
 * A strict reader of KTAP 1, after Documentation/dev-tools/ktap.rst alone. What the format merely allows (unknown
 * lines, no plan, other versions) is an error here: our own output has none of it.
 */
export interface KtapTest {
  readonly ok: boolean
  readonly number: number
  readonly name: string
  readonly directive: string | null
  readonly data: string
  /** The diagnostic lines directly before it. */
  readonly diagnostics: readonly string[]
  readonly subtests: readonly KtapTest[] | null
}

export interface Ktap {
  readonly tests: readonly KtapTest[]
  /** What follows the last result. */
  readonly trailer: readonly string[]
}

const directives = ['SKIP', 'XFAIL', 'TIMEOUT', 'ERROR']

class Reader {
  readonly #lines: readonly string[]
  #at = 0

  constructor(text: string) {
    if (!text.endsWith('\n')) throw new Error('the last line does not end')
    this.#lines = text.slice(0, -1).split('\n')
    const bad = this.#lines.find(
      line => /[^\x20-\x7e\u00a0-\u{10ffff}]/u.test(line) || line !== line.trimEnd(),
    )
    if (bad !== undefined) throw new Error(`control character or trailing space: ${JSON.stringify(bad)}`)
  }

  /** The next line if it is of this depth, without its indentation. */
  peek(depth: number): string | undefined {
    const line = this.#lines[this.#at]
    const indent = '  '.repeat(depth)
    return line?.startsWith(indent) && line[indent.length] !== ' ' ? line.slice(indent.length) : undefined
  }

  take(depth: number): string {
    const line = this.peek(depth)
    if (line === undefined)
      throw new Error(`depth ${depth} expected: ${JSON.stringify(this.#lines[this.#at])}`)
    this.#at += 1
    return line
  }

  get done(): boolean {
    return this.#at === this.#lines.length
  }
}

const readResult = (line: string, expected: number): Omit<KtapTest, 'diagnostics' | 'subtests'> => {
  const found = /^(ok|not ok) (\d+) - ([^#]*[^# ])(?: # (\w+)(?: ([^#]*))?)?$/.exec(line)
  if (found === null) throw new Error(`no result line: ${JSON.stringify(line)}`)
  const [, result, number, name = '', directive = null, data = ''] = found
  if (Number(number) !== expected) throw new Error(`test ${number} where ${expected} was due`)
  if (directive !== null && !directives.includes(directive)) throw new Error(`directive ${directive}`)
  return { ok: result === 'ok', number: expected, name, directive, data }
}

const readTests = (reader: Reader, depth: number): Ktap => {
  if (reader.take(depth) !== 'KTAP version 1') throw new Error('no version line')
  const plan = /^1\.\.(\d+)$/.exec(reader.take(depth))
  if (plan === null) throw new Error('no plan')
  const count = Number(plan[1])
  const tests: KtapTest[] = []
  let diagnostics: string[] = []
  while (tests.length < count) {
    const nested = reader.peek(depth + 1) === undefined ? null : readTests(reader, depth + 1)
    if (nested !== null && nested.trailer.length > 0) throw new Error('lines after the last subtest')
    while (reader.peek(depth)?.startsWith('#')) diagnostics.push(reader.take(depth))
    if (nested === null && reader.peek(depth + 1) !== undefined) continue
    tests.push({
      ...readResult(reader.take(depth), tests.length + 1),
      diagnostics,
      subtests: nested?.tests ?? null,
    })
    diagnostics = []
  }
  const trailer: string[] = []
  while (reader.peek(depth)?.startsWith('#')) trailer.push(reader.take(depth))
  return { tests, trailer: [...diagnostics, ...trailer] }
}

/** @throws Error that says which line is not as the format has it */
export const parseKtap = (text: string): Ktap => {
  const reader = new Reader(text)
  const all = readTests(reader, 0)
  if (!reader.done) throw new Error(`lines after the end: ${JSON.stringify(reader.peek(0))}`)
  return all
}
