/** What `sigframe bench` measures: each lane sends frames of one kind, and looks at what became of each. */
import type { Abi } from '../frame/abi.ts'
import type { LiveFrame } from '../frame/live.ts'
import type { DataRequest, PreparedRequest } from '../probe/request.ts'
import type { Seen } from '../probe/result.ts'
import type { Probe } from '../probe/session.ts'
import { randomImage } from '../xstate/random.ts'
import { fuzzLane } from './fuzz-lane.ts'
import { kvmLanes } from './kvm-lane.ts'
import { BenchError, type Lane, type Wanted, type Yardstick } from './lane.ts'
import { matrixLane } from './matrix-lane.ts'
import { regsetLanes } from './regset-lane.ts'

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

type Visitor = (seen: Seen) => void
type Runner = (count: number, check: Visitor) => void | Promise<void>

interface Checks {
  readonly quick: Check
  readonly thorough: Check
}
const good: Checks = { quick: isReturned, thorough: isRestored }

const laneOf = (
  name: string,
  wanted: Wanted | null,
  run: Runner,
  against: Lane['against'],
  { quick, thorough } = good,
): Lane => {
  const check = checking(name, quick, thorough)
  return { name, wanted, weight: weightOf(wanted), run: count => run(count, check), against }
}

/** The plain loop with frames as this request's. */
const plainLoop = (probe: Probe, request: PreparedRequest, bad = false): Yardstick => ({
  name: 'plain',
  run: count => {
    const ns = probe.plainLoop(request, count, bad)
    if (ns === null) throw new BenchError('bench: in the plain loop a frame met another fate than meant')
    return ns
  },
})

/** A lane as what others are compared with. */
const yardstickOf = (name: string, lane: Lane): Yardstick => ({
  name,
  run: async count => {
    const started = performance.now()
    await lane.run(count)
    return (performance.now() - started) * 1e6
  },
})

const batched = (probe: Probe, request: PreparedRequest): Runner => {
  const list = listOf(request)
  return (count, check) => probe.runEach(list(count), check)
}

/** Frames of one ABI, in batches, as fast as may be. */
const batchedLane = (
  probe: Probe,
  name: string,
  request: DataRequest,
  wanted: Wanted,
  checks: Checks = good,
): Lane => {
  const prepared = probe.prepare(request)
  const loop = plainLoop(probe, prepared, checks !== good)
  return laneOf(name, wanted, batched(probe, prepared), [loop], checks)
}

/** 32-bit frames: what is wanted of them is a part of the pace of 64-bit ones. */
const ia32Lane = (probe: Probe, abi: Abi, load: ReturnType<typeof randomImage>, good64: Lane): Lane => {
  const request = probe.prepare({ abi, load })
  return laneOf(`batched ${abi} frames`, { ratio: 0.8 }, batched(probe, request), [
    yardstickOf('64-bit', good64),
    plainLoop(probe, request),
  ])
}

/** The direction flag: no code of ours could go on with it. */
const df = 0x400

/**
 * The lanes of a session. A host without XSAVE has no bad frame of this kind, one without IA32 no 32-bit frames.
 * @param pinned a session that keeps this thread on its CPU from one probe to the next
 */
export const lanesOf = (probe: Probe, pinned: Probe): Lane[] => {
  const { layout } = probe
  const load = randomImage(layout, { seed: 7 })
  const xfeatures = layout.features & 0x7n
  const data = probe.prepare({ load })
  const list = listOf(data)
  const edit = (frame: LiveFrame): void => {
    frame.sw.xfeatures = xfeatures
  }
  const live = probe.prepare({ load, edit })
  const livePinned = pinned.prepare({ load, edit })
  const loop = plainLoop(probe, data)
  const edited: Checks = { quick: isReturned, thorough: hasXfeatures(xfeatures) }
  const good64 = batchedLane(probe, 'batched good frames', { load }, { ratio: 0.9 })
  const bad = { load, edit: [{ op: 'or', field: 'xcompBv', value: compacted }] } as const
  const apart = probe.prepare({ load, edit: [{ op: 'or', field: 'head.eflags', value: df }] })
  const ia32 = (['ia32-rt', 'ia32'] as const).filter(abi => probe.lack(abi) === null)
  return [
    good64,
    ...(layout.xsave
      ? [
          batchedLane(
            probe,
            'batched bad frames',
            bad,
            { ratio: 0.9 },
            { quick: isRefused, thorough: isSegv },
          ),
        ]
      : []),
    ...ia32.map(abi => ia32Lane(probe, abi, load, good64)),
    ...(layout.xsave ? [fuzzLane(pinned)] : []),
    matrixLane(loop),
    ...regsetLanes(pinned),
    ...kvmLanes(probe),
    laneOf('isolated', { perSecond: 5000 }, batched(probe, apart), [loop]),
    laneOf(
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
      [loop],
      edited,
    ),
    laneOf(
      'live edits',
      null,
      (count, check) => {
        for (let i = 0; i < count; i++) check(probe.runSync(live))
      },
      [loop],
      edited,
    ),
    laneOf(
      'runSync data',
      null,
      (count, check) => {
        for (let i = 0; i < count; i++) check(probe.runSync(data))
      },
      [loop],
    ),
    laneOf('runMany kept', null, (count, check) => probe.runMany(list(count)).forEach(check), [loop]),
    laneOf('run (async)', null, async (count, check) => (await probe.run(list(count))).forEach(check), [
      loop,
    ]),
  ]
}
