/** Memory that a simulated kernel reads a frame from: mapped or not, and some of its pages absent or closed. */
import type { PageState } from '../../lib/frame/edit.ts'

const pageSize = 4096

/** What lies where a frame has written nothing: no zeros, and no MAGIC2. */
const leftOver = 0xa5

const pageOf = (at: number): number => Math.floor(at / pageSize)

/** A range that is mapped, from page to page, and the bytes that are known in it. */
export interface Mapping {
  readonly start: number
  readonly end: number
  readonly at: number
  readonly bytes: Uint8Array
}

/** The pages that hold so many bytes have become something. */
export interface ChangedPages {
  readonly at: number
  readonly length: number
  readonly state: PageState
}

/** Whether a page can be had at once, after a page fault, or not at all. */
export type Reach = 'present' | 'absent' | 'unreadable'

const reachOf: Readonly<Record<PageState, Reach>> = {
  evicted: 'absent',
  late: 'absent',
  contended: 'absent',
  readonly: 'present',
  unreadable: 'unreadable',
  hole: 'unreadable',
}

export interface Memory {
  /** The worst of the pages that hold these bytes. */
  reach(at: number, length: number): Reach
  /** Bytes as the kernel copies them, which brings absent pages in; null where that fails. */
  read(at: number, length: number): Uint8Array | null
  /** The same, once these bytes were copied: what was absent of them is present, contended pages apart. */
  copied(at: number, length: number): Memory
  /** Whether faulting in one range brings in all that is absent of another. @returns false where it cannot be had */
  brings(
    faultedIn: readonly [at: number, length: number],
    touched: readonly [at: number, length: number],
  ): boolean
}

const worst = (a: Reach, b: Reach): Reach =>
  a === 'unreadable' || b === 'unreadable' ? 'unreadable' : a === 'absent' ? a : b

type Bytes = readonly [at: number, length: number]

const holds = (page: number, at: number, length: number): boolean =>
  page >= pageOf(at) && page <= pageOf(at + length - 1)

/** @param brought what was copied of it so far */
export const createMemory = (
  mappings: readonly Mapping[],
  changed: readonly ChangedPages[],
  brought: readonly Bytes[] = [],
): Memory => {
  const pageReach = (page: number): Reach => {
    const one = changed.findLast(({ at, length }) => holds(page, at, length))
    if (one !== undefined) {
      const isBack = one.state !== 'contended' && brought.some(([at, length]) => holds(page, at, length))
      return isBack && reachOf[one.state] === 'absent' ? 'present' : reachOf[one.state]
    }
    const address = page * pageSize
    return mappings.some(({ start, end }) => address >= start && address < end) ? 'present' : 'unreadable'
  }
  const reach = (at: number, length: number): Reach => {
    let found: Reach = 'present'
    for (let page = pageOf(at); page <= pageOf(at + length - 1); page++) found = worst(found, pageReach(page))
    return found
  }
  const memory: Memory = {
    reach,
    copied: (at, length) =>
      changed.length === 0 ? memory : createMemory(mappings, changed, [...brought, [at, length]]),
    read: (at, length) => {
      if (reach(at, length) === 'unreadable') return null
      const bytes = new Uint8Array(length).fill(leftOver)
      for (const one of mappings) {
        const from = Math.max(at, one.at)
        const to = Math.min(at + length, one.at + one.bytes.length)
        if (from < to) bytes.set(one.bytes.subarray(from - one.at, to - one.at), from - at)
      }
      return bytes
    },
    brings: ([from, count], [at, length]) => {
      for (let page = pageOf(at); page <= pageOf(at + length - 1); page++) {
        if (pageReach(page) === 'present') continue
        if (page < pageOf(from) || page > pageOf(from + count - 1)) return false
      }
      return true
    },
  }
  return memory
}
