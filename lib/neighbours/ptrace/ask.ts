/** What is asked of a traced process, and the checked form of it that can be run again and again. */
import { checkRecord, outOfRange, wrongType } from '../../errors.ts'
import type { Abi } from '../../frame/abi.ts'
import type { EditOp } from '../../frame/edit.ts'
import {
  type DataRequest,
  type ImageSource,
  type PreparedRequest,
  prepareRequest,
  type RequestContext,
} from '../../probe/request.ts'
import { type CheckedCall, checkCalls, mostCalls, type RegsetCall } from './calls.ts'

/** A signal that hits the process between its two stops, as in a probe. */
export interface TracedSignal {
  /** Which frame the kernel writes; x86_64 if left out. */
  readonly abi?: Abi
  /** `tgkill` if left out. */
  readonly raise?: 'tgkill' | 'tgkill32'
  /** What the registers hold when the handler returns; a random image if left out. */
  readonly poison?: ImageSource
  readonly edit?: readonly EditOp[]
}

/**
 * The process loads its registers and stops; goes on, has a signal where one is asked for, saves its registers, and stops
 * again. At each stop its tracer makes the calls that are asked for, in their order.
 */
export interface RegsetAsk {
  /** What the registers hold at the first stop; the init state if left out. */
  readonly load?: ImageSource
  /** What is done at the first stop, before anything else happens to the process. */
  readonly loaded?: readonly RegsetCall[]
  /** None if left out. */
  readonly signal?: TracedSignal
  /** What is done at the second stop, with the registers as they were saved. */
  readonly ended?: readonly RegsetCall[]
}

/** A checked question. Made by `probe.prepareRegset`; good for that session. */
export class PreparedRegset {
  readonly session: object
  readonly request: PreparedRequest
  readonly hasSignal: boolean
  readonly loaded: readonly CheckedCall[]
  readonly ended: readonly CheckedCall[]
  /** Bytes of the buffers of its calls: of those that read, of those that set. */
  readonly getRoom: number
  readonly setRoom: number

  constructor(
    request: PreparedRequest,
    hasSignal: boolean,
    loaded: readonly CheckedCall[],
    ended: readonly CheckedCall[],
  ) {
    this.session = request.session
    this.request = request
    this.hasSignal = hasSignal
    this.loaded = loaded
    this.ended = ended
    const roomOf = (set: boolean): number =>
      [...loaded, ...ended].reduce((sum, call) => (call.set === set ? sum + bufferBytes(call) : sum), 0)
    this.getRoom = roomOf(false)
    this.setRoom = roomOf(true)
  }
}

const fields = new Set(['load', 'loaded', 'signal', 'ended'])
const signalFields = new Set(['abi', 'raise', 'poison', 'edit'])

const checkKeys = (field: string, record: Readonly<Record<string, unknown>>, known: Set<string>): void => {
  for (const key of Object.keys(record)) {
    if (!known.has(key))
      throw outOfRange(`${field}.${key}`, record[key], `but it can have only ${[...known].join(' ')}`)
  }
}

const checkSignal = (field: string, value: unknown): Omit<DataRequest, 'load'> => {
  if (value === undefined) return {}
  const record = checkRecord(field, value)
  checkKeys(field, record, signalFields)
  const { raise } = record
  if (raise !== undefined && raise !== 'tgkill' && raise !== 'tgkill32')
    throw wrongType(`${field}.raise`, raise, 'one of tgkill tgkill32')
  return record as Omit<DataRequest, 'load'>
}

/** Bytes of a call's buffer in shared memory. */
export const bufferBytes = ({ room }: CheckedCall): number => Math.ceil(room / 64) * 64

/**
 * @param areaBytes of the host's largest area in the standard format
 * @throws TypeError, RangeError that name the field, the value and the limit; nothing has run then
 */
export const prepareRegset = (
  value: unknown,
  context: RequestContext,
  areaBytes: number,
  field = 'ask',
): PreparedRegset => {
  if (value instanceof PreparedRegset) {
    if (value.session === context.session) return value
    throw wrongType(field, value, 'prepared by this session: layouts belong to a session')
  }
  const record = checkRecord(field, value)
  checkKeys(field, record, fields)
  if (!context.layout.xsave)
    throw outOfRange(`${field}`, 'given', 'but this host has no XSAVE: there is no such regset')
  const signal = checkSignal(`${field}.signal`, record.signal)
  const load = record.load === undefined ? {} : { load: record.load as ImageSource }
  const request = prepareRequest({ ...signal, ...load }, context, field)
  if (request.live !== null)
    throw wrongType(
      `${field}.signal.edit`,
      request.live,
      'data: nobody waits for a callback while it is traced',
    )
  if (request.isolated)
    throw outOfRange(`${field}.signal.edit`, 'one that needs a throw-away fork', 'but the process is traced')
  const loaded = checkCalls(`${field}.loaded`, record.loaded, areaBytes)
  const ended = checkCalls(`${field}.ended`, record.ended, areaBytes)
  if (loaded.length + ended.length > mostCalls)
    throw outOfRange(
      `${field}.ended.length`,
      ended.length,
      `but there are ${loaded.length} in loaded, and both can have ${mostCalls}`,
    )
  return new PreparedRegset(request, record.signal !== undefined, loaded, ended)
}
