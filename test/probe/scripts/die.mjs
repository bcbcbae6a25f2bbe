// Sends its probe process every signal that leaves a core file, and says how it was reported.
import { open } from '../../../dist/lib/index.js'

const probe = await open()
for (const signal of ['SIGSEGV', 'SIGABRT', 'SIGQUIT', 'SIGSYS', 'SIGBUS']) {
  process.kill(probe.pid, signal)
  const seen = probe.runSync()
  console.log(seen.kind === 'died' ? seen.signal : seen.kind)
}
await probe.close()
