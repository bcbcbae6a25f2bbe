import picocolors from 'picocolors'
import { describe, expect, test } from 'vitest'
import { createMatrix } from '../../lib/matrix/create.ts'
import type { Pair, PairMatrix } from '../../lib/matrix/matrix.ts'
import { matrixText } from '../../lib/report/matrix.ts'
import { widthOf } from '../../lib/report/text.ts'
import { catalogue, hostNamed, hostOf } from '../matrix/arbitrary.ts'
import { seen, whole } from './matrix-samples.ts'

const style = (columns: number, colors = false) => ({ columns, colors: picocolors.createColors(colors) })
const plain = style(80)
const lines = (text: string): string[] => text.split('\n')

const of = (from: readonly string[], to: readonly string[], hosts = catalogue): PairMatrix =>
  createMatrix(hosts, {
    from: hosts.filter(({ name }) => from.includes(name)),
    to: hosts.filter(({ name }) => to.includes(name)),
  })

/** The cells of a generation's table, by its rows and columns. */
const cells = (text: string, generation: string): ReadonlyMap<string, string[]> => {
  const all = lines(text)
  const start = all.findIndex(line => line.startsWith(`${generation.toUpperCase()}  `))
  const rows = all.slice(start).slice(0, all.slice(start).indexOf(''))
  return new Map(
    rows.flatMap(row => {
      const [, names, found] = /^ *\d+ (\S.*?) {2,}(\S.*)$/.exec(row) ?? []
      return names === undefined || found === undefined ? [] : [[names, `${found} `.match(/../g)!] as const]
    }),
  )
}

const three = of(['haswell', 'ice-lake-sp', 'zen4'], ['haswell', 'ice-lake-sp', 'zen4'])

