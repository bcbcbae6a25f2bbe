/**
 * Fuzzing the kernel that is here. Whether it does as the contract says is not asked: that is the selftests' business.
 */
import { beforeAll, beforeEach, describe, expect, it, onTestFinished, type TestContext, vi } from 'vitest'
import { fileStyle } from '../../lib/cli/terminal.ts'
import { type GenerationId, generationOf } from '../../lib/contract/generations.ts'
import { type Abi, abis, isIa32 } from '../../lib/frame/abi.ts'
import { savedFinding } from '../../lib/fuzz/artefact.ts'
import { framesOf } from '../../lib/fuzz/frames.ts'
import { type FoundIn, type FuzzOptions, type FuzzResult, fuzz } from '../../lib/fuzz/fuzz.ts'
import { fuzzExitCode, fuzzJson, fuzzText } from '../../lib/fuzz/report.ts'
import { explain } from '../../lib/harness/explain.ts'
import { fingerprintKernel } from '../../lib/harness/host.ts'
import { plainOp } from '../../lib/harness/repro.ts'
import { askHardware, taskOf } from '../../lib/harness/task.ts'
import { openSync, Probe } from '../../lib/probe/session.ts'
import { parseProbeFile, probeFileJson, type SavedProbe } from '../../lib/report/probe-file.ts'
import { cReproducer } from '../../lib/reproducer/reproducer.ts'
import { reproducibleProbe } from '../../lib/reproducer/saved.ts'
import { canProbe } from '../cli/sigframe.ts'
import { needsProbes, session } from '../probe/support.ts'
import { compiled, needsGcc, ran } from '../reproducer/compiler.ts'

const seed = 3

/** What is known of the host before anything is fuzzed. */
const host = await (async () => {
  if (!canProbe) return null
  const probe = openSync()
  const found = {
    xsave: probe.layout.xsave,
    extended: probe.layout.extended.length > 0,
    abis: abis.filter(abi => probe.lack(abi) === null),
    ...(probe.layout.xsave
      ? fingerprintKernel(probe)
      : { generation: generationOf('classic'), deviations: [] }),
  }
  await probe.close()
  return found
})()

const known = (ctx: TestContext): NonNullable<typeof host> => {
  needsProbes(ctx)
  if (host === null) return ctx.skip('nothing can be probed here')
  if (!host.xsave) ctx.skip('this host has no XSAVE')
  return host
}

/** Frames, and what they came to, one by one. */
const total = ({ coverage, passedOver, findings, more }: FuzzResult): number =>
  (coverage[0]?.said.reduce((sum, { count }) => sum + count, 0) ?? 0) +
  Object.values(passedOver).reduce((sum, count) => sum + count, 0) +
  findings.reduce((sum, { count }) => sum + count, 0) +
  more

const run = (options: Partial<FuzzOptions>): Promise<FuzzResult> => fuzz({ seed, ...options })

describe('what it is asked for is checked before anything is opened', () => {
  it.each<[string, object, RegExp]>([
    ['neither seconds nor runs', { seed: 1 }, /^seconds is "left out", and runs: one of them/],
    ['both', { seed: 1, seconds: 1, runs: 1 }, /^seconds is 1, and runs: one of them/],
    ['a part of a frame', { seed: 1, runs: 1.5 }, /^runs must be an integer, not 1\.5/],
    ['no number', { seed: 1, runs: Number.NaN }, /^runs must be an integer, not NaN/],
    ['no frame', { seed: 1, runs: 0 }, /^runs is 0, must be in 1\.\./],
    ['no time', { seed: 1, seconds: 0 }, /^seconds is 0, must be a number above 0/],
    ['for ever', { seed: 1, seconds: Number.POSITIVE_INFINITY }, /^seconds is Infinity, must be /],
    ['a seed below all', { seed: -1, runs: 1 }, /^seed is -1, must be in 0\.\.1048575/],
    ['a part of a seed', { seed: 0.5, runs: 1 }, /^seed must be an integer, not 0\.5/],
    ['no ABI', { seed: 1, runs: 1, abis: [] }, /^abis\.length is 0, must be at least 1/],
  ])('%s', async (_, options, message) => {
    await expect(fuzz(options as never)).rejects.toThrow(message)
  })
})

