/**
 * The notes of a core file: its threads, and what they say of the extended state. Sources: fs/binfmt_elf.c (the order
 * and form of notes), include/linux/elfcore.h and arch/x86/include/asm/user_64.h, user_32.h (`struct elf_prstatus`),
 * arch/x86/kernel/fpu/xstate.c (`dump_xsave_layout_desc`), arch/x86/include/uapi/asm/elf.h.
 */
import { createLayout, type Layout, type LayoutComponent, legacyFeatures } from '../xstate/layout.ts'
import type { CoreThread } from './core.ts'
import type { CoreHeader, CoreMachine, NoteSegment } from './header.ts'
import type { ByteSource } from './source.ts'
import { plural } from './words.ts'

/** A thread and what tells where its stack may end. */
export interface NotedThread extends CoreThread {
  /** Its thread-local storage, which C libraries keep at the top of the thread's stack; null where not known. */
  readonly fsBase: bigint | null
}

export interface CoreNotes {
  readonly threads: readonly NotedThread[]
  readonly xcr0: bigint | null
  readonly mxcsrMask: number
  readonly components: readonly LayoutComponent[] | null
  readonly gaps: readonly string[]
}

const ntPrstatus = 1
const ntXstate = 0x202
const ntXsaveLayout = 0x205

const noteHead = 12
const longestName = 32
/** Of the bytes of a note that are looked at: XCR0 ends at 472. */
const mostDesc = 4096
const mostThreads = 1 << 18
const windowSize = 1 << 16
const noteAlignment = 4

/** Where prstatus has what, for each form: told apart by their sizes. */
const prstatusForms: Readonly<
  Record<
    CoreMachine,
    { size: number; pid: number; width: 4 | 8; ip: number; sp: number; fsBase: number | null }
  >
> = {
  x86_64: { size: 336, pid: 32, width: 8, ip: 240, sp: 264, fsBase: 280 },
  x32: { size: 296, pid: 24, width: 8, ip: 200, sp: 224, fsBase: 240 },
  i386: { size: 144, pid: 24, width: 4, ip: 120, sp: 132, fsBase: null },
}

const threadOf = (machine: CoreMachine, desc: DataView): NotedThread | null => {
  const form = prstatusForms[machine]
  if (desc.byteLength < form.size) return null
  const read = (at: number): bigint =>
    form.width === 8 ? desc.getBigUint64(at, true) : BigInt(desc.getUint32(at, true))
  const { ip, sp, fsBase } = form
  return {
    pid: desc.getInt32(form.pid, true),
    rsp: read(sp),
    rip: read(ip),
    fsBase: fsBase === null ? null : read(fsBase),
  }
}

const componentSize = 16

const componentsOf = (desc: DataView): LayoutComponent[] =>
  Array.from({ length: Math.floor(desc.byteLength / componentSize) }, (_, i) => {
    const [index = 0, size = 0, offset = 0] = [0, 4, 8].map(at =>
      desc.getUint32(i * componentSize + at, true),
    )
    // What the note does not say is as every CPU has it, as far as is known: only tile data can be disabled by XFD.
    return { index, size, offset, alignedCompacted: false, supervisor: false, xfd: index === 18 }
  })

interface Note {
  readonly owner: string
  readonly type: number
  /** Its first bytes. */
  readonly desc: DataView
  readonly descSize: number
}

/** Reads forward, through a buffer. */
const forwardReader = (source: ByteSource, most: number) => {
  const buffer = new Uint8Array(Math.min(windowSize, most))
  let start = 0
  let end = 0
  /** So many bytes from there on, or fewer where the file ends; good until the next call. */
  return async (position: number, length: number): Promise<Uint8Array> => {
    if (position < start || position + length > end) {
      start = position
      end = position + (await source.read(buffer, position))
    }
    return buffer.subarray(position - start, Math.min(position - start + length, end - start))
  }
}

const aligned = (size: number): number => Math.ceil(size / noteAlignment) * noteAlignment

