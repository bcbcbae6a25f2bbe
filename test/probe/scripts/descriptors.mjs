// A session in a process whose descriptors are not as usual. usage: descriptors.mjs WHAT FILE…
// Its findings go to the first file, as JSON: standard output may be closed.
import { closeSync, readdirSync, readlinkSync, writeFileSync } from 'node:fs'
import { open } from '../../../dist/lib/index.js'

const [what, report] = process.argv.slice(2)

const descriptors = () =>
  Object.fromEntries(
    readdirSync('/proc/self/fd').flatMap(fd => {
      try {
        return [[fd, readlinkSync(`/proc/self/fd/${fd}`)]]
      } catch {
        return []
      }
    }),
  )

// As a daemon does that was told to have no standard streams.
if (what === 'close') for (const fd of [0, 1, 2]) closeSync(fd)
if (what === 'close input') closeSync(0)

const before = descriptors()
const findings = { before, kinds: [] }
try {
  const probe = await open()
  findings.kinds.push(probe.runSync().kind, (await probe.run({})).kind)
  process.kill(probe.pid, 'SIGKILL')
  findings.kinds.push(probe.runSync().kind, probe.runSync({ edit: () => undefined }).kind)
  await probe.close()
} catch (error) {
  findings.error = String(error)
}
findings.after = descriptors()
writeFileSync(report, JSON.stringify(findings))
