/**
 * Markup by tagged templates in which every value is escaped. Our own, since it is these few lines: a library would
 * bring components, hydration or streams, and none shows what does not print.
 */
import { printable } from '../text.ts'

const safe: unique symbol = Symbol('markup')

/** Text that is markup already; nothing that a file says can be it. */
export interface Markup {
  readonly [safe]: string
}

export type Value = string | number | Markup | null | undefined | false | readonly Value[]

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

/** Any text as HTML's text or as an attribute's value in quotes; what does not print is `\x1b`. */
export const escapeHtml = (text: string): string =>
  text.replace(/[^\n\t]+/g, printable).replace(/[&<>"']/g, character => entities[character] ?? '')

const isMarkup = (value: object): value is Markup => safe in value

const rendered = (value: Value): string => {
  if (value === null || value === undefined || value === false) return ''
  if (typeof value === 'string') return escapeHtml(value)
  if (typeof value === 'number') return String(value)
  return isMarkup(value) ? value[safe] : value.map(rendered).join('')
}

/** Markup; nothing for null, undefined and false. */
export const html = (strings: TemplateStringsArray, ...values: readonly Value[]): Markup => ({
  [safe]: strings.map((text, i) => text + rendered(values[i])).join(''),
})

/** Text of our own that is not to be escaped: a style sheet, a script. */
export const raw = (text: string): Markup => ({ [safe]: text })

export const markupText = (markup: Markup): string => markup[safe]
