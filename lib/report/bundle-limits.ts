/**
 * How large a bundle may be. Looked at before the schema is: that goes on after a wrong element and remembers each,
 * so that a hostile file could have it fill the memory.
 */

/** Bytes of a file; a run of all that there is has less than a hundredth of it. */
export const largestBundle = 64 << 20
/** Elements of an array or an object; the schema's own limits are below. */
export const longestArray = 10_000
export const longestCases = 100_000
/** Levels. */
export const deepest = 8
