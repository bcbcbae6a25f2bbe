import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { complaintsOf } from '../../lib/harness/complaints.ts'
import type { LogRecord, Watched } from '../../lib/harness/kernel-log.ts'
import { complained } from '../../lib/harness/whole-run.ts'
import {
  badState,
  driverWarning,
  harmless,
  newWarning,
  oldWarning,
  ownFaults,
  reading,
  records,
  softLockup,
  splats,
} from './splat-samples.ts'

const watched = (changes: Partial<Watched> = {}): Watched => ({
  log: { before: reading([]), during: reading([]) },
  onceCleared: false,
  taintBefore: 0,
  taintAfter: 0,
  ...changes,
})

const withLog = (before: readonly LogRecord[], during: readonly LogRecord[]) =>
  complaintsOf(watched({ log: { before: reading(before), during: reading(during) } }))

const info = (lines: readonly string[]) => records(lines, { level: 6 })

describe('a kernel without complaints', () => {
  test('that was watched in full', () => {
    expect(withLog(info(harmless), info([...ownFaults, ...harmless]))).toEqual({
      failures: [],
      warnings: [],
      log: { watched: true, reason: '', onceCleared: false, lines: [] },
      taintReason: '',
    })
  })

  test('whose warnings can print again', () => {
    expect(complaintsOf(watched({ onceCleared: true })).log.onceCleared).toBe(true)
  })
})

describe('the log during the run', () => {
  test.each(splats)('%s is a failure that quotes it', (_, lines, title) => {
    const { failures, warnings, log } = withLog([], [...info(ownFaults), ...records(lines)])
    expect(failures).toMatchObject([
      { name: 'log', reason: "1 complaint in the kernel's log during the run" },
    ])
    expect(failures[0]?.quote.slice(0, title.length)).toBe(title)
    expect(log.lines.slice(0, lines.length)).toEqual(lines)
    expect(log).toMatchObject({ watched: true, reason: '' })
    expect(warnings).toEqual([])
  })

  test('that comes again, though it was there before', () => {
    expect(withLog(records(oldWarning), records(oldWarning)).failures).toHaveLength(1)
  })

  test.each([1, 3, 30])('what user space wrote is not the kernel’s: facility %i', facility => {
    const written = records(oldWarning, { facility })
    expect(withLog(written, written)).toMatchObject({ failures: [], warnings: [], log: { lines: [] } })
  })

  test('several are one failure', () => {
    const { failures, log } = withLog([], records([...newWarning, ...softLockup]))
    expect(failures).toMatchObject([
      {
        reason: "2 complaints in the kernel's log during the run",
        quote: `${newWarning[1]}; ${softLockup[0]}`,
      },
    ])
    expect(log.lines).toEqual([...newWarning, ...softLockup])
  })

  test('many are bounded', () => {
    const [first = ''] = badState
    const many = records(Array.from({ length: 300 }, () => [first, ...Array(99).fill(' f')]).flat())
    const { failures, log } = withLog([], many)
    expect(failures[0]?.reason).toMatch(/^300 /)
    expect(failures[0]?.quote).toMatch(/; and 290 more$/)
    expect(log.lines).toHaveLength(10 * 41)
    expect(log.lines[40]).toBe('… (60 more lines)')
    const long = withLog([], records([`BUG: ${'x'.repeat(9999)}`]))
    expect(long.failures[0]?.quote).toHaveLength(300)
  })

  test('a frame that was refused to another process is told, and is no failure', () => {
    const text = 'node[5] bad frame in rt_sigreturn frame:1'
    const { failures, warnings } = withLog([], info([...ownFaults, text, text]))
    expect(failures).toEqual([])
    expect(warnings).toEqual([`2 signal frames were refused to other processes during the run: ${text}`])
    expect(withLog(info([text]), []).warnings).toEqual([])
  })
})

describe('the log from before the run', () => {
  test.each([oldWarning, newWarning, badState])(
    'the FPU’s warning is told, and is no failure: %s %s',
    (...lines) => {
      const { failures, warnings, log } = withLog(records(lines), info(ownFaults))
      expect(failures).toEqual([])
      expect(warnings).toEqual([
        `The kernel's log has an FPU complaint of this boot from before the run: ${lines[1]}`,
      ])
      expect(log.lines).toEqual([])
    },
  )

  test('others’ warnings are not', () => {
    expect(withLog([...records(driverWarning), ...info(harmless)], []).warnings).toEqual([])
  })

  test('each once, and not too many', () => {
    expect(withLog(records([...oldWarning, ...oldWarning]), []).warnings).toHaveLength(1)
    const many = Array.from({ length: 9 }, (_, i) => [
      oldWarning[0] ?? '',
      `WARNING: CPU: 1 PID: ${i} at arch/x86/kernel/fpu/core.c:61`,
    ])
    expect(withLog(records(many.flat()), []).warnings).toEqual([
      ...Array(5).fill(expect.stringContaining('core.c:61')),
      'and 4 more',
    ])
  })
})

