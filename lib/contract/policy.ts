/** What kernels have decided differently about signal frames over time: the only things that make a generation. */

/** How a kernel goes about the fpstate of a frame that is returned from. */
export interface Policy {
  /**
   * Where MAGIC2 is looked for: where the frame's xstate_size says, or at the task's own user_size; the latter does not
   * look at the frame's sizes at all. dc8aa31a7ac2, undone by 44eeff9bc467.
   */
  readonly magic2At: 'xstate_size' | 'user_size'
  /** An xstate_size above user_size: what is proposed is to believe it. */
  readonly aboveUserSize: 'fx-only' | 'believed'
  /** Whether extended_size has to leave room for MAGIC2 behind xstate_size. 3d69596c684b..391cac638edd. */
  readonly magic2Room: 'not asked' | 'asked'
  /** An xstate_size that does not hold the components of the frame's own xfeatures. 3d69596c684b..391cac638edd. */
  readonly tooSmall: 'read beyond' | 'rejected'
  /** How much is faulted in where XRSTOR meets a page fault. 3d69596c684b..391cac638edd. */
  readonly faultsIn: 'user_size' | 'required size'
}
