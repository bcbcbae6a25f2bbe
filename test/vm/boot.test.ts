/** One machine with a fake emulator: every way to end, from what it writes to what is told of it. */
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { runSelftests } from '../../lib/harness/run.ts'
import { bootMachine, ranWhole } from '../../lib/vm/boot.ts'
import type { Answer, Task } from '../../lib/vm/guest/task.ts'
import type { Entry } from '../../lib/vm/initramfs/newc.ts'
import type { MachineResult } from '../../lib/vm/machine.ts'
import { needsProbes } from '../probe/support.ts'
import { bundle, result } from '../report/stub.ts'
import {
  answerOf,
  type FakeEmulator,
  fakeCpu,
  fakeEmulator,
  fakeKernel,
  isAlive,
  pidIn,
  taskIn,
} from './fake.ts'

let folder: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sigframe-boot-'))
})

afterEach(() => {
  rmSync(folder, { recursive: true })
})

const task: Task = {
  kind: 'run',
  select: ['xsave_header'],
  require: 'classic',
  baseline: null,
  long: false,
  capture: false,
}

interface Setup {
  readonly emulator: FakeEmulator
  readonly signal?: AbortSignal
  readonly append?: string
  readonly states?: string[]
  readonly jobs?: (readonly Entry[])[]
}

const boot = (setup: Setup): Promise<MachineResult> => {
  const { emulator, signal = new AbortController().signal, append = '', states = [], jobs = [] } = setup
  return bootMachine(
    {
      kernel: fakeKernel('k'),
      cpu: fakeCpu('avx'),
      emulator,
      slot: { path: '/initramfs', put: async entries => void jobs.push(entries) },
      folder: join(folder, 'machine'),
    },
    task,
    { acceleration: 'tcg', whyAcceleration: 'because', memoryMib: 512, seconds: 60, append, signal },
    state => states.push(state),
  )
}

const does = (script: string, answer?: Answer): FakeEmulator =>
  fakeEmulator(() => (answer === undefined ? { script } : { script, answer }))

const oops = "console '[    3.000000] BUG: unable to handle page fault for address: ffff8880'"
const panic = "console '[    3.100000] Kernel panic - not syncing: Fatal exception'"
const ending = "data 'exit 0'; data end"

describe('what is booted', () => {
  test('the machine as it was asked for, with its job', async () => {
    const emulator = does(`boots; answer; ${ending}`)
    const jobs: (readonly Entry[])[] = []
    await boot({ emulator, append: 'foo=bar', jobs })
    const [first] = emulator.boots
    expect(first?.spec).toMatchObject({
      kernel: '/kernels/k',
      initramfs: '/initramfs',
      cpu: 'avx',
      memoryMib: 512,
      cpus: 2,
      acceleration: 'tcg',
    })
    expect(first?.spec.commandLine).toMatch(/\bconsole=ttyS0 .*\boops=panic panic=-1 .* foo=bar$/)
    expect(jobs).toHaveLength(1)
    expect(jobs[0]?.map(({ name }) => name)).toEqual(['job', 'task.json'])
    expect(taskIn(jobs[0] as readonly Entry[])).toEqual(task)
  })

  test('the job as PID 1 reads it', async () => {
    const jobs: (readonly Entry[])[] = []
    await boot({ emulator: does(''), jobs })
    const [job] = jobs[0] as readonly Entry[]
    const text = Buffer.from((job as { bytes: Uint8Array }).bytes).toString()
    // native/init/job.h
    for (const line of text.trimEnd().split('\n'))
      expect(line).toMatch(/^(seconds \d+|quiet \d+|arg \S+|env [A-Z_]+=\S*|cwd \/\S*)$/)
    expect(text).toMatch(/^seconds 60$/m)
    const words = text.match(/^arg .*$/gm) ?? []
    expect(words[0]).toBe('arg /usr/bin/node')
    expect(words.slice(1, -2).every(word => word.startsWith('arg --'))).toBe(true)
    expect(words.slice(-2)).toEqual(['arg /sigframe/dist/lib/vm/guest/main.js', 'arg /task.json'])
  })
})

