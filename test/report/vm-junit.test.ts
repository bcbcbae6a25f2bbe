import { spawnSync } from 'node:child_process'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { bundleJunit } from '../../lib/report/junit.ts'
import { element, xmlDocument } from '../../lib/report/junit-xml.ts'
import { vmJunit } from '../../lib/report/vm/junit.ts'
import type { MachineResult } from '../../lib/vm/machine.ts'
import { anyBundle } from './arbitrary.ts'
import { bundle, everyVerdict, hostileTexts, kernel, log, result } from './stub.ts'
import {
  anyReport,
  failedMachine,
  failedStatuses,
  machine,
  matrix,
  replay,
  report,
  vmKernel,
} from './vm-samples.ts'

/** An element as expat has read it. */
interface Read {
  readonly name: string
  readonly attributes: Readonly<Record<string, string>>
  readonly text: string
  readonly children: readonly Read[]
}

// A parser that is not ours, and strict: whatever is not well-formed is an error.
const script = `
import json, sys
import xml.etree.ElementTree as tree
def plain(e):
    return {'name': e.tag, 'attributes': e.attrib, 'text': e.text or '', 'children': [plain(c) for c in e]}
json.dump([plain(tree.fromstring(d.encode())) for d in json.load(sys.stdin)], sys.stdout)
`

const python = spawnSync('python3', ['-c', 'import xml.parsers.expat'])

/** All of them by one process: to start it takes longer than to read. */
const readAll = (documents: readonly string[]): Read[] => {
  const { status, stdout, stderr } = spawnSync('python3', ['-c', script], {
    input: JSON.stringify(documents),
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  })
  if (status !== 0) throw new Error(stderr.slice(-2000))
  return JSON.parse(stdout)
}

const read = (document: string): Read => readAll([document])[0] as Read

const named = ({ children }: Read, name: string): Read[] => children.filter(one => one.name === name)

const suitesOf = (...machines: MachineResult[]): Read[] => read(vmJunit(report(machines))).children as Read[]
const casesIn = (suite: Read | undefined): Read[] => (suite === undefined ? [] : named(suite, 'testcase'))
const outcomeIn = (one: Read | undefined): Read | undefined =>
  one?.children.find(({ name }) => name !== 'system-out')
const outputIn = (one: Read | undefined): string =>
  one === undefined ? '' : (named(one, 'system-out')[0]?.text ?? '')

test('one machine, to the letter', () => {
  const cases = [
    result('pass', { id: 'untouched_frame/restores/x86_64/avx' }),
    result('fail', { id: 's/c/x86_64/avx', selftest: 's', reason: 'a < b', observed: 'x', expected: 'y' }),
  ]
  expect(vmJunit(report([machine({ bundle: bundle(cases) })]))).toBe(`<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="sigframe vm" tests="2" failures="1" errors="0" skipped="0" time="132.000000">
  <testsuite name="debian:6.12.43/pkru" tests="2" failures="1" errors="0" skipped="0" time="4.200000" timestamp="2026-11-21T09:57:00">
    <properties>
      <property name="tool" value="sigframe 0.1.0"/>
      <property name="host" value="AMD EPYC 9B45"/>
      <property name="layout" value="XCR0 0x207, frames of 2696 bytes: x87 sse avx pkru"/>
      <property name="kernel" value="6.12.43-cloud-amd64 #1 SMP PREEMPT_DYNAMIC Debian 6.12.43-1"/>
      <property name="generation" value="classic"/>
      <property name="headline" value="classic"/>
      <property name="fit" value="a clean fit: all 2 telling frames did as classic kernels do"/>
      <property name="image" value="/kernels/6.12.43/vmlinuz"/>
      <property name="cpu" value="pkru"/>
      <property name="model" value="max,-mpx"/>
      <property name="emulator" value="qemu 7.2.22, software emulation (tcg)"/>
      <property name="status" value="ran"/>
      <property name="phase" value="end"/>
      <property name="boots" value="1"/>
    </properties>
    <testcase name="untouched_frame/restores/x86_64/avx" classname="debian:6.12.43.pkru.untouched_frame" time="0.000123"/>
    <testcase name="s/c/x86_64/avx" classname="debian:6.12.43.pkru.s" time="0.000123">
      <failure message="a &lt; b" type="fail">observed: x
expected: y
repeat: sigframe vm 's/c/x86_64/avx' --kernel debian:6.12.43 --cpu pkru</failure>
      <system-out>observed: x
expected: y
repeat: sigframe vm 's/c/x86_64/avx' --kernel debian:6.12.43 --cpu pkru
</system-out>
    </testcase>
  </testsuite>
</testsuites>
`)
})

