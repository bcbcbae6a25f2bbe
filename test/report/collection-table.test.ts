import picocolors from 'picocolors'
import { describe, expect, test } from 'vitest'
import { problemOf } from '../../lib/merge/outcome.ts'
import { collectionTable } from '../../lib/report/collection-table.ts'
import { absent, collection, emptyMatrix, hostOf, unread } from '../merge/samples.ts'
import { bundle, host, hostileTexts, kernel, result, xfail } from './stub.ts'
import { failedMachine, losing, machine, report } from './vm-samples.ts'

const plain = (columns = 80) => ({ columns, colors: picocolors.createColors(false) })

const named = (name: string, own: ReturnType<typeof bundle>) => ({
  name,
  problem: problemOf(own),
  bundle: own,
})

const mixed = collection(
  [
    named('epyc', bundle([...Array.from({ length: 1000 }, () => result()), xfail(), result('skip')])),
    named(
      'xeon',
      bundle([result(), losing(), losing(), result('crash')], {
        host: host({ brand: 'Intel(R) Xeon(R) Processor' }),
        kernel: kernel('regressed', { release: '6.17.8', deviations: ['x'] }),
      }),
    ),
    named(
      'old',
      bundle([result('skip', { reason: 'no XSAVE' })], { kernel: kernel('classic', { generation: null }) }),
    ),
    unread('cut', 'cut.json is empty'),
    absent('gone'),
  ],
  {
    vms: [
      { name: 'kernels', report: report([machine(), failedMachine('panic'), machine({ status: 'ran' })]) },
    ],
    matrices: [{ name: 'pairs', matrix: emptyMatrix }],
  },
)

const below = `FAIL   kernels: 3 virtual machines: 2 ran, 1 panic
pairs  pairs: 0 hosts, 1 generation

ERROR  5 hosts: 1 PASS, 1 FAIL, 3 ERROR; 1007 cases
`

test('hosts and verdicts, then what is not a plain pass', () => {
  expect(collectionTable(mixed, plain(120))).toBe(`\
Host  Result  pass  xfail  fail  crash  skip  Generation           Kernel               CPU
epyc  PASS    1000      1     -      -     1  classic              6.12.43-cloud-amd64  AMD EPYC 9B45
xeon  FAIL       1      -     2      1     -  regressed, deviates  6.17.8               Intel(R) Xeon(R) Processor
old   ERROR      -      -     -      -     1  not told             6.12.43-cloud-amd64  AMD EPYC 9B45
cut   ERROR      -      -     -      -     -  -                    -                    -
gone  ERROR      -      -     -      -     -  -                    -                    -

FAIL   xeon: 2 × fail: shrunk-frame-restores, 1 × crash: untouched-frame-restores
ERROR  old: nothing ran: its only case was skipped: no XSAVE
ERROR  cut: cut.json is empty
ERROR  gone: it was expected, and nothing of it is here
${below}`)
})

test('in 80 columns: names stand again before what has no room', () => {
  expect(collectionTable(mixed, plain())).toBe(`\
Host  Result  pass  xfail  fail  crash  skip  Generation
epyc  PASS    1000      1     -      -     1  classic
xeon  FAIL       1      -     2      1     -  regressed, deviates
old   ERROR      -      -     -      -     1  not told
cut   ERROR      -      -     -      -     -  -
gone  ERROR      -      -     -      -     -  -

Host  Kernel               CPU
epyc  6.12.43-cloud-amd64  AMD EPYC 9B45
xeon  6.17.8               Intel(R) Xeon(R) Processor
old   6.12.43-cloud-amd64  AMD EPYC 9B45
cut   -                    -
gone  -                    -

FAIL   xeon: 2 × fail: shrunk-frame-restores, 1 × crash:
       untouched-frame-restores
ERROR  old: nothing ran: its only case was skipped: no XSAVE
ERROR  cut: cut.json is empty
ERROR  gone: it was expected, and nothing of it is here
${below}`)
})

describe('always', () => {
  test.each([40, 60, 80, 120])('no line is wider than %i columns', columns => {
    const long = hostOf('ip-10-0-117-23.eu-central-1.compute.example.org', 1)
    const lines = collectionTable(
      collection([long, ...mixed.hosts, ...hostileTexts.map((text, i) => unread(`x${i}`, text))]),
      plain(columns),
    ).split('\n')
    expect(lines.filter(line => [...line].length > columns)).toEqual([])
    expect(lines.filter(line => /[^\x20-\x7e…×]/.test(line))).toEqual([])
  })

  test('names are whole', () => {
    const name = 'ip-10-0-117-23.eu-central-1.compute.example.org'
    expect(collectionTable(collection([unread(name)]), plain()).replace(/\s/g, '')).toContain(name)
  })

  test('colours add nothing but colours', () => {
    const colored = collectionTable(mixed, { columns: 80, colors: picocolors.createColors(true) })
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is taken out
    expect(colored.replace(/\u001b\[\d+m/g, '')).toBe(collectionTable(mixed, plain()))
    expect(colored).toContain('\u001b[31m')
  })
})

test('no host', () => {
  expect(collectionTable(collection([]), plain())).toBe('ERROR  no host: that is no success\n')
})

test('machines alone', () => {
  const vms = [{ name: 'vm', report: report([machine()]) }]
  expect(collectionTable(collection([], { vms }), plain())).toMatch(
    /^PASS {3}vm: 1 virtual machine: 1 ran\n\nPASS/,
  )
})
