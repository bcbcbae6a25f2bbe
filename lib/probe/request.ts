/** What a caller asks of a probe, and the checked form of it that can be run again and again. */
import { checkBoolean, checkInteger, checkRecord, isUint8Array, outOfRange, wrongType } from '../errors.ts'
import { type Abi, checkAbi } from '../frame/abi.ts'
import { buildFpstate } from '../frame/build.ts'
import { compileEdit } from '../frame/compile.ts'
import type { CompiledEdit, EditLimits, EditOp, PageState } from '../frame/edit.ts'
import type { LiveFrame } from '../frame/live.ts'
import { imageFrom, validateLoadable, XsaveImage } from '../xstate/image.ts'
import type { Layout } from '../xstate/layout.ts'
import { builtPrefix } from './geometry.ts'

/**
 * How the signal comes: the thread sends it to itself (`tgkill`), from 32-bit code (`tgkill32`); a sibling on the
 * same CPU sends it while the thread sleeps in a system call (`blocked`); a timer, or a sibling on another CPU, while
 * it spins in user mode (`timer`, `ipi`); or not at all: sigreturn on a frame that is built from nothing (`fake`).
 */
export const raises = ['tgkill', 'tgkill32', 'blocked', 'timer', 'ipi', 'fake'] as const
export type Raise = (typeof raises)[number]

/**
 * The pages of an alternate signal stack: there (`plain`), never touched (`fresh`), not to be written or read
 * (`readonly`, `unreadable`), served by userfaultfd (`late`), or with protection key 1 (`closed-key`).
 */
export const stackStates = ['plain', 'fresh', 'readonly', 'unreadable', 'late', 'closed-key'] as const
export type StackState = (typeof stackStates)[number]

/** What a probe needs of the kernel before it begins, and may be refused. */
export const refusals = [
  'sigaltstack',
  'userfaultfd',
  'pkey_alloc',
  'sibling',
  'timer',
  'other CPU',
  'pages',
  'fork',
  'shadow stack',
  'PTRACE_TRACEME',
  'PTRACE_SETOPTIONS',
  'PTRACE_CONT',
  'wait4',
] as const
export type Refusal = (typeof refusals)[number]

/** An alternate signal stack: `sigaltstack` with so many bytes, ending at a page. */
export interface AlternateStack {
  readonly bytes: number
  /** `plain` if left out. */
  readonly state?: StackState
}

/** Edits the live frame in place, in Node, while the probe process waits. Must not be async. */
export type LiveEdit = (frame: LiveFrame) => void

export interface ProbeRequest {
  /** Which frame the kernel writes; x86_64 if left out. */
  readonly abi?: Abi
  /** How the signal comes; `tgkill` if left out. */
  readonly raise?: Raise
  /** The frame is delivered onto an alternate signal stack. */
  readonly stack?: AlternateStack
  /** What the registers hold when the signal hits; the init state if left out. */
  readonly load?: ImageSource
  /** What the registers hold when the handler returns; a random image if left out. */
  readonly poison?: ImageSource
  /** Whether the thread has a shadow stack (CET), on which the kernel leaves and wants a token for each frame. */
  readonly shadowStack?: boolean
  /** What a sibling holds in its registers, where there is one; a random image if left out. */
  readonly sibling?: ImageSource
  readonly edit?: readonly EditOp[] | LiveEdit
}

/** A request whose edit is data: `run`, which never blocks, takes no other. */
export interface DataRequest extends ProbeRequest {
  readonly edit?: readonly EditOp[]
}

const prepared = Symbol('prepared')

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

/**
 * A checked image, of which no copy is made any more. Made by `probe.image`; good for that session, also after its
 * process was replaced.
 */
export class PreparedImage {
  readonly [prepared] = true
  readonly session: object
  readonly placed: PlacedImage

  constructor(session: object, placed: PlacedImage) {
    this.session = session
    this.placed = placed
  }
}

/** An image that is checked and copied first, or one that `probe.image` has checked. */
export type ImageSource = XsaveImage | Uint8Array | PreparedImage

/** A checked request. Made by `probe.prepare`; good for that session, also after its process was replaced. */
export class PreparedRequest {
  readonly [prepared] = true
  readonly session: object
  readonly abi: Abi
  readonly raise: Raise
  readonly stack: Required<AlternateStack> | null
  readonly load: PlacedImage
  readonly poison: PlacedImage
  readonly sibling: PlacedImage | null
  /** What a frame that is built from nothing has for an fpstate. */
  readonly built: PlacedImage | null
  readonly edit: CompiledEdit
  readonly live: LiveEdit | null
  /** Whether it runs in a throw-away fork of the probe process. */
  readonly isolated: boolean
  readonly shadowStack: boolean
  /** Where the edit lies in the arena: good while owner and epoch hold. */
  editOwner: object | null = null
  editEpoch = 0
  editAt = 0

