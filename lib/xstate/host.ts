/** Reads the host: the only file of xstate/ that needs the addon. */
import { loadNative } from '../native.ts'
import type { NativeCpu } from '../native-types.ts'
import { createLayout, type Layout, legacyFeatures } from './layout.ts'

export type HostCpu = NativeCpu

/** What CPUID, XGETBV and FXSAVE say of this CPU. @throws NativeUnavailableError */
export const readHostCpu = (): HostCpu => loadNative().readCpu()

/**
 * The layout of a task on this CPU.
 * @param userFeatures what the task has enabled: the sw bytes' xfeatures of its own frames
 */
export const hostLayout = (cpu: HostCpu, userFeatures: bigint): Layout =>
  createLayout({
    vendor: cpu.vendor,
    xcr0: cpu.xcr0,
    userFeatures: cpu.xcr0 === 0n ? legacyFeatures : userFeatures,
    components: cpu.components,
    mxcsrMask: cpu.mxcsrMask,
  })
