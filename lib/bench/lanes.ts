/** What `sigframe bench` measures: each lane sends frames of one kind, and looks at what became of each. */
import type { LiveFrame } from '../frame/live.ts'
import type { PreparedRequest } from '../probe/request.ts'
import type { Seen } from '../probe/result.ts'
import type { Probe } from '../probe/session.ts'
import { randomImage } from '../xstate/random.ts'

/** What is hoped for: a part of the plain loop's pace, or a pace. */
export type Wanted = { readonly ratio: number } | { readonly perSecond: number }

export interface Lane {
  readonly name: string
  readonly wanted: Wanted | null
  /** The longer a slice, the less what begins and ends it counts: more for lanes that something is wanted of. */
  readonly weight: number
  /** Runs so many probes. @throws BenchError when one is not what is meant */
  readonly run: (count: number) => void | Promise<void>
  /** Nanoseconds of the plain loop for as many. @throws BenchError */
  readonly loop: (count: number) => number
}

/** A frame met another fate than meant: then what was measured is not what the lane says. */
export class BenchError extends Error {
  override name = 'BenchError'
}

const compacted = 1n << 63n
const siKernel = 128
/** Looking at the registers takes longer than a probe: of so many, one is looked at. */
const sampled = 1024

type Check = (seen: Seen) => string | null

const kindOf = (seen: Seen): string => (seen.kind === 'signal' ? `a signal at ${seen.where}` : seen.kind)

/** Quick, and made of every result. */
const isReturned: Check = seen => (seen.kind === 'returned' ? null : `${kindOf(seen)} instead of a return`)

const isRefused: Check = seen =>
  seen.kind === 'signal' && seen.where === 'sigreturn'
    ? null
    : `${kindOf(seen)} instead of a signal at sigreturn`

/** Every component came back from the frame, and from nowhere else. */
const isRestored: Check = seen => {
  if (seen.kind !== 'returned') return isReturned(seen)
  const lost = seen.layout.components.filter(({ name }) => {
    const { restored, init, kept } = seen.state(name)
    return !restored || init || kept
  })
  return lost.length === 0 ? null : `${lost.map(({ name }) => name).join(' ')} not restored`
}

const isSegv: Check = seen => {
  if (seen.kind !== 'signal' || seen.where !== 'sigreturn') return isRefused(seen)
  return seen.signal === 'SIGSEGV' && seen.siCode === siKernel
    ? null
    : `${seen.signal} with si_code ${seen.siCode} instead of SIGSEGV with ${siKernel}`
}

const hasXfeatures =
  (xfeatures: bigint): Check =>
  seen =>
    seen.kind === 'returned' && seen.sent.sw.xfeatures !== xfeatures
      ? 'the edit is not in the frame that was sent'
      : isReturned(seen)

/** A visitor of results: the quick check of each, the thorough one of some. */
const checking = (lane: string, quick: Check, thorough: Check) => {
  let visited = 0
  return (seen: Seen): void => {
    const problem = (visited++ % sampled === 0 ? thorough : quick)(seen)
    if (problem !== null) throw new BenchError(`bench: ${lane}: probe ${visited} of this lane: ${problem}`)
  }
}

const listOf = (request: PreparedRequest) => {
  let list: PreparedRequest[] = []
  return (count: number): readonly PreparedRequest[] => {
    if (list.length !== count) list = new Array<PreparedRequest>(count).fill(request)
    return list
  }
}

const weightOf = (wanted: Wanted | null): number => (wanted === null ? 1 : 'ratio' in wanted ? 4 : 2)

/**
 * The lanes of a session. A host without XSAVE has no bad frame of this kind.
 * @param pinned a session that keeps this thread on its CPU from one probe to the next
 */
export const lanesOf = (probe: Probe, pinned: Probe): Lane[] => {
  const { layout } = probe
  const load = randomImage(layout, { seed: 7 })
  const xfeatures = layout.features & 0x7n
  const good = probe.prepare({ load })
  const edit = (frame: LiveFrame): void => {
    frame.sw.xfeatures = xfeatures
  }
  const live = probe.prepare({ load, edit })
  const livePinned = pinned.prepare({ load, edit })
  const loopOf = (request: PreparedRequest, bad: boolean) => (count: number) => {
    const ns = probe.plainLoop(request, count, bad)
    if (ns === null) throw new BenchError('bench: in the plain loop a frame met another fate than meant')
    return ns
  }
  const goodLoop = loopOf(good, false)
  const goodList = listOf(good)
  const lane = (
    name: string,
    wanted: Wanted | null,
    run: (count: number, check: (seen: Seen) => void) => void | Promise<void>,
    thorough: Check = isRestored,
  ): Lane => {
    const check = checking(name, isReturned, thorough)
    return { name, wanted, weight: weightOf(wanted), run: count => run(count, check), loop: goodLoop }
  }
  return [
    lane('batched good frames', { ratio: 0.9 }, (count, check) => probe.runEach(goodList(count), check)),
    ...(layout.xsave ? [badLane(probe, load, loopOf)] : []),
    lane(
      'live edits, pinned',
      { perSecond: 100_000 },
      (count, check) => {
        try {
          for (let i = 0; i < count; i++) check(pinned.runSync(livePinned))
        } finally {
          // The other lanes are for a thread that may run anywhere.
          pinned.unpin()
        }
      },
      hasXfeatures(xfeatures),
    ),
    lane(
      'live edits',
      null,
      (count, check) => {
        for (let i = 0; i < count; i++) check(probe.runSync(live))
      },
      hasXfeatures(xfeatures),
    ),
    lane('runSync data', null, (count, check) => {
      for (let i = 0; i < count; i++) check(probe.runSync(good))
    }),
    lane('runMany kept', null, (count, check) => probe.runMany(goodList(count)).forEach(check)),
    lane('run (async)', null, async (count, check) => (await probe.run(goodList(count))).forEach(check)),
  ]
}

const badLane = (
  probe: Probe,
  load: ReturnType<typeof randomImage>,
  loopOf: (request: PreparedRequest, bad: boolean) => Lane['loop'],
): Lane => {
  const name = 'batched bad frames'
  const bad = probe.prepare({ load, edit: [{ op: 'or', field: 'xcompBv', value: compacted }] })
  const list = listOf(bad)
  const check = checking(name, isRefused, isSegv)
  const wanted = { ratio: 0.9 }
  return {
    name,
    wanted,
    weight: weightOf(wanted),
    run: count => probe.runEach(list(count), check),
    loop: loopOf(bad, true),
  }
}
