/** The tables of the C program: layouts, images, edits, probes. */
import { outOfRange } from '../errors.ts'
import { type Abi, frameShape } from '../frame/abi.ts'
import { buildFpstate } from '../frame/build.ts'
import { compileEdit } from '../frame/compile.ts'
import type { EditLimits, PageState, Primitive } from '../frame/edit.ts'
import { type FieldPlace, frameFields } from '../frame/format.ts'
import { fsaveFields, fsaveSize } from '../frame/fsave.ts'
import type { Raise, StackState } from '../probe/request.ts'
import { canonicalComponent, initValue } from '../xstate/compare.ts'
import type { ComponentName } from '../xstate/components.ts'
import { imageFrom } from '../xstate/image.ts'
import type { Layout, PlacedComponent } from '../xstate/layout.ts'
import type { ExpectedEnd, ReproducedProbe, Reproducible } from './model.ts'
import { createPool, keyOf, type Pool } from './pool.ts'
import { besideOf, bytesInitializer, bytesLiteral, hex64Of, hexOf, stringOf } from './text.ts'

const page = 4096
const pages = (bytes: number): number => Math.ceil(bytes / page) * page

const abiNames: Readonly<Record<Abi, string>> = {
  x86_64: 'X86_64',
  'ia32-rt': 'IA32_RT',
  ia32: 'IA32',
  x32: 'X32',
}

const raiseNames: Readonly<Record<Raise, string>> = {
  tgkill: 'TGKILL',
  tgkill32: 'TGKILL32',
  fake: 'FAKE',
  timer: 'TIMER',
  blocked: 'BLOCKED',
  ipi: 'IPI',
}

const stackNames: Readonly<Partial<Record<StackState, string>>> = {
  plain: 'PLAIN',
  fresh: 'FRESH',
  readonly: 'READONLY_STACK',
  unreadable: 'UNREADABLE_STACK',
  'closed-key': 'CLOSED_KEY',
}

const pageNames: Readonly<Partial<Record<PageState, string>>> = {
  evicted: 'EVICTED',
  readonly: 'READONLY',
  unreadable: 'UNREADABLE',
  hole: 'HOLE',
}

const endNames: Readonly<Record<ExpectedEnd['ends'], string>> = {
  returned: 'RETURNED',
  rejected: 'REJECTED',
  astray: 'ASTRAY',
  died: 'DIED',
  undelivered: 'UNDELIVERED',
  endless: 'ENDLESS',
}

/** Why the C program cannot do this, or null. */
export const beyondC = (probe: {
  readonly stack: ReproducedProbe['stack']
  readonly edit: ReproducedProbe['edit']
}): string | null => {
  const { stack, edit } = probe
  const state = stack?.state ?? 'plain'
  if (stackNames[state] === undefined) return `the C program has no alternate stack that is ${state}`
  for (const op of edit) {
    if (op.op === 'pages' && pageNames[op.state] === undefined)
      return `the C program has no pages that are ${op.state}`
  }
  return null
}

/** A probe with its edit as the C program executes it. */
export interface CompiledProbe {
  readonly probe: ReproducedProbe
  readonly primitives: readonly Primitive[]
  readonly sentBytes: number
}

/** @throws TypeError, RangeError for what cannot be done in C, or not in this layout */
export const compileProbe = (
  probe: ReproducedProbe,
  { layout, limits }: Reproducible,
  field: string,
): CompiledProbe => {
  if (!layout.xsave) throw outOfRange(`${field}.layout.xsave`, false, 'but the C program needs XSAVE')
  if (limits.spareBytes % page !== 0)
    throw outOfRange(`${field}.limits.spareBytes`, limits.spareBytes, `must be a multiple of ${page}`)
  const problem = beyondC(probe)
  if (problem !== null) throw new RangeError(`${field} cannot be a C program: ${problem}`)
  const { primitives, sentBytes } = compileEdit(probe.edit, layout, limits, `${field}.edit`, probe.abi)
  return { probe, primitives, sentBytes }
}

/** What probes have in common. */
export interface Pools {
  readonly layouts: Pool<readonly [Layout, EditLimits]>
  readonly images: Pool<readonly [Uint8Array, Layout]>
  readonly bytes: Pool<Uint8Array>
  readonly edits: Pool<string>
}

export const createPools = (): Pools => ({
  layouts: createPool('layout'),
  images: createPool('image'),
  bytes: createPool('bytes'),
  edits: createPool('edit'),
})

const used = ({ name, size }: PlacedComponent): number =>
  name === 'pkru' ? Math.min(4, size) : name === 'bndcsr' ? Math.min(16, size) : size

