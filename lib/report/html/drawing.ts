/** Frames to scale, as SVG: the source's regions above the destination's, and where each goes. Pure. */

import { type Frame, ownersText } from '../digest/layouts.ts'
import { type Crossing, type Picture, pictureText } from '../digest/pictures.ts'
import type { Region } from '../layout-picture.ts'
import { html, type Markup, type Value } from './template.ts'

/** Units of the picture; boxes scroll where there is less room. */
const width = 980
const margin = 4
/** Names of what is narrow stand to the right of their lines, also those of the last regions. */
const right = 66
const strip = 26
const between = 64
const tier = 14
const axis = 18
/** Of a character of 11 units, on the average, and a little more. */
const perCharacter = 6.6
/** What is narrower could not be seen. */
const narrowest = 1.5
const hues = 8
const tickSteps = [64, 128, 256, 512, 1024, 2048] as const
const leastTick = 56

const round = (value: number): string => String(Math.round(value * 10) / 10)

type Scale = (byte: number) => number

const scaleFor =
  (bytes: number): Scale =>
  byte =>
    margin + (byte / bytes) * (width - margin - right)

interface Span {
  readonly region: Region
  readonly x: number
  readonly width: number
}

const spansOf = (regions: readonly Region[], scale: Scale): Span[] =>
  regions.map(region => {
    const x = scale(region.offset)
    return { region, x, width: Math.max(narrowest, scale(region.offset + region.size) - x) }
  })

const fits = ({ region, width: room }: Span): boolean => region.name.length * perCharacter + 4 <= room

interface Label {
  readonly text: string
  readonly x: number
  readonly tier: number
}

/**
 * Names of what is too narrow for them, beside their lines. From right to left, each above those whose lines its text
 * would cross.
 */
const labelsOf = (spans: readonly Span[]): Label[] => {
  const labels: Label[] = []
  for (const span of spans.toReversed()) {
    const { region } = span
    if (!region.used || fits(span)) continue
    const x = span.x + span.width / 2
    const reach = region.name.length * perCharacter + 6
    // At the right edge the text stands on the left of its line, where it might cross others'.
    const [from, to] = x + reach > width ? [x - reach, x] : [x, x + reach]
    const crossed = labels.filter(one => one.x >= from && one.x <= to)
    labels.push({ text: region.name, x, tier: 1 + Math.max(-1, ...crossed.map(one => one.tier)) })
  }
  return labels
}

const tiersOf = (labels: readonly Label[]): number => 1 + Math.max(-1, ...labels.map(one => one.tier))

/** A hue for each name, the same in all pictures. */
const hueOf = (name: string): number => {
  let sum = 0
  for (const character of name) sum = (sum * 31 + (character.codePointAt(0) ?? 0)) % 9973
  return sum % hues
}

/** In the order in which neighbours differ most; others by their names. */
const known = [
  'x87',
  'sse',
  'header',
  'avx',
  'opmask',
  'zmm_hi256',
  'hi16_zmm',
  'pkru',
  'MAGIC2',
  'sw',
  'xtilecfg',
  'xtiledata',
  'bndregs',
  'bndcsr',
  'apx',
]

const hueClass = ({ name, used }: Region): string => {
  if (!used) return 'gap'
  const at = known.indexOf(name)
  return `h${at < 0 ? hueOf(name) : at % hues}`
}

const titleOf = ({ name, offset, size, what }: Region): string =>
  `${name}: bytes ${offset} to ${offset + size - 1}${what === '' ? '' : `, ${what}`}`

const block = (span: Span, y: number): Markup => {
  const { region, x, width: room } = span
  return html`<g class="region ${hueClass(region)}"><title>${titleOf(region)}</title><rect x="${round(x)}" y="${round(y)}" width="${round(room)}" height="${strip}"/>${
    region.used &&
    fits(span) &&
    html`<text x="${round(x + room / 2)}" y="${round(y + strip / 2 + 4)}" text-anchor="middle">${region.name}</text>`
  }</g>`
}

