// Millions of random hostile frames, of every ABI and in every way of sending them: is each answered as a kernel may,
// does the probe process outlive them, do memory and descriptors stay flat, is no process left?
// usage: node scripts/hostile.mjs [COUNT [SEED]]
import { readdirSync, readFileSync } from 'node:fs'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { open } from 'sigframe'
import { asCallback, createDraw, Random } from './hostile-edits.mjs'

const megabyte = 1024 * 1024
// What collectors and allocators keep for themselves from one look to the next.
const slack = { rss: 96 * megabyte, heap: 8 * megabyte, probe: 8 * megabyte }
const poolSize = 4096
const batchSize = 1024
const looks = 10

const args = readArguments()
if (args === undefined) {
  process.stderr.write(
    'usage: node scripts/hostile.mjs [COUNT [SEED]], where COUNT is an integer of at least 10000\n',
  )
  process.exit(64)
}
const { count, seed } = args
// Each request is sent so often: drawing one takes longer than sending it.
const repeats = count >= 1_000_000 ? 16 : 4
// Some minutes and what a slow machine needs: whatever happens, this ends.
const timeLimitMs = 5 * 60_000 + count

// Whoever reads this has seen enough.
process.stdout.on('error', error => {
  if (error.code === 'EPIPE') process.exit(0)
  throw error
})

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc')

const began = performance.now()
const probe = await open({ timeoutMs: 2000 })
const draw = createDraw(probe)
const counts = new Map()
const faults = []
const distinct = createCounter(Math.ceil(count / repeats) + poolSize)
let done = 0
let lost = 0
let drawn = 0

await say(`seed ${seed}: ${count} frames`)
await say('     frames   a second   Node RSS      heap probe RSS  descriptors')
const seen = await run()
await probe.close()
const left = childrenOf(process.pid).filter(pid => nameOf(pid) === 'sigframe-probe')
await summary()

async function run() {
  const every = Math.max(batchSize, Math.floor(count / looks))
  const all = []
  let since = performance.now()
  let sinceDone = 0
  for await (const _ of batches()) {
    progress()
    if (done - sinceDone < every && done < count) continue
    const last = look()
    all.push(last)
    const rate = (1000 * (done - sinceDone)) / (performance.now() - since)
    await say(
      `${String(done).padStart(11)} ${rate.toFixed(0).padStart(10)} ${inMegabytes(last.rss).padStart(10)} ${inMegabytes(last.heap).padStart(9)} ${inMegabytes(last.probe).padStart(9)} ${String(last.descriptors).padStart(12)}`,
    )
    since = performance.now()
    sinceDone = done
  }
  return all
}

/** Runs them one after the other; the requests of a pool several times over. */
async function* batches() {
  const goesOn = () => done < count && faults.length === 0 && performance.now() - began < timeLimitMs
  while (goesOn()) {
    const pool = drawPool()
    for (let turn = 0; turn < repeats && goesOn(); turn++) {
      for (let from = 0; from < pool.length && goesOn(); from += batchSize) {
        await runBatch(pool.slice(from, Math.min(from + batchSize, from + count - done)), turn)
        yield
      }
      const forks = childrenOf(probe.pid)
      if (forks.length > 0) faults.push(`forks are left: ${forks.join(' ')}`)
    }
  }
}

function drawPool() {
  const random = new Random(seed * 0x1_0001 + drawn++)
  return Array.from({ length: poolSize }, () => {
    const { request, mayLockOut } = draw(random)
    distinct.add(request)
    try {
      const callback = random.oneIn(32) ? asCallback(request.edit) : undefined
      const prepared = probe.prepare(callback === undefined ? request : { ...request, edit: callback })
      return { prepared, request, mayLockOut }
    } catch (error) {
      faults.push(`refused before it ran: ${error.message}\n  ${asText(request)}`)
      return undefined
    }
  }).filter(one => one !== undefined)
}

/** Lent to a visitor, and now and then without blocking, which callbacks cannot be. */
async function runBatch(whole, turn) {
  const batch = turn === 3 ? whole.filter(({ prepared }) => prepared.live === null) : whole
  const requests = batch.map(({ prepared }) => prepared)
  const note = (one, i) => tell(one, batch[i])
  try {
    if (turn === 3) for (const [i, one] of (await probe.run(requests)).entries()) note(one, i)
    else probe.runEach(requests, note)
  } catch (error) {
    faults.push(`${error.message}, in a batch of pool ${drawn - 1}`)
  }
}

function tell(one, { prepared, request, mayLockOut }) {
  done += 1
  const { isolated } = prepared
  const lane = isolated ? 'isolated ' : prepared.live === null ? 'in place ' : 'callback '
  const name = [lane, one.kind, ...details(one)].join(' ')
  counts.set(name, (counts.get(name) ?? 0) + 1)
  if (one.kind === 'died' && !isolated) lost += 1
  const wrong = isolated ? wrongInFork(one) : wrongInPlace(one, mayLockOut)
  if (wrong && faults.length < 5) faults.push(`${name}\n  ${asText(request)}`)
}

function details(one) {
  switch (one.kind) {
    case 'signal':
      return [one.where, one.signal]
    case 'died':
      return [one.where ?? '', one.signal ?? `code ${one.code}`]
    case 'refused':
      return [one.call, one.errno]
    default:
      return []
  }
}

