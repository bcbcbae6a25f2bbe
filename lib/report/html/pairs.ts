/** The section on pairs of CPUs: for each generation a matrix, its cells led to what is known. */

import type { PairFrame, PairSeen } from '../../matrix/matrix.ts'
import { mostAlike, mostFrames } from '../digest/bounds.ts'
import type { Digest } from '../digest/digest.ts'
import { type Evidence, outcomeText, type PairCell, type PairGrid, type PairTable } from '../digest/pairs.ts'
import { framesByHost, type Picture } from '../digest/pictures.ts'
import { chip, evidence, facts, leftOut, line, outcomeSign, scrolling } from './parts.ts'
import { html, type Markup, type Value } from './template.ts'

const cellOf = (cell: PairCell | undefined, from: string, to: string): Markup => {
  if (cell === undefined) return html`<td><span class="none" aria-label="not in the file">–</span></td>`
  const { pair } = cell
  const [sign, tone] = outcomeSign(pair)
  const live = pair.evidence === 'live'
  const label = `${from} to ${to}: ${outcomeText(pair)}${live ? ', live' : ''}`
  const classes = `pair ${tone}${live ? ' live' : ''}`
  return cell.evidence === null
    ? html`<td><span class="${classes}" role="img" aria-label="${label}">${sign}</span></td>`
    : html`<td><a class="${classes}" href="#${cell.evidence}" aria-label="${label}" title="${label}">${sign}</a></td>`
}

const hostName = ({ name, alike }: PairTable['hosts'][number]): Value =>
  html`${name}${alike.length > 0 && html` <span class="note">+${alike.length}</span>`}`

const gridTable = ({ hosts }: PairTable, { rows }: PairGrid, label: string): Markup =>
  scrolling(
    label,
    html`<table class="grid" data-grid><thead><tr><th scope="col"><span class="corner">from ↓ to →</span></th>${hosts.map(
      one => html`<th scope="col" title="${one.title}"><span class="up">${hostName(one)}</span></th>`,
    )}</tr></thead><tbody>${rows.map(
      (row, i) =>
        html`<tr><th scope="row" title="${hosts[i]?.title ?? ''}">${hosts[i] !== undefined && hostName(hosts[i])}</th>${row.map(
          (cell, j) => cellOf(cell, hosts[i]?.name ?? '', hosts[j]?.name ?? ''),
        )}</tr>`,
    )}</tbody></table>`,
  )

const seenText = ({ outcome, observed, asPredicted }: PairSeen): Value => {
  const judged = asPredicted === null ? null : asPredicted ? 'as predicted' : 'not as predicted'
  return html`${chip(asPredicted === false ? 'bad' : outcome === 'holds' ? 'good' : 'quiet', outcome)} ${line(observed)}${judged !== null && html` <span class="note">${judged}</span>`}`
}

const frameRow = (frame: PairFrame, seen: boolean): Markup =>
  html`<tr><th scope="row">${line(frame.used.join(' ')) || 'x87 and SSE alone'}</th><td>${line(frame.end)}</td><td>${line(frame.lost.join(' ')) || '–'}</td><td>${line(frame.unknown.join(' ')) || '–'}</td><td>${line(frame.leftOver.join(' ')) || '–'}</td>${seen && html`<td>${frame.seen === null ? 'not sent' : seenText(frame.seen)}</td>`}</tr>`

const frameTable = (frames: readonly PairFrame[], label: string): Value => {
  if (frames.length === 0) return null
  const seen = frames.some(one => one.seen !== null)
  return html`${scrolling(
    label,
    html`<table><thead><tr><th scope="col">In use</th><th scope="col">How it ends</th><th scope="col">Lost</th><th scope="col">Not known there</th><th scope="col">Left over</th>${seen && html`<th scope="col">Seen</th>`}</tr></thead><tbody>${frames.slice(0, mostFrames).map(one => frameRow(one, seen))}</tbody></table>`,
  )}${leftOut(frames.length - mostFrames, 'frames')}`
}