  constructor(fields: Pick<PreparedRequest, RequestPart>) {
    this.session = fields.session
    this.abi = fields.abi
    this.raise = fields.raise
    this.stack = fields.stack
    this.load = fields.load
    this.poison = fields.poison
    this.sibling = fields.sibling
    this.built = fields.built
    this.edit = fields.edit
    this.live = fields.live
    this.isolated = fields.isolated
    this.shadowStack = fields.shadowStack
  }
}

type RequestPart =
  | 'session'
  | 'abi'
  | 'raise'
  | 'stack'
  | 'load'
  | 'poison'
  | 'sibling'
  | 'built'
  | 'edit'
  | 'live'
  | 'isolated'
  | 'shadowStack'

const checkImage = (value: unknown, layout: Layout, field: string): Uint8Array => {
  const bytes = value instanceof XsaveImage ? value.bytes : value
  if (!isUint8Array(bytes)) throw wrongType(field, value, 'an XsaveImage or a Uint8Array')
  // A copy first: what was checked is what is loaded.
  const image = imageFrom(Uint8Array.prototype.slice.call(bytes), layout, field)
  validateLoadable(image, layout, field)
  return image.bytes
}

/** The image that a request is to have. @throws TypeError, RangeError */
export const placedImage = (
  value: unknown,
  { session, layout }: Pick<RequestContext, 'session' | 'layout'>,
  field: string,
): PlacedImage => {
  if (!(value instanceof PreparedImage)) return new PlacedImage(checkImage(value, layout, field))
  if (value.session === session) return value.placed
  throw wrongType(field, value, 'an image prepared by this session: layouts belong to a session')
}

const requestFields = new Set(['abi', 'raise', 'stack', 'load', 'poison', 'sibling', 'shadowStack', 'edit'])

/** What prepare needs to know of a session. */
export interface RequestContext {
  readonly session: object
  readonly layout: Layout
  readonly limits: EditLimits
  readonly initLoad: PlacedImage
  /** The most bytes that an alternate stack can have. */
  readonly stackBytes: number
  /** Why this session has no frames of an ABI; null where it has. */
  lack(abi: Abi): string | null
  /** A poison that differs from the one before. */
  nextPoison(): PlacedImage
}

const checkRaise = (field: string, value: unknown): Raise => {
  if (value === undefined) return 'tgkill'
  if (typeof value !== 'string') throw wrongType(field, value, 'a string')
  if (!raises.includes(value as Raise)) throw outOfRange(field, value, `must be one of ${raises.join(' ')}`)
  return value as Raise
}

const checkStack = (field: string, value: unknown, most: number): Required<AlternateStack> | null => {
  if (value === undefined) return null
  const { bytes, state = 'plain', ...rest } = checkRecord(field, value)
  for (const [key, one] of Object.entries(rest))
    throw outOfRange(`${field}.${key}`, one, 'but a stack has only bytes state')
  if (!stackStates.includes(state as StackState))
    throw wrongType(`${field}.state`, state, `one of ${stackStates.join(' ')}`)
  return { bytes: checkInteger(`${field}.bytes`, bytes, 1, most), state: state as StackState }
}

const checkKeys = (record: Readonly<Record<string, unknown>>, field: string): void => {
  for (const key of Object.keys(record)) {
    if (!requestFields.has(key))
      throw outOfRange(
        `${field}.${key}`,
        record[key],
        `but a request has only ${[...requestFields].join(' ')}`,
      )
  }
}

/** What makes no sense together. */
const checkTogether = (field: string, raise: Raise, stack: AlternateStack | null, fxsave: boolean): void => {
  if (raise === 'fake' && stack !== null)
    throw outOfRange(`${field}.stack`, stack.bytes, 'but raise is fake: nothing is delivered onto a stack')
  if (raise === 'fake' && fxsave)
    throw outOfRange(`${field}.raise`, raise, 'but this host has no XSAVE: its frames have nothing to build')
}

/** Pages that nobody has touched, or that are served, are the fork's own: Node does not see the frame there. */
const checkLiveStack = (field: string, edit: unknown, stack: Required<AlternateStack> | null): void => {
  if (typeof edit === 'function' && (stack?.state === 'fresh' || stack?.state === 'late'))
    throw outOfRange(`${field}.stack.state`, stack.state, 'but a live edit needs a frame in shared memory')
}

