/** Looks at a host without running selftests on it. */
import { openSync, type Probe } from '../probe/session.ts'
import { readHostCpu } from '../xstate/host.ts'
import type { Layout } from '../xstate/layout.ts'
import { complaintsOf } from './complaints.ts'
import { describeHost, describeKernel, fingerprintKernel } from './host.ts'
import { runningKernel, watchKernel } from './kernel-log.ts'
import type { HostResult, KernelResult } from './results.ts'

/** For `sigframe info`: the host, its layout, and the kernel's generation. @throws NativeUnavailableError */
export const observeHost = async (): Promise<{
  host: HostResult
  kernel: KernelResult | null
  layout: Layout
  sw: Probe['sw']
}> => {
  const cpu = readHostCpu()
  // Who only looks leaves the kernel as it is.
  const watch = watchKernel({ ...runningKernel, clearOnce: null })
  let probe: Probe | null = null
  try {
    probe = openSync()
    const found = fingerprintKernel(probe)
    const watched = watch.end()
    const kernel = describeKernel(found, watched, complaintsOf(watched))
    return { host: describeHost(cpu, probe), kernel, layout: probe.layout, sw: probe.sw }
  } finally {
    watch.close()
    await probe?.close()
  }
}
