import { describe, expect, test } from 'vitest'
import type { CaseResult } from '../../lib/harness/results.ts'
import { bisectVerdict, blamesFrames } from '../../lib/vm/bisect.ts'
import { vmExitCode } from '../../lib/vm/exit-code.ts'
import type { MachineResult, MachineStatus } from '../../lib/vm/machine.ts'
import { bundle, everyVerdict, result, xfail } from './stub.ts'
import { failedMachine, failedStatuses, machine, replay, report } from './vm-samples.ts'

const ran = (...cases: CaseResult[]): MachineResult => machine({ bundle: bundle(cases) })
const passed = ran(result())
const failed = ran(result(), result('fail'))
const broken = ran(result('broken'), result('fail'))
const skipped = ran(result('skip'))

describe('vmExitCode', () => {
  const codeOf = (...machines: MachineResult[]): number => vmExitCode(report(machines))

  test.each<[MachineStatus, number]>([
    ['ran', 0],
    ...failedStatuses.map((status): [MachineStatus, number] => {
      if (status === 'broken' || status === 'refused' || status === 'interrupted') return [status, 70]
      return [status, status === 'skipped' ? 4 : 1]
    }),
  ])('%s alone is %i', (status, code) => {
    expect(codeOf(status === 'ran' ? passed : failedMachine(status))).toBe(code)
  })

  test.each(everyVerdict)('a case that is %s', verdict => {
    const codes = { pass: 0, xfail: 0, skip: 0, broken: 70 } as Record<string, number>
    expect(codeOf(ran(result(), result(verdict)))).toBe(codes[verdict] ?? 1)
  })

  test.each<[string, number, MachineResult[]]>([
    ['none', 70, []],
    ['no case', 70, [ran()]],
    ['no results', 70, [machine({ bundle: null })]],
    ['all cases skipped', 4, [skipped]],
    ['all skipped, in either way', 4, [skipped, failedMachine('skipped')]],
    ['some skipped beside others', 0, [passed, skipped, failedMachine('skipped')]],
    ['some interrupted beside others', 0, [passed, failedMachine('interrupted')]],
    ['skipped and interrupted', 70, [skipped, failedMachine('interrupted')]],
    ['failed beside passed', 1, [passed, failed, failedMachine('skipped')]],
    ['broken beside failed', 70, [failed, broken]],
    ['refused beside failed', 70, [failedMachine('panic'), failedMachine('refused')]],
    [
      'a whole bundle of a machine that ended badly',
      1,
      [machine({ status: 'hang', bundle: bundle([result()]) })],
    ],
    ['a foreign frame as expected', 0, [machine({ replayed: [replay('a|b|c/d', { outcome: 'loses' })] })]],
    ['a foreign frame that is not', 1, [machine({ replayed: [replay('a|b|c/d', { asExpected: false })] })]],
    [
      'a foreign frame of which nothing is predicted',
      0,
      [machine({ replayed: [replay('a|b|c/d', { asExpected: null })] })],
    ],
    [
      'a foreign frame beside a broken case',
      70,
      [{ ...broken, replayed: [replay('a|b|c/d', { asExpected: false })] }],
    ],
  ])('%s', (_, code, machines) => {
    expect(codeOf(...machines)).toBe(code)
    expect(codeOf(...machines.toReversed())).toBe(code)
  })
})

const shrunk = 'shrunk-frame-restores'
const of = (verdict: CaseResult['verdict'], changes: Partial<CaseResult> = {}): CaseResult =>
  result(verdict, { rules: [shrunk], ...changes })