const layoutTable = (name: string, layout: Layout, limits: EditLimits): string => {
  const components = layout.components.map(
    one => `\t\t{ "${one.name}", ${one.index}, ${one.offset}, ${one.size}, ${used(one)} },`,
  )
  return `static const struct layout ${name} = {
	.xfeatures = ${hex64Of(layout.features)},
	.xstate_size = ${layout.size},
	.room = ${roomOf(limits)},
	.spare_bytes = ${limits.spareBytes},
	.nr_components = ${layout.components.length},
	.components = {
${components.join('\n')}
	},
};`
}

/** Bytes above a frame that is edited in place. */
const roomOf = ({ inPlaceBytes, frameBytes }: EditLimits): number => pages(inPlaceBytes - frameBytes)

/** Its parts, each with its name before it. */
const imageTable = (name: string, bytes: Uint8Array, layout: Layout): string => {
  const parts = [
    { title: 'x87, MXCSR, SSE', offset: 0, end: 512 },
    { title: 'XSAVE header', offset: 512, end: 576 },
    ...layout.extended.toSorted((a, b) => a.offset - b.offset).map(one => ({ title: one.name, ...one })),
  ]
  const lines = parts.flatMap(({ title, offset, end }) => {
    const part = bytes.subarray(offset, Math.min(end, bytes.length))
    if (part.every(byte => byte === 0)) return []
    const lead = part.findIndex(byte => byte !== 0)
    const from = lead - (lead % 16)
    return [
      `\t/* ${title} */`,
      bytesInitializer(part.subarray(from))
        .replace(/^\t/, `\t[${offset + from}] =\n\t`)
        .replace(/\n\t\[(\d+)\]/g, (_, at: string) => `\n\t[${offset + from + Number(at)}]`),
    ]
  })
  return `static const unsigned char ${name}[${layout.size}] = {\n${lines.join('\n') || '\t0'}\n};`
}

const declaration = (name: string, length: number): string => `static const unsigned char ${name}[${length}];`

const arrayTable = (name: string, bytes: Uint8Array): string =>
  `static const unsigned char ${name}[${bytes.length}] = {\n${bytesInitializer(bytes)}\n};`

const shortBytes = 32

const regionNames = { area: 'AREA', fsave: 'FSAVE', head: 'HEAD' } as const

/** What the bytes there are called, or nothing. */
const fieldAt = (abi: Abi, region: keyof typeof regionNames, at: number, length: number): string => {
  const places: Readonly<Record<string, FieldPlace>> =
    region === 'area' ? frameFields : region === 'fsave' ? fsaveFields : frameShape(abi).fields
  const found = Object.entries(places).find(([, place]) => place.at === at && place.width === length)
  if (found !== undefined) return `\t${besideOf(region === 'area' ? found[0] : `${region}.${found[0]}`)}`
  return ''
}

const opLine = (op: Primitive, abi: Abi, pools: Pools): string => {
  switch (op.code) {
    case 'write': {
      const { at, bytes, region = 'area' } = op
      const value = bytes.length <= shortBytes ? bytesLiteral(bytes) : pools.bytes.name(keyOf(bytes), bytes)
      const { length } = bytes
      return `WRITE(${regionNames[region]}, ${at}, ${length}, ${value}),${fieldAt(abi, region, at, length)}`
    }
    case 'and':
    case 'or':
    case 'xor': {
      const { at, length, value, region = 'area' } = op
      const code = op.code.toUpperCase()
      return `${code}(${regionNames[region]}, ${at}, ${length}, ${hex64Of(value)}),${fieldAt(abi, region, at, length)}`
    }
    case 'fill':
      return `FILL(${op.at}, ${op.length}, ${hexOf(op.value)}),`
    case 'move':
      return `MOVE(${op.at}, ${op.length}),`
    case 'pointer':
      return `POINTER(${hex64Of(op.value)}),`
    case 'offset':
      return `OFFSET(${hex64Of(op.value)}),`
    case 'pages':
      return `PAGES(${op.at}, ${op.length}, ${pageNames[op.state]}),`
  }
}

/** The fsave header and the area of a frame that no signal made, one behind the other. */
const builtBytes = ({ load, abi }: ReproducedProbe, layout: Layout): Uint8Array => {
  const { fsave, fpstate } = buildFpstate(layout, imageFrom(load, layout, 'load'), abi)
  const bytes = new Uint8Array(fsaveSize + fpstate.length)
  if (fsave !== null) bytes.set(fsave)
  bytes.set(fpstate, fsaveSize)
  return bytes
}

const sameBytes = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0

/** A component's value as the C program is told it: by the image that has it, where one has. */
const expectedLine = (
  { load, poison }: ReproducedProbe,
  layout: Layout,
  name: ComponentName,
  bytes: Uint8Array | 'any',
  pools: Pools,
): string => {
  if (bytes === 'any') return '{ ANYTHING, NULL },'
  const inImage = (image: Uint8Array): boolean => sameBytes(canonicalComponent(image, layout, name), bytes)
  if (sameBytes(initValue(layout, name), bytes)) return '{ INIT, NULL },'
  if (inImage(load)) return '{ AS_LOADED, NULL },'
  if (inImage(poison)) return '{ AS_POISON, NULL },'
  return `{ BYTES, ${pools.bytes.name(keyOf(bytes), bytes)} },`
}

