/** Stress requests one by one: what is asked is checked, what is told is counted, and a lie is bounded. */
import { readFileSync } from 'node:fs'
import { beforeEach, describe, expect, it } from 'vitest'
import { abis } from '../../lib/frame/abi.ts'
import type { Probe } from '../../lib/probe/session.ts'
import type { StressTask } from '../../lib/probe/stress.ts'
import { allowedCpus } from '../../lib/stress/cpus.ts'
import { diffComponents, sameMxcsr } from '../../lib/xstate/compare.ts'
import { randomImage } from '../../lib/xstate/random.ts'
import { needsProbes, returned, session } from './support.ts'

beforeEach(needsProbes)

const cpus = allowedCpus()
const task = (more: Partial<StressTask> = {}): StressTask => ({
  seed: 1,
  limitMs: 10_000,
  rounds: 2000,
  abis: ['x86_64'],
  cpus: [cpus[0]!],
  lane: 0,
  team: 0,
  ...more,
})
const imagesOf = (probe: Probe, count = 7) =>
  Array.from({ length: count }, (_, i) => randomImage(probe.layout, { seed: 300 + i }))

const allowed = (pid: number): string =>
  /^Cpus_allowed:\s*(\S+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]!

const signalsOf = (counts: { readonly signals: Readonly<Record<string, number>> }): number =>
  Object.values(counts.signals).reduce((sum, n) => sum + n, 0)

describe('a stress request', () => {
  it('runs as many rounds as were asked for, on the CPU that was', async () => {
    const probe = session()
    const { counts, end } = await probe.stress(imagesOf(probe), task())
    expect(end).toBeNull()
    expect(counts.on).toMatchObject([{ cpu: cpus[0], rounds: 2000, moves: 0, lost: 0 }])
    expect(counts).toMatchObject({ loss: null, refused: 0, signals: { 'ia32-rt': 0, ia32: 0, x32: 0 } })
    expect(counts.on[0]!.signals).toBe(signalsOf(counts))
    // All but those that wait for a timer have one of their own.
    expect(counts.on[0]!.signals).toBeGreaterThan(1500)
  })

  it('takes no longer than it may', async () => {
    const probe = session()
    const started = performance.now()
    const { counts } = await probe.stress(imagesOf(probe), { ...task(), rounds: 2 ** 40, limitMs: 50 })
    expect(performance.now() - started).toBeGreaterThanOrEqual(50)
    expect(counts.on[0]!.rounds).toBeGreaterThan(0)
  })

  it('tells what each image is without a signal', async () => {
    const probe = session()
    const images = imagesOf(probe, 3)
    const { counts } = await probe.stress(images, task({ rounds: 1 }))
    expect(counts.expected).toHaveLength(3)
    counts.expected.forEach((after, i) => {
      expect(diffComponents(after, images[i]!.bytes, probe.layout)).toEqual([])
      expect(sameMxcsr(after, images[i]!.bytes)).toBe(true)
    })
  })

  it('has signals of every ABI that is asked for, and of no other', async () => {
    const probe = session()
    for (const abi of abis) {
      if (probe.lack(abi) !== null) continue
      const { counts } = await probe.stress(imagesOf(probe), task({ abis: [abi] }))
      expect(counts.signals[abi]).toBe(signalsOf(counts))
      expect(counts.signals[abi]).toBeGreaterThan(0)
    }
  })

  it('moves, and leaves its process where it may run as it was', async () => {
    if (cpus.length < 2) return
    const probe = session()
    returned(await probe.run({}))
    const before = allowed(probe.pid)
    const long = { cpus, limitMs: 200, rounds: 2 ** 40 }
    const { counts } = await probe.stress(imagesOf(probe), task(long))
    for (const { moves, rounds } of counts.on) {
      expect(moves).toBeGreaterThan(0)
      expect(rounds).toBeGreaterThan(0)
    }
    expect(allowed(probe.pid)).toBe(before)
  })

  it('tells of CPUs that it may not have', async () => {
    const probe = session()
    for (const cpu of [8191, 2 ** 32 - 1]) {
      const { counts, end } = await probe.stress(imagesOf(probe), task({ cpus: [cpu], rounds: 10 }))
      expect(end).toEqual({ kind: 'refused', call: 'other CPU', errno: 'ENODEV' })
      expect(counts.refused).toBeGreaterThan(0)
      // Nothing is counted for a CPU on which nothing ran.
      expect(counts.on[0]?.rounds).toBe(0)
    }
  })

  it.each(abis)('finds what the handler changed in an %s frame', async abi => {
    const probe = session()
    if (probe.lack(abi) !== null) return
    const images = imagesOf(probe)
    for (const spoil of [1, 7, 100]) {
      const { counts } = await probe.stress(images, task({ abis: [abi], spoil, rounds: 100, seed: spoil }))
      expect(counts.on[0]).toMatchObject({ rounds: 100, lost: 1 })
      const loss = counts.loss!
      expect(loss).toMatchObject({ kind: 'registers', abi, way: 'tgkill', cpu: cpus[0] })
      expect(loss.poison).not.toBe(loss.image)
      const loaded = images[loss.image]!
      expect(diffComponents(loss.after, loaded.bytes, probe.layout)).toEqual(['sse'])
      expect(loss.after[160]! ^ loaded.bytes[160]!).toBe(1)
    }
  })

  it('leaves the session as it was: other probes run before and after, in one process', async () => {
    const probe = session()
    const { pid } = probe
    for (let i = 0; i < 3; i++) {
      returned(probe.runSync({ load: imagesOf(probe)[0]! }))
      const [stressed, ran] = await Promise.all([
        probe.stress(imagesOf(probe), task({ seed: i })),
        probe.run([{}, { raise: 'timer' }]),
      ])
      expect(stressed.end).toBeNull()
      for (const seen of ran) returned(seen)
      returned(probe.runSync({ edit: frame => frame.set('mxcsr', 0x1fa0) }))
    }
    expect(probe.pid).toBe(pid)
  })

  it('tells of a process that died, and with it of what it had done', async () => {
    const probe = session()
    const { pid } = probe
    const running = probe.stress(imagesOf(probe), task({ limitMs: 60_000, rounds: 2 ** 40 }))
    await new Promise(resolve => setTimeout(resolve, 100))
    const under = expect(() => probe.runSync())
    process.kill(pid, 'SIGKILL')
    under.toThrow('a run of this session is under way')
    const { counts, end } = await running
    expect(end).toMatchObject({ kind: 'died', signal: 'SIGKILL' })
    expect(counts.on[0]!.rounds).toBeGreaterThan(0)
    expect((await probe.stress(imagesOf(probe), task())).end).toBeNull()
    expect(probe.pid).not.toBe(pid)
  })

  it('of a session that is closed meanwhile is rejected', async () => {
    const probe = session()
    const running = probe.stress(imagesOf(probe), task({ limitMs: 60_000, rounds: 2 ** 40 }))
    const rejected = expect(running).rejects.toThrow('the session was closed')
    await new Promise(resolve => setTimeout(resolve, 20))
    await probe.close()
    await rejected
  })

  it('of a process that is stopped ends by its time', async () => {
    const probe = session({ timeoutMs: 100 })
    process.kill(probe.pid, 'SIGSTOP')
    const { end } = await probe.stress(imagesOf(probe), task({ limitMs: 50 }))
    expect(end).toMatchObject({ kind: 'timeout' })
  })
})

