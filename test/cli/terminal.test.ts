import { execFileSync } from 'node:child_process'
import { describe, expect, test } from 'vitest'
import { createProgress } from '../../lib/cli/progress.ts'
import { columnsOf, styleOf, wantsColor } from '../../lib/cli/terminal.ts'
import { canProbe, main } from './sigframe.ts'

const terminal = { isTTY: true as const, columns: 100 }
const pipe = {}

describe('colours', () => {
  test.each([
    [terminal, {}, true],
    [terminal, { TERM: 'dumb' }, false],
    [terminal, { NO_COLOR: '1' }, false],
    [terminal, { NO_COLOR: '' }, true],
    [terminal, { FORCE_COLOR: '0' }, false],
    [terminal, { FORCE_COLOR: 'false' }, false],
    [terminal, { NO_COLOR: '1', FORCE_COLOR: '1' }, false],
    [pipe, {}, false],
    [pipe, { FORCE_COLOR: '1' }, true],
    [pipe, { FORCE_COLOR: '' }, true],
    [pipe, { CI: 'true', TERM: 'xterm' }, false],
  ])('%j with %j: %j', (output, env, wanted) => {
    expect(wantsColor(output, env)).toBe(wanted)
    expect(styleOf(output, env).colors.red('x') !== 'x').toBe(wanted)
  })
})

describe('columns', () => {
  test.each([
    [terminal, {}, 100],
    [terminal, { COLUMNS: '60' }, 100],
    [{ isTTY: true as const, columns: 10 }, {}, 40],
    [{ isTTY: true as const, columns: 300 }, {}, 120],
    [{ isTTY: true as const, columns: 0 }, {}, 80],
    [pipe, {}, 80],
    [pipe, { COLUMNS: '120' }, 120],
    [pipe, { COLUMNS: '-1' }, 80],
    [pipe, { COLUMNS: 'wide' }, 80],
    [pipe, { COLUMNS: '' }, 80],
    [pipe, { COLUMNS: '1e9' }, 120],
  ])('%j with %j: %i', (output, env, columns) => {
    expect(columnsOf(output, env)).toBe(columns)
  })
})

describe('progress', () => {
  const watched = (isTTY: boolean) => {
    let time = 0
    const written: string[] = []
    const output = { isTTY, columns: 20, write: (text: string) => written.push(text) }
    return { progress: createProgress(output, () => time), written, at: (ms: number) => (time = ms) }
  }

  test('nothing in the first second, then a line in place of the last, at most ten a second', () => {
    const { progress, written, at } = watched(true)
    progress.show(() => 'too soon')
    at(1000)
    progress.show(() => 'one')
    at(1050)
    progress.show(() => 'too soon')
    at(1100)
    progress.show(() => 'two')
    progress.end()
    progress.end()
    expect(written).toEqual(['\r\u001b[Kone', '\r\u001b[Ktwo', '\r\u001b[K'])
  })

  test('never a line that would wrap', () => {
    const { progress, written, at } = watched(true)
    at(2000)
    progress.show(() => 'x'.repeat(100))
    expect(written).toEqual([`\r\u001b[K${'x'.repeat(19)}`])
  })

  test('not a word where nobody watches', () => {
    const { progress, written, at } = watched(false)
    at(5000)
    progress.show(() => 'x')
    progress.end()
    expect(written).toEqual([])
  })
})

const hasScript = (() => {
  try {
    return execFileSync('script', ['--version'], { encoding: 'utf8' }).includes('util-linux')
  } catch {
    return false
  }
})()

describe.skipIf(!canProbe || !hasScript)('on a real terminal', () => {
  const { NO_COLOR: _n, FORCE_COLOR: _f, ...env } = process.env

  const onTerminal = (columns: number, words: string, more: Record<string, string> = {}): string => {
    const command = `stty cols ${columns} rows 24; "${process.execPath}" "${main}" ${words}`
    return execFileSync('script', ['-qec', command, '/dev/null'], {
      encoding: 'utf8',
      env: { ...env, TERM: 'xterm', ...more },
      stdio: ['ignore', 'pipe', 'pipe'],
    }).replaceAll('\r\n', '\n')
  }

  const escapes = new RegExp(`${String.fromCodePoint(0x1b)}\\[\\d+m`, 'g')

  test.each([80, 120])('%i columns, in colour', columns => {
    const text = onTerminal(columns, 'run untouched_frame')
    expect(text).toMatch(escapes)
    const lines = text.replace(escapes, '').split('\n')
    expect(Math.max(...lines.map(line => line.length))).toBeLessThanOrEqual(columns)
    expect(lines.at(-2)).toMatch(/^[A-Z]+ {2}\d+ cases in \d/)
  })

  test('NO_COLOR', () => {
    expect(onTerminal(80, 'run untouched_frame', { NO_COLOR: '1' })).not.toMatch(escapes)
  })

  test('what takes long tells how far it is, and takes the line away', () => {
    const text = onTerminal(80, 'bench --seconds 4')
    expect(text).toMatch(/\r.{3}measuring: \d+ %/)
    expect(text.slice(text.lastIndexOf('measuring'))).toMatch(/^measuring: \d+ %\r.{3}.*Host/)
  })

  test('stress tells how far it is, and takes the line away', () => {
    const text = onTerminal(80, 'stress --seconds 2')
    expect(text).toMatch(/\r.{3}1 s of 2: [\d,]+ probes, 0 lost\r/)
    expect(text.slice(text.lastIndexOf(' s of '))).toMatch(/^ s of 2: [\d,]+ probes, 0 lost\r.{3}.*Host/)
  })
})