/** The image of a frame that is built from nothing: its fsave header ends where the area begins. */
const builtImage = (load: Uint8Array, abi: Abi, layout: Layout): PlacedImage => {
  const { fsave, fpstate } = buildFpstate(layout, new XsaveImage(load, layout), abi)
  const bytes = new Uint8Array(builtPrefix + fpstate.length)
  if (fsave !== null) bytes.set(fsave, builtPrefix - fsave.length)
  bytes.set(fpstate, builtPrefix)
  return new PlacedImage(bytes)
}

const repeatableRaises: ReadonlySet<Raise> = new Set(['tgkill', 'tgkill32', 'fake'])
const repeatablePages: ReadonlySet<PageState> = new Set(['evicted', 'contended'])
const repeatableStacks: ReadonlySet<StackState> = new Set(['plain', 'readonly', 'unreadable', 'closed-key'])

/** Refuses what happens once in a fork: siblings and timers that raise, pages that stay as they have become. */
export const checkRepeatable = ({ raise, stack, edit }: PreparedRequest, field = 'request'): void => {
  if (!repeatableRaises.has(raise))
    throw outOfRange(
      `${field}.raise`,
      raise,
      `but what is repeated is raised by ${[...repeatableRaises].join(' ')}`,
    )
  if (stack !== null && !repeatableStacks.has(stack.state))
    throw outOfRange(`${field}.stack.state`, stack.state, 'but a stack is so for the first frame only')
  for (const op of edit.primitives) {
    if (op.code === 'pages' && !repeatablePages.has(op.state))
      throw outOfRange(
        `${field}.edit`,
        op.state,
        'but pages stay so: only evicted and contended can be repeated',
      )
  }
}

const siblingRaises: ReadonlySet<Raise> = new Set(['blocked', 'ipi'])

/** PKRU's bits of key 1, that of a closed stack: no access, no writing. */
const key1 = { access: 0x4, all: 0xc }

/** What a handler leaves must let it return: from a closed stack it reads where to. */
const poisonFor = (
  stack: AlternateStack | null,
  poison: PlacedImage,
  given: boolean,
  { layout }: RequestContext,
  field: string,
): PlacedImage => {
  if (stack?.state !== 'closed-key' || !layout.has('pkru')) return poison
  const image = new XsaveImage(poison.bytes.slice(), layout)
  if ((image.pkru & key1.access) === 0) return poison
  if (given)
    throw outOfRange(`${field}.poison.pkru`, image.pkru, 'must leave key 1 open, that of the closed stack')
  image.pkru = (image.pkru & ~key1.all) >>> 0
  return new PlacedImage(image.bytes)
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
  checkKeys(record, field)
  const { layout, limits } = context
  const { edit } = record
  const abi = record.abi === undefined ? 'x86_64' : checkAbi(`${field}.abi`, record.abi)
  const lack = context.lack(abi)
  if (lack !== null) throw outOfRange(`${field}.abi`, abi, `but ${lack}`)
  const raise = checkRaise(`${field}.raise`, record.raise)
  const noCode32 = raise === 'tgkill32' ? context.lack('ia32-rt') : null
  if (noCode32 !== null) throw outOfRange(`${field}.raise`, raise, `but ${noCode32}`)
  const stack = checkStack(`${field}.stack`, record.stack, context.stackBytes)
  checkTogether(field, raise, stack, !layout.xsave)
  checkLiveStack(field, edit, stack)
  const image = (name: 'load' | 'poison' | 'sibling', otherwise: () => PlacedImage): PlacedImage =>
    record[name] === undefined ? otherwise() : placedImage(record[name], context, `${field}.${name}`)
  const live = typeof edit === 'function' ? (edit as LiveEdit) : null
  const compiled = compileEdit(
    live === null && edit !== undefined ? (edit as readonly EditOp[]) : [],
    layout,
    limits,
    `${field}.edit`,
    abi,
  )
  const load = image('load', () => context.initLoad)
  const shadowStack =
    record.shadowStack === undefined ? false : checkBoolean(`${field}.shadowStack`, record.shadowStack)
  const isolated =
    compiled.isolated || stack !== null || shadowStack || raise === 'timer' || siblingRaises.has(raise)
  return new PreparedRequest({
    session: context.session,
    abi,
    raise,
    stack,
    load,
    poison: poisonFor(
      stack,
      image('poison', context.nextPoison),
      record.poison !== undefined,
      context,
      field,
    ),
    sibling: isolated || record.sibling !== undefined ? image('sibling', context.nextPoison) : null,
    built: raise === 'fake' ? builtImage(load.bytes, abi, layout) : null,
    edit: compiled,
    live,
    isolated,
    shadowStack,
  })
}
