import fc from 'fast-check'
import picocolors from 'picocolors'
import { describe, expect, test } from 'vitest'
import { pretty } from '../../lib/report/pretty.ts'
import { widthOf } from '../../lib/report/text.ts'
import { anyBundle } from './arbitrary.ts'
import { bundle, everyVerdict, evidence, host, hostileTexts, kernel, log, result, xfail } from './stub.ts'

const style = (columns = 80, color = false) => ({ columns, colors: picocolors.createColors(color) })
const plain = (drawn: ReturnType<typeof bundle>, columns = 80): string => pretty(drawn, style(columns))
const sections = (text: string): string[] => text.trimEnd().split('\n\n')
const last = (text: string): string => sections(text).at(-1) ?? ''
// What terminals swallow is made of these.
const escapeSequence = new RegExp(`${String.fromCodePoint(0x1b)}\\[\\d+m`, 'g')
// An id is never broken, nor is the command that repeats it: what is copied must be what runs.
const hasId = (line: string): boolean =>
  /^\s+('|sigframe run ')|^(FAIL|TIMEOUT|CRASH|STUCK|BROKEN) {2}(?!\d+ cases? |no case)/.test(line)

test('a plain run, to the letter', () => {
  const cases = [
    result('pass'),
    result('pass'),
    xfail({ selftest: 'sigframe_fpu_portability' }),
    result('skip', { selftest: 'sigframe_fpu_portability', reason: 'this CPU has no bndregs' }),
  ]
  expect(
    plain(bundle(cases)),
  ).toBe(`Host    AMD EPYC 9B45 (AuthenticAMD family 26 model 2 stepping 1, microcode
        0xb002116)
        frames of 2696 bytes: x87 sse avx pkru
Kernel  Linux 6.12.43-cloud-amd64 #1 SMP PREEMPT_DYNAMIC Debian 6.12.43-1
        classic: believes the frame’s xstate_size, does not ask whether it is
        large enough
        a clean fit: all 2 telling frames did as classic kernels do

Selftest                  pass  xfail  skip
untouched_frame              2      -     -
sigframe_fpu_portability     -      1     1

xfail  1 × too-small-is-rejected, since portable (3d69596c684b..391cac638edd)
skip   1 × this CPU has no bndregs

PASS  4 cases in 412 ms: 2 pass, 1 xfail, 1 skip
`)
})

describe('the last line', () => {
  test.each([
    ['PASS', ['pass', 'xfail', 'skip']],
    ['FAIL', ['pass', 'fail']],
    ['FAIL', ['timeout']],
    ['FAIL', ['crash']],
    ['FAIL', ['stuck']],
    ['SKIP', ['skip', 'skip']],
    ['BROKEN', ['fail', 'broken']],
  ] as const)('%s for %j', (word, verdicts) => {
    expect(last(plain(bundle(verdicts.map(one => result(one)))))).toMatch(
      new RegExp(`^${word}  \\d+ cases? in `),
    )
  })

  test('no case is no success', () => {
    expect(last(plain(bundle([])))).toBe('BROKEN  no case ran in 412 ms: that is no success')
  })
})

describe('xfails', () => {
  test('one line for each rule, with the commit that brings it', () => {
    const many = Array.from({ length: 31 }, () => xfail())
    expect(plain(bundle([...many, xfail({ rules: ['extended-size-has-room-for-magic2'] })]), 120)).toContain(
      `xfail  31 × too-small-is-rejected, since portable (3d69596c684b..391cac638edd)
xfail   1 × extended-size-has-room-for-magic2, since portable (3d69596c684b..391cac638edd)
`,
    )
  })

  test('proposed rules in one line together, and the run passes', () => {
    const cases = [
      result(),
      xfail({ rules: ['larger-frame-restores'] }),
      xfail({ rules: ['unsupported-xfeatures-are-rejected'] }),
    ]
    const text = plain(bundle(cases), 120)
    expect(text.match(/^xfail/gm)).toHaveLength(1)
    expect(text.replace(/\s+/g, ' ')).toMatch(
      /xfail 2 × proposed \(.*not merged\): larger-frame-restores and unsupported-xfeatures-are-rejected/,
    )
    expect(last(text)).toMatch(/^PASS/)
  })

  test('a rule that is not proposed is not hidden among those that are', () => {
    const both = xfail({ rules: ['larger-frame-restores', 'too-small-is-rejected'] })
    expect(plain(bundle([both]))).not.toContain('× proposed')
  })

  test('of no rule: the reason', () => {
    expect(plain(bundle([xfail({ rules: [], reason: 'for once' })]))).toContain('xfail  1 × for once\n')
  })
})

