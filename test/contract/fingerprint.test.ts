/** What is told of a kernel from what the telling frames met with: pure, on drawn and on mixed kernels. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { deviationOf, deviationText, headlineOf } from '../../lib/contract/deviation.ts'
import { type Evidence, fingerprint, tellingFrames } from '../../lib/contract/fingerprint.ts'
import {
  behaviour,
  type Generation,
  type GenerationId,
  generationOf,
  generations,
  generationsThat,
} from '../../lib/contract/generations.ts'
import type { Policy } from '../../lib/contract/policy.ts'
import { type RuleId, ruleOf, rules } from '../../lib/contract/rules.ts'
import { type Observed, treatmentText } from '../../lib/contract/treatment.ts'
import { known } from '../xstate/arbitrary.ts'

const ruleIds = rules.map(({ id }) => id)
/** What the fixed frames of a run can tell. */
const telling = tellingFrames(known('zen4')).map(({ rule }) => rule)
/** What any frame could. */
const differing = rules.filter(({ under }) => under !== undefined).map(({ id }) => id)

const evidenceOf = (kernel: Generation, of: readonly RuleId[] = telling): Evidence[] =>
  of.map(rule => ({ rule, observed: behaviour(kernel, rule) }))

/** A kernel with some of another generation's decisions. */
const mixed = (base: GenerationId, changes: Partial<Policy>): Generation => {
  const { policy, ...rest } = generationOf(base)
  return { ...rest, policy: { ...policy, ...changes } }
}

const withOne = (id: GenerationId, rule: RuleId, observed: Observed): Evidence[] =>
  evidenceOf(generationOf(id)).map(e => (e.rule === rule ? { ...e, observed } : e))

const drawnGeneration = fc.constantFrom(...generations)
const treatments = Object.keys(treatmentText) as Observed[]

describe('the words', () => {
  test('every rule in which generations differ says which frames it is about', () => {
    expect(differing.length).toBeGreaterThan(0)
    for (const id of differing) expect(ruleOf(id).situation, id).toMatch(/^an? .*frame\b.*[^.]$/)
    for (const { id, under, situation } of rules)
      expect(`${id} ${situation === undefined}`).toBe(`${id} ${under === undefined}`)
  })

  test('no two rules are about the same frames', () => {
    const situations = differing.map(id => ruleOf(id).situation)
    expect(new Set(situations).size).toBe(situations.length)
  })

  test.each<[GenerationId, RuleId, Observed, string]>([
    [
      'portable',
      'extended-size-has-room-for-magic2',
      'restored',
      'as portable, except that a frame whose extended_size leaves no room for MAGIC2 is still accepted, as classic and regressed kernels do',
    ],
    [
      'classic',
      'too-small-is-rejected',
      'rejected',
      'as classic, except that a frame whose xstate_size is too small for its xfeatures is already rejected with SIGSEGV, as portable and larger kernels do (3d69596c684b..391cac638edd)',
    ],
    [
      'regressed',
      'shrunk-frame-restores',
      'restored',
      'as regressed, except that a frame from a CPU with fewer components is already restored, as classic, portable and larger kernels do (broken by dc8aa31a7ac2, repaired by 44eeff9bc467)',
    ],
    [
      'classic',
      'shrunk-frame-restores',
      'fx-only',
      'as classic, except that a frame from a CPU with fewer components falls back to FX-only without a word, as regressed kernels do',
    ],
    [
      'portable',
      'shrunk-frame-restores',
      'fx-only',
      'as portable, except that a frame from a CPU with fewer components still falls back to FX-only without a word, as regressed kernels do',
    ],
    [
      'classic',
      'shrunk-frame-restores',
      'unexplained',
      'as classic, except that a frame from a CPU with fewer components is treated as no rule explains, which no known generation does',
    ],
    [
      'classic',
      'magic2-is-readable',
      'killed',
      'as classic, except that a frame of magic2-is-readable ends the process by SIGSEGV, which no known generation does',
    ],
  ])('%s: %s is %s', (id, rule, observed, text) => {
    const deviation = deviationOf(generationOf(id), rule, observed)
    expect(deviation.text).toBe(text)
    expect(deviationText(deviation)).toBe(`${rule}: ${text}`)
  })

  test('every treatment of every rule makes one line that names its generation', () => {
    for (const generation of generations)
      for (const rule of ruleIds)
        for (const observed of treatments) {
          const { text } = deviationOf(generation, rule, observed)
          expect(text).toMatch(new RegExp(`^as ${generation.id}, except that an? \\S.*[^ .]$`))
          expect(text).not.toMatch(/ {2}|undefined|,,/)
        }
  })
})

