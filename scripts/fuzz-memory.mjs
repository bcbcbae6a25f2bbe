// Millions of drawn frames, each predicted and compared: does Node's memory stay flat?
// usage: node scripts/fuzz-memory.mjs [COUNT] [SEED]
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { fuzz } from 'sigframe'

const megabyte = 1024 * 1024
// What the collector and the allocator keep for themselves from one look to the next.
const slack = { rss: 32 * megabyte, heap: 1 * megabyte }
const looksWanted = 10

const wanted = readArguments()
if (wanted === undefined) {
  process.stderr.write(
    'usage: node scripts/fuzz-memory.mjs [COUNT] [SEED], COUNT an integer of at least 10000, SEED one in 0..1048575\n',
  )
  process.exit(64)
}

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc')
const looks = []

const result = await fuzz({
  runs: wanted.count,
  seed: wanted.seed,
  onProgress: ({ frames, ms }) => {
    if (frames < ((looks.length + 1) * wanted.count) / looksWanted) return
    collect()
    const { rss, heapUsed: heap } = process.memoryUsage()
    looks.push({ rss, heap })
    const line = `${frames} frames, ${Math.round((1000 * frames) / ms)} a second, RSS ${inMegabytes(rss)}, heap ${inMegabytes(heap)}`
    process.stdout.write(`${line}\n`)
  },
})

// Growth counts from the first half on: by then all that stays has been made.
const half = looks.slice(0, Math.ceil(looks.length / 2))
const last = looks.at(-1)
const grown = {
  rss: last.rss - Math.max(...half.map(one => one.rss)),
  heap: last.heap - Math.max(...half.map(one => one.heap)),
}
const flat = grown.rss <= slack.rss && grown.heap <= slack.heap
const { frames, ms, findings } = result
process.stdout.write(
  `${frames} frames in ${(ms / 1000).toFixed(0)} s, ${Math.round((1000 * frames) / ms)} a second, ${findings.length} differences\n` +
    `${flat ? 'flat' : 'NOT FLAT'} since the first half: RSS ${signed(grown.rss)}, heap ${signed(grown.heap)}\n`,
)
if (!flat || findings.length > 0) process.exitCode = 1

function inMegabytes(bytes) {
  return `${(bytes / megabyte).toFixed(1)} MB`
}

function signed(bytes) {
  return `${bytes < 0 ? '-' : '+'}${(Math.abs(bytes) / megabyte).toFixed(1)} MB`
}

function readArguments() {
  const [count = '10000000', seed = '1', ...more] = process.argv.slice(2)
  if (more.length > 0 || !/^\d{1,12}$/.test(count) || !/^\d{1,7}$/.test(seed)) return undefined
  const given = { count: Number(count), seed: Number(seed) }
  return given.count >= 10_000 && given.seed < 2 ** 20 ? given : undefined
}
