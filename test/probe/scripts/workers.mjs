// Sessions in several threads at once, some of which lose their probe process: none disturbs another.
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { open, randomImage } from '../../../dist/lib/index.js'

if (isMainThread) {
  const workers = Array.from(
    { length: 4 },
    (_, number) => new Worker(new URL(import.meta.url), { workerData: { number } }),
  )
  const here = work(9)
  const results = workers.map(
    worker =>
      new Promise((resolve, reject) => {
        worker.once('message', resolve)
        worker.once('error', reject)
      }),
  )
  console.log((await Promise.all([...results, here])).join('\n'))
} else {
  parentPort.postMessage(await work(workerData.number))
}

async function work(number) {
  const probe = await open({ timeoutMs: 5000 })
  const loses = number % 2 === 1
  const counts = {}
  const count = (seen, expected) => {
    counts[seen.kind] = (counts[seen.kind] ?? 0) + 1
    if (seen.kind !== expected) throw new Error(`worker ${number}: ${seen.kind} instead of ${expected}`)
  }
  for (let i = 0; i < 40; i++) {
    const load = randomImage(probe.layout, { seed: 1000 * number + i })
    const check = (seen, expected = 'returned') => {
      count(seen, expected)
      if (seen.kind === 'returned' && !seen.state('sse').loaded)
        throw new Error(`worker ${number}: foreign state`)
      if (seen.kind === 'returned' && !seen.state('x87').restored)
        throw new Error(`worker ${number}: lost state`)
    }
    check(probe.runSync({ load }))
    check(probe.runSync({ load, edit: frame => frame.move() }))
    check(probe.runSync({ load, edit: [{ op: 'pointer', address: 1n << 63n }] }), 'signal')
    probe.runEach(new Array(50).fill({ load }), seen => check(seen))
    for (const seen of await probe.run(new Array(20).fill({ load }))) check(seen)
    if (loses && i % 10 === 5) {
      process.kill(probe.pid, 'SIGKILL')
      count(probe.runSync({ load }), 'died')
    }
  }
  if (number !== 0) await probe.close()
  return `worker ${number}: ${JSON.stringify(counts)}`
}
