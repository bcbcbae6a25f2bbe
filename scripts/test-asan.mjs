// The tests of test/native/ on the build with sanitizers (`npm run build:asan` first). Arguments go to vitest.
import { execFileSync, spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const folder = `${root}build-asan/Release`

const libraries = execFileSync('ldd', [`${folder}/sigframe.node`], { encoding: 'utf8' })
const runtime = /libasan\S* => (\S+)/.exec(libraries)?.[1]
if (!runtime) throw new Error(`${folder}/sigframe.node is not linked with libasan`)

const args = process.argv.slice(2)
const vitest = [`${root}node_modules/vitest/vitest.mjs`, 'run', '--project', 'unit']
const { status } = spawnSync(process.execPath, [...vitest, ...(args.length > 0 ? args : ['test/native'])], {
  cwd: root,
  stdio: 'inherit',
  env: {
    ...process.env,
    SIGFRAME_NATIVE_DIR: folder,
    LD_PRELOAD: runtime,
    // Node leaves its own memory to the system when it exits.
    ASAN_OPTIONS: 'detect_leaks=0',
    UBSAN_OPTIONS: 'print_stacktrace=1',
  },
})
process.exitCode = status ?? 1