describe('the kind of a deviation', () => {
  const all = generations.flatMap(generation =>
    ruleIds.flatMap(rule => treatments.map(observed => ({ generation, rule, observed }))),
  )

  test('`otherwise` just where no generation does so', () => {
    for (const { generation, rule, observed } of all) {
      const { kind, as } = deviationOf(generation, rule, observed)
      expect(as).toEqual(generationsThat(rule, observed).map(({ id }) => id))
      expect(kind === 'otherwise').toBe(as.length === 0)
    }
  })

  // Rules that a later generation gives up on purpose are told the other way round.
  const givenUp = (rule: RuleId): boolean =>
    generations.some(
      one =>
        one.harm === undefined &&
        behaviour(one, rule) !== ruleOf(rule).holds &&
        ruleOf(rule).status === 'established',
    )

  test('`ahead` just where a rule is seen to hold that does not hold in the generation', () => {
    const plain = all.filter(
      ({ generation, rule, observed }) => !givenUp(rule) && behaviour(generation, rule) !== observed,
    )
    for (const { generation, rule, observed } of plain) {
      const { kind } = deviationOf(generation, rule, observed)
      expect(`${generation.id} ${rule} ${observed} ${kind === 'ahead'}`).toBe(
        `${generation.id} ${rule} ${observed} ${observed === ruleOf(rule).holds}`,
      )
    }
    expect(telling.filter(givenUp)).toEqual([])
  })

  test('nothing that does harm is ahead', () => {
    for (const rule of telling) {
      const observed = behaviour(generationOf('regressed'), rule)
      const { kind, as } = deviationOf(generationOf('classic'), rule, observed)
      if (as.length === 1) expect(kind).toBe('behind')
    }
  })
})

describe('fingerprint', () => {
  test.each(generations.map(({ id }) => id))('a %s kernel is told as one, without deviations', id => {
    const { generation, deviations, headline, evidence } = fingerprint(evidenceOf(generationOf(id)))
    expect(generation.id).toBe(id)
    expect(deviations).toEqual([])
    expect(headline).toBe(id)
    expect(evidence.every(({ asGeneration, deviation }) => asGeneration && deviation === null)).toBe(true)
  })

  // By hand: how far each generation is from what was seen.
  const distances = (evidence: readonly Evidence[]) =>
    generations.map(one => evidence.filter(e => behaviour(one, e.rule) !== e.observed).length)

  const flipped = (of: readonly RuleId[]) =>
    fc
      .record({ base: drawnGeneration, flips: fc.dictionary(fc.constantFrom(...of), drawnGeneration) })
      .map(({ base, flips }) =>
        of.map(rule => ({ rule, observed: behaviour(flips[rule] ?? base, rule) as Observed })),
      )

  test.each([
    ['the telling frames', telling],
    ['any frame', differing],
  ])('any rules flipped to other generations’, by %s: the deviations are the nearest one’s', (_, of) => {
    fc.assert(
      fc.property(flipped(of), evidence => {
        const found = fingerprint(evidence)
        const least = Math.min(...distances(evidence))
        // The older of two that fit equally well.
        expect(found.generation).toBe(generations[distances(evidence).indexOf(least)])
        const expected = evidence.filter(e => behaviour(found.generation, e.rule) !== e.observed)
        expect(found.deviations.map(({ rule, observed }) => ({ rule, observed }))).toEqual(expected)
        expect(found.deviations).toHaveLength(least)
        for (const one of found.deviations) {
          expect(one.kind).not.toBe('otherwise')
          expect(one).toEqual(deviationOf(found.generation, one.rule, one.observed))
        }
        expect(found.evidence.filter(e => !e.asGeneration).map(e => e.deviation)).toEqual(found.deviations)
      }),
      { numRuns: 500 },
    )
  })

  test('every generation with every set of rules flipped to every other’s', () => {
    for (const base of generations)
      for (const other of generations)
        for (let set = 0; set < 1 << telling.length; set++) {
          const evidence = telling.map((rule, i) => ({
            rule,
            observed: behaviour((set >> i) & 1 ? other : base, rule),
          }))
          const { generation, deviations } = fingerprint(evidence)
          const least = Math.min(...distances(evidence))
          expect(generations.indexOf(generation)).toBe(distances(evidence).indexOf(least))
          expect(deviations.map(({ rule }) => rule)).toEqual(
            evidence.filter(e => behaviour(generation, e.rule) !== e.observed).map(({ rule }) => rule),
          )
        }
  })

  test('any treatments at all: each rule is as the generation, or a deviation', () => {
    const anything = fc.array(
      fc.record({ rule: fc.constantFrom(...ruleIds), observed: fc.constantFrom(...treatments) }),
    )
    fc.assert(
      fc.property(anything, evidence => {
        const found = fingerprint(evidence)
        expect(found.evidence).toHaveLength(evidence.length)
        expect(found.headline === found.generation.id).toBe(found.deviations.length === 0)
        expect(found.headline.startsWith('no known generation')).toBe(
          evidence.some(({ rule, observed }) => generationsThat(rule, observed).length === 0),
        )
      }),
    )
  })

  test('no evidence, as on hosts without XSAVE, is the oldest', () => {
    expect(tellingFrames(known('nehalem'))).toEqual([])
    expect(fingerprint([])).toMatchObject({ headline: 'classic', deviations: [], evidence: [] })
    expect(fingerprint([]).generation.id).toBe('classic')
  })

  test('without components beyond SSE, two frames fewer tell, and still a good kernel from a bad one', () => {
    const few = telling.filter(rule => rule !== 'too-small-is-rejected' && rule !== 'shrunk-frame-restores')
    for (const one of generations) expect(fingerprint(evidenceOf(one, few)).generation.id).toBe(one.id)
  })

  test('what no generation does is no known generation, whatever else fits', () => {
    for (const rule of telling)
      for (const observed of ['unexplained', 'killed'] as const) {
        const { headline, deviations } = fingerprint(withOne('portable', rule, observed))
        expect(headline).toMatch(/^no known generation; nearest: [a-z]+$/)
        expect(deviations.filter(({ kind }) => kind === 'otherwise').map(one => one.rule)).toEqual([rule])
      }
    expect(
      fingerprint(evidenceOf(generationOf('larger')).map(e => ({ ...e, observed: 'unexplained' }))).headline,
    ).toBe('no known generation; nearest: classic')
  })

  test('also where the kernel is ahead in another rule', () => {
    const evidence = withOne('classic', 'too-small-is-rejected', 'rejected').map(e =>
      e.rule === 'shrunk-frame-restores' ? { ...e, observed: 'killed' as const } : e,
    )
    const { headline, deviations } = fingerprint(evidence)
    expect(headline).toBe('no known generation; nearest: classic')
    expect(deviations.map(({ kind }) => kind)).toEqual(['ahead', 'otherwise'])
  })

  test('what was seen of a frame is kept', () => {
    const [seen] = fingerprint([
      { rule: 'shrunk-frame-restores', observed: 'unexplained', seen: 'avx lost' },
    ]).evidence
    expect(seen).toMatchObject({ seen: 'avx lost', deviation: { kind: 'otherwise' } })
  })
})

