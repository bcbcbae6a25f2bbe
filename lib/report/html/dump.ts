/** Expected against observed bytes, as rows of a dump. Pure. */
import type { CaseBytes, ComponentBytes } from '../../harness/results.ts'
import { mostComponents } from '../digest/bounds.ts'
import { leftOut, line, scrolling } from './parts.ts'
import { html, type Markup, type Value } from './template.ts'

/** Bytes of a row. */
const perRow = 16

const bytesOf = (hex: string): string[] => hex.match(/../g) ?? []

/** Consecutive bytes that differ are marked together. */
const marked = (bytes: readonly string[], others: readonly string[]): Value => {
  const parts: Value[] = []
  for (let i = 0, end = 0; i < bytes.length; i = end) {
    const differs = bytes[i] !== others[i]
    while (end < bytes.length && (bytes[end] !== others[end]) === differs) end += 1
    const text = bytes.slice(i, end).join(' ')
    parts.push(i > 0 && ' ', differs ? html`<mark>${text}</mark>` : text)
  }
  return parts
}

const rowsOf = ({ offset, from, expected, observed }: ComponentBytes): Markup[] => {
  const wanted = bytesOf(expected)
  const seen = bytesOf(observed)
  return Array.from({ length: Math.ceil(Math.max(wanted.length, seen.length) / perRow) }, (_, i) => {
    const [a, b] = [wanted, seen].map(bytes => bytes.slice(i * perRow, (i + 1) * perRow)) as [
      string[],
      string[],
    ]
    return html`<tr><th scope="row">${offset + from + i * perRow}</th><td>${marked(a, b)}</td><td>${marked(b, a)}</td></tr>`
  })
}

const wantedText = ({ wanted }: ComponentBytes): string =>
  wanted === 'restored' ? 'restored from the frame' : 'its init value'

const shownText = ({ from, size, expected }: ComponentBytes): string => {
  const count = expected.length / 2
  return count >= size ? '' : `; shown from byte ${from} on, ${count} bytes`
}

const componentOf = (one: ComponentBytes): Markup => {
  const name = line(one.name)
  return html`<p class="bytes"><b>${name}</b>, ${one.size} bytes at ${one.offset} of the XSAVE area; expected ${wantedText(one)}; ${one.differing} differ${shownText(one)}</p>
${scrolling(
  `Bytes of ${name}`,
  html`<table class="dump"><thead><tr><th scope="col">At</th><th scope="col">Expected</th><th scope="col">Observed</th></tr></thead><tbody>${rowsOf(one)}</tbody></table>`,
)}`
}

/** The components that were not as they should be; nothing where that is not what the case failed by. */
export const bytesDump = (bytes: CaseBytes | null): Value =>
  bytes !== null &&
  html`<p>In the registers after ${bytes.of === 'frame' ? 'the frame' : 'the frame’s witness (XSTATE_BV bits 0 and 1 clear)'}:</p>
${bytes.components.slice(0, mostComponents).map(componentOf)}${leftOut(bytes.components.length - mostComponents, 'components')}`
