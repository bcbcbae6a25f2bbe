/** The bytes by which a case failed, bounded, as a bundle has them. */
import { byteDifferences, type Difference } from '../contract/differences.ts'
import type { Observed } from '../contract/treatment.ts'
import type { Seen } from '../probe/result.ts'
import type { Layout } from '../xstate/layout.ts'
import type { CaseBytes, ComponentBytes } from './results.ts'

/** Bytes of a component that are told. */
const shown = 64
/** They begin at a multiple of this: a row of a dump. */
const row = 16

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

const componentBytes = ({ name, offset, size, restored, expected, observed }: Difference): ComponentBytes => {
  const first = expected.findIndex((byte, i) => byte !== observed[i])
  // What fits is told from its first byte on.
  const from = size <= shown ? 0 : first - (first % row)
  return {
    name,
    offset,
    size,
    wanted: restored ? 'restored' : 'init',
    differing: expected.reduce((sum, byte, i) => sum + (byte === observed[i] ? 0 : 1), 0),
    from,
    expected: hex(expected.subarray(from, from + shown)),
    observed: hex(observed.subarray(from, from + shown)),
  }
}

/** What of the registers is not as it should be after a frame or, where that is, its witness; null where all is. */
export const bytesOf = (
  wanted: Observed,
  [frame, witness]: readonly [Seen, Seen],
  layout: Layout,
): CaseBytes | null => {
  if (wanted === 'unexplained') return null
  for (const [of, seen] of [
    ['frame', frame],
    ['witness', witness],
  ] as const) {
    const components = byteDifferences(wanted, seen, layout).map(componentBytes)
    if (components.length > 0) return { of, components }
  }
  return null
}
