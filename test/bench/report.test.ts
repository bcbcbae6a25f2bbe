import picocolors from 'picocolors'
import { expect, test } from 'vitest'
import type { BenchResult, LaneResult } from '../../lib/bench/bench.ts'
import { benchJson, benchText, isEnough } from '../../lib/bench/report.ts'
import { widthOf } from '../../lib/report/text.ts'

const laneResult = (changes: Partial<LaneResult> = {}): LaneResult => ({
  lane: 'batched good frames',
  perSecond: 612_345.6,
  against: 'plain',
  limitPerSecond: 654_321.4,
  ratio: 0.935_87,
  lowestRatio: 0.8,
  highestRatio: 1,
  others: [],
  wanted: { ratio: 0.9 },
  ...changes,
})

const result: BenchResult = {
  host: { cpu: 'A CPU', cpus: 2, kernel: '6.18.44', node: '20.19.0' },
  rounds: 7,
  lanes: [
    laneResult(),
    laneResult({
      lane: 'batched ia32-rt frames',
      perSecond: 386_123,
      against: '64-bit',
      limitPerSecond: 606_543,
      ratio: 0.636_6,
      others: [{ against: 'plain', limitPerSecond: 432_100, ratio: 0.9, lowestRatio: 0.85, highestRatio: 1 }],
      wanted: { ratio: 0.8 },
    }),
    laneResult({
      lane: 'live edits, pinned',
      perSecond: 98_765,
      ratio: 0.1,
      wanted: { perSecond: 100_000 },
    }),
    laneResult({ lane: 'run (async)', wanted: null }),
  ],
}

const style = { columns: 80, colors: picocolors.createColors(false) }

test('the table, to the letter', () => {
  expect(benchText(result, style)).toBe(`Host  A CPU, 2 CPUs, Linux 6.18.44, Node 20.19.0

probes a second          engine  against           ratio  rounds         wanted
batched good frames     612,346  plain    654,321   0.94  0.80..1.00       0.90
batched ia32-rt frames  386,123  64-bit   606,543   0.64  0.80..1.00       0.80
                                 plain    432,100   0.90  0.85..1.00
live edits, pinned       98,765  plain    654,321   0.10  0.80..1.00  100,000/s
run (async)             612,346  plain    654,321   0.94  0.80..1.00

The ratio is that of the engine to what stands under “against”. plain: a C loop
in the probe process alone that raises and returns the same frames, or makes the
same calls of ptrace and KVM; 64-bit: batched good frames; cat: “cat FILE | wc
-c”, in MiB; the pair matrix counts pairs. Medians of 7 rounds, all in turn;
other work on the machine blurs them.
`)
  for (const line of benchText(result, style).split('\n')) expect(widthOf(line)).toBeLessThanOrEqual(80)
})

test('only a lane’s own row says whether it is fast enough', () => {
  const colors = picocolors.createColors(true)
  const lines = benchText(result, { columns: 80, colors }).split('\n')
  const starts = [colors.green('-'), colors.yellow('-')].map(text => text.slice(0, 5))
  const painted = lines.filter(line => starts.includes(line.slice(0, 5))).map(line => line.slice(5, 20))
  expect(painted).toEqual(['batched good fr', 'batched ia32-rt', 'live edits, pin'])
})

test('the JSON', () => {
  const json = JSON.parse(benchJson(result))
  expect(json.lanes[0]).toEqual({
    lane: 'batched good frames',
    perSecond: 612_346,
    against: 'plain',
    limitPerSecond: 654_321,
    ratio: 0.9359,
    lowestRatio: 0.8,
    highestRatio: 1,
    wanted: { ratio: 0.9 },
    others: [],
  })
  expect(json.lanes[1].others).toEqual([
    { against: 'plain', limitPerSecond: 432_100, ratio: 0.9, lowestRatio: 0.85, highestRatio: 1 },
  ])
  expect(json.rounds).toBe(7)
  expect(json.host).toEqual(result.host)
})

test.each([
  [{ wanted: { ratio: 0.9 }, ratio: 0.9 }, true],
  [{ wanted: { ratio: 0.9 }, ratio: 0.89 }, false],
  [{ wanted: { perSecond: 100 }, perSecond: 100 }, true],
  [{ wanted: { perSecond: 100 }, perSecond: 99 }, false],
  [{ wanted: null }, null],
])('enough: %j is %j', (changes, enough) => {
  expect(isEnough(laneResult(changes))).toBe(enough)
})