const alikeText = ({ pairs }: Evidence): Value => {
  const texts = [
    ...new Set(pairs.map(({ from, to, generation }) => `${line(from)} → ${line(to)} (${generation})`)),
  ]
  return html`${texts.slice(0, mostAlike).map((text, i) => html`${i > 0 && ', '}${text}`)}${texts.length > mostAlike && ` and ${texts.length - mostAlike} more`}`
}

const evidenceOf = (
  one: Evidence,
  tables: readonly PairTable[],
  pictures: ReadonlyMap<string, Picture>,
  frames: Digest['frames'],
): Markup => {
  const { pair } = one
  const table = tables.find(({ id }) => id === one.table)
  const byHost = table === undefined ? null : framesByHost(table.matrix, frames)
  const source = byHost?.get(pair.from)
  const destination = byHost?.get(pair.to)
  const picture = pictures.get(`${source?.id} ${destination?.id}`)
  const [sign, tone] = outcomeSign(pair)
  const title = `${line(pair.from)} → ${line(pair.to)}`
  return evidence(
    one.id,
    one.table,
    html`${title} <span class="chip ${tone}">${sign} ${outcomeText(pair)}</span>`,
    html`${facts([
      ['Why', line(pair.reason)],
      [
        'Evidence',
        pair.evidence === 'live'
          ? 'live: every frame of it was sent on this host'
          : 'predicted from the contract',
      ],
      ['Pairs', alikeText(one)],
      [
        'Frames',
        picture === undefined
          ? source !== undefined && source === destination
            ? 'of one layout'
            : null
          : html`<a href="#${picture.id}">drawn to scale</a>`,
      ],
    ])}${frameTable(pair.frames, `Frames of ${title}`)}`,
  )
}

const gridOf = (table: PairTable, grid: PairGrid, open: boolean): Markup => {
  const names = grid.generations.join(', ')
  return html`
<details class="generation" ${open && html`open`}><summary><h4>${names}</h4></summary>
<div id="${grid.id}">${gridTable(table, grid, `Pairs on ${names} kernels`)}</div>
</details>`
}

const legend = html`<p class="note"><span class="pair good">✓</span> works <span class="pair warn">◐</span> works if some component is not in use <span class="pair bad">✕</span> breaks, and the task is told by a signal <span class="pair bad">!</span> silently: the task goes on with other numbers <span class="pair quiet">?</span> nobody here can say <span class="pair good live">✓</span> underlined: live, seen on a host; otherwise predicted. A row is where the frame comes from. Arrow keys move within a matrix; Enter shows the evidence, Escape closes it.</p>`

const ranText = ({ matrix }: PairTable): string =>
  matrix.kernel === null
    ? 'Nothing was sent: all is predicted.'
    : `Live ones were sent on Linux ${line(matrix.kernel.release)}${matrix.kernel.generation === null ? '' : `, ${matrix.kernel.generation}`}.`

const alikeHosts = ({ hosts }: PairTable): Value => {
  const merged = hosts.filter(({ alike }) => alike.length > 0)
  return (
    merged.length > 0 &&
    html`<p class="note">In one row, since they fare alike: ${merged.map(({ name, alike }, i) => html`${i > 0 && '; '}${name} with ${alike.join(', ')}`)}.</p>`
  )
}

export const pairsSection = ({ pairTables, evidence: all, pictures, frames }: Digest): Value => {
  if (pairTables.length === 0) return null
  const byEnds = new Map(pictures.map(one => [`${one.source.id} ${one.destination.id}`, one]))
  return html`
<section id="pairs" aria-labelledby="pairs-title">
<h2 id="pairs-title">Pairs of CPUs</h2>
${legend}
${pairTables.map(
  table => html`
<div id="${table.id}">
<h3>${table.name}</h3>
<p class="note">Frames of ${line(table.matrix.abi)}. ${ranText(table)}</p>
${alikeHosts(table)}
${table.grids.map((grid, i) => gridOf(table, grid, i === 0))}
${leftOut(table.more, 'hosts')}
${all.filter(one => one.table === table.id).map(one => evidenceOf(one, pairTables, byEnds, frames))}
</div>`,
)}
</section>`
}