/** In the process that goes on: restored, or refused at sigreturn. But for PKRU, which can take all memory away. */
function wrongInPlace(one, mayLockOut) {
  if (one.kind === 'returned') return false
  if (one.kind === 'signal') return one.where !== 'sigreturn' || one.signal !== 'SIGSEGV'
  return !(one.kind === 'died' && one.signal === 'SIGSEGV' && mayLockOut)
}

/** In a fork: whatever the frame leads to, but never a fault of ours, which ends it with a code. */
function wrongInFork(one) {
  switch (one.kind) {
    case 'returned':
    case 'timeout':
      return false
    case 'signal':
      return !['delivery', 'sigreturn', 'after'].includes(one.where)
    case 'died':
      return one.signal === null || one.where === 'handler' || one.where === 'load'
    case 'refused':
      return !['sigaltstack', 'userfaultfd', 'pkey_alloc', 'other CPU', 'pages'].includes(one.call)
    default:
      return true
  }
}

function look() {
  collect()
  const { rss, heapUsed } = process.memoryUsage()
  return {
    rss,
    heap: heapUsed,
    probe: residentOf(probe.pid),
    descriptors: readdirSync('/proc/self/fd').length,
  }
}

function residentOf(pid) {
  const kilobytes = /^VmRSS:\s*(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
  return Number(kilobytes ?? 0) * 1024
}

function childrenOf(parent) {
  return readdirSync('/proc').filter(pid => /^\d+$/.test(pid) && parentOf(pid) === parent)
}

function parentOf(pid) {
  try {
    return Number(readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1).split(' ')[1])
  } catch {
    return undefined
  }
}

function nameOf(pid) {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'utf8').trim()
  } catch {
    return ''
  }
}

async function summary() {
  const finished = done === count
  for (const [name, number] of [...counts].sort(([a], [b]) => (a < b ? -1 : 1)))
    await say(`${String(number).padStart(11)}  ${name}`)
  // Growth counts from the first half on: by then all that stays has been made.
  const half = seen.slice(0, Math.ceil(seen.length / 2))
  const last = seen.at(-1)
  const grown = name => (last === undefined ? 0 : last[name] - Math.max(...half.map(one => one[name])))
  const flat =
    last !== undefined &&
    ['rss', 'heap', 'probe'].every(name => grown(name) <= slack[name]) &&
    seen.every(({ descriptors }) => descriptors === last.descriptors)
  for (const fault of faults.slice(0, 5)) await say(`NOT AS IT MAY BE (seed ${seed}): ${fault}`)
  if (!finished && faults.length === 0) await say(`NOT DONE: ${done} of ${count} in ${minutes()} minutes`)
  if (left.length > 0) await say(`LEFT BEHIND: processes ${left.join(' ')}`)
  await say(
    `${flat ? 'flat' : 'NOT FLAT'} since the first half: RSS ${signed(grown('rss'))}, heap ${signed(grown('heap'))}, probe ${signed(grown('probe'))}`,
  )
  const well = finished && faults.length === 0 && left.length === 0 && flat
  await say(
    `${well ? 'held' : 'FAILED'}: ${done} frames of ${distinct.size} distinct requests, seed ${seed}, ${lost} processes replaced, ${minutes()} minutes`,
  )
  if (!well) process.exitCode = 1
}

function minutes() {
  return ((performance.now() - began) / 60_000).toFixed(1)
}

/** Counts different requests, by a hash of 52 bits, in memory that does not grow. */
function createCounter(capacity) {
  const slots = new Float64Array(2 ** Math.ceil(Math.log2(2 * capacity)))
  let size = 0
  return {
    get size() {
      return size
    },
    add(request) {
      const hash = hashOf(request)
      let at = hash % slots.length
      while (slots[at] !== 0 && slots[at] !== hash) at = (at + 1) % slots.length
      if (slots[at] === hash) return
      slots[at] = hash
      size += 1
    },
  }
}

/** FNV-1a, twice, over what makes a request what it is: not its images. */
function hashOf(request) {
  const text = asText(request)
  let [a, b] = [0x811c_9dc5, 0xcbf2_9ce4]
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    a = Math.imul(a ^ code, 0x0100_0193)
    b = Math.imul(b ^ code, 0x0100_01b3)
  }
  return (a >>> 0) * 2 ** 20 + (b >>> 12) + 1
}

function asText({ load: _, ...request }) {
  return JSON.stringify(request, (_, value) =>
    typeof value === 'bigint'
      ? `0x${value.toString(16)}`
      : value instanceof Uint8Array
        ? Buffer.from(value).toString('hex')
        : value,
  )
}

function progress() {
  if (process.stderr.isTTY) process.stderr.write(done < count ? `\r${done} of ${count} ` : '\r')
}

function inMegabytes(bytes) {
  return `${(bytes / megabyte).toFixed(1)} MB`
}

function signed(bytes) {
  return `${bytes < 0 ? '-' : '+'}${(Math.abs(bytes) / megabyte).toFixed(1)} MB`
}

/** Writes a line, and lets Node notice when nobody reads it. */
async function say(line) {
  process.stdout.write(`${line}\n`)
  await new Promise(resolve => setImmediate(resolve))
}

function readArguments() {
  const [given = '10000000', givenSeed = '1', ...more] = process.argv.slice(2)
  const number = (text, digits) => (new RegExp(`^\\d{1,${digits}}$`).test(text) ? Number(text) : Number.NaN)
  const [count, seed] = [number(given, 12), number(givenSeed, 9)]
  return count >= 10_000 && seed >= 0 && more.length === 0 ? { count, seed } : undefined
}
