/** The section that people read first: how it stands with each host and machine, problems first. */
import type { Digest } from '../digest/digest.ts'
import { countsText, type Place, type Tone, worstFirst } from '../digest/places.ts'
import { plural } from '../text.ts'
import { headline } from '../verdicts.ts'
import { chip, leftOut, line, placeLink, scrolling } from './parts.ts'
import { html, type Markup, type Value } from './template.ts'

const words: readonly (readonly [Tone, string])[] = [
  ['error', 'in error'],
  ['bad', 'failed'],
  ['quiet', 'skipped'],
  ['good', 'passed'],
]

const tally = (places: readonly Place[]): Markup =>
  html`<ul class="tally">${words.map(([tone, word]) => {
    const count = places.filter(one => one.tone === tone).length
    return count > 0 && html`<li class="${tone}"><b>${count}</b> ${word}</li>`
  })}</ul>`

const kernelCell = ({ bundle, kernel }: Place): Value => {
  const told = bundle?.kernel ?? null
  return told === null ? kernel : html`${line(told.release)}<br><span class="note">${headline(told)}</span>`
}

const frameCell = ({ bundle }: Place): Value => (bundle === null ? '–' : html`${bundle.host.userSize} bytes`)

const row = (place: Place): Markup => {
  const { tone, word, problem, cpu, cases, bundle } = place
  const head = html`<th scope="row" role="rowheader">${placeLink(place)}</th><td role="cell">${chip(tone, word)}</td>`
  // What told nothing gets a row that cannot be taken for a gap.
  if (bundle === null || problem !== '')
    return html`<tr class="${tone}" role="row">${head}<td colspan="4" role="cell">${line(problem) || 'there are no results of it'}</td></tr>`
  return html`<tr class="${tone}" role="row">${head}<td role="cell">${kernelCell(place)}</td><td role="cell">${cpu}</td><td class="n" role="cell">${frameCell(place)}</td><td role="cell">${countsText(cases) || 'no case ran: that is no success'}</td></tr>`
}

const warningsOf = (
  places: readonly Place[],
): readonly { readonly text: string; readonly places: readonly Place[] }[] => {
  const found = new Map<string, Place[]>()
  for (const place of places)
    for (const text of new Set([...(place.bundle?.warnings ?? []), ...(place.machine?.warnings ?? [])])) {
      const of = found.get(text)
      if (of === undefined) found.set(text, [place])
      else of.push(place)
    }
  return [...found].map(([text, of]) => ({ text, places: of }))
}

const shownWarnings = 12
const shownNames = 5

const warnings = (places: readonly Place[]): Value => {
  const all = warningsOf(places)
  if (all.length === 0) return null
  return html`<h3>Warnings</h3><ul class="warnings">${all
    .slice(0, shownWarnings)
    .map(
      one =>
        html`<li>${chip('warn', 'warning')} ${line(one.text)} <span class="note">${one.places.slice(0, shownNames).map((place, i) => html`${i > 0 && ', '}${placeLink(place)}`)}${one.places.length > shownNames && ` and ${one.places.length - shownNames} more`}</span></li>`,
    )}</ul>${leftOut(all.length - shownWarnings, 'warnings')}`
}

/** More than these are folded away where others did not pass. */
const mostPassed = 8

const placeTable = (places: readonly Place[], label: string): Markup =>
  scrolling(
    label,
    html`<table class="places" role="table"><thead><tr><th scope="col">Host</th><th scope="col">Verdict</th><th scope="col">Kernel</th><th scope="col">CPU</th><th scope="col" class="n">Frames</th><th scope="col">Cases</th></tr></thead><tbody>${places.map(row)}</tbody></table>`,
  )

export const summarySection = ({ places, failures, pairTables }: Digest): Markup => {
  const sorted = worstFirst(places.filter(({ shown }) => shown))
  const passed = sorted.filter(({ tone }) => tone === 'good')
  const folded = passed.length > mostPassed && passed.length < sorted.length ? passed : []
  const told = sorted.filter(one => !folded.includes(one))
  const kinds = failures.length
  return html`
<section id="summary" aria-labelledby="summary-title">
<h2 id="summary-title">Summary</h2>
${
  places.length === 0
    ? html`<p>No host and no machine is in this collection${pairTables.length > 0 ? ': predictions alone.' : '.'}</p>`
    : html`
${tally(places)}
<p>${plural(places.length, 'host or machine', 'hosts and machines')}; ${kinds === 0 ? 'no case failed.' : html`<a href="#failures">${plural(kinds, 'kind of failure', 'kinds of failure')}</a>.`}</p>
${placeTable(told, 'Hosts and machines, problems first')}
${folded.length > 0 && html`<details><summary>${folded.length} that passed</summary>${placeTable(folded, 'Hosts and machines that passed')}</details>`}
${leftOut(places.length - sorted.length, 'hosts and machines')}
${warnings(places)}`
}
</section>`
}
