import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, type TestContext, test } from 'vitest'
import { abis } from '../../lib/frame/abi.ts'
import { openSync } from '../../lib/probe/session.ts'
import { parseProbeFile } from '../../lib/report/probe-file.ts'
import { canProbe, ended, inShell, sigframe, start } from './sigframe.ts'

let folder: string

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'sigframe-fuzz-'))
})

afterAll(() => {
  rmSync(folder, { recursive: true })
})

const host = await (async () => {
  if (!canProbe) return null
  const probe = openSync()
  const { layout } = probe
  const lacking = abis.filter(abi => probe.lack(abi) !== null)
  await probe.close()
  return { xsave: layout.xsave, extended: layout.extended.length > 0, lacking }
})()

const needsFuzz = (ctx: TestContext): void => {
  if (!host?.xsave) ctx.skip('there is nothing to fuzz here')
}

/** 0 or 1: whether this kernel does as its generation is not asked here. */
const isVerdict = (code: number | null): boolean => code === 0 || code === 1

test('--help has examples, and keeps to 80 columns', async () => {
  const { code, stdout, stderr } = await sigframe(['fuzz', '--help'])
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  expect(stdout).toMatch(/Examples:\n {2}sigframe fuzz\n/)
  for (const option of ['--seconds', '--runs', '--seed', '--abi', '--kernel', '--save', '--c', '--json'])
    expect(stdout).toMatch(new RegExp(`\\n {2}${option}\\b`))
  for (const line of stdout.split('\n')) expect(line.length).toBeLessThanOrEqual(80)
})

describe('wrong usage: one line on stderr, nothing on stdout, exit code 64', () => {
  const none = join(tmpdir(), 'sigframe-no-such-folder')
  test.each<[string[], RegExp]>([
    [['--seconds', '3', '--runs', '5'], /^--seconds 3 and --runs 5: give one of them$/],
    [
      ['--seconds', '0'],
      /argument '0' is invalid\. It must be a number in 0\.1\.\.604800; see sigframe fuzz --help$/,
    ],
    [['--seconds', 'soon'], /argument 'soon' is invalid/],
    [['--seconds', 'Infinity'], /argument 'Infinity' is invalid/],
    [['--runs', '0'], /It must be an integer in 1\.\.1099511627776; see sigframe fuzz --help$/],
    [['--runs', '1.5'], /argument '1\.5' is invalid/],
    [['--runs', ''], /is invalid/],
    [['--seed', '-1'], /It must be an integer in 0\.\.1048575; see sigframe fuzz --help$/],
    [['--seed', '1048576'], /argument '1048576' is invalid/],
    [['--seed', '0x'], /is invalid/],
    [['--seed', ''], /is invalid/],
    [['--seed', ' '], /is invalid/],
    [['--seed', '1e99'], /is invalid/],
    [
      ['--kernel', 'modern'],
      /argument 'modern' is invalid\. Allowed choices are classic, regressed, portable, larger; see sigframe fuzz --help$/,
    ],
    [['--abi', 'arm64'], /^--abi "arm64" is none: there are x86_64 ia32-rt ia32 x32$/],
    [['--abi', 'ia32', '--abi', '\u001b[31m\n'], /^--abi "\\u001b\[31m\\n" is none: there are /],
    [['--abi', '__proto__'], /^--abi "__proto__" is none: /],
    [['--without', 'no-such-rule'], /no-such-rule/],
    [['--save', none], new RegExp(`^--save ${none} is no folder$`)],
    [['--save', '/etc/hostname'], /^--save \/etc\/hostname is no folder$/],
    [['--save', '/etc/hostname/x'], /^--save \/etc\/hostname\/x (is no folder|cannot be written to: .*)$/],
    [['--save', ''], /^--save needs the name of a folder$/],
    [['--c', '/'], /^--c \/ is a folder: name a file in it$/],
    [['--c', ''], /^--c needs the name of a file$/],
    [['--c', join(none, 'x.c')], /^--c .* cannot be written: ENOENT: no such file or directory$/],
    [['more'], /^too many arguments for 'fuzz'/],
    [['--sed', '1'], /^unknown option '--sed'/],
  ])('%j', async (words, message) => {
    // So many that nobody would wait for the end.
    const long = words.some(word => word === '--runs' || word === '--seconds') ? [] : ['--seconds', '600']
    const { code, stdout, stderr } = await sigframe(['fuzz', ...long, ...words])
    expect(stdout).toBe('')
    expect(stderr).toMatch(/^sigframe: .+\n$/)
    expect(stderr.slice('sigframe: '.length, -1)).toMatch(message)
    expect(code).toBe(64)
  })

  test.skipIf(process.getuid?.() === 0)('a folder that may not be written to', async () => {
    const closed = join(folder, 'closed')
    mkdirSync(closed, { mode: 0o500 })
    const { code, stderr } = await sigframe(['fuzz', '--save', closed])
    expect({ code, stderr }).toEqual({
      code: 64,
      stderr: `sigframe: --save ${closed} cannot be written to: EACCES: permission denied\n`,
    })
    chmodSync(closed, 0o700)
  })
})