describe('XML', () => {
  test('what no XML can hold is replaced, what readers would change is not', () => {
    const text = 'a\u0000\u001b\ufffe\ud800b\t\n\r\u0085 ]]> <&>"\' \u{1f600}'
    const document = xmlDocument(
      element('a', { b: text, c: 7 }, [element('d', {}, [text]), element('e', {})]),
    )
    expect(document).not.toContain(']]>')
    expect(document).not.toMatch(/[^\t\n\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/u)
    expect(document).toContain('&#9;&#10;&#13;')
    expect(document).toContain('\t\n&#13;')
  })
})

test('a run: one suite', () => {
  const text = bundleJunit(bundle([result('fail', { id: 'a/b', selftest: 'a' })], { warnings: ['look'] }))
  expect(text).toContain(
    '<testsuites name="sigframe run" tests="1" failures="1" errors="0" skipped="0" time="0.412000">',
  )
  expect(text).toContain('classname="sigframe.a"')
  expect(text).toContain("repeat: sigframe run 'a/b'")
  expect(text).toContain('<system-out>WARNING: look\n</system-out>')
})

// Needs python3, for its expat.
describe.skipIf(python.status !== 0)('as a parser reads it', () => {
  test('text is the same again', () => {
    const text = 'a\t\n\r\u0085 ]]> <&>"\' \u{1f600} \u2028'
    const again = read(xmlDocument(element('a', { b: text }, [element('d', {}, [text])])))
    expect(again.attributes.b).toBe(text)
    expect(again.children[0]?.text).toBe(text)
  })

  test('each verdict', () => {
    const [suite] = suitesOf(
      machine({ bundle: bundle(everyVerdict.map(one => result(one, { reason: 'why' }))) }),
    )
    const outcomes = casesIn(suite).map(one => {
      const outcome = outcomeIn(one)
      return [outcome?.name, outcome?.attributes.message, outcome?.attributes.type]
    })
    expect(outcomes).toEqual([
      [undefined, undefined, undefined],
      ['skipped', 'XFAIL why', 'xfail'],
      ['failure', 'why', 'fail'],
      ['skipped', 'why', 'skip'],
      ['failure', 'why', 'timeout'],
      ['error', 'why', 'crash'],
      ['error', 'why', 'stuck'],
      ['error', 'why', 'broken'],
    ])
    const told = casesIn(suite).map(one => outputIn(one).includes('observed: restored by XRSTOR'))
    expect(told).toEqual([false, true, true, false, true, true, true, true])
    expect(suite?.attributes).toMatchObject({ tests: '8', failures: '2', errors: '3', skipped: '2' })
  })

  test('each status', () => {
    const suites = suitesOf(
      ...failedStatuses.map(status => failedMachine(status, { kernel: vmKernel(status) })),
    )
    const told = suites.map(suite => {
      const [one, ...more] = casesIn(suite)
      expect(more).toEqual([])
      return [outcomeIn(one)?.attributes.type, outcomeIn(one)?.name]
    })
    expect(told).toEqual(
      failedStatuses.map(status => [
        status,
        status === 'skipped' || status === 'interrupted' ? 'skipped' : 'error',
      ]),
    )
    expect(outcomeIn(casesIn(suites[1])[0])?.attributes.message).toBe(
      'oops: BUG: kernel NULL pointer dereference, address: 0000000000000018',
    )
    expect(outputIn(casesIn(suites[1])[0])).toContain('\n__fpu_restore_sig+0x5b/0x4f0\n')
    expect(outputIn(casesIn(suites[failedStatuses.indexOf('lacks')])[0])).toContain(
      'lacks CONFIG_EPOLL (epoll)\n',
    )
  })

  test('a machine that ended badly is an error beside its cases', () => {
    const [suite] = suitesOf(machine({ status: 'hang', bundle: bundle([result()]) }))
    expect(casesIn(suite).map(one => outcomeIn(one)?.name)).toEqual([undefined, 'error'])
  })

  test('no results, or no cases, are an error', () => {
    const suites = suitesOf(machine({ bundle: null }), machine({ bundle: bundle([]), kernel: vmKernel('b') }))
    expect(suites.map(({ attributes }) => attributes.errors)).toEqual(['1', '1'])
    expect(read(bundleJunit(bundle([]))).attributes).toMatchObject({ tests: '1', errors: '1' })
  })

  test('frames of others, and what must not be overlooked', () => {
    const [suite] = suitesOf(
      machine({
        replayed: [replay('a|b|x86_64/w', { asExpected: false })],
        warnings: ['one'],
        wants: ['CONFIG_X'],
        bundle: bundle([result()], {
          warnings: ['two'],
          kernel: kernel('classic', { deviations: ['three'], log: log({ lines: ['four'] }) }),
        }),
      }),
    )
    expect(suite?.attributes).toMatchObject({ tests: '2', failures: '1' })
    expect(casesIn(suite)[1]?.attributes.classname).toBe('debian:6.12.43.pkru.foreign_frame')
    expect(suite === undefined ? '' : outputIn(suite)).toBe(
      'WARNING: one\ncases skipped for: CONFIG_X\nWARNING: two\ndeviation: three\ndmesg: four\n',
    )
  })

  test('the large matrix: the counts add up', () => {
    const root = read(vmJunit(report(matrix())))
    const sum = (key: string): number =>
      named(root, 'testsuite').reduce((all, { attributes }) => all + Number(attributes[key]), 0)
    for (const key of ['tests', 'failures', 'errors', 'skipped'])
      expect(Number(root.attributes[key])).toBe(sum(key))
    expect(root.attributes.failures).toBe('120')
  })

  test('hostile texts everywhere', () => {
    const documents = hostileTexts.map(text =>
      vmJunit(
        report([
          failedMachine('panic', {
            reason: text,
            console: [text],
            kernel: vmKernel('a', { name: text, path: text }),
          }),
          machine({
            cpu: { name: text, model: text, emulator: 'qemu' },
            bundle: bundle([
              result('fail', { id: text || 'x', reason: text, observed: text, selftest: text }),
            ]),
          }),
        ]),
      ),
    )
    expect(readAll(documents)).toHaveLength(hostileTexts.length)
  })

  test('any report, any run', () => {
    fc.assert(
      fc.property(
        fc.array(anyReport, { minLength: 15, maxLength: 15 }),
        fc.array(anyBundle),
        (reports, bundles) => {
          const found = readAll([...reports.map(vmJunit), ...bundles.map(bundleJunit)])
          expect(found.map(({ name }) => name)).toEqual(found.map(() => 'testsuites'))
          for (const [i, { machines }] of reports.entries())
            expect(found[i]?.children).toHaveLength(machines.length)
        },
      ),
      { numRuns: 8 },
    )
  })
})
