import fc from 'fast-check'
import picocolors from 'picocolors'
import { describe, expect, test } from 'vitest'
import { widthOf } from '../../lib/report/text.ts'
import { vmText } from '../../lib/report/vm/text.ts'
import type { MachineResult, VmReport } from '../../lib/vm/machine.ts'
import { bundle, everyVerdict, evidence, kernel, log, result } from './stub.ts'
import {
  anyReport,
  failedMachine,
  failedStatuses,
  machine,
  matrix,
  replay,
  report,
  sampleBundle,
  vmCpu,
  vmKernel,
  withPairs,
} from './vm-samples.ts'

const style = (columns = 80, color = false) => ({ columns, colors: picocolors.createColors(color) })
const plain = (drawn: VmReport, columns = 80): string => vmText(drawn, style(columns))
const textOf = (...machines: MachineResult[]): string => plain(report(machines))
const sections = (text: string): string[] => text.trimEnd().split('\n\n')
const last = (text: string): string => (sections(text).at(-1) ?? '').replace(/\s+/g, ' ')
const section = (text: string, start: string): string =>
  sections(text).find(one => one.startsWith(start)) ?? `none begins with ${start}`
const cellOf = (one: MachineResult): string =>
  /\n\S+ +(.*)\n/.exec(
    textOf(one)
      .replace(/^/, '\n')
      .replace(/^\n.*\n/, '\n'),
  )?.[1] ?? ''
const escapeSequence = new RegExp(`${String.fromCodePoint(0x1b)}\\[\\d+m`, 'g')
// A command is never broken where it would not run any more: what is copied must be what runs.
const isCommand = (line: string): boolean => /^ +(repeat +sigframe vm|--kernel) /.test(line)

test('two kernels on three CPUs, to the letter', () => {
  const kernels = [
    ['debian:6.12.43', 'classic'],
    ['debian:6.16.3', 'regressed'],
  ] as const
  const text = plain(report(matrix(['none', 'avx', 'everything'], kernels)))
  expect(text.replace(/case_\d+/, 'case')).toBe(`Kernel          none  avx                everything
debian:6.12.43  PASS  classic PASS       classic PASS
debian:6.16.3   PASS  regressed FAIL 12  regressed FAIL 12

CPU none        Nehalem: no XSAVE, frames of 512 bytes
CPU avx         Haswell-noTSX: XCR0 0x7, frames of 832 bytes: x87 sse avx
CPU everything  max: XCR0 0x21f, frames of 2696 bytes: x87 sse avx bndregs
                bndcsr pkru
Under qemu 7.2.22, software emulation (tcg)

classic on: debian:6.12.43
regressed on: debian:6.16.3
REGRESSED  A frame from a CPU with fewer components silently loses all state
           above SSE (the upper halves of YMM first): a migrated process goes on
           with wrong numbers. Since 6.15 (dc8aa31a7ac2); repaired by
           44eeff9bc467 in 7.1, 7.0.12 and 6.18.35.

regressed FAIL 12  debian:6.16.3 on avx, everything
  cases     2 pass, 1 xfail, 12 fail, 1 skip
  FAIL  12 cases of shrunk-frame-restores
        rule      A frame from a CPU with fewer components restores in full.
        reason    as regressed kernels do: a frame from a CPU with fewer
                  components loses state
        observed  returned as FX-only: avx at init
        expected  restored by XRSTOR
        and 7 more with the same rule and reason: --format json has all
  repeat    sigframe vm 'sigframe_fpu_portability/shrunk/x86_64/case' \\
              --kernel debian:6.16.3 --cpu avx

FAIL  6 machines in 2 min 12 s: 4 pass, 2 fail; 46 cases
`)
})

test('one machine: what a run on it says, too', () => {
  expect(textOf(machine())).toBe(`Kernel          pkru
debian:6.12.43  classic PASS

CPU pkru  max,-mpx: XCR0 0x207, frames of 2696 bytes: x87 sse avx pkru
Under qemu 7.2.22, software emulation (tcg)

Kernel  Linux 6.12.43-cloud-amd64 #1 SMP PREEMPT_DYNAMIC Debian 6.12.43-1
        classic: believes the frame’s xstate_size, does not ask whether it is
        large enough
        a clean fit: all 2 telling frames did as classic kernels do
xfail  1 × too-small-is-rejected, since portable (3d69596c684b..391cac638edd)
skip   1 × because it is a skip

PASS  1 machine in 2 min 12 s: 1 pass; 4 cases
`)
})

