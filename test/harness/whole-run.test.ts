import { describe, expect, test } from 'vitest'
import type { RuleId } from '../../lib/contract/rules.ts'
import type { CaseResult, Verdict } from '../../lib/harness/results.ts'
import { belied, heldIn } from '../../lib/harness/whole-run.ts'
import { bundle, result } from '../report/stub.ts'

const caseOf = (rule: RuleId, verdict: Verdict): CaseResult => result(verdict, { rules: [rule] })

describe('a kernel whose version belies what it does', () => {
  const lacking = [caseOf('delivery-opens-closed-stacks', 'xfail')]
  const portableLine = /upstream has the portable rules, but behaves as classic\.$/

  test.each([
    ['7.4.0', true],
    ['7.4.0-rc1', true],
    ['7.10.1', true],
    ['8.0.0-next', true],
    ['7.3.9', false],
    ['6.18.44-fc', false],
    ['unknown', false],
    ['', false],
  ])('%s without the portable rules: %s', (release, told) => {
    const lines = belied({ release, generation: 'classic' }, [])
    expect(lines).toEqual(told ? [expect.stringMatching(portableLine)] : [])
    for (const line of lines)
      expect(line).toMatch(new RegExp(`^Linux ${release} claims to be 7\\.4 or newer`))
  })

  test.each(['portable', 'larger', null] as const)('not one that is %s', generation => {
    expect(belied({ release: '7.4.0', generation }, [])).toEqual([])
  })

  test.each([
    ['6.12.0', true],
    ['6.18.44', true],
    ['7.0.1', true],
    ['6.11.9', false],
    ['5.15.0', false],
    ['none', false],
  ])('%s without a rule of 6.12: %s', (release, told) => {
    expect(belied({ release, generation: 'portable' }, lacking)).toEqual(
      told
        ? [
            `Linux ${release} claims to be 6.12 or newer, where upstream has delivery-opens-closed-stacks, but does otherwise.`,
          ]
        : [],
    )
  })

  test('each rule once, and only those that a version brought', () => {
    const cases = [
      ...lacking,
      ...lacking,
      caseOf('larger-frame-restores', 'xfail'),
      caseOf('too-small-is-rejected', 'xfail'),
      caseOf('untouched-frame-restores', 'fail'),
    ]
    expect(belied({ release: '6.18.0', generation: 'classic' }, cases)).toHaveLength(1)
  })

  test.each(['pass', 'fail', 'skip', 'broken'] as const)(
    'a rule whose case is a %s says nothing',
    verdict => {
      const cases = [caseOf('delivery-opens-closed-stacks', verdict)]
      expect(belied({ release: '6.18.0', generation: 'classic' }, cases)).toEqual([])
    },
  )
})

describe('what held in a baseline', () => {
  const held = (...cases: CaseResult[]) => [...heldIn(bundle(cases))]

  test('rules of which every case passed or was skipped', () => {
    expect(held(caseOf('magic1-is-required', 'pass'), caseOf('magic1-is-required', 'skip'))).toEqual([
      'magic1-is-required',
    ])
    expect(held(caseOf('magic1-is-required', 'skip'))).toEqual([])
    expect(heldIn(null).size).toBe(0)
  })

  test.each(['xfail', 'fail', 'timeout', 'crash', 'stuck', 'broken'] as const)(
    'not one of which a case is a %s, before or after',
    verdict => {
      const [good, bad] = [caseOf('magic1-is-required', 'pass'), caseOf('magic1-is-required', verdict)]
      expect(held(good, bad)).toEqual([])
      expect(held(bad, good)).toEqual([])
    },
  )
})