describe('a run', () => {
  beforeEach(ctx => {
    known(ctx)
  })

  it.each([1, 127, 128, 129, 1000])('of %i frames is of so many', async runs => {
    const result = await run({ runs })
    expect(result.frames).toBe(runs)
    expect(total(result)).toBe(runs)
    expect(result).toMatchObject({ seed, interrupted: false })
  })

  it('says what it is of, and what was expected', async ctx => {
    const { abis: here, generation } = known(ctx)
    const result = await run({ runs: 300 })
    expect(result.abis).toEqual(here)
    expect(result.kernel.told).toBe(generation.id)
    expect(result.generation.id).toBe(generation.id)
    expect(result.sessions[0]?.permissions).toEqual([])
    expect(result.sessions.length).toBeLessThanOrEqual(2)
    expect(result.ms).toBeGreaterThan(0)
    expect(fuzzText(result, fileStyle)).toContain('300 in ')
    expect(JSON.parse(fuzzJson(result)).frames).toBe(300)
    expect(fuzzExitCode(result)).toBe(result.findings.length === 0 ? 0 : 1)
  })

  it('draws, for the same seed, the same frames, which come to the same', async () => {
    const two = [await run({ runs: 1500 }), await run({ runs: 1500 })] as const
    const drawn = two.map(({ sessions }) =>
      framesOf(sessions[0]!.subject, seed, 3, 128).map(({ edit, ...rest }) => ({
        ...rest,
        edit: edit.map(plainOp),
      })),
    )
    expect(drawn[1]).toEqual(drawn[0])
    expect(two[1].coverage).toEqual(two[0].coverage)
    expect(two[1].passedOver).toEqual(two[0].passedOver)
    expect(two[1].findings.map(({ index, count }) => [index, count])).toEqual(
      two[0].findings.map(({ index, count }) => [index, count]),
    )
  })

  it('draws, for another seed, other frames', async () => {
    const [one, other] = [await run({ runs: 1000 }), await run({ runs: 1000, seed: seed + 1 })]
    expect(other.coverage).not.toEqual(one.coverage)
    const { subject } = one.sessions[0]!
    const drawn = [seed, seed + 1].map(from =>
      JSON.stringify(framesOf(subject, from, 0, 128).map(({ edit }) => edit.map(plainOp))),
    )
    expect(drawn[0]).not.toBe(drawn[1])
    expect(drawn[0]).not.toBe(
      JSON.stringify(framesOf(subject, seed, 1, 128).map(({ edit }) => edit.map(plainOp))),
    )
  })

  it('ends within a batch with the first frames of it', async () => {
    const { sessions } = await run({ runs: 1 })
    const { subject } = sessions[0]!
    expect(framesOf(subject, seed, 2, 50)).toEqual(framesOf(subject, seed, 2, 128).slice(0, 50))
  })

  it('is of seconds where it is told so', async () => {
    const result = await run({ seconds: 0.3 })
    expect(result.ms).toBeGreaterThanOrEqual(300)
    expect(result.frames).toBeGreaterThan(0)
    expect(total(result)).toBe(result.frames)
  })

  it('tells how far it is', async () => {
    const told: number[] = []
    const result = await run({ seconds: 0.5, onProgress: ({ frames }) => told.push(frames) })
    expect(told.length).toBeGreaterThan(0)
    expect(told).toEqual(told.toSorted((a, b) => a - b))
    expect(told.at(-1)).toBeLessThanOrEqual(result.frames)
  })
})

describe('the ABIs', () => {
  it.each(abis)('%s alone', async abi => {
    if (!host?.xsave || !host.abis.includes(abi)) return
    const result = await run({ runs: 400, abis: [abi] })
    expect(result.abis).toEqual([abi])
    const wanted = isIa32(abi) ? '32-bit' : '64-bit'
    expect(new Set(result.coverage.map(({ of }) => of))).toEqual(new Set(['all', wanted]))
    for (const { abi: drawn } of framesOf(result.sessions[0]!.subject, seed, 0, 128)) expect(drawn).toBe(abi)
  })

  it('that this host lacks, and what is none, are refused by name', async ctx => {
    const { abis: here } = known(ctx)
    for (const abi of abis.filter(one => !here.includes(one)))
      await expect(run({ runs: 1, abis: [abi] })).rejects.toThrow(
        expect.objectContaining({
          name: 'RangeError',
          message: expect.stringMatching(new RegExp(`^abi is "${abi}", but `)),
        }),
      )
    await expect(run({ runs: 1, abis: ['arm64' as Abi] })).rejects.toThrow(
      /^abis\[0\] is "arm64", must be one of /,
    )
    await expect(run({ runs: 1, abis: [] })).rejects.toThrow(RangeError)
  })
})

