/** The frames of a file, linted: which CPU each is held to, and what is found. */
import type { SavedFrame } from '../foreign/saved.ts'
import { largestFrame, magic2Size } from '../frame/format.ts'
import type { LintFinding, Severity } from '../frame/lint/finding.ts'
import { guessOf, guessText } from '../frame/lint/guess.ts'
import { lintFrame } from '../frame/lint/lint.ts'
import { type Header, type Sw, subjectOf } from '../frame/lint/subject.ts'
import { restorable } from '../frame/reader.ts'
import type { Host } from '../hosts/host.ts'
import { isInitComponent } from '../xstate/compare.ts'
import { type ComponentName, namesOf } from '../xstate/components.ts'
import { type Layout, legacySize } from '../xstate/layout.ts'
import type { InputFrame, InputKind, LintInput } from './lint-input.ts'

/** How the CPU is known that a frame is held to. */
const cpuSources = ['option', 'file', 'guess', 'none'] as const
export type CpuSource = (typeof cpuSources)[number]

export interface LintedCpu {
  readonly source: CpuSource
  readonly layout: Layout | null
  /** As the catalogue calls those that are guessed, or as the option does. */
  readonly names: readonly string[]
  /** In one line. */
  readonly text: string
}

export interface LintedItem extends InputFrame {
  readonly cpu: LintedCpu
  readonly sw: Sw
  readonly header: Header | null
  /** Those that hold something else than their init value, as far as that can be told. */
  readonly inUse: readonly ComponentName[]
  /** The worst first. */
  readonly findings: readonly LintFinding[]
}

export interface LintedFile {
  readonly file: string
  readonly kind: InputKind
  readonly notes: readonly string[]
  readonly items: readonly LintedItem[]
}

const layoutText = ({ vendor, size, xsave }: Layout): string =>
  `${vendor === '' ? '' : `${vendor}, `}${size} bytes${xsave ? '' : ' without XSAVE'}`

const cpuOf = ({ frame }: InputFrame, { layout, kind }: LintInput, cpu: Host | null): LintedCpu => {
  if (cpu !== null)
    return { source: 'option', layout: cpu.layout, names: [cpu.name], text: `${cpu.name}: ${cpu.title}` }
  if (layout !== null)
    return { source: 'file', layout, names: [], text: `${layoutText(layout)}, as the ${kind} says` }
  const guess = guessOf(frame)
  const { xfeatures } = subjectOf(frame, null).sw
  const text = guessText(guess, xfeatures)
  return { source: guess.layout === null ? 'none' : 'guess', ...guess, text }
}

/** Whether a component's bytes are all there, and its init value. */
const isInit = (bytes: Uint8Array, layout: Layout, name: ComponentName): boolean =>
  layout.has(name) && layout.end(name) <= bytes.length && isInitComponent(bytes, layout, name)

const inUseOf = ({ frame }: InputFrame, header: Header | null, layout: Layout | null): ComponentName[] => {
  const { fpstate, fsave, abi } = frame
  if (fpstate.length < legacySize) return []
  const named = header === null ? (['x87', 'sse'] as const) : namesOf(header.xstateBv)
  if (layout === null || header?.xcompBv) return [...named]
  const bytes = restorable({ abi, head: new Uint8Array(0), fsave, fpstate })
  if (layout.xsave && header === null) return [...named]
  return named.filter(name => !isInit(bytes, layout, name))
}

const lintItem = (input: InputFrame, whole: LintInput, cpu: Host | null): LintedItem => {
  const known = cpuOf(input, whole, cpu)
  const { sw, header, layout } = subjectOf(input.frame, known.layout)
  return {
    ...input,
    cpu: known,
    sw,
    header,
    inUse: inUseOf(input, header, layout),
    findings: lintFrame(input.frame, known.layout),
  }
}

/** @param cpu that all frames are held to; what the file says, or the frames tell, where it is null */
export const lintInput = (input: LintInput, cpu: Host | null): LintedFile => ({
  file: input.file,
  kind: input.kind,
  notes: input.notes,
  items: input.frames.map(frame => lintItem(frame, input, cpu)),
})

/** Its stack may have been used again since: what is wrong with it need not be the fault of whoever wrote it. */
const isLeftOver = ({ state }: LintedItem): boolean => state === 'left over'

/** Errors and so on, and what of them is in frames that were returned from. */
export interface LintCounts extends Readonly<Record<Severity, number>> {
  readonly frames: number
  /** Of the errors. */
  readonly leftOverErrors: number
  /** Of the warnings. */
  readonly leftOverWarnings: number
}

export const countFindings = (files: readonly LintedFile[]): LintCounts => {
  const items = files.flatMap(one => one.items)
  const count = (severity: Severity, some: readonly LintedItem[] = items): number =>
    some.flatMap(one => one.findings).filter(one => one.severity === severity).length
  const leftOver = items.filter(isLeftOver)
  return {
    frames: items.length,
    error: count('error'),
    warning: count('warning'),
    note: count('note'),
    leftOverErrors: count('error', leftOver),
    leftOverWarnings: count('warning', leftOver),
  }
}

const hex = (value: number | bigint): string => `0x${value.toString(16)}`

const originOf = ({ file }: LintedFile, { offset, state, pid }: LintedItem): string =>
  [
    file,
    ...(offset === null ? [] : [`offset ${hex(offset)}`]),
    ...(state === 'unknown' ? [] : [state]),
    ...(pid === null ? [] : [`thread ${pid}`]),
  ].join(', ')

/** Long origins are cut: a file has room for so much. */
const longestOrigin = 400

/** Why a frame cannot be kept in a frame file; null where it can. */
const unkept = ({ cpu, frame }: LintedItem): string | null => {
  const { fpstate, fsave, abi } = frame
  if (cpu.layout === null) return 'its CPU is not known: give --cpu'
  if (fpstate.length < legacySize) return `only ${fpstate.length} bytes of it are known`
  return fsave === null && abi.startsWith('ia32') ? 'its fsave header is not known' : null
}

/** The frame, as a file keeps it; or why it cannot. */
export const savedOf = (file: LintedFile, item: LintedItem): SavedFrame | string => {
  const problem = unkept(item)
  const { layout } = subjectOf(item.frame, item.cpu.layout)
  if (problem !== null || layout === null) return problem ?? ''
  const { abi, address, head, fsave, fpstate } = item.frame
  const { header, sw } = item
  const end = Math.max(layout.size + magic2Size, header === null ? 0 : sw.xstateSize + magic2Size)
  return {
    source: 'cut out',
    origin: originOf(file, item).slice(0, longestOrigin),
    host: null,
    kernel: null,
    layout,
    permissions: layout.has('xtiledata') ? ['xtiledata'] : [],
    abi,
    address,
    head,
    fsave,
    fpstate: fpstate.slice(0, Math.min(end, largestFrame)),
    image: null,
    seed: null,
  }
}
