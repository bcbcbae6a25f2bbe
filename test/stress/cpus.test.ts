import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { allowedCpus, formatCpus, parseCpus } from '../../lib/stress/cpus.ts'

describe('a list of CPUs', () => {
  test.each([
    ['0', [0]],
    ['0-3,8', [0, 1, 2, 3, 8]],
    ['8,0-1,1', [0, 1, 8]],
    [' 2-2\n', [2]],
  ])('%j', (text, cpus) => expect(parseCpus(text)).toEqual(cpus))

  test.each(['', ' ', ',', '1,', '3-1', '-1', '1-', 'a', '0-8192', '1.5', '0x1', '0 1', '1-2-3'])(
    '%j is none',
    text => expect(parseCpus(text)).toBeNull(),
  )

  test('reads back as it was written', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.nat(8191), { minLength: 1, maxLength: 50 }), cpus => {
        expect(parseCpus(formatCpus(cpus))).toEqual(cpus.toSorted((a, b) => a - b))
      }),
    )
  })

  test('has runs', () => expect(formatCpus([8, 0, 1, 2, 4, 5])).toBe('0-2,4-5,8'))
})

describe('where this process may run', () => {
  const files = (status: string | null, online: string | null) => (path: string) =>
    path === '/proc/self/status' ? status : path === '/sys/devices/system/cpu/online' ? online : null

  test.each<[string | null, string | null, number[]]>([
    ['Name:\tnode\nCpus_allowed:\tf\nCpus_allowed_list:\t0-3\nMems_allowed:\t1\n', '0-3\n', [0, 1, 2, 3]],
    // Machines that could have more CPUs than they have allow all of them.
    ['Cpus_allowed_list:\t0-127\n', '0-1\n', [0, 1]],
    ['Cpus_allowed_list:\t2,4\n', '0-3\n', [2]],
    ['Cpus_allowed_list:\t1-2\n', null, [1, 2]],
    [null, '0-3\n', [0]],
    ['Name:\tnode\n', null, [0]],
  ])('%j, online %j: %j', (status, online, cpus) => {
    expect(allowedCpus(files(status, online))).toEqual(cpus)
  })

  test.runIf(process.platform === 'linux')('here', () => {
    expect(allowedCpus().length).toBeGreaterThan(0)
  })
})
