/**
 * Which frames are yet to be returned from. A thread's stack pointer leads to the nearest frame above it on its stack;
 * what that frame interrupted has a stack pointer of its own, which leads on: to the next frame, on the same stack or
 * another. What no thread leads to was returned from.
 *
 * How far up a stack reaches: to the end of its mappings (those side by side with the same permissions), to the end of
 * an alternate stack that a frame tells of, and no farther than the thread's own storage, which C libraries keep at the
 * top of the stack of each thread but the first.
 *
 * Where this fails:
 * - Code that leaves a handler without returning (siglongjmp, swapcontext), and threads that the kernel does not know
 *   (coroutines, goroutines): the frame that a sleeping one has waiting is called left over.
 * - A frame that was returned from, in a buffer that a function still running has not yet written: called in flight.
 * - Two stacks in one mapping without a guard between them, whose threads keep their storage elsewhere.
 */
import type { FrameState } from './core.ts'
import type { FoundFrame, HeadFacts } from './frames.ts'
import type { Memory } from './memory.ts'
import type { NotedThread } from './notes.ts'

export interface Standing {
  readonly state: FrameState
  readonly pid: number | null
}

interface Headed {
  /** Of the frame, among all. */
  readonly index: number
  readonly facts: HeadFacts
  readonly region: number
}

/** A stack pointer from which code will go on. */
interface Leader {
  readonly rsp: bigint
  readonly thread: NotedThread
}

/** The restorer runs when the handler's return has taken pretcode off the stack, and in 32-bit frames the number. */
const popped = 8n
/** Frames of other stacks in the same mappings that are passed over on the way up. */
const mostPassed = 64
/** Steps for each frame and thread: they may lead to each other in circles. */
const mostSteps = 8

/** How many of those in order lie below an address. */
const countBelow = <T>(ordered: readonly T[], addressOf: (one: T) => bigint, address: bigint): number => {
  let low = 0
  let high = ordered.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (addressOf(ordered[middle] as T) < address) low = middle + 1
    else high = middle
  }
  return low
}

const startOf = ({ facts }: Headed): bigint => facts.start

/** Whether the frame lies on an alternate stack that it tells of. */
const onAlternate = ({ start, alternate }: HeadFacts): boolean =>
  alternate !== null && start >= alternate.start && start < alternate.end

/** Whether code with this stack pointer may be on the frame's stack. */
const sharesStack = (facts: HeadFacts, rsp: bigint): boolean =>
  !onAlternate(facts) || (facts.alternate !== null && rsp >= facts.alternate.start)

/** The first frame above a stack pointer, on the same stack. */
const nextFrame = (ordered: readonly Headed[], { rsp, thread }: Leader, region: number): Headed | null => {
  const first = countBelow(ordered, startOf, rsp < popped ? 0n : rsp - popped)
  const { fsBase } = thread
  const top = fsBase !== null && fsBase > rsp ? fsBase : null
  for (const frame of ordered.slice(first, first + mostPassed)) {
    const { facts } = frame
    if (frame.region !== region || (top !== null && facts.start >= top)) return null
    if (sharesStack(facts, rsp)) return frame
  }
  return null
}

const byAddress = (a: bigint, b: bigint): number => (a < b ? -1 : a > b ? 1 : 0)

/** Who leads to which frame. A frame that several lead to is the nearest one's. */
const claimsOf = (
  ordered: readonly Headed[],
  threads: readonly NotedThread[],
  memory: Memory,
): Map<Headed, Leader> => {
  const claims = new Map<Headed, Leader>()
  const waiting: Leader[] = threads
    .map(thread => ({ rsp: thread.rsp, thread }))
    .sort((a, b) => byAddress(a.rsp, b.rsp))
  for (let left = mostSteps * (threads.length + ordered.length); waiting.length > 0 && left > 0; left--) {
    const leader = waiting.pop() as Leader
    const frame = nextFrame(ordered, leader, memory.regionAt(leader.rsp))
    if (frame === null) continue
    const other = claims.get(frame)
    if (other !== undefined && (other.rsp > leader.rsp || other.thread === leader.thread)) continue
    claims.set(frame, leader)
    waiting.push({ rsp: frame.facts.rsp, thread: leader.thread })
  }
  return claims
}