/** The notes of a segment; the last thing that it yields is a gap where the notes do not fill it. */
async function* notesOf(source: ByteSource, segment: NoteSegment): AsyncGenerator<Note | string> {
  const end = segment.offset + segment.size
  const read = forwardReader(
    source,
    Math.max(noteHead + longestName + mostDesc, Math.min(windowSize, segment.size)),
  )
  for (let at = segment.offset; at + noteHead <= end; ) {
    const head = await read(at, noteHead)
    if (head.length < noteHead) return
    const view = new DataView(head.buffer, head.byteOffset, noteHead)
    const [nameSize, descSize, type] = [0, 4, 8].map(i => view.getUint32(i, true)) as [number, number, number]
    const descAt = at + noteHead + aligned(nameSize)
    const next = descAt + aligned(descSize)
    if (descAt + descSize > end) {
      yield `the note at offset ${at} (namesz ${nameSize}, descsz ${descSize}) does not end within its segment, at ${end}`
      return
    }
    const owner = nameSize > longestName ? '' : String.fromCharCode(...(await read(at + noteHead, nameSize)))
    const desc = await read(descAt, Math.min(descSize, mostDesc))
    yield {
      owner: owner.replace(/\0.*$/s, ''),
      type,
      desc: new DataView(desc.buffer, desc.byteOffset, desc.byteLength),
      descSize,
    }
    at = next
  }
}

const xcr0At = 464
const mxcsrMaskAt = 28
const xsaveStart = 576

/** Segments that lie side by side, in the order of the file: what several claim counts once. */
const apart = (segments: readonly NoteSegment[]): NoteSegment[] => {
  const kept: NoteSegment[] = []
  let done = 0
  for (const { offset, size } of segments.toSorted((a, b) => a.offset - b.offset)) {
    if (size > 0 && offset >= done) {
      kept.push({ offset, size })
      done = offset + size
    }
  }
  return kept
}

/** All that the notes say. What is wrong with them is a gap. */
export const readNotes = async (source: ByteSource, header: CoreHeader): Promise<CoreNotes> => {
  const threads: NotedThread[] = []
  const gaps: string[] = []
  let xcr0: bigint | null = null
  let mxcsrMask = 0
  let components: LayoutComponent[] | null = null
  let unkept = 0
  const segments = apart(header.notes)
  const overlapping = header.notes.filter(({ size }) => size > 0).length - segments.length
  if (overlapping > 0)
    gaps.push(`${plural(overlapping, 'segment')} of notes not looked at: others overlap them`)
  for (const segment of segments) {
    for await (const note of notesOf(source, segment)) {
      if (typeof note === 'string') {
        gaps.push(note)
        continue
      }
      const { owner, type, desc, descSize } = note
      if (owner === 'CORE' && type === ntPrstatus) {
        const thread = threadOf(header.machine, desc)
        if (thread === null || threads.length >= mostThreads) unkept++
        else threads.push(thread)
      } else if (owner === 'LINUX' && type === ntXstate && xcr0 === null) {
        if (descSize >= xsaveStart && desc.byteLength >= xsaveStart) {
          xcr0 = desc.getBigUint64(xcr0At, true)
          mxcsrMask = desc.getUint32(mxcsrMaskAt, true)
        }
      } else if (owner === 'LINUX' && type === ntXsaveLayout && components === null) {
        components = componentsOf(desc)
      }
    }
  }
  if (unkept > 0)
    gaps.push(
      `${plural(unkept, 'thread')} not looked at: an NT_PRSTATUS is too short, or there are more than ${mostThreads}`,
    )
  if (threads.length === 0) gaps.push('no thread is known: no NT_PRSTATUS')
  return { threads, xcr0, mxcsrMask, components, gaps }
}

const xtiledata = 1n << 18n

/**
 * The layout of the process's frames. Tile data joins a task's frames on its first use: whether it is in them, only
 * frames can say.
 * @returns the reason as a gap where the notes contradict themselves
 */
export const layoutOf = (notes: CoreNotes, frameFeatures: bigint): Layout | string | null => {
  const { xcr0, components, mxcsrMask } = notes
  if (xcr0 === null || xcr0 === 0n || components === null) return null
  const listed = components.reduce((mask, { index }) => mask | (1n << BigInt(index % 64)), legacyFeatures)
  const userFeatures = xcr0 & listed & ~(xtiledata & ~frameFeatures)
  try {
    return createLayout({ vendor: '', xcr0, userFeatures, components, mxcsrMask })
  } catch (error) {
    return `NT_X86_XSAVE_LAYOUT is of no use: ${(error as Error).message}`
  }
}
