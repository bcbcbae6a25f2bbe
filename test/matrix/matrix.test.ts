import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type GenerationId, generationOf, generations } from '../../lib/contract/generations.ts'
import { manualOf, taskElsewhere } from '../../lib/foreign/predict.ts'
import type { Abi } from '../../lib/frame/abi.ts'
import type { Host } from '../../lib/hosts/host.ts'
import { createMatrix, type Sender, sameFrames, surprises } from '../../lib/matrix/create.ts'
import { isWhole } from '../../lib/matrix/fate.ts'
import type { Pair } from '../../lib/matrix/matrix.ts'
import { predictedFate } from '../../lib/matrix/predicted.ts'
import { senderOf } from '../../lib/matrix/sender.ts'
import { synthesised } from '../../lib/matrix/synthesis.ts'
import { namesOfUse, type Use, usable, useOfNames } from '../../lib/matrix/use.ts'
import { initMxcsr } from '../../lib/xstate/image.ts'
import { createLayout } from '../../lib/xstate/layout.ts'
import { defaultPkru } from '../../lib/xstate/pkru.ts'
import { simulatedProbe } from '../contract/simulated-probe.ts'
import { anyHost, catalogue, hostNamed, hostOf, withOnly } from './arbitrary.ts'

const ids = generations.map(({ id }) => id)
const abis = ['x86_64', 'ia32-rt', 'ia32'] as const
const legacy = useOfNames(['x87', 'sse'])

const pairsOf = (from: Host, to: Host, abi: Abi = 'x86_64'): Record<GenerationId, Pair> => {
  const { pairs } = createMatrix([from, to], { abi, from: [from], to: [to] })
  return Object.fromEntries(pairs.map(pair => [pair.generation, pair])) as Record<GenerationId, Pair>
}

const pairOf = (from: string, to: string, generation: GenerationId): Pair =>
  pairsOf(hostNamed(from), hostNamed(to))[generation]

/** Whether a frame with these in use arrives, whatever the matrix says. */
const arrives = (from: Host, to: Host, generation: GenerationId, used: Use, abi: Abi = 'x86_64'): boolean => {
  const destination = { task: taskElsewhere(to), oracle: manualOf(to) }
  const { policy } = generationOf(generation)
  return isWhole(predictedFate(synthesised(from.layout, used, abi), destination, policy))
}

const anyPair = fc.record({ from: anyHost('from'), to: anyHost('to') })
const anyGeneration = fc.constantFrom(...ids)

describe('a synthesised frame', () => {
  test('has in use what it is said to have, and Linux’s PKRU', () => {
    for (const { layout } of catalogue) {
      const all = usable(layout)
      const full = synthesised(layout, all, 'x86_64')
      expect(namesOfUse(all)).toEqual([...layout.components.map(({ name }) => name), 'mxcsr'])
      if (layout.xsave) expect(full.image.xstateBv).toBe(layout.features)
      const none = synthesised(layout, legacy, 'x86_64')
      expect(none.image.mxcsr).toBe(initMxcsr)
      expect(full.image.mxcsr).not.toBe(initMxcsr)
      if (!layout.has('pkru')) continue
      expect(none.image.pkru).toBe(defaultPkru)
      expect(none.image.xstateBv).toBe(0x203n)
      expect(full.image.pkru).not.toBe(defaultPkru)
      expect(full.image.pkru & 3).toBe(0)
    }
  })
})

