import { describe, expect, test } from 'vitest'
import { pastBugs } from '../../lib/contract/history.ts'
import { knownMachines, plannedOn, selftests } from './simulated-cases.ts'

const cases = new Set(selftests.flatMap(({ name, cases }) => Object.keys(cases).map(key => `${name}/${key}`)))
const possible = new Set(
  knownMachines.flatMap(([, { layout }]) =>
    selftests.flatMap(one => plannedOn(layout, one).map(({ selftest, name }) => `${selftest}/${name}`)),
  ),
)

/** What a harness of this kind should be able to reproduce. */
const wanted: readonly (readonly [id: string, cve?: string])[] = [
  ['44eeff9bc467'],
  ['3d69596c684b..391cac638edd'],
  ['d877550eaf2d', 'CVE-2024-26603'],
  ['484cea4f362e', 'CVE-2021-47227'],
  ['d8778e393afa', 'CVE-2021-47226'],
  ['d9c9ce34ed5c'],
  ['4a804c4f8356'],
  ['814fb7bb7db5', 'CVE-2017-15537'],
  ['sw bytes of 32-bit frames'],
  ['checkpoint-restore/criu#1042'],
  ['checkpoint-restore/criu#2835'],
  ['DynamoRIO/dynamorio#3812'],
  ['Clozure/ccl#556'],
  ['asterinas/asterinas#3920'],
  ['FEX-Emu/FEX#4644'],
  ['rr-debugger/rr#3573'],
]

describe('past bugs', () => {
  test.each(wanted)('%s is among them', (id, cve) => {
    expect(pastBugs.find(one => one.id === id)?.cve).toBe(cve)
    expect(pastBugs.map(one => one.id)).toContain(id)
  })

  test('each once', () => {
    const ids = pastBugs.map(({ id }) => id)
    expect(new Set(ids).size).toBe(ids.length)
  })

  test.each(pastBugs.map(bug => [bug.id, bug] as const))(
    '%s: its cases exist, and can run somewhere',
    (_, bug) => {
      expect(bug.cases.length).toBeGreaterThan(0)
      expect(new Set(bug.cases).size).toBe(bug.cases.length)
      expect(bug.cases.filter(one => !cases.has(one))).toEqual([])
      expect(bug.cases.filter(one => !possible.has(one))).toEqual([])
    },
  )

  test.each(pastBugs.map(bug => [bug.id, bug] as const))('%s: says what went wrong, and where', (_, bug) => {
    expect(bug.what).toMatch(/^\S.+\.$/)
    expect(bug.cve ?? 'CVE-2000-0000').toMatch(/^CVE-\d{4}-\d{4,}$/)
    // Bugs of other projects are told by their trackers, and prove what the kernel makes of such frames.
    const foreign = bug.id.includes('#')
    expect(bug.kernels === '').toBe(foreign)
    if (foreign) expect(bug.proves).toBe('what the kernel does with such a frame')
  })

  test('kernels come first, then other projects', () => {
    const foreign = pastBugs.map(({ id }) => id.includes('#'))
    expect(foreign).toEqual([...foreign].sort())
  })
})
