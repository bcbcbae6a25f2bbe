/** Core files made by hand: their headers, notes and segments, and frames in their memory. */
import type { ByteSource } from '../../lib/elf/source.ts'
import { type Abi, frameShape, type HeadField } from '../../lib/frame/abi.ts'
import { type BuiltFpstate, buildFpstate } from '../../lib/frame/build.ts'
import type { FieldPlace } from '../../lib/frame/format.ts'
import { createLayout, type Layout, type LayoutComponent } from '../../lib/xstate/layout.ts'
import { randomImage } from '../../lib/xstate/random.ts'

const component = (index: number, size: number, offset: number): LayoutComponent => ({
  index,
  size,
  offset,
  alignedCompacted: false,
  supervisor: false,
  xfd: index === 18,
})

/** Sapphire Rapids'. */
export const components: readonly LayoutComponent[] = [
  component(2, 256, 576),
  component(5, 64, 1088),
  component(6, 512, 1152),
  component(7, 1024, 1664),
  component(9, 8, 2688),
  component(17, 64, 2752),
  component(18, 8192, 2816),
]

export const layoutWith = (userFeatures: bigint, xcr0 = 0x602e7n): Layout =>
  createLayout({ vendor: '', xcr0, userFeatures, components, mxcsrMask: 0xffff })

/** 832 bytes. */
export const avxLayout = layoutWith(0x7n)

export interface MadeThread {
  readonly pid: number
  readonly rsp: bigint
  readonly rip?: bigint
  readonly fsBase?: bigint
}

export interface MadeSegment {
  readonly address: bigint
  readonly bytes: Uint8Array
  /** p_memsz, where it is more. */
  readonly memory?: bigint
  readonly flags?: number
}

export interface MadeNote {
  readonly owner: string
  readonly type: number
  readonly desc: Uint8Array
}

export interface MadeCore {
  readonly machine?: 'x86_64' | 'x32' | 'i386'
  readonly threads?: readonly MadeThread[]
  readonly segments: readonly MadeSegment[]
  readonly notes?: readonly MadeNote[]
  /** Where in its alignment of 4096 bytes the first segment lies in the file. */
  readonly skew?: number
  /** The count of program headers in section header 0. */
  readonly xnum?: boolean
}

const align = (size: number, to: number): number => Math.ceil(size / to) * to

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)

const prstatus = (machine: 'x86_64' | 'x32' | 'i386', thread: MadeThread): MadeNote => {
  const [size, pidAt, regs] = { x86_64: [336, 32, 112], x32: [296, 24, 72], i386: [144, 24, 72] }[
    machine
  ] as [number, number, number]
  const desc = new Uint8Array(size)
  const view = viewOf(desc)
  view.setInt32(pidAt, thread.pid, true)
  if (machine === 'i386') {
    view.setUint32(regs + 48, Number(thread.rip ?? 0n), true)
    view.setUint32(regs + 60, Number(thread.rsp), true)
  } else {
    view.setBigUint64(regs + 128, thread.rip ?? 0n, true)
    view.setBigUint64(regs + 152, thread.rsp, true)
    view.setBigUint64(regs + 168, thread.fsBase ?? 0n, true)
  }
  return { owner: 'CORE', type: 1, desc }
}

/** NT_X86_XSTATE. */
export const xstateNote = (xcr0: bigint, mxcsrMask = 0xffff): MadeNote => {
  const desc = new Uint8Array(832)
  viewOf(desc).setBigUint64(464, xcr0, true)
  viewOf(desc).setUint32(28, mxcsrMask, true)
  return { owner: 'LINUX', type: 0x202, desc }
}

/** NT_X86_XSAVE_LAYOUT. */
export const layoutNote = (some: readonly LayoutComponent[]): MadeNote => {
  const desc = new Uint8Array(some.length * 16)
  some.forEach(({ index, size, offset }, i) => {
    for (const [j, value] of [index, size, offset, 0].entries())
      viewOf(desc).setUint32(i * 16 + j * 4, value, true)
  })
  return { owner: 'LINUX', type: 0x205, desc }
}

const noteBytes = ({ owner, type, desc }: MadeNote): Uint8Array => {
  const name = Buffer.from(`${owner}\0`)
  const bytes = new Uint8Array(12 + align(name.length, 4) + align(desc.length, 4))
  const view = viewOf(bytes)
  view.setUint32(0, name.length, true)
  view.setUint32(4, desc.length, true)
  view.setUint32(8, type, true)
  bytes.set(name, 12)
  bytes.set(desc, 12 + align(name.length, 4))
  return bytes
}

/** Where `buildCore` puts things. */
export const places = {
  32: { header: 52, entry: 32, offset: 4, vaddr: 8, filesz: 16, memsz: 20, flags: 24 },
  64: { header: 64, entry: 56, offset: 8, vaddr: 16, filesz: 32, memsz: 40, flags: 4 },
} as const

