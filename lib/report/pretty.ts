/** A run for people: what the kernel is, what was counted, and everything that went wrong, in full. */
import { generationOf } from '../contract/generations.ts'
import {
  type Bundle,
  type CaseResult,
  countVerdicts,
  type HostResult,
  type KernelResult,
} from '../harness/results.ts'
import { failureLines } from './pretty-failures.ts'
import { logLines, watchNotes } from './pretty-log.ts'
import { noteLines } from './pretty-notes.ts'
import { labelled, type Style, verdictPaint } from './style.ts'
import { cut, oneLine, padEnd, padStart, plural, seconds, widthOf } from './text.ts'
import {
  bySelftest,
  fit,
  headline,
  isFailure,
  type RunVerdict,
  runVerdict,
  verdictOrder,
} from './verdicts.ts'

const heading = 'Selftest'
const gap = '  '
const shortestName = 16
/** What hypervisors call themselves in CPUID, for people. */
const hypervisors: Readonly<Record<string, string>> = {
  KVMKVMKVM: 'KVM',
  TCGTCGTCGTCG: 'QEMU TCG',
  VMwareVMware: 'VMware',
  'Microsoft Hv': 'Hyper-V',
  XenVMMXenVMM: 'Xen',
}

const cpuOf = ({ brand, vendor, family, model, stepping, microcode, hypervisor }: HostResult): string => {
  const parts = [
    `${vendor} family ${family} model ${model} stepping ${stepping}`,
    ...(microcode === null ? [] : [`microcode ${microcode}`]),
    ...(hypervisor === null ? [] : [`under ${hypervisors[hypervisor] ?? hypervisor}`]),
  ]
  return oneLine(`${brand || 'a CPU without a name'} (${parts.join(', ')})`)
}

/** The lines on the host: which CPU, which frames. */
export const hostLines = (host: HostResult, style: Style): string[] => {
  const { userSize, userFeatures, leafD } = host
  const mask = BigInt(userFeatures)
  const names = leafD.filter(({ index }) => (mask >> BigInt(index)) & 1n).map(({ name }) => name)
  const frames = `frames of ${userSize} bytes: ${oneLine(['x87', 'sse', ...names].join(' '))}`
  return [...labelled('Host    ', cpuOf(host), style), ...labelled('        ', frames, style)]
}

/** What the kernel is, where that is not its generation to the letter. */
const unfitLines = (kernel: KernelResult, { colors, ...rest }: Style): string[] => {
  if (kernel.generation === null || headline(kernel) === kernel.generation) return []
  const unknown = kernel.evidence.some(({ deviation }) => deviation === 'otherwise')
  return labelled('        ', headline(kernel), { colors, ...rest }, unknown ? colors.red : colors.yellow)
}

/** The lines on the kernel: release, generation, how well it fits. */
export const kernelLines = (kernel: KernelResult | null, style: Style): string[] => {
  if (kernel === null) return labelled('Kernel  ', 'not told: no frame of this host could tell', style)
  const { release, version, generation, deviations } = kernel
  const clean = deviations.length === 0
  const { colors } = style
  const more = (text: string, paint?: Style['colors']['red']) => labelled('        ', text, style, paint)
  return [
    ...labelled('Kernel  ', oneLine(`Linux ${release} ${version}`), style),
    ...unfitLines(kernel, style),
    ...(generation === null ? [] : more(`${generation}: ${generationOf(generation).summary}`, colors.cyan)),
    ...more(fit(kernel), clean ? undefined : colors.yellow),
    ...deviations.flatMap(text => more(`deviates in ${oneLine(text)}`, colors.yellow)),
    ...watchNotes(kernel).flatMap(text => more(text)),
  ]
}

/** One line for each selftest, the counts under one another; only verdicts that occur have a column. */
const tableLines = (cases: readonly CaseResult[], { colors, columns }: Style): string[] => {
  const all = countVerdicts(cases)
  const shown = verdictOrder.filter(verdict => verdict === 'pass' || all[verdict] > 0)
  const widths = shown.map(verdict => Math.max(verdict.length, String(all[verdict]).length))
  const room = columns - widths.reduce((sum, width) => sum + gap.length + width, 0)
  const selftests = [...bySelftest(cases)].map(([name, ofIt]) => ({
    name: cut(oneLine(name), Math.max(shortestName, room)),
    counts: countVerdicts(ofIt),
    failed: ofIt.some(isFailure),
  }))
  const nameWidth = Math.max(...[heading, ...selftests.map(({ name }) => name)].map(widthOf))
  const cell = (count: number, i: number): string => {
    const text = padStart(count === 0 ? '-' : String(count), widths[i] ?? 0)
    return count === 0 ? colors.dim(text) : verdictPaint(shown[i] ?? 'pass', colors)(text)
  }
  const row = (title: string, cells: readonly string[]): string => [title, ...cells].join(gap)
  return [
    colors.dim(
      row(
        padEnd(heading, nameWidth),
        shown.map((verdict, i) => padStart(verdict, widths[i] ?? 0)),
      ),
    ),
    ...selftests.map(({ name, counts, failed }) => {
      const title = padEnd(name, nameWidth)
      const cells = shown.map((verdict, i) => cell(counts[verdict], i))
      return row(failed ? colors.red(title) : title, cells)
    }),
  ]
}

const harmLines = (kernel: KernelResult | null, style: Style): string[] => {
  const generation = kernel?.generation ?? null
  const harm = generation === null ? undefined : generationOf(generation).harm
  if (generation === null || harm === undefined) return []
  const { colors } = style
  const paint = (text: string): string => colors.bold(colors.red(text))
  return labelled(`${generation.toUpperCase()}  `, harm, style, paint, paint)
}

const warningLines = (warnings: readonly string[], style: Style): string[] => {
  const paint = (text: string): string => style.colors.bold(style.colors.yellow(text))
  return warnings.flatMap(text => labelled('WARNING  ', oneLine(text), style, paint, paint))
}

const verdictPaints: Readonly<Record<RunVerdict, (colors: Style['colors']) => (text: string) => string>> = {
  PASS: colors => colors.green,
  FAIL: colors => colors.red,
  SKIP: colors => colors.yellow,
  BROKEN: colors => colors.magenta,
}

const totalLines = (bundle: Bundle, style: Style): string[] => {
  const { cases, durationMs } = bundle
  const verdict = runVerdict(bundle)
  const counts = countVerdicts(cases)
  const parts = verdictOrder.filter(one => counts[one] > 0).map(one => `${counts[one]} ${one}`)
  const text =
    cases.length === 0
      ? `no case ran in ${seconds(durationMs)}: that is no success`
      : `${plural(cases.length, 'case')} in ${seconds(durationMs)}: ${parts.join(', ')}`
  const { colors } = style
  return labelled(`${verdict}  `, text, style, undefined, label =>
    colors.bold(verdictPaints[verdict](colors)(label)),
  )
}

/** A run as text for people, in `style.columns` columns. */
export const pretty = (bundle: Bundle, style: Style): string => {
  const { host, kernel, cases, warnings } = bundle
  const sections = [
    [...hostLines(host, style), ...kernelLines(kernel, style)],
    cases.length === 0 ? [] : tableLines(cases, style),
    noteLines(cases, style),
    ...failureLines(cases, style),
    logLines(kernel, style),
    harmLines(kernel, style),
    warningLines(warnings, style),
    totalLines(bundle, style),
  ]
  return sections
    .filter(lines => lines.length > 0)
    .map(lines => `${lines.join('\n')}\n`)
    .join('\n')
}