it('a host without XSAVE has nothing to fuzz', async ctx => {
  needsProbes(ctx)
  if (host?.xsave) ctx.skip('this host has XSAVE')
  await expect(run({ runs: 1 })).rejects.toThrow(/^host is .* no XSAVE/)
})

describe('what is interrupted', () => {
  beforeEach(ctx => {
    known(ctx)
  })

  it('before it begins has sent nothing, and is a result all the same', async () => {
    const result = await run({ runs: 1000, signal: AbortSignal.abort() })
    expect(result).toMatchObject({ frames: 0, interrupted: true, findings: [], asked: 0, more: 0 })
    expect(fuzzExitCode(result)).toBe(0)
    expect(fuzzText(result, fileStyle)).toMatch(/\nNo frame was sent\.\n$/)
  })

  it('on its way has what there is so far', async () => {
    const stop = new AbortController()
    const result = await run({ seconds: 600, signal: stop.signal, onProgress: () => stop.abort() })
    expect(result.interrupted).toBe(true)
    expect(result.frames).toBeGreaterThan(0)
    expect(total(result)).toBe(result.frames)
  })
})

/** Another than what the kernel does. */
const wrongFor = (told: GenerationId): GenerationId =>
  told === 'portable' || told === 'larger' ? 'classic' : 'portable'

describe('an expectation without one of its rules', () => {
  beforeEach(ctx => {
    known(ctx)
  })

  it('is wrong wherever that rule holds', async ctx => {
    if (known(ctx).deviations.length > 0) ctx.skip('this kernel does as no generation does')
    const result = await run({ runs: 2000, without: 'magic1-is-required' })
    expect(result.without).toBe('magic1-is-required')
    expect(result.generation.id).toBe(result.kernel.told)
    expect(result.findings.length).toBeGreaterThan(0)
    expect(result.findings.some(({ alsoAs }) => alsoAs.includes(result.generation.id))).toBe(true)
    expect(fuzzText(result, fileStyle).replace(/\s+/g, ' ')).toContain('without magic1-is-required')
  })

  it('that cannot be had is refused by name', async () => {
    await expect(run({ runs: 1, without: 'left-out-components-go-to-init-' as never })).rejects.toThrow(
      /^without is "left-out-components-go-to-init-", must be one of /,
    )
  })
})

