/**
 * A session whose kernel is simulated: frames are written, edited and returned from as by a live one, as far as that
 * needs no other thread, no alternate stack and no time. What it cannot do it refuses.
 */
import type { GenerationId } from '../../lib/contract/generations.ts'
import type { HardwareAnswer } from '../../lib/contract/predict/hardware.ts'
import type { Task } from '../../lib/contract/predict/task.ts'
import { type Abi, frameShape, isIa32 } from '../../lib/frame/abi.ts'
import { applyPrimitives } from '../../lib/frame/apply.ts'
import { buildFpstate } from '../../lib/frame/build.ts'
import { compileEdit } from '../../lib/frame/compile.ts'
import type { EditLimits, EditOp, Primitive } from '../../lib/frame/edit.ts'
import { magic2Size } from '../../lib/frame/format.ts'
import { type FrameParts, FrameRecord, restorable } from '../../lib/frame/reader.ts'
import type { FuzzedProbe } from '../../lib/fuzz/subject.ts'
import { taskOf } from '../../lib/harness/task.ts'
import { geometryOf } from '../../lib/probe/geometry.ts'
import {
  PlacedImage,
  PreparedImage,
  PreparedRequest,
  type ProbeRequest,
  placedImage,
  prepareRequest,
  type Raise,
  type RequestContext,
} from '../../lib/probe/request.ts'
import type { Seen } from '../../lib/probe/result.ts'
import type { Probe } from '../../lib/probe/session.ts'
import { checkAsks, type XrstorAnswer } from '../../lib/probe/xrstor.ts'
import { explain, explainMxcsr } from '../../lib/xstate/compare.ts'
import type { ComponentName } from '../../lib/xstate/components.ts'
import type { HostCpu } from '../../lib/xstate/host.ts'
import { initImage, initMxcsr, XsaveImage } from '../../lib/xstate/image.ts'
import type { Layout } from '../../lib/xstate/layout.ts'
import { randomImage } from '../../lib/xstate/random.ts'
import {
  type Decision,
  decide,
  decisionKey,
  type Machine,
  type ReturnedFrame,
  registersAfter,
  simulatedXrstor,
} from './simulated-kernel.ts'
import { createMemory, type Mapping } from './simulated-memory.ts'

/** What of a session is simulated. */
type Simulated = Pick<Probe, 'expected' | 'runSync'> & FuzzedProbe

/** Raises that need nothing but the thread itself. */
export const simulatedRaises: readonly Raise[] = ['tgkill', 'tgkill32', 'fake']

const page = 4096
const roundUp = (bytes: number): number => Math.ceil(bytes / page) * page

/** Where the simulated process has its frames, and its second buffer. */
const stackArea = 0x1000_0000
const spareArea = 0x2000_0000
const raisedAt = 0x40_1000n

/** What CPUID would say of a host with this layout. */
export const cpuOf = (layout: Layout, xsaves = true): HostCpu => {
  const { vendor, components, mxcsrMask } = layout.toJSON()
  return {
    vendor,
    brand: '',
    family: 6,
    model: 0,
    stepping: 0,
    hypervisor: null,
    mxcsrMask,
    minSignalStack: layout.size + 1024,
    xcr0: layout.hostFeatures,
    // XSAVEOPT, XSAVEC, XGETBV with ECX 1, XSAVES
    xsaveFeatures: xsaves ? 15 : 1,
    components,
  }
}

export const limitsOf = (layout: Layout): EditLimits => {
  const geometry = geometryOf(cpuOf(layout))
  const frameBytes = layout.size + magic2Size
  return {
    frameBytes,
    inPlaceBytes: Math.min(frameBytes + geometry.headroom, geometry.longestSent),
    spareBytes: Math.min(geometry.spareBytes, geometry.longestSent),
  }
}

/** All of a frame, before or behind an edit. */
interface Frame extends FrameParts {
  readonly fsave: Uint8Array | null
}

const setField = (head: Uint8Array, abi: Abi, name: string, value: bigint): void => {
  const { fields } = frameShape(abi)
  const place = (fields as Readonly<Record<string, { at: number; width: number } | undefined>>)[name]
  if (place === undefined) return
  for (let i = 0; i < place.width; i++) head[place.at + i] = Number((value >> BigInt(8 * i)) & 0xffn)
}

/** Registers as the interrupted code has them. */
const writtenHead = (abi: Abi): Uint8Array => {
  const head = new Uint8Array(frameShape(abi).headBytes)
  const fields: Readonly<Record<string, bigint>> = {
    ucFlags: 7n,
    rip: raisedAt,
    rsp: BigInt(stackArea + 0x1_0000),
    eflags: 0x202n,
    cs: isIa32(abi) ? 0x23n : 0x33n,
    ss: 0x2bn,
    fpstate: BigInt(stackArea - frameShape(abi).fsaveSize),
  }
  for (const [name, value] of Object.entries(fields)) setField(head, abi, name, value)
  return head
}