export const buildCore = (made: MadeCore): Buffer => {
  const { machine = 'x86_64', threads = [], segments, notes = [], skew = 0, xnum = false } = made
  const wide = machine === 'x86_64'
  const at = places[wide ? 64 : 32]
  const notesBytes = Buffer.concat(
    [...threads.map(thread => prstatus(machine, thread)), ...notes].map(noteBytes),
  )
  const count = segments.length + 1
  const section = at.header + count * at.entry
  const noteAt = section + (xnum ? 64 : 0)
  let end = align(noteAt + notesBytes.length, 4096) + skew
  const offsets = segments.map(({ bytes }) => {
    const offset = end
    end += bytes.length
    return offset
  })
  const file = Buffer.alloc(end)
  const view = viewOf(file)
  const word = (from: number, value: bigint): void => {
    if (wide) view.setBigUint64(from, value, true)
    else view.setUint32(from, Number(value), true)
  }
  file.write('\x7fELF', 'latin1')
  file.set([wide ? 2 : 1, 1, 1], 4)
  view.setUint16(16, 4, true)
  view.setUint16(18, machine === 'i386' ? 3 : 62, true)
  word(wide ? 32 : 28, BigInt(at.header))
  view.setUint16(wide ? 54 : 42, at.entry, true)
  view.setUint16(wide ? 56 : 44, xnum ? 0xffff : count, true)
  if (xnum) {
    word(wide ? 40 : 32, BigInt(section))
    view.setUint32(section + (wide ? 44 : 28), count, true)
  }
  const header = (i: number, type: number, flags: number, values: readonly bigint[]): void => {
    const from = at.header + i * at.entry
    view.setUint32(from, type, true)
    view.setUint32(from + at.flags, flags, true)
    const fields = [at.offset, at.vaddr, at.filesz, at.memsz]
    for (const [j, field] of fields.entries()) word(from + field, values[j] ?? 0n)
  }
  header(0, 4, 0, [BigInt(noteAt), 0n, BigInt(notesBytes.length), 0n])
  file.set(notesBytes, noteAt)
  segments.forEach(({ address, bytes, memory, flags = 6 }, i) => {
    const offset = offsets[i] as number
    header(i + 1, 1, flags, [BigInt(offset), address, BigInt(bytes.length), memory ?? BigInt(bytes.length)])
    file.set(bytes, offset)
  })
  return file
}

export interface MadeFrame {
  readonly abi?: Abi
  readonly layout?: Layout
  readonly seed?: number
  /** Of the XSAVE area. */
  readonly address: bigint
  /** What was interrupted; right above the frame if left out. */
  readonly rsp?: bigint
  readonly alternate?: { readonly start: bigint; readonly size: bigint }
  readonly fields?: Partial<Record<HeadField, bigint>>
}

export interface PlacedFrame extends BuiltFpstate {
  readonly abi: Abi
  readonly head: Uint8Array
  readonly address: bigint
  /** Where the handler's stack begins. */
  readonly start: bigint
  readonly rsp: bigint
}

/** As `align_sigframe` does. */
const startOf = (abi: Abi, lowest: bigint): bigint => {
  const { frameBytes } = frameShape(abi)
  const top = lowest - BigInt(frameBytes)
  return abi === 'ia32' || abi === 'ia32-rt' ? ((top + 4n) & ~15n) - 4n : (top & ~15n) - 8n
}

/** Writes a frame as the kernel does into the memory that begins at an address. */
export const placeFrame = (memory: Uint8Array, base: bigint, made: MadeFrame): PlacedFrame => {
  const { abi = 'x86_64', layout = avxLayout, seed = 1, address, alternate, fields = {} } = made
  const shape = frameShape(abi)
  const built = buildFpstate(layout, randomImage(layout, { seed }), abi)
  const lowest = address - BigInt(shape.fsaveSize)
  const start = startOf(abi, lowest)
  const rsp = made.rsp ?? address + BigInt(built.fpstate.length) + 160n
  const frame = new Uint8Array(shape.frameBytes)
  // What is told by no field: registers, siginfo.
  const recorded = new Uint8Array(shape.headBytes).map((_, i) => 1 + ((seed + 7 * i) % 255))
  const view = viewOf(recorded)
  const set = (field: HeadField, value: bigint): void => {
    const place = (shape.fields as Readonly<Record<string, FieldPlace>>)[field]
    if (place === undefined) return
    if (place.width === 8) view.setBigUint64(place.at, value, true)
    else if (place.width === 4) view.setUint32(place.at, Number(value), true)
    else view.setUint16(place.at, Number(value), true)
  }
  const values: Partial<Record<HeadField, bigint>> = {
    pretcode: 0x401000n,
    rip: 0x402000n,
    rsp,
    cs: shape.fsave ? 0x23n : 0x33n,
    ucFlags: 7n,
    ucLink: 0n,
    ucStackSp: alternate?.start ?? 0n,
    ucStackSize: alternate?.size ?? 0n,
    ucStackFlags: alternate === undefined ? 2n : 0n,
    sig: 10n,
    pinfo: start + 16n,
    puc: start + 144n,
    fpstate: lowest,
    ...fields,
  }
  for (const [field, value] of Object.entries(values)) set(field as HeadField, value)
  let from = 0
  for (const { offset, size } of shape.recorded) {
    frame.set(recorded.subarray(from, from + size), offset)
    from += size
  }
  const at = Number(start - base)
  memory.set(frame, at)
  if (built.fsave !== null) memory.set(built.fsave, Number(lowest - base))
  memory.set(built.fpstate, Number(address - base))
  return { ...built, abi, head: recorded, address, start, rsp }
}

export interface CountedSource extends ByteSource {
  /** Bytes that were read. */
  bytesRead(): number
  /** Bytes of the largest buffer that was ever filled. */
  largestBuffer(): number
}

/** A core file in memory that counts what is done to it. */
export const sourceOf = (bytes: Uint8Array, name = 'a.core'): CountedSource => {
  let done = 0
  let largest = 0
  return {
    name,
    size: bytes.length,
    read: async (into, position) => {
      largest = Math.max(largest, into.buffer.byteLength)
      const some = bytes.subarray(position, position + into.length)
      into.set(some)
      done += some.length
      return some.length
    },
    bytesRead: () => done,
    largestBuffer: () => largest,
  }
}
