/** Results of any number of hosts in one: plain data, as files have it. */
import type { Bundle } from '../harness/results.ts'
import type { PairMatrix } from '../matrix/matrix.ts'
import type { VmReport } from '../vm/machine.ts'

/** The problem of a host that was expected and of which nothing is here; it yields to anything of that name. */
export const missing = 'it was expected, and nothing of it is here'

/** One host, or what should have been one. */
export interface CollectedHost {
  /** Once in a collection: of the file, or as it was expected; `host (2)` for the second of a name. */
  readonly name: string
  /** Why it counts as an error: nothing ran there, its file cannot be read, or there is none. Null for one that ran. */
  readonly problem: string | null
  /** Null where there is nothing to be read; where nothing ran, what says so. */
  readonly bundle: Bundle | null
}

/** What a collection holds, without what says that it is one. */
export type Results = Pick<Collection, 'hosts' | 'vms' | 'matrices'>

/** As JSON has it: docs/collection.schema.json describes it. */
export interface Collection {
  readonly format: 'sigframe collection'
  readonly version: 1
  readonly tool: { readonly name: 'sigframe'; readonly version: string }
  /** In the order given. */
  readonly hosts: readonly CollectedHost[]
  readonly vms: readonly { readonly name: string; readonly report: VmReport }[]
  readonly matrices: readonly { readonly name: string; readonly matrix: PairMatrix }[]
}
