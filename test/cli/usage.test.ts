import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { toolVersion } from '../../lib/version.ts'
import { sigframe } from './sigframe.ts'

let folder: string

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'sigframe-usage-'))
  writeFileSync(join(folder, 'cut.json'), '{"bundleVersion": 1, "tool": {')
  writeFileSync(join(folder, 'other.json'), '{"bundleVersion": 2}')
})

afterAll(() => {
  rmSync(folder, { recursive: true })
})

describe('wrong usage: one line on stderr, nothing on stdout, exit code 64', () => {
  test.each<[string[], RegExp]>([
    [['foo'], /^unknown command 'foo'; see sigframe --help$/],
    [['rnu'], /^unknown command 'rnu' \(Did you mean run\?\); see sigframe --help$/],
    [['--nope'], /^unknown option '--nope'; see sigframe --help$/],
    [
      ['run', '--fromat', 'json'],
      /^unknown option '--fromat' \(Did you mean --format\?\); see sigframe run --help$/,
    ],
    [
      ['run', '--format', 'xml'],
      /^option '--format <format>' argument 'xml' is invalid\. Allowed choices are pretty, ktap, json, junit; see sigframe run --help$/,
    ],
    [
      ['run', '--require', 'nosuch'],
      /argument 'nosuch' is invalid\. Allowed choices are classic, portable, larger, hwcap-inheritance; see sigframe run --help$/,
    ],
    [['run', '--require', 'regressed'], /argument 'regressed' is invalid/],
    [['run', '--output'], /^option '-o, --output <file>' argument missing; see sigframe run --help$/],
    [['run', '--output', ''], /^--output needs the name of a file$/],
    [['run', '--output', '/'], /^--output \/ is a folder: name a file in it$/],
    [
      ['run', '--output', '/no/such/folder/x'],
      /^--output \/no\/such\/folder\/x cannot be written: ENOENT: no such file or directory$/,
    ],
    [['run', '--output', '/etc/hostname/x'], /^--output \/etc\/hostname\/x cannot be written: /],
    [
      ['run', '--baseline', '/no/such/file'],
      /^\/no\/such\/file cannot be read \(ENOENT: no such file or directory\)$/,
    ],
    [['run', '--baseline', '/'], /^\/ cannot be read \(EISDIR: illegal operation on a directory\)$/],
    [['run', '--baseline', 'CUT'], /cut\.json is not JSON: it ends too early, as if it were cut off$/],
    [['run', '--baseline', 'OTHER'], /other\.json: bundleVersion is 2, must be 1$/],
    [
      ['run', '--list', 'no_such_test'],
      /^no selftest or case is called "no_such_test": the selftests are .*fx_only_fallback /,
    ],
    [['run', '--list', '--format', 'ktap'], /^--list is printed as pretty or json, not as ktap$/],
    [['run', '--list', '--output', 'x'], /^--list is printed: --output is for results$/],
    [
      ['info', 'foo'],
      /^too many arguments for 'info'\. Expected 0 arguments but got 1; see sigframe info --help$/,
    ],
    [
      ['bench', '--seconds', '0'],
      /argument '0' is invalid\. It must be a number in 0\.1\.\.3600; see sigframe bench --help$/,
    ],
    [['bench', '--seconds', 'soon'], /argument 'soon' is invalid/],
    [['bench', '--seconds', 'NaN'], /argument 'NaN' is invalid/],
    [['bench', '--seconds', ' '], /is invalid/],
    [
      ['stress', '--seconds', '0'],
      /argument '0' is invalid\. It must be a number in 0\.1\.\.604800; see sigframe stress --help$/,
    ],
    [['stress', '--seed', '1.5'], /It must be an integer in 0\.\.2147483647; see sigframe stress --help$/],
    [['stress', '--seed', '-1'], /argument '-1' is invalid/],
    [['stress', '--per-cpu', '0'], /It must be an integer in 1\.\.16; see sigframe stress --help$/],
    [['stress', '--cpus', 'all'], /^--cpus "all" is no list of CPUs as 0-3,8$/],
    [['stress', '--cpus', ''], /^--cpus "" is no list of CPUs as 0-3,8$/],
    [['stress', '--cpus', '8191'], /^--cpus 8191: this process may run on [\d,-]+, not on 8191$/],
    [['stress', 'avx'], /^too many arguments for 'stress'/],
    [['run', '\u001b[31mred\n', '--list'], /^no selftest or case is called "\\u001b\[31mred\\n": /],
    [['run', '--\u001b[31m\n'], /^unknown option '--\\x1b\[31m '; see sigframe run --help$/],
  ])('%j', async (words, message) => {
    const files = words.map(word =>
      word.replace('CUT', join(folder, 'cut.json')).replace('OTHER', join(folder, 'other.json')),
    )
    const { code, stdout, stderr } = await sigframe(files)
    expect(stdout).toBe('')
    expect(stderr).toMatch(/^sigframe: .+\n$/)
    expect(stderr.slice('sigframe: '.length, -1)).toMatch(message)
    expect(code).toBe(64)
  })

  test('no command: the help, and a line', async () => {
    const { code, stdout, stderr } = await sigframe([])
    expect(stdout).toBe('')
    expect(stderr).toMatch(/^Usage: sigframe/)
    expect(stderr).toMatch(/\nsigframe: which command\? \(the help is above\)\n$/)
    expect(code).toBe(64)
  })
})

describe('help', () => {
  test.each([
    [['--help'], /Example:\n {2}sigframe run\n/],
    [['run', '--help'], /Examples:\n {2}sigframe run\n/],
    [['info', '--help'], /Examples:\n {2}sigframe info\n/],
    [['bench', '--help'], /Examples:\n {2}sigframe bench\n/],
    [['stress', '--help'], /Examples:\n {2}sigframe stress\n/],
    [['help', 'run'], /Examples:\n {2}sigframe run\n/],
  ])('%j has an example, and keeps to 80 columns', async (words, example) => {
    const { code, stdout, stderr } = await sigframe(words)
    expect(code).toBe(0)
    expect(stderr).toBe('')
    expect(stdout).toMatch(example)
    for (const line of stdout.split('\n')) expect(line.length).toBeLessThanOrEqual(80)
  })

  test.each(['--version', '-V'])('%s', async word => {
    expect(await sigframe([word])).toEqual({
      code: 0,
      signal: null,
      stdout: `${toolVersion()}\n`,
      stderr: '',
    })
  })
})
