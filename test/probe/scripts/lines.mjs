// Writes line after line, with a session open, until nobody reads them any more.
import { open } from '../../../dist/lib/index.js'

const probe = await open()
for (let i = 0; i < 100_000; i++) {
  if (!process.stdout.write(`${probe.runSync().kind} ${i}\n`)) {
    await new Promise(resolve => process.stdout.once('drain', resolve))
  }
}