test('passes with a reason, and skips, are grouped by it', () => {
  const cases = [
    result('pass', { reason: 'ahead of classic' }),
    result('pass', { reason: 'ahead of classic' }),
    ...Array.from({ length: 10 }, () => result('skip', { reason: 'no AMX' })),
    result('skip', { reason: '' }),
  ]
  expect(plain(bundle(cases))).toContain(`
pass    2 × ahead of classic
skip   10 × no AMX
skip    1 × no reason given
`)
})

describe('what was counted or measured', () => {
  const counted = (changes: Parameters<typeof result>[1] = {}) =>
    result('pass', {
      id: 'signal_stack/minsigstksz/x86_64/all',
      rules: ['minsigstksz-is-enough'],
      observed: 'AT_MINSIGSTKSZ is 3376, 2905 are enough',
      ...changes,
    })

  test('is told though it passed, behind the notes', () => {
    const text = plain(bundle([counted(), result('skip', { reason: 'not here' })]))
    expect(sections(text).at(-2)).toBe(
      [
        'skip   1 × not here',
        'seen   signal_stack/minsigstksz/x86_64/all: AT_MINSIGSTKSZ is 3376, 2905 are',
        '       enough',
      ].join('\n'),
    )
  })

  test('not of other rules, nor of what failed or was skipped', () => {
    expect(plain(bundle([counted({ rules: ['untouched-frame-restores'] })]))).not.toMatch(/^seen /m)
    for (const verdict of ['skip', 'fail', 'xfail'] as const)
      expect(plain(bundle([counted({ verdict, reason: 'for a reason' })]))).not.toMatch(/^seen /m)
  })

  test('in one line, whatever was observed', () => {
    const text = plain(bundle([counted({ observed: 'two\nlines \u001b[31m' })]), 120)
    expect(text).toContain('seen   signal_stack/minsigstksz/x86_64/all: two lines \\x1b[31m')
  })
})

describe('failures', () => {
  const failing = (i: number, changes = {}) =>
    result('fail', {
      id: `s/c/x86_64/${i}`,
      rules: ['shrunk-frame-restores'],
      reason: 'as regressed kernels do',
      observed: 'FX-only',
      expected: 'restored by XRSTOR',
      ...changes,
    })

  test('one in full', () => {
    expect(plain(bundle([failing(1)]))).toContain(`
FAIL  s/c/x86_64/1
      rule      A frame from a CPU with fewer components restores in full.
      reason    as regressed kernels do
      observed  FX-only
      expected  restored by XRSTOR
      repeat    sigframe run 's/c/x86_64/1'
`)
  })

  test.each(['timeout', 'crash', 'stuck', 'broken'] as const)('a %s in full', verdict => {
    const text = plain(bundle([failing(1, { verdict, reason: 'it was so' })]))
    expect(text).toContain(`\n${verdict.toUpperCase()}  s/c/x86_64/1\n`)
    expect(text).toContain('      reason    it was so\n')
    expect(text).toContain("      repeat    sigframe run 's/c/x86_64/1'\n")
  })

  test('many with one rule and reason: the first five and a count', () => {
    const text = plain(bundle(Array.from({ length: 31 }, (_, i) => failing(i))))
    expect(text).toContain(`
FAIL  31 cases of shrunk-frame-restores
      rule      A frame from a CPU with fewer components restores in full.
      reason    as regressed kernels do
      observed  FX-only
      expected  restored by XRSTOR
      repeat    sigframe run 's/c/x86_64/0'
                sigframe run 's/c/x86_64/1'
                sigframe run 's/c/x86_64/2'
                sigframe run 's/c/x86_64/3'
                sigframe run 's/c/x86_64/4'
      and 26 more with the same rule and reason: --format json has all
`)
    expect(text).not.toContain('x86_64/5')
  })

  test('five are all shown', () => {
    const text = plain(bundle(Array.from({ length: 5 }, (_, i) => failing(i))))
    expect(text).toContain("run 's/c/x86_64/4'")
    expect(text).not.toContain('more with the same')
  })

  test('what differs is told of each', () => {
    const text = plain(bundle([failing(1), failing(2, { observed: 'avx kept' })]))
    expect(text).toContain(`      expected  restored by XRSTOR
      observed  FX-only
      repeat    sigframe run 's/c/x86_64/1'
      observed  avx kept
      repeat    sigframe run 's/c/x86_64/2'
`)
  })

  test.each([
    ['reason', { reason: 'another' }],
    ['rule', { rules: ['magic1-is-required'] as const }],
    ['verdict', { verdict: 'crash' as const }],
  ])('another %s is another block', (_, changes) => {
    const text = plain(bundle([failing(1), failing(2, changes)]))
    expect(text).toContain('FAIL  s/c/x86_64/1')
    expect(text).toContain('  s/c/x86_64/2\n')
  })

  test('an id too long for the line is whole all the same, and its command can be pasted', () => {
    const id = `sigframe_fpu_portability/insufficient/x86_64/avx+opmask+zmm_hi256+hi16_zmm+pkru`
    expect(plain(bundle([failing(1, { id })]))).toContain(`      repeat
      sigframe run \\
  '${id}'
`)
  })

  test('the broken ones first: they outrank the others', () => {
    const order = plain(bundle(everyVerdict.map(one => result(one)))).match(/^[A-Z]+(?= {2}untouched)/gm)
    expect(order).toEqual(['BROKEN', 'STUCK', 'CRASH', 'TIMEOUT', 'FAIL'])
  })
})

