/**
 * A saved probe: all that repeats it, on this machine or on another one of the same layout, and what came of it.
 * Nothing in a file is trusted: whatever is wrong with it ends in one `ProbeFileError`, whose message is one line and
 * names the file and the field.
 */
import { checkInteger, outOfRange } from '../errors.ts'
import type { Abi } from '../frame/abi.ts'
import { compileEdit } from '../frame/compile.ts'
import type { EditOp } from '../frame/edit.ts'
import { plainOp } from '../harness/repro.ts'
import type { OriginHost, OriginKernel } from '../harness/results.ts'
import { limitsOfLayout } from '../probe/geometry.ts'
import type { AlternateStack, Raise } from '../probe/request.ts'
import { toolVersion } from '../version.ts'
import { type ComponentName, componentNamed } from '../xstate/components.ts'
import { imageFrom, validateLoadable, type XsaveImage } from '../xstate/image.ts'
import { type Layout, type LayoutJson, layoutFromJSON } from '../xstate/layout.ts'
import { longestArray } from './bundle-limits.ts'
import { checkMeaning, checkSchema, type FileKind, parseBounded, readText } from './checked-file.ts'
import { toJson } from './json.ts'

/** A saved probe that cannot be used; the message is for the user. */
export class ProbeFileError extends Error {
  override name = 'ProbeFileError'
}

/** Bytes of an alternate stack: far more than any session has, and less than would run into anything else. */
const largestStack = 1 << 20

/** Bytes of a file; one with AMX tiles in use has a hundredth of it. */
export const largestProbeFile = 8 << 20

const kind: FileKind = {
  noun: 'probe',
  createError: message => new ProbeFileError(message),
  largest: largestProbeFile,
  longestAt: () => longestArray,
}

/** Where a kernel did otherwise than was expected of it. */
export interface Finding {
  /** Of the run that found it. */
  readonly seed: number
  /** Of the frame in that run. */
  readonly index: number
  /** Whose behaviour was expected. */
  readonly generation: string
  readonly expected: string
  readonly observed: string
  readonly differences: readonly string[]
}

/** All that repeats a probe. */
export interface SavedProbe {
  readonly host: OriginHost | null
  readonly layout: Layout
  /** What the session asked the kernel for. */
  readonly permissions: readonly ComponentName[]
  readonly abi: Abi
  readonly raise: Raise
  readonly stack: Required<AlternateStack> | null
  /** Of this layout, and loadable in it. */
  readonly load: XsaveImage
  readonly poison: XsaveImage
  /** Read from a file, bytes and 64-bit values are strings. */
  readonly edit: readonly EditOp[]
  readonly kernel: OriginKernel | null
  readonly finding: Finding | null
}

/** As JSON has it: docs/probe.schema.json describes it. */
export interface ProbeFile extends Omit<SavedProbe, 'layout' | 'permissions' | 'load' | 'poison' | 'edit'> {
  readonly format: 'sigframe probe'
  readonly version: 1
  readonly tool: { readonly name: 'sigframe'; readonly version: string }
  readonly layout: LayoutJson
  readonly permissions: readonly string[]
  readonly load: string
  readonly poison: string
  readonly edit: readonly Readonly<Record<string, unknown>>[]
}

const hexOf = ({ bytes }: XsaveImage): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex')

const plainHost = ({
  vendor,
  brand,
  family,
  model,
  stepping,
  microcode,
  hypervisor,
}: OriginHost): OriginHost => ({
  vendor,
  brand,
  family,
  model,
  stepping,
  microcode,
  hypervisor,
})

const plainFinding = (finding: Finding): Finding => {
  const { seed, index, generation, expected, observed, differences } = finding
  return { seed, index, generation, expected, observed, differences }
}

/** A probe as the text of a file. The same probe gives the same text. */
export const probeFileJson = (probe: SavedProbe): string => {
  const { host, layout, permissions, abi, raise, stack, load, poison, edit, kernel, finding } = probe
  const file: ProbeFile = {
    format: 'sigframe probe',
    version: 1,
    tool: { name: 'sigframe', version: toolVersion() },
    host: host === null ? null : plainHost(host),
    layout: layout.toJSON(),
    permissions,
    abi,
    raise,
    stack: stack === null ? null : { bytes: stack.bytes, state: stack.state },
    load: hexOf(load),
    poison: hexOf(poison),
    edit: edit.map(plainOp),
    kernel: kernel === null ? null : { release: kernel.release, generation: kernel.generation },
    finding: finding === null ? null : plainFinding(finding),
  }
  return toJson(file)
}

const loadableFrom = (digits: string, layout: Layout, field: string): XsaveImage => {
  if (digits.length !== 2 * layout.size)
    throw outOfRange(`${field}.length`, digits.length, `must be ${2 * layout.size}: two digits a byte`)
  const image = imageFrom(Uint8Array.from(Buffer.from(digits, 'hex')), layout, field)
  validateLoadable(image, layout, field)
  return image
}

/** What a schema cannot say. @throws TypeError, RangeError that name the field, its value and the limit */
const savedFrom = (file: ProbeFile): SavedProbe => {
  const { host, abi, raise, stack, kernel, finding } = file
  const layout = layoutFromJSON(file.layout)
  const permissions = file.permissions.map((name, i) => componentNamed(name, `permissions[${i}]`).name)
  if (raise === 'fake' && stack !== null)
    throw outOfRange('stack.bytes', stack.bytes, 'but raise is fake: nothing is delivered onto a stack')
  if (raise === 'fake' && !layout.xsave)
    throw outOfRange('raise', raise, 'but the layout has no XSAVE: its frames have nothing to build')
  if (stack !== null) checkInteger('stack.bytes', stack.bytes, 1, largestStack)
  const load = loadableFrom(file.load, layout, 'load')
  const poison = loadableFrom(file.poison, layout, 'poison')
  const edit = file.edit as readonly EditOp[]
  compileEdit(edit, layout, limitsOfLayout(layout), 'edit', abi)
  return { host, layout, permissions, abi, raise, stack, load, poison, edit, kernel, finding }
}

/** The probe of a value that JSON.parse gave. @throws ProbeFileError */
export const probeFromValue = async (value: unknown, file: string): Promise<SavedProbe> => {
  // Loading zod takes longer than many a run: only those pay for it who read a file.
  const { probeFileSchema } = await import('./probe-file-schema.ts')
  const checked = checkSchema(kind, file, probeFileSchema, value)
  return checkMeaning(kind, file, () => savedFrom(checked))
}

/**
 * The probe of a text.
 * @param file how messages call it
 * @throws ProbeFileError
 */
export const parseProbeFile = async (text: string, file: string): Promise<SavedProbe> =>
  await probeFromValue(parseBounded(kind, file, text), file)

/** The probe in a file. @throws ProbeFileError */
export const readProbeFile = async (file: string): Promise<SavedProbe> =>
  await parseProbeFile(readText(kind, file), file)
