// What GitHub's own parser of workflows says of those on standard input, a JSON list of texts: for each a list of messages.
//
// A process of its own: the parser imports JSON without saying so, which Node refuses and bundlers do not.
import { register } from 'node:module'
import { text } from 'node:stream/consumers'

const hook = `export const load = (url, context, next) =>
  next(url, url.endsWith('.json') ? { ...context, importAttributes: { type: 'json' } } : context)`
register(`data:text/javascript,${encodeURIComponent(hook)}`)

const { validate } = await import('@actions/languageservice')
const { TextDocument } = await import('vscode-languageserver-textdocument')

// What was parsed is remembered by its name.
const problemsIn = async (workflow, i) => {
  const found = await validate(TextDocument.create(`file:///workflow-${i}.yml`, 'yaml', 1, workflow))
  return found.map(({ message, range }) => `${range.start.line + 1}: ${message}`)
}

const workflows = JSON.parse(await text(process.stdin))
process.stdout.write(JSON.stringify(await Promise.all(workflows.map(problemsIn))))
