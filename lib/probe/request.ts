/** What a caller asks of a probe, and the checked form of it that can be run again and again. */
import { checkRecord, isUint8Array, outOfRange, wrongType } from '../errors.ts'
import { compileEdit } from '../frame/compile.ts'
import type { CompiledEdit, EditLimits, EditOp } from '../frame/edit.ts'
import type { LiveFrame } from '../frame/live.ts'
import { imageFrom, validateLoadable, XsaveImage } from '../xstate/image.ts'
import type { Layout } from '../xstate/layout.ts'

/** Which frame the kernel writes. 32-bit frames are not offered yet. */
export type Abi = 'x86_64'

/** Edits the live frame in place, in Node, while the probe process waits. Must not be async. */
export type LiveEdit = (frame: LiveFrame) => void

export interface ProbeRequest {
  readonly abi?: Abi
  /** What the registers hold when the signal hits; the init state if left out. */
  readonly load?: XsaveImage | Uint8Array
  /** What the registers hold when the handler returns; a random image if left out. */
  readonly poison?: XsaveImage | Uint8Array
  readonly edit?: readonly EditOp[] | LiveEdit
}

/** A request whose edit is data: `run`, which never blocks, takes no other. */
export interface DataRequest extends ProbeRequest {
  readonly edit?: readonly EditOp[]
}

/** An image in the arena, or none yet. Its bytes never change. */
export class PlacedImage {
  readonly bytes: Uint8Array
  /** The arena that holds it, and the slot there: good while that slot says the same. */
  owner: object | null = null
  slot = -1

  constructor(bytes: Uint8Array) {
    this.bytes = bytes
  }
}

const prepared = Symbol('prepared')

/** A checked request. Made by `probe.prepare`; good for that session, also after its process was replaced. */
export class PreparedRequest {
  readonly [prepared] = true
  readonly session: object
  readonly load: PlacedImage
  readonly poison: PlacedImage
  readonly edit: CompiledEdit
  readonly live: LiveEdit | null
  /** Where the edit lies in the arena: good while owner and epoch hold. */
  editOwner: object | null = null
  editEpoch = 0
  editAt = 0

  constructor(
    session: object,
    load: PlacedImage,
    poison: PlacedImage,
    edit: CompiledEdit,
    live: LiveEdit | null,
  ) {
    this.session = session
    this.load = load
    this.poison = poison
    this.edit = edit
    this.live = live
  }
}

const checkImage = (value: unknown, layout: Layout, field: string): Uint8Array => {
  const bytes = value instanceof XsaveImage ? value.bytes : value
  if (!isUint8Array(bytes)) throw wrongType(field, value, 'an XsaveImage or a Uint8Array')
  // A copy first: what was checked is what is loaded.
  const image = imageFrom(Uint8Array.prototype.slice.call(bytes), layout, field)
  validateLoadable(image, layout, field)
  return image.bytes
}

const requestFields = new Set(['abi', 'load', 'poison', 'edit'])

/** What prepare needs to know of a session. */
export interface RequestContext {
  readonly session: object
  readonly layout: Layout
  readonly limits: EditLimits
  readonly initLoad: PlacedImage
  /** A poison that differs from the one before. */
  nextPoison(): PlacedImage
}

/** @throws TypeError, RangeError that name the field, the value and the limit; nothing has run then */
export const prepareRequest = (
  request: ProbeRequest | PreparedRequest,
  context: RequestContext,
  field = 'request',
): PreparedRequest => {
  if (request instanceof PreparedRequest) {
    if (request.session === context.session) return request
    throw wrongType(field, request, 'a request prepared by this session: layouts belong to a session')
  }
  const record = checkRecord(field, request)
  for (const key of Object.keys(record)) {
    if (!requestFields.has(key))
      throw outOfRange(
        `${field}.${key}`,
        record[key],
        `but a request has only ${[...requestFields].join(' ')}`,
      )
  }
  const { abi, load, poison, edit } = record
  if (abi !== undefined && abi !== 'x86_64') {
    throw typeof abi === 'string'
      ? outOfRange(`${field}.abi`, abi, 'must be x86_64')
      : wrongType(`${field}.abi`, abi, 'a string')
  }
  const { layout, limits } = context
  const live = typeof edit === 'function' ? (edit as LiveEdit) : null
  return new PreparedRequest(
    context.session,
    load === undefined ? context.initLoad : new PlacedImage(checkImage(load, layout, `${field}.load`)),
    poison === undefined
      ? context.nextPoison()
      : new PlacedImage(checkImage(poison, layout, `${field}.poison`)),
    compileEdit(
      live === null && edit !== undefined ? (edit as readonly EditOp[]) : [],
      layout,
      limits,
      `${field}.edit`,
    ),
    live,
  )
}
