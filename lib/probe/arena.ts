/**
 * The arena as TypeScript sees it: where requests, images, edits and records lie. Offsets are the arena's own;
 * the names and numbers of its structures come from the addon. What the probe process wrote here is data to be
 * bounded, never to be trusted.
 */
import type { Abi } from '../frame/abi.ts'
import { type EditLimits, type Primitive, pageStates } from '../frame/edit.ts'
import type { SessionDescription } from '../native-types.ts'
import {
  editPoolBytes,
  type Geometry,
  imageSlots,
  planRecords,
  type RecordPlan,
  regionsOf,
  ringSlots,
  stressRoom,
} from './geometry.ts'
import { type PlacedImage, type PreparedRequest, raises, refusals, stackStates } from './request.ts'
import { losses, ways } from './stress-words.ts'

type Numbers = Readonly<Record<string, number>>

const numbered = (numbers: Numbers, name: string): number => {
  const value = numbers[name]
  if (value === undefined) throw new Error(`the addon does not know ${name}: it belongs to another version`)
  return value
}

/** The fields' word indices and the codes, looked up once: an object of constants for the hot path. */
const constantsOf = (numbers: Numbers) => {
  const word = (name: string): number => numbered(numbers, name) >> 2
  const code = (name: string): number => numbered(numbers, name)
  /** Names by their codes. */
  const coded = <T extends string>(type: string, names: readonly T[]): ReadonlyMap<number, T> =>
    new Map(names.map(name => [code(`${type}.${name}`), name]))
  /** Codes by their names. */
  const numbersOf = <T extends string>(type: string, names: readonly T[]): Readonly<Record<T, number>> =>
    Object.fromEntries(names.map(name => [name, code(`${type}.${name}`)])) as Record<T, number>
  return {
    first: code('first'),
    ringSlots: code('ringSlots'),
    requests: code('requests') >> 2,
    requestWords: code('requestBytes') >> 2,
    outcomes: code('outcomes') >> 2,
    outcomeWords: code('outcomeBytes') >> 2,
    opBytes: code('opBytes'),
    recordHead: code('recordHead'),
    requestLive: code('requestLive'),
    requestIsolated: code('requestIsolated'),
    requestShadowStack: code('requestShadowStack'),
    requestFxrstor: code('requestFxrstor'),
    requestGuarded: code('requestGuarded'),
    requestLastTraced: code('requestLastTraced'),
    fsaveBytes: code('fsaveBytes'),
    probe: code('RequestKind.probe'),
    plainLoop: code('RequestKind.plainLoop'),
    switches: code('RequestKind.switch'),
    stressKind: code('RequestKind.stress'),
    xrstor: code('RequestKind.xrstor'),
    traced: code('RequestKind.traced'),
    traceLoop: code('RequestKind.traceLoop'),
    still: code('Raise.still'),
    trace: {
      bytes: code('traceCallBytes'),
      get: code('TraceDo.get'),
      set: code('TraceDo.set'),
      loaded: code('Stop.loaded'),
      ended: code('Stop.ended'),
      buffers: numbersOf('TraceBuffer', ['arena', 'null', 'guard']),
      what: code('TraceCall.what'),
      when: code('TraceCall.when'),
      note: code('TraceCall.note'),
      buffer: code('TraceCall.buffer'),
      at: code('TraceCall.at'),
      room: code('TraceCall.room'),
      size: code('TraceCall.size'),
      told: code('TraceCall.told'),
      error: code('TraceCall.error'),
    },
    mostStressCpus: code('mostStressCpus'),
    request: {
      kind: word('Request.kind'),
      flags: word('Request.flags'),
      rfbm: word('Request.rfbm'),
      load: word('Request.load'),
      poison: word('Request.poison'),
      ops: word('Request.ops'),
      opCount: word('Request.opCount'),
      written: word('Request.written'),
      writtenBytes: word('Request.writtenBytes'),
      sent: word('Request.sent'),
      sentBytes: word('Request.sentBytes'),
      after: word('Request.after'),
      sentFrom: word('Request.sentFrom'),
      count: word('Request.count'),
      bad: word('Request.bad'),
      abi: word('Request.abi'),
      raise: word('Request.raise'),
      built: word('Request.built'),
      sibling: word('Request.sibling'),
      stack: word('Request.stack'),
      stackBytes: word('Request.stackBytes'),
      timeoutMs: word('Request.timeoutMs'),
      threads: word('Request.threads'),
      stride: word('Request.stride'),
      mask: word('Request.mask'),
    },
    outcome: {
      ending: word('Outcome.ending'),
      where: word('Outcome.where'),
      signal: word('Outcome.signal'),
      siCode: word('Outcome.siCode'),
      siAddr: word('Outcome.siAddr'),
      frame: word('Outcome.frame'),
      fpstate: word('Outcome.fpstate'),
      sentFpstate: word('Outcome.sentFpstate'),
      sentPointer: word('Outcome.sentPointer'),
      elapsedNs: word('Outcome.elapsedNs'),
      slept: word('Outcome.slept'),
      served: word('Outcome.served'),
    },
    stress: {
      bytes: code('stressBytes'),
      seed: code('Stress.seed'),
      limitMs: code('Stress.limitMs'),
      abis: code('Stress.abis'),
      cpuCount: code('Stress.cpuCount'),
      lane: code('Stress.lane'),
      team: code('Stress.team'),
      spoil: code('Stress.spoil'),
      cpus: code('Stress.cpus'),
      signals: code('Stress.signals'),
      refused: code('Stress.refused'),
      switches: code('Stress.switches'),
      loss: code('Stress.loss'),
      image: code('Stress.image'),
      poison: code('Stress.poison'),
      abi: code('Stress.abi'),
      way: code('Stress.way'),
      cpu: code('Stress.cpu'),
      on: code('Stress.on'),
      onBytes: code('stressOnBytes'),
      rounds: code('StressOn.rounds'),
      signalsOn: code('StressOn.signals'),
      timed: code('StressOn.timed'),
      moves: code('StressOn.moves'),
      lost: code('StressOn.lost'),
    },
    ways: coded('Way', ways),
    losses: coded('Loss', losses),
    op: {
      code: code('Op.code'),
      region: code('Op.region'),
      at: code('Op.at'),
      length: code('Op.length'),
      payload: code('Op.payload'),
      value: code('Op.value'),
    },
    endings: coded('Ending', ['returned', 'signal', 'died', 'timeout', 'refused']),
    places: coded('Where', ['load', 'delivery', 'sigreturn', 'after', 'handler']),
    refusals: coded('Refusal', refusals),
    abi: {
      x86_64: code('Abi.x86_64'),
      'ia32-rt': code('Abi.ia32-rt'),
      ia32: code('Abi.ia32'),
      x32: code('Abi.x32'),
    } satisfies Record<Abi, number>,
    raise: numbersOf('Raise', raises),
    stack: numbersOf('StackState', ['none', ...stackStates]),
    pageState: numbersOf('PageState', pageStates),
    region: { area: code('Region.area'), head: code('Region.head'), fsave: code('Region.fsave') },
    waited: {
      done: code('Waited.done'),
      frame: code('Waited.frame'),
      ended: code('Waited.ended'),
      timeout: code('Waited.timeout'),
    },
    codes: {
      write: code('OpCode.write'),
      and: code('OpCode.and'),
      or: code('OpCode.or'),
      xor: code('OpCode.xor'),
      fill: code('OpCode.fill'),
      move: code('OpCode.move'),
      pointer: code('OpCode.pointer'),
      offset: code('OpCode.offset'),
      pages: code('OpCode.pages'),
    },
  }
}