/** What a kernel makes of the frame that it writes, where it errs. */
const slipAtDelivery = (
  machine: Machine,
  abi: Abi,
  { fsave, fpstate }: Pick<Frame, 'fsave' | 'fpstate'>,
): void => {
  const { layout, slip } = machine
  const view = new DataView(fpstate.buffer, fpstate.byteOffset)
  const or64 = (at: number, bits: bigint): void =>
    view.setBigUint64(at, view.getBigUint64(at, true) | bits, true)
  switch (slip) {
    case 'delivery loses AVX':
      if (layout.has('avx')) fpstate.fill(0, layout.offset('avx'), layout.end('avx'))
      return
    case 'delivery loses x87':
      fpstate[36] = (fpstate[36] as number) ^ 1
      if (fsave !== null) fsave[32] = (fsave[32] as number) ^ 1
      return
    case 'delivery loses MXCSR':
      view.setUint32(24, initMxcsr, true)
      return
    case 'delivery has the kernel’s keys':
      if (layout.has('pkru')) view.setUint32(layout.offset('pkru'), 0, true)
      return
    case 'delivery forgets magic2':
      view.setUint32(layout.size, 0, true)
      return
    case 'delivery forgets bits 0 and 1':
      view.setBigUint64(512, view.getBigUint64(512, true) & ~3n, true)
      return
    case 'delivery names supervisor components':
      or64(472, 0x800n)
      return
    case 'ia32: delivery forgets the sw bytes':
      if (isIa32(abi)) fpstate.fill(0, 464, 512)
      return
    case 'ia32: delivery forgets the header’s size':
      if (isIa32(abi)) view.setUint32(468, layout.size + magic2Size, true)
      return
    case 'ia32: delivery tags all registers valid':
      if (fsave !== null) fsave.fill(0, 8, 10)
      return
  }
}

/** Where the sent frame's area lies. */
const areaOf = (primitives: readonly Primitive[]): number => {
  const move = primitives.find(({ code }) => code === 'move')
  return move === undefined ? stackArea : spareArea + (move as Extract<Primitive, { code: 'move' }>).at
}

const sentPointer = (primitives: readonly Primitive[], pointer: bigint): bigint =>
  primitives.reduce((at, op) => {
    if (op.code === 'pointer') return op.value
    return op.code === 'offset' ? BigInt.asUintN(64, at + op.value) : at
  }, pointer)

/** The memory that the return finds. Before the second buffer lies a page, behind it one that cannot be read. */
const memoryOf = (primitives: readonly Primitive[], area: number, sent: Frame, limits: EditLimits) => {
  const { fsave, fpstate } = sent
  const bytes = new Uint8Array((fsave?.length ?? 0) + fpstate.length)
  if (fsave !== null) bytes.set(fsave)
  bytes.set(fpstate, bytes.length - fpstate.length)
  const range =
    area < spareArea
      ? { start: stackArea - page, end: stackArea + roundUp(limits.inPlaceBytes) }
      : { start: spareArea - page, end: spareArea + limits.spareBytes }
  const mapping: Mapping = { ...range, at: area - (fsave?.length ?? 0), bytes }
  return createMemory(
    [mapping],
    primitives.flatMap(op =>
      op.code === 'pages' ? [{ at: area + op.at, length: op.length, state: op.state }] : [],
    ),
  )
}

const sigsegvBit = 10n
const trapFlag = 0x100n

interface Answer {
  readonly where: 'sigreturn' | 'after'
  readonly signal: string
  readonly siCode: number
}

/** The kernel's own SIGSEGV: SI_KERNEL. */
const rejection: Answer = { where: 'sigreturn', signal: 'SIGSEGV', siCode: 128 }
/** SEGV_MAPERR. */
const otherRejection: Answer = { ...rejection, siCode: 1 }

/** What comes of the rest of the frame once the FPU state is restored; null where the thread goes on. */
const leads = (sent: FrameRecord): Answer | null => {
  if (sent.headField('cs') === 0n || sent.headField('ss') === 0n) return rejection
  if (sent.headField('rip') !== raisedAt) return { where: 'after', signal: 'SIGSEGV', siCode: 1 }
  if ((sent.headField('eflags') & trapFlag) !== 0n) return { where: 'after', signal: 'SIGTRAP', siCode: 2 }
  return null
}

/** The parts of a result that tests may want to have other than a kernel would. */
export interface SeenParts {
  readonly layout: Layout
  readonly written: FrameRecord
  readonly sent: FrameRecord
  readonly after: XsaveImage
  readonly before: XsaveImage
  readonly poison: XsaveImage
}

