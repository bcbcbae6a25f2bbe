/** What sections are put together of. Pure. */

import type { Verdict } from '../../harness/results.ts'
import type { Pair, PairOutcome } from '../../matrix/matrix.ts'
import { longestText } from '../digest/bounds.ts'
import type { Place, Tone } from '../digest/places.ts'
import { oneLine } from '../text.ts'
import { html, type Markup, type Value } from './template.ts'

/** One bounded line of what a file says. */
export const line = (text: string): string => oneLine(text, longestText)

export const chip = (tone: Tone | 'warn', text: string): Markup =>
  html`<span class="chip ${tone}">${line(text)}</span>`

export const verdictTone = (verdict: Verdict): Tone | 'warn' => {
  switch (verdict) {
    case 'pass':
      return 'good'
    case 'xfail':
      return 'warn'
    case 'skip':
      return 'quiet'
    case 'broken':
      return 'error'
    default:
      return 'bad'
  }
}

/** A link to the evidence of a host or machine, where the page has it. */
export const placeLink = ({ id, name, shown }: Place): Markup =>
  shown ? html`<a href="#${id}">${name}</a>` : html`${name}`

/** What was left out, in its place. */
export const leftOut = (count: number, what: string): Value =>
  count > 0 && html`<p class="left">${count} more ${what} left out; the files have all.</p>`

/** A box of its own that scrolls, so that the page does not; reached by the keyboard. */
export const scrolling = (label: string, content: Value): Markup =>
  html`<div class="scroll" role="region" aria-label="${label}" tabindex="0">${content}</div>`

export const facts = (rows: readonly (readonly [string, Value])[]): Value => {
  const told = rows.filter(([, value]) => value !== '' && value !== null && value !== false)
  return (
    told.length > 0 && html`<dl>${told.map(([name, value]) => html`<dt>${name}</dt><dd>${value}</dd>`)}</dl>`
  )
}

/** A command that can be copied. */
export const command = (text: string): Markup =>
  html`<div class="command"><code>${text}</code><button type="button" data-copy hidden>Copy</button></div>`

/** Shown alone, when a link leads to it. */
export const evidence = (id: string, back: string, title: Value, content: Value): Markup => html`
<article class="evidence" id="${id}" tabindex="-1" aria-labelledby="${id}-title">
<header><h4 id="${id}-title">${title}</h4><a class="close" href="#${back}">Close</a></header>
${content}
</article>`

const outcomeSigns: Readonly<Record<PairOutcome, readonly [string, Tone | 'warn']>> = {
  works: ['✓', 'good'],
  'works if unused': ['◐', 'warn'],
  breaks: ['✕', 'bad'],
  unknown: ['?', 'quiet'],
}

/** A pair's outcome as one or two characters, and the tone that goes with it. What is wrong without a word has a `!`. */
export const outcomeSign = ({
  outcome,
  silent,
}: Pick<Pair, 'outcome' | 'silent'>): readonly [string, Tone | 'warn'] => {
  const [sign, tone] = outcomeSigns[outcome]
  return [silent ? (outcome === 'breaks' ? '!' : `${sign}!`) : sign, tone]
}
