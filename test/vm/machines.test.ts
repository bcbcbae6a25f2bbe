/** All machines of an invocation, with fake emulators: some at a time, in order, and nothing left behind. */
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { captureFrames } from '../../lib/foreign/capture.ts'
import type { ReplayedFrame } from '../../lib/foreign/captured.ts'
import type { MachineSpec } from '../../lib/vm/emulators/emulator.ts'
import { vmExitCode } from '../../lib/vm/exit-code.ts'
import type { Answer } from '../../lib/vm/guest/task.ts'
import type { VmReport } from '../../lib/vm/machine.ts'
import { runMachines, type VmOptions, type VmProgress } from '../../lib/vm/vm.ts'
import { eventually, needsProbes, session } from '../probe/support.ts'
import { bundle, result } from '../report/stub.ts'
import {
  answerOf,
  type FakeEmulator,
  fakeCpu,
  fakeEmulator,
  fakeKernel,
  isAlive,
  pidIn,
  sampleBundle,
} from './fake.ts'

const { TMPDIR, SIGFRAME_CACHE } = process.env
const restore = (name: string, value: string | undefined): void => {
  if (value === undefined) delete process.env[name]
  else process.env[name] = value
}

let cache: string
let temporary: string

beforeAll(() => {
  cache = mkdtempSync(join(tmpdir(), 'sigframe-machines-'))
  process.env.SIGFRAME_CACHE = cache
})

afterAll(() => {
  restore('SIGFRAME_CACHE', SIGFRAME_CACHE)
  rmSync(cache, { recursive: true })
})

beforeEach(ctx => {
  // An image takes the addon, and the programs beside it.
  needsProbes(ctx)
  temporary = join(cache, 'tmp')
  mkdirSync(temporary)
  process.env.TMPDIR = temporary
})

afterEach(() => {
  restore('TMPDIR', TMPDIR)
  rmSync(temporary, { recursive: true, force: true })
})

const never = { found: null, missing: 'not asked for' } as const

const run = (emulator: FakeEmulator | null, changes: Partial<VmOptions> = {}): Promise<VmReport> =>
  runMachines({
    kernels: [fakeKernel('k1')],
    cpus: [fakeCpu('avx')],
    emulators: {
      qemu:
        emulator === null
          ? { found: null, missing: 'qemu-system-x86_64 is not on PATH' }
          : { found: emulator },
      bochs: never,
    },
    select: [],
    require: null,
    baseline: null,
    rule: null,
    long: false,
    pairs: false,
    sources: [],
    atOnce: 1,
    acceleration: 'tcg',
    memoryMib: 512,
    seconds: 60,
    append: '',
    signal: new AbortController().signal,
    onProgress: () => undefined,
    ...changes,
  })

const ran = "boots; answer; data 'exit 0'; data end"
const kernels = ['k1', 'k2', 'k3'].map(fakeKernel)
const cpus = ['avx', 'max'].map(fakeCpu)
const names = ({ machines }: VmReport): string[] =>
  machines.map(({ kernel, cpu }) => `${kernel.name} ${cpu.name}`)
const allNames = ['k1 avx', 'k1 max', 'k2 avx', 'k2 max', 'k3 avx', 'k3 max']
const nameOf = ({ kernel, cpu }: MachineSpec): string => `${kernel.split('/').at(-1)} ${cpu}`

