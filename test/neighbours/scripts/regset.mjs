// One traced process, and whether an ordinary probe still works: prints what came of both, and how many children are left.
import { readdirSync, readFileSync } from 'node:fs'
import { open, randomImage } from '../../../dist/lib/index.js'

const probe = await open({ timeoutMs: 2000 })
const load = randomImage(probe.layout, { seed: 1 })
const answer = probe.regset({
  load,
  loaded: [{ call: 'get' }, { call: 'set', bytes: new Uint8Array(probe.layout.size) }],
})
const { kind, call, errno } = answer
console.log([kind, call, errno].filter(Boolean).join(' '))
if (kind === 'done') console.log(answer.loaded.map(one => one.errno).join(' '))
console.log(probe.runSync().kind)
const parentOf = pid => {
  try {
    return Number(readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1).split(' ')[1])
  } catch {
    return 0
  }
}
const children = readdirSync('/proc').filter(pid => /^\d+$/.test(pid) && parentOf(pid) === probe.pid)
console.log(`${children.length} left`)
await probe.close()
