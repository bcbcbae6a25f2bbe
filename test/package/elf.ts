import { readFileSync } from 'node:fs'

/** What a 64-bit little-endian ELF file says of its stack and of the names it lends to others. */
export function readElf(path: string): { executableStack: boolean; exports: string[] } {
  const file = readElf64(path)
  return { executableStack: hasExecutableStack(file), exports: exportedNames(file) }
}

/** Where its code is to be, by PT_LOAD: addresses; `end` is the first behind it. */
export function readCode(path: string): { start: bigint; end: bigint }[] {
  const PT_LOAD = 1
  return segments(readElf64(path), PT_LOAD)
    .filter(isExecutable)
    .map(header => {
      const start = header.readBigUInt64LE(16)
      return { start, end: start + header.readBigUInt64LE(40) }
    })
}

/** Whether another program has to load it, with the libraries that it needs. */
export function needsLoader(path: string): boolean {
  const PT_INTERP = 3
  return segments(readElf64(path), PT_INTERP).length > 0
}

function readElf64(path: string): Buffer {
  const file = readFileSync(path)
  if (file.readUInt32BE(0) !== 0x7f454c46 || file[4] !== 2 || file[5] !== 1)
    throw new Error(`${path}: not ELF64`)
  return file
}

/** The program headers of one type. */
function segments(file: Buffer, type: number): Buffer[] {
  const at = Number(file.readBigUInt64LE(32))
  return table(file, at, file.readUInt16LE(54), file.readUInt16LE(56)).filter(
    header => header.readUInt32LE(0) === type,
  )
}

function isExecutable(header: Buffer): boolean {
  const PF_X = 1
  return (header.readUInt32LE(4) & PF_X) !== 0
}

/** No PT_GNU_STACK at all means an executable stack too. */
function hasExecutableStack(file: Buffer): boolean {
  const PT_GNU_STACK = 0x6474e551
  const [stack] = segments(file, PT_GNU_STACK)
  return stack === undefined || isExecutable(stack)
}

function exportedNames(file: Buffer): string[] {
  const SHT_DYNSYM = 11
  const SHN_UNDEF = 0
  const sections = table(file, Number(file.readBigUInt64LE(40)), file.readUInt16LE(58), file.readUInt16LE(60))
  const contents = (section: Buffer) => {
    const offset = Number(section.readBigUInt64LE(24))
    return file.subarray(offset, offset + Number(section.readBigUInt64LE(32)))
  }
  const names: string[] = []
  for (const section of sections.filter(s => s.readUInt32LE(4) === SHT_DYNSYM)) {
    const strings = contents(sections[section.readUInt32LE(40)]!)
    for (const symbol of table(contents(section), 0, 24, contents(section).length / 24)) {
      const local = symbol[4]! >> 4 === 0
      if (local || symbol.readUInt16LE(6) === SHN_UNDEF) continue
      const start = symbol.readUInt32LE(0)
      names.push(strings.toString('latin1', start, strings.indexOf(0, start)))
    }
  }
  return names.sort()
}

function table(file: Buffer, offset: number, size: number, count: number): Buffer[] {
  return Array.from({ length: count }, (_, i) => file.subarray(offset + i * size, offset + (i + 1) * size))
}