describe('of every pair', () => {
  const matrix = createMatrix(catalogue)

  test('there is one for each generation, source and destination, in their order', () => {
    expect(matrix.pairs.map(({ generation, from, to }) => [generation, from, to])).toEqual(
      ids.flatMap(id => catalogue.flatMap(from => catalogue.map(to => [id, from.name, to.name]))),
    )
    expect(matrix.hosts.map(({ name }) => name)).toEqual(catalogue.map(({ name }) => name))
  })

  test('something is said, and why', () => {
    for (const { outcome, unused, reason, silent, frames, evidence } of matrix.pairs) {
      expect(outcome).not.toBe('unknown')
      expect(reason === '').toBe(outcome === 'works')
      expect(reason).not.toMatch(/\n|undefined|from $| {2}/)
      expect(unused.length > 0).toBe(outcome === 'works if unused')
      expect(silent).toBe(/^silently/.test(reason))
      expect(evidence).toBe('predicted')
      expect(frames.every(({ seen }) => seen === null)).toBe(true)
    }
  })

  test.each(abis)('%s: on its own CPU a frame works, whatever the kernel', abi => {
    for (const host of catalogue)
      for (const pair of Object.values(pairsOf(host, host, abi)))
        expect(pair).toMatchObject({ outcome: 'works' })
  })

  test('what 32-bit frames come to is what 64-bit ones do, but where MXCSR is lost', () => {
    const without = ({ outcome, unused }: Pair) => {
      const rest = unused.filter(name => name !== 'mxcsr')
      return rest.length > 0 || outcome === 'breaks' ? `${outcome} ${rest.join(' ')}` : 'works'
    }
    const other = createMatrix(catalogue, { abi: 'ia32' })
    expect(other.pairs.map(without)).toEqual(matrix.pairs.map(without))
  })

  test('hosts with the same layout and kernel fare alike', () => {
    for (const one of catalogue)
      for (const other of catalogue)
        if (sameFrames(one.layout, other.layout) && one.compacts === other.compacts)
          for (const id of ids) expect(pairOf(one.name, other.name, id).outcome).toBe('works')
  })
})

test('frames are the same only where every bit of MXCSR that may be set is', () => {
  const { xcr0, userFeatures, ...rest } = hostNamed('zen2').layout.toJSON()
  const source = { ...rest, xcr0: BigInt(xcr0), userFeatures: BigInt(userFeatures) }
  expect(sameFrames(createLayout(source), hostNamed('zen2').layout)).toBe(true)
  expect(sameFrames(createLayout({ ...source, mxcsrMask: 0xffff }), hostNamed('zen2').layout)).toBe(false)
})

describe('known pairs', () => {
  test.each<[string, string, GenerationId, Partial<Pair>]>([
    [
      'skylake-sp',
      'haswell',
      'classic',
      {
        outcome: 'breaks',
        silent: true,
        reason:
          'silently FX-only, by size-above-user-size-is-fx-only: xstate_size is 2696, above haswell’s 832; with x87 and SSE alone in use it works',
      },
    ],
    [
      'ice-lake-sp',
      'alder-lake',
      'classic',
      {
        outcome: 'works if unused',
        unused: ['opmask', 'zmm_hi256', 'hi16_zmm'],
        silent: false,
        reason:
          'rejected (SIGSEGV), by unsupported-xstate-bv-is-rejected: alder-lake has no opmask zmm_hi256 hi16_zmm',
      },
    ],
    [
      'zen4',
      'ice-lake-sp',
      'classic',
      {
        outcome: 'breaks',
        silent: true,
        reason: 'silently: ice-lake-sp reads pkru from behind the frame (Linux always has pkru in use)',
      },
    ],
    [
      'zen4',
      'ice-lake-sp',
      'portable',
      {
        outcome: 'breaks',
        silent: false,
        reason:
          'rejected (SIGSEGV), by too-small-is-rejected: xstate_size is 2440, and ice-lake-sp needs 2696 for the same components',
      },
    ],
    [
      'haswell',
      'ice-lake-sp',
      'regressed',
      {
        outcome: 'breaks',
        silent: true,
        reason:
          'silently FX-only, by magic2-is-required: xstate_size is 832, and there is no MAGIC2 at ice-lake-sp’s 2696; with x87 and SSE alone in use it works',
      },
    ],
    [
      'ice-lake-sp',
      'haswell',
      'larger',
      {
        outcome: 'breaks',
        silent: false,
        reason:
          'rejected (SIGSEGV), by unsupported-xstate-bv-is-rejected: haswell has no pkru (Linux always has pkru in use)',
      },
    ],
    [
      'sapphire-rapids-tiles',
      'sapphire-rapids',
      'larger',
      {
        outcome: 'works if unused',
        unused: ['xtiledata'],
        silent: true,
        reason: 'silently: tasks of sapphire-rapids have no xtiledata',
      },
    ],
    [
      'haswell',
      'nehalem',
      'portable',
      {
        outcome: 'breaks',
        silent: true,
        reason: 'silently FX-only: nehalem has no XSAVE; with x87 and SSE alone in use it works',
      },
    ],
    [
      'goldmont',
      'ice-lake-sp',
      'classic',
      {
        outcome: 'works if unused',
        unused: ['bndregs', 'bndcsr'],
        silent: false,
        reason: 'rejected (SIGSEGV), by unsupported-xstate-bv-is-rejected: ice-lake-sp has no bndregs bndcsr',
      },
    ],
    ['nehalem', 'haswell', 'larger', { outcome: 'works if unused', unused: ['mxcsr'], silent: true }],
    ['haswell', 'skylake-sp', 'classic', { outcome: 'works', unused: [], silent: false, reason: '' }],
  ])('%s on %s, %s', (from, to, generation, expected) => {
    expect(pairOf(from, to, generation)).toMatchObject(expected)
  })

  test('a process is killed whose keys are read from another component', () => {
    const [from, to] = [hostNamed('ice-lake-sp'), hostNamed('zen4')]
    const [all] = pairsOf(from, to).larger.frames
    expect(all!.end).toBe('restored by XRSTOR; PKRU then closes the process’s own memory')
  })
})

