// Workers that are terminated while their session is in one of many states.
// usage: terminate.mjs STATE [stopped]
// Ends with 0 and "gone" when no probe process and no zombie is left; in the end the main thread's own session works.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { open, openSync } from '../../../dist/lib/index.js'

if (isMainThread) {
  const [state, stopped] = process.argv.slice(2)
  const own = await open()
  const times = stopped ? 1 : 4
  for (let i = 0; i < times; i++) {
    const worker = new Worker(new URL(import.meta.url), { workerData: { state, stopped } })
    const pid = await new Promise(resolve => worker.once('message', resolve))
    // Here and there in what it is doing.
    await new Promise(resolve => setTimeout(resolve, stopped ? 20 : 2 * i))
    await worker.terminate()
    if (pid !== 0) await gone(pid)
  }
  for (let tries = 0; children().length > 1 && tries < 500; tries++) await pause()
  console.log(children().length === 1 ? 'gone' : `left: ${children()}`)
  console.log(own.runSync().kind)
} else {
  const { state, stopped } = workerData
  const opening = () => {
    parentPort.postMessage(0)
    const until = Date.now() + 10_000
    while (Date.now() < until) openSync()
  }
  if (state === 'opening') opening()
  const probe = await open({ timeoutMs: state === 'async' ? 600_000 : 200 })
  const { pid } = probe
  const slow = probe.prepare({
    edit: new Array(4000).fill({ op: 'fill', at: 0, length: probe.limits.inPlaceBytes, value: 0 }),
  })
  const ready = () => {
    if (stopped) process.kill(pid, 'SIGSTOP')
    parentPort.postMessage(pid)
  }
  const until = Date.now() + 10_000
  const states = {
    idle() {
      ready()
      setTimeout(() => {}, 10_000)
    },
    live() {
      const edit = () => {
        ready()
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10_000)
      }
      probe.runSync({ edit })
    },
    sync() {
      ready()
      while (Date.now() < until) probe.runEach([slow, {}, {}], () => {})
    },
    'sync live'() {
      ready()
      while (Date.now() < until) probe.runSync({ edit: frame => frame.mxcsr })
    },
    async async() {
      ready()
      while (Date.now() < until) await probe.run(new Array(30).fill({}))
    },
    async closing() {
      ready()
      await probe.close()
      while (Date.now() < until) await (await open()).close()
    },
  }
  await states[state]()
}

async function gone(pid) {
  for (let tries = 0; existsSync(`/proc/${pid}`) && tries < 1000; tries++) await pause()
  if (existsSync(`/proc/${pid}`)) console.log(`still there: ${pid}`)
}

function pause() {
  return new Promise(resolve => setTimeout(resolve, 5))
}

function children() {
  return readdirSync('/proc').filter(name => {
    if (!/^\d+$/.test(name)) return false
    try {
      return (
        Number(readFileSync(`/proc/${name}/stat`, 'utf8').split(') ').at(-1).split(' ')[1]) === process.pid
      )
    } catch {
      return false
    }
  })
}
