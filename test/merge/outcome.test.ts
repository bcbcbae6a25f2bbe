import { describe, expect, test } from 'vitest'
import { collectionExitCode, problemOf } from '../../lib/merge/outcome.ts'
import { bundle, everyVerdict, result } from '../report/stub.ts'
import { failedMachine, report } from '../report/vm-samples.ts'
import { absent, collection, emptyMatrix, hostOf, unread, vmOf } from './samples.ts'

const hostWith = (...verdicts: (typeof everyVerdict)[number][]) => {
  const own = bundle(verdicts.map(one => result(one)))
  return { name: verdicts.join(' '), problem: problemOf(own), bundle: own }
}

describe('a host on which nothing ran', () => {
  test.each(everyVerdict.filter(one => one !== 'skip'))('one %s beside a skip: something ran', verdict => {
    expect(problemOf(bundle([result('skip'), result(verdict)]))).toBeNull()
  })

  test('no case', () => {
    expect(problemOf(bundle([]))).toBe('nothing ran: there is no case')
  })

  test('all skipped: why, for most of them', () => {
    const skips = ['no XSAVE', 'no\nXSAVE', 'no XSAVE', ''].map(reason => result('skip', { reason }))
    expect(problemOf(bundle(skips))).toBe(
      'nothing ran: all 4 cases were skipped, 2 of them because: no XSAVE',
    )
    expect(problemOf(bundle([result('skip', { reason: '' })]))).toBe('nothing ran: its only case was skipped')
  })

  test('what is told of the run as a whole is no case that ran', () => {
    const demand = result('fail', { selftest: 'require', case: 'portable' })
    expect(problemOf(bundle([demand]))).toBe('nothing ran: there is no case')
    expect(problemOf(bundle([demand, result('skip')]))).toMatch(
      /^nothing ran: its only case was skipped: because/,
    )
  })

  test('nothing could be probed, and why', () => {
    expect(problemOf(bundle([result()], { kernel: null }))).toBe('nothing could be probed')
    expect(problemOf(bundle([], { kernel: null, warnings: ['no\naddon', 'b'] }))).toBe(
      'nothing could be probed: no addon',
    )
  })
})

describe('the exit code', () => {
  const fine = hostOf('a', 1)
  test.each([
    ['all passed', [fine, hostWith('pass', 'xfail', 'skip')], 0],
    ['one failed', [fine, hostWith('pass', 'fail')], 1],
    ['one hung', [fine, hostWith('timeout')], 1],
    ['one crashed', [hostWith('crash'), fine], 1],
    ['one is stuck', [hostWith('stuck')], 1],
    ['sigframe is broken', [fine, hostWith('broken', 'pass')], 70],
    ['one ran nothing', [fine, hostWith('skip')], 70],
    ['one is missing', [fine, absent('b')], 70],
    ['one cannot be read: it outranks what failed', [hostWith('fail'), unread('b'), fine], 70],
    ['no host', [], 70],
  ] as const)('%s', (_, hosts, code) => {
    expect(collectionExitCode(collection(hosts))).toBe(code)
  })

  test('machines count as hosts do, predictions do not', () => {
    const vm = (machines: Parameters<typeof report>[0]) => [{ name: 'vm', report: report(machines) }]
    const matrices = [{ name: 'pairs', matrix: emptyMatrix }]
    expect(collectionExitCode(collection([], { vms: [{ name: 'vm', report: vmOf(1) }] }))).toBe(0)
    expect(collectionExitCode(collection([fine], { vms: vm([failedMachine('panic')]) }))).toBe(1)
    expect(collectionExitCode(collection([fine], { vms: vm([failedMachine('skipped')]) }))).toBe(70)
    expect(collectionExitCode(collection([fine], { vms: vm([]) }))).toBe(70)
    expect(collectionExitCode(collection([fine], { matrices }))).toBe(0)
    expect(collectionExitCode(collection([], { matrices }))).toBe(70)
  })
})
