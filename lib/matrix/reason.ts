/** Why a pair does not work, in one line. Pure. */
import { ruleOf } from '../contract/rules.ts'
import { type ComponentName, namesOf } from '../xstate/components.ts'
import type { Layout, PlacedComponent } from '../xstate/layout.ts'
import { type Fate, isWhole } from './fate.ts'
import { type Asked, elsewhereAt, isMore, type Judged, missingAt } from './judge.ts'
import { componentsOfUse } from './use.ts'

/** A side of a pair. */
export interface Side {
  readonly name: string
  readonly layout: Layout
}

export interface Sides {
  readonly from: Side
  readonly to: Side
}

const listed = (mask: bigint): string => namesOf(mask).join(' ')

const overlaps = (one: PlacedComponent, { offset, end }: PlacedComponent): boolean =>
  one.offset < end && one.end > offset

/** What a frame has where the destination has this component. */
const foundAt = (from: Layout, placed: PlacedComponent): string => {
  const there = from.extended.filter(one => overlaps(one, placed)).map(({ name }) => name)
  if (there.length > 0) return there.join(' ')
  return placed.offset >= from.size ? 'behind the frame' : 'a hole'
}

/** `pkru from behind the frame`: the components of the mask, each with what is read for it. */
const readsText = ({ from, to }: Sides, mask: bigint): string =>
  namesOf(mask)
    .map(name => `${name} from ${foundAt(from.layout, to.layout.component(name))}`)
    .join(', ')

const pkruBit = 1n << 9n

/** What a frame has in XSTATE_BV: PKRU always. */
const carried = ({ features }: Layout, { used }: Asked): bigint =>
  componentsOfUse(used) | (features & pkruBit)

/** Of that, what is read at another place. */
const misread = ({ from, to }: Sides, asked: Asked): bigint =>
  carried(from.layout, asked) & elsewhereAt(from.layout, to.layout)

const always = (mask: bigint, { used }: Asked): string =>
  (mask & pkruBit & ~used) === 0n ? '' : ' (Linux always has pkru in use)'

const fxOnlyText = ({ from, to }: Sides, { rule }: Fate): string => {
  if (!to.layout.xsave) return `${to.name} has no XSAVE`
  const sizes = `xstate_size is ${from.layout.size}`
  switch (rule) {
    case 'size-above-user-size-is-fx-only':
      return `${sizes}, above ${to.name}’s ${to.layout.size}`
    case 'magic2-is-required':
      return `${sizes}, and there is no MAGIC2 at ${to.name}’s ${to.layout.size}`
    default:
      return rule === null ? sizes : ruleOf(rule).sentence
  }
}

const rejectedText = (sides: Sides, asked: Asked): string => {
  const { from, to } = sides
  const { rule, text } = asked.fate
  const missing = carried(from.layout, asked) & missingAt(from.layout, to.layout)
  switch (rule) {
    case 'too-small-is-rejected': {
      const both = from.layout.features & to.layout.features
      return `xstate_size is ${from.layout.size}, and ${to.name} needs ${to.layout.sizeFor(both)} for the same components`
    }
    case 'unsupported-xstate-bv-is-rejected':
      return `${to.name} has no ${listed(missing)}${always(missing, asked)}`
    case 'hardware-judges-contents':
      return `${to.name} reads ${readsText(sides, misread(sides, asked))}`
    default:
      return rule === null ? text : ruleOf(rule).sentence
  }
}

const byRule = ({ rule }: Fate): string => (rule === null ? '' : `, by ${rule}`)

/** What is lost though it lies at the same place. */
const lostText = ({ to }: Sides, names: readonly string[]): string[] => {
  const foreign = names.filter(name => name !== 'mxcsr' && !to.layout.has(name as ComponentName))
  const own = names.filter(name => !foreign.includes(name))
  return [
    ...(foreign.length === 0 ? [] : [`tasks of ${to.name} have no ${foreign.join(' ')}`]),
    ...(own.length === 0 ? [] : [`${own.join(' ')} lost`]),
  ]
}

/** Without a signal: the task goes on with other numbers. */
const silentText = (sides: Sides, asked: Asked): string => {
  const { from, to } = sides
  const { fxOnly, lost, unknown, leftOver } = asked.fate
  if (fxOnly) return `silently FX-only${byRule(asked.fate)}: ${fxOnlyText(sides, asked.fate)}`
  const wrong = misread(sides, asked)
  const names: readonly string[] = namesOf(wrong)
  const parts = [
    ...(wrong === 0n ? [] : [`${to.name} reads ${readsText(sides, wrong)}${always(wrong, asked)}`]),
    ...lostText(
      sides,
      lost.filter(name => !names.includes(name)),
    ),
    ...(unknown.length === 0 ? [] : [`${to.name} has no ${unknown.join(' ')}`]),
    ...(leftOver.length === 0 ? [] : [`${leftOver.join(' ')} not at init, as ${from.name} had it`]),
  ]
  return `silently: ${parts.join('; ')}`
}

const killedText = (sides: Sides, asked: Asked): string => {
  const { rule, fxOnly, text, seen } = asked.fate
  if (rule !== null && !fxOnly) return `killed${byRule(asked.fate)}: ${rejectedText(sides, asked)}`
  const wrong = misread(sides, asked)
  if ((wrong & pkruBit) === 0n || seen?.asPredicted === false) return `killed: ${text}`
  return `killed, its own memory closed by PKRU: ${sides.to.name} reads ${readsText(sides, wrong)}`
}

const unknownText = (sides: Sides, asked: Asked): string => {
  const wrong = misread(sides, asked)
  if (wrong === 0n) return `not known: ${asked.fate.text}`
  return `not known: ${sides.to.name} reads ${readsText(sides, wrong)}, and what its hardware makes of that nobody here can say`
}

/** What is wrong with a frame that is not whole. */
const wrongText = (sides: Sides, asked: Asked): string => {
  switch (asked.fate.end) {
    case 'returned':
      return silentText(sides, asked)
    case 'rejected':
      return `rejected (SIGSEGV)${byRule(asked.fate)}: ${rejectedText(sides, asked)}`
    case 'killed':
      return killedText(sides, asked)
    case 'unknown':
      return unknownText(sides, asked)
  }
}

/** With all in use, where something can be done about it; else the last that had more than x87 and SSE. Null where nothing is wrong. */
const tellingOf = ({ outcome, asked }: Judged): Asked | null => {
  const [first] = asked
  if (outcome === 'works') return null
  if (outcome === 'works if unused') return first
  return asked.findLast(({ used }) => isMore(first.used, used)) ?? first
}

/** Whether a task goes on with other numbers, and no signal tells it so. */
export const isSilent = (judged: Judged): boolean => tellingOf(judged)?.fate.end === 'returned'

/** Where nothing else helps. */
const legacyText = ({ outcome, asked }: Judged): string => {
  const last = asked.at(-1) as Asked
  return outcome === 'breaks' && isWhole(last.fate) ? '; with x87 and SSE alone in use it works' : ''
}

export const reasonOf = (sides: Sides, judged: Judged): string => {
  const telling = tellingOf(judged)
  return telling === null ? '' : wrongText(sides, telling) + legacyText(judged)
}
