/** Results of hosts for tests of merging. */
import fc from 'fast-check'
import type { PairMatrix } from '../../lib/matrix/matrix.ts'
import { type CollectedHost, type Collection, missing, type Results } from '../../lib/merge/collection.ts'
import { problemOf } from '../../lib/merge/outcome.ts'
import { bundle, host, result } from '../report/stub.ts'
import { machine, report } from '../report/vm-samples.ts'

/** The same number gives the same bundle. */
export const bundleOf = (number: number) =>
  bundle([result('pass', { id: `untouched_frame/restores/x86_64/case_${number}` })], {
    host: host({ brand: `CPU ${number}` }),
    startedAt: new Date(1.7e12 + number * 1000).toISOString(),
  })

export const hostOf = (name: string, number: number): CollectedHost => {
  const own = bundleOf(number)
  return { name, problem: problemOf(own), bundle: own }
}

export const unread = (name: string, problem = `${name}.json is empty`): CollectedHost => ({
  name,
  problem,
  bundle: null,
})

export const absent = (name: string): CollectedHost => unread(name, missing)

export const emptyMatrix: PairMatrix = {
  format: 'sigframe matrix',
  version: 1,
  tool: { name: 'sigframe', version: '0.1.0' },
  abi: 'x86_64',
  generations: ['classic'],
  kernel: null,
  hosts: [],
  pairs: [],
}

export const results = (hosts: readonly CollectedHost[], changes: Partial<Results> = {}): Results => ({
  hosts,
  vms: [],
  matrices: [],
  ...changes,
})

export const collection = (
  hosts: readonly CollectedHost[],
  changes: Partial<Collection> = {},
): Collection => ({
  format: 'sigframe collection',
  version: 1,
  tool: { name: 'sigframe', version: '0.1.0' },
  ...results(hosts),
  ...changes,
})

export const vmOf = (number: number) => report([machine({ durationMs: number, bundle: bundleOf(number) })])

/** Few names, so that they meet: also such as merging gives, and one that files have of themselves. */
const anyName = fc.constantFrom('a', 'b', 'c', 'b (2)', 'b (3)')

/** Results that are the same have the same name, as files of one host have. */
const anyHost: fc.Arbitrary<CollectedHost> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.nat({ max: 11 }).map(number => hostOf(['a', 'b', 'c', 'b (2)'][number % 4]!, number)),
  },
  anyName.map(name => unread(name)),
  fc.constantFrom('a', 'c', 'd').map(absent),
)

export const anyResults: fc.Arbitrary<Results> = fc.record({
  hosts: fc.array(anyHost, { maxLength: 6 }),
  vms: fc.array(
    fc.nat({ max: 3 }).map(number => ({ name: `vm ${number % 2}`, report: vmOf(number) })),
    { maxLength: 2 },
  ),
  matrices: fc.array(
    fc.nat({ max: 2 }).map(number => ({ name: 'pairs', matrix: { ...emptyMatrix, abi: `abi ${number}` } })),
    { maxLength: 2 },
  ),
})