describe('a half-applied series', () => {
  const { magic2Room, tooSmall, faultsIn } = generationOf('portable').policy

  // What the telling frames see; two that fit equally well are the older.
  test.each<[string, Partial<Policy>, string]>([
    ['room', { magic2Room }, 'classic, ahead in 1 rule: extended-size-has-room-for-magic2'],
    ['too small', { tooSmall }, 'classic, ahead in 1 rule: too-small-is-rejected'],
    [
      'room and faults',
      { magic2Room, faultsIn },
      'classic, ahead in 1 rule: extended-size-has-room-for-magic2',
    ],
    ['too small and faults', { tooSmall, faultsIn }, 'classic, ahead in 1 rule: too-small-is-rejected'],
    // Frames that reach over a page alone tell what is faulted in: cases have them.
    ['faults', { faultsIn }, 'classic'],
    ['room and too small', { magic2Room, tooSmall }, 'portable'],
  ])('portable: %s', (_, changes, headline) => {
    expect(fingerprint(evidenceOf(mixed('classic', changes))).headline).toBe(headline)
  })

  // What frames of every kind would see.
  test.each<[string, Partial<Policy>, string]>([
    ['room', { magic2Room }, 'classic, ahead in 1 rule: extended-size-has-room-for-magic2'],
    ['faults', { faultsIn }, 'classic, ahead in 1 rule: only-the-required-size-is-faulted-in'],
    [
      'too small',
      { tooSmall },
      'classic, ahead in 2 rules: too-small-is-rejected, ia32-reads-what-xstate-bv-names',
    ],
    [
      'room and faults',
      { magic2Room, faultsIn },
      'classic, ahead in 2 rules: extended-size-has-room-for-magic2, only-the-required-size-is-faulted-in',
    ],
    [
      'too small and faults',
      { tooSmall, faultsIn },
      'as portable, except that a frame whose extended_size leaves no room for MAGIC2 is still accepted',
    ],
    [
      'room and too small',
      { magic2Room, tooSmall },
      'as portable, except that a frame that cannot be read behind what its components need is still rejected with SIGSEGV',
    ],
  ])('portable, seen by all rules: %s', (_, changes, headline) => {
    expect(fingerprint(evidenceOf(mixed('classic', changes), differing)).headline).toBe(headline)
  })

  test('larger without the room for MAGIC2', () => {
    const found = fingerprint(evidenceOf(mixed('larger', { magic2Room: 'not asked' })))
    expect(found.headline).toBe(
      'as larger, except that a frame whose extended_size leaves no room for MAGIC2 is still accepted',
    )
    expect(found.deviations).toMatchObject([
      {
        rule: 'extended-size-has-room-for-magic2',
        observed: 'restored',
        kind: 'behind',
        as: ['classic', 'regressed'],
      },
    ])
  })

  test('both ways at once: each is said', () => {
    const portable = generationOf('portable')
    const deviations = [
      deviationOf(portable, 'extended-size-has-room-for-magic2', 'restored'),
      deviationOf(portable, 'larger-frame-restores', 'restored'),
    ]
    expect(headlineOf(portable, deviations)).toBe(
      'as portable, except that a frame whose extended_size leaves no room for MAGIC2 is still accepted, and that a frame from a CPU with more components is already restored',
    )
  })

  test('a backport to a kernel that harms does not hide the harm', () => {
    const found = fingerprint(evidenceOf(mixed('regressed', { magic2Room })))
    expect(found.headline).toBe('regressed, ahead in 1 rule: extended-size-has-room-for-magic2')
  })
})
