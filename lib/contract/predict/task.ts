/** What of a host, its kernel's build and a task's permissions decides on a return. */
import type { Layout } from '../../xstate/layout.ts'

export interface Task {
  /** Where the task's components lie: the kernel's user_size and user features for it. */
  readonly layout: Layout
  /**
   * Whether the kernel's own buffers and its init image are compacted: with XSAVEC or XSAVES (X86_FEATURE_XCOMPACTED).
   * MXCSR is SSE's in them.
   */
  readonly compacts: boolean
  /** Whether XRSTOR loads MXCSR for AVX alone (SDM volume 1, 13.8.1): emulators may not. */
  readonly avxLoadsMxcsr: boolean
  /** Whether XRSTOR loads FOP, FIP and FDP where an exception is pending: emulators may keep their own. */
  readonly keepsPointers: boolean
  /** Whether ZMM_Hi256, a component of its own, stays where AVX alone is put to init: emulators may clear it, too. */
  readonly keepsZmmHi256: boolean
}
