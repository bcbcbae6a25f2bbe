/**
 * What is expected of a frame, against what simulated kernels leave in the registers, on CPUs that are not here: where
 * a pair of probes is told to have had a treatment, it is what `expectedOf` says of that treatment.
 */
import { describe, expect, test } from 'vitest'
import { classify } from '../../lib/contract/classify.ts'
import type { Observed } from '../../lib/contract/treatment.ts'
import type { Seen } from '../../lib/probe/result.ts'
import { reproducibleCase } from '../../lib/reproducer/case.ts'
import { expectedOf } from '../../lib/reproducer/expected.ts'
import type { ExpectedEnd, ExpectedRegisters, Reproducible } from '../../lib/reproducer/model.ts'
import { isSkipped } from '../../lib/reproducer/model.ts'
import { canonicalComponent } from '../../lib/xstate/compare.ts'
import { imageFrom, type XsaveImage } from '../../lib/xstate/image.ts'
import { isSimulated, machineNamed, plannedOn, selftests } from '../contract/simulated-cases.ts'
import { simulatedProbe } from '../contract/simulated-probe.ts'
import { sentFrame } from './sent.ts'

const holds = (expected: ExpectedRegisters, { bytes, layout, mxcsr }: XsaveImage): boolean =>
  expected.components.every(
    ({ name, bytes: value }) =>
      value === 'any' || Buffer.compare(canonicalComponent(bytes, layout, name), value) === 0,
  ) &&
  (expected.mxcsr === 'any' || expected.mxcsr.includes(mxcsr))

const fits = (expected: ExpectedEnd, seen: Seen): boolean => {
  switch (expected.ends) {
    case 'returned':
      return seen.kind === 'returned' && holds(expected, seen.after)
    case 'rejected':
      return seen.kind === 'signal' && seen.where === 'sigreturn' && holds(expected, seen.after)
    case 'astray':
      if (seen.kind !== 'signal' || (expected.signal !== null && expected.signal !== seen.signal))
        return false
      return seen.where === 'after' || (seen.where === 'sigreturn' && holds(expected, seen.after))
    case 'died':
      return seen.kind === 'died'
    default:
      return false
  }
}

/** The single probes of simulated kernels, and the treatment that both of a pair had. */
const observedOf = (
  one: Reproducible,
  generation: 'classic' | 'portable',
  machine: ReturnType<typeof machineNamed>,
): { observed: Observed; pair: Seen[] } => {
  const { probe } = simulatedProbe({ ...machine, generation })
  const pair = probe.runMany(
    one.probes.map(({ abi, raise, load, poison, edit }) => ({
      abi,
      raise,
      load: imageFrom(load, one.layout),
      poison: imageFrom(poison, one.layout),
      edit,
    })),
  )
  return { observed: classify(pair[0]!, pair[1]!, one.layout).observed, pair }
}

const machines = ['haswell', 'skylake-sp', 'zen4', 'sapphire-rapids-tiles'] as const

describe.each(machines)('%s', name => {
  const machine = machineNamed(name)
  const cases = selftests
    .flatMap(one => plannedOn(machine.layout, one))
    .filter(({ test: one }) => isSimulated(one))
    .map(one => reproducibleCase(one))
    .filter((one): one is Reproducible => !isSkipped(one))

  test.each(['classic', 'portable'] as const)(
    'what a %s kernel leaves is what is expected of the treatment',
    generation => {
      expect(cases.length).toBeGreaterThan(100)
      const wrong: string[] = []
      const seen = new Set<Observed>()
      for (const one of cases) {
        const { observed, pair } = observedOf(one, generation, machine)
        seen.add(observed)
        if (observed === 'unexplained' || observed === 'as-stated' || observed === 'undelivered') continue
        const others = (['restored', 'fx-only', 'rejected', 'init', 'killed'] as const).filter(
          t => t !== observed,
        )
        const matches = (treatment: (typeof others)[number] | typeof observed): boolean =>
          one.probes.every((probe, i) =>
            fits(expectedOf(treatment, sentFrame(probe, one.layout, one.limits), one.layout), pair[i]!),
          )
        if (!matches(observed)) wrong.push(`${one.title}: not as expected of ${observed}`)
        for (const other of others) {
          // Where nothing is in the registers to tell them apart, the pointer is: NULL.
          if (observed === 'init' || observed === 'astray') continue
          if (matches(other)) wrong.push(`${one.title}: ${observed}, but also as expected of ${other}`)
        }
      }
      expect(wrong).toEqual([])
      expect([...seen]).toEqual(
        expect.arrayContaining(['restored', 'fx-only', 'rejected', 'init', 'killed', 'astray']),
      )
    },
  )
})
