import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { countVerdicts, type Repro } from '../../lib/harness/results.ts'
import { ktap, ktapSkippedWhole } from '../../lib/report/ktap.ts'
import { anyBundle, anyText } from './arbitrary.ts'
import { type KtapTest, parseKtap } from './ktap-parser.ts'
import { bundle, everyVerdict, evidence, hostileTexts, kernel, log, result, xfail } from './stub.ts'

const linesOf = (text: string): string[] => text.trimEnd().split('\n')
const caseLine = (text: string): string => linesOf(text).find(line => /^ {2}(not )?ok/.test(line)) ?? ''
const totalsOf = (text: string): string => linesOf(text).at(-1) ?? ''

test('one case of one selftest, to the letter', () => {
  const one = result('pass', { id: 'untouched_frame/restores/x86_64/avx' })
  expect(ktap(bundle([one]))).toBe(
    `KTAP version 1
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
# Totals: pass:1 fail:0 xfail:0 xpass:0 skip:0 error:0
`,
  )
})

test('a failure is explained before its line', () => {
  const repro: Repro = {
    seed: 7,
    edit: [{ op: 'resize', xstateSize: 832 }],
    abi: 'x86_64',
    raise: 'tgkill',
    stack: null,
  }
  const one = result('fail', {
    id: 's/c/x86_64/avx',
    selftest: 's',
    reason: 'lost',
    observed: 'a',
    expected: 'b',
    repro,
  })
  expect(linesOf(ktap(bundle([one]))).slice(-9)).toEqual([
    '  1..1',
    '  # reason: lost',
    '  # observed: a',
    '  # expected: b',
    "  # repeat: sigframe run 's/c/x86_64/avx'",
    '  # repro: seed 7, edit [{"op":"resize","xstateSize":832}]',
    '  not ok 1 - s/c/x86_64/avx',
    'not ok 1 - s',
    '# Totals: pass:0 fail:1 xfail:0 xpass:0 skip:0 error:0',
  ])
})

describe('each verdict', () => {
  test.each([
    ['pass', 'ok 1 - id'],
    ['xfail', 'ok 1 - id # XFAIL why'],
    ['skip', 'ok 1 - id # SKIP why'],
    ['fail', 'not ok 1 - id'],
    ['timeout', 'not ok 1 - id # TIMEOUT why'],
    ['crash', 'not ok 1 - id # ERROR crash: why'],
    ['stuck', 'not ok 1 - id # ERROR stuck: why'],
    ['broken', 'not ok 1 - id # ERROR broken: why'],
  ] as const)('%s', (verdict, line) => {
    expect(caseLine(ktap(bundle([result(verdict, { id: 'id', reason: 'why' })])))).toBe(`  ${line}`)
  })

  test.each([
    ['pass', 'pass:1 fail:0 xfail:0 xpass:0 skip:0 error:0'],
    ['xfail', 'pass:0 fail:0 xfail:1 xpass:0 skip:0 error:0'],
    ['skip', 'pass:0 fail:0 xfail:0 xpass:0 skip:1 error:0'],
    ['fail', 'pass:0 fail:1 xfail:0 xpass:0 skip:0 error:0'],
    ['timeout', 'pass:0 fail:1 xfail:0 xpass:0 skip:0 error:0'],
    ['crash', 'pass:0 fail:0 xfail:0 xpass:0 skip:0 error:1'],
    ['stuck', 'pass:0 fail:0 xfail:0 xpass:0 skip:0 error:1'],
    ['broken', 'pass:0 fail:0 xfail:0 xpass:0 skip:0 error:1'],
  ] as const)('%s in the totals', (verdict, totals) => {
    expect(totalsOf(ktap(bundle([result(verdict)])))).toBe(`# Totals: ${totals}`)
  })

  test('without a reason still has its directive', () => {
    expect(caseLine(ktap(bundle([result('skip', { id: 'id', reason: '' })])))).toBe('  ok 1 - id # SKIP')
  })
})

