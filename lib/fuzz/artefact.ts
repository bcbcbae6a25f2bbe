/** A finding as a saved probe: what repeats it, explains it, and is printed as C. */
import { release } from 'node:os'
import { describeHost } from '../harness/host.ts'
import type { Probe } from '../probe/session.ts'
import type { SavedProbe } from '../report/probe-file.ts'
import type { FoundIn, FuzzResult } from './fuzz.ts'
import type { PoolImage } from './subject.ts'

const line = ({ name, expected, observed }: FoundIn['differences'][number]): string =>
  `${name}: expected ${expected}, observed ${observed}`

export const savedFinding = (
  { seed, kernel, generation, without }: Pick<FuzzResult, 'seed' | 'kernel' | 'generation' | 'without'>,
  { frame, index, expected, observed, differences, session }: FoundIn,
): SavedProbe => {
  const { probe, loads, poisons } = session.subject
  const { vendor, brand, family, model, stepping, microcode, hypervisor } = describeHost(
    probe.cpu,
    probe as Probe,
  )
  return {
    host: { vendor, brand, family, model, stepping, microcode, hypervisor },
    layout: probe.layout,
    permissions: session.permissions,
    abi: frame.abi,
    raise: frame.raise,
    stack: null,
    load: (loads[frame.load] as PoolImage).image,
    poison: (poisons[frame.poison] as PoolImage).image,
    edit: frame.edit,
    kernel: { release: release(), generation: kernel.told },
    finding: {
      seed,
      index,
      generation: generation.id,
      expected: without === null ? expected : `${expected}, without ${without}`,
      observed,
      differences: differences.map(line),
    },
  }
}
