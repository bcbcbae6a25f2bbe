import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { escapeHtml, html, type Markup, markupText, raw } from '../../lib/report/html/template.ts'
import { anyText } from './arbitrary.ts'
import { markupTexts } from './collection-samples.ts'
import { hostileTexts } from './stub.ts'

const text = (markup: Markup): string => markupText(markup)

describe('values', () => {
  test('nothing for what is not', () => {
    expect(text(html`a${null}b${undefined}c${false}d${[]}e`)).toBe('abcde')
  })

  test('zero is a number', () => {
    expect(text(html`${0}`)).toBe('0')
  })

  test('markup in markup, lists of either', () => {
    expect(text(html`<ul>${['<', '&'].map(one => html`<li>${one}</li>`)}</ul>`)).toBe(
      '<ul><li>&lt;</li><li>&amp;</li></ul>',
    )
  })

  test('raw is as it is', () => {
    expect(text(html`${raw('<b>')}`)).toBe('<b>')
  })

  test('an object of a file is not markup, whatever it says it is', () => {
    const forged = JSON.parse('{"markup":"<b>","safe":"<b>","Symbol(markup)":"<b>"}')
    expect(() => text(html`${forged}`)).toThrow(TypeError)
  })

  test('markup stays escaped once', () => {
    expect(text(html`${html`${'<'}`}`)).toBe('&lt;')
  })
})

describe('escaping', () => {
  test.each([
    ['<b>', '&lt;b&gt;'],
    ['&amp;', '&amp;amp;'],
    [`"'`, '&quot;&#39;'],
    ['a\u0000b\u202ec\ud800', 'a\\x00b\\u202ec\\ud800'],
    ['a\tb\nc', 'a\tb\nc'],
    ['\r', '\\x0d'],
    ['é 漢 😀', 'é 漢 😀'],
  ])('%j', (given, wanted) => {
    expect(escapeHtml(given)).toBe(wanted)
  })

  test('any text: nothing that begins markup, ends an attribute or does not print', () => {
    fc.assert(
      fc.property(fc.oneof(anyText(), fc.constantFrom(...markupTexts, ...hostileTexts)), given => {
        const escaped = escapeHtml(given)
        expect(escaped).not.toMatch(/[<>"']|&(?!amp;|lt;|gt;|quot;|#39;)/)
        expect(escaped).not.toMatch(/[\p{Cs}\u202a-\u202e\u2066-\u2069]/u)
        expect(escaped.replace(/[\n\t]/g, '')).not.toMatch(/\p{Cc}/u)
      }),
    )
  })
})