describe('the report', () => {
  test('has each kernel with each CPU in the order given, however long each takes', async () => {
    const emulator = fakeEmulator((_, count) => ({ script: `sleep ${count % 2 === 1 ? 0.6 : 0}; ${ran}` }))
    const report = await run(emulator, { kernels, cpus, atOnce: 2, require: 'classic' })
    expect(names(report)).toEqual(allNames)
    expect(report).toMatchObject({
      format: 'sigframe vm',
      version: 1,
      require: 'classic',
      rule: null,
      interrupted: false,
    })
    expect(report.machines.map(({ status }) => status)).toEqual(Array(6).fill('ran'))
    expect(vmExitCode(report)).toBe(0)
    expect(emulator.boots.map(({ spec }) => nameOf(spec)).sort()).toEqual(allNames)
  })

  test('of one that fails beside others tells of all', async () => {
    const scripts: Record<string, string> = {
      'k1 avx': ran,
      'k2 avx': "boots; console '[ 3.0] Kernel panic - not syncing: x'",
      'k3 avx': 'echo no >&2; exit 1',
    }
    const emulator = fakeEmulator(spec => ({ script: scripts[nameOf(spec)] as string }))
    const report = await run(emulator, { kernels, atOnce: 2 })
    expect(report.machines.map(({ status }) => status)).toEqual(['ran', 'panic', 'refused'])
    expect(vmExitCode(report)).toBe(70)
  })

  test('without an emulator: all skipped, and nothing is built', async () => {
    const { SIGFRAME_CACHE: before } = process.env
    process.env.SIGFRAME_CACHE = join(cache, 'unused')
    try {
      const report = await run(null, { kernels, cpus, atOnce: 2, acceleration: 'auto' })
      expect(report.machines.map(({ status, reason }) => `${status}: ${reason}`)).toEqual(
        Array(6).fill('skipped: qemu-system-x86_64 is not on PATH'),
      )
      expect(vmExitCode(report)).toBe(4)
      expect(readdirSync(cache)).not.toContain('unused')
    } finally {
      restore('SIGFRAME_CACHE', before)
    }
  })

  test('says how far it is', async () => {
    const told: VmProgress[] = []
    await run(
      fakeEmulator(() => ({ script: ran })),
      { kernels, onProgress: progress => told.push(progress) },
    )
    expect(told.every(({ all }) => all === 3)).toBe(true)
    expect(told.filter(({ state }) => state === 'ran').map(({ done, kernel }) => [done, kernel])).toEqual([
      [1, 'k1'],
      [2, 'k2'],
      [3, 'k3'],
    ])
  })
})

describe('machines at a time', () => {
  /** The most that were there at once, as the machines themselves see it. */
  const most = async (atOnce: number | null): Promise<number> => {
    const mark = join(temporary, 'marks')
    mkdirSync(mark)
    let seen = 0
    const emulator = fakeEmulator((_, count) => ({
      script: `touch ${mark}/${count}; sleep 0.7; ls ${mark} | wc -l | { read n; data "case $n at-once"; }; rm ${mark}/${count}; ${ran}`,
    }))
    await run(emulator, {
      kernels,
      cpus,
      atOnce,
      onProgress: ({ state }) => {
        const found = /^(\d+) cases, at-once/.exec(state)
        if (found !== null) seen = Math.max(seen, Number(found[1]))
      },
    })
    return seen
  }

  test('one', async () => {
    expect(await most(1)).toBe(1)
  })

  test('two, and never more', async () => {
    expect(await most(2)).toBe(2)
  })

  test('each at a time has an initramfs and a folder of its own', async () => {
    const emulator = fakeEmulator(() => ({ script: `sleep 0.3; ${ran}` }))
    await run(emulator, { kernels, cpus, atOnce: 2 })
    expect(new Set(emulator.boots.map(({ spec }) => spec.initramfs)).size).toBe(2)
    expect(new Set(emulator.boots.map(({ spec }) => spec.folder)).size).toBe(6)
  })
})

describe('what is left behind', () => {
  test('nothing in the temporary folder, one image in the cache', async () => {
    await run(
      fakeEmulator(() => ({ script: ran })),
      { kernels },
    )
    expect(readdirSync(temporary)).toEqual([])
    expect(readdirSync(join(cache, 'initramfs'))).toEqual([expect.stringMatching(/^[0-9a-f]{32}\.cpio$/)])
  })

  test('after Ctrl-C: no process, no folder; what was done is told, and what was not', async () => {
    const stop = new AbortController()
    const emulator = fakeEmulator((_, count) => ({ script: count === 1 ? ran : 'boots; exec sleep 60' }))
    let running: number[] = []
    const report = await run(emulator, {
      kernels,
      cpus,
      atOnce: 2,
      signal: stop.signal,
      onProgress: ({ state }) => {
        if (state !== 'booted' || emulator.boots.length < 3 || stop.signal.aborted) return
        running = emulator.boots.flatMap(({ pidFile }) => pidIn(pidFile) ?? []).filter(isAlive)
        if (running.length === 2) stop.abort()
      },
    })
    expect(running).toHaveLength(2)
    expect(await eventually(() => !running.some(isAlive))).toBe(true)
    expect(report.interrupted).toBe(true)
    expect(names(report)).toEqual(allNames)
    expect(report.machines.filter(({ status }) => status === 'ran')).toHaveLength(1)
    expect(report.machines.filter(({ status }) => status === 'interrupted')).toHaveLength(5)
    expect(emulator.boots).toHaveLength(3)
    expect(report.machines.map(({ attempts }) => attempts).sort()).toEqual([0, 0, 0, 1, 1, 1])
    expect(readdirSync(temporary)).toEqual([])
    expect(vmExitCode(report)).toBe(0)
  })

  test('no folder where the emulator cannot be prepared', async () => {
    const emulator = fakeEmulator(() => {
      throw new Error('xorriso is gone')
    })
    await run(emulator, { kernels }).catch(() => undefined)
    expect(readdirSync(temporary)).toEqual([])
  })
})