export type ArenaConstants = ReturnType<typeof constantsOf>

let cached: { readonly numbers: Numbers; readonly constants: ArenaConstants } | undefined

export const arenaConstants = (numbers: Numbers): ArenaConstants => {
  if (cached?.numbers !== numbers) cached = { numbers, constants: constantsOf(numbers) }
  return cached.constants
}

const payloadAlign = 8
const align = (bytes: number): number => Math.ceil(bytes / payloadAlign) * payloadAlign

const encodedBytes = (primitives: readonly Primitive[], opBytes: number): number =>
  primitives.reduce((sum, p) => sum + opBytes + (p.code === 'write' ? align(p.bytes.length) : 0), 0)

export class Arena {
  readonly constants: ArenaConstants
  readonly geometry: Geometry
  /** From the arena's `first` byte on. */
  readonly bytes: Uint8Array
  readonly words: Uint32Array
  readonly view: DataView
  readonly description: SessionDescription
  readonly #images: (PlacedImage | null)[] = new Array(imageSlots).fill(null)
  readonly #imageChunk = new Float64Array(imageSlots).fill(-1)
  readonly #imagesAt: number
  readonly #editsAt: number
  readonly #recordsAt: number
  readonly #longSentAt: number
  /** Arena offset of the room for images that belong to no slot. */
  readonly scratchAt: number
  /** Arena offset of what a stress request asks and is told. */
  readonly stressAt: number
  /** Arena offset of the calls of traced requests, and of their buffers. */
  readonly tracedAt: number
  #plan: RecordPlan
  /** How often something was placed in the arena: what was written of it before stands while this stays. */
  placements = 0
  #nextImage = 0
  #editUsed = 0
  #editEpoch = 1
  #editChunk = -1