describe('a wrong expectation', () => {
  let result: FuzzResult | undefined

  beforeAll(async () => {
    if (!host?.xsave || !host.extended) return
    result = await run({ runs: 4000, generation: wrongFor(host.generation.id) })
  }, 300_000)

  const found = (ctx: TestContext): { result: FuzzResult; told: GenerationId; isClean: boolean } => {
    const { generation, deviations, extended } = known(ctx)
    if (!extended) ctx.skip('this task has nothing above SSE')
    return { result: result as FuzzResult, told: generation.id, isClean: deviations.length === 0 }
  }

  it('is found out', ctx => {
    const { result: all, told } = found(ctx)
    expect(all.findings.length).toBeGreaterThan(0)
    expect(all.kernel.told).toBe(told)
    expect(all.generation.id).toBe(wrongFor(told))
    expect(total(all)).toBe(4000)
    expect(fuzzExitCode(all)).toBe(1)
    const text = fuzzText(all, fileStyle)
    expect(text.replace(/\s+/g, ' ')).toContain(`told to be ${told}`)
    for (const line of text.split('\n')) expect([line, [...line].length <= 80]).toEqual([line, true])
    expect(JSON.parse(fuzzJson(all)).findings).toHaveLength(all.findings.length)
  })

  it('in differences that show again, are small, name their rule, and whose doing they are', ctx => {
    const { result: all, told, isClean } = found(ctx)
    for (const one of all.findings) {
      const about = JSON.stringify([one.expected, one.observed, one.frame.edit.map(plainOp)])
      expect([about, one.repeated]).toEqual([about, true])
      expect([about, one.frame.edit.length <= 3]).toEqual([about, true])
      expect(one.alsoAs).not.toContain(wrongFor(told))
      if (isClean) expect([about, one.alsoAs]).toEqual([about, expect.arrayContaining([told])])
      expect(one.predicted).not.toBeNull()
      for (const { name, expected, observed } of one.differences) {
        const form = name === 'mxcsr' ? /^0x[0-9a-f]+$/ : /^(init|([0-9a-f]{2})+)$/
        expect([expected, observed]).toEqual([expect.stringMatching(form), expect.stringMatching(form)])
        expect(observed).not.toBe(expected)
      }
    }
    expect(all.findings.some(({ rule }) => rule !== null)).toBe(true)
  })

  const read = async (all: FuzzResult, one: FoundIn): Promise<SavedProbe> =>
    await parseProbeFile(probeFileJson(savedFinding(all, one)), 'saved.json')

  /** Those that are explained as sessions without permissions see them. */
  const plain = ({ findings }: FuzzResult): readonly FoundIn[] =>
    findings.filter(one => one.session.permissions.length === 0)

  it('that are saved, read and explained: as was expected, and as the kernel does', async ctx => {
    const { result: all, told, isClean } = found(ctx)
    const probe = session({}, ctx)
    const task = taskOf(probe)
    for (const one of plain(all)) {
      const saved = await read(all, one)
      expect(saved.finding).toMatchObject({ seed, generation: wrongFor(told), observed: one.observed })
      expect(saved.kernel?.generation).toBe(told)
      const as = (id: GenerationId) =>
        explain(
          saved,
          generationOf(id),
          task,
          (ask, before) => askHardware(probe, [{ ask, before }])[0] ?? null,
        )
      const [wrong, right] = [as(wrongFor(told)), as(told)]
      if (typeof wrong === 'string' || typeof right === 'string') throw new Error(`${wrong} ${right}`)
      expect(wrong.predicted.end).toBe(one.predicted?.end)
      expect(wrong.decisions.map(({ step: { rule }, said }) => [rule, said])).toHaveLength(
        one.decisions.length,
      )
      if (!isClean) continue
      const ends = {
        restored: 'returned',
        'fx-only': 'returned',
        init: 'returned',
        rejected: 'rejected',
        killed: 'killed',
      }
      expect(one.observed.startsWith(ends[right.predicted.end])).toBe(true)
      expect({ end: right.predicted.end, registers: right.registers }).not.toEqual({
        end: wrong.predicted.end,
        registers: wrong.registers,
      })
    }
  })

  it('that are C: not as was expected, and as the kernel does', async ctx => {
    needsGcc(ctx)
    const { result: all, told, isClean } = found(ctx)
    const probe = session({}, ctx)
    const task = taskOf(probe)
    for (const one of plain(all).slice(0, 3)) {
      const saved = await read(all, one)
      const codeAs = (id: GenerationId): [number | null, string] => {
        const explained = explain(
          saved,
          generationOf(id),
          task,
          (ask, before) => askHardware(probe, [{ ask, before }])[0] ?? null,
        )
        if (typeof explained === 'string') throw new Error(explained)
        const { code, out } = ran(
          compiled(cReproducer(reproducibleProbe(saved, probe.limits, explained.predicted, id))),
        )
        return [code, out]
      }
      const [wrong, out] = codeAs(wrongFor(told))
      expect(wrong, out).toBe(1)
      if (!isClean) continue
      const [right, words] = codeAs(told)
      expect(right, words).toBe(0)
    }
  }, 120_000)
})

describe('a run that cannot go on', () => {
  it('tells what there is until then, and why', async ctx => {
    needsProbes(ctx)
    if (!session({}, ctx).layout.xsave) ctx.skip('this host has no XSAVE')
    const { runEach } = Probe.prototype
    let left = 4
    const broken = vi.spyOn(Probe.prototype, 'runEach').mockImplementation(function (this: Probe, ...given) {
      if (left-- === 0) throw new Error('sigframe-probe could not be started: ENOENT')
      return runEach.apply(this, given)
    })
    onTestFinished(() => broken.mockRestore())
    const result = await fuzz({ runs: 100_000, seed: 3 })
    expect(result.failed).toBe('sigframe-probe could not be started: ENOENT')
    expect(result.frames).toBe(4 * 128)
    expect(fuzzExitCode(result)).toBe(70)
    expect(fuzzText(result, fileStyle)).toContain(
      'before its time: sigframe-probe could not be started: ENOENT',
    )
  })
})