/** A result as a probe would give it. */
export const returnedWith = (parts: SeenParts): Record<string, unknown> => {
  const { layout, sent, after, before, poison } = parts
  const origins = () => ({ sent: restorable(sent), loaded: before.bytes, poison: poison.bytes })
  return {
    kind: 'returned',
    ...parts,
    sentView: sent,
    afterView: after.bytes,
    abi: sent.abi,
    sentFrom: { buffer: 'stack', pointed: true },
    sibling: null,
    slept: 0,
    served: 0,
    state: (name: ComponentName) => explain(after.bytes, origins(), layout, name),
    mxcsrState: () => explainMxcsr(after.bytes, origins()),
  }
}

/** What is seen of a return: the answer of the kernel, of where the frame leads, or of the thread that goes on. */
const seenOf = (
  machine: Machine,
  decision: Decision,
  common: Record<string, unknown>,
  sent: FrameRecord,
  refused: boolean,
): Seen => {
  if (decision === 'endless') return { kind: 'timeout', timeoutMs: 5000 }
  const { slip } = machine
  const mask = sent.headField(sent.abi === 'ia32' ? 'oldmask' : 'sigmask')
  const bit = sigsegvBit + (slip === 'SIGSEGV is looked for a bit too far' ? 1n : 0n)
  const blocked = ((mask >> bit) & 1n) !== 0n
  const refusal = slip === 'a rejection has another si_code' ? otherRejection : rejection
  const answer = refused || decision === 'rejected' ? refusal : leads(sent)
  const silent = decision === 'rejected' && slip === 'a rejection is silent'
  if (answer === null || silent) return common as unknown as Seen
  // Where nobody is left, or nothing can be saved, there are no registers to look at.
  const { after, afterView, state, mxcsrState, ...recorded } = common
  if (blocked && answer.signal === 'SIGSEGV' && slip !== 'SIGSEGV cannot be blocked')
    return {
      ...recorded,
      kind: 'died',
      where: answer.where,
      signal: answer.signal,
      code: null,
    } as unknown as Seen
  const saved = answer.where === 'sigreturn' ? { after, afterView, state, mxcsrState } : {}
  return { ...recorded, ...saved, kind: 'signal', siAddr: 0n, ...answer } as unknown as Seen
}

/** What of a request counts here: of one as a caller has it, or of a prepared one. */
interface Asked {
  readonly abi: Abi
  readonly raise: Raise
  readonly before: XsaveImage
  /** Null for one of the session's own. */
  readonly poison: XsaveImage | null
  readonly primitives: readonly Primitive[]
  readonly shadowStack: boolean
  /** Whether the same `before` comes again, unchanged. */
  readonly lasts: boolean
}

const refuseLive = (raise: Raise, stack: unknown): void => {
  if (!simulatedRaises.includes(raise)) throw new Error(`raise ${raise} is not simulated`)
  if (stack !== undefined && stack !== null) throw new Error('alternate stacks are not simulated')
}

const askedOf = (request: ProbeRequest, layout: Layout, limits: EditLimits): Asked => {
  const { abi = 'x86_64', raise = 'tgkill', edit = [], stack, load, poison, shadowStack = false } = request
  refuseLive(raise, stack)
  return {
    abi,
    raise,
    before: load as XsaveImage,
    poison: (poison ?? null) as XsaveImage | null,
    primitives: compileEdit(edit as readonly EditOp[], layout, limits, 'edit', abi).primitives,
    shadowStack,
    lasts: false,
  }
}

/** With a shadow stack, the restored frame is refused where no delivery has left a token for it. */
const lacksToken = ({ raise, shadowStack }: Asked): boolean => shadowStack && raise === 'fake'

/** A session, and which other generations would have done the same in the last batch of probes. */
export interface SimulatedProbe {
  readonly probe: Probe
  readonly alike: () => ReadonlySet<GenerationId>
}

/** Its task: what this host's kernel uses is not its matter. */
export const simulatedTask = (probe: FuzzedProbe): Task => taskOf(probe, null)

const poisons = 8
const poisonSeeds = 2 ** 30 + 301

const byAbi = <T>(make: (abi: Abi, of: XsaveImage) => T): ((abi: Abi, of: XsaveImage) => T) => {
  const known = new WeakMap<XsaveImage, Map<Abi, T>>()
  return (abi, of) => {
    const made = known.get(of) ?? new Map<Abi, T>()
    known.set(of, made)
    const one = made.get(abi) ?? make(abi, of)
    made.set(abi, one)
    return one
  }
}

