// Runs a probe whose fork never comes back, and says "running PROBE FORK" once it is under way.
import { readdirSync, readFileSync } from 'node:fs'
import { open } from '../../../dist/lib/index.js'

const probe = await open({ timeoutMs: 60_000 })
let written
// Until it is in the loop, where a large number counts down.
do ({ written } = probe.runSync({ raise: 'timer' }))
while (written.headField('rcx') < 1000n)
const zeros = probe.limits.frameBytes + 64
const set = (field, value) => ({ op: 'set', field: `head.${field}`, value })
const run = probe.run({
  edit: [
    { op: 'fill', at: zeros, length: 256, value: 0 },
    set('rip', written.headField('rip')),
    set('eflags', written.headField('eflags')),
    set('rcx', 0xffff_ffff),
    set('rbx', written.fpstatePointer + BigInt(zeros)),
  ],
})

let fork
while (fork === undefined) {
  await new Promise(resolve => setTimeout(resolve, 5))
  fork = readdirSync('/proc').find(name => /^\d+$/.test(name) && parentOf(name) === probe.pid)
}
console.log(`running ${probe.pid} ${fork}`)
console.log((await run).kind)

function parentOf(pid) {
  try {
    return Number(readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1).split(' ')[1])
  } catch {
    return undefined
  }
}
