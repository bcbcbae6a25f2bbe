/** Short runs on this host, and runs in which something is wrong. */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { Probe, permissible } from '../../lib/probe/session.ts'
import { allowedCpus } from '../../lib/stress/cpus.ts'
import { stressExitCode } from '../../lib/stress/report.ts'
import { placesOf, type StressOptions, type StressProgress, stress } from '../../lib/stress/stress.ts'
import { overall } from '../../lib/stress/totals.ts'
import { readHostCpu } from '../../lib/xstate/host.ts'
import { children } from '../native/support.ts'
import { needsProbes } from '../probe/support.ts'

const cpus = allowedCpus()
const short = (more: Partial<StressOptions> = {}): StressOptions => ({ seconds: 0.5, seed: 5, cpus, ...more })

describe('where processes are', () => {
  test('each team has a lane for every CPU', () => {
    expect(placesOf([2, 5], 2)).toEqual([
      { cpus: [2, 5], lane: 0, team: 0 },
      { cpus: [2, 5], lane: 1, team: 0 },
      { cpus: [2, 5], lane: 0, team: 1 },
      { cpus: [2, 5], lane: 1, team: 1 },
    ])
  })

  test('nobody visits more CPUs than a request has room for, and none is left out', () => {
    const many = Array.from({ length: 200 }, (_, i) => i)
    const places = placesOf(many, 3)
    expect(places).toHaveLength(600)
    expect(Math.max(...places.map(place => place.cpus.length))).toBeLessThanOrEqual(64)
    const starts = places.map(place => place.cpus[place.lane])
    for (const cpu of many) expect(starts.filter(one => one === cpu)).toHaveLength(3)
  })
})

describe('on this host', () => {
  beforeEach(needsProbes)

  afterEach(() => {
    vi.restoreAllMocks()
    expect(children()).toEqual([])
  })

  test('nothing is lost, everybody does something, and of every kind', async () => {
    const seen: StressProgress[] = []
    const result = await stress(short({ onProgress: progress => seen.push(progress) }))
    expect(result).toMatchObject({ lost: 0, problems: [], interrupted: false })
    expect(stressExitCode(result)).toBe(0)
    expect(result.processes).toHaveLength(2 * cpus.length)
    for (const { totals } of result.processes) {
      expect(overall(totals).signals).toBeGreaterThan(0)
      for (const abi of result.abis) expect(totals.signals[abi]).toBeGreaterThan(0)
    }
    expect(result.all.totals.on.map(({ cpu }) => cpu)).toEqual(cpus)
    for (const { rounds } of result.all.totals.on) expect(rounds).toBeGreaterThan(0)
    expect(overall(result.all.totals).timed).toBeGreaterThan(0)
    if (cpus.length > 1) expect(overall(result.all.totals).moves).toBeGreaterThan(0)
    expect(seen.at(-1)?.rounds).toBeGreaterThan(0)
  })

  test('one session in four has what needs permission, where that can be had', async () => {
    const special = permissible(readHostCpu())
    const { processes } = await stress(short({ seconds: 0.1, cpus: [cpus[0]!], perCpu: 6 }))
    const permissions = processes.map(one => one.permissions)
    const without: string[] = []
    if (permissions[1]?.length !== 0)
      expect(permissions).toEqual([without, special, without, without, without, special])
    else expect(permissions).toEqual(new Array(6).fill(without))
  })

  test('on one CPU nobody moves, and there is nothing to compare', async () => {
    const cpu = cpus.at(-1)!
    const { one, all } = await stress(short({ seconds: 0.2, cpus: [cpu] }))
    expect(one).toBeNull()
    expect(all.totals.on).toMatchObject([{ cpu, moves: 0, lost: 0 }])
  })

  test('stopped early: what there is by then', async () => {
    const stop = new AbortController()
    const onProgress = () => stop.abort()
    const result = await stress(short({ seconds: 600, signal: stop.signal, onProgress }))
    expect(result).toMatchObject({ interrupted: true, problems: [] })
    expect(overall((result.one ?? result.all).totals).rounds).toBeGreaterThan(0)
  })

  test('stopped before it began', async () => {
    const result = await stress(short({ signal: AbortSignal.abort() }))
    expect(result).toMatchObject({ interrupted: true, processes: [], problems: [] })
  })

  const real = Probe.prototype.stress

  test('state that is lost is found, and told', async () => {
    vi.spyOn(Probe.prototype, 'stress').mockImplementation(function (this: Probe, images, task) {
      return real.call(this, images, { ...task, spoil: 3 })
    })
    const result = await stress(short())
    expect(result.lost).toBeGreaterThan(0)
    expect(result.lost).toBe(
      [result.one, result.all].reduce(
        (sum, part) => sum + (part === null ? 0 : overall(part.totals).lost),
        0,
      ),
    )
    expect(stressExitCode(result)).toBe(1)
    for (const { kind, what } of result.problems) {
      expect(kind).toBe('lost')
      expect(what).toMatch(
        /^process \d+( with xtiledata)?: CPU \d+, a signal with an \S+ frame sent by syscall: lost sse as in no image$/,
      )
    }
  })

  test('a check that finds nothing is no check', async () => {
    vi.spyOn(Probe.prototype, 'stress').mockImplementation(function (this: Probe, images, task) {
      return real.call(this, images, { ...task, spoil: 0 })
    })
    await expect(stress(short())).rejects.toThrow('a register that was changed on purpose was not found lost')
  })

  test('a process that dies is a failure, and the others go on', async () => {
    let killed = 0
    const onProgress = () => {
      if (killed++ === 0) process.kill(pids[0]!, 'SIGKILL')
    }
    const pids: number[] = []
    vi.spyOn(Probe.prototype, 'stress').mockImplementation(function (this: Probe, images, task) {
      if (pids.at(-1) !== this.pid) pids.push(this.pid)
      return real.call(this, images, task)
    })
    const result = await stress(short({ seconds: 1, onProgress }))
    expect(result.problems).toEqual([{ kind: 'ended', what: `process ${pids[0]}: it died of SIGKILL` }])
    expect(stressExitCode(result)).toBe(1)
    for (const { rounds } of result.all.totals.on) expect(rounds).toBeGreaterThan(0)
  })

  test('so is one that did nothing', async () => {
    vi.spyOn(Probe.prototype, 'stress').mockImplementation(async function (this: Probe, images, task) {
      const seen = await real.call(this, images, task)
      if (task.spoil !== undefined) return seen
      return { ...seen, counts: { ...seen.counts, on: [] } }
    })
    const result = await stress(short({ seconds: 0.2 }))
    expect(new Set(result.problems.map(({ kind }) => kind))).toEqual(new Set(['idle']))
    expect(result.problems.filter(({ what }) => /: it did nothing$/.test(what))).toHaveLength(
      result.processes.length,
    )
    expect(result.problems.filter(({ what }) => /nothing ran there$/.test(what))).toHaveLength(cpus.length)
    expect(stressExitCode(result)).toBe(1)
  })
})
