// As somebody who may do little: a probe with userfaultfd; one when no process may be made any more; one like all others.
import { execFileSync } from 'node:child_process'
import { open } from '../../../dist/lib/index.js'

const probe = await open()
const say = ({ kind, call, errno }) => console.log([kind, call, errno].filter(Boolean).join(' '))
say(probe.runSync({ edit: [{ op: 'move' }, { op: 'pages', at: 0, length: 1, state: 'late' }] }))
execFileSync('prlimit', ['--pid', `${probe.pid}`, '--nproc=1'])
say(probe.runSync({ raise: 'timer' }))
say(probe.runSync())
await probe.close()