  constructor(memory: ArrayBuffer, description: SessionDescription, geometry: Geometry, numbers: Numbers) {
    this.constants = arenaConstants(numbers)
    this.geometry = geometry
    this.description = description
    this.bytes = new Uint8Array(memory)
    this.words = new Uint32Array(memory, 0, memory.byteLength >> 2)
    this.view = new DataView(memory)
    this.#imagesAt = description.data
    const regions = regionsOf(geometry, this.constants.recordHead)
    this.#editsAt = this.#imagesAt + regions.images
    this.#recordsAt = this.#editsAt + regions.edits
    this.#longSentAt = this.#recordsAt + regions.records
    this.scratchAt = this.#longSentAt + regions.longSent
    this.stressAt = this.scratchAt + regions.scratch
    this.tracedAt = this.stressAt + regions.stress
    this.#plan = planRecords(this.constants.recordHead, geometry.areaBytes)
    if (this.constants.stress.bytes > stressRoom)
      throw new Error(
        `the addon's stress requests take ${this.constants.stress.bytes} bytes, not ${stressRoom}: it belongs to another version`,
      )
    if (this.constants.ringSlots !== ringSlots)
      throw new Error(
        `the addon's ring has ${this.constants.ringSlots} slots, not ${ringSlots}: it belongs to another version`,
      )
  }

  /** Index into `bytes` and `view` of an arena offset. */
  index(offset: number): number {
    return offset - this.constants.first
  }

  /** Packs records for frames of this size from now on. Records made before lose their places. */
  arrange(frameBytes: number): void {
    this.#plan = planRecords(this.constants.recordHead, frameBytes)
  }

  get plan(): RecordPlan {
    return this.#plan
  }

  /** Arena offset of a ring slot's records. */
  recordAt(sequence: number): number {
    return this.#recordsAt + (sequence % ringSlots) * this.#plan.slotBytes
  }