const checkLength = (field: string, bytes: Uint8Array, length: number): Uint8Array => {
  if (bytes.length !== length) throw outOfRange(`${field}.length`, bytes.length, `must be ${length}`)
  return bytes
}

const registerLines = (probe: ReproducedProbe, layout: Layout, pools: Pools): readonly string[] => {
  const { expected } = probe
  if (!('components' in expected)) return []
  const given = new Map(expected.components.map(one => [one.name, one.bytes]))
  const lines = layout.components.map(({ name }) => {
    const bytes = given.get(name) ?? 'any'
    if (bytes !== 'any') checkLength(`expected ${name}`, bytes, initValue(layout, name).length)
    return `\t\t\t${expectedLine(probe, layout, name, bytes, pools)}\t/* ${name} */`
  })
  const { mxcsr } = expected
  if (mxcsr !== 'any' && (mxcsr.length < 1 || mxcsr.length > 2))
    throw outOfRange('expected.mxcsr.length', mxcsr.length, 'must be in 1..2')
  return [
    '.state = {',
    ...lines.map(line => line.slice(2)),
    '},',
    ...(mxcsr === 'any'
      ? []
      : [`.mxcsr = { ${mxcsr.map(hexOf).join(', ')} },`, `.nr_mxcsr = ${mxcsr.length},`]),
  ]
}

const signalOf = ({ expected }: ReproducedProbe): readonly string[] =>
  expected.ends === 'astray' && expected.signal !== null ? [`.signal = ${expected.signal},`] : []

const imageName = (bytes: Uint8Array, layout: Layout, field: string, pools: Pools): string => {
  checkLength(field, bytes, layout.size)
  // The compiler fills what an initializer leaves out with zeros, so the layout's parts are all that there is.
  return pools.images.name(`${layout.features} ${keyOf(bytes)}`, [bytes, layout])
}

/** One member of a table of probes. */
export const probeMember = (
  { probe, primitives, sentBytes }: CompiledProbe,
  { layout, limits }: Reproducible,
  pools: Pools,
  withStacks: boolean,
): string => {
  const layoutKey = `${JSON.stringify(layout.toJSON())} ${limits.spareBytes} ${roomOf(limits)}`
  const ops = primitives.map(op => `\t${opLine(op, probe.abi, pools)}`).join('\n')
  const edit = primitives.length === 0 ? null : pools.edits.name(ops, ops)
  const { stack } = probe
  const lines = [
    `.name = ${stringOf(probe.name)},`,
    `.layout = &${pools.layouts.name(layoutKey, [layout, limits])},`,
    `.abi = ${abiNames[probe.abi]},`,
    `.raise = ${raiseNames[probe.raise]},`,
    ...(withStacks && stack !== null
      ? [`.stack = ${stackNames[stack.state ?? 'plain']},`, `.stack_bytes = ${stack.bytes},`]
      : []),
    `.load = ${imageName(probe.load, layout, 'load', pools)},`,
    `.poison = ${imageName(probe.poison, layout, 'poison', pools)},`,
    ...(probe.raise === 'fake'
      ? (() => {
          const bytes = builtBytes(probe, layout)
          return [`.built = ${pools.bytes.name(keyOf(bytes), bytes)},`]
        })()
      : []),
    ...(edit === null ? [] : [`.edit = ${edit},`, `.nr_ops = ${primitives.length},`]),
    `.sent_bytes = ${sentBytes},`,
    `.ends = ${endNames[probe.expected.ends]},`,
    ...signalOf(probe),
    ...registerLines(probe, layout, pools),
  ]
  return `\t{\n${lines.map(line => `\t\t${line}`).join('\n')}\n\t},`
}

/** What probes have in common, and are read with: their layouts and edits. Bytes are only declared. */
export const sharedTables = (pools: Pools): readonly string[] => [
  ...pools.layouts.all().map(([name, [layout, limits]]) => layoutTable(name, layout, limits)),
  [
    ...pools.images.all().map(([name, [, layout]]) => declaration(name, layout.size)),
    ...pools.bytes.all().map(([name, bytes]) => declaration(name, bytes.length)),
  ].join('\n'),
  ...pools.edits.all().map(([name, ops]) => `static const struct op ${name}[] = {\n${ops}\n};`),
]

/** The bytes themselves, which nobody reads: for the end of the file. */
export const byteTables = (pools: Pools): readonly string[] => [
  ...pools.images.all().map(([name, [bytes, layout]]) => imageTable(name, bytes, layout)),
  ...pools.bytes.all().map(([name, bytes]) => arrayTable(name, bytes)),
]
