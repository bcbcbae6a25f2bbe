/** Looks at a host without running selftests on it. */
import { openSync, type Probe } from '../probe/session.ts'
import { readHostCpu } from '../xstate/host.ts'
import type { Layout } from '../xstate/layout.ts'
import { describeHost, describeKernel, fingerprintKernel, readTaint } from './host.ts'
import type { HostResult, KernelResult } from './results.ts'

/** For `sigframe info`: the host, its layout, and the kernel's generation. @throws NativeUnavailableError */
export const observeHost = async (): Promise<{
  host: HostResult
  kernel: KernelResult | null
  layout: Layout
  sw: Probe['sw']
}> => {
  const cpu = readHostCpu()
  const probe = openSync()
  try {
    const kernel = describeKernel(fingerprintKernel(probe), readTaint())
    return { host: describeHost(cpu, probe), kernel, layout: probe.layout, sw: probe.sw }
  } finally {
    await probe.close()
  }
}
