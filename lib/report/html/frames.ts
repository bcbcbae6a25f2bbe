/** The section on frames: each layout to scale, and pairs of them. */
import type { Digest } from '../digest/digest.ts'
import { type Frame, ownersText } from '../digest/layouts.ts'
import { type Crossing, type Picture, pictureText } from '../digest/pictures.ts'
import { plural } from '../text.ts'
import { frameDrawing, pictureDrawing } from './drawing.ts'
import { leftOut, scrolling } from './parts.ts'
import { html, type Markup, type Value } from './template.ts'

const titleOf = (frame: Frame): string => ownersText(frame)

const regionTable = ({ regions }: Frame, title: string): Markup =>
  scrolling(
    `Regions of the frame of ${title}`,
    html`<table class="numbers"><thead><tr><th scope="col">Region</th><th scope="col" class="n">Offset</th><th scope="col" class="n">Bytes</th><th scope="col">What lies there</th></tr></thead><tbody>${regions.map(
      ({ name, offset, size, what }) =>
        html`<tr><th scope="row">${name}</th><td class="n">${offset}</td><td class="n">${size}</td><td>${what}</td></tr>`,
    )}</tbody></table>`,
  )

const frameOf = (frame: Frame): Markup => {
  const title = titleOf(frame)
  return html`
<article class="block" id="${frame.id}">
<h3>${title}</h3>
<p class="note">${frame.size} bytes, ${frame.end > frame.size ? `${frame.end} with MAGIC2` : 'all there is without XSAVE'}. ${plural(frame.owners.length, 'host or CPU', 'hosts and CPUs')}${frame.owners.length > 3 && html`: ${frame.owners.slice(0, 40).join(', ')}${frame.owners.length > 40 && ' …'}`}</p>
${scrolling(`The frame of ${title}, to scale`, frameDrawing(frame))}
<details><summary>Regions in numbers</summary>${regionTable(frame, title)}</details>
</article>`
}

const fateText = ({ source, destination, fate }: Crossing): string => {
  if (fate === 'moves') {
    const by = (destination?.offset ?? 0) - (source?.offset ?? 0)
    return `moves by ${by > 0 ? '+' : '−'}${Math.abs(by)}`
  }
  return { stays: 'same place', missing: 'not in the destination', new: 'only in the destination' }[fate]
}

const crossingTable = ({ crossings }: Picture, label: string): Markup => {
  const at = (value: number | undefined): Value => html`<td class="n">${value ?? '–'}</td>`
  return scrolling(
    label,
    html`<table class="numbers"><thead><tr><th scope="col">Region</th><th scope="col" class="n">Source offset</th><th scope="col" class="n">Bytes</th><th scope="col" class="n">Destination offset</th><th scope="col" class="n">Bytes</th><th scope="col">In the destination</th></tr></thead><tbody>${crossings.map(
      one =>
        html`<tr><th scope="row">${one.name}</th>${at(one.source?.offset)}${at(one.source?.size)}${at(one.destination?.offset)}${at(one.destination?.size)}<td>${fateText(one)}</td></tr>`,
    )}</tbody></table>`,
  )
}

const pictureOf = (picture: Picture, open: boolean): Markup => {
  const title = `${titleOf(picture.source)} → ${titleOf(picture.destination)}`
  return html`
<details class="picture" ${open && html`open`}><summary><span class="name">${title}</span> <span class="note">${pictureText(picture)}</span></summary>
<div id="${picture.id}" tabindex="-1">
${scrolling(`${title}, to scale`, pictureDrawing(picture))}
${crossingTable(picture, `${title}, in numbers`)}
</div></details>`
}

/** How the pictures are read. */
const legend = html`<p class="note">Source above, destination below, in one scale. Bands join what both have: upright where it stays, slanted where it moves; ✕ is missing in the destination, + is only there; what is grey with a dashed edge is nobody’s.</p>`

export const framesSection = ({ frames, framesLeft, pictures, picturesLeft }: Digest): Value => {
  if (frames.length === 0 && framesLeft.length === 0) return null
  const own = frames.filter(({ ran }) => ran)
  const alone = own.length > 0 ? own : frames.slice(0, 1)
  return html`
<section id="frames" aria-labelledby="frames-title">
<h2 id="frames-title">Frames</h2>
${alone.map(frameOf)}
${pictures.length > 0 && html`<h3 id="pictures">From one to another</h3>${legend}${pictures.map((one, i) => pictureOf(one, i === 0))}`}
${leftOut(picturesLeft, 'pairs of layouts')}
${framesLeft.length > 0 && html`<ul class="left">${framesLeft.map(text => html`<li>Not drawn: ${text}</li>`)}</ul>`}
</section>`
}
