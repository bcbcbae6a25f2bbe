/** Every status of a machine, from what one may have written. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { linesOf } from '../../lib/vm/console.ts'
import { answerLine } from '../../lib/vm/guest/channel.ts'
import { type MachinePhase, type MachineStatus, machineStatuses } from '../../lib/vm/machine.ts'
import { channelLines, saidIn } from '../../lib/vm/said.ts'
import { type Told, tellStatus } from '../../lib/vm/status.ts'
import type { Cut, Watched } from '../../lib/vm/watch.ts'

const limits = { bootSeconds: 180, seconds: 600, silence: 60 }

interface Made {
  readonly console?: string
  readonly data?: string
  readonly stuckCase?: string | null
  readonly invalid?: string | null
  readonly watched?: Partial<Watched>
}

const tell = ({
  console: text = '',
  data = '',
  stuckCase = null,
  invalid = null,
  watched = {},
}: Made): Told => {
  const console = linesOf(text)
  return tellStatus({
    watched: {
      errors: '',
      code: watched.cut ? null : 0,
      signal: watched.cut ? 'SIGKILL' : null,
      cut: null,
      failed: null,
      durationMs: 5000,
      bootMs: data === '' ? null : 2000,
      consoleBefore: null,
      ...watched,
    },
    console,
    said: saidIn(channelLines(data, console)),
    limits,
    invalid,
    stuckCase,
  })
}

const answer = answerLine({ bundle: null, frames: [], replayed: [] })
const booted = 'boot 1 6.12.43\n'
const started = `${booted}start 61\nbeat 2\n`
const probing = `${started}case 12 xsave_header/reserved\nbeat 3\n`
const whole = `${probing}${answer}exit 0\nend\n`
const kernel = '[    0.500000] mtrr: your CPUs had inconsistent MTRR settings\n'
const oops = `${kernel}[    3.000000] BUG: unable to handle page fault for address: ffff8880\n[    3.000001] Oops: 0000 [#1]\n`
const fatal = '[    3.000002] Kernel panic - not syncing: Fatal exception\n'
const panic = `${kernel}[    3.000000] Kernel panic - not syncing: sysrq triggered crash\n`
const noRoot = `${kernel}[    1.000000] Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)\n`

const cases: readonly (readonly [string, Made, MachineStatus, MachinePhase, RegExp])[] = [
  ['to the end', { console: kernel, data: whole }, 'ran', 'end', /^$/],
  ['to the end, quietly', { data: whole }, 'ran', 'end', /^$/],
  [
    'to the end, with a complaint of the CPU',
    { data: whole, watched: { errors: "qemu: warning: TCG doesn't support requested feature: CPUID.01H\n" } },
    'ran',
    'end',
    /^$/,
  ],
  ['a case that is stuck', { data: whole, stuckCase: 'a/b: stuck' }, 'stuck', 'end', /^a\/b: stuck$/],
  [
    'a process that nothing ends',
    { data: `${probing}late 585 seconds are over\nunkillable 77 sigframe-probe R -\nkilled 9\nend\n` },
    'stuck',
    'probes',
    /^SIGKILL does not end sigframe-probe \(.*\b77\b.*, in xsave_header\/reserved, case 12$/,
  ],
  [
    'an oops while probing',
    { console: oops + fatal, data: probing },
    'oops',
    'probes',
    /^BUG: unable to handle page fault.*, in xsave_header\/reserved, case 12$/,
  ],
  ['an oops before PID 1', { console: oops + fatal }, 'oops', 'boot', /before the run$/],
  ['an oops that ended nothing', { console: oops, data: whole }, 'oops', 'end', /^BUG: /],
  [
    'an oops whose process nothing ends',
    { console: oops, data: `${probing}late 585 seconds are over\nunkillable 77 sigframe-probe D -\nend\n` },
    'oops',
    'probes',
    /^BUG: unable to handle page fault/,
  ],
  [
    'a panic while probing',
    { console: panic, data: started },
    'panic',
    'probes',
    /^Kernel panic.*before the first case$/,
  ],
  [
    'a panic that does not end the machine',
    { console: panic, data: started, watched: { cut: 'silence' } },
    'panic',
    'probes',
    /^Kernel panic/,
  ],
  ['a panic before PID 1', { console: panic }, 'panic', 'boot', /^Kernel panic.*before the run$/],
  [
    'silence while probing',
    { console: kernel, data: probing, watched: { cut: 'silence' } },
    'hang',
    'probes',
    /^silent for 60 s, in xsave_header\/reserved, case 12$/,
  ],
  [
    'silence before the run',
    { console: kernel, data: booted, watched: { cut: 'silence' } },
    'hang',
    'boot',
    /^silent for 60 s, before the run$/,
  ],
  [
    'no end of booting',
    { console: kernel, watched: { cut: 'time' } },
    'hang',
    'boot',
    /^PID 1 had not begun after 180 s$/,
  ],
  [
    'PID 1: the time is over',
    { data: `${probing}late 585 seconds are over\ntask 61 node R -\nkilled 9\nend\n` },
    'timeout',
    'probes',
    /^585 seconds are over, in xsave_header\/reserved, case 12$/,
  ],
  [
    'PID 1 lives and does not end',
    { console: kernel, data: probing, watched: { cut: 'time' } },
    'timeout',
    'probes',
    /^not off after 600 s, in xsave_header\/reserved, case 12$/,
  ],
  [
    'nothing at all in its time',
    { watched: { cut: 'time' } },
    'silent',
    'boot',
    /^nothing was printed in 180 s: .*CONFIG_SERIAL_8250_CONSOLE/,
  ],
  ['off without a word', {}, 'silent', 'emulator', /without a word: .*CONFIG_PRINTK/],
  [
    "the guest's memory: killed",
    { data: `${probing}killed 9\noom 1\nend\n` },
    'memory',
    'probes',
    /killed 1 times for want of memory/,
  ],
  [
    "the guest's memory: a panic",
    {
      console: `${kernel}[ 2.0] Out of memory: Killed process 1 (init)\n[ 2.1] Kernel panic - not syncing: System is deadlocked on memory\n`,
      data: started,
    },
    'memory',
    'probes',
    /^Out of memory/,
  ],
  [
    "the host's memory",
    {
      watched: {
        code: 1,
        errors: "qemu-system-x86_64: cannot set up guest memory 'pc.ram': Cannot allocate memory\n",
      },
    },
    'memory',
    'emulator',
    /Cannot allocate memory$/,
  ],
  [
    'killed once and whole nevertheless',
    { data: `${probing}${answer}oom 1\nexit 0\nend\n` },
    'ran',
    'end',
    /^$/,
  ],
  [
    'options that are missing',
    { data: `${booted}lacks CONFIG_FUTEX futex: threads\nlacks CONFIG_EPOLL epoll_create1\nend\n` },
    'lacks',
    'boot',
    /CONFIG_FUTEX \(futex: threads\), CONFIG_EPOLL \(epoll_create1\)$/,
  ],
  ['no initramfs', { console: noRoot }, 'lacks', 'boot', /CONFIG_BLK_DEV_INITRD/],
  [
    'no 64-bit programs',
    {
      console: `[ 1.0] Failed to execute /init (error -8)\n[ 1.1] Kernel panic - not syncing: No working init found.\n`,
    },
    'lacks',
    'boot',
    /CONFIG_BINFMT_ELF, CONFIG_64BIT/,
  ],
  [
    'cut in the answer',
    { data: `${probing}${answer.slice(0, -20)}` },
    'cut-off',
    'probes',
    /results arrived incomplete/,
  ],
  [
    'reset while probing',
    { console: kernel, data: probing },
    'cut-off',
    'probes',
    /without results, in xsave_header\/reserved, case 12$/,
  ],
  ['reset before PID 1', { console: kernel }, 'cut-off', 'boot', /without results, before the run$/],
  [
    'without end on the console',
    { console: kernel, data: probing, watched: { cut: 'output' } },
    'cut-off',
    'probes',
    /wrote without end/,
  ],
  [
    'Node ended without an answer',
    { data: `${started}killed 11\nend\n` },
    'broken',
    'probes',
    /ended with signal 11 and no results/,
  ],
  [
    'Node failed',
    { data: `${started}failed TypeError: x is not a function\nexit 70\nend\n` },
    'broken',
    'probes',
    /^TypeError: x is not a function$/,
  ],
  [
    'an answer that arrived whole and is none',
    { data: whole, invalid: 'bundleVersion is 2, must be 1' },
    'broken',
    'end',
    /^the results are not valid: bundleVersion is 2, must be 1$/,
  ],
  ['a PID 1 of another version', { data: whole.replace('boot 1', 'boot 2') }, 'broken', 'end', /version 2\b/],
  [
    'no initramfs for want of memory',
    { console: `[ 0.9] Initramfs unpacking failed: write error\n${noRoot}` },
    'memory',
    'boot',
    /^Initramfs unpacking failed/,
  ],
  [
    'a job that PID 1 cannot do',
    { data: `${booted}broken /job - ENOENT\nend\n` },
    'broken',
    'boot',
    /^\/job - ENOENT$/,
  ],
  [
    'no emulator after all',
    { watched: { code: null, failed: 'spawn qemu-system-x86_64 ENOENT' } },
    'refused',
    'emulator',
    /^spawn qemu-system-x86_64 ENOENT$/,
  ],
  [
    'an emulator that refuses',
    {
      watched: {
        code: 1,
        errors: "qemu: warning: TCG doesn't support requested feature\nqemu: unable to find CPU model 'x'\n",
      },
    },
    'refused',
    'emulator',
    /^qemu: unable to find CPU model 'x' \(exit code 1\)$/,
  ],
  [
    'an emulator that gives up',
    { console: kernel, data: probing, watched: { code: null, signal: 'SIGABRT' } },
    'refused',
    'probes',
    /^the emulator gave up \(signal SIGABRT\) in xsave_header\/reserved, case 12$/,
  ],
  [
    'Ctrl-C',
    { console: kernel, data: probing, watched: { cut: 'interrupt' } },
    'interrupted',
    'probes',
    /^interrupted$/,
  ],
  [
    'Ctrl-C, whatever else was',
    { console: oops + fatal, data: whole, watched: { cut: 'interrupt' } },
    'interrupted',
    'end',
    /^interrupted$/,
  ],
]

describe('a status', () => {
  test.each(cases)('%s', (_, made, status, phase, reason) => {
    const told = tell(made)
    expect({ status: told.status, phase: told.phase }).toEqual({ status, phase })
    expect(told.reason).toMatch(reason)
  })

  test('each has a case above, but the one of machines that are not booted', () => {
    const seen = new Set(cases.map(([, , status]) => status))
    expect(machineStatuses.filter(status => !seen.has(status))).toEqual(['skipped'])
  })

  // The words of what is said on the console without a second port.
  test('over the console alone', () => {
    const console = `${kernel}${whole.replace(/^(?=.)/gm, 'sigframe: ')}`
    expect(tell({ console })).toEqual({ status: 'ran', reason: '', phase: 'end' })
  })
})

const anyCut = fc.constantFrom<Cut | null>('time', 'silence', 'output', 'interrupt', null)
const pieces = [booted, started, probing, answer, answer.slice(0, 90), oops, panic, fatal, noRoot]
const anyText = fc.oneof(
  fc
    .array(fc.constantFrom(...pieces, 'exit 1\n', 'killed 9\n', 'end\n', 'late 1 s\n', 'oom x\n', 'lacks \n'))
    .map(p => p.join('')),
  fc.string({ unit: 'binary' }),
)

test('whatever was written and however it ended, there is a status, and a reason for each but ran', () => {
  fc.assert(
    fc.property(
      anyText,
      anyText,
      fc.nat(),
      fc.record({
        cut: anyCut,
        code: fc.constantFrom(0, 1, null),
        signal: fc.constantFrom('SIGKILL', null),
        failed: fc.constantFrom(null, null, 'no such file'),
        errors: fc.oneof(fc.constant(''), fc.string()),
      }),
      (console, data, length, watched) => {
        const { status, reason } = tell({ console, data: data.slice(0, length), watched })
        expect(machineStatuses).toContain(status)
        expect(reason === '').toBe(status === 'ran')
        // A pass must be earned: without an answer that is whole and a good end nothing ran.
        if (status !== 'ran') return
        expect(watched).toMatchObject({ cut: null, code: 0, signal: null, failed: null })
        expect(data.slice(0, length) + console).toContain(answer.trimEnd())
      },
    ),
    { numRuns: 2000 },
  )
})
