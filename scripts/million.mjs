// A million probes, good and bad ones, in every way of running them: does Node's memory stay flat, do its descriptors?
// usage: node scripts/million.mjs [COUNT]
import { readdirSync } from 'node:fs'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { open, randomImage } from 'sigframe'

const megabyte = 1024 * 1024
// What the collector and the allocator keep for themselves from one look to the next.
const slack = { rss: 32 * megabyte, heap: 1 * megabyte }
const round = 1000

const count = readCount()
if (count === undefined) {
  process.stderr.write(
    'usage: node scripts/million.mjs [COUNT], where COUNT is an integer of at least 1000\n',
  )
  process.exit(64)
}

// Whoever reads this has seen enough.
process.stdout.on('error', error => {
  if (error.code === 'EPIPE') process.exit(0)
  throw error
})

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc')

const seenKinds = { returned: 0, signal: 0 }
const probe = await open()
const flat = await run(probe)
await probe.close()
if (!flat) process.exitCode = 1

async function run(probe) {
  const { good, bad } = requestsFor(probe)
  const every = Math.max(round, Math.floor(count / 10))
  let done = 0
  let expectedBad = 0
  await say('    probes   a second       RSS      heap  descriptors')
  let since = performance.now()
  let sinceDone = 0
  const looks = []
  while (done < count) {
    expectedBad += runRound(probe, good, bad)
    done += round
    if (done % every >= round && done < count) continue
    const rate = (1000 * (done - sinceDone)) / (performance.now() - since)
    const last = look()
    looks.push(last)
    await say(
      `${String(done).padStart(10)} ${rate.toFixed(0).padStart(10)} ${inMegabytes(last.rss)} ${inMegabytes(last.heap)} ${String(last.descriptors).padStart(12)}`,
    )
    since = performance.now()
    sinceDone = done
  }
  return verdict({ done, expectedBad, looks })
}

/** One of each kind in turn: lent, kept, live; prepared once or made anew. @returns how many were bad */
function runRound(probe, good, bad) {
  const note = seen => {
    seenKinds[seen.kind] = (seenKinds[seen.kind] ?? 0) + 1
  }
  const mixed = Array.from({ length: 900 }, (_, i) =>
    i % 3 === 2 ? bad[i % bad.length] : good[i % good.length],
  )
  probe.runEach(mixed, note)
  for (const seen of probe.runMany(mixed.slice(0, 60))) note(seen)
  for (let i = 0; i < 10; i++) {
    note(probe.runSync(good[i % good.length]))
    note(probe.runSync({ load: randomImage(probe.layout, { seed: i }), edit: frame => frame.move() }))
    note(probe.runSync({ edit: frame => frame.set('mxcsr', 0x1fa0) }))
    note(probe.runSync({ edit: frame => spoil(frame) }))
  }
  return 300 + 20 + 10
}

function requestsFor(probe) {
  const load = Array.from({ length: 40 }, (_, seed) => randomImage(probe.layout, { seed }))
  const good = load.map((image, i) => probe.prepare({ load: image, edit: i % 2 ? [{ op: 'move' }] : [] }))
  const bad = load.map(image =>
    probe.prepare({ load: image, edit: [{ op: 'pointer', address: 0x8000_0000_0000_0000n }] }),
  )
  return { good, bad }
}

function spoil(frame) {
  frame.fpstatePointer = 0x8000_0000_0000_0000n
}

function look() {
  collect()
  const { rss, heapUsed } = process.memoryUsage()
  return { rss, heap: heapUsed, descriptors: readdirSync('/proc/self/fd').length }
}

async function verdict({ done, expectedBad, looks }) {
  // Growth counts from the first half on: by then all that stays has been made.
  const half = looks.slice(0, Math.ceil(looks.length / 2))
  const most = name => Math.max(...half.map(one => one[name]))
  const last = looks.at(-1)
  const grown = { rss: last.rss - most('rss'), heap: last.heap - most('heap') }
  const asExpected = seenKinds.signal === expectedBad && seenKinds.returned === done - expectedBad
  const flat =
    grown.rss <= slack.rss &&
    grown.heap <= slack.heap &&
    looks.every(one => one.descriptors === last.descriptors)
  await say(`${done} probes: ${seenKinds.returned} returned, ${seenKinds.signal} refused with a signal`)
  if (!asExpected)
    await say(`not as expected: ${JSON.stringify(seenKinds)}, of which ${expectedBad} should be refused`)
  await say(
    `${flat ? 'flat' : 'NOT FLAT'} since the first half: RSS ${signed(grown.rss)}, heap ${signed(grown.heap)}, descriptors ${most('descriptors')} then and ${last.descriptors} now`,
  )
  return flat && asExpected
}

function inMegabytes(bytes) {
  return `${(bytes / megabyte).toFixed(1)} MB`.padStart(9)
}

function signed(bytes) {
  return `${bytes < 0 ? '-' : '+'}${(Math.abs(bytes) / megabyte).toFixed(1)} MB`
}

/** Writes a line, and lets Node notice when nobody reads it. */
async function say(line) {
  process.stdout.write(`${line}\n`)
  await new Promise(resolve => setImmediate(resolve))
}

function readCount() {
  const [given = '1000000', ...more] = process.argv.slice(2)
  const number = /^\d{1,12}$/.test(given) ? Number(given) : Number.NaN
  return number >= round && more.length === 0 ? number : undefined
}