/** @param up whether the labels stand above the strip, which begins at `y` */
const labelled = (labels: readonly Label[], y: number, up: boolean): Value =>
  labels.map(({ text, x, tier: level }) => {
    const end = up ? y - 4 - level * tier : y + strip + 4 + level * tier
    const left = x + text.length * perCharacter + 6 > width
    return html`<path class="leader" d="M${round(x)} ${round(up ? y : y + strip)}V${round(up ? end - 8 : end + 8)}"/><text class="label" x="${round(left ? x - 3 : x + 3)}" y="${round(up ? end : end + 9)}" text-anchor="${left ? 'end' : 'start'}">${text}</text>`
  })

const crossing = (one: Crossing, scale: Scale, top: number): Value => {
  const { source, destination, fate } = one
  const bottom = top + between
  const ends = (region: Region): readonly [number, number] => {
    const x = scale(region.offset)
    return [x, Math.max(x + narrowest, scale(region.offset + region.size))]
  }
  if (source !== null && destination !== null) {
    const [a, b] = ends(source)
    const [c, d] = ends(destination)
    return html`<path class="flow ${fate} ${hueClass(source)}" d="M${round(a)} ${round(top)}H${round(b)}L${round(d)} ${round(bottom)}H${round(c)}Z"/>`
  }
  const region = source ?? destination
  if (region === null) return null
  const [a, b] = ends(region)
  const middle = (a + b) / 2
  const [y, tip] = source === null ? [bottom, bottom - 22] : [top, top + 22]
  const sign = source === null ? '+' : '✕'
  return html`<path class="flow ${fate} ${hueClass(region)}" d="M${round(a)} ${round(y)}H${round(b)}L${round(middle)} ${round(tip)}Z"/><text class="sign" x="${round(middle)}" y="${round(source === null ? tip - 3 : tip + 12)}" text-anchor="middle">${sign}</text>`
}

const ticks = (bytes: number, scale: Scale, y: number): Value => {
  const step = tickSteps.find(one => scale(one) - scale(0) >= leastTick) ?? 4096
  return Array.from({ length: Math.floor(bytes / step) + 1 }, (_, i) => {
    const x = scale(i * step)
    const end = x + 34 > width
    return html`<path class="leader" d="M${round(x)} ${round(y)}v4"/><text class="tick" x="${round(x)}" y="${round(y + 14)}" text-anchor="${i === 0 ? 'start' : end ? 'end' : 'middle'}">${i * step}</text>`
  })
}

const svg = (height: number, label: string, content: Value): Markup =>
  html`<svg viewBox="0 0 ${width} ${round(height)}" width="${width}" height="${round(height)}" role="img" aria-label="${label}">${content}</svg>`

/** One frame alone. */
export const frameDrawing = ({ regions, end }: Frame): Markup => {
  const scale = scaleFor(end)
  const spans = spansOf(regions, scale)
  const labels = labelsOf(spans)
  const y = 4 + tiersOf(labels) * tier
  const names = regions.filter(({ used }) => used).map(({ name, offset }) => `${name} at ${offset}`)
  return svg(y + strip + axis, `A frame of ${end} bytes: ${names.join(', ')}`, [
    spans.map(span => block(span, y)),
    labelled(labels, y, true),
    ticks(end, scale, y + strip),
  ])
}

/** The source above the destination, in the same scale. */
export const pictureDrawing = (picture: Picture): Markup => {
  const { source, destination, crossings } = picture
  const scale = scaleFor(Math.max(source.end, destination.end))
  const above = spansOf(source.regions, scale)
  const below = spansOf(destination.regions, scale)
  const aboveLabels = labelsOf(above)
  const belowLabels = labelsOf(below)
  const y = 4 + tiersOf(aboveLabels) * tier
  const second = y + strip + between
  const foot = second + strip + tiersOf(belowLabels) * tier + 6
  return svg(
    foot + axis,
    `The frame of ${ownersText(source)} above that of ${ownersText(destination)}: ${pictureText(picture)}`,
    [
      // What stays is drawn first: what moves crosses it.
      crossings
        .toSorted((a, b) => Number(a.fate === 'moves') - Number(b.fate === 'moves'))
        .map(one => crossing(one, scale, y + strip)),
      above.map(span => block(span, y)),
      labelled(aboveLabels, y, true),
      below.map(span => block(span, second)),
      labelled(belowLabels, second, false),
      ticks(Math.max(source.end, destination.end), scale, foot),
    ],
  )
}
