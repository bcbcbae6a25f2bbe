/** Asks of every pair of hosts what becomes of frames: predicted, and seen where the destination is at hand. */
import type { GenerationId } from '../contract/generations.ts'
import { generations as allGenerations, generationOf } from '../contract/generations.ts'
import type { ForeignFrame } from '../foreign/foreign.ts'
import { manualOf, taskElsewhere } from '../foreign/predict.ts'
import type { Abi } from '../frame/abi.ts'
import type { Host } from '../hosts/host.ts'
import { toolVersion } from '../version.ts'
import type { Layout } from '../xstate/layout.ts'
import type { Fate } from './fate.ts'
import { type Judged, judge } from './judge.ts'
import type { MatrixHost, Pair, PairFrame, PairMatrix } from './matrix.ts'
import { type Destination, predictedFate } from './predicted.ts'
import { isSilent, reasonOf } from './reason.ts'
import { synthesised } from './synthesis.ts'
import { namesOfUse, type Use, usable } from './use.ts'

/** What sends frames on a machine that is at hand. */
export interface Sender {
  /** Of its tasks. */
  readonly layout: Layout
  /** Of its kernel; null where that is not known. */
  readonly generation: GenerationId | null
  readonly destination: Destination
  /** What becomes of the frame, and whether that is as predicted. */
  readonly send: (foreign: ForeignFrame, predicted: Fate) => Fate
}

export interface MatrixOptions {
  readonly abi?: Abi
  /** All, if left out. */
  readonly generations?: readonly GenerationId[]
  /** Where frames come from, and where they are returned from: all hosts, if left out. */
  readonly from?: readonly Host[]
  readonly to?: readonly Host[]
  /** What is at hand. */
  readonly senders?: readonly Sender[]
  /** Of the kernel that the senders send on. */
  readonly kernel?: PairMatrix['kernel']
}

/** Whether frames of both are alike: also what their tasks' machines have beyond them decides. */
export const sameFrames = (a: Layout, b: Layout): boolean =>
  a.features === b.features &&
  a.hostFeatures === b.hostFeatures &&
  a.mxcsrMask === b.mxcsrMask &&
  a.extended.every(({ name, offset, size }) => {
    const other = b.component(name)
    return other.offset === offset && other.size === size
  })

/** A host as source: its frames are made once. */
interface Source {
  readonly host: Host
  readonly all: Use
  readonly frame: (used: Use) => ForeignFrame
}

const sourceOf = (host: Host, abi: Abi): Source => {
  const made = new Map<Use, ForeignFrame>()
  return {
    host,
    all: usable(host.layout),
    frame: used => {
      const known = made.get(used) ?? synthesised(host.layout, used, abi)
      made.set(used, known)
      return known
    },
  }
}

/** A host as destination. */
interface Target {
  readonly host: Host
  readonly destination: Destination
  readonly sender: Sender | null
}

/** Whether frames that are sent there fare as on the host: by their layout, by what the kernel makes of MXCSR, and its CPU. */
export const isLike = (
  { layout, destination }: Pick<Sender, 'layout' | 'destination'>,
  host: Pick<Host, 'layout' | 'compacts' | 'emulated'>,
): boolean =>
  sameFrames(layout, host.layout) &&
  destination.task.compacts === host.compacts &&
  destination.task.avxLoadsMxcsr === taskElsewhere(host).avxLoadsMxcsr

const targetOf = (host: Host, senders: readonly Sender[]): Target => {
  const sender = senders.find(one => isLike(one, host)) ?? null
  const elsewhere = { task: taskElsewhere(host), oracle: manualOf(host) }
  return { host, sender, destination: sender?.destination ?? elsewhere }
}

/** Whether what a sender sees is of kernels of this generation. Without XSAVE they are all alike. */
const tellsOf = ({ layout, generation }: Sender, asked: GenerationId): boolean =>
  generation === asked || !layout.xsave

const judgeOf = (source: Source, target: Target, generation: GenerationId): Judged => {
  const { host, sender } = target
  const policy = generationOf(generation).policy
  const sends = sender !== null && tellsOf(sender, generation) ? sender : null
  const destination = sends?.destination ?? target.destination
  return judge(source.host.layout, host.layout, source.all, used => {
    const frame = source.frame(used)
    const predicted = predictedFate(frame, destination, policy)
    return sends === null ? predicted : sends.send(frame, predicted)
  })
}

const frameOf = ({ used, fate }: Judged['asked'][number]): PairFrame => ({
  used: namesOfUse(used),
  end: fate.text,
  lost: fate.lost,
  unknown: fate.unknown,
  leftOver: fate.leftOver,
  seen: fate.seen,
})

const wasSent = ({ seen }: PairFrame): boolean => seen !== null && seen.outcome !== 'unable'

const pairOf = (source: Source, target: Target, generation: GenerationId): Pair => {
  const judged = judgeOf(source, target, generation)
  const frames = judged.asked.map(frameOf)
  return {
    from: source.host.name,
    to: target.host.name,
    generation,
    outcome: judged.outcome,
    unused: namesOfUse(judged.unused),
    silent: isSilent(judged),
    reason: reasonOf({ from: source.host, to: target.host }, judged),
    evidence: frames.every(wasSent) ? 'live' : 'predicted',
    frames,
  }
}

const matrixHost = (host: Host, senders: readonly Sender[]): MatrixHost => {
  const { name, title, kind, layout } = host
  return {
    name,
    title,
    kind,
    here: senders.some(one => isLike(one, host)),
    size: layout.size,
    layout: layout.toJSON(),
  }
}

/**
 * @param hosts of different names
 * @throws Error where a probe process cannot be started any more
 */
export const createMatrix = (hosts: readonly Host[], options: MatrixOptions = {}): PairMatrix => {
  const { abi = 'x86_64', from = hosts, to = hosts, senders = [], kernel = null } = options
  const generations = options.generations ?? allGenerations.map(({ id }) => id)
  const sources = from.map(host => sourceOf(host, abi))
  const targets = to.map(host => targetOf(host, senders))
  const asked = hosts.filter(host => from.includes(host) || to.includes(host))
  return {
    format: 'sigframe matrix',
    version: 1,
    tool: { name: 'sigframe', version: toolVersion() },
    abi,
    generations,
    kernel,
    hosts: asked.map(host => matrixHost(host, senders)),
    pairs: generations.flatMap(generation =>
      sources.flatMap(source => targets.map(target => pairOf(source, target, generation))),
    ),
  }
}

/** Pairs of which something was seen that is not as predicted. */
export const surprises = ({ pairs }: PairMatrix): Pair[] =>
  pairs.filter(({ frames }) => frames.some(({ seen }) => seen?.asPredicted === false))
