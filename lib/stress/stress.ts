/**
 * `sigframe stress`: probe processes on every CPU, two for each so that they preempt one another, moved from one to
 * another all the time, each with random state in its registers and random signals of every ABI. Nothing may be lost.
 * Rounds run and are compared in the probe processes; here they are started, summed up and judged.
 */
import { availableParallelism, release } from 'node:os'
import { type Abi, abis } from '../frame/abi.ts'
import { mostStressImages } from '../probe/geometry.ts'
import { open, type Probe, permissible } from '../probe/session.ts'
import type { StressCounts, StressTask } from '../probe/stress.ts'
import { readHostCpu } from '../xstate/host.ts'
import type { XsaveImage } from '../xstate/image.ts'
import { createRandom, type RandomGenerator } from '../xstate/random.ts'
import { drawImages, pick } from './images.ts'
import { endProblem, expectationProblem, lossProblem, type Problem } from './judge.ts'
import { add, noTotals, overall, type Totals } from './totals.ts'

export interface StressOptions {
  /** For all of it, without what starts and ends the processes. */
  readonly seconds: number
  readonly seed: number
  /** At least one. */
  readonly cpus: readonly number[]
  /** Processes for each CPU; 2 if left out. */
  readonly perCpu?: number
  /** Ends it early, with what there is by then. */
  readonly signal?: AbortSignal
  /** Told now and then. */
  readonly onProgress?: (progress: StressProgress) => void
}

export interface StressProgress {
  /** Without what starts the processes. */
  readonly seconds: number
  readonly rounds: number
  readonly lost: number
}

/** What one process did in all. */
export interface StressProcess {
  readonly pid: number
  /** The components that it asked permission for. */
  readonly permissions: readonly string[]
  readonly totals: Totals
}

/** A part of the run. */
export interface StressPart {
  readonly processes: number
  readonly elapsedMs: number
  readonly totals: Totals
}

export interface StressResult {
  readonly host: {
    readonly cpu: string
    readonly cpus: number
    readonly kernel: string
    readonly node: string
  }
  readonly seed: number
  readonly cpus: readonly number[]
  readonly abis: readonly Abi[]
  readonly processes: readonly StressProcess[]
  /** Some of the processes on the first CPU alone; null where that is all CPUs. */
  readonly one: StressPart | null
  readonly all: StressPart
  /** Rounds that were lost, in all. */
  readonly lost: number
  readonly problems: readonly Problem[]
  readonly interrupted: boolean
}

const sliceMs = 100
/** So many processes share the one CPU, where there are as many: one in four of them has what needs permission. */
const onOneCpu = 4
const oneShare = 0.2
const mostOneMs = 5000
/** Drawn at the start, for all processes of a layout: a request takes some of them. */
const poolSize = 64
/** Several processes share each CPU, and a machine may be busy otherwise: one that is slow is not hung. */
const patienceMs = 30_000
/** CPUs that one process visits: as many as a request has room for. */
const mostVisited = 64
const selfCheck = { rounds: 64, spoil: 33, limitMs: 10_000 } as const
const mostProblems = 100

interface Worker {
  readonly probe: Probe
  readonly pid: number
  readonly permissions: readonly string[]
  readonly random: RandomGenerator
  readonly pool: readonly XsaveImage[]
  /** Where it belongs: which of the CPUs it visits, and its place among those that visit the same. */
  readonly cpus: readonly number[]
  readonly lane: number
  readonly team: number
  totals: Totals
  ended: boolean
}

/** A place for each process: CPUs in groups that are not too large, and in each group teams with a lane for each CPU. */
export const placesOf = (
  cpus: readonly number[],
  perCpu: number,
): { readonly cpus: readonly number[]; readonly lane: number; readonly team: number }[] => {
  const groups = Math.ceil(cpus.length / mostVisited)
  const size = Math.ceil(cpus.length / groups)
  const parts = Array.from({ length: groups }, (_, i) => cpus.slice(i * size, (i + 1) * size))
  return Array.from({ length: perCpu }, (_, team) =>
    parts.flatMap(part => part.map((_cpu, lane) => ({ cpus: part, lane, team }))),
  ).flat()
}