describe('the kernel', () => {
  test('one that regressed: what is lost, since when, what repairs it', () => {
    const text = plain(bundle([result('fail')], { kernel: kernel('regressed') })).replace(/\s+/g, ' ')
    expect(text).toContain(
      'REGRESSED A frame from a CPU with fewer components silently loses all state above SSE (the upper halves of YMM first): a migrated process goes on with wrong numbers. Since 6.15 (dc8aa31a7ac2); repaired by 44eeff9bc467',
    )
  })

  test.each(['classic', 'portable', 'larger'] as const)('%s does no harm', generation => {
    expect(plain(bundle([result()], { kernel: kernel(generation) }))).not.toMatch(/^[A-Z]{5,}/m)
  })

  test('that fits no generation cleanly says where', () => {
    const changes = {
      headline: 'classic, ahead in 1 rule: too-small-is-rejected',
      evidence: [evidence('too-small-is-rejected', 'rejected', 'ahead', ['portable', 'larger'])],
      deviations: ['too-small-is-rejected: as classic, except that it is already rejected'],
    }
    expect(plain(bundle([result()], { kernel: kernel('classic', changes) }))).toContain(`Debian 6.12.43-1
        classic, ahead in 1 rule: too-small-is-rejected
        classic: believes the frame’s xstate_size, does not ask whether it is
        large enough
        NO clean fit: 0 of 1 telling frames did as classic kernels do
        deviates in too-small-is-rejected: as classic, except that it is already
        rejected
`)
  })

  test('that is of no known generation is said in red, one that is ahead in yellow', () => {
    const lineOf = (deviation: 'ahead' | 'behind' | 'otherwise'): string => {
      const changes = {
        headline: 'what it is',
        evidence: [evidence('too-small-is-rejected', 'init', deviation)],
      }
      const text = pretty(bundle([result()], { kernel: kernel('classic', changes) }), style(80, true))
      return text.split('\n').find(line => line.includes('what it is')) ?? ''
    }
    const { red, yellow } = picocolors.createColors(true)
    expect(lineOf('otherwise')).toBe(`        ${red('what it is')}`)
    expect(lineOf('ahead')).toBe(`        ${yellow('what it is')}`)
    expect(lineOf('behind')).toBe(lineOf('ahead'))
  })

  test('of a bundle from before there was a headline', () => {
    const [now, before] = ['classic', ''].map(headline =>
      plain(bundle([result()], { kernel: kernel('classic', { headline }) })),
    )
    expect(before).toBe(now)
  })

  test('that no frame could tell', () => {
    expect(plain(bundle([result('skip')], { kernel: null }))).toContain('Kernel  not told: ')
    expect(plain(bundle([result('skip')], { kernel: kernel('classic', { evidence: [] }) }))).toContain(
      'no frame of this host could tell',
    )
  })
})

