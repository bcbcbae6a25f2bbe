import { readFileSync } from 'node:fs'

/** What a 64-bit little-endian ELF file says of its stack and of the names it lends to others. */
export function readElf(path: string): { executableStack: boolean; exports: string[] } {
  const file = readFileSync(path)
  if (file.readUInt32BE(0) !== 0x7f454c46 || file[4] !== 2 || file[5] !== 1)
    throw new Error(`${path}: not ELF64`)
  return { executableStack: hasExecutableStack(file), exports: exportedNames(file) }
}

/** No PT_GNU_STACK at all means an executable stack too. */
function hasExecutableStack(file: Buffer): boolean {
  const PT_GNU_STACK = 0x6474e551
  const PF_X = 1
  for (const header of table(
    file,
    Number(file.readBigUInt64LE(32)),
    file.readUInt16LE(54),
    file.readUInt16LE(56),
  )) {
    if (header.readUInt32LE(0) === PT_GNU_STACK) return (header.readUInt32LE(4) & PF_X) !== 0
  }
  return true
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
