import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { vmKtap } from '../../lib/report/vm/ktap.ts'
import { vmExitCode } from '../../lib/vm/exit-code.ts'
import type { MachineResult } from '../../lib/vm/machine.ts'
import { parseKtap } from './ktap-parser.ts'
import { bundle, everyVerdict, hostileTexts, result, xfail } from './stub.ts'
import {
  anyReport,
  failedMachine,
  failedStatuses,
  machine,
  matrix,
  replay,
  report,
  vmCpu,
  vmKernel,
} from './vm-samples.ts'

const textOf = (...machines: MachineResult[]): string => vmKtap(report(machines))
const linesOf = (...machines: MachineResult[]): string[] =>
  textOf(...machines)
    .trimEnd()
    .split('\n')
const totalsOf = (...machines: MachineResult[]): string => linesOf(...machines).at(-1) ?? ''
const testOf = (one: MachineResult) => parseKtap(textOf(one)).tests[0]

test('two machines, to the letter', () => {
  const one = machine({ bundle: bundle([result('pass', { id: 'untouched_frame/restores/x86_64/avx' })]) })
  expect(textOf(one, failedMachine('panic', { cpu: vmCpu('avx') }))).toBe(`KTAP version 1
1..2
# tool: sigframe 0.1.0
  KTAP version 1
  1..1
  # tool: sigframe 0.1.0
  # host: AMD EPYC 9B45, xcr0 0x207, user size 2696
  # kernel: 6.12.43-cloud-amd64 #1 SMP PREEMPT_DYNAMIC Debian 6.12.43-1
  # generation: classic; a clean fit: all 2 telling frames did as classic kernels do
  # kernel log: watched from boot on
    KTAP version 1
    1..1
    ok 1 - untouched_frame/restores/x86_64/avx
  ok 1 - untouched_frame
# cpu: pkru, max,-mpx
# emulator: qemu 7.2.22, software emulation (tcg)
ok 1 - debian:6.12.43/pkru
# cpu: avx, Haswell-noTSX
# emulator: qemu 7.2.22, software emulation (tcg)
# console: VFS: Cannot open root device
# console: Kernel panic - not syncing: VFS: Unable to mount root fs
not ok 2 - debian:6.12.43/avx # ERROR panic: Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)
# Totals: pass:1 fail:0 xfail:0 xpass:0 skip:0 error:1
`)
})

