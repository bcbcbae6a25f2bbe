/** The frames of a collection's hosts, each layout once. Pure. */
import type { HostResult } from '../../harness/results.ts'
import { layoutOfResult } from '../../hosts/elsewhere.ts'
import type { Collection } from '../../merge/collection.ts'
import { type Layout, layoutFromJSON } from '../../xstate/layout.ts'
import { type Region, regionsOf } from '../layout-picture.ts'
import { oneLine } from '../text.ts'
import { groupBy } from '../verdicts.ts'
import { longestName, longestText, mostLayouts } from './bounds.ts'
import type { PlaceTable } from './places.ts'

/** A layout, and who has it. */
export interface Frame {
  /** Once on a page: `frame-2`. */
  readonly id: string
  readonly key: string
  /** Names of hosts, machines, CPUs of a matrix. */
  readonly owners: readonly string[]
  /** Whether it is of a host or machine, not of a matrix alone. */
  readonly ran: boolean
  /** Of the XSAVE area, and of all that is drawn. */
  readonly size: number
  readonly end: number
  readonly regions: readonly Region[]
}

/** What lies where; the same for layouts that draw alike. */
export const layoutKey = (layout: Layout): string =>
  JSON.stringify([
    layout.xsave,
    layout.size,
    layout.extended.map(({ name, offset, size }) => [name, offset, size]),
  ])

/** Null for what a file says and no CPU can be: sizes that lie, components one over the other. */
const ifPossible = (make: () => Layout): Layout | null => {
  try {
    return make()
  } catch {
    return null
  }
}

/** The layout that a host says it has; null where none can be so. */
export const hostLayout = (host: HostResult): Layout | null => ifPossible(() => layoutOfResult(host))

interface Owned {
  readonly layout: Layout
  readonly owner: string
  readonly ran: boolean
}

const frameOf = (owned: readonly Owned[], key: string, i: number): Frame => {
  const { layout } = owned[0] as Owned
  const regions = regionsOf(layout)
  const last = regions.at(-1)
  return {
    id: `frame-${i}`,
    key,
    owners: [...new Set(owned.map(({ owner }) => owner))],
    ran: owned.some(({ ran }) => ran),
    size: layout.size,
    end: last === undefined ? 0 : last.offset + last.size,
    regions,
  }
}

/** All layouts: those of hosts first, in the order in which they come; and what could not be drawn, a line each. */
export const framesOf = (
  { matrices }: Collection,
  tables: readonly PlaceTable[],
): { readonly frames: readonly Frame[]; readonly left: readonly string[] } => {
  const left: string[] = []
  const owned: Owned[] = []
  for (const { name, cpu, kind, bundle } of tables.flatMap(({ places }) => places)) {
    if (bundle === null) continue
    const layout = hostLayout(bundle.host)
    // Machines of one CPU are alike in this.
    const owner = kind === 'machine' ? cpu : name
    if (layout === null) left.push(`${owner}: it says of itself what no CPU can have`)
    else owned.push({ layout, owner, ran: true })
  }
  for (const { name, layout: json } of matrices.flatMap(({ matrix }) => matrix.hosts)) {
    const layout = ifPossible(() => layoutFromJSON(json))
    const owner = oneLine(name, longestName)
    if (layout === null) left.push(`${owner}: its layout is none that a CPU can have`)
    else owned.push({ layout, owner, ran: false })
  }
  const frames = [...groupBy(owned, ({ layout }) => layoutKey(layout))].map(([key, ofIt], i) =>
    frameOf(ofIt, key, i),
  )
  const more = frames.length - mostLayouts
  return {
    frames: frames.slice(0, mostLayouts),
    left: [
      ...new Set(left.map(text => oneLine(text, longestText))),
      ...(more > 0 ? [`${more} more layouts`] : []),
    ],
  }
}

/** `sapphire-rapids, web-1 and 3 more`. */
export const ownersText = ({ owners }: Frame, most = 3): string => {
  const more = owners.length - most
  return owners.slice(0, most).join(', ') + (more > 0 ? ` and ${more} more` : '')
}
