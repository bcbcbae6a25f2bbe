/** What only the hardware knows: what XRSTOR makes of odd bytes. It is asked, with the same bytes and the same mask. */

/** XRSTOR or FXRSTOR of these bytes, in user mode. */
export interface HardwareAsk {
  readonly instruction: 'xrstor' | 'fxrstor'
  /** The area; what is missing up to the layout's size counts as zeros. */
  readonly bytes: Uint8Array
  /** The requested-feature bitmap. */
  readonly mask: bigint
  readonly misalignedBy: number
}

/** A fault, or what the registers hold then, as XSAVE writes them. */
export type HardwareAnswer = 'fault' | Uint8Array