describe('with --pairs', () => {
  const replayed = (from: string, asExpected: boolean): ReplayedFrame => ({
    from,
    outcome: asExpected ? 'holds' : 'loses',
    lost: asExpected ? [] : ['avx'],
    unknown: [],
    leftOver: [],
    observed: 'seen',
    expected: 'expected',
    asExpected,
  })

  const capturing = (): Answer => answerOf({ bundle: sampleBundle(), frames: captureFrames(session()) })

  const bootsOf = (emulator: FakeEmulator): string[] => emulator.boots.map(({ spec }) => nameOf(spec))

  test('each machine that has frames is booted a second time, for those of the others', async () => {
    const emulator = fakeEmulator((spec, count) => {
      const name = nameOf(spec)
      if (name === 'k3 avx') return { script: 'echo no >&2; exit 1' }
      if (count <= 3) return { script: ran, answer: capturing() }
      const other = name === 'k1 avx' ? 'k2|avx' : 'k1|avx'
      return {
        script: ran,
        answer: answerOf({ replayed: [replayed(`${other}|x86_64/all`, name === 'k1 avx')] }),
      }
    })
    const report = await run(emulator, { kernels, pairs: true })
    expect(bootsOf(emulator)).toEqual(['k1 avx', 'k2 avx', 'k3 avx', 'k1 avx', 'k2 avx'])
    expect(report.machines.map(({ status }) => status)).toEqual(['ran', 'ran', 'refused'])
    expect(report.machines.map(machine => machine.replayed.map(({ from }) => from))).toEqual([
      ['k2|avx|x86_64/all'],
      ['k1|avx|x86_64/all'],
      [],
    ])
    // The first boot's results are kept.
    expect(report.machines.map(machine => machine.bundle?.cases.length ?? null)).toEqual([2, 2, null])
    expect(vmExitCode({ machines: report.machines.slice(0, 1) })).toBe(0)
    expect(vmExitCode({ machines: report.machines.slice(0, 2) })).toBe(1)
  })

  test('a machine that the frames of others kill is told as that', async () => {
    const emulator = fakeEmulator((_, count) =>
      count <= 2
        ? { script: ran, answer: capturing() }
        : { script: "boots; console '[ 3.0] BUG: kernel NULL pointer dereference, address: 0'" },
    )
    const report = await run(emulator, { kernels: kernels.slice(0, 2), pairs: true })
    for (const machine of report.machines) {
      expect(machine).toMatchObject({ status: 'oops', phase: 'probes' })
      expect(machine.reason).toMatch(/^with frames of other machines: BUG: kernel NULL pointer/)
      expect(machine.bundle?.cases).toHaveLength(2)
    }
    expect(vmExitCode(report)).toBe(1)
  })

  test('one with a stuck case is not asked again', async () => {
    const stuck = bundle([result('stuck')])
    const emulator = fakeEmulator(spec => ({
      script: ran,
      answer: nameOf(spec) === 'k1 avx' ? capturing() : { ...capturing(), bundle: stuck },
    }))
    await run(emulator, { kernels: kernels.slice(0, 2), pairs: true })
    expect(bootsOf(emulator)).toEqual(['k1 avx', 'k2 avx', 'k1 avx'])
  })

  test('without it, none is', async () => {
    const emulator = fakeEmulator(() => ({ script: ran, answer: capturing() }))
    await run(emulator, { kernels: kernels.slice(0, 2) })
    expect(emulator.boots).toHaveLength(2)
  })
})
