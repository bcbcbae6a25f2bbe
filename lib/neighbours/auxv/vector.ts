/** The auxiliary vector: what the kernel tells a program as it executes it. Types as in include/uapi/linux/auxvec.h. */

export type AuxVector = ReadonlyMap<number, bigint>

export const auxType = {
  hwcap: 16,
  hwcap2: 26,
  hwcap3: 29,
  hwcap4: 30,
  sysinfoEhdr: 33,
  minsigstksz: 51,
} as const
export type AuxName = keyof typeof auxType

/** What says which features a program may use. On x86 the kernel gives the first two. */
export const hwcaps = ['hwcap', 'hwcap2', 'hwcap3', 'hwcap4'] as const satisfies readonly AuxName[]

const spelt: Readonly<Record<AuxName, string>> = {
  hwcap: 'AT_HWCAP',
  hwcap2: 'AT_HWCAP2',
  hwcap3: 'AT_HWCAP3',
  hwcap4: 'AT_HWCAP4',
  sysinfoEhdr: 'AT_SYSINFO_EHDR',
  minsigstksz: 'AT_MINSIGSTKSZ',
}

/** `AT_HWCAP2`. */
export const auxSpelt = (name: AuxName): string => spelt[name]

/** An entry, or undefined where the vector has none. */
export const auxEntry = (vector: AuxVector, name: AuxName): bigint | undefined => vector.get(auxType[name])

const entry32 = 8

/** The vector of a 32-bit program, as /proc has it: pairs of 32-bit words up to AT_NULL. */
export const parseAuxv32 = (bytes: Uint8Array): AuxVector => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const vector = new Map<number, bigint>()
  for (let at = 0; at + entry32 <= bytes.length; at += entry32) {
    const type = view.getUint32(at, true)
    if (type === 0) break
    vector.set(type, BigInt(view.getUint32(at + 4, true)))
  }
  return vector
}
