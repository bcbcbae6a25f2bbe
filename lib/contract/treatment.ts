/** What a kernel does with a frame. Anything else is `unexplained`. */
export type Treatment =
  /** XRSTOR with the mask of the frame: its components from the frame, the rest to init. */
  | 'restored'
  /** The legacy 512 bytes alone, every other component to init, without a word. */
  | 'fx-only'
  /** SIGSEGV, si_code SI_KERNEL, and all user state at init. */
  | 'rejected'
  /** All user state at init, without a signal. */
  | 'init'
  /** Restored; then a signal from where the frame led. */
  | 'astray'
  /** The process is ended by SIGSEGV at the return. */
  | 'killed'
  /** SIGSEGV, si_code SI_KERNEL, instead of a frame. */
  | 'undelivered'
  /** Of what is set through another door than a frame: an errno, and no register changed. */
  | 'refused'
  /** Of the same: no error, and the register as it was all the same. */
  | 'kept'
  /** Of what a process was given: gone once it executes another program. */
  | 'forgotten'
  /** For rules that are no treatment of one frame: as the rule says. */
  | 'as-stated'

export type Observed = Treatment | 'unexplained'

/** A treatment in words, for reports. */
export const treatmentText: Readonly<Record<Observed, string>> = {
  restored: 'restored by XRSTOR',
  'fx-only': 'FX-only: legacy state restored, everything else silently at init',
  rejected: 'rejected with SIGSEGV',
  init: 'all user state at init',
  astray: 'restored, then a signal from where the frame led',
  killed: 'the process ended by SIGSEGV',
  undelivered: 'SIGSEGV instead of a frame',
  refused: 'refused with an errno, nothing changed',
  kept: 'taken without error, and not heeded',
  forgotten: 'gone with the program that had it',
  'as-stated': 'as the rule says',
  unexplained: 'something that no rule explains',
}
