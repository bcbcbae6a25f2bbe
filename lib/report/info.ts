/** `sigframe info` for people and for machines: host, layout, kernel, and how its generation was told. */
import { type Observed, treatmentText } from '../contract/treatment.ts'
import type { SwBytes } from '../frame/reader.ts'
import type { HostResult, KernelResult } from '../harness/results.ts'
import { toolVersion } from '../version.ts'
import type { Layout } from '../xstate/layout.ts'
import { plainHost, plainKernel, toJson } from './json.ts'
import { layoutPicture } from './layout-picture.ts'
import { hostLines, kernelLines } from './pretty.ts'
import { logLines } from './pretty-log.ts'
import { labelled, type Style } from './style.ts'
import { cut, oneLine, padEnd, widthOf } from './text.ts'

/** What was observed of the host. */
export interface Info {
  readonly host: HostResult
  readonly kernel: KernelResult | null
  readonly layout: Layout
  readonly sw: SwBytes
}

const hex = (value: bigint | number): string => `0x${value.toString(16)}`

const frameLines = ({ host, layout, sw }: Info, style: Style): string[] => {
  const { xfeatures, xstateSize, extendedSize } = sw
  const sizes = layout.xsave
    ? `xfeatures ${hex(xfeatures)}, xstate_size ${xstateSize}, extended_size ${extendedSize}`
    : 'no XSAVE on this host: the legacy 512 bytes alone'
  const stack = host.minSignalStack === 0 ? '' : `; the least signal stack is ${host.minSignalStack} bytes`
  return labelled('Frame   ', sizes + stack, style)
}

/** Components of the CPU that are in no frame of this task. */
const otherLines = ({ host, layout }: Info, style: Style): string[] => {
  const { leafD, xcr0 } = host
  const enabled = BigInt(xcr0)
  return leafD
    .filter(({ index }) => ((layout.features >> BigInt(index)) & 1n) === 0n)
    .flatMap(({ index, name, size, offset, xfd, supervisor }) => {
      const place = supervisor ? `${size} bytes` : `${size} bytes at ${offset}`
      const inXcr0 = ((enabled >> BigInt(index)) & 1n) === 1n
      const why = supervisor
        ? 'supervisor state, never in a frame'
        : inXcr0
          ? `in frames only ${xfd ? 'with permission' : 'of other tasks'}`
          : 'not enabled by this kernel'
      return labelled('Missing ', `${oneLine(name)} (${place}): ${why}`, style)
    })
}

/** Whose behaviour it is instead. */
const unlike = (
  { deviation, as }: KernelResult['evidence'][number],
  generation: NonNullable<KernelResult['generation']>,
): string => {
  if (deviation === 'otherwise') return 'as no known generation'
  return as.length === 0 ? `unlike ${generation}` : `as ${as.join(' and ')}`
}

const evidenceLines = ({ kernel }: Info, style: Style): string[] => {
  if (kernel === null || kernel.generation === null) return []
  const { evidence, generation } = kernel
  const { colors, columns } = style
  const width = Math.max(0, ...evidence.map(({ rule }) => widthOf(rule)))
  return [
    colors.bold(`Told as ${generation} by what the kernel did with ${evidence.length} frames`),
    ...evidence.map(one => {
      const { rule, observed, asGeneration } = one
      const [short = ''] = (treatmentText[observed as Observed] ?? oneLine(observed)).split(':')
      const line = `  ${padEnd(rule, width)}  ${short}`
      return asGeneration
        ? cut(line, columns)
        : colors.yellow(cut(`${line}, ${unlike(one, generation)}`, columns))
    }),
  ]
}

/** For people, in `style.columns` columns. */
export const infoText = (info: Info, style: Style): string =>
  [
    [
      ...hostLines(info.host, style),
      ...frameLines(info, style),
      ...otherLines(info, style),
      ...kernelLines(info.kernel, style),
    ],
    layoutPicture(info.layout, style),
    evidenceLines(info, style),
    logLines(info.kernel, style),
  ]
    .filter(lines => lines.length > 0)
    .map(lines => `${lines.join('\n')}\n`)
    .join('\n')

/** For machines; 64-bit values are hexadecimal strings. */
export const infoJson = ({ host, kernel, layout, sw }: Info): string =>
  toJson({
    format: 'sigframe info',
    version: 1,
    tool: { name: 'sigframe', version: toolVersion() },
    host: plainHost(host),
    layout: { size: layout.size, ...layout.toJSON() },
    sw: { ...sw, xfeatures: hex(sw.xfeatures) },
    kernel: plainKernel(kernel),
  })
