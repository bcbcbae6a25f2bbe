// Sums vitest's JSON reports into one line: `N passed, N failed, N skipped`. A report that is missing, and a test file
// that failed as a whole, count as one failure each. No test at all is a failure.
import { readFileSync } from 'node:fs'

let passed = 0
let failed = 0
let skipped = 0
for (const path of process.argv.slice(2)) {
  try {
    const report = JSON.parse(readFileSync(path, 'utf8'))
    passed += report.numPassedTests
    failed += report.numFailedTests
    skipped += report.numPendingTests + report.numTodoTests
    failed += report.testResults.filter(isBrokenFile).length
    if (!report.success && report.numFailedTests === 0 && !report.testResults.some(isBrokenFile)) failed += 1
  } catch (error) {
    console.error(`no results: ${error.message}`)
    failed += 1
  }
}
console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`)
if (failed > 0 || passed === 0) process.exitCode = 1

function isBrokenFile({ status, assertionResults }) {
  return status === 'failed' && !assertionResults.some(test => test.status === 'failed')
}