describe('a machine', () => {
  test.each(failedStatuses)('%s', status => {
    const ok = status === 'skipped' || status === 'interrupted'
    const directive = ok ? 'SKIP' : status === 'timeout' ? 'TIMEOUT' : 'ERROR'
    const { reason } = failedMachine(status)
    const data = status === 'skipped' || status === 'timeout' ? reason : `${status}: ${reason}`
    expect(testOf(failedMachine(status))).toMatchObject({ ok, directive, data, subtests: null })
  })

  test.each([
    ...(['pass', 'xfail', 'skip'] as const).map(one => [one, true] as const),
    ...(['fail', 'timeout', 'crash', 'stuck', 'broken'] as const).map(one => [one, false] as const),
  ])('with a case that is %s is ok: %s', (verdict, ok) => {
    expect(testOf(machine({ bundle: bundle([result(), result(verdict)]) }))).toMatchObject({
      ok,
      directive: null,
    })
  })

  test('on which all was skipped', () => {
    expect(testOf(machine({ bundle: bundle([result('skip')]) }))).toMatchObject({
      ok: true,
      directive: 'SKIP',
    })
  })

  test.each([null, bundle([])])('without results', none => {
    const one = machine({ bundle: none })
    expect(testOf(one)).toMatchObject({ ok: false, directive: 'ERROR' })
    expect(totalsOf(one)).toContain(' error:1')
  })

  test('that ended badly is not ok, whatever it had found until then', () => {
    const one = machine({ status: 'hang', reason: 'silent for 10 s', bundle: bundle([result()]) })
    expect(testOf(one)).toMatchObject({ ok: false, directive: 'ERROR', data: 'hang: silent for 10 s' })
    expect(testOf(one)?.subtests).toHaveLength(1)
    expect(totalsOf(one)).toBe('# Totals: pass:1 fail:0 xfail:0 xpass:0 skip:0 error:1')
  })

  test('frames of others are cases of it', () => {
    const one = machine({
      bundle: bundle([result()]),
      replayed: [
        replay('a|b|x86_64/w'),
        replay('a|b|x86_64/x', { outcome: 'loses', lost: ['avx'] }),
        replay('a|b|x86_64/y', { asExpected: false, observed: 'seen' }),
        replay('a|b|x86_64/z', { outcome: 'unable', asExpected: null }),
      ],
    })
    const frames = testOf(one)?.subtests?.find(({ name }) => name === 'foreign_frame')
    expect(frames?.subtests?.map(({ ok, name, directive }) => [ok, name, directive])).toEqual([
      [true, 'foreign_frame/a|b|x86_64/w', null],
      [true, 'foreign_frame/a|b|x86_64/x', 'XFAIL'],
      [false, 'foreign_frame/a|b|x86_64/y', null],
      [true, 'foreign_frame/a|b|x86_64/z', 'SKIP'],
    ])
    expect(testOf(one)?.ok).toBe(false)
    expect(textOf(one)).toContain('    # observed: seen\n')
    expect(textOf(one)).not.toContain('repeat')
  })

  test('a failure is repeated in a machine', () => {
    const one = machine({ bundle: bundle([result('fail', { id: 'a/b' })]) })
    expect(textOf(one)).toContain("    # repeat: sigframe vm 'a/b' --kernel debian:6.12.43 --cpu pkru\n")
  })

  test('says what its kernel lacks, and warned of', () => {
    const text = textOf(failedMachine('lacks', { wants: ['CONFIG_X'], warnings: ['oh'], attempts: 2 }))
    for (const line of ['boots: 2', 'lacks: CONFIG_EPOLL (epoll)', 'skips for: CONFIG_X', 'WARNING: oh'])
      expect(text).toContain(`\n# ${line}\n`)
  })
})

test('the totals are over all machines', () => {
  const cases = everyVerdict.map(one => result(one))
  const machines = [
    machine({ bundle: bundle(cases) }),
    machine({ bundle: bundle([...cases, xfail()]), kernel: vmKernel('b') }),
    ...failedStatuses.map(status => failedMachine(status, { kernel: vmKernel(status) })),
  ]
  expect(totalsOf(...machines)).toBe('# Totals: pass:2 fail:5 xfail:3 xpass:0 skip:4 error:16')
})

test('what was demanded, and whether it is all', () => {
  const text = vmKtap(report([machine()], { require: 'portable', rule: 'x', interrupted: true }))
  expect(text).toContain('\n# required: portable\n# judged by: x\n# WARNING: interrupted: this is not all\n')
})

test('no machine', () => {
  expect(parseKtap(vmKtap(report([]))).tests).toEqual([])
  expect(vmKtap(report([]))).toContain('# broken: 0 machines ran')
})

test.each(hostileTexts)('hostile text %j', text => {
  const one = failedMachine('panic', { reason: text, console: [text], kernel: vmKernel('a', { name: text }) })
  expect(parseKtap(textOf(one, machine({ warnings: [text], wants: [text] }))).tests).toHaveLength(2)
})

test('the large matrix', () => {
  expect(parseKtap(textOf(...matrix())).tests.filter(({ ok }) => !ok)).toHaveLength(10)
})

test('any report is KTAP, not ok where its exit code says so', () => {
  fc.assert(
    fc.property(anyReport, drawn => {
      const { tests } = parseKtap(vmKtap(drawn))
      expect(tests).toHaveLength(drawn.machines.length)
      for (const [i, { ok }] of tests.entries()) {
        const one = drawn.machines[i] as MachineResult
        const code = one.status === 'interrupted' ? 0 : vmExitCode({ machines: [one] })
        expect(ok).toBe(code === 0 || code === 4)
      }
    }),
  )
})
