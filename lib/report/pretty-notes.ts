/** What needs no reader's action, each kind in one line: expected failures, backports, skips. */
import { type Rule, ruleOf } from '../contract/rules.ts'
import type { CaseResult } from '../harness/results.ts'
import { labelled, type Style } from './style.ts'
import { oneLine, padStart } from './text.ts'
import { groupBy } from './verdicts.ts'

/** The rules of a case that its kernel may lack; all of them where none is newer. */
const newerRules = ({ rules }: CaseResult): Rule[] => {
  const all = rules.map(ruleOf)
  const newer = all.filter(({ status }) => status !== 'established')
  return newer.length > 0 ? newer : all
}

const isProposed = (one: CaseResult): boolean => {
  const rules = newerRules(one)
  return rules.length > 0 && rules.every(({ status }) => status === 'proposed')
}

interface Note {
  readonly label: 'xfail' | 'pass' | 'skip'
  readonly count: number
  readonly text: string
}

const statusOf = ({ status, commit }: Rule): string => `${status} (${commit})`

const distinct = (texts: readonly string[]): string => [...new Set(texts)].join(' and ')

const xfailNotes = (cases: readonly CaseResult[]): Note[] =>
  [
    ...groupBy(cases, one =>
      newerRules(one)
        .map(({ id }) => id)
        .join(' and '),
    ),
  ].map(([ids, group]) => {
    const status = distinct(group.flatMap(newerRules).map(statusOf))
    const text = ids === '' ? distinct(group.map(({ reason }) => oneLine(reason))) : `${ids}, ${status}`
    return { label: 'xfail', count: group.length, text }
  })

/** All of them in one line: nobody has promised these rules yet. */
const proposedNotes = (cases: readonly CaseResult[]): Note[] => {
  if (cases.length === 0) return []
  const rules = cases.flatMap(newerRules)
  const text = `${distinct(rules.map(statusOf))}: ${distinct(rules.map(({ id }) => id))}`
  return [{ label: 'xfail', count: cases.length, text }]
}

const byReason = (label: Note['label'], cases: readonly CaseResult[]): Note[] =>
  [...groupBy(cases, ({ reason }) => reason)].map(([reason, group]) => ({
    label,
    count: group.length,
    text: oneLine(reason) || 'no reason given',
  }))

const notesOf = (cases: readonly CaseResult[]): Note[] => {
  const xfails = cases.filter(({ verdict }) => verdict === 'xfail')
  return [
    ...byReason(
      'pass',
      cases.filter(({ verdict, reason }) => verdict === 'pass' && reason !== ''),
    ),
    ...xfailNotes(xfails.filter(one => !isProposed(one))),
    ...proposedNotes(xfails.filter(isProposed)),
    ...byReason(
      'skip',
      cases.filter(({ verdict }) => verdict === 'skip'),
    ),
  ]
}

/** What passed and was counted or measured on the way. */
const toldLines = (cases: readonly CaseResult[], style: Style): string[] =>
  cases
    .filter(({ verdict, rules }) => verdict === 'pass' && rules.some(id => ruleOf(id).tells === true))
    .flatMap(({ id, observed }) =>
      labelled('seen   ', oneLine(`${id}: ${observed}`), style, undefined, style.colors.dim),
    )

/** One line for each note, the counts under one another. */
export const noteLines = (cases: readonly CaseResult[], style: Style): string[] => {
  const notes = notesOf(cases)
  const width = Math.max(0, ...notes.map(({ count }) => String(count).length))
  const counted = notes.flatMap(({ label, count, text }) =>
    labelled(
      `${label.padEnd(5)}  ${padStart(String(count), width)} × `,
      text,
      style,
      undefined,
      label === 'xfail' ? style.colors.cyan : style.colors.dim,
    ),
  )
  return [...counted, ...toldLines(cases, style)]
}