describe('a machine that cannot be probed', () => {
  const elsewhere = {
    NODE_OPTIONS: `--import=data:text/javascript,Object.defineProperty(process,'arch',{value:'arm64'})`,
  }

  test.runIf(process.platform === 'linux')('one line, and the exit code of a skip', async () => {
    expect(await sigframe(['fuzz', '--save', folder], elsewhere)).toMatchObject({
      code: 4,
      stdout: '',
      stderr: 'sigframe: probing signal frames needs x86-64 Linux; this is linux arm64\n',
    })
  })

  test.runIf(process.platform === 'linux' && process.arch === 'x64')(
    'an addon that is gone is no skip',
    async () => {
      const empty = join(folder, 'empty')
      mkdirSync(empty)
      for (const [native, problem] of [
        [
          '/no/such/folder',
          /^sigframe: the native addon is not there: \/no\/such\/folder: no such folder\. .*\n$/,
        ],
        [empty, /^sigframe: .*\n$/],
      ] as const) {
        const { code, stdout, stderr } = await sigframe(['fuzz', '--save', folder], {
          SIGFRAME_NATIVE_DIR: native,
        })
        expect({ code, stdout }).toEqual({ code: 70, stdout: '' })
        expect(stderr).toMatch(problem)
        expect(stderr).not.toContain('please report it')
      }
    },
  )
})

describe('an ABI that this host lacks', () => {
  beforeEach(needsFuzz)

  test.each(host?.lacking ?? [])('%s: one line, exit code 64', async abi => {
    const { code, stdout, stderr } = await sigframe(['fuzz', '--abi', abi, '--save', folder])
    expect({ code, stdout }).toEqual({ code: 64, stdout: '' })
    expect(stderr).toMatch(new RegExp(`^sigframe: nothing to fuzz: abi is "${abi}", but [^;]*\\n$`))
  })
})

describe('a run', () => {
  beforeEach(needsFuzz)

  test('for people, and where nobody watches not a word more', async () => {
    const { code, stdout, stderr } = await sigframe(['fuzz', '--seconds', '2', '--save', folder])
    expect([code, isVerdict(code), stderr]).toEqual([code, true, ''])
    expect(stdout).toMatch(/^Kernel {4}Linux /)
    expect(stdout).toMatch(/\nFrames {4}[\d,]+ in \d/)
    expect(stdout).toMatch(/\n(No difference|\d+ kinds? of difference.*)\.\n(Saved: .*\n)*$/)
    expect(stdout).not.toContain('\u001b')
    for (const line of stdout.split('\n'))
      if (!line.startsWith('Saved: ')) expect([...line].length).toBeLessThanOrEqual(80)
  })

  test('for machines: JSON alone', async () => {
    const words = ['fuzz', '--runs', '2000', '--seed', '9', '--json', '--save', folder]
    const { code, stdout, stderr } = await sigframe(words)
    expect(isVerdict(code)).toBe(true)
    const read = JSON.parse(stdout)
    expect(read).toMatchObject({ seed: 9, frames: 2000, interrupted: false })
    expect(read.generation).toBe(read.kernel.told)
    expect(read.findings.length === 0).toBe(code === 0)
    expect(stderr.split('\n').filter(Boolean)).toHaveLength(read.findings.length)
  })

  test('of one ABI, though it is given twice', async () => {
    const words = ['fuzz', '--runs', '200', '--json', '--abi', 'x86_64', '--abi', 'x86_64', '--save', folder]
    const { stdout } = await sigframe(words)
    expect(JSON.parse(stdout).abis).toEqual(['x86_64'])
  })

  test('| head -1', async () => {
    const { code, stderr, stdout } = await inShell(`SIGFRAME fuzz --runs 500 --save ${folder} | head -1`)
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toMatch(/^Kernel {4}.*\n$/)
  })
})

