// How long finding the frames in a core file takes, beside `cat FILE | wc -c`, and whether memory stays flat.
// Both read the file from the page cache: it is written just before, and each goes over it once unmeasured.
// usage: node scripts/core-speed.mjs [MEBIBYTES] [ROUNDS]
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { writeCoreFile } from '../dist/lib/bench/core-file.js'

const mebibyte = 1 << 20

const scanner = new URL('../dist/lib/elf/scan.js', import.meta.url).href
const child = `
const { scanCore } = await import(${JSON.stringify(scanner)})
const before = process.memoryUsage.rss()
let most = before
const started = performance.now()
const { frames } = await scanCore(process.argv[1], { onProgress: () => { most = Math.max(most, process.memoryUsage.rss()) } })
const ms = performance.now() - started
process.stdout.write(JSON.stringify({ ms, frames: frames.length, grown: most - before }))
`

const wanted = readArguments()
if (wanted === undefined) {
  process.stderr.write(
    'usage: node scripts/core-speed.mjs [MEBIBYTES] [ROUNDS], MEBIBYTES an integer in 16..16384, ROUNDS one in 1..99\n',
  )
  process.exit(64)
}

const folder = mkdtempSync(join(tmpdir(), 'sigframe-core-speed-'))
for (const [signal, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
])
  process.on(signal, () => {
    clean()
    process.exit(code)
  })
try {
  const file = join(folder, 'core')
  const frames = writeCoreFile(file, wanted.mebibytes)
  process.stdout.write(`a core file of ${wanted.mebibytes} MiB, ${frames} frames, half of it zeros\n`)
  cat(file)
  scan(file)
  const rounds = []
  for (let i = 0; i < wanted.rounds; i++) {
    const scanned = i % 2 === 0 ? scan(file) : undefined
    const catMs = cat(file)
    const { ms, wholeMs, grown, frames: found } = scanned ?? scan(file)
    if (found !== frames) throw new Error(`${found} frames were found of ${frames}`)
    rounds.push({ catMs, ms, wholeMs, grown })
    process.stdout.write(
      `cat | wc -c ${catMs.toFixed(0)} ms, scan ${ms.toFixed(0)} ms (process ${wholeMs.toFixed(0)} ms), RSS +${(grown / mebibyte).toFixed(1)} MiB\n`,
    )
  }
  const ratio = median(rounds.map(({ ms, catMs }) => ms / catMs))
  const whole = median(rounds.map(({ wholeMs, catMs }) => wholeMs / catMs))
  process.stdout.write(
    `median of ${rounds.length}: scan takes ${ratio.toFixed(2)} times what cat takes, Node's start included ${whole.toFixed(2)}; wanted: at most 3\n`,
  )
  process.exitCode = whole <= 3 ? 0 : 1
} finally {
  clean()
}

function clean() {
  rmSync(folder, { recursive: true, force: true })
}

function cat(file) {
  const started = performance.now()
  const { status, stdout } = spawnSync('sh', ['-c', 'cat "$1" | wc -c', 'sh', file], { encoding: 'utf8' })
  const ms = performance.now() - started
  if (status !== 0 || !(Number(stdout) > 0)) throw new Error('cat | wc -c failed')
  return ms
}

function scan(file) {
  const started = performance.now()
  const { status, stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', child, file], {
    encoding: 'utf8',
  })
  const wholeMs = performance.now() - started
  if (status !== 0) throw new Error(`the scan failed: ${stderr}`)
  return { wholeMs, ...JSON.parse(stdout) }
}

function median(values) {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[sorted.length >> 1]
}

function readArguments() {
  const [mebibytes = '1024', rounds = '7', ...rest] = process.argv.slice(2)
  const read = (text, least, most) =>
    /^\d+$/.test(text) && text >= least && text <= most ? Number(text) : Number.NaN
  const numbers = { mebibytes: read(mebibytes, 16, 16384), rounds: read(rounds, 1, 99) }
  return rest.length > 0 || Number.isNaN(numbers.mebibytes + numbers.rounds) ? undefined : numbers
}