/** A session with these permissions, or without where the kernel does not give them. */
const openWith = async (
  permissions: readonly ReturnType<typeof permissible>[number][],
  seed: number,
): Promise<{ probe: Probe; permissions: readonly string[] }> => {
  const options = { timeoutMs: patienceMs, seed: seed % 1_000_000 }
  if (permissions.length > 0) {
    try {
      return { probe: await open({ ...options, permissions }), permissions }
    } catch {
      // An old kernel, a seccomp filter, an alternate stack that is too small: then without.
    }
  }
  return { probe: await open(options), permissions: [] }
}

class Run {
  readonly #options: StressOptions
  readonly #workers: Worker[] = []
  readonly #problems: Problem[] = []
  readonly #pools = new Map<string, XsaveImage[]>()
  #abis: readonly Abi[] = abis
  #startedMs = 0
  #rounds = 0
  #lost = 0

  constructor(options: StressOptions) {
    this.#options = options
  }

  get #stopped(): boolean {
    return this.#options.signal?.aborted === true
  }

  #pool(probe: Probe): readonly XsaveImage[] {
    const key = `${probe.layout.features} ${probe.layout.size}`
    const known = this.#pools.get(key)
    if (known !== undefined) return known
    const pool = drawImages(probe.layout, this.#options.seed, poolSize)
    this.#pools.set(key, pool)
    return pool
  }

  async #start(): Promise<void> {
    const { cpus, perCpu = 2, seed } = this.#options
    const special = permissible(readHostCpu())
    for (const [i, place] of placesOf(cpus, perCpu).entries()) {
      if (this.#stopped) return
      const { probe, permissions } = await openWith(i % 4 === 1 ? special : [], seed + i)
      const random = createRandom(seed + i)
      const totals = noTotals(cpus)
      this.#workers.push({
        probe,
        pid: probe.pid,
        permissions,
        random,
        pool: this.#pool(probe),
        ...place,
        totals,
        ended: false,
      })
      this.#abis = abis.filter(abi => probe.lack(abi) === null)
      await this.#check(this.#workers.at(-1) as Worker)
    }
  }

  /** A round in which the handler changes a register in the frame: whoever does not find that lost finds nothing. */
  async #check(worker: Worker): Promise<void> {
    const { counts, images } = await this.#request(worker, { cpus: worker.cpus, ...selfCheck })
    if (worker.ended) return
    const { lost } = overall(counts)
    if (lost === 0) throw new Error('a register that was changed on purpose was not found lost')
    if (lost === 1) return
    this.#lost += lost - 1
    this.#tellLoss(worker, counts, images)
  }

  async #request(
    worker: Worker,
    task: Pick<StressTask, 'cpus' | 'limitMs'> & Partial<StressTask>,
  ): Promise<{ counts: StressCounts; images: readonly Uint8Array[] }> {
    const { probe, random, pool, lane, team } = worker
    const images = pick(pool, mostStressImages, random)
    const seed = random.next() >>> 0
    const { counts, end } = await probe.stress(images, { seed, abis: this.#abis, lane, team, ...task })
    const bytes = images.map(one => one.bytes)
    if (end !== null) {
      worker.ended = true
      this.#tell(worker, endProblem(end))
    } else {
      const problem = expectationProblem(bytes, counts.expected, probe.layout)
      if (problem !== null) this.#tell(worker, problem)
    }
    return { counts, images: bytes }
  }

  #tellLoss(
    { probe, pool, pid, permissions }: Worker,
    { loss, expected }: StressCounts,
    images: readonly Uint8Array[],
  ): void {
    if (loss === null || this.#problems.length === mostProblems) return
    const others = pool.map(({ bytes }) => bytes)
    this.#tell({ pid, permissions }, lossProblem(loss, { images, others }, expected, probe.layout))
  }

  #tell({ pid, permissions }: Pick<Worker, 'pid' | 'permissions'>, { kind, what }: Problem): void {
    if (this.#problems.length === mostProblems) return
    const which = permissions.length === 0 ? '' : ` with ${permissions.join(' ')}`
    this.#problems.push({ kind, what: `process ${pid}${which}: ${what}` })
  }

  /** One process, request after request. @returns what it did */
  async #keepBusy(worker: Worker, cpus: readonly number[], untilMs: number): Promise<Totals> {
    let totals = noTotals(cpus)
    while (!worker.ended && !this.#stopped) {
      const leftMs = Math.ceil(untilMs - performance.now())
      if (leftMs <= 0) break
      const { counts, images } = await this.#request(worker, { cpus, limitMs: Math.min(leftMs, sliceMs) })
      totals = add(totals, counts)
      this.#tellLoss(worker, counts, images)
      this.#count(overall(counts))
    }
    return totals
  }

  #count({ rounds, lost }: { readonly rounds: number; readonly lost: number }): void {
    this.#rounds += rounds
    this.#lost += lost
    const seconds = (performance.now() - this.#startedMs) / 1000
    this.#options.onProgress?.({ seconds, rounds: this.#rounds, lost: this.#lost })
  }

  async #part(
    workers: readonly Worker[],
    ms: number,
    cpusOf: (worker: Worker) => readonly number[],
  ): Promise<StressPart> {
    const started = performance.now()
    const done = await Promise.all(
      workers.map(async worker => {
        const totals = await this.#keepBusy(worker, cpusOf(worker), started + ms)
        worker.totals = add(worker.totals, totals)
        return totals
      }),
    )
    const cpus = [...new Set(workers.flatMap(cpusOf))]
    return {
      processes: workers.length,
      elapsedMs: performance.now() - started,
      totals: done.reduce(add, noTotals(cpus)),
    }
  }

  /** Who should have done something and did not. */
  #judgeIdle(all: StressPart): void {
    if (this.#stopped || this.#workers.every(({ ended }) => ended)) return
    for (const worker of this.#workers) {
      const { rounds, signals } = overall(worker.totals)
      if (worker.ended) continue
      if (rounds === 0) this.#tell(worker, { kind: 'idle', what: 'it did nothing' })
      else if (signals === 0) this.#tell(worker, { kind: 'idle', what: 'no signal came' })
    }
    for (const { cpu, rounds } of all.totals.on)
      if (rounds === 0) this.#problems.push({ kind: 'idle', what: `CPU ${cpu}: nothing ran there` })
    if (overall(all.totals).timed === 0)
      this.#problems.push({ kind: 'idle', what: 'no timer interrupted anything' })
  }

  async run(): Promise<StressResult> {
    const { seconds, seed, cpus } = this.#options
    try {
      await this.#start()
      this.#startedMs = performance.now()
      const oneMs = cpus.length > 1 ? Math.min(seconds * 1000 * oneShare, mostOneMs) : 0
      const [first = 0] = cpus
      const one = oneMs > 0 ? await this.#part(this.#workers.slice(0, onOneCpu), oneMs, () => [first]) : null
      const all = await this.#part(this.#workers, seconds * 1000 - oneMs, ({ cpus: own }) => own)
      this.#judgeIdle(all)
      return {
        host: {
          cpu: readHostCpu().brand.trim(),
          cpus: availableParallelism(),
          kernel: release(),
          node: process.versions.node,
        },
        seed,
        cpus,
        abis: this.#abis,
        processes: this.#workers.map(({ pid, permissions, totals }) => ({ pid, permissions, totals })),
        one,
        all,
        lost: this.#lost,
        problems: this.#problems,
        interrupted: this.#stopped,
      }
    } finally {
      await Promise.all(this.#workers.map(({ probe }) => probe.close()))
    }
  }
}

/** Runs it. @throws NativeUnavailableError; Error where the checking itself does not work */
export const stress = (options: StressOptions): Promise<StressResult> => new Run(options).run()
