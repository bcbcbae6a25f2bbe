/** An entry of the catalogue, of what was observed on a host. Pure. */
import { catalogueEntry, catalogueNames, isInCatalogue } from '../catalogue/catalogue.ts'
import {
  type CatalogueEntry,
  type CatalogueSource,
  cpuNamePattern,
  longestCpuName,
} from '../catalogue/entry.ts'
import { outOfRange } from '../errors.ts'
import type { SavedInfo } from '../report/info-file.ts'
import { createLayout, type Layout } from '../xstate/layout.ts'
import { isEmulated, titleOfCpu } from './host.ts'

/** Without what no frame can have: what XCR0 has not, supervisor state among it. */
const layoutOfFrames = (layout: Layout): Layout => {
  const { components, ...rest } = layout.toJSON()
  return createLayout({
    ...rest,
    xcr0: layout.hostFeatures,
    userFeatures: layout.features,
    components: components.filter(({ index }) => (layout.hostFeatures >> BigInt(index)) & 1n),
  })
}

/** Who said so, on which machine. */
const sourceOf = ({ host, kernel, toolVersion }: SavedInfo): CatalogueSource => {
  const { family, model, stepping, microcode, hypervisor } = host
  const cpu = [
    `family ${family} model ${model} stepping ${stepping}`,
    ...(microcode === null ? [] : [`microcode ${microcode}`]),
    ...(hypervisor === null ? [] : [`under ${hypervisor}`]),
  ].join(', ')
  const tool = toolVersion === null ? 'sigframe info' : `sigframe ${toolVersion} info`
  const linux = kernel === null ? '' : `, Linux ${kernel.release}`
  return { kind: 'measured', text: `${tool} on ${titleOfCpu(host)} (${cpu})${linux}` }
}

const checkName = (name: string): string => {
  if (!cpuNamePattern.test(name) || name.length > longestCpuName)
    throw outOfRange(
      'name',
      name,
      `must be at most ${longestCpuName} characters: words in lower case, joined by hyphens`,
    )
  if (isInCatalogue(name)) throw outOfRange('name', name, 'which the catalogue has already')
  return name
}

/**
 * @param name for the entry
 * @throws RangeError for a name that is none, or is taken, and where the host does not tell whether its kernel compacts
 */
export const entryOfInfo = (info: SavedInfo, name: string): CatalogueEntry => {
  const { host, layout } = info
  if (host.compacts === null)
    throw outOfRange('host.compacts', null, 'which an entry needs: have sigframe info --json written anew')
  const title = titleOfCpu(host)
  return {
    name: checkName(name),
    title,
    cpus: [title],
    task: 'that has asked its kernel for nothing',
    announced: false,
    sources: [sourceOf(info)],
    compacts: host.compacts,
    emulated: isEmulated(host),
    layout: layoutOfFrames(layout),
  }
}

const frames = ({ compacts, emulated, layout }: CatalogueEntry): string =>
  JSON.stringify([compacts, emulated, layout])

/** What the catalogue has already that is the same but for its name; null where there is none. */
export const sameFrames = (entry: CatalogueEntry): string | null =>
  catalogueNames().find(name => frames(catalogueEntry(name)) === frames(entry)) ?? null