describe('bisectVerdict', () => {
  const verdict = (rule: string | null, ...machines: MachineResult[]) => bisectVerdict(report(machines), rule)
  const codeOf = (...machines: MachineResult[]): number => verdict(null, ...machines).code
  const ruled = (...cases: CaseResult[]): number => verdict(shrunk, ran(...cases)).code

  test.each([
    ['pass', 0],
    ['xfail', 0],
    ['skip', 0],
    ['fail', 1],
    ['timeout', 0],
    ['crash', 1],
    ['stuck', 1],
    ['broken', 125],
  ] as const)('a case that is %s beside one that passed is %i', (one, code) => {
    expect(codeOf(ran(result(), result(one)))).toBe(code)
  })

  test.each([
    ['pass', 0],
    ['xfail', 1],
    ['skip', 0],
    ['fail', 1],
    ['timeout', 0],
    ['crash', 1],
    ['stuck', 1],
    ['broken', 125],
  ] as const)('with a rule, a case of it that is %s beside one that passed is %i', (one, code) => {
    expect(ruled(of('pass'), of(one), result('fail'), result('broken'))).toBe(code)
  })

  test('cases that are late are bad where there are more than a busy host makes', () => {
    const late = (count: number) => Array.from({ length: count }, () => result('timeout'))
    expect(codeOf(ran(result(), ...late(2)))).toBe(0)
    expect(codeOf(ran(result(), ...late(3)))).toBe(1)
    expect(codeOf(ran(...late(2)))).toBe(125)
  })

  test("the kernel's log is bad where it is of the frames", () => {
    const log = { watched: true, reason: '', onceCleared: false }
    const complained = (line: string): MachineResult => {
      const whole = bundle([result(), result('fail', { id: 'kernel/log/x86_64/all', selftest: 'kernel' })])
      const kernel = whole.kernel === null ? null : { ...whole.kernel, log: { ...log, lines: [line] } }
      return machine({ bundle: { ...whole, kernel } })
    }
    expect(codeOf(complained('RIP: 0010:__fpu_restore_sig+0xc1/0x43f'))).toBe(1)
    expect(codeOf(complained('RIP: 0010:ext4_find_extent+0x12/0x340'))).toBe(0)
  })

  test('nothing that could tell is no verdict', () => {
    expect(codeOf()).toBe(125)
    expect(codeOf(ran())).toBe(125)
    expect(codeOf(ran(result('skip')))).toBe(125)
    expect(codeOf(machine({ bundle: null }))).toBe(125)
    expect(ruled(result(), xfail())).toBe(125)
    expect(ruled(of('skip'), result('fail'))).toBe(125)
  })

  test('that a demand could not be looked into is none, that it was not met is bad', () => {
    const unlooked = result('fail', { selftest: 'require', rules: [], reason: 'no case could tell portable' })
    expect(verdict(null, ran(result(), unlooked))).toMatchObject({
      code: 125,
      why: expect.stringContaining('no case could tell portable'),
    })
    expect(codeOf(ran(result(), { ...unlooked, rules: [shrunk] }))).toBe(1)
    expect(codeOf(ran(result(), unlooked, result('fail')))).toBe(1)
    expect(codeOf(ran(result(), { ...unlooked, selftest: 'kernel' }))).toBe(1)
  })

  test.each(failedStatuses)('%s', status => {
    const codes: Partial<Record<MachineStatus, number>> = { stuck: 1, oops: 1 }
    expect(codeOf(failedMachine(status))).toBe(codes[status] ?? 125)
  })

  const trace = ['RIP: 0010:fpu__restore_sig+0x12/0x340']
  test.each<[MachineStatus, MachineResult['phase'], number]>([
    ['oops', 'probes', 1],
    ['panic', 'probes', 1],
    ['timeout', 'probes', 125],
    ['hang', 'probes', 125],
    ['memory', 'probes', 125],
    ['cut-off', 'probes', 125],
    ['oops', 'boot', 125],
    ['panic', 'boot', 125],
    ['timeout', 'boot', 125],
    ['panic', 'end', 125],
  ])('%s in phase %s with a trace of the FPU code is %i', (status, phase, code) => {
    expect(codeOf(machine({ status, phase, console: trace }))).toBe(code)
  })

  test('an unrelated panic is no verdict', () => {
    const console = ['RIP: 0010:ext4_find_extent+0x12/0x340', ' do_syscall_64+0x5b/0x90']
    expect(codeOf(machine({ status: 'panic', phase: 'probes', console }))).toBe(125)
  })

  test('what a run found before its machine ended badly is bad, what it did not find is nothing', () => {
    expect(codeOf(machine({ status: 'hang', bundle: bundle([result('fail')]) }))).toBe(1)
    expect(codeOf(machine({ status: 'hang', bundle: bundle([result()]) }))).toBe(125)
  })

  test('of several machines: bad, else no verdict, else good', () => {
    const none = failedMachine('hang')
    for (const machines of [
      [passed, none, failed],
      [failed, none, passed],
    ])
      expect(codeOf(...machines)).toBe(1)
    expect(codeOf(passed, none)).toBe(125)
    expect(codeOf(none, passed)).toBe(125)
    expect(codeOf(passed, passed)).toBe(0)
  })

  test('why, in one line', () => {
    const one = of('fail', { id: 's/c/x86_64/avx' })
    expect(verdict(null, passed, ran(result(), one)).why).toBe(
      'debian:6.12.43 on pkru: bad in 1 of 2 cases, first s/c/x86_64/avx',
    )
    expect(verdict(null, passed).why).toBe('debian:6.12.43 on pkru: good in 1 case that could tell')
    expect(verdict(shrunk, passed).why).toBe(`debian:6.12.43 on pkru: no case of ${shrunk} ran`)
    expect(verdict(null, failedMachine('silent')).why).toMatch(
      /^debian:6\.12\.43 on pkru: silent: it printed/,
    )
    expect(verdict(null, machine({ status: 'oops', phase: 'probes', console: trace })).why).toBe(
      'debian:6.12.43 on pkru: oops in RIP: 0010:fpu__restore_sig+0x12/0x340',
    )
    expect(verdict(null, failedMachine('hang', { reason: 'a\n\u001b[31mb' })).why).toMatch(/^[\x20-\x7e]+$/)
    expect(verdict(null).why).toBe('no machine ran')
  })
})

