/** The host that this runs on. */
import { fingerprintKernel } from '../harness/host.ts'
import { compactsBuffers } from '../harness/task.ts'
import { open } from '../probe/session.ts'
import { type Host, isEmulated, titleOfCpu } from './host.ts'

/**
 * Asks a task that has asked for nothing.
 * @throws NativeUnavailableError where nothing can be probed
 */
export const thisHost = async (name = 'this host'): Promise<Host> => {
  const probe = await open()
  try {
    const { cpu, layout } = probe
    const found = fingerprintKernel(probe)
    return {
      name,
      kind: 'this host',
      title: titleOfCpu(cpu),
      layout,
      compacts: compactsBuffers(cpu),
      emulated: isEmulated(cpu),
      generation: found.evidence.length > 0 ? found.generation.id : null,
    }
  } finally {
    await probe.close()
  }
}
