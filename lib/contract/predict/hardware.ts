/** What only the hardware knows: what XRSTOR makes of odd bytes. It is asked, with the same bytes and the same mask. */

/** XRSTOR or FXRSTOR of these bytes, in user mode. */
export interface HardwareAsk {
  readonly instruction: 'xrstor' | 'fxrstor'
  /** The area; what is missing up to the layout's size counts as zeros. */
  readonly bytes: Uint8Array
  /** The requested-feature bitmap. */
  readonly mask: bigint
  readonly misalignedBy: number
  /** How many of the bytes can be read, where that is less than all. */
  readonly endsAt: number | null
}

/** A fault by what the bytes say, or by where they end; or what the registers hold then, as XSAVE writes them. */
export type HardwareAnswer = 'fault' | 'page fault' | Uint8Array
