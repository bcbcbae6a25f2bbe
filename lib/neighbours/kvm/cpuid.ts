/** What a guest is told by CPUID: struct kvm_cpuid2 and its entries. */
import { checkInteger, checkRecord, wrongType } from '../../errors.ts'

/** struct kvm_cpuid_entry2: a leaf of CPUID, and a subleaf where it has some. */
export interface CpuidEntry {
  readonly function: number
  readonly index: number
  /** Bit 0: the index counts. */
  readonly flags: number
  readonly eax: number
  readonly ebx: number
  readonly ecx: number
  readonly edx: number
}

const fields = ['function', 'index', 'flags', 'eax', 'ebx', 'ecx', 'edx'] as const
const headBytes = 8
const entryBytes = 40
const u32 = 0xffff_ffff
/** KVM_MAX_CPUID_ENTRIES: of more the kernel says E2BIG. */
export const mostEntries = 256

/** Bytes of a list of so many. */
export const listBytesOf = (entries: number): number => headBytes + entries * entryBytes

/** An empty list with room for so many. */
export const emptyList = (entries: number): Uint8Array => {
  const bytes = new Uint8Array(listBytesOf(entries))
  new DataView(bytes.buffer).setUint32(0, entries, true)
  return bytes
}

/** @throws TypeError, RangeError that name entry, field, value and limit */
export const encodeEntries = (entries: readonly CpuidEntry[]): Uint8Array => {
  if (!Array.isArray(entries)) throw wrongType('entries', entries, 'an array of entries')
  const count = checkInteger('entries.length', entries.length, 0, mostEntries)
  const bytes = emptyList(count)
  const view = new DataView(bytes.buffer)
  // Not forEach, which passes holes over.
  for (let i = 0; i < count; i++) {
    const record = checkRecord(`entries[${i}]`, entries[i])
    fields.forEach((name, k) => {
      const value = checkInteger(`entries[${i}].${name}`, record[name], 0, u32)
      view.setUint32(headBytes + i * entryBytes + 4 * k, value, true)
    })
  }
  return bytes
}

/** What a kernel wrote: no more entries than there was room for. */
export const decodeEntries = (bytes: Uint8Array): CpuidEntry[] => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const count = Math.min(view.getUint32(0, true), Math.floor((bytes.length - headBytes) / entryBytes))
  return Array.from({ length: count }, (_, i) => {
    const at = headBytes + i * entryBytes
    const field = (k: number): number => view.getUint32(at + 4 * k, true)
    return {
      function: field(0),
      index: field(1),
      flags: field(2),
      eax: field(3),
      ebx: field(4),
      ecx: field(5),
      edx: field(6),
    }
  })
}

/** CPUID leaf 0xD: what of XSAVE a CPU has. */
const xsaveLeaf = 0xd

const isFeatures = ({ function: leaf, index }: CpuidEntry): boolean => leaf === xsaveLeaf && index === 0

/** The components that these entries let a guest have: CPUID.(0xD,0):EDX:EAX. */
export const featuresOfCpuid = (entries: readonly CpuidEntry[]): bigint => {
  const found = entries.find(isFeatures)
  return found === undefined ? 0n : (BigInt(found.edx) << 32n) | BigInt(found.eax)
}

/** And the bytes that their standard format takes, with all of them: CPUID.(0xD,0):ECX. */
export const sizeOfCpuid = (entries: readonly CpuidEntry[]): number => entries.find(isFeatures)?.ecx ?? 0

/** The same entries, with other components. */
export const withFeatures = (entries: readonly CpuidEntry[], features: bigint): CpuidEntry[] =>
  entries.map(entry =>
    isFeatures(entry)
      ? { ...entry, eax: Number(features & 0xffff_ffffn), edx: Number(features >> 32n) }
      : entry,
  )
