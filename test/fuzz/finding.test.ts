/** Findings on simulated machines: whatever kernel and CPU there are, each is found, shrunk and told. */
import { describe, expect, test } from 'vitest'
import { type GenerationId, generationOf, generations } from '../../lib/contract/generations.ts'
import { decidedBy } from '../../lib/contract/predict/words.ts'
import type { Outcome } from '../../lib/fuzz/batch.ts'
import {
  type Finding,
  findingOf,
  firstLook,
  predictAsking,
  signatureOf,
  smaller,
  tell,
} from '../../lib/fuzz/finding.ts'
import { createGrammar } from '../../lib/fuzz/grammar.ts'
import { createSubject, requestOf, type Subject } from '../../lib/fuzz/subject.ts'
import type { PreparedRequest } from '../../lib/probe/request.ts'
import type { Seen } from '../../lib/probe/result.ts'
import { machineNamed } from '../contract/simulated-cases.ts'
import { fuzzed, isFinding, simulatedSubject } from '../contract/simulated-fuzz.ts'
import type { Machine } from '../contract/simulated-kernel.ts'
import { simulatedProbe, simulatedTask } from '../contract/simulated-probe.ts'

/** A machine's session, judged as another generation; more of its frames have a process of their own than of live ones. */
const judged = (machine: Machine, judgedAs: GenerationId): Subject => {
  const some = ['x86_64', 'ia32-rt', 'ia32'] as const
  const { probe } = simulatedProbe(machine)
  const subject = createSubject(probe, generationOf(judgedAs), some, simulatedTask(probe))
  const { loads, poisons } = subject
  const { layout, limits } = probe
  const sizes = { loads: loads.length, poisons: poisons.length }
  return { ...subject, draw: createGrammar({ layout, limits, abis: some, isolatedShare: 0.12, ...sizes }) }
}

/** What a fuzz run does with what differs. */
const findingsOf = (subject: Subject, seed: number, runs: number): Map<string, Finding> => {
  const found = new Map<string, Finding>()
  for (const one of fuzzed(subject, seed, runs)) {
    const { frame, outcome, index } = one
    const signature = signatureOf(outcome)
    if (!isFinding(one) || signature === null || found.has(signature)) continue
    found.set(signature, findingOf(subject, frame, outcome, index))
  }
  return found
}

const pairs = generations.flatMap(({ id }) =>
  generations.filter(other => other.id !== id).map(other => [id, other.id] as const),
)

/** A size, its MAGIC2, what else is wrong, its place, and a blocked SIGSEGV: what there can be of one kind. */
const mostOps = 5

const machines = ['haswell', 'skylake-sp', 'zen4'].map(name => [name, machineNamed(name)] as const)

describe.each(machines)('on %s', (_, host) => {
  test.each(pairs)('a %s kernel, held to be %s', (generation, judgedAs) => {
    const subject = judged({ ...host, generation }, judgedAs)
    const found = findingsOf(subject, 11, 1500)
    expect(found.size).toBeGreaterThan(0)
    for (const [signature, one] of found) {
      expect([signature, one.repeated]).toEqual([signature, true])
      expect(one.frame.edit.length, signature).toBeLessThanOrEqual(mostOps)
      // What `larger` kernels read behind a frame may be in no record.
      if (generation !== 'larger')
        expect([signature, one.alsoAs]).toEqual([signature, expect.arrayContaining([generation])])
      expect(one.alsoAs).not.toContain(judgedAs)
      expect(one.predicted && decidedBy(one.predicted)?.step.rule).toEqual(one.rule ?? undefined)
      expect(one.decisions.length).toBeGreaterThan(0)
      for (const { name, expected, observed } of one.differences) {
        const form = name === 'mxcsr' ? /^0x[0-9a-f]+$/ : /^(init|([0-9a-f]{2})+)$/
        expect(expected).toMatch(form)
        expect(observed).toMatch(form)
        expect(observed).not.toBe(expected)
      }
      // Either the end differs, or what differs is named.
      const isOfEnd = !one.observed.includes('not as expected')
      expect(one.differences.length === 0).toBe(isOfEnd)
    }
  })

  test.each(generations.map(({ id }) => id))('a %s kernel, held to be what it is: none', generation => {
    expect(findingsOf(simulatedSubject({ ...host, generation }), 12, 400).size).toBe(0)
  })
})

const host = machineNamed('skylake-sp')
const subjectOf = (generation: GenerationId, judgedAs: GenerationId): Subject => {
  const { probe } = simulatedProbe({ ...host, generation })
  return createSubject(probe, generationOf(judgedAs), ['x86_64'], simulatedTask(probe))
}

/** Too small for what it has. */
const frame = {
  abi: 'x86_64',
  raise: 'tgkill',
  load: 1,
  poison: 0,
  edit: [{ op: 'resize', xstateSize: host.layout.size - 8 }, { op: 'magic2' }],
} as const

describe('a difference that is told', () => {
  test('of the end: what was expected, by which rule, and whose doing it is', () => {
    expect(tell(subjectOf('classic', 'portable'), frame)).toMatchObject({
      expected: 'rejected with SIGSEGV, by too-small-is-rejected',
      observed: 'returned',
      rule: 'too-small-is-rejected',
      differences: [],
      alsoAs: ['classic', 'regressed'],
    })
  })

  test('of the registers: those that differ, byte for byte', () => {
    const subject = subjectOf('regressed', 'classic')
    const told = tell(subject, {
      ...frame,
      edit: [
        { op: 'resize', xstateSize: 832 },
        { op: 'magic2', clearTail: true },
      ],
    })
    expect(told.observed).toMatch(/^returned, but not as expected: avx\b/)
    const load = subject.loads[1]?.image
    const { offset, end } = host.layout.component('avx')
    expect(told.differences[0]).toEqual({
      name: 'avx',
      expected: Buffer.from(load?.bytes.slice(offset, end) ?? []).toString('hex'),
      observed: 'init',
    })
    expect(told.rule).toBeNull()
    expect(told.alsoAs).toEqual(['regressed'])
  })

  test('nothing of what is as expected', () => {
    const told = tell(subjectOf('portable', 'portable'), frame)
    expect(told).toMatchObject({ observed: 'rejected', differences: [], alsoAs: ['portable', 'larger'] })
  })
})

