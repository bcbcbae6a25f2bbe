/** A kept frame for people and for machines: what it is, and where it comes from. */
import type { SavedFrame } from '../foreign/saved.ts'
import { FrameRecord } from '../frame/reader.ts'
import { type ComponentName, namesOf } from '../xstate/components.ts'
import type { Layout } from '../xstate/layout.ts'
import { toJson } from './json.ts'
import { labelled, type Style } from './style.ts'
import { oneLine } from './text.ts'

const longestText = 300

const hex = (value: bigint | number): string => `0x${value.toString(16)}`

/** Components that the frame's header names; of a frame without one, x87 and SSE. */
const namedComponents = ({ fpstate, layout, ...rest }: SavedFrame): ComponentName[] => {
  const { xstateBv } = new FrameRecord({ ...rest, head: new Uint8Array(0), fpstate }, layout)
  return layout.xsave ? namesOf(xstateBv) : ['x87', 'sse']
}

export const layoutText = ({ size, features, xsave }: Layout): string =>
  xsave ? `${size} bytes: ${namesOf(features).join(' ')}` : `${size} bytes, no XSAVE: x87 sse`

const machineText = ({ host, kernel }: SavedFrame): string => {
  const cpu =
    host === null
      ? 'unknown'
      : oneLine(`${host.brand || host.vendor} (family ${host.family}, model ${host.model})`, longestText)
  return kernel === null ? cpu : `${cpu}, Linux ${oneLine(kernel.release, longestText)}`
}

const sourceText = ({ source, origin, seed }: SavedFrame): string =>
  [
    source,
    ...(origin === '' ? [] : [oneLine(origin, longestText)]),
    ...(seed === null ? [] : [`seed ${seed}`]),
  ].join(', ')

/** What a frame is, in a few lines. */
export const frameLines = (saved: SavedFrame, style: Style): string[] => {
  const { abi, layout, fpstate, fsave, address, permissions, head } = saved
  const record = new FrameRecord({ abi, head: head ?? new Uint8Array(0), fsave, fpstate }, layout)
  const { xfeatures, xstateSize, extendedSize } = record.sw
  const place = address === null ? '' : `, its XSAVE area at ${hex(address)}`
  return [
    ...labelled('Frame   ', `${abi}, ${sourceText(saved)}${place}`, style),
    ...labelled('Made on ', machineText(saved), style),
    ...labelled(
      'Layout  ',
      `${layoutText(layout)}${permissions.length === 0 ? '' : ` (permitted: ${permissions.join(' ')})`}`,
      style,
    ),
    ...(layout.xsave
      ? labelled(
          'Says    ',
          `xfeatures ${hex(xfeatures)}, xstate_size ${xstateSize}, extended_size ${extendedSize}, XSTATE_BV ${hex(record.xstateBv)}`,
          style,
        )
      : []),
  ]
}

/** After a capture. */
export const savedText = (saved: SavedFrame, file: string, style: Style): string =>
  [...frameLines(saved, style), ...labelled('Written ', oneLine(file), style), ''].join('\n')

/** What a frame is, for machines: all but its bytes. */
export const frameSummary = (saved: SavedFrame) => {
  const { abi, source, origin, host, kernel, layout, permissions, address, seed } = saved
  return {
    abi,
    source,
    origin,
    host,
    kernel,
    layout: { size: layout.size, ...layout.toJSON() },
    permissions,
    address: address === null ? null : hex(address),
    seed,
    named: namedComponents(saved),
  }
}

export const savedJson = (saved: SavedFrame, file: string): string =>
  toJson({ file, frame: frameSummary(saved) })
