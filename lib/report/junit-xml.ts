/**
 * XML 1.0 of elements, attributes and text. Forty lines of our own: what is hard about it is that no text may make the
 * document unreadable, and of the builders that are kept (fast-xml-builder, xmlbuilder2) neither sees to that. They
 * write U+0000 and halves of surrogate pairs as they come, and line ends in attributes so that readers turn them into
 * blanks. Each text would have to be cleaned here before, and five replacements are then all that is left.
 */

export interface XmlElement {
  readonly name: string
  readonly attributes: Readonly<Record<string, string | number>>
  readonly children: readonly (XmlElement | string)[]
}

// All that is no Char (XML 1.0, production 2), halves of a surrogate pair among it.
const noCharacter = /[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu

// `>` so that no `]]>` is left; the white space that readers would change (3.3.3 and 2.11).
const inText: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '\r': '&#13;' }
const inAttribute: Readonly<Record<string, string>> = {
  ...inText,
  '"': '&quot;',
  '\t': '&#9;',
  '\n': '&#10;',
}

const escaped = (text: string, by: Readonly<Record<string, string>>): string =>
  text.replace(noCharacter, '\ufffd').replace(/[&<>"\t\n\r]/g, character => by[character] ?? character)

/** @param name of an element that we name ourselves: it is not checked */
export const element = (
  name: string,
  attributes: XmlElement['attributes'],
  children: XmlElement['children'] = [],
): XmlElement => ({ name, attributes, children })

const lines = ({ name, attributes, children }: XmlElement, margin: string): string[] => {
  const pairs = Object.entries(attributes).map(
    ([key, value]) => ` ${key}="${escaped(String(value), inAttribute)}"`,
  )
  const open = `${margin}<${name}${pairs.join('')}`
  if (children.length === 0) return [`${open}/>`]
  // Text is not indented: white space is a part of it.
  if (children.every(child => typeof child === 'string'))
    return [`${open}>${children.map(child => escaped(child, inText)).join('')}</${name}>`]
  return [
    `${open}>`,
    ...children.flatMap(child =>
      typeof child === 'string' ? [escaped(child, inText)] : lines(child, `${margin}  `),
    ),
    `${margin}</${name}>`,
  ]
}

/** A document, in UTF-8. */
export const xmlDocument = (root: XmlElement): string =>
  `${['<?xml version="1.0" encoding="UTF-8"?>', ...lines(root, '')].join('\n')}\n`
