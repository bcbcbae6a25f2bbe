// Goes on after Ctrl-C, with the probe process that it had.
import { open } from '../../../dist/lib/index.js'

const probe = await open()
const { pid } = probe
const giveUp = setTimeout(() => process.exit(9), 20_000)
process.once('SIGINT', () => {
  console.log('interrupted')
  const { kind } = probe.runSync()
  console.log(probe.pid === pid ? kind : `another process: ${kind}`)
  clearTimeout(giveUp)
})
console.log('ready')
