/** Frames, jobs and results that come from a file or from a machine: nothing in them is trusted. */
import { checkInteger, checkRecord, outOfRange, wrongType } from '../errors.ts'
import { checkAbi } from '../frame/abi.ts'
import { layoutFromJSON } from '../xstate/layout.ts'
import type { CapturedFrame, ReplayedFrame } from './captured.ts'
import { foreignFrame } from './foreign.ts'

/** Frames of one machine. */
const mostFrames = 32
/** Frames that one machine sends: those of many hundreds of others. */
const mostJobs = 1 << 14
const longestName = 400
const longestText = 1000
/** Components have 64 bits, and MXCSR is one more. */
const mostNames = 65

const checkArray = (field: string, value: unknown, most: number): readonly unknown[] => {
  if (!Array.isArray(value)) throw wrongType(field, value, 'an array')
  checkInteger(`${field}.length`, value.length, 0, most)
  return value
}

const checkText = (field: string, value: unknown, longest: number): string => {
  if (typeof value !== 'string') throw wrongType(field, value, 'a string')
  if (value.length > longest) throw outOfRange(`${field}.length`, value.length, `must be at most ${longest}`)
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is refused
  if (/[\x00-\x1f\x7f-\x9f]/.test(value)) throw outOfRange(field, value, 'must be one line of text')
  return value
}

/** The frame of a value. @throws TypeError, RangeError that name the field, its value and the limit */
export const checkCapturedFrame = (value: unknown, field = 'frame'): CapturedFrame => {
  const record = checkRecord(field, value)
  const abi = checkAbi(`${field}.abi`, record.abi)
  const id = checkText(`${field}.id`, record.id, longestName)
  if (!id.startsWith(`${abi}/`) || !/^[\w.-]{1,40}$/.test(id.slice(abi.length + 1)))
    throw outOfRange(`${field}.id`, id, `must be ${abi}/ and a name`)
  const layout = layoutFromJSON(record.layout, `${field}.layout`).toJSON()
  const { fpstate, image } = record
  const frame = { id, abi, layout, fpstate: fpstate as string, image: image as string }
  foreignFrame(frame, field)
  return frame
}

/** The frames of a machine. @throws as `checkCapturedFrame`, also where two have one name */
export const checkCapturedFrames = (value: unknown, field = 'frames'): CapturedFrame[] => {
  const seen = new Set<string>()
  return checkArray(field, value, mostFrames).map((one, i) => {
    const frame = checkCapturedFrame(one, `${field}[${i}]`)
    if (seen.has(frame.id)) throw outOfRange(`${field}[${i}].id`, frame.id, 'which an earlier frame has')
    seen.add(frame.id)
    return frame
  })
}

const outcomes = ['holds', 'loses', 'rejected', 'killed', 'unable'] as const

const checkNames = (field: string, value: unknown): string[] =>
  checkArray(field, value, mostNames).map((name, i) => checkText(`${field}[${i}]`, name, 40))

const checkReplayedFrame = (value: unknown, field: string): ReplayedFrame => {
  const record = checkRecord(field, value)
  const outcome = outcomes.find(one => one === record.outcome)
  if (outcome === undefined)
    throw wrongType(`${field}.outcome`, record.outcome, `one of ${outcomes.join(' ')}`)
  const { asExpected } = record
  if (asExpected !== null && typeof asExpected !== 'boolean')
    throw wrongType(`${field}.asExpected`, asExpected, 'a boolean or null')
  return {
    from: checkText(`${field}.from`, record.from, longestName),
    outcome,
    lost: checkNames(`${field}.lost`, record.lost),
    unknown: checkNames(`${field}.unknown`, record.unknown),
    leftOver: checkNames(`${field}.leftOver`, record.leftOver),
    observed: checkText(`${field}.observed`, record.observed, longestText),
    expected: checkText(`${field}.expected`, record.expected, longestText),
    asExpected,
  }
}

/** What a machine says became of frames. @throws as `checkCapturedFrame` */
export const checkReplayedFrames = (value: unknown, field = 'replayed'): ReplayedFrame[] =>
  checkArray(field, value, mostJobs).map((one, i) => checkReplayedFrame(one, `${field}[${i}]`))