describe('a cell', () => {
  const ran = (...cases: Parameters<typeof bundle>[0]): MachineResult => machine({ bundle: bundle(cases) })
  const withKernel = (changes: Parameters<typeof kernel>[1]): MachineResult =>
    machine({ bundle: bundle([result()], { kernel: kernel('classic', changes) }) })
  const newer = evidence('too-small-is-rejected', 'rejected', 'ahead', ['portable'])

  test.each<[string, MachineResult]>([
    ['classic PASS', ran(result())],
    ['classic FAIL 4', ran(...everyVerdict.filter(one => one !== 'broken').map(one => result(one)))],
    ['classic BROKEN 1', ran(result('fail'), result('broken'))],
    ['classic BROKEN', ran()],
    ['classic SKIP', ran(result('skip'))],
    ['PASS', machine({ bundle: bundle([result()], { kernel: null }) })],
    ['BROKEN', machine({ bundle: null })],
    ['classic* PASS', withKernel({ headline: 'classic, ahead in 1 rule: x', evidence: [newer] })],
    ['classic* PASS', withKernel({ deviations: ['x'] })],
    ['unknown PASS', withKernel({ evidence: [{ ...newer, deviation: 'otherwise' }] })],
    ['classic FAIL 1', machine({ replayed: [replay('a|b|x86_64/all', { asExpected: false })] })],
    ['classic PASS', machine({ replayed: [replay('a|b|x86_64/all', { asExpected: null })] })],
    ['lacks 3', failedMachine('lacks')],
    ['lacks', failedMachine('lacks', { lacks: [] })],
    ...failedStatuses
      .filter(status => status !== 'lacks')
      .map((status): [string, MachineResult] => [status, failedMachine(status)]),
  ])('%s', (cell, one) => {
    expect(cellOf(one)).toBe(cell)
  })

  test('what a machine that did not end well has of a run is no verdict', () => {
    expect(cellOf(failedMachine('panic', { bundle: sampleBundle('classic') }))).toBe('panic')
  })

  test('a pair that was not booted', () => {
    const other = machine({ kernel: vmKernel('b'), cpu: vmCpu('avx') })
    expect(textOf(machine(), other)).toContain(
      'debian:6.12.43  classic PASS  –\nb               –             classic PASS\n',
    )
  })

  test('a star is explained', () => {
    const text = textOf(withKernel({ headline: 'classic, ahead in 1 rule: x', deviations: ['it is so'] }))
    expect(text).toContain('\n* not to the letter: see below\n')
    expect(section(text, 'classic* PASS')).toBe(`classic* PASS  debian:6.12.43 on pkru
  kernel    classic, ahead in 1 rule: x
  deviates  it is so
  cases     1 pass`)
    expect(textOf(machine())).not.toContain('*')
  })
})

describe('the last line', () => {
  const ok = machine()
  const bad = machine({ bundle: sampleBundle('regressed') })
  test.each<[string, MachineResult[]]>([
    ['PASS', [ok, failedMachine('skipped')]],
    ['FAIL', [ok, bad]],
    ['FAIL', [ok, failedMachine('panic')]],
    ['FAIL', [bad, failedMachine('interrupted')]],
    ['SKIP', [failedMachine('skipped')]],
    ['BROKEN', [bad, failedMachine('refused')]],
    ['BROKEN', [failedMachine('interrupted'), failedMachine('broken')]],
    ['INTERRUPTED', [ok, failedMachine('interrupted')]],
    ['INTERRUPTED', [failedMachine('interrupted')]],
  ])('%s', (word, machines) => {
    expect(last(textOf(...machines))).toMatch(new RegExp(`^${word} +${machines.length} machines? in `))
  })

  test('counts the machines by what became of them', () => {
    const machines = [ok, ok, bad, ...failedStatuses.map(status => failedMachine(status))]
    const counts = failedStatuses.map(status => `1 ${status}`).join(', ')
    expect(last(textOf(...machines))).toBe(
      `BROKEN 16 machines in 2 min 12 s: 2 pass, 1 fail, ${counts}; 24 cases`,
    )
  })

  test('an early end is no pass, though all that ran passed', () => {
    expect(last(plain(report([ok], { interrupted: true })))).toMatch(/^INTERRUPTED /)
  })

  test('no machine is no success', () => {
    expect(plain(report([]))).toBe('BROKEN  no machine ran in 2 min 12 s: that is no success\n')
  })
})