const rank = { breaks: 0, unknown: 0, 'works if unused': 1, works: 2 } as const

/** Whether whatever arrives in the second arrives in the first, too. */
const isNoWorse = (a: Pair, b: Pair): boolean =>
  rank[a.outcome] >= rank[b.outcome] &&
  (rank[b.outcome] === 0 || a.unused.every(name => b.unused.includes(name)))

describe('properties', () => {
  test('what must be unused is enough, and none of it could be left out', () => {
    fc.assert(
      fc.property(anyPair, anyGeneration, fc.constantFrom(...abis), ({ from, to }, id, abi) => {
        const { outcome, unused } = pairsOf(from, to, abi)[id]
        if (outcome !== 'works if unused') return
        const all = usable(from.layout)
        const rest = all & ~useOfNames(unused)
        expect(arrives(from, to, id, rest, abi)).toBe(true)
        for (const name of unused) {
          expect([name, arrives(from, to, id, rest | useOfNames([name]), abi)]).toEqual([name, false])
          expect([name, arrives(from, to, id, legacy | useOfNames([name]), abi)]).toEqual([name, false])
        }
      }),
      { numRuns: 400 },
    )
  })

  test('where it breaks, no component arrives but x87 and SSE, not even alone', () => {
    fc.assert(
      fc.property(anyPair, anyGeneration, fc.constantFrom(...abis), ({ from, to }, id, abi) => {
        const { outcome } = pairsOf(from, to, abi)[id]
        if (outcome !== 'breaks') return
        for (const { name, mask } of from.layout.extended)
          expect([name, arrives(from, to, id, legacy | mask, abi)]).toEqual([name, false])
      }),
      { numRuns: 400 },
    )
  })

  test('where it works, any subset does', () => {
    fc.assert(
      fc.property(anyPair, anyGeneration, fc.bigInt(0n, 2n ** 64n - 1n), ({ from, to }, id, some) => {
        const { outcome, unused } = pairsOf(from, to)[id]
        if (rank[outcome] === 0) return
        const used = (usable(from.layout) & ~useOfNames(unused) & some) | legacy
        expect(arrives(from, to, id, used)).toBe(true)
      }),
      { numRuns: 300 },
    )
  })

  /** Frames of CPUs with less, in the same places. */
  const anySubset = fc
    .record({ to: anyHost('to'), features: fc.bigInt(0n, 0x1f_ffffn) })
    .filter(({ to }) => to.layout.xsave)
    .map(({ to, features }) => ({ to, from: hostOf('from', withOnly(to.layout, features)) }))

  test('what has less in the same places works everywhere but on regressed kernels', () => {
    fc.assert(
      fc.property(anySubset, ({ from, to }) => {
        const lost = from.layout.has('avx') || !to.layout.has('avx') || to.compacts ? [] : ['mxcsr']
        const { classic, portable, larger } = pairsOf(from, to)
        for (const pair of [classic, portable, larger]) expect(pair.unused).toEqual(lost)
        expect(new Set([classic.outcome, portable.outcome, larger.outcome])).toEqual(
          new Set([lost.length === 0 ? 'works' : 'works if unused']),
        )
      }),
    )
  })

  test('on regressed ones it works where the sizes are the same', () => {
    fc.assert(
      fc.property(anySubset, ({ from, to }) => {
        const { classic, regressed } = pairsOf(from, to)
        if (from.layout.size === to.layout.size)
          expect(regressed).toEqual({ ...classic, generation: 'regressed' })
        else if (from.layout.extended.length > 0)
          expect(regressed).toMatchObject({ outcome: 'breaks', silent: true })
      }),
    )
  })

  test('regressed and portable kernels let nothing through that classic ones do not', () => {
    fc.assert(
      fc.property(anyPair, ({ from, to }) => {
        const { classic, regressed, portable } = pairsOf(from, to)
        expect([isNoWorse(classic, regressed), isNoWorse(classic, portable)]).toEqual([true, true])
      }),
      { numRuns: 300 },
    )
  })

  test('larger ones let through what portable ones do', () => {
    fc.assert(
      fc.property(anyPair, ({ from, to }) => {
        const { portable, larger } = pairsOf(from, to)
        expect(isNoWorse(larger, portable)).toBe(true)
        if (from.layout.size <= to.layout.size) expect(larger).toEqual({ ...portable, generation: 'larger' })
      }),
      { numRuns: 300 },
    )
  })
})