describe('the kernel’s own complaints', () => {
  const textOf = (changes: Parameters<typeof kernel>[1], columns = 80): string =>
    plain(bundle([result()], { kernel: kernel('classic', changes) }), columns)

  test('listened for in full: not a word', () => {
    expect(textOf({})).toBe(textOf({ log: null }))
    expect(textOf({})).not.toMatch(/log|taint/)
  })

  test('where they were not listened for, and why', () => {
    expect(textOf({ log: log({ watched: false, reason: 'not there' }), taintReason: 'W before' })).toContain(
      '\n        log not watched; not there\n        taint watched; W before\n',
    )
    expect(textOf({ taintBefore: null, taintReason: 'no' })).toContain('\n        taint not watched; no\n')
  })

  test('watched, but not all was seen', () => {
    expect(textOf({ log: log({ reason: '3 lost' }) })).toContain(
      '\n        log watched from boot on; 3 lost\n',
    )
  })

  test('the first lines of what stood in the log, cut and not wrapped', () => {
    const lines = ['WARNING: CPU: 1 PID: 77 at arch/x86/kernel/fpu/core.c:61', ...Array(13).fill(' <TASK>')]
    expect(textOf({ log: log({ lines }) }, 40)).toContain(
      `
Kernel log
  WARNING: CPU: 1 PID: 77 at arch/x86/k…
${'  <TASK>\n'.repeat(11)}  and 2 more lines: --format json has
  them
`,
    )
    expect(textOf({ log: log({ lines: lines.slice(0, 12) }) })).not.toContain('more line')
  })
})

test('warnings stand right above the totals', () => {
  const text = plain(bundle([result()], { warnings: ['one', 'two'] }))
  expect(sections(text).at(-2)).toBe('WARNING  one\nWARNING  two')
})

test('a host that tells little of itself', () => {
  const bare = host({ brand: '', microcode: null, hypervisor: 'KVMKVMKVM', leafD: [] })
  expect(plain(bundle([result()], { host: bare }))).toContain(
    'Host    a CPU without a name (AuthenticAMD family 26 model 2 stepping 1, under\n        KVM)\n',
  )
})

describe('colours', () => {
  const all = bundle(
    everyVerdict.map(one => result(one)),
    {
      kernel: kernel('regressed', { deviations: ['one'], log: log({ watched: false, lines: ['two'] }) }),
      warnings: ['look'],
    },
  )

  test('none unless asked for', () => {
    expect(plain(all)).not.toContain('\u001b')
  })

  test('do not change a character of the text', () => {
    const colored = pretty(all, style(80, true))
    expect(colored).toMatch(escapeSequence)
    expect(colored.replace(escapeSequence, '')).toBe(plain(all))
  })
})

describe('width', () => {
  test.each([40, 80, 120])('%i columns: every verdict and every long text keeps to it', columns => {
    const texts = hostileTexts.slice(0, 3)
    const cases = everyVerdict.flatMap(one => [
      result(one, { reason: 'long words '.repeat(30), observed: 'x'.repeat(300), expected: 'y '.repeat(90) }),
      ...texts.map(reason =>
        result(one, { reason, selftest: 'a_name_that_is_far_longer_than_any_real_one'.repeat(2) }),
      ),
    ])
    const changes = {
      kernel: kernel('regressed', {
        headline: 'y '.repeat(200),
        deviations: ['z '.repeat(200)],
        taintReason: 'u '.repeat(200),
        log: log({ watched: false, reason: 'v '.repeat(200), lines: Array(20).fill('w'.repeat(200)) }),
      }),
      warnings: ['w '.repeat(99)],
    }
    const lines = plain(bundle(cases, changes), columns).split('\n')
    const tableWidth = 80
    for (const line of lines.filter(one => !hasId(one)))
      expect(widthOf(line), line).toBeLessThanOrEqual(
        Math.max(columns, /^(Selftest|a_name|untou)/.test(line) ? tableWidth : 0),
      )
  })

  test('any bundle, any width: within it but for commands, and nothing that does not print', () => {
    fc.assert(
      fc.property(anyBundle, fc.integer({ min: 80, max: 120 }), (drawn, columns) => {
        const text = plain(drawn, columns)
        expect(text).toMatch(/^[\n\x20-\x7e\u00a0-\u{10ffff}]*$/u)
        expect(text.endsWith('\n')).toBe(true)
        for (const line of text.split('\n').filter(one => !hasId(one)))
          expect(widthOf(line), line).toBeLessThanOrEqual(columns)
      }),
    )
  })
})
