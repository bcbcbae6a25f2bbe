/** How much of a collection a page shows. What is left out is said where it would stand. */

/** Characters of a text, of a name. */
export const longestText = 1000
export const longestName = 160

export const mostPlaces = 500
/** Rows and columns of a matrix of kernels and CPUs. */
export const mostKernels = 200
export const mostCpus = 60
/** Lines of a console, or of a kernel's log. */
export const mostLines = 40
/** Remarks on a host: warnings, deviations, options that a kernel lacks. */
export const mostRemarks = 20

export const mostLayouts = 60
/** Frames drawn over one another: of hosts, and in all. */
export const mostHostPictures = 12
export const mostPictures = 60

/** Hosts of a pair matrix. */
export const mostPairHosts = 60
/** Kinds of evidence, in all matrices together. */
export const mostEvidence = 2500
/** Of pairs with the same evidence, so many are named. */
export const mostAlike = 12
/** Frames of a pair. */
export const mostFrames = 40

export const mostGroups = 60
/** Of a group: cases told in full, ids, hosts, different observations. */
export const mostExamples = 2
export const mostIds = 60
export const mostGroupPlaces = 24
export const mostObserved = 5
/** Components of a case whose bytes are shown. */
export const mostComponents = 10
/** C programs; each takes some 60 KB. */
export const mostPrograms = 6

/** The first of a list, and how many are left out. */
export const firstOf = <T>(list: readonly T[], most: number): { shown: readonly T[]; more: number } => ({
  shown: list.slice(0, most),
  more: Math.max(0, list.length - most),
})

/** Markdown is pasted where there is less room. */
export const mostInMarkdown = {
  places: 100,
  columns: 20,
  layouts: 12,
  reasons: 12,
  groups: 20,
  components: 4,
  ids: 100,
  names: 5,
  lines: 20,
} as const
