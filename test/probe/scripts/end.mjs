// A Node process that ends in one of many ways while a session is in one of many states.
// usage: end.mjs STATE HOW [stopped]
// HOW "input": by process.exit() once standard input ends.
// Says "probe PID" once the session is open and "in STATE" when it is there; "stopped": its probe process hangs.
import { writeSync } from 'node:fs'
import { open } from '../../../dist/lib/index.js'

const [state, how, stopped] = process.argv.slice(2)
const bound = 20_000
const say = line => writeSync(1, `${line}\n`)

// Whoever goes on after this has to get past a process that does not answer.
const timeoutMs = how === 'return' || how === 'throw' ? 200 : 600_000
const probe = await open({ timeoutMs })
const { pid } = probe
say(`probe ${pid}`)

const slow = probe.prepare({
  edit: new Array(4000).fill({ op: 'fill', at: 0, length: probe.limits.inPlaceBytes, value: 0 }),
})

const states = {
  idle() {
    hang()
    end(() => setTimeout(() => {}, bound))
  },
  live() {
    const edit = () => {
      hang()
      end(() => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, bound))
    }
    probe.runSync({ edit })
  },
  sync() {
    hang()
    say('in sync')
    const until = Date.now() + bound
    while (Date.now() < until) probe.runEach([slow, slow, slow], () => {})
  },
  async() {
    hang()
    const few = how === 'return' ? 3 : 3000
    probe.run(new Array(stopped ? 1 : few).fill(slow))
    setTimeout(() => end(() => setTimeout(() => {}, bound)), 10)
  },
}

const ways = {
  return() {},
  exit() {
    process.exit(7)
  },
  throw() {
    throw new Error('uncaught on purpose')
  },
  input() {
    process.stdin.on('end', () => process.exit(7)).resume()
  },
  reject() {
    Promise.reject(new Error('unhandled on purpose'))
  },
}

function hang() {
  if (stopped) process.kill(pid, 'SIGSTOP')
}

/** `wait`: for whoever ends it from outside. */
function end(wait) {
  say(`in ${state}`)
  if (how === 'wait') wait()
  else ways[how]()
}

states[state]()