describe('the parent', () => {
  const parentOf = (...cases: Parameters<typeof bundle>[0]): KtapTest | undefined =>
    parseKtap(ktap(bundle(cases))).tests[0]

  test('is ok with passes, xfails and skips', () => {
    expect(parentOf(result(), xfail(), result('skip'))).toMatchObject({ ok: true, directive: null })
  })

  test('is not ok with any failure', () => {
    for (const verdict of ['fail', 'timeout', 'crash', 'stuck', 'broken'] as const)
      expect(parentOf(result(), result(verdict))).toMatchObject({ ok: false, directive: null })
  })

  test('is skipped when all of it is', () => {
    expect(parentOf(result('skip'), result('skip'))).toMatchObject({ ok: true, directive: 'SKIP' })
  })
})

test('selftests in the order in which they began, their cases together', () => {
  const cases = ['b', 'a', 'b'].map((selftest, i) => result('pass', { selftest, id: `${selftest}/${i}` }))
  const { tests } = parseKtap(ktap(bundle(cases)))
  expect(tests.map(({ name }) => name)).toEqual(['b', 'a'])
  expect(tests.map(({ subtests }) => subtests?.map(({ name }) => name))).toEqual([['b/0', 'b/2'], ['a/1']])
})

test('what must not be overlooked stands at the top', () => {
  const changes = { kernel: kernel('regressed', { deviations: ['one thing'] }), warnings: ['look here'] }
  const text = ktap(bundle([result()], changes))
  expect(text).toContain('\n# deviation: one thing\n')
  expect(text).toMatch(/\n# WARNING: A frame from a CPU with fewer components silently loses .*44eeff9bc467/)
  expect(text).toContain('\n# WARNING: look here\n')
})

describe('what the kernel is', () => {
  const lineOf = (changes: Parameters<typeof kernel>[1]): string =>
    linesOf(ktap(bundle([result()], { kernel: kernel('portable', changes) }))).find(line =>
      line.startsWith('# generation: '),
    ) ?? ''

  test('in one line, however it deviates', () => {
    const headline = 'as portable, except that a frame\n# is accepted'
    const seen = [evidence('too-small-is-rejected', 'restored', 'behind', ['classic'])]
    expect(lineOf({ headline, evidence: seen })).toBe(
      '# generation: as portable, except that a frame # is accepted; NO clean fit: 0 of 1 telling frames did as portable kernels do',
    )
  })

  test('of an old bundle, and where no frame could tell', () => {
    expect(lineOf({ headline: '' })).toMatch(/^# generation: portable; a clean fit/)
    expect(lineOf({ headline: '', evidence: [], generation: null })).toBe(
      '# generation: not told; no frame of this host could tell',
    )
  })
})

describe('the kernel’s own complaints', () => {
  const textOf = (changes: Parameters<typeof kernel>[1]): string =>
    ktap(bundle([result()], { kernel: kernel('classic', changes) }))

  test('where they were not listened for, and why', () => {
    const text = textOf({ log: log({ watched: false, reason: 'not # permitted' }), taintReason: 'gone' })
    expect(text).toContain('\n# kernel log: not watched; not # permitted\n# taint: watched; gone\n')
    expect(textOf({ taintAfter: null, taintReason: 'gone' })).toContain('\n# taint: not watched; gone\n')
  })

  test('what was missed, and what was done to the kernel', () => {
    expect(textOf({ log: log({ reason: '3 lost', onceCleared: true }) })).toContain(
      '\n# kernel log: watched from boot on; 3 lost\n# clear_warn_once: written: what prints once can again\n',
    )
  })

  test('an old bundle says nothing of them', () => {
    expect(textOf({ log: null })).not.toContain('kernel log')
  })

  test('the first lines of what stood in the log', () => {
    const lines = Array.from({ length: 14 }, (_, i) => `line ${i}\nok 1 - forged`)
    const text = textOf({ log: log({ lines }) })
    expect(text).toContain(
      '\n# dmesg: line 11 ok 1 - forged\n# dmesg: and 2 more lines: --format json has them\n',
    )
    expect(text).not.toContain('line 12')
  })
})

test('no case at all is said to be no success', () => {
  const text = ktap(bundle([]))
  expect(parseKtap(text)).toMatchObject({ tests: [] })
  expect(text).toContain('\n1..0\n')
  expect(text).toContain('\n# broken: 0 cases ran: that is no success\n')
})

test('a host whose kernel was not told has no kernel lines', () => {
  expect(ktap(bundle([result('skip')], { kernel: null }))).not.toContain('# kernel')
})

test('a machine that can run nothing skips all', () => {
  expect(ktapSkippedWhole('needs # x86-64\nLinux')).toBe(
    'KTAP version 1\n1..0 # SKIP needs \\x23 x86-64 Linux\n# Totals: pass:0 fail:0 xfail:0 xpass:0 skip:0 error:0\n',
  )
})

test('a repro of any length is bounded', () => {
  const edit = [{ op: 'write', at: 0, bytes: 'ab'.repeat(11_008) }]
  const repro: Repro = { seed: 1, edit, abi: 'x86_64', raise: 'tgkill', stack: null }
  const longest = Math.max(...linesOf(ktap(bundle([result('fail', { repro })]))).map(line => line.length))
  expect(longest).toBeLessThan(1100)
})

test('the example of docs/formats.md is KTAP', () => {
  const text = readFileSync(join(import.meta.dirname, '../../docs/formats.md'), 'utf8')
  const example = /```\n(KTAP[^`]*)```/.exec(text)?.[1] ?? ''
  expect(parseKtap(example).tests[0]?.subtests).toHaveLength(3)
})

describe('hostile texts', () => {
  test.each(hostileTexts.map(text => [text.slice(0, 20), text]))('%j everywhere', (_, text) => {
    const all = everyVerdict.map((verdict, i) =>
      result(verdict, { id: `${text}${i}`, selftest: text, reason: text, observed: text, expected: text }),
    )
    const watching = { taintReason: text, log: log({ watched: false, reason: text, lines: [text] }) }
    const changes = {
      warnings: [text],
      kernel: kernel('classic', { release: text, headline: text, deviations: [text], ...watching }),
    }
    const { tests } = parseKtap(ktap(bundle(all, changes)))
    expect(tests).toHaveLength(1)
    expect(tests[0]?.subtests?.map(({ ok }) => ok)).toEqual([
      true,
      true,
      false,
      true,
      false,
      false,
      false,
      false,
    ])
  })

  test('any bundle is KTAP that says what the bundle says', () => {
    fc.assert(
      fc.property(anyBundle, drawn => {
        const text = ktap(drawn)
        const { tests, trailer } = parseKtap(text)
        const subtests = tests.flatMap(one => one.subtests ?? [])
        const counts = countVerdicts(drawn.cases)
        expect(subtests).toHaveLength(drawn.cases.length)
        expect(subtests.filter(({ directive }) => directive === 'SKIP')).toHaveLength(counts.skip)
        expect(subtests.filter(({ directive }) => directive === 'XFAIL')).toHaveLength(counts.xfail)
        expect(subtests.filter(({ directive }) => directive === 'TIMEOUT')).toHaveLength(counts.timeout)
        expect(subtests.filter(({ directive }) => directive === 'ERROR')).toHaveLength(
          counts.crash + counts.stuck + counts.broken,
        )
        expect(subtests.filter(({ ok }) => ok)).toHaveLength(counts.pass + counts.xfail + counts.skip)
        for (const one of tests) expect(one.ok).toBe(one.subtests?.every(({ ok }) => ok))
        expect(trailer.at(-1)).toMatch(/^# Totals: pass:\d+ fail:\d+ xfail:\d+ xpass:0 skip:\d+ error:\d+$/)
        expect(
          trailer
            .at(-1)
            ?.match(/\d+/g)
            ?.map(Number)
            .reduce((a, b) => a + b),
        ).toBe(drawn.cases.length)
      }),
    )
  })

  test('any reason for skipping all', () => {
    fc.assert(
      fc.property(anyText(), reason => {
        const lines = linesOf(ktapSkippedWhole(reason))
        expect(lines).toHaveLength(3)
        expect(lines[1]).toMatch(/^1\.\.0 # SKIP[^#]*$/)
      }),
    )
  })
})