describe('what makes no sense is refused before anything runs', () => {
  it.each<[Partial<StressTask>, RegExp]>([
    [{ seed: -1 }, /^task\.seed is -1, must be in 0\.\.4294967295$/],
    [{ seed: 0.5 }, /^task\.seed /],
    [{ limitMs: 0 }, /^task\.limitMs is 0, must be in 1\.\.60000$/],
    [{ limitMs: Number.POSITIVE_INFINITY }, /^task\.limitMs /],
    [{ rounds: 0 }, /^task\.rounds /],
    [{ rounds: 2 ** 41 }, /^task\.rounds /],
    [{ lane: -1 }, /^task\.lane /],
    [{ team: 2 ** 32 }, /^task\.team /],
    [{ spoil: -1 }, /^task\.spoil /],
    [{ cpus: [] }, /^task\.cpus must be an array with a CPU at least, not an array of 0$/],
    [{ cpus: [0, -1] }, /^task\.cpus\[1\] is -1/],
    [{ cpus: 3 as never }, /^task\.cpus /],
    [{ abis: [] }, /^task\.abis must be an array with an ABI at least, not an array of 0$/],
    [{ abis: ['x64' as never] }, /^task\.abis\[0\] is "x64", must be one of x86_64 ia32-rt ia32 x32$/],
  ])('%j', async (more, message) => {
    const probe = session()
    await expect(probe.stress(imagesOf(probe), task(more))).rejects.toThrow(message)
  })

  it('images', async () => {
    const probe = session()
    for (const count of [0, 1, 8])
      await expect(probe.stress(imagesOf(probe, count), task())).rejects.toThrow(
        `images.length is ${count}, must be in 2..7`,
      )
    await expect(probe.stress(7 as never, task())).rejects.toThrow('images must be an array of images, not 7')
    const bad = imagesOf(probe)[0]!
    bad.mxcsr = 0xffff_0000
    await expect(probe.stress([imagesOf(probe)[0]!, bad], task())).rejects.toThrow(
      /^images\[1\]\.load\.mxcsr/,
    )
  })
})
