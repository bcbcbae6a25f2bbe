/** Bundles for property tests: every field drawn, texts hostile as often as not. */
import fc from 'fast-check'
import { type GenerationId, generations } from '../../lib/contract/generations.ts'
import { rules } from '../../lib/contract/rules.ts'
import { abis } from '../../lib/frame/abi.ts'
import type {
  Bundle,
  CaseBytes,
  CaseResult,
  HostResult,
  KernelResult,
  Repro,
} from '../../lib/harness/results.ts'
import { placements } from '../../lib/harness/selftest.ts'
import { raises, stackStates } from '../../lib/probe/request.ts'
import { everyVerdict, hostileTexts } from './stub.ts'

/** A text that a kernel, a CPU or a file might hold; at most `longest` UTF-16 units. */
export const anyText = (longest = 400): fc.Arbitrary<string> =>
  fc.oneof(
    fc.constantFrom(...hostileTexts).map(text => text.slice(0, longest)),
    fc.string({ unit: 'binary', maxLength: 40 }).map(text => text.slice(0, longest)),
  )

// What JSON cannot hold is no part of a bundle: halves of a pair survive JSON.stringify, not UTF-8.
const anyJsonText = (longest?: number) => anyText(longest).map(text => text.replace(/\p{Surrogate}/gu, '?'))

const anyMask = fc.bigInt(0n, (1n << 64n) - 1n).map(value => `0x${value.toString(16)}`)
const anyCount = fc.integer({ min: 0, max: 0xffff_ffff })
const anyDuration = fc.double({ min: 0, max: 1e9, noNaN: true }).map(Math.abs)
const anyTaint = fc.option(fc.maxSafeNat())
const anyRule = fc.constantFrom(...rules.map(({ id }) => id))
const anyGeneration = fc.constantFrom<GenerationId>(...generations.map(({ id }) => id))

export const anyHostResult: fc.Arbitrary<HostResult> = fc.record({
  vendor: anyJsonText(),
  brand: anyJsonText(),
  family: anyCount,
  model: anyCount,
  stepping: anyCount,
  microcode: fc.option(anyJsonText()),
  hypervisor: fc.option(anyJsonText()),
  xcr0: anyMask,
  userFeatures: anyMask,
  userSize: anyCount,
  minSignalStack: anyCount,
  leafD: fc.array(
    fc.record({
      index: fc.integer({ min: 0, max: 63 }),
      name: anyJsonText(),
      size: anyCount,
      offset: anyCount,
      xfd: fc.boolean(),
      supervisor: fc.boolean(),
    }),
    { maxLength: 6 },
  ),
  mxcsrMask: fc.option(anyCount),
  compacts: fc.option(fc.boolean()),
})

export const anyKernelResult: fc.Arbitrary<KernelResult> = fc.record({
  release: anyJsonText(),
  version: anyJsonText(),
  generation: anyGeneration,
  headline: anyJsonText(),
  evidence: fc.array(
    fc.record({
      rule: anyRule,
      observed: anyJsonText(),
      asGeneration: fc.boolean(),
      deviation: fc.option(fc.constantFrom('ahead' as const, 'behind' as const, 'otherwise' as const)),
      as: fc.array(anyGeneration, { maxLength: 4 }),
    }),
    { maxLength: 4 },
  ),
  deviations: fc.array(anyJsonText(), { maxLength: 3 }),
  taintBefore: anyTaint,
  taintAfter: anyTaint,
  taintReason: anyJsonText(5000),
  log: fc.option(
    fc.record({
      watched: fc.boolean(),
      reason: anyJsonText(5000),
      onceCleared: fc.boolean(),
      lines: fc.array(anyJsonText(), { maxLength: 30 }),
    }),
  ),
})

const anyRepro: fc.Arbitrary<Repro> = fc.record({
  seed: fc.maxSafeInteger(),
  edit: fc.array(
    fc.dictionary(
      anyJsonText(60).filter(key => key !== '__proto__'),
      fc.oneof(anyJsonText(), fc.boolean(), fc.integer()),
      { maxKeys: 4 },
    ),
    { maxLength: 3 },
  ),
  abi: fc.constantFrom(...abis),
  raise: fc.constantFrom(...raises),
  stack: fc.option(fc.record({ bytes: fc.nat(), state: fc.constantFrom(...stackStates) })),
})

const anyHex = fc.uint8Array({ maxLength: 64 }).map(bytes => Buffer.from(bytes).toString('hex'))

const anyBytes: fc.Arbitrary<CaseBytes> = fc.record({
  of: fc.constantFrom('frame' as const, 'witness' as const),
  components: fc.array(
    fc.record({
      name: anyJsonText(),
      offset: anyCount,
      size: anyCount,
      wanted: fc.constantFrom('restored' as const, 'init' as const),
      differing: anyCount,
      from: anyCount,
      expected: anyHex,
      observed: anyHex,
    }),
    { maxLength: 3 },
  ),
})

const anyCase: fc.Arbitrary<Omit<CaseResult, 'id'>> = fc.record({
  selftest: fc.oneof(fc.constantFrom('untouched_frame', 'fx_only_fallback'), anyJsonText()),
  case: anyJsonText(),
  abi: fc.constantFrom(...abis),
  components: fc.array(anyJsonText(), { maxLength: 3 }),
  placement: fc.constantFrom(...placements),
  rules: fc.array(anyRule, { maxLength: 3 }),
  verdict: fc.constantFrom(...everyVerdict),
  reason: anyJsonText(5000),
  observed: anyJsonText(5000),
  expected: anyJsonText(5000),
  bytes: fc.option(anyBytes),
  durationUs: anyDuration,
  repro: fc.option(anyRepro),
})

const anyCases = fc
  .array(fc.record({ rest: anyCase, id: anyJsonText(400).filter(id => id !== '') }), { maxLength: 12 })
  .map(drawn => drawn.map(({ rest, id }, i) => ({ id: `${id}/${i}`, ...rest })))

export const anyBundle: fc.Arbitrary<Bundle> = fc.record({
  bundleVersion: fc.constant(1 as const),
  tool: fc.record({ name: fc.constant('sigframe' as const), version: anyJsonText() }),
  startedAt: fc
    .date({ min: new Date(0), max: new Date(4e12), noInvalidDate: true })
    .map(date => date.toISOString()),
  durationMs: anyDuration,
  host: anyHostResult,
  kernel: fc.option(anyKernelResult),
  warnings: fc.array(anyJsonText(), { maxLength: 2 }),
  cases: anyCases,
})
