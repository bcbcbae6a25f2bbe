/**
 * Makes of a frame that shows a difference the least that still shows it: first fewer operations, then the plainest
 * way to send it, then simpler operations, until nothing more can be left out. Deterministic; greedy. Pure.
 */
import type { EditOp } from '../frame/edit.ts'
import { plainOp } from '../harness/repro.ts'
import type { Layout } from '../xstate/layout.ts'
import type { DrawnFrame } from './grammar.ts'
import { simplerOps } from './simpler.ts'

export interface ShrinkOptions {
  /** The most candidates that are tried. */
  readonly budget: number
  /** The plainest of the images. */
  readonly simplest: { readonly load: number; readonly poison: number }
  /** The session's. */
  readonly layout: Layout
  /** Whether a candidate can be sent: others are passed over, and cost nothing. */
  readonly compiles: (candidate: DrawnFrame) => boolean
}

export interface Shrunk {
  readonly frame: DrawnFrame
  /** How many candidates were tried. */
  readonly tries: number
}

/** Tries a candidate; where it shows the difference, it is the frame from there on. */
type Try = (candidate: DrawnFrame) => boolean

interface Search {
  readonly options: ShrinkOptions
  /** The least so far. */
  frame: DrawnFrame
  readonly attempt: Try
}

const keyOf = ({ abi, raise, load, poison, edit }: DrawnFrame): string =>
  JSON.stringify([abi, raise, load, poison, edit.map(plainOp)])

const withEdit = (frame: DrawnFrame, edit: readonly EditOp[]): DrawnFrame => ({ ...frame, edit })

/** Without some of the operations: all, halves, down to single ones. The last come first: the first prepare them. */
const dropOps = (search: Search): boolean => {
  let changed = false
  for (let size = search.frame.edit.length; size >= 1; size = Math.floor(size / 2)) {
    for (let end = search.frame.edit.length; end > 0; end -= size) {
      const { edit } = search.frame
      const from = Math.max(0, end - size)
      if (search.attempt(withEdit(search.frame, [...edit.slice(0, from), ...edit.slice(end)]))) changed = true
    }
  }
  return changed
}

const isOfFsave = (op: EditOp): boolean =>
  (op.op === 'write' && op.region === 'fsave') || ('field' in op && op.field.startsWith('fsave.'))

/** Plainer ways to send the same edit. */
function* plainer(frame: DrawnFrame, { simplest }: ShrinkOptions): Generator<DrawnFrame> {
  const { abi, raise, load, poison, edit } = frame
  if (abi !== 'x86_64') {
    yield { ...frame, abi: 'x86_64' }
    yield { ...frame, abi: 'x86_64', edit: edit.filter(op => !isOfFsave(op)) }
  }
  if (abi === 'ia32') yield { ...frame, abi: 'ia32-rt' }
  if (raise !== 'tgkill') yield { ...frame, raise: 'tgkill' }
  if (load !== simplest.load) yield { ...frame, load: simplest.load }
  if (poison !== simplest.poison) yield { ...frame, poison: simplest.poison }
}

const first = (candidates: Iterable<DrawnFrame>, attempt: Try): boolean => {
  for (const candidate of candidates) if (attempt(candidate)) return true
  return false
}

const sendPlainly = (search: Search): boolean => {
  let changed = false
  while (first(plainer(search.frame, search.options), search.attempt)) changed = true
  return changed
}

function* withSimpler(frame: DrawnFrame, i: number, layout: Layout): Generator<DrawnFrame> {
  const op = frame.edit[i]
  if (op === undefined) return
  for (const replacement of simplerOps(op, layout, frame.abi))
    yield withEdit(frame, frame.edit.toSpliced(i, 1, ...replacement))
}

const simplifyOps = (search: Search): boolean => {
  const { layout } = search.options
  let changed = false
  for (let i = 0; i < search.frame.edit.length; i++)
    while (first(withSimpler(search.frame, i, layout), search.attempt)) changed = true
  return changed
}

/**
 * @param start a frame for which `differs` holds: it is not asked of it
 * @param differs whether a candidate shows the difference; called at most `budget` times, and never twice for the same
 * @returns the start, or a candidate for which `differs` held. Unless the budget ran out, no single operation of it
 *   can be left out
 */
export const shrink = (
  start: DrawnFrame,
  differs: (candidate: DrawnFrame) => boolean,
  options: ShrinkOptions,
): Shrunk => {
  const { budget, compiles } = options
  const seen = new Set([keyOf(start)])
  let tries = 0
  const attempt: Try = candidate => {
    if (tries >= budget) return false
    const key = keyOf(candidate)
    if (seen.has(key)) return false
    seen.add(key)
    if (!compiles(candidate)) return false
    tries += 1
    if (!differs(candidate)) return false
    search.frame = candidate
    return true
  }
  const search: Search = { options, frame: start, attempt }
  while (tries < budget) {
    // All of them: a round without a change is the end.
    const changes = [dropOps(search), sendPlainly(search), simplifyOps(search)]
    if (!changes.includes(true)) break
  }
  return { frame: search.frame, tries }
}