describe('a table', () => {
  test('has a character for each pair, and says what it means', () => {
    expect(matrixText({ ...three, generations: ['classic', 'larger'] }, plain)).toBe(
      `Signal frames (x86_64) of the CPUs on the left, returned from on those above

CLASSIC  up to 6.14; 6.18.35+, 7.0.12+, 7.1 to 7.3
               1 2 3
1 haswell      + + +
2 ice-lake-sp  ! + !
3 zen4         ! ! +
5 of 9 pairs work, 0 if something is unused, 0 get SIGSEGV, 4 lose silently

LARGER  none that is merged (proposed: v3 09/10 and 10/10 of 15 June 2026)
               1 2 3
1 haswell      + + +
2 ice-lake-sp  x + !
3 zen4         x x +
5 of 9 pairs work, 0 if something is unused, 3 get SIGSEGV, 1 lose silently

+  works: all of the frame arrives, whatever is in use
x  breaks, with SIGSEGV
!  breaks silently: nothing beyond x87 and SSE arrives, or PKRU is another
   all is predicted
`,
    )
  })

  test('marks what was sent, and tells loudly what was otherwise than predicted', () => {
    const text = matrixText(seen, plain)
    expect([...cells(text, 'classic')]).toEqual([
      ['haswell', ['+ ', '+ ', "+'"]],
      ['ice-lake-sp', ['! ', '+ ', "!'"]],
      ['zen4', ['! ', '! ', "+'"]],
    ])
    expect([...cells(text, 'portable').values()].flat().some(cell => cell.includes("'"))).toBe(false)
    expect(text).toContain("'  live: sent on this host, Linux 6.12.1\n   all else is predicted\n")
    expect(text).toMatch(/\n\nNOT AS PREDICTED {2}classic, from zen4 on zen4, with x87 .*\n( {18}.*\n)*$/)
    expect(matrixText(whole, plain)).not.toContain('NOT AS PREDICTED')
  })

  const symbol = ({ outcome, silent }: Pair): string | null =>
    ({ works: '+', 'works if unused': null, breaks: silent ? '!' : 'x', unknown: '?' })[outcome]

  test('of all CPUs has each pair, once, as the matrix has it', () => {
    const text = matrixText(whole, plain)
    const legend = new Map([...text.matchAll(/^(\S) {2}works if unused: (.*)$/gm)].map(([, a, b]) => [a, b]))
    expect(new Set(legend.values()).size).toBe(legend.size)
    for (const generation of whole.generations) {
      const table = cells(text, generation)
      const rows = [...table.keys()]
      const names = rows.map(row => row.split(', ')[0]!.replace(/…$/, ''))
      expect(rows.length).toBeLessThan(whole.hosts.length)
      for (const [i, from] of names.entries())
        for (const [j, to] of names.entries()) {
          const pair = whole.pairs.find(
            one => one.generation === generation && one.from.startsWith(from) && one.to.startsWith(to),
          )!
          const cell = table.get(rows[i]!)![j]![0]!
          expect([from, to, symbol(pair) ?? pair.unused.join(' ')]).toEqual([
            from,
            to,
            symbol(pair) === null ? legend.get(cell) : cell,
          ])
        }
    }
  })

  test('names every CPU whole, in the tables or below them', () => {
    const words = new Set(matrixText(whole, plain).split(/[\s,]+/))
    for (const { name } of catalogue) expect([name, words.has(name)]).toEqual([name, true])
  })

  test('names those that are destinations alone below', () => {
    const text = matrixText(of(['haswell', 'skylake'], ['zen4', 'nehalem']), plain)
    expect(text).toContain('\n 2 nehalem\n')
    expect(text).toContain('\n 4 zen4\n')
    expect(text.match(/haswell/g)).toHaveLength(4)
  })

  test.each([40, 60, 80, 120])('is no wider than %i columns', columns => {
    for (const matrix of [whole, three, seen])
      for (const line of lines(matrixText(matrix, style(columns))))
        expect([line, widthOf(line) <= columns]).toEqual([line, true])
  })

  test('goes on below where there are more CPUs than columns', () => {
    const many = Array.from({ length: 60 }, (_, i) =>
      hostOf(`cpu${i}`, hostNamed(i % 2 === 0 ? 'haswell' : 'zen4').layout),
    )
    const matrix = createMatrix(many, { generations: ['classic'] })
    // Each fares otherwise than the others, and some need what none else does.
    const number = (name: string): number => Number(name.slice(3))
    const own = matrix.pairs.map(pair => {
      const [from, to] = [number(pair.from), number(pair.to)]
      const unused = from === 0 ? [`c${to}`] : []
      const outcome = from === 0 ? ('works if unused' as const) : ('breaks' as const)
      return { ...pair, unused, outcome, silent: from > to }
    })
    const text = matrixText({ ...matrix, pairs: own }, plain)
    expect(lines(text).filter(line => /^ *\d+ cpu59\b/.test(line)).length).toBeGreaterThan(1)
    expect(text).toContain('~  works if some components are unused')
    for (const line of lines(text)) expect(widthOf(line)).toBeLessThanOrEqual(80)
  })

  test('has colours only where they are wanted', () => {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: colours
    const escapes = /\x1b\[[0-9;]*m/g
    expect(matrixText(whole, plain)).not.toMatch(escapes)
    const colored = matrixText(whole, style(80, true))
    expect(colored).toMatch(escapes)
    expect(colored.replace(escapes, '')).toBe(matrixText(whole, plain))
  })

  test('lets no name move the cursor', () => {
    const evil = hostOf('evil\u001b[2J\nname', hostNamed('zen4').layout)
    const hosts = [hostNamed('haswell'), evil]
    // biome-ignore lint/suspicious/noControlCharactersInRegex: what must not be there
    const control = /[\x00-\x09\x0b-\x1f]/
    for (const matrix of [
      createMatrix(hosts),
      createMatrix(hosts, { from: [evil] }),
      createMatrix(hosts, { from: [evil], to: [evil] }),
    ])
      expect(matrixText(matrix, plain)).not.toMatch(control)
  })
})

describe('pairs in words', () => {
  test('one pair has its frames, and why', () => {
    expect(matrixText(of(['ice-lake-sp'], ['haswell']), plain)).toMatch(
      /^From {2}ice-lake-sp: .*\n(.*\n)*?On {4}haswell: .*832 bytes: x87 sse avx\n\nclassic, portable {2}breaks \(predicted\)\n {2}Why {4}silently FX-only/,
    )
  })

  test('what was seen is told, too', () => {
    const one = { ...seen, pairs: seen.pairs.filter(({ from, to }) => from === 'zen4' && to === 'zen4') }
    const text = matrixText(one, plain)
    expect(text).toContain('On    zen4 (this host): ')
    expect(text).toContain('\nclassic  works (live)\n')
    expect(text).toMatch(/\n {2}Seen {3}loses, NOT AS PREDICTED: avx at init\n/)
    expect(text).toMatch(/\nNOT AS PREDICTED {2}classic, from zen4 on zen4/)
  })

  test.each([
    [
      of(
        ['haswell'],
        catalogue.map(({ name }) => name),
      ),
      'On',
      'From',
    ],
    [
      of(
        catalogue.map(({ name }) => name),
        ['haswell'],
      ),
      'From',
      'On',
    ],
  ])('of one CPU with all the others: those that fare alike together', (matrix, many, one) => {
    const text = matrixText(matrix, plain)
    expect(text.startsWith(`${one.padEnd(4)}  haswell: `)).toBe(true)
    const blocks = text.split(/\n\n/).slice(1)
    const named = blocks.flatMap(block => {
      const head = block.slice(0, block.indexOf('\n  ', block.indexOf(many))).replace(/\s+/g, ' ')
      return head
        .slice(many.length + 1)
        .split(/\n {2}/)[0]!
        .split(/, /)
    })
    expect(named.length).toBeGreaterThanOrEqual(blocks.length)
    expect(blocks.length).toBeLessThan(catalogue.length)
    const said = text.replace(/\s+/g, ' ')
    for (const { reason } of matrix.pairs) expect(said).toContain(reason)
    expect(said).toContain(`${many} `)
  })

  test('what is the same in every generation is said once', () => {
    expect(matrixText(of(['zen4'], ['zen4']), plain)).toContain('\nevery generation  works (predicted)\n')
  })

  test('no wider than asked for', () => {
    for (const from of catalogue)
      for (const line of lines(matrixText(of([from.name], ['ice-lake-sp']), style(60))))
        expect([line, widthOf(line) <= 60]).toEqual([line, true])
  })
})
