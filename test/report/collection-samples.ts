/** Collections for tests of pages: hosts of several layouts, machines that failed in every way, pairs of CPUs. */
import fc from 'fast-check'
import type { CaseBytes, CaseResult } from '../../lib/harness/results.ts'
import type { Pair, PairFrame, PairMatrix, PairOutcome } from '../../lib/matrix/matrix.ts'
import type { CollectedHost, Collection } from '../../lib/merge/collection.ts'
import type { Layout } from '../../lib/xstate/layout.ts'
import { known, knownNames } from '../xstate/arbitrary.ts'
import { anyBundle, anyText } from './arbitrary.ts'
import { bundle, host, kernel, log, result, xfail } from './stub.ts'
import { anyReport, failedMachine, failedStatuses, losing, machine, matrix, report } from './vm-samples.ts'

export const collection = (changes: Partial<Collection> = {}): Collection => ({
  format: 'sigframe collection',
  version: 1,
  tool: { name: 'sigframe', version: '0.1.0' },
  hosts: [],
  vms: [],
  matrices: [],
  ...changes,
})

/** The host of a layout, as a bundle tells it. */
export const hostOf = (layout: Layout, brand: string): ReturnType<typeof host> => {
  const { vendor, xcr0, userFeatures, components } = layout.toJSON()
  return host({
    vendor,
    brand,
    xcr0,
    userFeatures,
    userSize: layout.size,
    leafD: components.map(({ index, size, offset, xfd, supervisor }) => ({
      index,
      name: layout.components.find(one => one.index === index)?.name ?? `component_${index}`,
      size,
      offset,
      xfd,
      supervisor,
    })),
  })
}

const drawn = (length: number, seed: number): string =>
  Buffer.from(Array.from({ length }, (_, i) => (i * 37 + seed * 101) & 0xff)).toString('hex')

export const sampleBytes: CaseBytes = {
  of: 'frame',
  components: [
    {
      name: 'avx',
      offset: 576,
      size: 256,
      wanted: 'restored',
      differing: 255,
      from: 0,
      expected: drawn(64, 1),
      observed: '00'.repeat(64),
    },
    {
      name: 'mxcsr',
      offset: 24,
      size: 4,
      wanted: 'restored',
      differing: 2,
      from: 0,
      expected: '867f0000',
      observed: '801f0000',
    },
  ],
}

const lost = (id: string, changes: Partial<CaseResult> = {}): CaseResult =>
  losing({ id, bytes: sampleBytes, ...changes })

const losses = Array.from({ length: 12 }, (_, i) => lost(`sigframe_fpu_portability/shrunk_${i}/x86_64/avx`))

/** A host that ran, of a layout that is known. */
export const sampleHost = (
  name: string,
  cpu: string,
  cases: readonly CaseResult[] = [],
  generation: 'classic' | 'regressed' | 'portable' = 'classic',
): CollectedHost => ({
  name,
  problem: null,
  bundle: bundle([result(), result(), xfail(), result('skip'), ...cases], {
    host: hostOf(known(cpu), `A CPU such as ${cpu}`),
    kernel: kernel(generation),
  }),
})

const outcomeOf = (from: Layout, to: Layout): PairOutcome => {
  if (from.size === to.size) return 'works'
  return from.size < to.size ? 'works if unused' : 'breaks'
}

const pairFrame = (used: readonly string[], works: boolean): PairFrame => ({
  used,
  end: works ? 'restored' : 'rejected (SIGSEGV), by too-small-is-rejected',
  lost: works ? [] : ['avx', 'mxcsr'],
  unknown: [],
  leftOver: [],
  seen: null,
})

const pairOf = (from: string, to: string, generation: Pair['generation']): Pair => {
  const outcome = outcomeOf(known(from), known(to))
  const used = known(from).extended.map(({ name }) => name)
  return {
    from,
    to,
    generation,
    outcome,
    unused: outcome === 'works if unused' ? ['pkru'] : [],
    reason: outcome === 'works' ? '' : `${from} has what ${to} has not`,
    silent: outcome !== 'works' && generation === 'classic',
    evidence: 'predicted',
    frames: [
      pairFrame(used, outcome === 'works'),
      ...(outcome === 'works if unused' ? [pairFrame(used.slice(1), true)] : []),
    ],
  }
}

/** Every pair of these CPUs. */
export const samplePairs = (
  names: readonly string[],
  generations: PairMatrix['generations'] = ['classic', 'portable'],
): PairMatrix => ({
  format: 'sigframe matrix',
  version: 1,
  tool: { name: 'sigframe', version: '0.1.0' },
  abi: 'x86_64',
  generations,
  kernel: null,
  hosts: names.map(name => ({
    name,
    title: `A CPU such as ${name}`,
    kind: 'catalogue',
    here: false,
    size: known(name).size,
    layout: known(name).toJSON(),
  })),
  pairs: generations.flatMap(generation =>
    names.flatMap(from => names.map(to => pairOf(from, to, generation))),
  ),
})

