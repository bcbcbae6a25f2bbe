/** Hosts that are told of: by the catalogue, or by what was observed on them. Pure. */
import { catalogueEntry, catalogueNames } from '../catalogue/catalogue.ts'
import type { CatalogueEntry } from '../catalogue/entry.ts'
import type { GenerationId } from '../contract/generations.ts'
import type { HostResult, KernelResult } from '../harness/results.ts'
import { maskOf } from '../xstate/components.ts'
import { type Layout, type LayoutComponent, layoutFromJSON } from '../xstate/layout.ts'
import { type Host, type HostKind, isEmulated, titleOfCpu } from './host.ts'

const upToAvx = maskOf(['x87', 'sse', 'avx'])

/**
 * What a file from before it was said does not tell: all CPUs with more than AVX compact, but Knights Landing and
 * emulated ones. Of those with no more nobody can say.
 */
const assumedCompacts = ({ features }: Layout): boolean => (features & ~upToAvx) !== 0n

/** Bit 17 is AMD's MM, the misaligned exception mask (APM volume 1, 4.2.2); Hygon's CPUs are of AMD's making. */
const assumedMxcsrMask = (vendor: string): number =>
  vendor === 'AuthenticAMD' || vendor === 'HygonGenuine' ? 0x2ffff : 0xffff

/** SDM volume 1, 13.5.14: TILECFG and TILEDATA are aligned in the compacted format. */
const aligned: ReadonlySet<string> = new Set(['xtilecfg', 'xtiledata'])

const componentOf = ({
  index,
  name,
  size,
  offset,
  xfd,
  supervisor,
}: HostResult['leafD'][number]): LayoutComponent => ({
  index,
  size,
  offset,
  alignedCompacted: aligned.has(name),
  supervisor,
  xfd,
})

/**
 * The layout of a task that a bundle is of.
 * @throws TypeError, RangeError that name the field, its value and the limit
 */
export const layoutOfResult = (host: HostResult): Layout => {
  const { vendor, xcr0, userFeatures, leafD, mxcsrMask } = host
  return layoutFromJSON(
    {
      vendor,
      xcr0,
      userFeatures,
      components: leafD.map(componentOf),
      mxcsrMask: mxcsrMask ?? assumedMxcsrMask(vendor),
    },
    'host',
  )
}

/** What was observed of a host. */
export interface ObservedHost {
  readonly host: HostResult
  readonly kernel: Pick<KernelResult, 'generation'> | null
  readonly layout: Layout
}

/** @param name as the user calls it */
export const hostOfResult = ({ host, kernel, layout }: ObservedHost, kind: HostKind, name: string): Host => ({
  name,
  kind,
  title: titleOfCpu(host),
  layout,
  compacts: host.compacts ?? assumedCompacts(layout),
  emulated: isEmulated(host),
  generation: (kernel?.generation ?? null) as GenerationId | null,
})

/** @param name as the user calls it: of the catalogue, or of a file in its format */
export const hostOfEntry = (
  { name: own, title, layout, compacts, emulated }: CatalogueEntry,
  name: string = own,
): Host => ({
  name,
  kind: 'catalogue',
  title,
  layout,
  compacts,
  emulated,
  generation: null,
})

/** Every CPU of the catalogue, in the order of the alphabet. */
export const hostsOfCatalogue = (): Host[] => catalogueNames().map(name => hostOfEntry(catalogueEntry(name)))
