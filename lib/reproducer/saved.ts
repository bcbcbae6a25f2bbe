/** A saved probe as a reproducible: the frame, and what the contract says of it. Pure. */
import { expectedBytes } from '../contract/predict/compare.ts'
import type { Ended } from '../contract/predict/predict.ts'
import { decisionsOf, decisionText, endText } from '../contract/predict/words.ts'
import type { EditLimits } from '../frame/edit.ts'
import type { SavedProbe } from '../report/probe-file.ts'
import { canonicalComponent, initValue } from '../xstate/compare.ts'
import { XsaveImage } from '../xstate/image.ts'
import type { Layout, PlacedComponent } from '../xstate/layout.ts'
import { defaultPkru } from '../xstate/pkru.ts'
import type { ExpectedComponent, ExpectedEnd, Reproducible } from './model.ts'

const pkruBytes = (size: number): Uint8Array => {
  const bytes = new Uint8Array(size)
  new DataView(bytes.buffer).setUint32(0, defaultPkru, true)
  return bytes
}

/** A component's bytes alone in an image, in the form in which states are compared. */
const canonical = (
  layout: Layout,
  { name, offset, mask }: PlacedComponent,
  bytes: Uint8Array,
): Uint8Array => {
  const image = new XsaveImage(new Uint8Array(layout.size), layout)
  image.bytes.set(bytes, offset)
  if (layout.xsave) image.xstateBv = mask
  return canonicalComponent(image.bytes, layout, name)
}

const expectedComponent = (
  layout: Layout,
  placed: PlacedComponent,
  { registers }: Ended,
): ExpectedComponent => {
  const { name, size } = placed
  const bytes = expectedBytes(placed, registers)
  if (bytes !== null) return { name, bytes: canonical(layout, placed, bytes) }
  const isDefault = name === 'pkru' && registers.keys === 'default'
  return { name, bytes: isDefault ? pkruBytes(size) : initValue(layout, name) }
}

/** What is predicted, register by register. */
const predictedEnd = (predicted: Ended, layout: Layout): ExpectedEnd => {
  if (predicted.end === 'killed') return { ends: 'died' }
  const { mxcsr } = predicted.registers
  return {
    ends: predicted.end === 'rejected' ? 'rejected' : 'returned',
    components: layout.components.map(placed => expectedComponent(layout, placed, predicted)),
    mxcsr: mxcsr === null ? 'any' : [mxcsr],
  }
}

/** @param generation whose behaviour is expected */
export const reproducibleProbe = (
  saved: SavedProbe,
  limits: EditLimits,
  predicted: Ended,
  generation: string,
): Reproducible => {
  const { layout, abi, raise, stack, load, poison, edit, kernel, finding } = saved
  return {
    title: `a frame of ${abi}`,
    about: [
      ...(finding === null
        ? []
        : [`Seen on Linux ${kernel?.release ?? 'of unknown release'}: ${finding.observed}.`]),
      `Expected of ${generation} kernels: ${endText(predicted)}.`,
      'The kernel’s decisions, as expected:',
      ...decisionsOf(predicted.trail).map(decisionText),
    ],
    newer: null,
    layout,
    limits,
    probes: [
      {
        name: 'the frame',
        abi,
        raise,
        stack,
        load: load.bytes,
        poison: poison.bytes,
        edit,
        expected: predictedEnd(predicted, layout),
      },
    ],
  }
}
