/** Frames as kernels write them, for lint: whole, with a head, at an address. */
import { catalogueLayout, catalogueNames } from '../../lib/catalogue/catalogue.ts'
import { type Abi, frameShape, type HeadField, isIa32 } from '../../lib/frame/abi.ts'
import { applyPrimitives } from '../../lib/frame/apply.ts'
import { buildFpstate } from '../../lib/frame/build.ts'
import { compileEdit } from '../../lib/frame/compile.ts'
import type { EditOp } from '../../lib/frame/edit.ts'
import { type FieldPlace, type FrameField, frameFields } from '../../lib/frame/format.ts'
import { type FsaveField, fsaveFields } from '../../lib/frame/fsave.ts'
import type { LintedFrame, LintFinding } from '../../lib/frame/lint/finding.ts'
import { lintFrame } from '../../lib/frame/lint/lint.ts'
import { limitsOfLayout } from '../../lib/probe/geometry.ts'
import type { ComponentName } from '../../lib/xstate/components.ts'
import type { Layout } from '../../lib/xstate/layout.ts'
import { randomImage } from '../../lib/xstate/random.ts'

export const everyLayout: readonly (readonly [string, Layout])[] = catalogueNames().map(name => [
  name,
  catalogueLayout(name),
])

export const address = 0x7ffc_1230_4ec0n

const write = (bytes: Uint8Array, { at, width }: FieldPlace, value: bigint): void => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (width === 8) view.setBigUint64(at, value, true)
  else if (width === 4) view.setUint32(at, Number(BigInt.asUintN(32, value)), true)
  else view.setUint16(at, Number(BigInt.asUintN(16, value)), true)
}

/** Changes a frame in place: a copy of the one that is given. */
export interface Change {
  readonly area: (at: number, width: FieldPlace['width'], value: bigint | number) => void
  readonly field: (field: FrameField, value: bigint | number) => void
  readonly fsave: (field: FsaveField, value: bigint | number) => void
  readonly head: (field: HeadField, value: bigint | number) => void
  readonly bytes: Uint8Array
}

const copy = (bytes: Uint8Array | null): Uint8Array | null => (bytes === null ? null : Uint8Array.from(bytes))

export const changed = (frame: LintedFrame, how: (change: Change) => void): LintedFrame => {
  const result = {
    ...frame,
    head: copy(frame.head),
    fsave: copy(frame.fsave),
    fpstate: Uint8Array.from(frame.fpstate),
  }
  const part = (bytes: Uint8Array | null, place: FieldPlace | undefined, value: bigint | number): void => {
    if (bytes === null || place === undefined) throw new Error('this frame has no such field')
    write(bytes, place, BigInt(value))
  }
  how({
    area: (at, width, value) => part(result.fpstate, { at, width }, value),
    field: (field, value) => part(result.fpstate, frameFields[field], value),
    fsave: (field, value) => part(result.fsave, fsaveFields[field], value),
    head: (field, value) => part(result.head, frameShape(frame.abi).fields[field], value),
    bytes: result.fpstate,
  })
  return result
}

const headOf = (layout: Layout, abi: Abi): Uint8Array => {
  const { headBytes, fields, fsaveSize } = frameShape(abi)
  const head = new Uint8Array(headBytes)
  const set = (field: HeadField, value: bigint): void => {
    const place = fields[field]
    if (place !== undefined) write(head, place, value)
  }
  const wide = abi === 'x86_64'
  set('fpstate', BigInt.asUintN(wide ? 64 : 32, address) - BigInt(fsaveSize))
  set('ucFlags', (layout.xsave ? 1n : 0n) | (isIa32(abi) ? 0n : 6n))
  set('cs', isIa32(abi) ? 0x23n : 0x33n)
  set('ss', 0x2bn)
  return head
}

export interface GoodOptions {
  readonly abi?: Abi
  readonly seed?: number
  readonly components?: readonly ComponentName[]
}

/** As the kernel writes it. */
export const goodFrame = (
  layout: Layout,
  { abi = 'x86_64', seed = 1, components }: GoodOptions = {},
): LintedFrame => {
  const image = randomImage(layout, { seed, components })
  return {
    abi,
    address: isIa32(abi) || abi === 'x32' ? BigInt.asUintN(32, address) : address,
    head: headOf(layout, abi),
    ...buildFpstate(layout, image, abi),
  }
}

/** As one that a handler has edited, of which the fpstate is the first thing. */
export const edited = (frame: LintedFrame, layout: Layout, edit: readonly EditOp[]): LintedFrame => {
  const { primitives } = compileEdit(edit, layout, limitsOfLayout(layout), 'edit', frame.abi)
  return {
    ...frame,
    fsave: frame.fsave === null ? null : applyPrimitives(frame.fsave, primitives, 'fsave'),
    fpstate: applyPrimitives(frame.fpstate, primitives),
  }
}

export const namesOf = (findings: readonly LintFinding[]): string[] => findings.map(({ check }) => check)

export const lintNames = (frame: LintedFrame, layout: Layout | null): string[] =>
  namesOf(lintFrame(frame, layout))

/** Errors and warnings: what a good frame has none of. */
export const graver = (findings: readonly LintFinding[]): LintFinding[] =>
  findings.filter(({ severity }) => severity !== 'note')

export const find = (frame: LintedFrame, layout: Layout | null, check: string): LintFinding => {
  const findings = lintFrame(frame, layout)
  const found = findings.find(one => one.check === check)
  if (found === undefined) throw new Error(`no ${check} among: ${namesOf(findings).join(' ') || 'nothing'}`)
  return found
}
