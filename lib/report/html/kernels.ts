/** The section on kernels and CPUs: a matrix for the hosts and one for each file of machines, its cells led to evidence. */

import { generationOf } from '../../contract/generations.ts'
import type { ReplayedFrame } from '../../foreign/captured.ts'
import { mostCpus, mostFrames, mostGroups, mostKernels, mostLines, mostRemarks } from '../digest/bounds.ts'
import type { Digest } from '../digest/digest.ts'
import type { FailureGroup } from '../digest/failures.ts'
import { countsText, type Place, type PlaceTable } from '../digest/places.ts'
import { oneLine, plural } from '../text.ts'
import { fit, groupBy, headline } from '../verdicts.ts'
import { originOf } from '../vm/replays.ts'
import { emulatorText, layoutText, phaseText } from '../vm/words.ts'
import { chip, evidence, facts, leftOut, line, scrolling, verdictTone } from './parts.ts'
import { html, type Markup, type Value } from './template.ts'

/** Characters of a reason, where a link leads to the whole of it. */
const shortReason = 120

/** Hosts that share a cell, by their names. */
const mostInCell = 4

const cellOf = (places: readonly Place[], table: PlaceTable): Markup => {
  if (places.length === 0) return html`<td><span class="none">–</span></td>`
  const named = table.id === 'hosts'
  const [only] = places.length === 1 ? places : []
  return html`<td class="${only?.tone ?? ''}">${places
    .slice(0, mostInCell)
    .map(({ id, tone, word, name, shown }) => {
      const content = html`<b>${word}</b>${named && html` <span>${name}</span>`}`
      return shown
        ? html`<a class="cell ${tone}" href="#${id}" aria-label="${name}: ${word}">${content}</a>`
        : html`<span class="cell ${tone}">${content}</span>`
    })}${places.length > mostInCell && html`<span class="note">and ${places.length - mostInCell} more</span>`}</td>`
}

const matrixOf = (table: PlaceTable): Markup => {
  const kernels = [...groupBy(table.places, ({ kernel }) => kernel)]
  const cpus = [...new Set(table.places.map(({ cpu }) => cpu))]
  const shown = cpus.slice(0, mostCpus)
  return html`${scrolling(
    `${table.title}: kernels and CPUs`,
    html`<table class="grid words" data-grid><thead><tr><th scope="col">Kernel</th>${shown.map(cpu => html`<th scope="col">${cpu}</th>`)}</tr></thead><tbody>${kernels
      .slice(0, mostKernels)
      .map(
        ([kernel, ofIt]) =>
          html`<tr><th scope="row">${kernel}</th>${shown.map(cpu =>
            cellOf(
              ofIt.filter(one => one.cpu === cpu),
              table,
            ),
          )}</tr>`,
      )}</tbody></table>`,
  )}${leftOut(kernels.length - mostKernels, 'kernels')}${leftOut(cpus.length - mostCpus, 'CPUs')}`
}

const list = (texts: readonly string[]): Value =>
  texts.length > 0 &&
  html`<ul>${texts.slice(0, mostRemarks).map(text => html`<li>${line(text)}</li>`)}${texts.length > mostRemarks && html`<li>and ${texts.length - mostRemarks} more</li>`}</ul>`

const linesOf = (title: string, lines: readonly string[]): Value =>
  lines.length > 0 &&
  html`<p>${title}</p>${scrolling(title, html`<pre>${lines.slice(0, mostLines).map(line).join('\n')}</pre>`)}${leftOut(lines.length - mostLines, 'lines')}`

/** A failure as a host has it. */
interface OwnFailure {
  readonly group: FailureGroup
  readonly count: number
  readonly reason: string
}

type ByPlace = ReadonlyMap<string, readonly OwnFailure[]>

/** What failed there, with the way to it. */
const failuresOf = ({ id }: Place, byPlace: ByPlace): Value => {
  const own = byPlace.get(id) ?? []
  return (
    own.length > 0 &&
    html`<ul>${own
      .slice(0, mostRemarks)
      .map(
        ({ group, count, reason }) =>
          html`<li>${chip(verdictTone(group.verdict), group.verdict)} <a href="#${group.id}">${plural(count, 'case')} of ${group.rules.join(' and ') || 'no rule'}</a>: ${reason}</li>`,
      )}${own.length > mostRemarks && html`<li>and ${own.length - mostRemarks} more</li>`}</ul>`
  )
}

/** Those that do not arrive in full first. */
const byOutcome = (a: ReplayedFrame, b: ReplayedFrame): number =>
  Number(a.asExpected !== false) - Number(b.asExpected !== false) ||
  Number(a.outcome === 'holds') - Number(b.outcome === 'holds')

const judgedText = ({ asExpected, expected }: ReplayedFrame): string => {
  if (asExpected === null) return 'nothing is predicted'
  return asExpected ? 'as predicted' : `not as predicted: ${line(expected)}`
}

