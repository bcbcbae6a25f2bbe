/** The shared libraries that the running Node has loaded, the addon's and the loader itself among them. */

/** As Node 20 has it; @types/node lags behind. */
interface Report {
  excludeNetwork?: boolean
  getReport(): unknown
}

/** Absolute paths. Asked of Node itself: no tool is needed, and what was loaded is what is needed. */
export const loadedLibraries = (): readonly string[] => {
  const report = process.report as unknown as Report
  const before = report.excludeNetwork ?? false
  // Otherwise it looks up the names of open connections.
  report.excludeNetwork = true
  try {
    const { sharedObjects = [] } = report.getReport() as { sharedObjects?: readonly string[] }
    return sharedObjects.filter(path => path.startsWith('/') && /\.so(\.|$)/.test(path))
  } finally {
    report.excludeNetwork = before
  }
}
