/** Every case of every selftest on every known CPU: does its frame reach the rule that it names, in each generation? */
import { describe, expect, test } from 'vitest'
import { classify, witnessOps } from '../../lib/contract/classify.ts'
import { tellingFrames } from '../../lib/contract/fingerprint.ts'
import { behaviour, generations } from '../../lib/contract/generations.ts'
import type { RuleId } from '../../lib/contract/rules.ts'
import { applyPrimitives } from '../../lib/frame/apply.ts'
import { compileEdit } from '../../lib/frame/compile.ts'
import type { EditOp } from '../../lib/frame/edit.ts'
import { magic1, magic2, magic2Size } from '../../lib/frame/format.ts'
import { planCases } from '../../lib/harness/plan.ts'
import { loadSelftests } from '../../lib/harness/selftests.ts'
import { knownLayouts } from '../../lib/xstate/known-layouts.ts'
import { createLayout, type Layout, legacyFeatures } from '../../lib/xstate/layout.ts'
import { randomImage } from '../../lib/xstate/random.ts'
import { decide, frameOf, registersAfter, simulatedRejection, simulatedSeen } from './simulated-kernel.ts'

const selftests = await loadSelftests()
const layouts = Object.entries(knownLayouts)
  .map(([name, source]) => [name, createLayout(source)] as const)
  .filter(([, layout]) => layout.xsave)

const limitsOf = (layout: Layout) => ({
  frameBytes: layout.size + magic2Size,
  inPlaceBytes: layout.size + 16384,
  spareBytes: Math.ceil((2 * layout.size + 16384) / 4096) * 4096,
})

/** The fpstate as a kernel would write it for these registers. */
const writtenFor = (layout: Layout, seed: number): Uint8Array => {
  const bytes = new Uint8Array(layout.size + magic2Size)
  const image = randomImage(layout, { seed })
  bytes.set(image.bytes)
  const view = new DataView(bytes.buffer)
  view.setUint32(464, magic1, true)
  view.setUint32(468, layout.size + magic2Size, true)
  view.setBigUint64(472, layout.features, true)
  view.setUint32(480, layout.size, true)
  view.setBigUint64(512, image.xstateBv | legacyFeatures, true)
  view.setUint32(layout.size, magic2, true)
  return bytes
}

const sentFor = (layout: Layout, edit: readonly EditOp[], seed: number): Uint8Array =>
  applyPrimitives(writtenFor(layout, seed), compileEdit(edit, layout, limitsOf(layout)).primitives)

/** What the frame and its witness are classified as, on a simulated kernel. */
const treatedAs = (layout: Layout, edit: readonly EditOp[], generation: (typeof generations)[number]) => {
  const images = {
    load: randomImage(layout, { seed: 1 }),
    poison: randomImage(layout, { seed: 2 ** 30 + 301 }),
  }
  const outcomes = [edit, [...edit, ...witnessOps]].map(one => {
    const sent = sentFor(layout, one, 1)
    const frame = frameOf(sent, layout)
    const treatment = decide(frame, layout, generation.id)
    if (treatment === 'rejected') return simulatedRejection
    return simulatedSeen(layout, sent, registersAfter(frame, layout, treatment), images)
  })
  return classify(outcomes[0] as never, outcomes[1] as never, layout).observed
}

describe.each(layouts)('on %s', (_, layout) => {
  test.each(selftests.map(one => [one.name, one] as const))('%s reaches its rules', (_name, selftest) => {
    const wrong: string[] = []
    const planned = planCases(selftest, { layout, permissions: [] })
    for (const { id, test: one, components } of planned) {
      const context = { layout, expected: layout, components, seed: 1 }
      const rule: RuleId = typeof one.rule === 'function' ? one.rule(context) : one.rule
      for (const generation of generations) {
        const observed = treatedAs(layout, one.edit(context), generation)
        if (observed !== behaviour(generation, rule))
          wrong.push(`${id} on ${generation.id}: ${observed}, not ${behaviour(generation, rule)}`)
      }
    }
    expect(wrong).toEqual([])
    expect(planned.length > 0 || layout.extended.length === 0).toBe(true)
  })

  test('the telling frames tell the generations apart', () => {
    for (const generation of generations) {
      for (const { rule, edit } of tellingFrames(layout)) {
        expect(`${rule}: ${treatedAs(layout, edit, generation)}`).toBe(
          `${rule}: ${behaviour(generation, rule)}`,
        )
      }
    }
  })
})
