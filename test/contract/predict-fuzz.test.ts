/**
 * The model against the simulated kernels, which are written apart from it, over drawn frames: on every known CPU, for
 * every generation, with hardware that touches what it loads alone, and with such that touches all that it is asked for.
 */
import { describe, expect, test } from 'vitest'
import { generations } from '../../lib/contract/generations.ts'
import { signatureOf } from '../../lib/fuzz/finding.ts'
import { plainOp } from '../../lib/harness/repro.ts'
import { knownMachines } from './simulated-cases.ts'
import { evicting, type FuzzedFrame, fuzzed, isFinding, simulatedSubject } from './simulated-fuzz.ts'

const runs = process.env.SIGFRAME_LONG ? 20_000 : 1000

const textOf = ({ frame, outcome, index }: FuzzedFrame): string => {
  const { abi, raise, edit } = frame
  return `${index}: ${signatureOf(outcome)}; ${abi} ${raise} ${JSON.stringify(edit.map(plainOp))}`
}

/** Other frames for each. */
const seeds = new Map(knownMachines.map(([name], i) => [name, 100 * i]))

describe.each(knownMachines)('on %s', (name, host) => {
  describe.each([false, true])('whose XRSTOR touches all: %s', touchesAll => {
    test.each(generations.map(({ id }, i) => [id, i] as const))('as %s', (generation, i) => {
      const seed = (seeds.get(name) as number) + 10 * i + Number(touchesAll)
      const counts = { 'as predicted': 0, surprise: 0, lost: 0, unpredicted: 0, unable: 0, asked: 0 }
      const wrong: string[] = []
      for (const one of fuzzed(evicting(simulatedSubject({ ...host, generation, touchesAll })), seed, runs)) {
        const { outcome } = one
        counts[outcome.kind] += 1
        if (outcome.kind === 'as predicted' && outcome.asked) counts.asked += 1
        if (isFinding(one)) wrong.push(textOf(one))
      }
      expect(wrong).toEqual([])
      expect(counts.unable).toBe(0)
      expect(counts.unpredicted).toBeLessThan(0.02 * runs)
      expect(counts.asked).toBeGreaterThan(0.05 * runs)
    })
  })
})
