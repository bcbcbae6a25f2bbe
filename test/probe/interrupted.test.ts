/** Signals of Node's own cut its waits short, a profiler's by the thousand: what became of the probe is told all the same. */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { nativeProblem } from '../../lib/native.ts'

const dist = join(import.meta.dirname, '..', '..', 'dist', 'lib', 'index.js')

const script = `
import { open } from ${JSON.stringify(dist)}
const probe = await open({ timeoutMs: 20000 })
const kinds = []
for (let i = 0; i < 3; i++) {
  kinds.push(probe.runSync({ edit: () => process.kill(probe.pid, 'SIGKILL') }).kind)
}
await probe.close()
console.log(kinds.join(' '))
`

describe.skipIf(nativeProblem() !== undefined)('under a profiler', () => {
  it('a probe process that was killed has died, and did not time out', () => {
    const { stdout, status, stderr } = spawnSync(
      process.execPath,
      [
        '--cpu-prof',
        '--cpu-prof-interval',
        '300',
        '--cpu-prof-dir',
        '/dev/null/none',
        '--input-type=module',
        '-e',
        script,
      ],
      { encoding: 'utf8', timeout: 60_000 },
    )
    expect({ status, stdout }, stderr).toEqual({ status: 0, stdout: 'died died died\n' })
  })
})
