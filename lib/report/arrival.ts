/** What arrived of a frame, component by component: shared by what is predicted and what was seen. */
import type { ComponentFate, ExplainedComponent } from '../foreign/explain.ts'
import type { Colors, Paint } from './style.ts'
import { padEnd } from './text.ts'

export const fateText: Readonly<Record<ComponentFate, string>> = {
  arrives: 'arrives',
  unused: 'at init, as in the frame',
  'put to init': 'LOST: put to init',
  'other bytes': 'LOST: the register holds other bytes',
  'cut off': 'LOST: the frame ends before it',
  'no register': 'LOST: no such component there',
  unneeded: 'not there, nor needed: the kernel’s default, no key is in use',
  'left over': 'WRONG: at init in the frame, the register holds bytes',
}

const fatePaint = (fate: ComponentFate, colors: Colors): Paint => {
  if (fate === 'arrives') return colors.green
  return fate === 'unused' || fate === 'unneeded' ? colors.dim : colors.red
}

export interface MxcsrFate {
  readonly arrives: boolean
  readonly before: number
  readonly after: number
}

const hex = (value: number): string => `0x${value.toString(16)}`

const mxcsrText = ({ arrives, before, after }: MxcsrFate): string =>
  arrives ? `arrives, ${hex(before)}` : `LOST: ${hex(after)} instead of ${hex(before)}`

/** A line for each component, and one for MXCSR. */
export const arrivalLines = (
  components: readonly ExplainedComponent[],
  mxcsr: MxcsrFate | null,
  colors: Colors,
): string[] => {
  const width = Math.max(5, ...components.map(({ name }) => name.length))
  return [
    ...components.map(
      ({ name, fate }) => `  ${padEnd(name, width)}  ${fatePaint(fate, colors)(fateText[fate])}`,
    ),
    ...(mxcsr === null
      ? []
      : [`  ${padEnd('mxcsr', width)}  ${(mxcsr.arrives ? colors.green : colors.red)(mxcsrText(mxcsr))}`]),
  ]
}
