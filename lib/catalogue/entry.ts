/** What the catalogue holds of a CPU, as a file has it and as it is used. */
import type { Layout, LayoutJson } from '../xstate/layout.ts'

/**
 * Where a statement is from: `measured` by this tool on a machine; a CPUID `dump` that others published; a vendor's
 * `manual`; the `source` of a kernel, compiler, emulator or hypervisor; what a vendor has `announced`.
 */
export const sourceKinds = ['measured', 'dump', 'manual', 'source', 'announced'] as const
export type SourceKind = (typeof sourceKinds)[number]

/** Words in lower case, joined by hyphens: also a file's name, and typed often. */
export const cpuNamePattern = /^[a-z][a-z0-9]*(-[a-z0-9]+)*$/
export const longestCpuName = 40

export interface CatalogueSource {
  readonly kind: SourceKind
  /** The section, the file and its function, or the machine: what a reader needs to look it up. */
  readonly text: string
}

/** All but the layout. */
interface Described {
  /** As commands know it; the file is called so, too. */
  readonly name: string
  /** In one line, for people. */
  readonly title: string
  /** The models that have exactly this, virtual ones among them. */
  readonly cpus: readonly string[]
  /** Whose frames these are: what the task has asked its kernel for, and used. */
  readonly task: string
  /** Nobody has seen one yet. */
  readonly announced: boolean
  readonly sources: readonly CatalogueSource[]
  /** Whether its kernel's buffers are compacted: it has XSAVEC or XSAVES. */
  readonly compacts: boolean
  /** Whether it is QEMU’s, in software: that does what the manuals say but for MXCSR and x87’s pointers. */
  readonly emulated: boolean
}

/** As a file has it. */
export interface CpuFile extends Described {
  readonly format: 'sigframe cpu'
  readonly version: 1
  readonly layout: LayoutJson
}

export interface CatalogueEntry extends Described {
  readonly layout: Layout
}
