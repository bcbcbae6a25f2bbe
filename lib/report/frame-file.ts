/**
 * A frame on disk: readable years later and on any machine, since it has the layout that it was made under. Nothing in a
 * file is trusted: whatever is wrong with it ends in one `FrameFileError`, whose message is one line and names the file
 * and the field.
 */
import { outOfRange, wrongType } from '../errors.ts'
import type { SavedFrame } from '../foreign/saved.ts'
import { type Abi, frameShape } from '../frame/abi.ts'
import { largestFrame } from '../frame/format.ts'
import { toolVersion } from '../version.ts'
import { componentNamed } from '../xstate/components.ts'
import { imageFrom, validateLoadable, type XsaveImage } from '../xstate/image.ts'
import { type Layout, type LayoutJson, layoutFromJSON, legacySize } from '../xstate/layout.ts'
import { checkMeaning, checkSchema, coreHint, type FileKind, parseBounded, readText } from './checked-file.ts'
import { toJson } from './json.ts'

/** A frame file that cannot be used; the message is for the user. */
export class FrameFileError extends Error {
  override name = 'FrameFileError'
}

/** Bytes of a file; one with AMX tiles in use has a tenth of it. */
export const largestFrameFile = 1 << 20

const kind: FileKind = {
  noun: 'frame',
  createError: message => new FrameFileError(message),
  largest: largestFrameFile,
  elfHint: coreHint,
  longestAt: () => 100,
}

type Bytes = 'head' | 'fsave' | 'fpstate' | 'image'

/** As JSON has it: docs/frame.schema.json describes it. Bytes are hexadecimal digits. */
export interface FrameFile extends Omit<SavedFrame, 'layout' | 'permissions' | 'address' | Bytes> {
  readonly format: 'sigframe frame'
  readonly version: 1
  readonly tool: { readonly name: 'sigframe'; readonly version: string }
  readonly layout: LayoutJson
  readonly permissions: readonly string[]
  readonly address: string | null
  readonly head: string | null
  readonly fsave: string | null
  readonly fpstate: string
  readonly image: string | null
}

const hexOf = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex')

const hexOrNull = (bytes: Uint8Array | null): string | null => (bytes === null ? null : hexOf(bytes))

/** A frame as JSON has it. */
export const plainFrame = (saved: SavedFrame): FrameFile => {
  const {
    source,
    origin,
    host,
    kernel,
    layout,
    permissions,
    abi,
    address,
    head,
    fsave,
    fpstate,
    image,
    seed,
  } = saved
  return {
    format: 'sigframe frame',
    version: 1,
    tool: { name: 'sigframe', version: toolVersion() },
    source,
    origin,
    host,
    kernel,
    layout: layout.toJSON(),
    permissions,
    abi,
    address: address === null ? null : `0x${address.toString(16)}`,
    head: hexOrNull(head),
    fsave: hexOrNull(fsave),
    fpstate: hexOf(fpstate),
    image: image === null ? null : hexOf(image.bytes),
    seed,
  }
}

/** A frame as the text of a file. The same frame gives the same text. */
export const frameFileJson = (saved: SavedFrame): string => toJson(plainFrame(saved))

const bytesFrom = (digits: string): Uint8Array => Uint8Array.from(Buffer.from(digits, 'hex'))

const exactly = (field: string, digits: string, bytes: number): Uint8Array => {
  if (digits.length !== 2 * bytes)
    throw outOfRange(
      `${field}.length`,
      digits.length,
      `must be ${2 * bytes}: ${bytes} bytes, two digits each`,
    )
  return bytesFrom(digits)
}

const fsaveFrom = (digits: string | null, abi: Abi): Uint8Array | null => {
  const { fsaveSize } = frameShape(abi)
  if (fsaveSize === 0) {
    if (digits !== null) throw wrongType('fsave', digits, `null: frames of ${abi} have none`)
    return null
  }
  if (digits === null) throw wrongType('fsave', digits, `${fsaveSize} bytes in a frame of ${abi}`)
  return exactly('fsave', digits, fsaveSize)
}

const fpstateFrom = (digits: string): Uint8Array => {
  const size = digits.length / 2
  if (size < legacySize || size > largestFrame)
    throw outOfRange('fpstate.length', digits.length, `must be in ${2 * legacySize}..${2 * largestFrame}`)
  return bytesFrom(digits)
}

const imageOf = (digits: string, layout: Layout): XsaveImage => {
  const image = imageFrom(exactly('image', digits, layout.size), layout, 'image')
  validateLoadable(image, layout, 'image')
  return image
}

/** What a schema cannot say. @throws TypeError, RangeError that name the field, its value and the limit */
const savedFrom = (file: FrameFile): SavedFrame => {
  const { source, origin, host, kernel, abi, address, head, image, seed } = file
  const layout = layoutFromJSON(file.layout)
  if (layout.size > largestFrame)
    throw outOfRange('layout size', layout.size, `must be at most ${largestFrame}`)
  return {
    source,
    origin,
    host,
    kernel,
    layout,
    permissions: file.permissions.map((name, i) => componentNamed(name, `permissions[${i}]`).name),
    abi,
    address: address === null ? null : BigInt(address),
    head: head === null ? null : exactly('head', head, frameShape(abi).headBytes),
    fsave: fsaveFrom(file.fsave, abi),
    fpstate: fpstateFrom(file.fpstate),
    image: image === null ? null : imageOf(image, layout),
    seed,
  }
}

/** The frame of a value that JSON.parse gave. @throws FrameFileError */
export const frameFromValue = async (value: unknown, file: string): Promise<SavedFrame> => {
  const { frameFileSchema } = await import('./frame-file-schema.ts')
  const checked = checkSchema(kind, file, frameFileSchema, value)
  return checkMeaning(kind, file, () => savedFrom(checked))
}

/**
 * The frame of a text.
 * @param file how messages call it
 * @throws FrameFileError
 */
export const parseFrameFile = async (text: string, file: string): Promise<SavedFrame> =>
  await frameFromValue(parseBounded(kind, file, text), file)

/** The frame in a file. @throws FrameFileError */
export const readFrameFile = async (file: string): Promise<SavedFrame> =>
  await parseFrameFile(readText(kind, file), file)
