/** A selftest's case as a reproducible: its frame and its witness, and what its rule wants of both. */

import { behaviour, type Generation } from '../contract/generations.ts'
import { type Rule, ruleOf } from '../contract/rules.ts'
import { treatmentText } from '../contract/treatment.ts'
import { compileEdit } from '../frame/compile.ts'
import type { EditOp } from '../frame/edit.ts'
import { builtFrame } from '../frame/sent.ts'
import { loadOf, withWitness } from '../harness/execute.ts'
import type { PlannedCase, SkippedCase } from '../harness/plan.ts'
import { type CaseContext, type FrameCase, isTrial } from '../harness/selftest.ts'
import type { XsaveImage } from '../xstate/image.ts'
import { randomImage } from '../xstate/random.ts'
import { expectedOf } from './expected.ts'
import type { ReproducedProbe, ReproducedTest } from './model.ts'
import { beyondC } from './tables.ts'

/** Far from the seeds of the images that are loaded. */
const poisonSeed = 2 ** 30 + 301

/** PKRU's bits of key 1, that of a closed stack: a handler reads from it where to return. */
const key1 = 0xc

const poisonOf = (test: FrameCase, context: CaseContext): XsaveImage => {
  if (test.poison !== undefined) return test.poison(context)
  const image = randomImage(context.layout, { seed: poisonSeed })
  if (context.layout.has('pkru')) image.pkru = (image.pkru & ~key1) >>> 0
  return image
}

/** Why a case cannot be a C program, or null. */
const obstacle = (test: FrameCase, context: CaseContext, edit: readonly EditOp[]): string | null => {
  if (test.shadowStack === true) return 'the C program has no shadow stack'
  return beyondC({ stack: test.stack?.(context) ?? null, edit })
}

/** Why kernels need not keep a rule yet, or null: it is old, or demanded. */
const newerThan = (rule: Rule, require: Generation | null): string | null => {
  if (rule.status === 'established') return null
  if (require !== null && behaviour(require, rule.id) === rule.holds) return null
  return `${rule.status}: ${rule.commit}`
}

/**
 * A planned case; one that cannot be a C program, or does not run here, with the reason.
 * @param require rules that its kernels keep are demanded
 */
export const reproducibleCase = (
  planned: PlannedCase | SkippedCase,
  require: Generation | null = null,
): ReproducedTest => {
  const { id: title, test } = planned
  if ('reason' in planned) return { title, skip: planned.reason }
  const { context } = planned
  if (test === null || isTrial(test)) return { title, skip: 'it is more than one frame' }
  const { layout, limits, abi } = context
  const edit = test.edit(context)
  const problem = obstacle(test, context, edit)
  if (problem !== null) return { title, skip: problem }
  const rule = ruleOf(typeof test.rule === 'function' ? test.rule(context) : test.rule)
  if (rule.holds === 'as-stated') return { title, skip: 'its rule is not about one frame' }
  const load = loadOf(test, context)
  const poison = poisonOf(test, context).bytes
  const probe = (name: string, ops: readonly EditOp[]): ReproducedProbe => ({
    name,
    abi,
    raise: test.raise ?? 'tgkill',
    stack: test.stack?.(context) ?? null,
    load: load.bytes,
    poison,
    edit: ops,
    expected: expectedOf(
      rule.holds,
      builtFrame(layout, load, abi, compileEdit(ops, layout, limits, 'edit', abi).primitives),
      layout,
      test.signal ?? null,
    ),
  })
  return {
    title,
    about: [
      test.summary,
      `Rule ${rule.id} (${rule.status}): ${rule.sentence}`,
      `Expected: ${treatmentText[rule.holds]}.`,
      `From: ${test.commit}`,
      'The witness is the same frame without XSTATE_BV bits 0 and 1: FXRSTOR loads x87 and SSE all the same, XRSTOR puts them to init.',
    ],
    newer: newerThan(rule, require),
    layout,
    limits,
    probes: [probe('the frame', edit), probe('its witness', withWitness(edit))],
  }
}