describe('differences', () => {
  let told: string

  beforeAll(async () => {
    if (!host?.xsave) return
    told = JSON.parse((await sigframe(['fuzz', '--runs', '1', '--json', '--save', folder])).stdout).kernel
      .told
  })

  const words = (more: readonly string[]): string[] => {
    const wrong = told === 'portable' || told === 'larger' ? 'classic' : 'portable'
    return ['fuzz', '--runs', '3000', '--kernel', wrong, ...more]
  }

  beforeEach(ctx => {
    needsFuzz(ctx)
    if (!host?.extended) ctx.skip('this task has nothing above SSE')
  })

  /** A folder of its own, empty. */
  const fresh = (name: string): string => {
    const own = join(folder, name)
    mkdirSync(own)
    return own
  }

  test('are told, saved whole, and the first is C that compiles', async () => {
    const own = fresh('saved')
    const c = join(own, 'repro.c')
    const { code, stdout, stderr } = await sigframe(words(['--save', own, '--c', c, '--seed', '5']))
    expect({ code, stderr }).toEqual({ code: 1, stderr: '' })
    const saved = [...stdout.matchAll(/^Saved: (.*)$/gm)].map(([, name]) => name as string)
    expect(saved.length).toBe(stdout.match(/^Difference \d+$/gm)?.length)
    expect(saved[0]).toBe(`${own}/sigframe-fuzz-5-1.json`)
    expect(readdirSync(own).sort()).toEqual(
      ['repro.c', ...saved.map(name => name.slice(own.length + 1))].sort(),
    )
    for (const name of saved)
      expect((await parseProbeFile(readFileSync(name, 'utf8'), name)).finding).toMatchObject({ seed: 5 })
    expect(stdout.endsWith(`\nDifference 1 as C: ${c}\n`)).toBe(true)
    expect(readFileSync(c, 'utf8')).toContain('int main(')
  })

  test('for machines: JSON alone on stdout, what was saved on stderr', async () => {
    const own = fresh('json')
    const { code, stdout, stderr } = await sigframe(words(['--save', own, '--json']))
    expect(code).toBe(1)
    const { findings } = JSON.parse(stdout)
    expect(stderr.trimEnd().split('\n')).toHaveLength(findings.length)
    expect(stderr).toMatch(/^(Saved: .*\n)+$/)
  })

  test('that cannot be saved are told all the same', async () => {
    const own = fresh('full')
    mkdirSync(join(own, 'sigframe-fuzz-1-1.json'))
    const { code, stdout, stderr } = await sigframe(words(['--save', own]))
    expect(code).toBe(64)
    expect(stdout).toMatch(/\nDifference 1\n/)
    expect(stderr).toMatch(/^sigframe: --save .*sigframe-fuzz-1-1\.json is a folder: name a file in it\n$/)
  })

  test('| head -1 are saved all the same', async () => {
    const own = fresh('piped')
    const { code, stderr } = await inShell(`SIGFRAME ${words(['--save', own]).join(' ')} | head -1`)
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(readdirSync(own)).toContain('sigframe-fuzz-1-1.json')
  })
})

test('a C file is asked for, and nothing differs: said, and no file', async ctx => {
  needsFuzz(ctx)
  const c = join(folder, 'none.c')
  writeFileSync(c, 'as it was')
  const { code, stdout } = await sigframe(['fuzz', '--runs', '1', '--c', c, '--save', folder])
  if (code !== 0) ctx.skip('this kernel differs at the first frame')
  expect(stdout.endsWith(`\nNothing differed: ${c} was not written.\n`)).toBe(true)
  expect(readFileSync(c, 'utf8')).toBe('as it was')
})

describe('a signal', () => {
  beforeEach(needsFuzz)

  /** Long enough to be fuzzing. */
  const begun = (): Promise<void> => new Promise(resolve => setTimeout(resolve, 1500))

  test.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)('%s: the report so far, then its end', async signal => {
    const child = start(['fuzz', '--seconds', '600', '--save', folder])
    const end = ended(child)
    await begun()
    child.kill(signal)
    const { code, signal: by, stdout, stderr } = await end
    expect({ code, by, stderr }).toEqual({ code: null, by: signal, stderr: '' })
    expect(stdout).toMatch(/\nFrames {4}[\d,]+ in \d/)
    expect(stdout).toMatch(/\.\n(Saved: .*\n)*$/)
  })

  test('the JSON so far', async () => {
    const child = start(['fuzz', '--seconds', '600', '--json', '--save', folder])
    const end = ended(child)
    await begun()
    child.kill('SIGINT')
    expect(JSON.parse((await end).stdout)).toMatchObject({ interrupted: true })
  })
})

const hasScript = (() => {
  try {
    return execFileSync('script', ['--version'], { encoding: 'utf8' }).includes('util-linux')
  } catch {
    return false
  }
})()

test.skipIf(!hasScript)('on a terminal it tells how far it is, and takes the line away', ctx => {
  needsFuzz(ctx)
  const { main } = { main: join(import.meta.dirname, '../../dist/lib/cli/main.js') }
  const command = `stty cols 80 rows 24; "${process.execPath}" "${main}" fuzz --seconds 3 --save "${folder}"; true`
  const text = execFileSync('script', ['-qec', command, '/dev/null'], {
    encoding: 'utf8',
    env: { ...process.env, TERM: 'xterm', NO_COLOR: '1' },
    stdio: ['ignore', 'pipe', 'pipe'],
  }).replaceAll('\r\n', '\n')
  expect(text).toMatch(/\r.{3}\d s, [\d,]+ frames of 3 s, \d+ differences?/)
  expect(text.slice(text.lastIndexOf(' frames of '))).toMatch(
    /^ frames of 3 s, \d+ differences?\r.{3}Kernel /,
  )
})