const seen = (one: object): Seen => one as unknown as Seen

/** A session whose every probe ends so. */
const losing = (one: object): Subject => {
  const subject = subjectOf('classic', 'classic')
  const { probe } = subject
  return {
    ...subject,
    probe: {
      layout: probe.layout,
      limits: probe.limits,
      cpu: probe.cpu,
      lack: abi => probe.lack(abi),
      image: image => probe.image(image),
      prepare: request => probe.prepare(request),
      xrstor: asks => probe.xrstor(asks),
      runMany: (requests: readonly unknown[]) => requests.map(() => seen(one)),
      runEach: (requests: readonly unknown[], visit: (seen: Seen, index: number) => void) =>
        requests.forEach((_, i) => {
          visit(seen(one), i)
        }),
    },
  }
}

describe('a process that is lost', () => {
  const lost = { kind: 'lost', how: 'no progress' } as const

  test('is a finding of its own kind, and shrunk to no operation at all if it is lost of anything', () => {
    const subject = losing({ kind: 'timeout' })
    const found = findingOf(subject, frame, lost, 5)
    expect(found).toMatchObject({
      index: 5,
      count: 1,
      repeated: true,
      frame: { abi: 'x86_64', raise: 'tgkill', load: 1, poison: 0, edit: [] },
      expected: 'the frame’s return',
      observed: 'no progress',
      rule: null,
      differences: [],
      decisions: [],
      alsoAs: [],
      predicted: null,
    })
  })

  test('is not shrunk where it does not happen again', () => {
    const found = findingOf(subjectOf('classic', 'classic'), frame, lost, 5)
    expect(found).toMatchObject({ repeated: false, tries: 0, frame })
    expect(findingOf(losing({ kind: 'stuck' }), frame, lost, 5).repeated).toBe(false)
  })

  test('is told as it was first seen, where it does not happen again', () => {
    const subject = subjectOf('classic', 'classic')
    const look = firstLook(subject, lost)
    expect(look).toEqual({
      expected: 'the frame’s return',
      observed: 'no progress',
      rule: null,
      differences: [],
    })
    const found = findingOf(subject, frame, lost, 5, look)
    expect(found).toMatchObject({ ...look, repeated: false })
    const again = losing({ kind: 'timeout' })
    expect(findingOf(again, frame, lost, 5, { ...look, observed: 'else' }).observed).toBe('no progress')
  })
})

describe('findings are the like', () => {
  const expected = { end: 'rejected', trail: [], registers: {} } as never
  const surprise = (end: string | null, registers: readonly string[] = []): Outcome =>
    ({ kind: 'surprise', surprise: { expected, end, registers } }) as unknown as Outcome

  test('by what was expected and how it differs', () => {
    expect(signatureOf(surprise('returned'))).toBe('rejected : returned')
    expect(signatureOf(surprise(null, ['avx', 'pkru']))).toBe('rejected : avx pkru')
    expect(signatureOf({ kind: 'lost', how: 'no progress' })).toBe('lost: no progress')
  })

  test('and all else is none', () => {
    expect(signatureOf({ kind: 'unpredicted' })).toBeNull()
    expect(signatureOf({ kind: 'unable', why: '' })).toBeNull()
    expect(signatureOf({ kind: 'as predicted', predicted: expected, asked: false })).toBeNull()
  })
})

describe('of two of a kind', () => {
  const of = (repeated: boolean, size: number): Finding =>
    ({ repeated, frame: { ...frame, edit: frame.edit.slice(0, size) } }) as unknown as Finding

  test.each<[string, Finding, Finding, 'first' | 'second']>([
    ['the smaller one is told', of(true, 2), of(true, 1), 'second'],
    ['the smaller one, whichever came first', of(true, 1), of(true, 2), 'first'],
    ['the first of the same size', of(true, 1), of(true, 1), 'first'],
    ['one that shows again', of(false, 1), of(true, 2), 'second'],
    ['one that shows again, though it is larger', of(true, 2), of(false, 1), 'first'],
    ['the first, where none does', of(false, 2), of(false, 1), 'first'],
  ])('%s', (_, one, other, which) => {
    expect(smaller(one, other)).toBe(which === 'first' ? one : other)
  })
})

test('a prediction that hangs on the CPU has its answer, and none where nobody knows', () => {
  const subject = subjectOf('classic', 'classic')
  const predicted = (edit: readonly object[]) => {
    const request: PreparedRequest = subject.probe.prepare(requestOf(subject, { ...frame, edit } as never))
    const [one] = subject.probe.runMany([request])
    if (one === undefined || !('sent' in one)) throw new Error('no frame was sent')
    return { one, request }
  }
  const { one } = predicted([{ op: 'or', field: 'xcompBv', value: 1 }])
  expect(one.kind).toBe('signal')
  const told = tell(subject, { ...frame, edit: [{ op: 'or', field: 'xcompBv', value: 1 }] })
  expect(told).toMatchObject({ rule: 'corrupt-xcomp-bv-is-rejected', differences: [] })
  const unknown = { ...frame, edit: [{ op: 'pointer', by: -64 }] } as never
  expect(tell(subject, unknown).expected).toBe('nothing that could be said')
  expect(predictAsking).toBeTypeOf('function')
})
