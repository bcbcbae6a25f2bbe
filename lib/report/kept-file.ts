/** A file that holds a frame, or a probe: told by what it says of itself. */

import { show } from '../errors.ts'
import type { SavedFrame } from '../foreign/saved.ts'
import { coreHint, type FileKind, parseBounded, readText, wrongPart } from './checked-file.ts'
import { FrameFileError, frameFromValue } from './frame-file.ts'
import { largestProbeFile, probeFromValue, type SavedProbe } from './probe-file.ts'

export type Kept =
  | { readonly kind: 'frame'; readonly frame: SavedFrame }
  | { readonly kind: 'probe'; readonly probe: SavedProbe }

const kind: FileKind = {
  noun: 'frame or probe',
  createError: message => new FrameFileError(message),
  largest: largestProbeFile,
  elfHint: coreHint,
  longestAt: () => 10_000,
}

const formatOf = (value: unknown, file: string): unknown => {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw wrongPart(kind, file, `the frame or probe must be an object, not ${show(value)}`)
  return 'format' in value ? value.format : undefined
}

/** @throws FrameFileError, ProbeFileError */
export const readKept = async (file: string): Promise<Kept> => {
  const value = parseBounded(kind, file, readText(kind, file))
  const format = formatOf(value, file)
  switch (format) {
    case 'sigframe probe':
      return { kind: 'probe', probe: await probeFromValue(value, file) }
    case 'sigframe frame':
      return { kind: 'frame', frame: await frameFromValue(value, file) }
    case undefined:
      throw wrongPart(kind, file, 'format is missing')
    default:
      throw wrongPart(
        kind,
        file,
        `format is ${show(format)}, must be one of "sigframe frame" "sigframe probe"`,
      )
  }
}
