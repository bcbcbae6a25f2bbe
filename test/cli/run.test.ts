import { execFileSync, spawn } from 'node:child_process'
import {
  closeSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type Bundle, exitCodeOf } from '../../lib/harness/results.ts'
import { selftestNames } from '../../lib/harness/selftests.ts'
import { parseBundle } from '../../lib/report/bundle.ts'
import { bundleJson } from '../../lib/report/json.ts'
import { widthOf } from '../../lib/report/text.ts'
import { parseKtap } from '../report/ktap-parser.ts'
import { canProbe, ended, inShell, sigframe, start } from './sigframe.ts'

// Quick, and there on every host that has XSAVE.
const one = 'untouched_frame'
const first = selftestNames()[0] as string

describe('run --list', () => {
  test('names every selftest and case, on any machine', async () => {
    const { code, stdout, stderr } = await sigframe(['run', '--list'])
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toMatch(new RegExp(`^${first}\n`))
    expect(stdout).toMatch(/\n\nsigframe_fpu_portability\n.*\n {2}invalid_shrunk /s)
    for (const line of stdout.split('\n')) expect(widthOf(line), line).toBeLessThanOrEqual(80)
  })

  test('of one selftest, of one case', async () => {
    expect((await sigframe(['run', '--list', one])).stdout).toMatch(/^untouched_frame\n/)
    const { stdout } = await sigframe(['run', '--list', 'sigframe_fpu_portability/larger/x86_64/avx'])
    expect(stdout).toContain('\n  larger  ')
    expect(stdout).not.toContain('shrunk')
  })

  test('as JSON', async () => {
    const { stdout } = await sigframe(['run', '--list', '--format', 'json', one])
    expect(JSON.parse(stdout).selftests).toMatchObject([
      { selftest: one, cases: expect.arrayContaining([expect.objectContaining({ name: 'restores' })]) },
    ])
  })

  test('whose frames a case is for, and what takes long', async () => {
    const { stdout } = await sigframe([
      'run',
      '--list',
      'ia32_frame/x87_tag',
      'frame_placement/eviction_race',
    ])
    expect(stdout).toMatch(/ · ia32-rt ia32\n/)
    expect(stdout).toMatch(/ · --long\n/)
    const json = await sigframe(['run', '--list', '--json', 'frame_placement/eviction_race'])
    const [{ cases }] = JSON.parse(json.stdout).selftests
    expect(cases).toMatchObject([{ abis: expect.arrayContaining(['x86_64']), long: true }])
  })

  test('the past bugs that the listed cases would have caught, and no others', async () => {
    const all = await sigframe(['run', '--list'])
    expect(all.stdout).toMatch(/\n\nPast bugs\n(.*\n)* {2}d877550eaf2d · CVE-2024-26603 · /)
    const some = await sigframe(['run', '--list', 'frame_placement/short_claim'])
    expect(some.stdout).toContain('CVE-2024-26603')
    expect(some.stdout).not.toContain('CVE-2021-47227')
    expect((await sigframe(['run', '--list', 'xsave_header'])).stdout).not.toContain('Past bugs')
  })

  test('as JSON they are `history`', async () => {
    const { stdout } = await sigframe(['run', '--list', '--json', 'frame_placement/short_claim'])
    const { history } = JSON.parse(stdout)
    expect(history).toMatchObject([{ id: 'd877550eaf2d', cve: 'CVE-2024-26603' }])
    expect(history[0].cases).toContain('frame_placement/short_claim')
    expect(JSON.parse((await sigframe(['run', '--list', '--json', one])).stdout).history).toMatchObject([
      { id: 'sw bytes of 32-bit frames' },
    ])
  })

  test('| head -1 ends quietly', async () => {
    const { stdout, stderr } = await inShell('SIGFRAME run --list | head -1')
    expect({ stdout, stderr }).toEqual({ stdout: `${first}\n`, stderr: '' })
  })
})

