/** What a console and a channel say, whatever bytes they are. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { lastWords, linesOf, tellingLines } from '../../lib/vm/console.ts'
import { answerLine } from '../../lib/vm/guest/channel.ts'
import { channelLines, saidIn } from '../../lib/vm/said.ts'
import { splatsOn, withBootComplaints } from '../../lib/vm/warnings.ts'
import { bundle, result } from '../report/stub.ts'

describe("a console's lines", () => {
  test('without what firmware and terminals add, and without what is on no line', () => {
    expect(
      linesOf(
        '\u001bc\u001b[?7l\u001b[2J\u001b[0mSeaBIOS\r\n\r\n\u001b[31m[    0.1] a\u001b[0m \r\n\tb\0\u0007\n\nlast',
      ),
    ).toEqual(['SeaBIOS', '[    0.1] a', '\tb', 'last'])
  })

  test('none of nothing', () => {
    expect(linesOf('')).toEqual([])
    expect(linesOf('\r\n\0\u001b[0m\n')).toEqual([])
  })

  test('what tells of the end: the last ones, cut', () => {
    const lines = Array.from({ length: 100 }, (_, i) => `${i} ${'x'.repeat(1000)}`)
    const last = tellingLines(lines)
    expect(last).toHaveLength(32)
    expect(last[0]).toMatch(/^68 x{237}…$/)
    expect(tellingLines(['a'])).toEqual(['a'])
    expect(tellingLines([])).toEqual([])
  })

  test.each([
    '[    3.0] Oops: 0000 [#1] PREEMPT SMP',
    '[    3.0] Kernel panic - not syncing: x',
    '[    3.0][   T77] BUG: kernel NULL pointer dereference, address: 0',
    '[    3.0] sysrq: Show Blocked State',
  ])('what tells of the end: from %s on', line => {
    const before = Array.from({ length: 50 }, (_, i) => `[    1.0] before ${i}`)
    const after = Array.from({ length: 500 }, (_, i) => `[    3.1] after ${i}`)
    const told = tellingLines([...before, line, ...after])
    expect(told).toEqual([line, ...after.slice(0, 399)])
  })
})

describe('the last words of a kernel', () => {
  const none = { panic: null, oops: null, memory: null, lacks: null }
  const words = (...lines: readonly string[]) => lastWords(lines)

  test.each([
    '[   12.345678] Kernel panic - not syncing: Fatal exception in interrupt',
    '[    1.000000][    T1] Kernel panic - not syncing: Fatal exception in interrupt',
    '[    1.000000][  C1] Kernel panic - not syncing: Fatal exception in interrupt',
    '<0>[   12.345678] Kernel panic - not syncing: Fatal exception in interrupt',
    'Kernel panic - not syncing: Fatal exception in interrupt',
  ])('a panic: %s', line => {
    expect(words('[ 1.0] a', line, '[ 1.1] b')).toEqual({
      ...none,
      panic: 'Kernel panic - not syncing: Fatal exception in interrupt',
    })
  })

  test.each([
    'BUG: unable to handle page fault for address: ffffdead00000000',
    'BUG: kernel NULL pointer dereference, address: 0000000000000000',
    'Oops: 0000 [#1] PREEMPT SMP NOPTI',
    'Oops: general protection fault, probably for non-canonical address 0xdead: 0000 [#1] SMP',
    'Oops: Oops: 0002 [#1] SMP PTI',
    'general protection fault, probably for non-canonical address 0xdead: 0000 [#1] SMP',
    'general protection fault: 0000 [#1] PREEMPT SMP',
    'kernel BUG at arch/x86/kernel/fpu/signal.c:123!',
    'divide error: 0000 [#1] SMP',
    'invalid opcode: 0000 [#1] SMP',
    'double fault: 0000 [#1] SMP',
  ])('an oops: %s', text => {
    expect(words(`[    3.141592] ${text}`)).toEqual({ ...none, oops: text })
  })

  test.each([
    '[    1.0] traps: sigframe-probe[77] general protection fault ip:55 sp:7f error:0 in sigframe-probe[1000]',
    '[    1.0] sigframe-probe[77] bad frame in rt_sigreturn frame:7ffd ip:55 sp:7f orax:ffffffff',
    '[    1.0] node[1]: segfault at 0 ip 0 sp 0 error 4',
    '[    1.0] ---[ end Kernel panic - not syncing: Fatal exception ]---',
    '[    1.0] WARNING: CPU: 0 PID: 1 at arch/x86/kernel/fpu/core.c:1 foo+0x1/0x2',
    '[    1.0] rcu: INFO: rcu_sched detected stalls on CPUs/tasks: { 1-... }',
    'sigframe: case 3 Kernel panic - not syncing: of a name',
    '',
  ])('none: %s', line => {
    expect(words(line)).toEqual(none)
  })

  test.each([
    [
      'Out of memory: Killed process 77 (node) total-vm:1kB',
      'Out of memory: Killed process 77 (node) total-vm:1kB',
    ],
    ['Initramfs unpacking failed: write error', 'Initramfs unpacking failed: write error'],
    ['node invoked oom-killer: gfp_mask=0xcc0', 'node invoked oom-killer: gfp_mask=0xcc0'],
  ])('no memory: %s', (text, memory) => {
    expect(words(`[    3.141592] ${text}`)).toEqual({ ...none, memory })
  })

  test.each([
    ['Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)', /BLK_DEV_INITRD/],
    ['VFS: Cannot open root device "" or unknown-block(0,0): error -6', /BLK_DEV_INITRD/],
    ['Failed to execute /init (error -8)', /BINFMT_ELF.*64BIT/],
    ['Kernel panic - not syncing: No working init found.  Try passing init= option to kernel.', /BINFMT_ELF/],
  ])('what it lacks: %s', (text, lacks) => {
    expect(words(`[    3.141592] ${text}`).lacks).toMatch(lacks)
  })

  test('of long lines no more than a report shows', () => {
    expect(words(`Kernel panic - not syncing: ${'x'.repeat(1e6)}`).panic).toHaveLength(241)
  })
})

describe('warnings at boot', () => {
  const warningsOn = (lines: readonly string[]): readonly string[] =>
    splatsOn(lines).map(({ title }) => title)

  test('the first line of each', () => {
    expect(
      warningsOn([
        'SeaBIOS (version 1.16)',
        '[    0.100000] mtrr: your CPUs had inconsistent fixed MTRR settings',
        '[    1.100000] ------------[ cut here ]------------',
        '[    1.100001] WARNING: CPU: 0 PID: 1 at arch/x86/kernel/fpu/xstate.c:555 paranoid_xstate+0x1/0x2',
        '[    1.100002] Modules linked in:',
        '[    1.100003] Call Trace:',
        '[    1.100004]  <TASK>',
        '[    1.100005] ---[ end trace 0000000000000000 ]---',
        '[    2.000000][    T1] BUG: sleeping function called from invalid context at a.c:1',
      ]),
    ).toEqual([
      'WARNING: CPU: 0 PID: 1 at arch/x86/kernel/fpu/xstate.c:555 paranoid_xstate+0x1/0x2',
      'BUG: sleeping function called from invalid context at a.c:1',
    ])
  })

  test('also where the kernel tells no time', () => {
    expect(warningsOn(['', 'BUG: without a time'])).toEqual(['BUG: without a time'])
  })

  test('none where nothing is complained of', () => {
    expect(warningsOn(['', '[    0.000000] Linux version 6.12', 'mtrr: your CPUs had x'])).toEqual([])
  })

  test('those of the FPU code fail the run, others do not', () => {
    const sent = bundle([result('pass')])
    const fpu = '[    1.0] WARNING: CPU: 0 PID: 1 at arch/x86/kernel/fpu/xstate.c:555 paranoid_xstate+0x1/0x2'
    const other = '[    1.0] WARNING: CPU: 0 PID: 1 at kernel/smp.c:1 foo+0x1/0x2'
    expect(withBootComplaints(sent, splatsOn([other]))).toBe(sent)
    const { cases } = withBootComplaints(sent, splatsOn([fpu.replace('1.0', '1.000000')]))
    expect(cases.map(({ verdict }) => verdict)).toEqual(['pass', 'fail'])
    expect(cases[1]?.observed + (cases[1]?.reason ?? '')).toContain('xstate.c:555')
  })
})

const nothingSaid = {
  booted: false,
  release: null,
  started: false,
  lacks: [],
  wants: [],
  late: null,
  tasks: [],
  unkillable: [],
  oom: 0,
  ended: null,
  failed: null,
  lastCase: null,
  answer: null,
  answered: false,
  ends: false,
}

describe('what PID 1 and the run say', () => {
  const answer = { bundle: null, frames: [], replayed: [], notes: [] }

  test('all of it', () => {
    const lines = [
      'boot 1 6.12.43+deb12-cloud-amd64',
      'wants CONFIG_X86_X32_ABI x32 system calls: x32 frames',
      'lacks CONFIG_FUTEX',
      'start 61',
      'beat 2',
      'case 1 a/b',
      'case 40 c/d/x86_64',
      'late 45 seconds are over',
      'task 61 node S ep_poll',
      'unkillable 77 sigframe-probe R -',
      'oom 2',
      'oom 3',
      answerLine(answer).trim(),
      'exit 70',
      'end',
    ]
    expect(saidIn(lines)).toEqual({
      booted: true,
      release: '6.12.43+deb12-cloud-amd64',
      started: true,
      lacks: ['CONFIG_FUTEX'],
      wants: ['CONFIG_X86_X32_ABI (x32 system calls: x32 frames)'],
      late: '45 seconds are over',
      tasks: ['61 node S ep_poll'],
      unkillable: ['77 sigframe-probe R -'],
      oom: 3,
      ended: 'exit code 70',
      failed: null,
      lastCase: '40 c/d/x86_64',
      answer: JSON.stringify(answer),
      answered: true,
      ends: true,
    })
  })

  test('nothing', () => {
    expect(saidIn([])).toEqual(nothingSaid)
    expect(saidIn([''])).toEqual(nothingSaid)
  })

  test.each([
    ['killed 9', { ended: 'signal 9' }],
    ['failed TypeError: x', { failed: 'TypeError: x' }],
    ['broken /job - no arg: nothing to run', { failed: '/job - no arg: nothing to run' }],
    ['result', { answered: true }],
    ['result abc', { answered: true }],
    ['results x', {}],
    ['booted', {}],
  ])('%s', (line, said) => {
    expect(saidIn([line])).toEqual({ ...nothingSaid, ...said })
  })

  test('never throws', () => {
    const kind = fc.constantFrom(
      'boot',
      'lacks',
      'wants',
      'start',
      'late',
      'task',
      'unkillable',
      'oom',
      'result',
      'exit',
      'killed',
      'failed',
      'end',
    )
    fc.assert(
      fc.property(fc.array(fc.tuple(kind, fc.string({ unit: 'binary' }))), said => {
        const { oom } = saidIn(said.map(([one, rest]) => `${one} ${rest}`))
        expect(typeof oom).toBe('number')
      }),
    )
  })
})

describe('the channel', () => {
  test('the data port, with whatever line ends', () => {
    expect(channelLines('boot 1 x\r\nend\nres', ['sigframe: boot 1 y'])).toEqual(['boot 1 x', 'end', 'res'])
  })

  test('the console, where the data port is silent', () => {
    expect(channelLines('', ['[ 1.0] a', 'sigframe: boot 1 y', 'sigframe:end', 'sigframe: end'])).toEqual([
      'boot 1 y',
      'end',
    ])
  })
})

test('hostile bytes: lines are printable, and nothing throws', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), fc.string({ unit: 'binary' }), (bytes, more) => {
      for (const text of [Buffer.from(bytes).toString('utf8'), more]) {
        const lines = linesOf(text)
        for (const line of lines) expect(line).toMatch(/^[\t\u0020-\u{10ffff}]+$/u)
        lastWords(lines)
        for (const line of tellingLines(lines)) expect(line.length).toBeLessThanOrEqual(241)
        splatsOn(lines)
        saidIn(channelLines(text, lines))
      }
    }),
  )
})
