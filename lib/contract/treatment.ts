/**
 * What a kernel does with a frame, seen from the registers afterwards. Three answers cover the contract's
 * sizes and MAGICs; anything else is `unexplained`.
 */
export type Treatment =
  /** XRSTOR with the mask of the frame: its components from the frame, the rest to init. */
  | 'restored'
  /** The legacy 512 bytes alone, every other component to init, without a word. */
  | 'fx-only'
  /** SIGSEGV, si_code SI_KERNEL. */
  | 'rejected'

export type Observed = Treatment | 'unexplained'

/** A treatment in words, for reports. */
export const treatmentText: Readonly<Record<Observed, string>> = {
  restored: 'restored by XRSTOR',
  'fx-only': 'FX-only: legacy state restored, everything else silently at init',
  rejected: 'rejected with SIGSEGV',
  unexplained: 'something that no rule explains',
}