describe('the columns', () => {
  test('a CPU whose layout depends on the kernel', () => {
    const other = machine({ kernel: vmKernel('b'), bundle: sampleBundle('classic', 'none') })
    expect(section(textOf(machine(), other), 'CPU')).toBe(
      `CPU pkru  max,-mpx: XCR0 0x207, frames of 2696 bytes: x87 sse avx pkru
          (debian:6.12.43)
          max,-mpx: no XSAVE, frames of 512 bytes (b)
Under qemu 7.2.22, software emulation (tcg)`.replace('          max', 'CPU       max'),
    )
  })

  test('on which no run ended', () => {
    expect(textOf(failedMachine('panic'))).toContain('CPU pkru  max,-mpx: not told: no run ended on it\n')
  })

  test('a model that has the name that was given is told once', () => {
    expect(textOf(machine({ cpu: vmCpu('pkru', { model: 'pkru' }) }))).toContain('CPU pkru  XCR0 ')
  })

  test('several emulators: which CPUs are whose', () => {
    const bochs = machine({
      cpu: vmCpu('avx', { emulator: 'bochs' }),
      emulator: { version: '2.7', acceleration: 'interpreter', why: '' },
    })
    expect(textOf(machine(), bochs)).toContain(
      'Under qemu 7.2.22, software emulation (tcg): pkru\nUnder bochs 2.7, its own interpreter: avx\n',
    )
  })

  test('no emulator', () => {
    expect(textOf(failedMachine('skipped'))).not.toContain('Under')
  })

  test('what was demanded', () => {
    const text = plain(report([machine()], { require: 'portable', rule: 'shrunk-frame-restores' }))
    expect(text).toContain('\nRequired  portable\nJudged by shrunk-frame-restores\n')
  })
})

describe('what the kernels are', () => {
  test('one that is told otherwise by its CPUs says by which', () => {
    const machines = [
      machine(),
      machine({ cpu: vmCpu('avx'), bundle: sampleBundle('portable', 'avx') }),
      machine({ cpu: vmCpu('none'), bundle: sampleBundle('portable', 'none') }),
      machine({ kernel: vmKernel('b') }),
    ]
    expect(section(textOf(...machines), 'classic on')).toBe(
      'classic on: debian:6.12.43 (pkru) b\nportable on: debian:6.12.43 (avx)',
    )
  })

  test('a long headline stands above', () => {
    const headline = 'as portable, except that a frame whose extended_size leaves no room is still accepted'
    const odd = machine({
      kernel: vmKernel('b'),
      bundle: bundle([result()], { kernel: kernel('portable', { headline }) }),
    })
    expect(textOf(machine(), odd)).toContain(
      `\nas portable, except that a frame whose extended_size leaves no room is still\naccepted on:\n  b\n`,
    )
  })
})

