/** The two doors, a tracer's and a frame's, to one component: each is seen through the other. */
import { freshValues } from '../../contract/frames.ts'
import { buildFpstate } from '../../frame/build.ts'
import { magic2Size } from '../../frame/format.ts'
import { restorable } from '../../frame/reader.ts'
import type { RegsetDone } from '../../neighbours/ptrace/answer.ts'
import type { Returned } from '../../probe/result.ts'
import { isInitComponent } from '../../xstate/compare.ts'
import { fieldOffset, imageFrom } from '../../xstate/image.ts'
import { randomImage } from '../../xstate/random.ts'
import type { TrialCase } from '../selftest.ts'
import { asStated, trialOf } from './answer.ts'
import { ask, differing, heeded, pairOf, regsetOf, regsetSize, subjectsOf, succeeded } from './regsets.ts'

type Run = TrialCase['trial']

const returned = ({ seen }: RegsetDone): Returned | string => {
  if (seen === null) return 'no signal was there'
  return seen.kind === 'returned' ? seen : `${seen.signal} at ${seen.where}`
}

const unexplained = (text: string) => ({ observed: 'unexplained', text }) as const

/** What is read is what is in the registers: of two states, so that none is read by chance. */
export const readsRegisters: Run = trialOf((probe, context) => {
  const { one, two } = pairOf(context)
  for (const load of [one, two]) {
    const { loaded } = ask(probe, { load, loaded: [{ call: 'get' }] })
    const { bytes } = succeeded(loaded[0], 'PTRACE_GETREGSET')
    const wrong = differing(probe.layout, bytes, load.bytes)
    if (wrong.length > 0) return unexplained(`${wrong.join(' ')} not read as in the registers`)
  }
  return asStated(`${subjectsOf(context).join(' ')} of two states`)
})

/** Injection: what is set is read again at once, is in the registers afterwards, and is read then. */
export const setsRegisters: Run = trialOf((probe, context) => {
  const { layout } = probe
  const { one, two } = pairOf(context)
  const done = ask(probe, {
    load: one,
    loaded: [{ call: 'set', bytes: regsetOf(probe, two) }, { call: 'get' }],
    ended: [{ call: 'get' }],
  })
  succeeded(done.loaded[0], 'PTRACE_SETREGSET')
  const reread = succeeded(done.loaded[1], 'PTRACE_GETREGSET')
  const last = succeeded(done.ended[0], 'PTRACE_GETREGSET')
  const states = { wanted: two.bytes, before: one.bytes }
  return (
    heeded(layout, done.after.bytes, states, 'in the registers') ??
    heeded(layout, reread.bytes, states, 'read at once') ??
    heeded(layout, last.bytes, states, 'read afterwards') ??
    asStated(`${subjectsOf(context).join(' ')} set, in the registers, and read again`)
  )
})

/** The component's bit is clear, and its bytes are not: it goes to init, and nothing else does. */
export const leavesOut: Run = trialOf((probe, context) => {
  const { layout } = probe
  const names = subjectsOf(context)
  const { one } = pairOf(context)
  const set = one.clone()
  set.xstateBv &= ~names.reduce((mask, name) => mask | layout.component(name).mask, 0n)
  const done = ask(probe, {
    load: one,
    loaded: [{ call: 'set', bytes: regsetOf(probe, set) }],
    ended: [{ call: 'get' }],
  })
  succeeded(done.loaded[0], 'PTRACE_SETREGSET')
  const last = succeeded(done.ended[0], 'PTRACE_GETREGSET')
  for (const [where, bytes] of [
    ['in the registers', done.after.bytes],
    ['read afterwards', last.bytes],
  ] as const) {
    const left = names.filter(name => !isInitComponent(bytes, layout, name))
    const wrong = differing(layout, bytes, one.bytes)
    if (wrong.length === 0) return { observed: 'kept', text: `${where}: ${names.join(' ')} as before` }
    if (left.length > 0) return unexplained(`${where}: ${left.join(' ')} neither as before nor at init`)
    // Without SSE nobody says what becomes of MXCSR.
    const lost = wrong.filter(name => name !== 'mxcsr' && !names.some(one => one === name))
    if (lost.length > 0) return unexplained(`${where}: ${lost.join(' ')} changed, too`)
    if (!names.includes('sse') && wrong.includes('mxcsr')) return unexplained(`${where}: mxcsr changed, too`)
  }
  return asStated(`${names.join(' ')} at init`)
})

