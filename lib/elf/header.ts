/**
 * The ELF header and the program headers of a core file. Source: the ELF specification (gABI 4, chapters 4 and 5),
 * elf(5). Nothing in them is trusted: a field that cannot be is an error, a file that is cut off is not.
 */
import { viewOf } from '../bytes.ts'
import { hex } from '../errors.ts'
import { type CoreFileError, wrongCore, wrongCoreField } from './error.ts'
import type { ByteSource } from './source.ts'
import { plural } from './words.ts'

/** Which programs the file's process ran. */
export type CoreMachine = 'x86_64' | 'x32' | 'i386'

/** A PT_LOAD: consecutive memory, and what the file has of it. */
export interface Segment {
  readonly address: bigint
  /** Bytes of memory: p_memsz. */
  readonly memory: bigint
  /** Of its first byte in the file. */
  readonly offset: number
  /** Bytes that the file really has. */
  readonly size: number
  /** PF_R 4, PF_W 2, PF_X 1. */
  readonly flags: number
}

/** A PT_NOTE: what the file really has of it. */
export interface NoteSegment {
  readonly offset: number
  readonly size: number
}

export interface CoreHeader {
  readonly machine: CoreMachine
  /** In the file's order. */
  readonly segments: readonly Segment[]
  readonly notes: readonly NoteSegment[]
  readonly gaps: readonly string[]
}

/** Linux allows 65530 mappings unless it is told otherwise. */
const mostSegments = 1 << 18
const mostNotes = 1 << 10

const ptLoad = 1
const ptNote = 4
const pnXnum = 0xffff
const tableChunk = 1 << 16

/** Where the fields lie in each class. Widths: `word` is 4 or 8 bytes, the others are as in both. */
const forms = {
  1: {
    word: 4,
    header: 52,
    phoff: 28,
    shoff: 32,
    phentsize: 42,
    phnum: 44,
    entry: 32,
    p: { flags: 24, offset: 4, vaddr: 8, filesz: 16, memsz: 20 },
    section: { size: 40, info: 28 },
  },
  2: {
    word: 8,
    header: 64,
    phoff: 32,
    shoff: 40,
    phentsize: 54,
    phnum: 56,
    entry: 56,
    p: { flags: 4, offset: 8, vaddr: 16, filesz: 32, memsz: 40 },
    section: { size: 64, info: 44 },
  },
} as const

type Form = (typeof forms)[1 | 2]

const packed: readonly (readonly [magic: number, name: string])[] = [
  [0xfd2fb528, 'zstd'],
  [0x184d2204, 'lz4'],
  [0x587a37fd, 'xz'],
  [0x88b1f, 'gzip'],
]

const wordAt = (view: DataView, at: number, form: Form): bigint =>
  form.word === 8 ? view.getBigUint64(at, true) : BigInt(view.getUint32(at, true))

const notElf = (source: ByteSource, view: DataView): CoreFileError => {
  const first = view.byteLength < 4 ? 0 : view.getUint32(0, true)
  const name = packed.find(([magic]) => first === magic || (first & 0xff_ffff) === magic)?.[1]
  return wrongCore(
    source.name,
    name === undefined ? 'is no ELF file' : `is packed by ${name}: unpack it first`,
  )
}

const elfMagic = 0x464c457f
const machineOf: Readonly<Record<string, CoreMachine>> = { '2/62': 'x86_64', '1/62': 'x32', '1/3': 'i386' }

interface Ident {
  readonly form: Form
  readonly machine: CoreMachine
  readonly view: DataView
}

const readIdent = async (source: ByteSource): Promise<Ident> => {
  const bytes = new Uint8Array(Math.min(source.size, forms[2].header))
  const view = viewOf(bytes.subarray(0, await source.read(bytes, 0)))
  if (view.byteLength < 20 || view.getUint32(0, true) !== elfMagic) throw notElf(source, view)
  const wrong = (field: string, at: number, value: number, limit: string): CoreFileError =>
    wrongCoreField(source.name, field, at, value, limit)
  const elfClass = view.getUint8(4)
  if (elfClass !== 1 && elfClass !== 2)
    throw wrong('EI_CLASS', 4, elfClass, 'must be 1 (32-bit) or 2 (64-bit)')
  if (view.getUint8(5) !== 1) throw wrong('EI_DATA', 5, view.getUint8(5), 'must be 1 (little-endian)')
  const type = view.getUint16(16, true)
  if (type !== 4) throw wrong('e_type', 16, type, 'must be 4 (ET_CORE)')
  const machine = machineOf[`${elfClass}/${view.getUint16(18, true)}`]
  if (machine === undefined)
    throw wrong('e_machine', 18, view.getUint16(18, true), 'must be 62 (x86-64) or, where 32-bit, 3 (i386)')
  const form = forms[elfClass]
  if (view.byteLength < form.header)
    throw wrongCore(
      source.name,
      `ends after ${view.byteLength} bytes, within its ELF header of ${form.header}`,
    )
  return { form, machine, view }
}

