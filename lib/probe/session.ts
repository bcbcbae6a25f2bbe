/**
 * A session with one probe process: `open`, then probes one by one (`runSync`), many (`runMany`, `runEach`), or
 * without blocking (`run`). A process that dies, hangs or cannot be killed is reported with the probe that did
 * it, and replaced.
 */
import { checkBoolean, checkInteger, checkRecord, outOfRange, wrongType } from '../errors.ts'
import { type Abi, checkAbi, type FrameShape, frameShape } from '../frame/abi.ts'
import type { EditLimits } from '../frame/edit.ts'
import { magic1, magic2Size } from '../frame/format.ts'
import { LiveFrame, type LivePlace } from '../frame/live.ts'
import type { SwBytes } from '../frame/reader.ts'
import { type RegionBytes, type RegsetAnswer, RegsetDone } from '../neighbours/ptrace/answer.ts'
import { PreparedRegset, prepareRegset, type RegsetAsk } from '../neighbours/ptrace/ask.ts'
import { type ComponentName, componentAt, maskOf, namesOf } from '../xstate/components.ts'
import { type HostCpu, hostLayout, readHostCpu } from '../xstate/host.ts'
import { initImage, XsaveImage } from '../xstate/image.ts'
import { type Layout, legacyFeatures, legacySize } from '../xstate/layout.ts'
import { randomImage } from '../xstate/random.ts'
import { namedExit } from './ending.ts'
import { mostThreads, ringSlots } from './geometry.ts'
import { callEdit, sendUntouched, waitingFrame } from './live.ts'
import {
  type Chunk,
  type ChunkEnd,
  isolatedTimeout,
  ProbeProcess,
  type RunContext,
  type TracedChunk,
} from './process.ts'
import {
  checkRepeatable,
  type DataRequest,
  type LiveEdit,
  PlacedImage,
  PreparedImage,
  PreparedRequest,
  type ProbeRequest,
  placedImage,
  prepareRequest,
  type RequestContext,
} from './request.ts'
import {
  Astray,
  errnoName,
  Killed,
  Returned,
  type Seen,
  Signalled,
  signalInfo,
  signalName,
} from './result.ts'
import {
  checkStress,
  putStress,
  readStress,
  type StressCounts,
  type StressEnd,
  type StressTask,
  stressContext,
} from './stress.ts'
import { type CheckedAsk, checkAsks, readAnswer, type XrstorAnswer, type XrstorAsk } from './xrstor.ts'

export interface OpenOptions {
  /**
   * Components that need the kernel's permission (`xtiledata`). It cannot be given back, and it changes the
   * frames: hence a session of its own.
   */
  readonly permissions?: readonly ComponentName[]
  /** How long the probe process may make no progress before it is killed; 5000 ms if left out. */
  readonly timeoutMs?: number
  /** Seed of the poison images, an integer; 1 if left out. */
  readonly seed?: number
  /**
   * Keeps the calling thread on one CPU, that of the probe process, from the first probe to close(): saves some
   * two microseconds a probe, for loops over live edits. Threads and processes that are started meanwhile inherit
   * it; `unpin` lets go. Without it the thread is kept there only while it waits for a probe.
   */
  readonly pin?: boolean
}

const defaultTimeoutMs = 5000
const maxTimeoutMs = 24 * 3600 * 1000
const poisons = 8
/**
 * Poisons are drawn far from the seeds that callers use, and so that MXCSR, which repeats every 1023 or 511 seeds,
 * differs from that of small seeds too.
 */
const poisonSeeds = 2 ** 30 + 300

const optionFields = new Set(['permissions', 'timeoutMs', 'seed', 'pin'])

const checkOptions = (options: OpenOptions) => {
  const record = checkRecord('options', options)
  for (const key of Object.keys(record)) {
    if (!optionFields.has(key))
      throw outOfRange(`options.${key}`, record[key], `but open takes only ${[...optionFields].join(' ')}`)
  }
  const { permissions = [], timeoutMs = defaultTimeoutMs, seed = 1, pin = false } = options
  if (!Array.isArray(permissions))
    throw wrongType('options.permissions', permissions, 'an array of components')
  return {
    permissions: maskOf(permissions),
    timeoutMs: checkInteger('options.timeoutMs', timeoutMs, 1, maxTimeoutMs),
    seed: checkInteger('options.seed', seed, 0, 2 ** 30),
    pin: checkBoolean('options.pin', pin),
  }
}