/** What is set while the task is stopped is in the frame of the signal that hits it next, and comes back from it. */
export const isInFrame: Run = trialOf((probe, context) => {
  const { layout, abi } = context
  const { one, two } = pairOf(context)
  const done = ask(probe, {
    load: one,
    loaded: [{ call: 'set', bytes: regsetOf(probe, two) }],
    signal: { abi },
    ended: [{ call: 'get' }],
  })
  succeeded(done.loaded[0], 'PTRACE_SETREGSET')
  const seen = returned(done)
  if (typeof seen === 'string') return unexplained(seen)
  const states = { wanted: two.bytes, before: one.bytes }
  const last = succeeded(done.ended[0], 'PTRACE_GETREGSET')
  return (
    heeded(layout, restorable(seen.written), states, 'in the frame') ??
    heeded(layout, done.after.bytes, states, 'after the return') ??
    heeded(layout, last.bytes, states, 'read after the return') ??
    asStated(`${subjectsOf(context).join(' ')} in the frame as set, and back from it`)
  )
})

/** What a handler writes into its frame is what a tracer reads after the return. */
export const isReadFromFrame: Run = trialOf((probe, context) => {
  const { layout, abi, seed } = context
  const names = subjectsOf(context)
  const load = randomImage(layout, { seed })
  const edit = freshValues(layout, names, seed + 1)
  const done = ask(probe, { load, signal: { abi, edit }, ended: [{ call: 'get' }] })
  const seen = returned(done)
  if (typeof seen === 'string') return unexplained(seen)
  const sent = restorable(seen.sent)
  if (differing(layout, sent, load.bytes).length === 0) return unexplained('the edit changed nothing')
  const last = succeeded(done.ended[0], 'PTRACE_GETREGSET')
  const wrong = differing(layout, last.bytes, sent)
  return wrong.length === 0
    ? asStated(`${names.join(' ')} read as the frame had it`)
    : unexplained(`${wrong.join(' ')} not read as the frame had it`)
})

/**
 * CRIU's way: the registers of one process, read by its tracer, get sw bytes and MAGIC2 and are the frame that another
 * one returns from.
 */
export const restoresCheckpoint: Run = trialOf((probe, context) => {
  const { layout, seed } = context
  const load = randomImage(layout, { seed })
  const { loaded } = ask(probe, { load, loaded: [{ call: 'get' }] })
  const read = succeeded(loaded[0], 'PTRACE_GETREGSET').bytes.slice(0, layout.size)
  // Only what the regset holds goes into the frame: the sw bytes are made anew.
  const saved = imageFrom(read, layout)
  const { fpstate } = buildFpstate(layout, saved, 'x86_64')
  const seen = probe.runSync({
    load: randomImage(layout, { seed: seed + 1 }),
    poison: randomImage(layout, { seed: seed + 2 }),
    edit: [{ op: 'write', at: 0, bytes: fpstate }],
  })
  if (seen.kind !== 'returned') return unexplained(`${seen.kind} instead of a return`)
  if (seen.sent.fpstate.length !== layout.size + magic2Size) return unexplained('the frame has another size')
  const wrong = differing(layout, seen.after.bytes, load.bytes)
  if (wrong.length > 0) return unexplained(`${wrong.join(' ')} not restored`)
  // And back: a tracer of that process reads what was read of the first.
  const again = ask(probe, { load: seen.after, loaded: [{ call: 'get' }] })
  const reread = succeeded(again.loaded[0], 'PTRACE_GETREGSET').bytes
  const from = fieldOffset.xstateBv
  if (Buffer.compare(reread.subarray(0, from), read.subarray(0, from)) !== 0)
    return unexplained('what is read of the second process is not what was read of the first')
  return asStated(`${layout.components.length} components, from ${regsetSize(probe)} bytes read`)
})
