/** The whole page: one file that needs nothing from anywhere, and lets nothing be loaded. */
import { createHash } from 'node:crypto'
import { type Digest, noExtras, type PageExtras, standing } from '../digest/digest.ts'
import { aboutSection } from './about.ts'
import { failuresSection } from './failures.ts'
import { framesSection } from './frames.ts'
import { kernelsSection } from './kernels.ts'
import { pairsSection } from './pairs.ts'
import { script } from './script.ts'
import { styles } from './styles.ts'
import { summarySection } from './summary.ts'
import { html, type Markup, markupText, raw, type Value } from './template.ts'

const hashOf = (text: string): string => `'sha256-${createHash('sha256').update(text).digest('base64')}'`

/** Our own style sheet and script, by what they are; nothing else is run or loaded. */
const policy = [
  "default-src 'none'",
  `style-src ${hashOf(styles)}`,
  `script-src ${hashOf(script)}`,
  "base-uri 'none'",
  "form-action 'none'",
].join('; ')

const sectionsOf = (digest: Digest, extras: PageExtras): readonly (readonly [string, string, Value])[] =>
  (
    [
      ['summary', 'Summary', summarySection(digest)],
      ['frames', 'Frames', framesSection(digest)],
      ['pairs', 'Pairs', pairsSection(digest)],
      ['kernels', 'Kernels', kernelsSection(digest)],
      ['failures', 'Failures', failuresSection(digest, extras)],
      ['about', 'About', aboutSection(digest, extras)],
    ] as const
  ).filter(([, , content]) => content !== null)

const pageOf = (digest: Digest, extras: PageExtras): Markup => {
  const sections = sectionsOf(digest, extras)
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<title>sigframe: ${standing(digest)}</title>
<style>${raw(styles)}</style>
</head>
<body>
<a class="skip" href="#main">To the content</a>
<header class="top">
<h1>sigframe <span class="note">${standing(digest)}</span></h1>
<nav aria-label="Sections">${sections.map(([id, name]) => html`<a href="#${id}">${name}</a>`)}</nav>
</header>
<main id="main" tabindex="-1">
${sections.map(([, , content]) => content)}
</main>
<script>${raw(script)}</script>
</body>
</html>
`
}

/** A collection's digest as one page of HTML. */
export const htmlReport = (digest: Digest, extras: Partial<PageExtras> = {}): string =>
  markupText(pageOf(digest, { ...noExtras, ...extras }))