/** The components of this CPU that tasks get only on their asking: those that IA32_XFD can disable. */
export const permissible = (cpu: HostCpu): ComponentName[] =>
  cpu.components
    .filter(({ xfd, index }) => xfd && (cpu.xcr0 >> BigInt(index)) & 1n)
    .map(({ index }) => componentAt(index).name)

const checkPermissions = (mask: bigint, cpu: HostCpu): void => {
  const names = permissible(cpu)
  if ((mask & ~maskOf(names)) === 0n) return
  const limit =
    names.length === 0
      ? 'but this host has no component that needs permission'
      : `must be of ${names.join(' ')}`
  throw outOfRange('options.permissions', namesOf(mask).join(' '), limit)
}

const visiting = 'a batch of this session is being visited: its visitor cannot start another probe'
const running = 'a run of this session is under way: await it first'
const closedMeanwhile = 'the session was closed while a run was under way'
const lentAway = 'this result was lent to its visitor only; what is to be kept comes from runMany'

/** A session. Its methods throw TypeError or RangeError for bad requests before anything runs. */
export class Probe {
  /** The host's CPU, as it describes itself. */
  readonly cpu: HostCpu
  /** Where this session's components lie: the kernel's user_size and features for its task. */
  readonly layout: Layout
  /** What CPUID, XCR0 and the task's permissions say that its frames hold: `layout`, unless a kernel errs. */
  readonly expected: Layout
  /** The sw bytes of the first frame that the kernel wrote for this session, unedited. */
  readonly sw: SwBytes
  /** How far edits may reach. */
  readonly limits: EditLimits
  readonly #permissions: bigint
  readonly #ia32Lack: string | null
  readonly #x32Lack: string | null
  readonly #context: RunContext
  readonly #requests: RequestContext
  /** Of the host's largest area: a regset is no larger. */
  readonly #areaBytes: number
  #process: ProbeProcess | null = null
  #busy: string | null = null
  #queue: Promise<unknown> = Promise.resolve()
  readonly #others: (() => Promise<void>)[] = []
  #closed = false
  #closing: Promise<void> | undefined

