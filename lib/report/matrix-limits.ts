/** How large a pair matrix in a file may be: looked at before the schema is. */

/** Bytes of a file; the catalogue's own has about one in sixty of it. */
export const largestMatrix = 64 << 20
export const mostHosts = 256
export const mostPairs = 100_000
/** Frames of a pair: there are hardly more than three. */
export const longestFrames = 66
/** Components have 64 bits, and MXCSR is one more. */
export const longestNames = 65