interface Range {
  readonly start: bigint
  readonly end: bigint
}

/** The same bytes in ranges that do not touch, in order. */
const merged = (ranges: readonly Range[]): Range[] => {
  const apart: { start: bigint; end: bigint }[] = []
  for (const { start, end } of ranges.toSorted((a, b) => byAddress(a.start, b.start))) {
    const last = apart.at(-1)
    if (last === undefined || start > last.end) apart.push({ start, end })
    else if (end > last.end) last.end = end
  }
  return apart
}

/**
 * Where, in a region, nothing lives: below all stack pointers, between the top of a stack and the next one's stack
 * pointer, and between a frame that is in flight and the stack pointer that it interrupted.
 */
const deadRanges = (
  claims: ReadonlyMap<Headed, Leader>,
  threads: readonly NotedThread[],
  memory: Memory,
): Map<number, readonly Range[]> => {
  const pointers = new Map<number, bigint[]>()
  const dead = new Map<number, Range[]>()
  const add = <T>(to: Map<number, T[]>, region: number, one: T): void => {
    const some = to.get(region)
    if (some === undefined) to.set(region, [one])
    else some.push(one)
  }
  for (const { rsp } of [...threads, ...[...claims.keys()].map(({ facts }) => facts)])
    add(pointers, memory.regionAt(rsp), rsp)
  pointers.delete(-1)
  for (const [region, all] of pointers) {
    all.sort(byAddress)
    add(dead, region, { start: memory.regions[region]?.start ?? 0n, end: all[0] ?? 0n })
  }
  for (const { rsp, fsBase } of threads) {
    const region = memory.regionAt(rsp)
    if (fsBase === null || fsBase <= rsp || region !== memory.regionAt(fsBase)) continue
    const all = pointers.get(region) ?? []
    const next = all[countBelow(all, pointer => pointer, fsBase)]
    if (next !== undefined) add(dead, region, { start: fsBase, end: next })
  }
  for (const { facts, region } of claims.keys())
    if (memory.regionAt(facts.rsp) === region) add(dead, region, { start: facts.start, end: facts.rsp })
  return new Map([...dead].map(([region, ranges]) => [region, merged(ranges)]))
}

const unknown: Standing = Object.freeze({ state: 'unknown', pid: null })
const leftOver: Standing = Object.freeze({ state: 'left over', pid: null })

/**
 * Of each frame, whether it is in flight, and whose it is.
 * @param frames in the order of their addresses
 */
export const standingsOf = (
  frames: readonly FoundFrame[],
  threads: readonly NotedThread[],
  memory: Memory,
): Standing[] => {
  if (threads.length === 0) return frames.map(() => unknown)
  const headed = frames
    .flatMap(({ facts }, index) =>
      facts === null ? [] : [{ index, facts, region: memory.regionAt(facts.start) }],
    )
    .sort((a, b) => byAddress(a.facts.start, b.facts.start))
  const claims = claimsOf(headed, threads, memory)
  const dead = deadRanges(claims, threads, memory)
  const isDead = (address: bigint): boolean => {
    const ranges = dead.get(memory.regionAt(address)) ?? []
    const range = ranges[countBelow(ranges, ({ start }) => start, address + 1n) - 1]
    return range !== undefined && address < range.end
  }
  const standings = frames.map(({ facts, address }): Standing => {
    if (facts === null) return isDead(address) ? leftOver : unknown
    // Its stack is known, and nobody is on it below the frame.
    return onAlternate(facts) || isDead(facts.start) ? leftOver : unknown
  })
  for (const [{ index }, { thread }] of claims) standings[index] = { state: 'in flight', pid: thread.pid }
  return standings
}
