import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Fingerprint, fingerprint, tellingFrames } from '../../lib/contract/fingerprint.ts'
import { behaviour, type GenerationId, generationOf, generations } from '../../lib/contract/generations.ts'
import type { Policy } from '../../lib/contract/policy.ts'
import type { RuleId } from '../../lib/contract/rules.ts'
import { type Observed, treatmentText } from '../../lib/contract/treatment.ts'
import { type CaseResult, exitCodeOf, isOfTheRun, type Verdict } from '../../lib/harness/results.ts'
import { belied, failuresOfTheRun, heldIn } from '../../lib/harness/whole-run.ts'
import { bundle, result } from '../report/stub.ts'
import { known } from '../xstate/arbitrary.ts'

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

describe('what the telling frames fail a run for', () => {
  const telling = tellingFrames(known('zen4')).map(({ rule }) => rule)
  const seenOf = (policy: Policy, changes: Partial<Record<RuleId, Observed>> = {}): Fingerprint => {
    const kernel = { ...generationOf('classic'), policy }
    return fingerprint(
      telling.map(rule => ({
        rule,
        observed: changes[rule] ?? behaviour(kernel, rule),
        seen: `what was seen of ${rule}`,
      })),
    )
  }
  const policyOf = (id: GenerationId): Policy => generationOf(id).policy
  const passed = [caseOf('untouched-frame-restores', 'pass')]
  // Tells every generation from another, whatever it is judged as.
  const told = [...passed, caseOf('larger-frame-restores', 'xfail'), caseOf('too-small-is-rejected', 'xfail')]

  const failuresOf = (
    found: Fingerprint,
    { require = null, cases = told }: { require?: GenerationId | null; cases?: CaseResult[] } = {},
  ): CaseResult[] =>
    failuresOfTheRun(
      { found, require: require === null ? null : generationOf(require), held: new Set(), all: false },
      cases,
    )
  const idsOf = (...of: Parameters<typeof failuresOf>): string[] => failuresOf(...of).map(({ id }) => id)
  const { magic2Room, tooSmall, faultsIn } = policyOf('portable')
  const room = 'require/extended-size-has-room-for-magic2/x86_64/all'
  const small = 'require/too-small-is-rejected/x86_64/all'

  test.each(['classic', 'portable', 'larger'] as const)('a %s kernel: nothing', id => {
    expect(idsOf(seenOf(policyOf(id)))).toEqual([])
    expect(idsOf(seenOf(policyOf(id)), { require: id })).toEqual([])
  })

  test('a regressed one harms, whatever was selected', () => {
    expect(idsOf(seenOf(policyOf('regressed')))).toEqual(['kernel/regressed/x86_64/all'])
    const failing = caseOf('shrunk-frame-restores', 'fail')
    expect(idsOf(seenOf(policyOf('regressed')), { cases: [failing] })).toEqual([])
    const required = idsOf(seenOf(policyOf('regressed')), { require: 'portable' })
    expect(required).toContain('require/shrunk-frame-restores/x86_64/all')
    expect(required).not.toContain('kernel/regressed/x86_64/all')
  })

  // Each one and two of the three things that the series changes.
  test.each<[string, Partial<Policy>, string[]]>([
    ['nothing', {}, [room, small]],
    ['faults', { faultsIn }, [room, small]],
    ['room', { magic2Room }, [small]],
    ['room and faults', { magic2Room, faultsIn }, [small]],
    ['too small', { tooSmall }, [room]],
    ['too small and faults', { tooSmall, faultsIn }, [room]],
    ['room and too small: the rest is for cases to tell', { magic2Room, tooSmall }, []],
    ['all', { magic2Room, tooSmall, faultsIn }, []],
  ])('%s of the portable series passes, and fails --require portable', (_, changes, lacking) => {
    const found = seenOf({ ...policyOf('classic'), ...changes })
    expect(exitCodeOf([...told, ...failuresOf(found)])).toBe(0)
    const failures = failuresOf(found, { require: 'portable' })
    expect(failures.map(({ id }) => id).sort()).toEqual([...lacking].sort())
    expect(exitCodeOf([...told, ...failures])).toBe(lacking.length === 0 ? 0 : 1)
    expect(failures.every(isOfTheRun)).toBe(true)
    for (const { reason } of failures)
      expect(reason).toBe('--require portable wants it: since portable: 3d69596c684b..391cac638edd')
  })

  test('what is lacking of the generation that was demanded is its rule, seen and expected', () => {
    const [first] = failuresOf(seenOf({ ...policyOf('portable'), magic2Room: 'not asked' }), {
      require: 'portable',
    })
    expect(first).toMatchObject({
      selftest: 'require',
      case: 'extended-size-has-room-for-magic2',
      rules: ['extended-size-has-room-for-magic2'],
      verdict: 'fail',
      observed: 'what was seen of extended-size-has-room-for-magic2',
      expected: treatmentText['fx-only'],
    })
  })

  test('a portable kernel fails --require larger, a larger one meets --require portable', () => {
    expect(idsOf(seenOf(policyOf('portable')), { require: 'larger' })).toEqual([
      'require/larger-frame-restores/x86_64/all',
      'require/unsupported-xfeatures-are-rejected/x86_64/all',
    ])
    expect(idsOf(seenOf(policyOf('larger')), { require: 'portable' })).toEqual([])
  })

  test('a larger kernel without one rule of portable is between two, but not what was demanded', () => {
    const found = seenOf({ ...policyOf('larger'), magic2Room: 'not asked' })
    expect(idsOf(found)).toEqual([])
    expect(idsOf(found, { require: 'portable' })).toEqual([room])
    expect(idsOf(found, { require: 'larger' })).toEqual([room])
    expect(idsOf(found, { require: 'classic' })).toEqual([])
  })

  test('a case that failed for the rule is enough', () => {
    const cases = [...told, caseOf('too-small-is-rejected', 'fail')]
    expect(idsOf(seenOf(policyOf('classic')), { require: 'portable', cases })).toEqual([room])
  })

  test.each(telling)('%s: what no generation does fails the run by its name', rule => {
    for (const observed of ['unexplained', 'killed'] as const) {
      const found = seenOf(policyOf('classic'), { [rule]: observed })
      const [failure, ...more] = failuresOf(found)
      expect(more).toEqual([])
      expect(failure).toMatchObject({
        id: `kernel/${rule}/x86_64/all`,
        verdict: 'fail',
        rules: [rule],
        reason: `no kernel generation does this: ${treatmentText[observed]}`,
        observed: `what was seen of ${rule}`,
      })
      expect(exitCodeOf([...told, failure as CaseResult])).toBe(1)
      // Also where it is demanded, once.
      const ids = idsOf(found, { require: 'portable' })
      expect(ids).toContain(`kernel/${rule}/x86_64/all`)
      expect(ids).not.toContain(`require/${rule}/x86_64/all`)
    }
  })

  test('an established rule that is broken as a generation that harms breaks it', () => {
    const found = seenOf(policyOf('portable'), { 'shrunk-frame-restores': 'fx-only' })
    expect(found.generation.id).toBe('portable')
    expect(failuresOf(found)).toMatchObject([
      {
        id: 'kernel/shrunk-frame-restores/x86_64/all',
        reason: 'as regressed kernels do, but this one is portable',
      },
    ])
  })

  test('a rule that is ahead of a kernel that harms is no failure of its own', () => {
    const found = seenOf({ ...policyOf('regressed'), magic2Room })
    expect(idsOf(found)).toEqual(['kernel/regressed/x86_64/all'])
  })

  test('a host on which no frame can tell: nothing is demanded of what was not seen', () => {
    expect(idsOf(fingerprint([]), { cases: passed })).toEqual([])
    expect(idsOf(fingerprint([]), { cases: passed, require: 'portable' })).toEqual([
      'require/portable/x86_64/all',
    ])
  })

  test('--require without a case that could tell is no success, though the telling frames are', () => {
    const found = seenOf(policyOf('portable'))
    expect(idsOf(found, { require: 'portable', cases: passed })).toEqual(['require/portable/x86_64/all'])
  })

  test('a whole run that could not look at a rule of the baseline', () => {
    const held = new Set<RuleId>(['magic1-is-required', 'too-small-is-rejected'])
    const found = seenOf(policyOf('classic'))
    const of = (all: boolean) =>
      failuresOfTheRun({ found, require: null, held, all }, told).map(({ id }) => id)
    expect(of(true)).toEqual(['baseline/magic1-is-required/x86_64/all'])
    expect(of(false)).toEqual([])
  })

  test('no two have one id', () => {
    const any = fc.dictionary(
      fc.constantFrom(...telling),
      fc.constantFrom<Observed>('unexplained', 'init', 'restored', 'fx-only', 'rejected'),
    )
    const required = fc.constantFrom(
      null,
      ...generations.filter(({ harm }) => harm === undefined).map(({ id }) => id),
    )
    fc.assert(
      fc.property(any, required, fc.constantFrom(...generations), (changes, require, { id }) => {
        const ids = idsOf(seenOf(policyOf(id), changes), { require, cases: passed })
        expect(new Set(ids).size).toBe(ids.length)
      }),
    )
  })
})
