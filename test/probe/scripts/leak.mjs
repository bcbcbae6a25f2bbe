// Opens a session, then closes its ends of the pipes that it was given: whoever reads them sees that they ended,
// unless the probe process holds them. Stays until its standard input ends.
import { closeSync } from 'node:fs'
import { open } from '../../../dist/lib/index.js'

const probe = await open()
console.log(`probe ${probe.pid}`)
process.stdin.on('end', () => process.exit(probe.runSync().kind === 'returned' ? 0 : 1)).resume()
setTimeout(() => process.exit(9), 20_000)
for (const fd of [1, 3, 4, 20]) closeSync(fd)
