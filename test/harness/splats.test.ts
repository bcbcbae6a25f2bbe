import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { isForeignBadFrame, longestSplat, splatsIn } from '../../lib/harness/splats.ts'
import {
  badState,
  bareTrace,
  driverWarning,
  harmless,
  hungTask,
  kernelBug,
  lockdep,
  named,
  newOops,
  newWarning,
  oldOops,
  oldWarning,
  ownFaults,
  pageFault,
  records,
  softLockup,
  splats,
} from './splat-samples.ts'

const bounded = (lines: readonly string[]): readonly string[] => lines.slice(0, longestSplat)
const infos = (lines: readonly string[], rest = {}) => records(lines, { level: 6, ...rest })

describe('each kind', () => {
  test.each(splats)('%s is one splat, with its lines', (_, lines, title) => {
    const found = splatsIn(records(lines))
    expect(found).toHaveLength(1)
    expect(found[0]?.lines).toEqual(bounded(lines))
    expect(found[0]?.title.slice(0, title.length)).toBe(title)
  })

  test.each(splats)('%s among what is harmless', (_, lines) => {
    const all = [...infos(harmless), ...records(lines, { seq: 50, usec: 2_000_000 })]
    expect(splatsIn(all).map(({ lines: found }) => found)).toEqual([bounded(lines)])
  })

  test.each(splats.filter(([, lines]) => lines.length > 1))('%s ends where it ends', (_, lines) => {
    const later = infos(harmless, { seq: 100, usec: 9_000_000 })
    expect(splatsIn([...records(lines), ...later])[0]?.lines).toEqual(bounded(lines))
  })
})

describe('no splat', () => {
  test('what may stand in any log', () => {
    expect(splatsIn(infos(harmless))).toEqual([])
  })

  test('the faults of our own processes', () => {
    expect(splatsIn(infos(ownFaults))).toEqual([])
  })

  test.each(named)('a process with the name of one: %j', text => {
    expect(splatsIn(records([text]))).toEqual([])
  })
})

describe('the FPU’s', () => {
  test.each([
    ['by the file', oldWarning],
    ['by the file, since 6.18', newWarning],
    ['by the message', badState],
    ['by the function', pageFault],
    ['by the function', newOops],
    ['by the function', softLockup],
  ])('%s', (_, lines) => {
    expect(splatsIn(records(lines)).map(({ ofFpu }) => ofFpu)).toEqual([true])
  })

  // Whatever a process does, sigreturn may be in its call trace.
  test.each([
    ['a driver’s warning', driverWarning],
    ['a hung task', hungTask],
    ['a warning of an interrupt that came to it', [...bareTrace, 'RIP: 0010:fpu_clone+0x1/0x2']],
    ['a BUG elsewhere with the FPU in its call trace', kernelBug],
  ])('not %s', (_, lines) => {
    expect(splatsIn(records(lines)).map(({ ofFpu }) => ofFpu)).toEqual([false])
  })

  test('what it prints at boot is no complaint, what it warns of is', () => {
    const text = 'x86/fpu: xstate_offset[9]: 2688 differs'
    expect(splatsIn(records([text], { level: 6 }))).toEqual([])
    expect(splatsIn(records([text], { level: 4 }))).toMatchObject([{ title: text, ofFpu: true }])
  })
})

describe('several', () => {
  test.each([
    ['with ends', [oldWarning, newWarning, oldOops]],
    ['without ends', [softLockup, hungTask, softLockup]],
    ['both', [hungTask, newWarning, softLockup]],
  ])('%s right behind one another', (_, all) => {
    const found = splatsIn(records(all.flat()))
    expect(found.map(({ lines }) => lines)).toEqual(all.map(bounded))
  })

  test('our own faults in between are no part of it', () => {
    const faults = ownFaults.slice(0, -1)
    const lines = newWarning.flatMap(line => [line, ...faults])
    expect(splatsIn(records(lines)).map(({ lines: found }) => found)).toEqual([newWarning])
  })

  test('interleaved, where the log says who printed', () => {
    const one = records(newWarning, { caller: 'T77' })
    const other = records(softLockup, { caller: 'C1' })
    const both = one.flatMap((record, i) => [record, ...other.slice(i, i + 1)])
    expect(splatsIn(both).map(({ lines }) => lines)).toEqual([newWarning, softLockup])
  })

  test('what follows an end at once is no part of it', () => {
    const found = splatsIn(records([...newWarning, ...harmless.slice(-3)]))
    expect(found.map(({ lines }) => lines)).toEqual([newWarning])
  })

  test('a pause ends one', () => {
    const [first, ...rest] = softLockup
    const found = splatsIn([...records([first ?? '']), ...records(rest, { usec: 3_000_000 })])
    expect(found[0]?.lines).toEqual([first])
  })
})

test('what belongs to a report is not lost before its first line', () => {
  expect(splatsIn(records(lockdep))[0]?.lines).toEqual(lockdep.slice(1))
})

test('a record of several lines', () => {
  const [found] = splatsIn(records(['\nBUG: a\n  b', 'c']))
  expect(found).toMatchObject({ title: 'BUG: a', lines: ['', 'BUG: a', '  b', 'c'] })
})

test('a splat without end is cut, and what was cut is counted', () => {
  const [found] = splatsIn(records([...newWarning.slice(0, -1), ...Array(500).fill(' f+0x1/0x2')]))
  expect(found?.lines).toHaveLength(longestSplat)
  expect(found?.more).toBe(newWarning.length - 1 + 500 - longestSplat)
  expect(splatsIn(records([`BUG: ${'x'.repeat(5000)}`]))[0]?.lines[0]).toHaveLength(500)
})

describe('signal frames that were refused', () => {
  test('to our own processes: they are known', () => {
    expect(records(ownFaults).filter(isForeignBadFrame)).toEqual([])
  })

  test.each([
    'node[5] bad frame in rt_sigreturn frame:1',
    'a sigframe-probe[5] bad frame in sigreturn frame:1',
    'sigframe-prob[5] bad frame in 32bit sigreturn frame:1',
  ])('to others: %s', text => {
    expect(records([text]).filter(isForeignBadFrame)).toHaveLength(1)
  })

  test('other faults of others are not', () => {
    expect(records([...harmless, ...named]).filter(isForeignBadFrame)).toEqual([])
  })
})

test('any lines: no line is quoted that was not there, and in their order', () => {
  const line = fc.oneof(
    fc.constantFrom(...splats.flatMap(([, lines]) => lines), ...ownFaults, ...harmless, ...named),
    fc.string(),
  )
  const drawn = fc.record({
    text: line,
    caller: fc.constantFrom(null, 'T1'),
    usec: fc.nat({ max: 5_000_000 }),
  })
  fc.assert(
    fc.property(fc.array(drawn, { maxLength: 60 }), all => {
      const found = splatsIn(all.flatMap(({ text, ...rest }) => records([text], rest)))
      const quoted = found.flatMap(({ lines }) => lines)
      const there = all.flatMap(({ text }) => text.split('\n').map(one => one.slice(0, 500)))
      expect(quoted.length).toBeLessThanOrEqual(there.length)
      for (const one of quoted) expect(there).toContain(one)
      for (const { text } of all) if (/^-+\[ cut here/.test(text)) expect(quoted).toContain(text)
    }),
  )
})
