// Before any test: dist/ as the sources are now, for the tests that start the compiled command. Only what changed is
// compiled; type errors do not stop the tests (`npm run typecheck` is for them).
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const done = Symbol.for('sigframe.fresh-dist')

export function setup() {
  // Vitest calls this once for each project.
  if (globalThis[done]) return
  globalThis[done] = true
  const tsc = spawnSync(process.execPath, ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json'], {
    cwd: root,
    encoding: 'utf8',
  })
  if (tsc.status !== 0) process.stderr.write(`dist/ has type errors:\n${tsc.stdout}${tsc.stderr}`)
}
