/** The section on failures: what was expected and observed, down to the bytes, and how to see it again. */
import { ruleOf } from '../../contract/rules.ts'
import type { Repro } from '../../harness/results.ts'
import { mostGroupPlaces, mostGroups, mostIds, mostObserved } from '../digest/bounds.ts'
import { type Digest, type PageExtras, programKey } from '../digest/digest.ts'
import type { Failed, FailureGroup } from '../digest/failures.ts'
import { plural } from '../text.ts'
import { bytesDump } from './dump.ts'
import { chip, command, facts, leftOut, line, placeLink, scrolling, verdictTone } from './parts.ts'
import { html, type Markup, type Value } from './template.ts'

const longestEdit = 4000

const editText = ({ edit }: Repro): string => {
  const text = edit.map(op => JSON.stringify(op)).join('\n')
  return text.length <= longestEdit ? text : `${text.slice(0, longestEdit)}\n… (the bundle has all)`
}

const reproOf = (repro: Repro): Markup => html`
<details><summary>Edit and seed</summary>
${facts([
  ['Seed', `${repro.seed} of the image that is loaded`],
  ['Signal', `${line(repro.raise)}, a frame of ${line(repro.abi)}`],
  ['Stack', repro.stack !== null && `${repro.stack.bytes} bytes, ${line(repro.stack.state)}`],
])}
${scrolling('The edit of the frame', html`<pre>${editText(repro) || 'none: the frame goes back as it came'}</pre>`)}
</details>`

const programOf = (text: string, id: string): Markup => html`
<details><summary>C program (${plural(text.split('\n').length, 'line')}; gcc -O2 compiles it)</summary>
${scrolling(`C program of ${id}`, html`<pre>${text}</pre>`)}
</details>`

const exampleOf = ({ place, one }: Failed, { observed }: FailureGroup, { programs }: PageExtras): Markup => {
  const id = line(one.id)
  const again = place.commandOf(one)
  const program = programs.get(programKey(place, one.id))
  return html`
<div class="example">
<h4>${id}</h4>
${facts([
  ['On', placeLink(place)],
  ['Observed', observed.length > 1 && line(one.observed)],
  ['Components', line(one.components.join(' '))],
])}
${bytesDump(one.bytes)}
${again !== null && command(again)}
${one.repro !== null && reproOf(one.repro)}
${program !== undefined && programOf(program, id)}
</div>`
}

const placesText = ({ places }: FailureGroup): Value =>
  html`${places.slice(0, mostGroupPlaces).map(({ place, count }, i) => html`${i > 0 && ', '}${placeLink(place)}${count > 1 && ` (${count})`}`)}${places.length > mostGroupPlaces && ` and ${places.length - mostGroupPlaces} more`}`

const observedText = ({ observed }: FailureGroup): Value =>
  observed.length === 1
    ? line(observed[0]?.text ?? '')
    : html`<ul>${observed.slice(0, mostObserved).map(({ text, count }) => html`<li>${count} × ${line(text) || 'nothing was told'}</li>`)}${observed.length > mostObserved && html`<li>and ${observed.length - mostObserved} more</li>`}</ul>`

const idsOf = ({ ids, places }: FailureGroup): Value =>
  ids.length > 1 &&
  html`<details><summary>All ${ids.length} cases</summary><ul class="ids">${ids.slice(0, mostIds).map(({ id, count }) => html`<li><code>${line(id)}</code>${places.length > 1 && html` <span class="note">${plural(count, 'host')}</span>`}</li>`)}</ul>${leftOut(ids.length - mostIds, 'cases')}</details>`

const groupTitle = ({ ids, rules }: FailureGroup): string => {
  const what = rules.join(' and ') || 'no rule'
  return ids.length === 1 ? line(ids[0]?.id ?? '') : `${ids.length} cases of ${what}`
}

const groupOf = (group: FailureGroup, extras: PageExtras): Markup => html`
<article class="block failure" id="${group.id}" tabindex="-1">
<h3>${chip(verdictTone(group.verdict), group.verdict.toUpperCase())} ${groupTitle(group)}</h3>
${facts([
  ['Rule', group.rules.map(id => ruleOf(id).sentence).join(' ')],
  ['Why', line(group.reason)],
  ['Expected', line(group.expected)],
  ['Observed', observedText(group)],
  ['On', placesText(group)],
])}
<details><summary>${plural(group.examples.length, 'case')} in full: bytes and how to repeat ${group.examples.length === 1 ? 'it' : 'them'}</summary>
${group.examples.map(one => exampleOf(one, group, extras))}
</details>
${idsOf(group)}
</article>`

export const failuresSection = ({ failures, places }: Digest, extras: PageExtras): Value => {
  if (places.length === 0) return null
  return html`
<section id="failures" aria-labelledby="failures-title">
<h2 id="failures-title">Failures</h2>
${failures.length === 0 ? html`<p>No case failed.${places.some(({ tone }) => tone === 'error') && html` What told nothing at all is in the <a href="#summary">summary</a>.`}</p>` : failures.slice(0, mostGroups).map(group => groupOf(group, extras))}
${leftOut(failures.length - mostGroups, 'kinds of failure')}
</section>`
}
