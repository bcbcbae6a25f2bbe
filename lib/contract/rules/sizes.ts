/**
 * The contract's rules on sizes and MAGICs, one sentence each, in the kernel's own order of decisions
 * (arch/x86/kernel/fpu/signal.c: `check_xstate_in_sigframe`, then `__fpu_restore_sig`).
 */
import type { Rule } from '../rule.ts'

const portableSeries = '3d69596c684b..391cac638edd'
const largerSeries = 'v3 09/10 and 10/10 of 15 June 2026, not merged'
const always = 'since sw bytes exist'

/** In the order in which the kernel decides. */
export const sizeRules = [
  {
    id: 'frame-describes-itself',
    sentence: 'The frame as written names its size, its components and both MAGICs as CPUID has them.',
    status: 'established',
    holds: 'restored',
    commit: always,
  },
  {
    id: 'untouched-frame-restores',
    sentence: 'A frame that goes back as it came restores every component.',
    status: 'established',
    holds: 'restored',
    commit: always,
  },
  {
    id: 'magic1-is-required',
    sentence: 'Without MAGIC1 only the legacy state is restored.',
    status: 'established',
    holds: 'fx-only',
    commit: always,
  },
  {
    id: 'size-below-576-is-fx-only',
    sentence: 'An xstate_size that has no room for the XSAVE header is not believed.',
    status: 'established',
    holds: 'fx-only',
    situation: 'a frame whose xstate_size has no room for the XSAVE header',
    under: ({ magic2At }) => (magic2At === 'user_size' ? 'restored' : 'fx-only'),
    commit: always,
  },
  {
    id: 'size-above-user-size-is-fx-only',
    sentence: 'An xstate_size above what the task has is not believed.',
    status: 'established',
    holds: 'fx-only',
    situation: 'a frame whose xstate_size is above what the task has',
    under: ({ magic2At, aboveUserSize }) =>
      magic2At === 'user_size' || aboveUserSize === 'believed' ? 'restored' : 'fx-only',
    commit: always,
  },
  {
    id: 'size-above-extended-size-is-fx-only',
    sentence: 'An xstate_size above extended_size is not believed.',
    status: 'established',
    holds: 'fx-only',
    situation: 'a frame whose xstate_size is above its extended_size',
    under: ({ magic2At }) => (magic2At === 'user_size' ? 'restored' : 'fx-only'),
    commit: always,
  },
  {
    id: 'extended-size-has-room-for-magic2',
    sentence: 'An extended_size that leaves no room for MAGIC2 is not believed.',
    status: 'since portable',
    holds: 'fx-only',
    situation: 'a frame whose extended_size leaves no room for MAGIC2',
    under: ({ magic2Room }) => (magic2Room === 'asked' ? 'fx-only' : 'restored'),
    commit: portableSeries,
  },
  {
    id: 'magic2-is-required',
    sentence: 'Without MAGIC2 behind the frame’s own xstate_size only the legacy state is restored.',
    status: 'established',
    holds: 'fx-only',
    commit: always,
  },
  {
    id: 'magic2-is-readable',
    sentence: 'A MAGIC2 that cannot be read is a SIGSEGV.',
    status: 'established',
    holds: 'rejected',
    commit: always,
  },
  {
    id: 'too-small-is-rejected',
    sentence: 'An xstate_size that is too small for the frame’s own xfeatures is a SIGSEGV.',
    status: 'since portable',
    holds: 'rejected',
    situation: 'a frame whose xstate_size is too small for its xfeatures',
    // Where MAGIC2 is not looked for behind the frame, it is not found either.
    under: ({ magic2At, tooSmall }) =>
      magic2At === 'user_size' ? 'fx-only' : tooSmall === 'rejected' ? 'rejected' : 'restored',
    commit: portableSeries,
  },
  {
    id: 'shrunk-frame-restores',
    sentence: 'A frame from a CPU with fewer components restores in full.',
    status: 'established',
    holds: 'restored',
    situation: 'a frame from a CPU with fewer components',
    under: ({ magic2At }) => (magic2At === 'user_size' ? 'fx-only' : 'restored'),
    commit: 'broken by dc8aa31a7ac2, repaired by 44eeff9bc467',
  },
  {
    id: 'left-out-components-go-to-init',
    sentence: 'Components that the frame’s xfeatures leave out go to their init state.',
    status: 'established',
    holds: 'restored',
    commit: always,
  },
  {
    id: 'larger-frame-restores',
    sentence: 'A frame from a CPU with more components restores what this one has.',
    status: 'proposed',
    holds: 'restored',
    situation: 'a frame from a CPU with more components',
    under: ({ aboveUserSize }) => (aboveUserSize === 'believed' ? 'restored' : 'fx-only'),
    commit: largerSeries,
  },
  {
    id: 'unsupported-xfeatures-are-rejected',
    sentence: 'A larger frame with a component in XSTATE_BV that this CPU lacks is a SIGSEGV.',
    status: 'proposed',
    holds: 'rejected',
    situation: 'a larger frame with a component in XSTATE_BV that this CPU lacks',
    under: ({ aboveUserSize }) => (aboveUserSize === 'believed' ? 'rejected' : 'fx-only'),
    commit: largerSeries,
  },
] as const satisfies readonly Rule[]