  /** Arena offset of the record of a frame as sent with an fpstate of so many bytes. */
  sentAt(sequence: number, sentBytes: number): number {
    if (sentBytes <= this.#plan.sentRoom) return this.recordAt(sequence) + this.#plan.sent
    return this.#longSentAt + (sequence % ringSlots) * (this.constants.recordHead + this.geometry.longestSent)
  }

  limits(frameBytes: number): EditLimits {
    return {
      frameBytes,
      inPlaceBytes: Math.min(frameBytes + this.description.headroom, this.geometry.longestSent),
      spareBytes: Math.min(this.description.spareBytes, this.geometry.longestSent),
    }
  }

  /** Puts an image into the arena, in place of one that this chunk does not use. @returns its arena offset */
  placeImage(image: PlacedImage, chunk: number): number {
    if (image.owner !== this || this.#images[image.slot] !== image) {
      // Ends: a chunk uses fewer images than there are slots.
      let slot = this.#nextImage
      while (this.#imageChunk[slot] === chunk) slot = (slot + 1) % imageSlots
      this.#nextImage = (slot + 1) % imageSlots
      this.#images[slot] = image
      image.owner = this
      this.placements += 1
      image.slot = slot
      this.bytes.set(image.bytes, this.index(this.#imagesAt + slot * this.geometry.imageBytes))
    }
    this.#imageChunk[image.slot] = chunk
    return this.#imagesAt + image.slot * this.geometry.imageBytes
  }

  /** Puts an edit's operations into the arena. Undefined: no room while this chunk's edits are in use. */
  placeEdit(request: PreparedRequest, chunk: number): number | undefined {
    if (request.editOwner === this && request.editEpoch === this.#editEpoch) {
      this.#editChunk = chunk
      return request.editAt
    }
    const { primitives } = request.edit
    const length = encodedBytes(primitives, this.constants.opBytes)
    if (length > editPoolBytes)
      throw new RangeError(`edit needs ${length} bytes, but all edits of a session share ${editPoolBytes}`)
    if (this.#editUsed + length > editPoolBytes) {
      if (this.#editChunk === chunk) return undefined
      this.#editUsed = 0
      this.#editEpoch += 1
    }
    const at = this.#editsAt + this.#editUsed
    this.#editUsed += length
    this.#encode(primitives, at)
    this.placements += 1
    request.editOwner = this
    request.editEpoch = this.#editEpoch
    request.editAt = at
    this.#editChunk = chunk
    return at
  }

  #encode(primitives: readonly Primitive[], at: number): void {
    const { opBytes, op, codes, region: regions, pageState } = this.constants
    let payload = at + primitives.length * opBytes
    primitives.forEach((primitive, i) => {
      const base = this.index(at + i * opBytes)
      const region = 'region' in primitive ? (primitive.region ?? 'area') : 'area'
      const put = (offset: number, length: number, value: bigint): void => {
        this.view.setUint16(base + op.code, codes[primitive.code], true)
        this.view.setUint16(base + op.region, regions[region], true)
        this.view.setUint32(base + op.at, offset, true)
        this.view.setUint32(base + op.length, length, true)
        this.view.setUint32(base + op.payload, payload, true)
        this.view.setBigUint64(base + op.value, value, true)
      }
      switch (primitive.code) {
        case 'write':
          put(primitive.at, primitive.bytes.length, 0n)
          this.bytes.set(primitive.bytes, this.index(payload))
          payload += align(primitive.bytes.length)
          break
        case 'fill':
          put(primitive.at, primitive.length, BigInt(primitive.value))
          break
        case 'move':
          put(primitive.at, primitive.length, 0n)
          break
        case 'pages':
          put(primitive.at, primitive.length, BigInt(pageState[primitive.state]))
          break
        case 'pointer':
        case 'offset':
          put(0, 0, primitive.value)
          break
        default:
          put(primitive.at, primitive.length, primitive.value)
      }
    })
  }

  /** Word index of a ring slot's request. */
  requestAt(sequence: number): number {
    const { requests, first, requestWords, ringSlots } = this.constants
    return requests - (first >> 2) + (sequence % ringSlots) * requestWords
  }

  /** Word index of a ring slot's outcome. */
  outcomeAt(sequence: number): number {
    const { outcomes, first, outcomeWords, ringSlots } = this.constants
    return outcomes - (first >> 2) + (sequence % ringSlots) * outcomeWords
  }
}
