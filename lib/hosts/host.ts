/** A host that a frame is sent to, or comes from: here or elsewhere. */
import type { GenerationId } from '../contract/generations.ts'
import type { HostCpu } from '../xstate/host.ts'
import type { Layout } from '../xstate/layout.ts'

/** How a host is known. */
export const hostKinds = ['this host', 'bundle', 'info', 'catalogue'] as const
export type HostKind = (typeof hostKinds)[number]

export interface Host {
  /** As the user calls it: `this host`, a name of the catalogue, a file's name. */
  readonly name: string
  readonly kind: HostKind
  /** In one line, for people: the CPU's brand, or what the catalogue says. */
  readonly title: string
  /** Of a task there that has asked for nothing. */
  readonly layout: Layout
  /** Whether its kernel's buffers are compacted (XSAVEC or XSAVES); what all CPUs with AVX-512 and newer have where it is not told. */
  readonly compacts: boolean
  /** Whether its CPU is QEMU’s, in software: that does what the manuals say but for MXCSR and x87’s pointers. */
  readonly emulated: boolean
  /** Of its kernel, where that was told. */
  readonly generation: GenerationId | null
}

/** What QEMU's own CPUs call their hypervisor (CPUID leaf 0x40000000). */
const tcg = 'TCGTCGTCGTCG'

export const isEmulated = ({ hypervisor }: { readonly hypervisor: string | null }): boolean =>
  hypervisor === tcg

/** What people know a CPU by. */
export const titleOfCpu = ({
  vendor,
  brand,
  family,
  model,
  stepping,
}: Pick<HostCpu, 'vendor' | 'brand' | 'family' | 'model' | 'stepping'>): string =>
  brand.trim() || `${vendor} family ${family} model ${model} stepping ${stepping}`