const replayedRow = (frame: ReplayedFrame): Markup => {
  const { kernel, cpu, abi, what } = originOf(frame)
  const tone = frame.asExpected === false ? 'bad' : frame.outcome === 'holds' ? 'good' : 'warn'
  return html`<tr><th scope="row">${line(`${abi}/${what}`)}</th><td>${line(`${kernel} on ${cpu}`)}</td><td>${chip(tone, frame.outcome)}</td><td>${line(frame.observed)}</td><td>${judgedText(frame)}</td></tr>`
}

/** What became of other machines' frames there. */
const replayedOf = ({ machine, name }: Place): Value => {
  const frames = (machine?.replayed ?? []).toSorted(byOutcome)
  return (
    frames.length > 0 &&
    html`<p>Frames of other machines</p>${scrolling(
      `Frames of other machines on ${name}`,
      html`<table><thead><tr><th scope="col">Frame</th><th scope="col">Of</th><th scope="col">Outcome</th><th scope="col">What was seen</th><th scope="col">Judged</th></tr></thead><tbody>${frames.slice(0, mostFrames).map(replayedRow)}</tbody></table>`,
    )}${leftOut(frames.length - mostFrames, 'frames')}`
  )
}

const machineFacts = ({ machine }: Place): readonly (readonly [string, Value])[] =>
  machine === null
    ? []
    : [
        ['Emulator', emulatorText(machine) ?? `${machine.cpu.emulator}: not found`],
        ['Model', line(machine.cpu.model)],
        ['Image', line(machine.kernel.path)],
        ['Boots', machine.attempts > 1 && `it took ${machine.attempts}`],
        ['Lacks', list(machine.lacks)],
        ['Skips for', list(machine.wants)],
      ]

const hostFacts = ({ bundle, cases }: Place): readonly (readonly [string, Value])[] => {
  if (bundle === null) return []
  const { host, kernel } = bundle
  const harm = kernel?.generation == null ? undefined : generationOf(kernel.generation).harm
  return [
    [
      'CPU',
      line(
        `${host.brand} (${host.vendor} family ${host.family} model ${host.model} stepping ${host.stepping}${host.microcode === null ? '' : `, microcode ${host.microcode}`}${host.hypervisor === null ? '' : `, under ${host.hypervisor}`})`,
      ),
    ],
    ['Layout', layoutText(host)],
    ['Kernel', kernel === null ? 'not told' : line(`Linux ${kernel.release} ${kernel.version}`)],
    ['Generation', kernel !== null && html`${headline(kernel)}; ${fit(kernel)}`],
    ['Harm', harm !== undefined && html`<strong class="harm">${harm}</strong>`],
    ['Deviates', kernel !== null && list(kernel.deviations)],
    ['Cases', countsText(cases) || 'none ran: that is no success'],
    ['Run', `${line(bundle.startedAt)}, sigframe ${line(bundle.tool.version)}`],
    ['Warnings', list(bundle.warnings)],
  ]
}

const placeEvidence = (place: Place, table: PlaceTable, byPlace: ByPlace): Markup => {
  const { machine, bundle, problem } = place
  const when = machine === null || machine.status === 'ran' ? '' : ` (${phaseText[machine.phase]})`
  return evidence(
    place.id,
    table.id,
    html`${place.name} ${chip(place.tone, place.word)}`,
    html`${facts([
      ['Why', problem !== '' && html`${line(problem)}${when}`],
      ...hostFacts(place),
      ...machineFacts(place),
      ['Failures', failuresOf(place, byPlace)],
      ['Console warned', machine !== null && list(machine.warnings)],
    ])}${replayedOf(place)}${machine !== null && linesOf('Console', machine.console)}${bundle?.kernel?.log != null && linesOf('The kernel’s log during the run', bundle.kernel.log.lines)}`,
  )
}

/** The failures of each host and machine, of those that are shown. */
const failuresByPlace = (failures: readonly FailureGroup[]): ByPlace => {
  const found = new Map<string, OwnFailure[]>()
  for (const group of failures.slice(0, mostGroups)) {
    const reason = oneLine(group.reason, shortReason)
    for (const { place, count } of group.places) {
      const own = found.get(place.id)
      if (own === undefined) found.set(place.id, [{ group, count, reason }])
      else own.push({ group, count, reason })
    }
  }
  return found
}

export const kernelsSection = ({ tables, failures }: Digest): Value => {
  if (tables.length === 0) return null
  const byPlace = failuresByPlace(failures)
  return html`
<section id="kernels" aria-labelledby="kernels-title">
<h2 id="kernels-title">Kernels and CPUs</h2>
${tables.map(
  table => html`
<div id="${table.id}">
<h3>${table.title}</h3>
${matrixOf(table)}
${table.places.filter(({ shown }) => shown).map(place => placeEvidence(place, table, byPlace))}
${leftOut(table.places.filter(({ shown }) => !shown).length, 'hosts and machines')}
</div>`,
)}
${tables.some(({ places }) => places.some(({ word }) => word.includes('*'))) && html`<p class="note">A * stands for a kernel that is not its generation to the letter.</p>`}
</section>`
}