  /** Use `open`. */
  constructor(options: OpenOptions = {}) {
    const { permissions, timeoutMs, seed, pin } = checkOptions(options)
    this.cpu = readHostCpu()
    checkPermissions(permissions, this.cpu)
    this.#permissions = permissions
    const started = this.#start(seed, timeoutMs)
    this.#process = started.process
    this.sw = started.sw
    this.layout = started.layout
    this.expected = started.expected
    const frameBytes = this.layout.xsave ? this.layout.size + magic2Size : legacySize
    this.limits = this.#process.arena.limits(frameBytes)
    this.#areaBytes = this.#process.arena.geometry.areaBytes
    this.#ia32Lack = this.#process.arena.description.ia32Lack
    this.#x32Lack = this.#process.arena.description.x32Lack
    const { stackBytes, headroom } = this.#process.arena.description
    this.#context = { rfbm: this.layout.features, frameBytes, timeoutMs, pin }
    const pool = Array.from(
      { length: poisons },
      (_, i) => new PlacedImage(randomImage(this.layout, { seed: poisonSeeds + seed + i }).bytes),
    )
    let drawn = 0
    this.#requests = {
      session: this,
      layout: this.layout,
      limits: this.limits,
      initLoad: new PlacedImage(initImage(this.layout).bytes),
      stackBytes: stackBytes - headroom,
      lack: abi => this.lack(abi),
      nextPoison: () => pool[drawn++ % poisons] as PlacedImage,
    }
  }

  /**
   * Starts a process and raises one signal with every permitted component in use: AMX tile data joins a task's
   * frame only then. From that frame's sw bytes comes what the task really has.
   */
  #start(
    seed: number,
    timeoutMs: number,
  ): { process: ProbeProcess; sw: SwBytes; layout: Layout; expected: Layout } {
    const process = new ProbeProcess(this.cpu, this.#permissions)
    try {
      const { sw, expected } = this.#firstFrame(process, seed, timeoutMs)
      const layout = expected.xsave && sw.magic1 === magic1 ? this.#toldLayout(sw) : expected
      process.arrange(layout.xsave ? layout.size + magic2Size : legacySize)
      return { process, sw, layout, expected }
    } catch (error) {
      process.end()
      throw error
    }
  }

  /** What the first frame says: whoever wrote it may have told nonsense. */
  #toldLayout({ xfeatures }: SwBytes): Layout {
    try {
      return hostLayout(this.cpu, xfeatures)
    } catch (error) {
      throw new Error(`the first frame of a session did not come back: ${(error as Error).message}`)
    }
  }

  #firstFrame(process: ProbeProcess, seed: number, timeoutMs: number): { sw: SwBytes; expected: Layout } {
    const expected = hostLayout(
      this.cpu,
      (this.cpu.xcr0 & process.arena.description.permitted) | legacyFeatures,
    )
    const frameBytes = expected.xsave ? expected.size + magic2Size : legacySize
    const context = { rfbm: expected.features, frameBytes, timeoutMs, pin: false }
    const init = new PlacedImage(initImage(expected).bytes)
    const request = prepareRequest(
      { load: randomImage(expected, { seed }) },
      {
        session: this,
        layout: expected,
        limits: process.arena.limits(frameBytes),
        initLoad: init,
        stackBytes: 0,
        lack: () => null,
        nextPoison: () => init,
      },
    )
    const chunk = process.fill([request], 0, 1, context)
    const end = process.run(chunk, context)
    if (end.lost !== null || process.ending(chunk, 0) !== 'returned')
      throw new Error(
        `the first frame of a session did not come back: ${end.lost ?? process.ending(chunk, 0)}`,
      )
    return { sw: new Returned(expected, request, chunk.store, 0).written.sw, expected }
  }

  /** Why this session has no frames of an ABI, or null where it has them. */
  lack(abi: Abi): string | null {
    const known = checkAbi('abi', abi)
    if (known === 'x32') return this.#x32Lack
    return known === 'x86_64' ? null : this.#ia32Lack
  }

  /** Process id of the probe process; changes when it had to be replaced. */
  get pid(): number {
    return (this.#process ?? this.#ready()).pid
  }

  #ready(): ProbeProcess {
    if (this.#closed) throw new Error('the session is closed')
    if (this.#busy !== null) throw new Error(this.#busy)
    this.#process ??= this.#start(1, this.#context.timeoutMs).process
    return this.#process
  }

  /** Checks a request once, for many runs. @throws TypeError, RangeError that name field, value and limit */
  prepare(request: ProbeRequest): PreparedRequest {
    return prepareRequest(request, this.#requests)
  }

  /**
   * Checks and copies an image once, for many requests that load it, as `load`, `poison` or `sibling`, or `before`.
   * @throws TypeError, RangeError that name field, value and limit
   */
  image(image: XsaveImage | Uint8Array): PreparedImage {
    return new PreparedImage(this, placedImage(image, this.#requests, 'image'))
  }

  #prepareAll(requests: readonly (ProbeRequest | PreparedRequest)[]): PreparedRequest[] {
    if (!Array.isArray(requests)) throw wrongType('requests', requests, 'an array of requests')
    return requests.map((request, i) =>
      // The name is for a message only, and millions of requests need none.
      request instanceof PreparedRequest && request.session === this
        ? request
        : prepareRequest(request, this.#requests, `requests[${i}]`),
    )
  }

  #seen(process: ProbeProcess, request: PreparedRequest, chunk: Chunk, index: number): Seen {
    const slot = chunk.firstSlot + index
    const ending = process.ending(chunk, index)
    if (ending === 'returned') return new Returned(this.layout, request, chunk.store, slot)
    const where = process.signalPlace(chunk, index)
    const outcome = chunk.store.outcome(slot)
    switch (ending) {
      case 'signal':
        if (where === 'sigreturn') return new Signalled(this.layout, request, chunk.store, slot)
        if (where === 'after') return new Astray(this.layout, request, chunk.store, slot)
        if (where !== undefined) return { kind: 'signal', where, ...signalInfo(outcome) }
        break
      case 'died': {
        if (where === 'sigreturn') return new Killed(this.layout, request, chunk.store, slot)
        const { signal, siCode } = outcome
        const named = signal === 0 ? null : signalName(signal)
        return { kind: 'died', where: where ?? null, signal: named, code: signal === 0 ? siCode : null }
      }
      case 'timeout':
        return { kind: 'timeout', timeoutMs: isolatedTimeout(this.#context.timeoutMs) }
      case 'refused': {
        const call = process.arena.constants.refusals.get(outcome.signal)
        if (call !== undefined) return { kind: 'refused', call, errno: errnoName(outcome.siCode) }
      }
    }
    throw new Error('the probe process could not make sense of its request: a fault of the harness')
  }

  /** The result of the probe during which the process was lost. */
  #lost(lost: 'ended' | 'timeout', pid: number, exit: ReturnType<ProbeProcess['end']>): Seen {
    const { timeoutMs } = this.#context
    if (exit === undefined) return { kind: 'stuck', timeoutMs, pid }
    return lost === 'timeout'
      ? { kind: 'timeout', timeoutMs }
      : { kind: 'died', where: null, ...namedExit(exit) }
  }

  /** Makes a chunk's results. The records stay where they are meanwhile, so the sink may start nothing here. */
  #collect(
    process: ProbeProcess,
    requests: readonly PreparedRequest[],
    from: number,
    chunk: Chunk,
    completed: number,
    sink: (seen: Seen, index: number) => void,
  ): void {
    for (let i = 0; i < completed; i++) {
      if (this.#closed) throw new Error(closedMeanwhile)
      this.#tell(sink, this.#seen(process, requests[from + i] as PreparedRequest, chunk, i), from + i)
    }
  }

  #tell(sink: (seen: Seen, index: number) => void, seen: Seen, index: number): void {
    this.#busy = visiting
    try {
      sink(seen, index)
    } finally {
      this.#busy = null
    }
  }

  #forget(): ProbeProcess {
    const process = this.#process as ProbeProcess
    this.#process = null
    return process
  }

  /** Runs data requests from `from` up to the first live one, at most one ring full. @returns how many ran */
  #runChunk(
    requests: readonly PreparedRequest[],
    from: number,
    sink: (seen: Seen, index: number) => void,
    lend: boolean,
  ): number {
    const process = this.#ready()
    const chunk = process.fill(requests, from, dataRun(requests, from), this.#context, lend)
    const end = process.run(chunk, this.#context, lend || this.#context.pin)
    let exit: ReturnType<ProbeProcess['end']>
    try {
      this.#collect(process, requests, from, chunk, end.completed, sink)
    } finally {
      if (lend) chunk.store.lapse(lentAway)
      // A visitor may have closed the session, and ended the process with it.
      if (end.lost !== null && this.#process === process) exit = this.#forget().end()
    }
    if (this.#closed) throw new Error(closedMeanwhile)
    // One that claims to have done all, and is lost, has left no probe without a result.
    if (end.lost === null || end.completed === chunk.count) return end.completed
    this.#tell(sink, this.#lost(end.lost, process.pid, exit), from + end.completed)
    return end.completed + 1
  }

  #runLive(request: PreparedRequest): Seen {
    const process = this.#ready()
    const chunk = process.fill([request], 0, 1, this.#context)
    const step = process.runToFrame(chunk, this.#context)
    if (step !== 'frame') return this.#endOfOne(process, request, chunk, step)
    const place = this.#placeOrEnd(process, chunk, frameShape(request.abi))
    const frame = new LiveFrame(place, this.layout, this.limits)
    this.#busy = 'a probe is under way in this session: its edit callback cannot start another'
    const failure = callEdit(request.live as LiveEdit, frame)
    this.#busy = null
    const { fpstate, sentBytes } = frame.revoke()
    if (this.#closed) throw failure === null ? new Error(closedMeanwhile) : failure.error
    const end =
      failure === null
        ? process.reply(chunk, fpstate, sentBytes, this.#context)
        : sendUntouched(process, chunk, place, this.#context)
    if (failure === null) return this.#endOfOne(process, request, chunk, end)
    try {
      this.#endOfOne(process, request, chunk, end)
    } catch {
      // What the callback threw is what its caller has to know.
    }
    throw failure.error
  }

  #placeOrEnd(process: ProbeProcess, chunk: Chunk, shape: FrameShape): LivePlace {
    try {
      return waitingFrame(process, chunk, this.limits, shape)
    } catch (error) {
      this.#forget().end()
      throw error
    }
  }

  #endOfOne(process: ProbeProcess, request: PreparedRequest, chunk: Chunk, end: ChunkEnd): Seen {
    let exit: ReturnType<ProbeProcess['end']>
    try {
      // One that claims to have done it, and is lost, has had its say.
      if (end.lost === null || end.completed === 1) return this.#seen(process, request, chunk, 0)
    } finally {
      if (end.lost !== null) exit = this.#forget().end()
    }
    return this.#lost(end.lost, process.pid, exit)
  }

  /** Runs one probe and waits for its end, at most as long as the session's timeout. */
  runSync(request: ProbeRequest | PreparedRequest = {}): Seen {
    this.#ready()
    const one = prepareRequest(request, this.#requests)
    if (one.live !== null) return this.#runLive(one)
    let result: Seen | undefined
    this.#runChunk(
      [one],
      0,
      seen => {
        result = seen
      },
      false,
    )
    return result as Seen
  }

  /** Runs many probes, one after the other, handing them over in batches. The results stay good. */
  runMany(requests: readonly (ProbeRequest | PreparedRequest)[]): Seen[] {
    const results: Seen[] = []
    this.#runAll(this.#prepareAll(requests), seen => results.push(seen), false)
    return results
  }

  /**
   * As `runMany`, but each result is only lent to `visit`, whose images cannot be read later: no copy is made,
   * which is faster for loops that look at millions.
   */
  runEach(
    requests: readonly (ProbeRequest | PreparedRequest)[],
    visit: (seen: Seen, index: number) => void,
  ): void {
    if (typeof visit !== 'function') throw wrongType('visit', visit, 'a function')
    this.#runAll(this.#prepareAll(requests), visit, true)
  }

  #runAll(
    requests: readonly PreparedRequest[],
    sink: (seen: Seen, index: number) => void,
    lend: boolean,
  ): void {
    this.#ready()
    try {
      for (let i = 0; i < requests.length; ) {
        const request = requests[i] as PreparedRequest
        if (request.live !== null) this.#tell(sink, this.#runLive(request), i++)
        else i += this.#runChunk(requests, i, sink, lend)
      }
    } finally {
      if (!this.#context.pin) this.#process?.letGo()
    }
  }

  /** Runs probes whose edits are data, never blocking the event loop. Runs of a session wait for one another. */
  run(request: DataRequest | PreparedRequest): Promise<Seen>
  run(requests: readonly (DataRequest | PreparedRequest)[]): Promise<Seen[]>
  async run(
    request: DataRequest | PreparedRequest | readonly (DataRequest | PreparedRequest)[],
  ): Promise<Seen | Seen[]> {
    const many = Array.isArray(request)
    const requests = this.#prepareAll(many ? request : [request])
    const live = requests.findIndex(one => one.live !== null)
    if (live >= 0)
      throw wrongType(
        `requests[${live}].edit`,
        requests[live]?.live,
        'data: live callbacks are for runSync and runMany',
      )
    const turn = this.#queue.then(() => this.#runAllAsync(requests))
    this.#queue = turn.catch(() => undefined)
    const results = await turn
    return many ? results : (results[0] as Seen)
  }

  async #runAllAsync(requests: readonly PreparedRequest[]): Promise<Seen[]> {
    const results: Seen[] = []
    while (results.length < requests.length) {
      const process = this.#ready()
      this.#busy = running
      try {
        await this.#runChunkAsync(process, requests, results)
      } finally {
        this.#busy = null
      }
    }
    return results
  }

  async #runChunkAsync(
    process: ProbeProcess,
    requests: readonly PreparedRequest[],
    results: Seen[],
  ): Promise<void> {
    const from = results.length
    const chunk = process.fill(requests, from, ringSlots, this.#context)
    const end = await process.runAsync(chunk, this.#context).catch((error: unknown) => {
      // A process that was ended on purpose has nothing more to say.
      throw this.#closed ? new Error(closedMeanwhile) : error
    })
    if (this.#closed) throw new Error(closedMeanwhile)
    let exit: ReturnType<ProbeProcess['end']>
    try {
      this.#collect(process, requests, from, chunk, end.completed, seen => results.push(seen))
    } finally {
      if (end.lost !== null && this.#process === process) exit = await this.#forget().endAsync()
    }
    if (end.lost === null) return
    if (end.completed < chunk.count) results.push(this.#lost(end.lost, process.pid, exit))
  }

  /**
   * Sends the same frame up to `tries` times from one throw-away fork: for what happens rarely. @returns how often it
   * was sent, and how many of those were refused with a signal; null where the fork did not live to tell
   */
  repeat(
    request: ProbeRequest | PreparedRequest,
    tries: number,
  ): { readonly done: number; readonly refused: number } | null {
    const one = prepareRequest(request, this.#requests)
    if (one.live !== null)
      throw wrongType('request.edit', one.live, 'data: a callback cannot be repeated in a fork')
    checkRepeatable(one)
    checkInteger('tries', tries, 2, 10_000_000)
    return this.#use(process => process.repeat(one, tries, this.#context))
  }

  /** For what has no result of its own that could tell of a process that was lost: the next one takes its place. */
  #use<T>(use: (process: ProbeProcess) => T): T {
    const process = this.#ready()
    try {
      return use(process)
    } finally {
      if (process.lost && this.#process === process) this.#forget().end()
    }
  }

  /**
   * Threads of the probe process, each with an image in its registers, give one CPU to one another `rounds` times.
   * @returns what each has in its registers then, and how often the CPU changed hands at least; null where the
   * threads could not be started
   */
  contextSwitches(
    images: readonly XsaveImage[],
    rounds: number,
  ): { readonly after: readonly XsaveImage[]; readonly switches: number } | null {
    if (!Array.isArray(images)) throw wrongType('images', images, 'an array of images')
    checkInteger('images.length', images.length, 2, mostThreads)
    const prepared = images.map((image, i) => prepareRequest({ load: image }, this.#requests, `images[${i}]`))
    checkInteger('rounds', rounds, 1, 10_000_000)
    const loads = prepared.map(({ load }) => load.bytes)
    const init = prepareRequest({}, this.#requests)
    const done = this.#use(process => process.switches(loads, rounds, init, this.#context))
    if (done === null) return null
    return { ...done, after: done.after.map(bytes => new XsaveImage(bytes, this.layout)) }
  }

  /**
   * Asks the CPU what XRSTOR or FXRSTOR makes of bytes in user mode: one answer for each, in their order. No signal is
   * raised and the kernel has no say. Waits for the answers, handing the questions over in batches.
   */
  xrstor(asks: readonly XrstorAsk[]): XrstorAnswer[] {
    this.#ready()
    const checked = checkAsks(asks, this.cpu, this.#requests)
    const answers: XrstorAnswer[] = []
    try {
      while (answers.length < checked.length) this.#ask(checked, answers)
    } finally {
      if (!this.#context.pin) this.#process?.letGo()
    }
    return answers
  }

  #ask(asks: readonly CheckedAsk[], answers: XrstorAnswer[]): void {
    const process = this.#ready()
    const handed = process.fillAsks(asks, answers.length, this.#context)
    const end = process.run(handed, this.#context, true)
    try {
      for (let i = 0; i < end.completed; i++) answers.push(readAnswer(process, handed, i, this.layout.size))
    } finally {
      if (end.lost !== null) this.#forget().end()
    }
    if (end.completed < handed.count) answers.push({ kind: 'lost' })
  }

  /** Checks a question once, for many runs. @throws TypeError, RangeError that name field, value and limit */
  prepareRegset(ask: RegsetAsk | PreparedRegset, field = 'ask'): PreparedRegset {
    return prepareRegset(ask, this.#requests, this.#areaBytes, field)
  }

  /**
   * Reads and sets the regsets of a process that is traced, a question after the other, by PTRACE_GETREGSET and
   * PTRACE_SETREGSET: one answer for each, in their order. The process is a fork of the probe process, made for these
   * questions: it ends with them. The answers stay good.
   */
  regsets(asks: readonly (RegsetAsk | PreparedRegset)[]): RegsetAnswer[] {
    const answers: RegsetAnswer[] = []
    this.#traceAll(asks, answer => answers.push(answer), false)
    return answers
  }

  /** The same of one question. */
  regset(ask: RegsetAsk | PreparedRegset): RegsetAnswer {
    return this.regsets([ask])[0] as RegsetAnswer
  }

  /** As `regsets`, but each answer is only lent to `visit`: nothing is copied. */
  eachRegset(
    asks: readonly (RegsetAsk | PreparedRegset)[],
    visit: (answer: RegsetAnswer, index: number) => void,
  ): void {
    if (typeof visit !== 'function') throw wrongType('visit', visit, 'a function')
    this.#traceAll(asks, visit, true)
  }

  #traceAll(
    asks: readonly (RegsetAsk | PreparedRegset)[],
    sink: (answer: RegsetAnswer, index: number) => void,
    lend: boolean,
  ): void {
    this.#ready()
    if (!Array.isArray(asks)) throw wrongType('asks', asks, 'an array of questions')
    const prepared = asks.map((ask, i) =>
      ask instanceof PreparedRegset && ask.session === this ? ask : this.prepareRegset(ask, `asks[${i}]`),
    )
    let done = 0
    try {
      while (done < prepared.length) done += this.#traceChunk(prepared, done, sink, lend)
    } finally {
      // Nothing is left traced by a visitor that threw.
      if (done < prepared.length && this.#process !== null && !this.#closed) this.#endTraced(this.#process)
      if (!this.#context.pin) this.#process?.letGo()
    }
  }

  /** Any other request ends the traced process. */
  #endTraced(process: ProbeProcess): void {
    const chunk = process.fill([prepareRequest({}, this.#requests)], 0, 1, this.#context)
    if (process.run(chunk, this.#context).lost !== null) this.#forget().end()
  }

  /** @returns how many were answered */
  #traceChunk(
    asks: readonly PreparedRegset[],
    from: number,
    sink: (answer: RegsetAnswer, index: number) => void,
    lend: boolean,
  ): number {
    const process = this.#ready()
    const traced = process.fillTraced(asks, from, this.#context)
    const { chunk } = traced
    const end = process.run(chunk, this.#context, true)
    const { arena } = process
    const at = arena.index(arena.tracedAt)
    const region = lend
      ? { bytes: arena.bytes, start: at }
      : { bytes: arena.bytes.slice(at, at + traced.bytes), start: 0 }
    let exit: ReturnType<ProbeProcess['end']>
    try {
      for (let i = 0; i < end.completed; i++) {
        this.#busy = visiting
        try {
          sink(this.#answer(process, traced, i, region), from + i)
        } finally {
          this.#busy = null
        }
        if (this.#closed) throw new Error(closedMeanwhile)
      }
    } finally {
      if (lend) chunk.store.lapse(lentAway)
      // A visitor may have closed the session, and ended the process with it.
      if (end.lost !== null && this.#process === process) exit = this.#forget().end()
    }
    if (end.lost === null || end.completed === chunk.count) return end.completed
    sink(this.#lost(end.lost, process.pid, exit) as RegsetAnswer, from + end.completed)
    return end.completed + 1
  }

  #answer(
    process: ProbeProcess,
    { chunk, placed }: TracedChunk,
    i: number,
    region: RegionBytes,
  ): RegsetAnswer {
    const one = placed[i] as TracedChunk['placed'][number]
    const seen = this.#seen(process, one.ask.request, chunk, i)
    if (seen instanceof Returned || seen instanceof Signalled)
      return new RegsetDone(seen, process.arena, one, region)
    if (seen instanceof Astray || seen instanceof Killed)
      throw new Error('the probe process could not make sense of its request: a fault of the harness')
    return seen
  }

  /** `sigframe bench`: nanoseconds of the plain loop that asks this so often. Null where a call failed. */
  traceLoop(ask: PreparedRegset, count: number): number | null {
    checkInteger('count', count, 1, 10_000_000)
    const one = this.prepareRegset(ask)
    return this.#use(process => process.traceLoop(one, count, this.#context))
  }

  /**
   * `sigframe stress`: many random rounds in the probe process, compared there; never blocks the event loop.
   * @returns what came of them, and how they ended where it was before their time
   */
  async stress(
    images: readonly XsaveImage[],
    task: StressTask,
  ): Promise<{ readonly counts: StressCounts; readonly end: StressEnd }> {
    if (!Array.isArray(images)) throw wrongType('images', images, 'an array of images')
    checkStress(task, images.length, abi => this.lack(abi))
    const bytes = images.map(
      (image, i) => prepareRequest({ load: image }, this.#requests, `images[${i}]`).load.bytes,
    )
    const turn = this.#queue.then(() => this.#stress(bytes, task))
    this.#queue = turn.catch(() => undefined)
    return await turn
  }

  async #stress(
    images: readonly Uint8Array[],
    task: StressTask,
  ): Promise<{ readonly counts: StressCounts; readonly end: StressEnd }> {
    const process = this.#ready()
    const { arena } = process
    const init = prepareRequest({}, this.#requests)
    const chunk = process.fillApart(init, this.#context)
    putStress(arena, chunk, images, task, this.layout.size)
    this.#busy = running
    let end: ChunkEnd
    try {
      end = await process.runAsync(chunk, stressContext(this.#context, task)).catch((error: unknown) => {
        throw this.#closed ? new Error(closedMeanwhile) : error
      })
    } finally {
      this.#busy = null
    }
    if (this.#closed) throw new Error(closedMeanwhile)
    try {
      // One that is lost, and claims to have done all, has had its say.
      const seen = end.completed === 1 ? earlyEnd(this.#seen(process, init, chunk, 0)) : null
      const counts = readStress(arena, images.length, task.cpus, this.layout.size)
      if (end.lost === null || end.completed === 1) return { counts, end: seen }
      const exit = await this.#forget().endAsync()
      return { counts, end: earlyEnd(this.#lost(end.lost, process.pid, exit)) }
    } finally {
      if (end.lost !== null && this.#process === process) await this.#forget().endAsync()
    }
  }

  /**
   * `sigframe bench`: nanoseconds of the plain loop that does what `count` runs of this request do, in the probe
   * process alone. Null where a frame met another fate than meant.
   */
  plainLoop(request: PreparedRequest, count: number, bad: boolean): number | null {
    checkInteger('count', count, 1, 10_000_000)
    const one = prepareRequest(request, this.#requests)
    return this.#use(process => process.plainLoop(one, count, bad, this.#context))
  }

  /** Lets go of the CPU that `pin` keeps, until the next probe. */
  unpin(): void {
    this.#process?.letGo()
  }

  /** Has something else closed with this session: what was opened for its cases alone. */
  closeToo(other: () => Promise<void>): void {
    this.#others.push(other)
  }

  /** Ends the probe process. Results stay good. Twice is no error; a run under way is rejected. */
  close(): Promise<void> {
    this.#closing ??= this.#end()
    return this.#closing
  }

  async #end(): Promise<void> {
    this.#closed = true
    const process = this.#process
    this.#process = null
    await process?.endAsync()
    // One that fails leaves none of the others open.
    const ended = await Promise.allSettled(this.#others.splice(0).map(close => close()))
    // A run under way has seen its end by now, or sees it in a moment.
    await this.#queue
    const failed = ended.find(({ status }) => status === 'rejected')
    if (failed?.status === 'rejected') throw failed.reason
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}

/** The handlers of stress requests record nothing: where a signal hit them there is no frame to show. */
const earlyEnd = (seen: Seen): StressEnd => {
  if (seen.kind === 'returned') return null
  if (seen.kind !== 'signal') return seen
  const { signal, siCode, siAddr, where } = seen
  return { kind: 'signal', signal, siCode, siAddr, where: where === 'load' ? 'load' : 'delivery' }
}

/** How many requests from `from` on are data. */
const dataRun = (requests: readonly PreparedRequest[], from: number): number => {
  let count = 0
  while (count < ringSlots && requests[from + count]?.live === null) count += 1
  return count
}

/**
 * Starts a probe process and opens a session with it.
 * @throws NativeUnavailableError where the addon is not available, Error when the process cannot be started
 */
export const open = async (options: OpenOptions = {}): Promise<Probe> => new Probe(options)

/** As `open`, for code that cannot wait. */
export const openSync = (options: OpenOptions = {}): Probe => new Probe(options)
