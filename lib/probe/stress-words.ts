/** The words of stress requests: how a round has its signals, and how it can be lost. */

/**
 * How a round has its signals: sent by the thread to itself (`tgkill`), from 32-bit code (`tgkill32`), while timers
 * may interrupt (`mixed`); or from timers alone, while it spins (`spin`) or gives up its CPU (`yield`).
 */
export const ways = ['tgkill', 'tgkill32', 'mixed', 'spin', 'yield'] as const
export type Way = (typeof ways)[number]

/** `registers`: they were not what they had been; `signal`: it did not come, or came more than once. */
export const losses = ['registers', 'signal'] as const
export type LossKind = (typeof losses)[number]