describe.skipIf(!canProbe)('run', () => {
  let folder: string
  let json: string
  let bundle: Bundle

  const codeOfOne = () => exitCodeOf(bundle.cases.filter(({ selftest }) => selftest === one))

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'sigframe-run-'))
    json = (await sigframe(['run', '--format', 'json'])).stdout
    bundle = await parseBundle(json, 'stdout')
  })

  beforeEach(() => {
    rmSync(folder, { recursive: true })
    folder = mkdtempSync(join(tmpdir(), 'sigframe-run-'))
  })

  afterAll(() => {
    rmSync(folder, { recursive: true })
  })

  test('json is a bundle of every selftest', () => {
    expect(new Set(bundle.cases.map(({ selftest }) => selftest)).size).toBeGreaterThanOrEqual(3)
    expect(bundleJson(bundle)).toBe(json)
  })

  test.each(['pretty', 'ktap', 'json', 'junit'])(
    '%s has the exit code of its verdicts, and no colours',
    async format => {
      const { code, stdout, stderr } = await sigframe(['run', one, '--format', format])
      expect(code).toBe(codeOfOne())
      expect(stderr).toBe('')
      expect(stdout).not.toContain('\u001b')
      expect(stdout.endsWith('\n')).toBe(true)
    },
  )

  test('ktap says what json says', async () => {
    const { stdout } = await sigframe(['run', '--format', 'ktap'])
    const ids = parseKtap(stdout).tests.flatMap(({ subtests }) => subtests?.map(({ name }) => name))
    expect(ids).toEqual(bundle.cases.map(({ id }) => id))
  })

  test('pretty keeps to 80 columns, or to $COLUMNS', async () => {
    for (const [columns, env] of [
      [80, {}],
      [60, { COLUMNS: '60' }],
      [120, { COLUMNS: '120' }],
    ] as const) {
      const { stdout } = await sigframe(['run'], env)
      const lines = stdout.split('\n').filter(line => !line.includes('/x86_64/'))
      expect(Math.max(...lines.map(widthOf))).toBeLessThanOrEqual(columns)
    }
  })

  test('what takes long is skipped, and says how to run it', () => {
    const long = bundle.cases.filter(({ case: name }) => name === 'eviction_race')
    const reason = 'it takes long: --long runs it'
    for (const { id, verdict, reason: why } of long) {
      expect(verdict, id).toBe('skip')
      // What the host lacks comes first.
      if (!why.includes('nothing above SSE')) expect(why, id).toBe(reason)
    }
    expect(long.length > 0 || bundle.kernel === null).toBe(true)
  })

  test.runIf(process.env.SIGFRAME_LONG)('--long runs it', async () => {
    const name = 'frame_placement/eviction_race/x86_64'
    const { stdout } = await sigframe(['run', name, '--long', '--json'])
    for (const { reason } of JSON.parse(stdout).cases) expect(reason).not.toContain('--long')
  })

  test('a name that selects nothing', async () => {
    const { code, stdout, stderr } = await sigframe(['run', one, 'no_such_test'])
    expect({ code, stdout }).toEqual({ code: 64, stdout: '' })
    expect(stderr).toMatch(
      /^sigframe: name is "no_such_test", which selects no case: the selftests are .*\n$/,
    )
  })

  test('--require larger fails where the kernel is not, and the exit code says so', async () => {
    const { code, stdout } = await sigframe(['run', '--require', 'larger', '--format', 'json'])
    expect(code).toBe(bundle.kernel?.generation === 'larger' ? 0 : 1)
    expect(exitCodeOf(JSON.parse(stdout).cases)).toBe(code)
  })

  test('a baseline from this very kernel holds', async () => {
    const file = join(folder, 'before.json')
    writeFileSync(file, json)
    const { code, stdout } = await sigframe(['run', '--baseline', file, '--format', 'json'])
    expect(JSON.parse(stdout).cases.map(({ verdict }: { verdict: string }) => verdict)).toEqual(
      bundle.cases.map(({ verdict }) => verdict),
    )
    expect(code).toBe(exitCodeOf(bundle.cases))
  })

  test('a baseline in which more held is a fail', async () => {
    const file = join(folder, 'better.json')
    const cases = bundle.cases.map(one => ({ ...one, verdict: 'pass' as const }))
    writeFileSync(file, bundleJson({ ...bundle, cases }))
    const { code } = await sigframe(['run', '--baseline', file])
    expect(code).toBe(bundle.cases.some(({ verdict }) => verdict === 'xfail') ? 1 : exitCodeOf(bundle.cases))
  })

  describe('--output', () => {
    test.each([
      ['r.json', [], /^\{\n {2}"bundleVersion": 1,/],
      ['r.ktap', [], /^KTAP version 1\n/],
      ['r.xml', [], /^<\?xml version="1.0"/],
      ['r.tap', [], /^KTAP version 1\n/],
      ['r.txt', [], /^Host {4}/],
      ['r.json', ['--format', 'ktap'], /^KTAP version 1\n/],
    ])('%s %j: the results there, a report for people here', async (name, words, beginning) => {
      const file = join(folder, name)
      const { code, stdout, stderr } = await sigframe(['run', one, '--output', file, ...words], {
        FORCE_COLOR: '1',
      })
      expect(code).toBe(codeOfOne())
      expect(stderr).toBe('')
      expect(stdout).toContain('\u001b')
      expect(stdout).toContain('Selftest')
      const written = readFileSync(file, 'utf8')
      expect(written).toMatch(beginning)
      expect(written).not.toContain('\u001b')
      expect(readdirSync(folder)).toEqual([name])
    })

    test('replaces a file whole, and keeps its mode', async () => {
      const file = join(folder, 'r.json')
      writeFileSync(file, 'x'.repeat(1e7), { mode: 0o640 })
      await sigframe(['run', one, '--output', file])
      expect(JSON.parse(readFileSync(file, 'utf8')).bundleVersion).toBe(1)
      expect(statSync(file).mode & 0o777).toBe(0o640)
      expect(readdirSync(folder)).toEqual(['r.json'])
    })

    test('a link stays one', async () => {
      writeFileSync(join(folder, 'real.json'), '')
      symlinkSync('real.json', join(folder, 'link.json'))
      await sigframe(['run', one, '--output', join(folder, 'link.json')])
      expect(JSON.parse(readFileSync(join(folder, 'real.json'), 'utf8')).bundleVersion).toBe(1)
      expect(readdirSync(folder).sort()).toEqual(['link.json', 'real.json'])
    })

    // A pipe of our own, never a device: whoever breaks this as root would replace it for the whole machine.
    test('a pipe is written to, and stays one', async () => {
      const pipe = join(folder, 'pipe.json')
      execFileSync('mkfifo', [pipe])
      const reader = spawn('cat', [pipe], { stdio: ['ignore', 'pipe', 'inherit'] })
      const read = ended(reader)
      try {
        expect((await sigframe(['run', one, '--output', pipe])).code).toBe(codeOfOne())
        expect(statSync(pipe).isFIFO()).toBe(true)
        expect(JSON.parse((await read).stdout).bundleVersion).toBe(1)
        expect(readdirSync(folder)).toEqual(['pipe.json'])
      } finally {
        reader.kill()
      }
    })

    test('a name that selects nothing leaves the file as it was', async () => {
      const file = join(folder, 'r.json')
      writeFileSync(file, 'before')
      expect((await sigframe(['run', 'no_such_test', '--output', file])).code).toBe(64)
      expect(readFileSync(file, 'utf8')).toBe('before')
      expect(readdirSync(folder)).toEqual(['r.json'])
    })

    test('a folder that is not there is refused, and not made', async () => {
      expect((await sigframe(['run', one, '--output', join(folder, 'no', 'r.json')])).code).toBe(64)
      expect(readdirSync(folder)).toEqual([])
    })
  })

  describe('a reader that goes away', () => {
    test.each(['pretty', 'ktap', 'json', 'junit'])(
      '%s | head -3: three lines, not a word more',
      async format => {
        const { code, stdout, stderr } = await inShell(`SIGFRAME run --format ${format} | head -3`)
        expect(code).toBe(0)
        expect(stderr).toBe('')
        expect(stdout.split('\n')).toHaveLength(4)
      },
    )

    test('the exit code is the run’s', async () => {
      const child = start(['run', '--format', 'json'])
      child.stdout?.destroy()
      expect(await ended(child)).toMatchObject({ code: exitCodeOf(bundle.cases), signal: null, stderr: '' })
    })

    test('standard output that is closed, or full', async () => {
      expect(await inShell(`SIGFRAME run ${one} >&-`)).toMatchObject({ code: codeOfOne(), stderr: '' })
      const full = openSync('/dev/full', 'w')
      const { code, stderr } = await ended(start(['run', one], { stdio: ['ignore', full, 'pipe'] }))
      closeSync(full)
      expect(code).toBe(70)
      expect(stderr).toBe('sigframe: cannot write to standard output: ENOSPC: no space left on device\n')
    })
  })
})