describe('on simulated kernels', () => {
  /** Their keys close no memory: of frames by which they would nothing is asked. */
  const keepingMemory = (sender: Sender): Sender => ({
    ...sender,
    send: (foreign, predicted) => {
      const seen = { outcome: 'killed', observed: '', asPredicted: true } as const
      return predicted.end === 'killed' ? { ...predicted, seen } : sender.send(foreign, predicted)
    },
  })

  const sendersFor = (generation: GenerationId, hosts: readonly Host[]): Sender[] =>
    hosts.map(host => {
      const { layout, compacts } = host
      const { probe } = simulatedProbe({ layout, generation, xsaves: compacts })
      const { policy } = generationOf(generation)
      const task = taskElsewhere(host)
      return keepingMemory(senderOf({ probe, task, policy }, generation, manualOf(host)))
    })

  /** One of each layout: a sender serves all that are like it. Without XSAVE nothing is simulated. */
  const different = catalogue.filter(
    (one, i) =>
      catalogue.findIndex(
        other => sameFrames(one.layout, other.layout) && one.compacts === other.compacts,
      ) === i,
  )
  // Nor is what QEMU’s CPUs do otherwise.
  const to = different.filter(({ layout, emulated }) => layout.xsave && !emulated)

  test.each(ids.flatMap(id => abis.map(abi => [id, abi] as const)))(
    '%s, %s: all is as predicted',
    (id, abi) => {
      const matrix = createMatrix(different, { abi, generations: [id], to, senders: sendersFor(id, to) })
      const predicted = createMatrix(different, { abi, generations: [id], to })
      const wrong = surprises(matrix)
      expect(wrong.map(({ from, to, frames }) => ({ from, to, frames }))).toEqual([])
      const told = ({ from, to, outcome, unused, reason }: Pair) => ({ from, to, outcome, unused, reason })
      expect(matrix.pairs.map(told)).toEqual(predicted.pairs.map(told))
      expect(matrix.pairs.every(({ evidence }) => evidence === 'live')).toBe(true)
      expect(matrix.hosts.filter(({ here }) => here).map(({ name }) => name)).toEqual(
        to.map(({ name }) => name),
      )
    },
  )

  test('a kernel of another generation is a surprise, and what was seen is what counts', () => {
    const hosts = [hostNamed('haswell'), hostNamed('ice-lake-sp')]
    const [sender] = sendersFor('regressed', [hosts[1]!])
    const matrix = createMatrix(hosts, {
      generations: ['classic'],
      from: [hosts[0]!],
      senders: [{ ...sender!, generation: 'classic' }],
    })
    const pair = matrix.pairs.find(({ to }) => to === 'ice-lake-sp')!
    expect(pair).toMatchObject({ outcome: 'breaks', evidence: 'live', silent: true })
    expect(pair.frames[0]!.seen).toMatchObject({ outcome: 'loses', asPredicted: false })
    expect(surprises(matrix)).toEqual([pair])
  })

  test('what is not of the kernel’s generation is predicted', () => {
    const hosts = [hostNamed('haswell'), hostNamed('ice-lake-sp')]
    const matrix = createMatrix(hosts, { senders: sendersFor('portable', hosts) })
    for (const { generation, evidence } of matrix.pairs)
      expect(evidence).toBe(generation === 'portable' ? 'live' : 'predicted')
  })
})