describe('the details', () => {
  test.each(failedStatuses)('%s: why, when, and what the console said last', status => {
    const one = failedMachine(status)
    const text = section(textOf(machine(), one), cellOf(one)).replace(/\s+/g, ' ')
    expect(text).toContain(one.reason)
    const never = status === 'skipped' || status === 'interrupted'
    expect(/\((before|while|after) /.test(text)).toBe(!never)
    for (const line of [...one.console, ...one.lacks]) expect(text).toContain(line.trim())
  })

  test('of the console what came first, cut and not wrapped', () => {
    const console = Array.from({ length: 40 }, (_, i) => `line ${i} ${'x'.repeat(100)}`)
    const text = textOf(machine(), failedMachine('panic', { console }))
    expect(text).toContain('\n  console\n    line 0 xxx')
    expect(text).toContain('line 31')
    expect(text).not.toContain('line 32')
  })

  test('alike machines together', () => {
    const machines = ['a', 'b', 'c'].flatMap(name =>
      (['avx', 'pkru'] as const).map(cpu =>
        failedMachine('hang', {
          kernel: vmKernel(name),
          cpu: vmCpu(cpu),
          ...(name === 'c' && cpu === 'avx' ? { reason: 'another' } : {}),
        }),
      ),
    )
    const text = textOf(...machines)
    expect(text).toContain('\nhang  a b on all 2 CPUs; c on pkru\n')
    expect(text).toContain('\nhang  c on avx\n')
  })

  test('a pass with a remark', () => {
    const text = textOf(
      machine({
        attempts: 2,
        wants: ['CONFIG_X86_X32_ABI (x32 frames)'],
        warnings: ['one'],
        bundle: bundle([result()], {
          warnings: ['two'],
          kernel: kernel('classic', { log: log({ lines: ['three'] }) }),
        }),
      }),
    )
    expect(section(text, 'classic PASS')).toBe(`classic PASS  debian:6.12.43 on pkru
  boots     it took 2
  skips for CONFIG_X86_X32_ABI (x32 frames)
  cases     1 pass
  warning   one
            two
  Kernel log
    three`)
  })

  test('lacking options are all told, warnings are not', () => {
    const texts = Array.from({ length: 12 }, (_, i) => `text_${i}`)
    expect(textOf(failedMachine('lacks', { lacks: texts }))).toContain('\n            text_11\n')
    const text = textOf(failedMachine('panic', { warnings: texts }))
    expect(text).toContain('\n            text_4\n            and 7 more: --format json has all\n')
  })

  test('the broken ones first, the passed ones last', () => {
    const text = textOf(
      machine({ attempts: 2 }),
      failedMachine('skipped'),
      failedMachine('panic'),
      failedMachine('refused'),
    )
    const order = sections(text).flatMap(one => /^(classic PASS|skipped|panic|refused) /.exec(one)?.[1] ?? [])
    expect(order).toEqual(['refused', 'panic', 'skipped', 'classic PASS'])
  })

  test('many kinds of failure: the first four and a count', () => {
    const cases = Array.from({ length: 7 }, (_, i) => result('fail', { reason: `reason ${i}` }))
    const text = textOf(machine({ bundle: bundle(cases) }))
    expect(text).toContain('reason 3')
    expect(text).not.toContain('reason 4')
    expect(text).toContain('\n  and 3 more kinds of failure: --format json has all\n')
  })

  test('the command repeats the worst failure, a kernel by its version or its path', () => {
    const cases = [result('fail', { id: 'a/b' }), result('crash', { id: 'c/d' })]
    const text = (name: string): string =>
      textOf(machine({ kernel: vmKernel(name, { path: "/it's/a b" }), bundle: bundle(cases) }))
    expect(text('debian:6.12.43')).toContain(
      "  repeat    sigframe vm 'c/d' --kernel debian:6.12.43 --cpu pkru\n",
    )
    expect(text('vmlinuz')).toContain(`  repeat    sigframe vm 'c/d' --kernel '/it'\\''s/a b' --cpu pkru\n`)
  })

  test('a plain pass has none', () => {
    expect(plain(report(matrix(['avx', 'pkru'], [['a', 'classic']])))).not.toMatch(/^classic PASS {2}/m)
  })
})

describe('frames of other machines', () => {
  const small = matrix(
    ['avx', 'everything'],
    [
      ['a', 'classic'],
      ['b', 'classic'],
      ['c', 'regressed'],
    ],
  )

  test('kernels alike are told of once, with what is lost', () => {
    const text = plain(report(withPairs(small)))
    expect(sections(text).filter(one => one.startsWith('Frames'))).toEqual([
      `Frames of all kernels on a b
from / to   avx        everything
avx         holds      holds
everything  loses avx  holds
  loses avx: x87 sse mxcsr arrived; avx at init; bndregs bndcsr pkru unknown
  here, as classic kernels do (x86_64/all)`,
      `Frames of all kernels on c
from / to   avx        everything
avx         holds      loses avx
everything  loses avx  holds
  loses avx: x87 sse mxcsr arrived; avx at init; bndregs bndcsr pkru unknown
  here, as regressed kernels do (x86_64/all)
  loses avx: x87 sse mxcsr arrived; avx at init, as regressed kernels do
  (x86_64/all)`,
    ])
  })

  test('of some kernels alone, which', () => {
    const from = (kernel: string, outcome: 'holds' | 'rejected') =>
      replay(`${kernel}|avx|x86_64/all`, { outcome })
    const to = (name: string, ...replayed: MachineResult['replayed'][number][]): MachineResult =>
      machine({ kernel: vmKernel(name), replayed })
    const titles = (...machines: MachineResult[]): string[] =>
      sections(textOf(...machines)).flatMap(one => /^(Its own|Frames).*/.exec(one)?.[0] ?? [])
    expect(titles(to('a', from('a', 'holds')), to('b', from('b', 'holds')))).toEqual([
      'Its own frames on a b',
    ])
    expect(
      titles(
        to('a', from('b', 'holds'), from('c', 'holds'), from('a', 'rejected')),
        to('b', from('b', 'holds')),
      ),
    ).toEqual(['Frames of all other kernels on a', 'Its own frames on a', 'Its own frames on b'])
    expect(titles(to('a', from('b', 'holds'), from('c', 'rejected'), from('d', 'holds')))).toEqual([
      'Frames of b d on a',
      'Frames of c on a',
    ])
  })

  test('a cell says the worst of its frames, and of how many', () => {
    const from = (what: string, changes: Parameters<typeof replay>[1]) =>
      replay(`a|b|x86_64/${what}`, changes)
    const cell = (...replayed: MachineResult['replayed'][number][]): string =>
      /\nb +(.*)\n/.exec(textOf(machine({ replayed })))?.[1] ?? ''
    expect(cell(from('x', {}), from('y', {}))).toBe('holds')
    expect(cell(from('x', {}), from('y', { outcome: 'loses', lost: ['avx', 'mxcsr'] }))).toBe(
      'loses avx mxcsr 1 of 2',
    )
    expect(cell(from('x', { outcome: 'rejected' }), from('y', { outcome: 'loses' }))).toBe('rejected 1 of 2')
    expect(cell(from('x', { outcome: 'loses', unknown: ['pkru'] }))).toBe('all but pkru')
    expect(cell(from('x', { outcome: 'loses', leftOver: ['pkru'] }))).toBe('leaves pkru')
    expect(cell(from('x', { asExpected: false }))).toBe('holds !')
  })

  test('what is not as expected is said in red, and in the machine’s own block', () => {
    const replayed = [replay('a|b|x86_64/all', { asExpected: false, observed: 'avx at init' })]
    const text = textOf(machine({ replayed }))
    expect(text).toContain(
      '\n! holds: avx at init, not as classic kernels do; expected: restored by XRSTOR\n',
    )
    expect(section(text, 'classic FAIL 1')).toContain(
      '  frames    1 of other machines: not as classic kernels do, see below',
    )
    expect(last(text)).toMatch(/^FAIL /)
  })

  test('many kinds: the first six and a count', () => {
    const replayed = Array.from({ length: 9 }, (_, i) =>
      replay(`a|b|x86_64/w${i}`, { outcome: 'rejected', observed: `seen ${i}` }),
    )
    const text = textOf(machine({ replayed }))
    expect(text).toContain('seen 5')
    expect(text).not.toContain('seen 6')
    expect(text).toContain('and 3 more kinds: --format json has all')
  })
})

describe('colours', () => {
  const all = report([
    ...withPairs(matrix(['avx', 'everything'])),
    ...failedStatuses.map(status => failedMachine(status, { kernel: vmKernel(status) })),
  ])

  test('none unless asked for', () => {
    expect(plain(all)).not.toContain('\u001b')
  })

  test('do not change a character of the text', () => {
    const colored = vmText(all, style(80, true))
    expect(colored).toMatch(escapeSequence)
    expect(colored.replace(escapeSequence, '')).toBe(plain(all))
  })
})

describe('width', () => {
  const cpus = ['none', 'avx', 'pkru', 'everything'] as const
  const eight = matrix(cpus).flatMap(one => [
    one,
    { ...one, cpu: { ...one.cpu, name: `${one.cpu.name},+avx512f,-mpx,+something-very-long` } },
  ])
  const long = eight.map(one => ({
    ...one,
    kernel: { ...one.kernel, name: `${one.kernel.name}/a-tree/with/a/long/path/arch/x86/boot/bzImage` },
  }))

  test.each([40, 80, 120])('%i columns: 11 kernels on 8 CPUs with long names', columns => {
    const lines = plain(report(withPairs(long)), columns).split('\n')
    const titles = columns < 80 ? /^ {2}FAIL/ : /^$/
    for (const line of lines.filter(one => !isCommand(one) && !titles.test(one)))
      expect(widthOf(line), line).toBeLessThanOrEqual(columns)
  })

  test('every cell of a matrix in several tables is there', () => {
    const text = plain(report(eight))
    const cells = sections(text).filter(one => one.startsWith('Kernel'))
    expect(cells.join('\n').match(/regressed FAIL 12/g)).toHaveLength(5 * 6)
    expect(cells.length).toBeGreaterThan(1)
    expect(text.match(/^debian:6\.1\.192 /gm)?.length).toBe(cells.length)
  })

  test('any report, any width: within it but for commands, and nothing that does not print', () => {
    fc.assert(
      fc.property(anyReport, fc.integer({ min: 40, max: 120 }), (drawn, columns) => {
        const text = plain(drawn, columns)
        expect(text).toMatch(/^[\n\x20-\x7e\u00a0-\u{10ffff}]*$/u)
        expect(text.endsWith('\n')).toBe(true)
        for (const line of text.split('\n').filter(one => !isCommand(one) && !hasId(one)))
          expect(widthOf(line), line).toBeLessThanOrEqual(columns)
      }),
    )
  })
})

/** A case's id is unbroken, too. */
const hasId = (line: string): boolean =>
  /^ {2}(FAIL|TIMEOUT|CRASH|STUCK|BROKEN) {2}(?!\d+ cases? )/.test(line)