describe('blamesFrames', () => {
  test.each([
    'RIP: 0010:restore_fpregs_from_user+0x8e/0x170',
    '[    3.1] Code: RIP: 0010:restore_fpregs_from_user.part.0+0x8e/0x170',
    ' __fpu_restore_sig+0x5b/0x4f0',
    ' fpu__restore_sig+0x3f/0xa0',
    ' __do_sys_rt_sigreturn+0xb5/0xf0',
    ' __ia32_compat_sys_sigreturn+0xb5/0xf0',
    ' x64_setup_rt_frame+0x5b/0x4f0',
    ' ia32_setup_frame+0x5b/0x4f0',
    ' copy_fpstate_to_sigframe+0x5b/0x4f0',
    ' copy_sigframe_from_user_to_xstate+0x1/0x2',
    ' xfd_update_state+0x5b/0x4f0',
    'WARNING: CPU: 0 PID: 1 at arch/x86/kernel/fpu/xstate.c:1003 x+0x1/0x2',
    'kernel BUG at arch/x86/kernel/signal_64.c:77!',
  ])('%s', line => {
    expect(blamesFrames(line)).toBe(true)
  })

  test.each([
    '',
    ' arch_do_signal_or_restart+0x3f/0x250',
    ' get_signal+0x9e/0x9a0',
    ' do_group_exit+0x30/0x80',
    ' __switch_to+0x5b/0x4f0',
    ' ? __fpu_restore_sig+0x5b/0x4f0',
    ' ? __do_sys_rt_sigreturn+0x5b/0x4f0',
    'x86/fpu: Supporting XSAVE feature 0x001: xstate_offset[2]: 576',
    'traps: bad frame in rt_sigreturn frame:00007ffd',
    'WARNING: CPU: 0 PID: 1 at kernel/signal.c:77',
    'kernel BUG at arch/x86/kernel/traps.c:77!',
  ])('not %s', line => {
    expect(blamesFrames(line)).toBe(false)
  })
})
