/** A frame of this machine, with all that a file tells of it. */
import { release } from 'node:os'
import { describeHost, fingerprintKernel } from '../harness/host.ts'
import type { OriginHost } from '../harness/results.ts'
import type { Probe } from '../probe/session.ts'
import type { ComponentName } from '../xstate/components.ts'
import type { SavedFrame } from './saved.ts'
import { type TakeOptions, takeFrame } from './take.ts'

const hostOf = (probe: Probe): OriginHost => {
  const { vendor, brand, family, model, stepping, microcode, hypervisor } = describeHost(probe.cpu, probe)
  return { vendor, brand, family, model, stepping, microcode, hypervisor }
}

/**
 * @param permissions what the session has asked the kernel for
 * @returns the frame, or in one line why there is none
 * @throws RangeError for a component that the task has not
 */
export const keepFrame = (
  probe: Probe,
  options: TakeOptions,
  permissions: readonly ComponentName[],
): SavedFrame | string => {
  const taken = takeFrame(probe, options)
  if (typeof taken === 'string') return taken
  const { evidence, generation } = fingerprintKernel(probe)
  return {
    source: 'captured',
    origin: '',
    host: hostOf(probe),
    kernel: { release: release(), generation: evidence.length > 0 ? generation.id : null },
    layout: probe.layout,
    permissions,
    abi: options.abi,
    address: taken.address,
    head: taken.written.head,
    fsave: taken.written.fsave,
    fpstate: taken.fpstate,
    image: taken.image,
    seed: options.seed,
  }
}