/** One probe after the other, of a machine. */
const runner = (machine: Machine, limits: EditLimits) => {
  const { layout } = machine
  const pool = Array.from({ length: poisons }, (_, i) => randomImage(layout, { seed: poisonSeeds + i }))
  let drawn = 0
  const write = (abi: Abi, before: XsaveImage): Frame => {
    const built = { abi, head: writtenHead(abi), ...buildFpstate(layout, before, abi) }
    slipAtDelivery(machine, abi, built)
    return built
  }
  const writtenOnce = byAbi(write)

  return (asked: Asked, watch: (frame: ReturnedFrame, decision: Decision) => void): Seen => {
    const { abi, before, primitives } = asked
    const poison = asked.poison ?? (pool[drawn++ % poisons] as XsaveImage)
    const built = asked.lasts ? writtenOnce(abi, before) : write(abi, before)
    const area = areaOf(primitives)
    const own = BigInt(area - frameShape(abi).fsaveSize)
    const pointer = sentPointer(primitives, own)
    const sent: Frame = {
      abi,
      head: applyPrimitives(built.head, primitives, 'head'),
      fsave: built.fsave === null ? null : applyPrimitives(built.fsave, primitives, 'fsave'),
      fpstate: applyPrimitives(built.fpstate, primitives),
    }
    setField(sent.head, abi, 'fpstate', pointer)
    const memory = memoryOf(primitives, area, sent, limits)
    const frame: ReturnedFrame = { abi, pointer, memory, registers: poison }
    const decision = decide(machine, frame)
    watch(frame, decision)
    const record = new FrameRecord(sent, layout)
    const after = registersAfter(machine, frame, decision)
    const written = new FrameRecord(built, layout)
    return seenOf(
      machine,
      decision,
      {
        ...returnedWith({ layout, written, sent: record, after, before, poison }),
        sentFrom: { buffer: area === stackArea ? 'stack' : 'spare', pointed: pointer === own },
      },
      record,
      lacksToken(asked) && machine.slip !== 'no token is needed',
    )
  }
}

/** How the CPU answers, in the session's words. #GP is SI_KERNEL, #PF on what may not be read SEGV_ACCERR. */
const answerOf = (answer: HardwareAnswer): XrstorAnswer =>
  answer instanceof Uint8Array
    ? { kind: 'loaded', after: answer }
    : { kind: 'fault', signal: 'SIGSEGV', siCode: answer === 'fault' ? 128 : 2 }

/**
 * @param generations those that `alike` can tell of
 */
export const simulatedProbe = (
  machine: Machine,
  generations: readonly GenerationId[] = [],
): SimulatedProbe => {
  const { layout } = machine
  const limits = limitsOf(layout)
  const cpu = cpuOf(layout, machine.xsaves)
  const runOne = runner(machine, limits)
  let alike = new Set<GenerationId>()

  const context: RequestContext = {
    session: {},
    layout,
    limits,
    initLoad: new PlacedImage(initImage(layout).bytes),
    stackBytes: 0,
    lack: () => null,
    nextPoison: () => context.initLoad,
  }
  const placed = new WeakMap<PlacedImage, XsaveImage>()
  const imageOf = (of: PlacedImage): XsaveImage => {
    const image = placed.get(of) ?? new XsaveImage(of.bytes, layout)
    placed.set(of, image)
    return image
  }
  const preparedOf = ({ abi, raise, stack, load, poison, edit, shadowStack }: PreparedRequest): Asked => {
    refuseLive(raise, stack)
    const images = { before: imageOf(load), poison: imageOf(poison) }
    return { abi, raise, ...images, primitives: edit.primitives, shadowStack, lasts: true }
  }

  const narrow = (frame: ReturnedFrame, decision: Decision): void => {
    for (const generation of alike) {
      if (decisionKey(decide({ ...machine, generation }, frame)) !== decisionKey(decision))
        alike.delete(generation)
    }
  }
  const run = (request: ProbeRequest | PreparedRequest): Seen =>
    runOne(
      request instanceof PreparedRequest ? preparedOf(request) : askedOf(request, layout, limits),
      narrow,
    )
  const runMany = (requests: readonly (ProbeRequest | PreparedRequest)[]): Seen[] => {
    alike = new Set(generations)
    return requests.map(run)
  }
  const probe: Simulated = {
    layout,
    expected: layout,
    limits,
    cpu,
    lack: () => null,
    prepare: request => prepareRequest(request, context),
    image: image => new PreparedImage(context.session, placedImage(image, context, 'image')),
    runMany,
    runSync: (request = {}) => runMany([request])[0] as Seen,
    runEach: (requests, visit) => runMany(requests).forEach(visit),
    xrstor: asks =>
      checkAsks(asks, cpu, context).map(({ bytes, mask, fxrstor, misalignedBy, endsAt, before }) => {
        const instruction = fxrstor ? 'fxrstor' : 'xrstor'
        const ask = { instruction, bytes, mask, misalignedBy, endsAt: endsAt || null } as const
        return answerOf(simulatedXrstor(machine, ask, imageOf(before)))
      }),
  }
  return { probe: probe as Probe, alike: () => alike }
}