/** Of all that a page tells, something. */
export const sampleCollection = (): Collection =>
  collection({
    hosts: [
      sampleHost('web-1', 'zen4'),
      sampleHost('web-2', 'sapphire-rapids', losses, 'regressed'),
      sampleHost('web-3', 'sapphire-rapids', losses.slice(0, 9), 'regressed'),
      { name: 'db-1', problem: 'it was expected, and nothing of it is here', bundle: null },
      {
        name: 'db-2',
        problem: null,
        bundle: bundle([result(), result('crash'), result('broken', { observed: '', expected: '' })], {
          host: hostOf(known('skylake-sp'), 'A CPU such as skylake-sp'),
          kernel: kernel('portable', {
            deviations: ['too-small-is-rejected: restored, as classic kernels do'],
            log: log({
              lines: ['WARNING: CPU: 0 PID: 7 at arch/x86/kernel/fpu/core.c:57', 'Call Trace:', ' <TASK>'],
            }),
          }),
          warnings: ['the kernel is tainted: G W'],
        }),
      },
    ],
    vms: [
      {
        name: 'vm',
        report: report([
          ...matrix(),
          ...failedStatuses.map(status =>
            failedMachine(status, {
              kernel: { name: `own:${status}`, path: `/boot/${status}`, release: null },
            }),
          ),
        ]),
      },
    ],
    matrices: [{ name: 'pairs', matrix: samplePairs(['skylake-sp', 'sapphire-rapids', 'zen4', 'haswell']) }],
  })

/** Texts that would be markup, or more than text, in a page that is careless. */
export const markupTexts: readonly string[] = [
  '</script><script>alert(1)</script>',
  '</style><img src=x onerror=alert(1)>',
  '"><img src="x" onerror="alert(1)">',
  "' onmouseover='alert(1)' x='",
  '<svg onload=alert(1)>',
  '&lt;b&gt; &#60; &amp;',
  '--><!--',
  ']]>',
  '$' + '{alert(1)}',
  'left\u202eright\u2066\u2069',
  'nul\u0000 bell\u0007 half\ud800',
  '| cell | cell |\n# heading\n- item',
  '`code` **bold** _em_ [link](javascript:alert(1)) ![image](x) <details>',
  '@somebody #12 https://example.org www.example.org',
]

/** Every text of a collection hostile. */
export const hostileCollection = (): Collection => {
  const at = (i: number): string => markupTexts[i % markupTexts.length] as string
  const cases = markupTexts.map((text, i) =>
    result('fail', {
      id: `${text}/${i}`,
      selftest: text,
      case: at(i + 1),
      components: [at(i + 2)],
      reason: at(i + 3),
      observed: at(i + 4),
      expected: at(i + 5),
      bytes: {
        of: 'frame',
        components: [{ ...(sampleBytes.components[0] as CaseBytes['components'][0]), name: at(i + 6) }],
      },
      repro: {
        seed: 1,
        edit: [{ op: at(i + 7) }],
        abi: at(i + 8),
        raise: at(i + 9),
        stack: { bytes: 1, state: at(i) },
      },
    }),
  )
  const hosts = markupTexts.map((text, i) => ({
    name: text,
    problem: i % 3 === 0 ? at(i + 1) : null,
    bundle: bundle(cases, {
      host: host({ brand: text, vendor: at(i + 1), microcode: at(i + 2), hypervisor: at(i + 3) }),
      kernel: kernel('classic', {
        release: at(i + 4),
        version: at(i + 5),
        headline: at(i + 6),
        deviations: [at(i + 7)],
        log: log({ lines: [...markupTexts] }),
      }),
      startedAt: at(i + 8),
      tool: { name: 'sigframe', version: at(i + 9) },
      warnings: [text],
    }),
  }))
  const machines = markupTexts.map((text, i) =>
    machine({
      kernel: { name: text, path: at(i + 1), release: at(i + 2) },
      cpu: { name: at(i + 3), emulator: 'qemu', model: at(i + 4) },
      emulator: { version: at(i + 5), acceleration: 'tcg', why: at(i + 6) },
      status: 'panic',
      reason: at(i + 7),
      lacks: [at(i + 8)],
      wants: [at(i + 9)],
      console: [...markupTexts],
      warnings: [text],
      bundle: null,
    }),
  )
  const names = ['zen4', 'haswell', 'skylake-sp']
  const pairs = samplePairs(names)
  const named = (name: string): string => at(names.indexOf(name))
  return collection({
    hosts,
    vms: [{ name: at(0), report: report(machines) }],
    matrices: [
      {
        name: at(1),
        matrix: {
          ...pairs,
          abi: at(2),
          kernel: { release: at(3), generation: 'classic' },
          hosts: pairs.hosts.map(one => ({ ...one, name: named(one.name), title: at(4) })),
          pairs: pairs.pairs.map((pair, i) => ({
            ...pair,
            from: named(pair.from),
            to: named(pair.to),
            unused: pair.unused.map(() => at(i)),
            reason: at(i + 1),
            frames: pair.frames.map(frame => ({
              ...frame,
              used: [at(i)],
              end: at(i + 1),
              lost: [at(i + 2)],
              unknown: [at(i + 3)],
              leftOver: [at(i + 4)],
              seen: { outcome: 'loses', observed: at(i + 5), asPredicted: false },
            })),
          })),
        },
      },
    ],
  })
}

const anyName = fc.oneof(fc.constantFrom(...markupTexts), anyText(100))

/** Any collection, hostile texts as often as not. */
export const anyCollection: fc.Arbitrary<Collection> = fc.record({
  format: fc.constant('sigframe collection' as const),
  version: fc.constant(1 as const),
  tool: fc.record({ name: fc.constant('sigframe' as const), version: anyName }),
  hosts: fc.array(fc.record({ name: anyName, problem: fc.option(anyName), bundle: fc.option(anyBundle) }), {
    maxLength: 4,
  }),
  vms: fc.array(fc.record({ name: anyName, report: anyReport }), { maxLength: 2 }),
  matrices: fc.array(
    fc.record({
      name: anyName,
      matrix: fc.subarray([...knownNames], { minLength: 1, maxLength: 4 }).map(names => samplePairs(names)),
    }),
    { maxLength: 2 },
  ),
})