describe('what was not seen', () => {
  test('no log at all: why', () => {
    const { failures, warnings, log } = complaintsOf(watched({ log: 'it is not there' }))
    expect({ failures, warnings }).toEqual({ failures: [], warnings: [] })
    expect(log).toEqual({ watched: false, reason: 'it is not there', onceCleared: false, lines: [] })
  })

  test('records lost before the run: a note', () => {
    const before = reading([], { lost: 7 })
    const { warnings, log } = complaintsOf(watched({ log: { before, during: reading([]) } }))
    expect(warnings).toEqual([])
    expect(log).toMatchObject({ watched: true, reason: '7 records were overwritten before the run began' })
  })

  test('records lost during the run: a warning', () => {
    const during = reading(records(oldWarning), { lost: 1 })
    const { failures, warnings, log } = complaintsOf(watched({ log: { before: reading([]), during } }))
    expect(failures).toHaveLength(1)
    const text = '1 record was overwritten during the run, unread'
    expect(warnings).toEqual([`The kernel's log was not seen in full: ${text}.`])
    expect(log.reason).toBe(text)
  })

  test('a log without end', () => {
    const endless = reading(records(oldWarning), { ended: false })
    const after = complaintsOf(watched({ log: { before: reading([]), during: endless } }))
    expect(after.failures).toHaveLength(1)
    expect(after.warnings).toHaveLength(1)
    const before = complaintsOf(watched({ log: { before: endless, during: reading(records(oldWarning)) } }))
    expect(before).toMatchObject({ failures: [], log: { watched: false } })
    expect(before.log.reason).not.toBe('')
  })
})

describe('taint', () => {
  const withTaint = (taintBefore: number | string, taintAfter: number | string) =>
    complaintsOf(watched({ taintBefore, taintAfter }))

  test.each([
    ['B', 5],
    ['D', 7],
    ['W', 9],
    ['L', 14],
  ])('%s is a failure that names it', (letter, bit) => {
    const after = 2 ** bit
    expect(withTaint(0, after).failures).toMatchObject([
      {
        name: 'taint',
        reason: `the kernel became tainted ${letter} during the run`,
        quote: expect.stringMatching(new RegExp(`^${letter} \\(.+\\): taint 0 before, ${after} after$`)),
      },
    ])
    expect(withTaint(after, after)).toMatchObject({
      failures: [],
      taintReason: `already ${letter} before the run: another would not show`,
    })
  })

  test('all of them', () => {
    expect(withTaint(1, 1 + 32 + 128 + 512 + 16384).failures[0]?.reason).toContain('B and D and W and L')
  })

  test('one of them, where another was there', () => {
    const { failures, taintReason } = withTaint(512, 512 + 128)
    expect(failures[0]?.reason).toContain('tainted D during')
    expect(taintReason).toContain('already W ')
  })

  test('unreadable, before or after: why', () => {
    for (const [before, after] of [
      ['why', 'why'],
      ['why', 512],
      [0, 'why'],
    ] as const)
      expect(withTaint(before, after)).toMatchObject({ failures: [], taintReason: 'why' })
  })

  test('any taint: a failure just where one of the four bits is new', () => {
    const four = 0x42a0n
    fc.assert(
      fc.property(fc.maxSafeNat(), fc.maxSafeNat(), (before, after) => {
        const gained = (BigInt(after) & ~BigInt(before) & four) !== 0n
        expect(withTaint(before, after).failures).toHaveLength(gained ? 1 : 0)
      }),
    )
  })
})

test('failures are cases of the run as a whole', () => {
  const both = complaintsOf(
    watched({ log: { before: reading([]), during: reading(records(oldWarning)) }, taintAfter: 512 }),
  )
  expect(complained(both.failures)).toMatchObject([
    {
      id: 'kernel/log/x86_64/all',
      selftest: 'kernel',
      case: 'log',
      verdict: 'fail',
      observed: oldWarning[1],
      expected: 'no warning and no call trace',
    },
    { id: 'kernel/taint/x86_64/all', verdict: 'fail', reason: 'the kernel became tainted W during the run' },
  ])
})