describe('how it ended', () => {
  test('ran', async () => {
    const states: string[] = []
    const emulator = does(
      `boots; data 'wants CONFIG_SMP a second CPU'; data 'case 1 a/b'; data 'case 2 a/c'; answer; ${ending}; console late`,
    )
    const machine = await boot({ emulator, states })
    expect(machine).toMatchObject({
      kernel: { name: 'k', path: '/kernels/k', release: '6.99.1-fake' },
      cpu: { name: 'avx', emulator: 'qemu', model: 'avx' },
      emulator: { version: '9.9.9', acceleration: 'tcg', why: 'because' },
      status: 'ran',
      reason: '',
      phase: 'end',
      lacks: [],
      wants: ['CONFIG_SMP (a second CPU)'],
      attempts: 1,
      console: [],
      warnings: [],
      frames: [],
      replayed: [],
    })
    expect(machine.bundle?.cases.map(({ verdict }) => verdict)).toEqual(['pass', 'skip'])
    expect(machine.bootMs).toBeLessThanOrEqual(machine.durationMs)
    expect(states).toEqual(['booted', '1 cases, a/b', '2 cases, a/c'])
    expect(ranWhole(machine)).toBe(true)
  })

  test.each<[string, string, MachineResult['status'], MachineResult['phase'], RegExp]>([
    ['a panic', `boots; data 'case 3 a/b'; ${panic}`, 'panic', 'probes', /^Kernel panic.*a\/b/],
    ['an oops', `boots; ${oops}; ${panic}`, 'oops', 'probes', /^BUG: unable/],
    [
      'time is over inside',
      `boots; data 'late 60 seconds are over'; data 'killed 9'; data end`,
      'timeout',
      'probes',
      /^60 seconds/,
    ],
    [
      'a process that stays',
      `boots; data 'late 60 seconds are over'; data 'unkillable 77 sigframe-probe R -'; data 'killed 9'; data end`,
      'stuck',
      'probes',
      /^SIGKILL does not end sigframe-probe \(.*77/,
    ],
    [
      'output without end',
      `boots; exec yes 'spam of a kernel' >> "$CONSOLE"`,
      'cut-off',
      'probes',
      /wrote without end/,
    ],
    [
      'it refuses',
      `echo 'qemu: unable to find CPU model' >&2; exit 1`,
      'refused',
      'emulator',
      /unable to find CPU model \(exit code 1\)/,
    ],
    ['it crashes', `boots; kill -ABRT $$`, 'refused', 'probes', /SIGABRT/],
    ['a reset', `boots; data 'case 3 a/b'`, 'cut-off', 'probes', /without results.*a\/b/],
    ['half an answer', `boots; head -c 100 "$ANSWER" >> "$DATA"`, 'cut-off', 'probes', /incomplete/],
    [
      'an answer with a bit wrong',
      `boots; sed 's/ 0/ 1/;s/ [1-9a-f]/ 0/' "$ANSWER" >> "$DATA"; ${ending}`,
      'cut-off',
      'probes',
      /incomplete/,
    ],
    [
      'missing options',
      `data 'boot 1 x'; data 'lacks CONFIG_FUTEX futex'; data end`,
      'lacks',
      'boot',
      /CONFIG_FUTEX/,
    ],
    ['no memory', `boots; data 'killed 9'; data 'oom 1'; data end`, 'memory', 'probes', /1 times/],
    ['no word', '', 'silent', 'emulator', /without a word/],
    [
      'Node that fails',
      `boots; data 'failed Error: x'; data 'exit 70'; data end`,
      'broken',
      'probes',
      /^Error: x$/,
    ],
  ])('%s', async (_, script, status, phase, reason) => {
    const machine = await boot({ emulator: does(script) })
    expect({ status: machine.status, phase: machine.phase }).toEqual({ status, phase })
    expect(machine.reason).toMatch(reason)
    expect(machine.attempts).toBe(1)
    expect(machine.bundle).toBeNull()
    expect(ranWhole(machine)).toBe(false)
  })

  test('a case that is stuck is told with its bundle', async () => {
    const stuck = bundle([result('pass'), result('stuck', { observed: 'unkillable in state R' })])
    const machine = await boot({ emulator: does(`boots; answer; ${ending}`, answerOf({ bundle: stuck })) })
    expect(machine.status).toBe('stuck')
    expect(machine.reason).toMatch(/unkillable in state R$/)
    expect(machine.bundle?.cases).toHaveLength(2)
    expect(ranWhole(machine)).toBe(false)
  })

  test.each<[string, unknown]>([
    ['null', null],
    ['a list', []],
    ['a bundle of another version', { bundle: { bundleVersion: 2 }, frames: [], replayed: [] }],
    ['frames that are none', { bundle: null, frames: [{ id: 1 }], replayed: [] }],
    ['no frames', { bundle: null }],
  ])('an answer that is whole and is none is broken: %s', async (_, value) => {
    const emulator = does(`boots; answer; ${ending}`, value as Answer)
    const machine = await boot({ emulator })
    expect(machine).toMatchObject({ status: 'broken', bundle: null, frames: [], replayed: [] })
    expect(machine.reason).toMatch(/^the results are not valid: ./)
  })

  test('PID 1 that says its end, and a power that stays on: that is no fault', async () => {
    const emulator = does(`boots; answer; ${ending}; exec sleep 60`)
    const machine = await boot({ emulator })
    expect(machine).toMatchObject({ status: 'ran', reason: '' })
    expect(machine.bundle?.cases).toHaveLength(2)
  })

  test('the console is told of what did not run, its end the longest', async () => {
    const { console } = await boot({ emulator: does(`boots; seq 1 100 >> "$CONSOLE"; exit 1`) })
    expect(console.at(-1)).toBe('100')
    expect(console.length).toBeLessThan(100)
  })

  test('what the kernel complained of before the run is a warning, what comes later the run tells', async () => {
    const complaint = (text: string): string => `console '[    1.000000] BUG: ${text}'`
    const machine = await boot({
      emulator: does(`${complaint('early')}; boots; sleep 1; ${complaint('late')}; answer; ${ending}`),
    })
    expect(machine.warnings).toEqual(['BUG: early'])
  })

  test('the word of a real run', async ctx => {
    needsProbes(ctx)
    const real = await runSelftests({ select: ['xsave_header'], require: null, baseline: null })
    const machine = await boot({ emulator: does(`boots; answer; ${ending}`, answerOf({ bundle: real })) })
    expect(machine.status).toBe(real.cases.some(({ verdict }) => verdict === 'stuck') ? 'stuck' : 'ran')
    expect(machine.bundle).toEqual(JSON.parse(JSON.stringify(real)))
  })
})

describe('a machine that dies while booting', () => {
  const dying = `console '[    0.300000] Oops: double fault: 0000 [#1] SMP'; ${panic}`
  const living = `boots; answer; ${ending}`

  test('is booted again, and then ran', async () => {
    const emulator = fakeEmulator((_, count) => ({ script: count < 3 ? dying : living }))
    const machine = await boot({ emulator })
    expect(machine).toMatchObject({ status: 'ran', attempts: 3, console: [] })
    expect(machine.warnings).toEqual([
      expect.stringMatching(/^boot 1 ended before PID 1: Oops: double fault/),
      expect.stringMatching(/^boot 2 ended before PID 1: Oops: double fault/),
    ])
    expect(emulator.boots).toHaveLength(3)
    expect(new Set(emulator.boots.map(({ spec }) => spec.folder)).size).toBe(3)
  })

  test('again and again is told as it is', async () => {
    const emulator = does(dying)
    expect(await boot({ emulator })).toMatchObject({ status: 'oops', phase: 'boot', attempts: 3 })
    expect(emulator.boots).toHaveLength(3)
  })

  test('while probing it is not', async () => {
    const emulator = does(`boots; ${dying}`)
    expect(await boot({ emulator })).toMatchObject({ status: 'oops', phase: 'probes', attempts: 1 })
  })
})

describe('what is left', () => {
  test('no folder, however it ended', async () => {
    for (const script of [`boots; answer; ${ending}`, 'exit 1', panic]) {
      await boot({ emulator: does(script) })
      const machine = join(folder, 'machine')
      expect(existsSync(machine) ? readdirSync(machine) : []).toEqual([])
    }
  })

  test('nor where the emulator cannot be prepared', async () => {
    const emulator = fakeEmulator(() => {
      throw new Error('no xorriso')
    })
    await boot({ emulator }).catch(() => undefined)
    const machine = join(folder, 'machine')
    expect(existsSync(machine) ? readdirSync(machine) : []).toEqual([])
  })

  test('no process, where Ctrl-C comes in the middle', async () => {
    const stop = new AbortController()
    const pids: number[] = []
    const emulator = does('boots; exec sleep 60')
    const states: string[] = []
    states.push = () => {
      pids.push(pidIn(emulator.boots[0]?.pidFile as string) as number)
      stop.abort()
      return 0
    }
    expect(await boot({ emulator, signal: stop.signal, states })).toMatchObject({
      status: 'interrupted',
      phase: 'probes',
      attempts: 1,
    })
    expect(pids).toHaveLength(1)
    expect(pids.filter(isAlive)).toEqual([])
  })
})
