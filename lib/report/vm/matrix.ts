/** The matrix kernel × CPU, and what its columns and rows are. */
import { generationOf } from '../../contract/generations.ts'
import type { MachineResult } from '../../vm/machine.ts'
import { labelled, type Style } from '../style.ts'
import { oneLine, padEnd, widthOf } from '../text.ts'
import { groupBy, headline } from '../verdicts.ts'
import { type Cell, plainCell, tables } from './table.ts'
import { cellPaint, cellText, cpuName, emulatorText, kernelName, layoutText, shortLabelled } from './words.ts'

const none = '–'

/** The machines by kernel and CPU. */
const indexOf = (machines: readonly MachineResult[]): ReadonlyMap<string, MachineResult> =>
  new Map(machines.map(machine => [JSON.stringify([kernelName(machine), cpuName(machine)]), machine]))

export const kernelsOf = (machines: readonly MachineResult[]): string[] => [
  ...new Set(machines.map(kernelName)),
]

export const cpusOf = (machines: readonly MachineResult[]): string[] => [...new Set(machines.map(cpuName))]

/** One table, or several below each other; each with an empty line before the next. */
export const matrixLines = (machines: readonly MachineResult[], style: Style): string[] => {
  const { colors } = style
  const cpus = cpusOf(machines)
  const found = indexOf(machines)
  const cellAt = (kernel: string, cpu: string): Cell => {
    const machine = found.get(JSON.stringify([kernel, cpu]))
    return machine === undefined
      ? plainCell(none, colors.dim)
      : plainCell(cellText(machine), cellPaint(machine, style))
  }
  const head = ['Kernel', ...cpus].map(text => plainCell(text, colors.dim))
  const rows = kernelsOf(machines).map(kernel => [plainCell(kernel), ...cpus.map(cpu => cellAt(kernel, cpu))])
  const star = rows.some(row => row.some(({ text }) => text.includes('*')))
  return [
    ...tables(head, rows, style).flatMap((lines, i) => (i === 0 ? lines : ['', ...lines])),
    ...(star ? labelled('* ', 'not to the letter: see below', style, colors.dim, colors.dim) : []),
  ]
}

const modelText = ({ cpu }: MachineResult): string =>
  cpu.model === cpu.name ? '' : `${oneLine(cpu.model, 200)}: `

/** What each CPU has for signal frames; of which kernels, where they differ in it. */
const cpuLines = (name: string, ofIt: readonly MachineResult[], width: number, style: Style): string[] => {
  const layouts = groupBy(
    ofIt.filter(({ bundle }) => bundle !== null),
    ({ bundle }) => (bundle === null ? '' : layoutText(bundle.host)),
  )
  const texts = [...layouts].map(([layout, machines]) =>
    layouts.size === 1 ? layout : `${layout} (${kernelsOf(machines).join(' ')})`,
  )
  const [first] = ofIt
  const model = first === undefined ? '' : modelText(first)
  const shown = texts.length === 0 ? ['not told: no run ended on it'] : texts
  return shown.flatMap((text, i) =>
    // A longer name is no label.
    widthOf(name) > width
      ? labelled('CPU ', `${name}: ${model}${text}`, style)
      : labelled(`CPU ${padEnd(i === 0 ? name : '', width)}  `, model + text, style),
  )
}

/** By which emulator, told once where there was one. */
const underLines = (machines: readonly MachineResult[], style: Style): string[] => {
  const found = machines.filter(machine => emulatorText(machine) !== null)
  const groups = [...groupBy(found, machine => emulatorText(machine) ?? '')]
  return groups.flatMap(([text, ofIt]) =>
    labelled('Under ', groups.length === 1 ? text : `${text}: ${cpusOf(ofIt).join(', ')}`, style),
  )
}

const longestLabel = 20

/** What the matrix's columns are. */
export const columnLines = (machines: readonly MachineResult[], style: Style): string[] => {
  const byCpu = [...groupBy(machines, cpuName)]
  const widths = byCpu.map(([name]) => widthOf(name)).filter(one => one <= longestLabel)
  const width = Math.max(0, ...widths)
  return [
    ...byCpu.flatMap(([name, ofIt]) => cpuLines(name, ofIt, width, style)),
    ...underLines(machines, style),
  ]
}

/** A kernel that some of its CPUs could tell, with what it is there. */
const toldKernels = (machines: readonly MachineResult[]): { told: string; name: string }[] =>
  [...groupBy(machines, kernelName)].flatMap(([name, ofIt]) => {
    const telling = ofIt.filter(({ bundle }) => bundle?.kernel?.generation)
    const by = [...groupBy(telling, ({ bundle }) => (bundle?.kernel ? headline(bundle.kernel) : 'not told'))]
    return by.map(([told, same]) => ({
      told,
      name: by.length === 1 ? name : `${name} (${cpusOf(same).join(', ')})`,
    }))
  })

/** Which kernels are what, a line for each kind; and what the harmful ones do. */
export const kernelLines = (machines: readonly MachineResult[], style: Style): string[] => {
  const kernels = toldKernels(machines)
  // Of one alone the matrix has said it.
  const groups = groupBy(kernels.length > 1 ? kernels : [], ({ told }) => told)
  const kinds = [...groups].flatMap(([told, ofIt]) =>
    shortLabelled(`${told} on: `, ofIt.map(({ name }) => name).join(' '), style),
  )
  const ids = new Set(machines.flatMap(({ bundle }) => bundle?.kernel?.generation ?? []))
  const harms = [...ids].flatMap(id => {
    const { harm } = generationOf(id)
    const paint = (text: string): string => style.colors.bold(style.colors.red(text))
    return harm === undefined ? [] : labelled(`${id.toUpperCase()}  `, harm, style, paint, paint)
  })
  return [...kinds, ...harms]
}