/** How many program headers there are: from 65535 on, section header 0 says it. */
const countOf = async (source: ByteSource, { form, view }: Ident): Promise<number> => {
  const count = view.getUint16(form.phnum, true)
  if (count !== pnXnum) return count
  const at = wordAt(view, form.shoff, form)
  const wrong = (limit: string): CoreFileError =>
    wrongCoreField(source.name, 'e_shoff', form.shoff, at, limit)
  if (at < form.header) throw wrong(`but e_phnum is ${hex(pnXnum)}: must be the place of section header 0`)
  if (at + BigInt(form.section.size) > source.size)
    throw wrong(`its section header 0 must end within the file's ${source.size} bytes`)
  const section = new Uint8Array(form.section.size)
  if ((await source.read(section, Number(at))) < section.length) throw wrong('where the file ends')
  return viewOf(section).getUint32(form.section.info, true)
}

interface Table {
  readonly at: number
  readonly count: number
  readonly entry: number
}

const tableOf = async (source: ByteSource, ident: Ident): Promise<Table> => {
  const { form, view } = ident
  const wrong = (field: string, at: number, value: number | bigint, limit: string): CoreFileError =>
    wrongCoreField(source.name, field, at, value, limit)
  const at = wordAt(view, form.phoff, form)
  const count = await countOf(source, ident)
  const entry = view.getUint16(form.phentsize, true)
  if (count === 0) throw wrong('e_phnum', form.phnum, count, 'must be at least 1')
  if (entry < form.entry) throw wrong('e_phentsize', form.phentsize, entry, `must be at least ${form.entry}`)
  if (at < form.header) throw wrong('e_phoff', form.phoff, at, `must be at least ${form.header}`)
  if (at + BigInt(count) * BigInt(entry) > source.size)
    throw wrong(
      'e_phoff',
      form.phoff,
      at,
      `its ${count} program headers of ${entry} bytes must end within the file's ${source.size} bytes`,
    )
  return { at: Number(at), count, entry }
}

/** The entries of the table, some at a time. */
async function* entriesOf(
  source: ByteSource,
  { at, count, entry }: Table,
): AsyncGenerator<readonly [DataView, index: number, offset: number]> {
  const some = Math.max(1, Math.min(count, Math.floor(tableChunk / entry)))
  const bytes = new Uint8Array(some * entry)
  const view = viewOf(bytes)
  for (let first = 0; first < count; first += some) {
    const now = Math.min(some, count - first)
    const read = await source.read(bytes.subarray(0, now * entry), at + first * entry)
    if (read < now * entry) throw wrongCore(source.name, `ends within its program headers`)
    for (let i = 0; i < now; i++) {
      const offset = at + (first + i) * entry
      yield [new DataView(view.buffer, i * entry, entry), first + i, offset]
    }
  }
}

/** A range of the file as it says, and as it is. */
const clip = (source: ByteSource, offset: bigint, size: bigint): NoteSegment => {
  const start = offset < source.size ? Number(offset) : source.size
  const rest = source.size - start
  return { offset: start, size: size < rest ? Number(size) : rest }
}

const addressEnd = { 4: 1n << 32n, 8: 1n << 64n } as const

/** A core file's headers. @throws CoreFileError */
export const readHeader = async (source: ByteSource): Promise<CoreHeader> => {
  const ident = await readIdent(source)
  const { form } = ident
  const table = await tableOf(source, ident)
  const segments: Segment[] = []
  const notes: NoteSegment[] = []
  let missing = 0n
  let cut = 0
  let unkept = 0
  let absent = 0n
  for await (const [view, index, at] of entriesOf(source, table)) {
    const type = view.getUint32(0, true)
    if (type !== ptLoad && type !== ptNote) continue
    const [offset, address, size, memory] = (['offset', 'vaddr', 'filesz', 'memsz'] as const).map(field =>
      wordAt(view, form.p[field], form),
    ) as [bigint, bigint, bigint, bigint]
    const clipped = clip(source, offset, size)
    if (clipped.size < size) {
      cut++
      missing += size - BigInt(clipped.size)
    }
    if (type === ptNote) {
      if (notes.length >= mostNotes) unkept++
      else notes.push(clipped)
      continue
    }
    const wrong = (field: keyof Form['p'], value: bigint, limit: string): CoreFileError =>
      wrongCoreField(source.name, `p_${field} of program header ${index}`, at + form.p[field], value, limit)
    if (size > memory) throw wrong('filesz', size, `must be at most its p_memsz, ${hex(memory)}`)
    if (address + memory > addressEnd[form.word])
      throw wrong(
        'memsz',
        memory,
        `must end by ${hex(addressEnd[form.word])} from p_vaddr ${hex(address)} on`,
      )
    const flags = view.getUint32(form.p.flags, true) & 7
    if ((flags & 2) !== 0) absent += memory - size
    if (memory === 0n) continue
    if (segments.length >= mostSegments) unkept++
    else segments.push({ address, memory, ...clipped, flags })
  }
  const gaps: string[] = []
  if (cut > 0)
    gaps.push(
      `the file is cut off: ${plural(missing, 'byte')} of ${plural(cut, 'segment')} beyond its ${source.size}`,
    )
  if (absent > 0n) gaps.push(`${plural(absent, 'byte')} of writable memory not in the file`)
  if (unkept > 0)
    gaps.push(
      `${plural(unkept, 'segment')} beyond the first ${mostSegments} (of notes: ${mostNotes}) not looked at`,
    )
  return { machine: ident.machine, segments, notes, gaps }
}
