/** The last section: what made the results and the page, and how to have them again. */
import type { Digest, PageExtras } from '../digest/digest.ts'
import { groupBy } from '../verdicts.ts'
import { command, facts, line } from './parts.ts'
import { html, type Markup, type Value } from './template.ts'

const shownFiles = 5

/** Which version of sigframe wrote what. */
const versionsOf = ({ collection: { hosts, vms, matrices, tool } }: Digest): Value => {
  const made = [
    { version: tool.version, what: 'this collection' },
    ...hosts.flatMap(({ name, bundle }) =>
      bundle === null ? [] : [{ version: bundle.tool.version, what: name }],
    ),
    ...vms.map(({ name, report }) => ({ version: report.tool.version, what: name })),
    ...matrices.map(({ name, matrix }) => ({ version: matrix.tool.version, what: name })),
  ]
  return html`<ul>${[...groupBy(made, ({ version }) => version)].slice(0, 20).map(
    ([version, of]) =>
      html`<li>sigframe ${line(version)}: ${of
        .slice(0, shownFiles)
        .map(({ what }) => line(what))
        .join(', ')}${of.length > shownFiles && ` and ${of.length - shownFiles} more`}</li>`,
  )}</ul>`
}

export const aboutSection = (digest: Digest, { generatedAt, command: made }: PageExtras): Markup => html`
<section id="about" aria-labelledby="about-title">
<h2 id="about-title">About</h2>
${facts([
  ['Written', generatedAt],
  ['By', versionsOf(digest)],
])}
<p>This page again:</p>
${made === null ? html`<p class="note">It was not made by a command.</p>` : command(made)}
<p>A host’s results, and what is predicted between CPUs:</p>
${command('sigframe run --output HOST.json')}
${command('sigframe matrix --output pairs.json')}
${command('sigframe report HOST.json pairs.json --output report.html')}
</section>`
