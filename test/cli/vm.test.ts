/** `sigframe vm` as users start it. Where no QEMU is needed a script of its name stands in its place. */
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { distinctNames } from '../../lib/cli/vm.ts'
import { answerLine } from '../../lib/vm/guest/channel.ts'
import type { VmReport } from '../../lib/vm/machine.ts'
import { bundle, result } from '../report/stub.ts'
import { isAlive } from '../vm/fake.ts'
import { canProbe, type Ended, ended, inShell, sigframe, start } from './sigframe.ts'

let folder: string
const at = (...names: readonly string[]): string => join(folder, ...names)

/** As much of a bzImage as its header says there is. */
const bzImage = (release: string): Buffer => {
  const setupSects = 4
  const bytes = Buffer.alloc((setupSects + 1) * 512 + 64 * 16)
  bytes[0x1f1] = setupSects
  bytes.writeUInt32LE(64, 0x1f4)
  bytes.writeUInt16LE(0xaa55, 0x1fe)
  bytes.write('HdrS', 0x202)
  bytes.writeUInt16LE(0x20f, 0x206)
  bytes.writeUInt16LE(0x400, 0x20e)
  bytes[0x211] = 1
  bytes.writeUInt16LE(1, 0x236)
  bytes.write(`${release} (builder@example.org) #1 SMP`, 0x600)
  return bytes
}

/**
 * What it does is in the kernel's name: `pass` and `fail` answer, `panic` panics, all else runs for a minute. Its process
 * is a file in $PIDS.
 */
const fakeQemu = `#!/bin/sh
case "$1" in
--version) echo 'QEMU emulator version 9.9.9 (for tests)'; exit;;
-cpu) printf 'Available CPUs:\\n  Haswell-noTSX\\n  Nehalem\\n  max\\n\\nRecognized CPUID flags:\\n  avx\\n'; exit;;
esac
for word; do
  case "$word" in
  file,id=console,path=*) console=\${word#*path=};;
  file,id=data,path=*) data=\${word#*path=};;
  */kernel-*) kernel=\${word##*/kernel-};;
  esac
done
: > "$PIDS/$$"
echo '[    0.500000] hello' > "$console"
printf 'boot 1 6.99.1-%s\\nstart 61\\ncase 1 a/b\\n' "$kernel" > "$data"
case "$kernel" in
pass*|fail*) cat "$ANSWERS/\${kernel%%-*}" >> "$data"; printf 'exit 0\\nend\\n' >> "$data"; exit;;
panic*) echo '[    3.000000] Kernel panic - not syncing: made for a test' >> "$console"; exit;;
esac
exec sleep 60
`

const kernelNames = ['pass', 'pass-2', 'fail', 'panic', 'runs', 'runs-2'] as const

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'sigframe-vm-test-'))
  for (const name of ['empty', 'bin', 'pids', 'answers', 'cache', 'a', 'b', 'broken']) mkdirSync(at(name))
  writeFileSync(at('bin', 'qemu-system-x86_64'), fakeQemu, { mode: 0o755 })
  writeFileSync(at('broken', 'qemu-system-x86_64'), '#!/bin/sh\necho "no libfoo.so.1" >&2\nexit 127\n', {
    mode: 0o755,
  })
  for (const verdict of ['pass', 'fail'] as const)
    writeFileSync(
      at('answers', verdict),
      answerLine({ bundle: bundle([result(verdict), result('skip')]), frames: [], replayed: [] }),
    )
  for (const name of kernelNames) writeFileSync(at(`kernel-${name}`), bzImage(`6.99.1-${name}`))
  writeFileSync(at('a', 'bzImage'), bzImage('6.99.2'))
  writeFileSync(at('b', 'bzImage'), bzImage('6.99.3'))
  writeFileSync(at('text'), 'CONFIG_64BIT=y\n')
  writeFileSync(at('elf'), Buffer.concat([Buffer.from('7f454c4602010100', 'hex'), Buffer.alloc(2000)]))
  writeFileSync(at('cut'), bzImage('6.99.1').subarray(0, 2000))
  writeFileSync(at('nothing'), '')
  writeFileSync(at('cut.json'), '{"bundleVersion": 1, "tool": {')
  symlinkSync('kernel-pass', at('link'))
})

afterAll(() => {
  rmSync(folder, { recursive: true })
})

const environment = (bin: string): Record<string, string> => ({
  PATH: bin === 'empty' ? at('empty') : `${at(bin)}:${process.env.PATH}`,
  PIDS: at('pids'),
  ANSWERS: at('answers'),
  SIGFRAME_CACHE: at('cache'),
})

/** `FOLDER` in a word is the tests' own. */
const vm = (words: readonly string[], bin = 'bin'): Promise<Ended> =>
  sigframe(['vm', ...words.map(word => word.replace('FOLDER', folder))], environment(bin))

const wrong: readonly (readonly [string[], RegExp])[] = [
  [['--cpu', 'max'], /^--kernel is missing: a bzImage, or debian:VERSION$/],
  [['--kernel', 'FOLDER/nosuch'], /nosuch does not exist$/],
  [['--kernel', 'FOLDER/text/x'], /x does not exist: there is a file where its folder should be$/],
  [['--kernel', 'FOLDER'], /is a folder: pass the bzImage/],
  [['--kernel', 'FOLDER/text'], /text is no Linux kernel for x86; it is a text: pass the bzImage/],
  [['--kernel', 'FOLDER/elf'], /elf is no Linux kernel for x86; it is an ELF file, such as vmlinux/],
  [['--kernel', 'FOLDER/cut'], /cut is cut off: its header speaks of 3584 bytes, and there are 2000$/],
  [['--kernel', 'FOLDER/nothing'], /nothing is empty: no kernel$/],
  [['--kernel', '/dev/null'], /^\/dev\/null is no file/],
  [['--kernel', ''], /is empty$/],
  [['--kernel', 'debian:6.99'], /^debian:6\.99 is not in the cache: sigframe vm fetch 6\.99 brings it$/],
  [['--kernel', 'debian:nosuch'], /is no version of a kernel/],
  [['--kernel', 'FOLDER/kernel-pass', 'FOLDER/text'], /text is no Linux kernel/],
  [['--kernel', 'FOLDER/kernel-pass', 'FOLDER/kernel-pass'], /^--kernel \S*kernel-pass is given twice$/],
  [['--kernel', 'FOLDER/kernel-pass', 'FOLDER/./kernel-pass'], /kernel-pass is given twice$/],
  [['--kernel', 'FOLDER/kernel-pass', 'FOLDER/link'], /link is given twice$/],
  [
    ['nosuch', '--kernel', 'FOLDER/kernel-pass'],
    /^no selftest or case is called "nosuch": the selftests are /,
  ],
  [
    ['--kernel', 'FOLDER/kernel-pass', '--cpu', 'nosuch'],
    /^--cpu is "nosuch", must be one of no-xsave .*help lists$/,
  ],
  [['--kernel', 'FOLDER/kernel-pass', '--cpu', 'max', 'sandy'], /^--cpu is "sandy"/],
  [['--kernel', 'FOLDER/kernel-pass', '--rule', 'shrunk-frame-restores'], /^--rule is for --bisect/],
  [
    ['--kernel', 'FOLDER/kernel-pass', '--json', '--format', 'ktap'],
    /^--json asks for json, --format for ktap: give one of them$/,
  ],
  [['--kernel', 'FOLDER/kernel-pass', '--output', 'FOLDER'], /is a folder: name a file in it$/],
  [['--kernel', 'FOLDER/kernel-pass', '--output', ''], /^--output needs the name of a file$/],
  [['--kernel', 'FOLDER/kernel-pass', '--output', 'FOLDER/nosuch/x'], /cannot be written: ENOENT/],
  [
    ['--kernel', 'FOLDER/kernel-pass', '--baseline', 'FOLDER/cut.json'],
    /cut\.json is not JSON: it ends too early/,
  ],
  [['--kernel', 'FOLDER/kernel-pass', '--baseline', 'FOLDER/nosuch'], /nosuch cannot be read/],
]

/** Those that the command line itself refuses. */
const unread: readonly (readonly [string[], RegExp])[] = [
  [['--kernel'], /^option '--kernel <file\.\.\.>' argument missing; see sigframe vm --help$/],
  [
    ['--kernel', 'FOLDER/kernel-pass', '--require', 'nosuch'],
    /argument 'nosuch' is invalid\. Allowed choices are classic, portable, larger/,
  ],
  [['--kernel', 'FOLDER/kernel-pass', '--require', 'regressed'], /argument 'regressed' is invalid/],
  [['--kernel', 'FOLDER/kernel-pass', '--format', 'xml'], /Allowed choices are pretty, json, ktap, junit/],
  [['--kernel', 'FOLDER/kernel-pass', '--accel', 'hvf'], /Allowed choices are auto, kvm, tcg/],
  [['--kernel', 'FOLDER/kernel-pass', '--jobs', '0'], /It must be an integer in 1\.\.256/],
  [['--kernel', 'FOLDER/kernel-pass', '--jobs', '1.5'], /It must be an integer in 1\.\.256/],
  [['--kernel', 'FOLDER/kernel-pass', '--timeout', '1'], /It must be an integer in \d+\.\.86400/],
  [['--kernel', 'FOLDER/kernel-pass', '--memory', '1'], /It must be an integer in \d+\.\.1048576/],
  [
    ['--kernel', 'FOLDER/kernel-pass', '--rule', 'nosuch'],
    /argument 'nosuch' is invalid\. Allowed choices are .*shrunk-frame-restores/,
  ],
  [['--kernels', 'x'], /^unknown option '--kernels' \(Did you mean --kernel\?\)/],
]

describe('wrong usage', () => {
  test.each([...wrong, ...unread])('%j: one line, exit code 64', async (words, message) => {
    const { code, stdout, stderr } = await vm(words)
    expect(stdout).toBe('')
    expect(stderr).toMatch(/^sigframe: .+\n$/)
    expect(stderr.slice('sigframe: '.length, -1)).toMatch(message)
    expect(stderr).not.toContain('fault of sigframe')
    expect(code).toBe(64)
  })

  test.each([...wrong.filter(([words]) => !words.includes('--rule')), ...unread])(
    '%j with --bisect: the same line, no verdict',
    async (words, message) => {
      const { code, stdout, stderr } = await vm(['--bisect', ...words])
      expect(stdout).toBe('')
      expect(stderr.slice('sigframe: '.length, -1)).toMatch(message)
      expect(code).toBe(125)
    },
  )
})

describe('help', () => {
  test.each([
    [['vm', '--help'], /Examples:\n {2}sigframe vm --kernel /],
    [['help', 'vm'], /Examples:\n {2}sigframe vm --kernel /],
    [['vm', 'fetch', '--help'], /Examples:\n {2}sigframe vm fetch /],
  ])('%j has an example, and keeps to 80 columns', async (words, example) => {
    const { code, stdout, stderr } = await sigframe(words)
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toMatch(example)
    for (const line of stdout.split('\n')) expect(line.length).toBeLessThanOrEqual(80)
  })
})

describe('a command below it', () => {
  test('has its options for itself, also those of the same name', async () => {
    const { code, stdout } = await vm(['fetch', '--list', '--json'], 'empty')
    expect(JSON.parse(stdout)).toMatchObject({
      available: [],
      problem: expect.stringContaining('apt-config'),
    })
    expect(code).toBe(70)
  })
})

describe('names of kernels', () => {
  test.each<[string[], string[]]>([
    [['bzImage'], ['bzImage']],
    [
      ['/boot/vmlinuz-6.12', '/boot/vmlinuz-7.1'],
      ['vmlinuz-6.12', 'vmlinuz-7.1'],
    ],
    [
      ['a/arch/x86/boot/bzImage', 'b/arch/x86/boot/bzImage'],
      ['a/arch/x86/boot/bzImage', 'b/arch/x86/boot/bzImage'],
    ],
    [
      ['/x/a/bzImage', '/y/b/bzImage', '/y/c/other'],
      ['a/bzImage', 'b/bzImage', 'other'],
    ],
    [
      ['x/bzImage', 'bzImage'],
      ['x/bzImage', 'bzImage'],
    ],
    [
      ['/a/bzImage', 'a/bzImage'],
      ['/a/bzImage', 'a/bzImage'],
    ],
    [
      ['./a/./bzImage', 'b//bzImage'],
      ['a/bzImage', 'b/bzImage'],
    ],
    [[], []],
  ])('%j', (paths, names) => {
    expect(distinctNames(paths)).toEqual(names)
  })
})

describe('without QEMU', () => {
  test('all is skipped, with the reason, exit code 4', async () => {
    const { code, stdout, stderr } = await vm(
      ['--kernel', 'FOLDER/kernel-pass', 'FOLDER/kernel-fail', '--cpu', 'avx', 'max'],
      'empty',
    )
    expect(stderr).toBe('')
    expect(stdout).toMatch(
      /qemu-system-x86_64 is not on PATH: Debian and Ubuntu have it in\s+qemu-system-x86/,
    )
    expect(stdout).toMatch(/\nSKIP {2}4 machines in .*: 4 skipped; 0 cases\n$/)
    expect(code).toBe(4)
    expect(readdirSync(at('cache'))).toEqual([])
  })

  test('with --bisect that is no verdict', async () => {
    const { code, stderr } = await vm(['--kernel', 'FOLDER/kernel-pass', '--bisect'], 'empty')
    expect(stderr).toMatch(
      /^sigframe: no verdict: kernel-pass on max: skipped: qemu-system-x86_64 is not on PATH/,
    )
    expect(code).toBe(125)
  })

  test('as JSON', async () => {
    const { code, stdout } = await vm(['--kernel', 'FOLDER/kernel-pass', '--json'], 'empty')
    const { machines } = JSON.parse(stdout) as { machines: unknown[] }
    expect(machines).toMatchObject([{ status: 'skipped', emulator: null, bundle: null, attempts: 0 }])
    expect(code).toBe(4)
  })

  test('with a QEMU that does not run: its own line, exit code 70', async () => {
    const { code, stdout, stderr } = await vm(['--kernel', 'FOLDER/kernel-pass'], 'broken')
    expect(stdout).toBe('')
    expect(stderr).toMatch(/^sigframe: qemu-system-x86_64 .* fails: no libfoo\.so\.1\n$/)
    expect(code).toBe(70)
  })
})

const tcg = ['--accel', 'tcg']

describe.skipIf(!canProbe)('a host that has no place', () => {
  test.each([
    ['SIGFRAME_CACHE', 'a file lies in the way', /^sigframe: the cache folder .* is no folder/],
    ['TMPDIR', 'no such folder', /^sigframe: no folder can be made in .*: name another one in TMPDIR\n$/],
  ])('%s: %s', async (name, what, message) => {
    const env = { ...environment('bin'), [name]: at(what === 'no such folder' ? 'nosuch' : 'text') }
    const words = ['vm', ...tcg, '--kernel', at('kernel-pass')]
    const { code, stdout, stderr } = await sigframe(words, env)
    expect(stdout).toBe('')
    expect(stderr).toMatch(message)
    expect(stderr).not.toContain('fault of sigframe')
    expect(code).toBe(70)
    expect(await sigframe([...words, '--bisect'], env)).toMatchObject({ code: 125 })
  })
})

describe.skipIf(!canProbe)('with a QEMU', () => {
  beforeEach(() => {
    rmSync(at('pids'), { recursive: true })
    mkdirSync(at('pids'))
    mkdirSync(at('tmp'))
  })

  afterEach(() => {
    expect(readdirSync(at('tmp'))).toEqual([])
    rmSync(at('tmp'), { recursive: true })
  })

  const pids = (): number[] => readdirSync(at('pids')).map(Number)
  const env = () => ({ ...environment('bin'), TMPDIR: at('tmp') })
  const run = (words: readonly string[]): Promise<Ended> =>
    sigframe(['vm', ...tcg, ...words.map(word => word.replace('FOLDER', folder))], env())

  test.each<[string[], number, RegExp]>([
    [['FOLDER/kernel-pass'], 0, /\nPASS {2}1 machine /],
    [['FOLDER/kernel-fail'], 1, /\nFAIL {2}1 machine /],
    [['FOLDER/kernel-pass', 'FOLDER/kernel-fail', 'FOLDER/kernel-panic'], 1, /\nFAIL {2}3 machines /],
    [['FOLDER/kernel-panic'], 1, /Kernel panic - not syncing: made for a test/],
  ])('%j: exit code %i', async (kernels, exit, text) => {
    const { code, stdout, stderr } = await run(['--kernel', ...kernels, '--cpu', 'avx'])
    expect(stderr).toBe('')
    expect(stdout).toMatch(text)
    expect(stdout).not.toContain('\u001b')
    for (const line of stdout.split('\n')) expect(line.length).toBeLessThanOrEqual(80)
    expect(code).toBe(exit)
  })

  test.each([
    ['pass', 0, 'good'],
    ['fail', 1, 'bad'],
    ['panic', 125, 'no verdict'],
  ])('with --bisect %s is %i', async (kernel, exit, word) => {
    const { code, stderr } = await run(['--kernel', `FOLDER/kernel-${kernel}`, '--bisect'])
    expect(stderr).toMatch(new RegExp(`^sigframe: ${word}: kernel-${kernel} on max: .+\\n$`))
    expect(code).toBe(exit)
  })

  test('json is a report that can be read again, each kernel with each CPU', async () => {
    const { code, stdout } = await run([
      '--kernel',
      'FOLDER/kernel-pass',
      'FOLDER/kernel-fail',
      '--cpu',
      'avx',
      'Nehalem',
      'avx',
      '--json',
      '--require',
      'classic',
    ])
    const report = JSON.parse(stdout) as VmReport
    expect(report.machines.map(({ kernel, cpu, status }) => `${kernel.name} ${cpu.name} ${status}`)).toEqual([
      'kernel-pass avx ran',
      'kernel-pass Nehalem ran',
      'kernel-fail avx ran',
      'kernel-fail Nehalem ran',
    ])
    expect(report).toMatchObject({ require: 'classic', interrupted: false })
    expect(report.machines[0]?.emulator).toMatchObject({ version: '9.9.9', acceleration: 'tcg' })
    expect(code).toBe(1)
  })

  test.each([
    ['vm.json', /^\{\n {2}"format": "sigframe vm"/],
    ['vm.ktap', /^KTAP version 1\n/],
    ['vm.xml', /^<\?xml /],
  ])('--output %s: its format by its name, and the matrix on the screen', async (name, text) => {
    const { code, stdout } = await run(['--kernel', 'FOLDER/kernel-pass', '--output', at(name)])
    expect(readFileSync(at(name), 'utf8')).toMatch(text)
    expect(stdout).toMatch(/\nPASS {2}1 machine /)
    expect(code).toBe(0)
    rmSync(at(name))
  })

  test.each(['SIGINT', 'SIGTERM'] as const)(
    '%s: the matrix so far, no machine left, and the end that was asked for',
    async signal => {
      const kernels = ['pass', 'runs', 'runs-2', 'pass-2'].map(name => at(`kernel-${name}`))
      const child = start(['vm', ...tcg, '--jobs', '2', '--kernel', ...kernels, '--json'], { env: env() })
      const end = ended(child)
      const limit = performance.now() + 25_000
      // The first has ended, two are running.
      while (pids().length < 3 || pids().filter(isAlive).length !== 2) {
        if (performance.now() > limit) throw new Error('not two machines at a time')
        await sleep(20)
      }
      child.kill(signal)
      const { code, signal: by, stdout, stderr } = await end
      expect({ code, by, stderr }).toEqual({ code: null, by: signal, stderr: '' })
      const report = JSON.parse(stdout) as VmReport
      expect(report.interrupted).toBe(true)
      expect(report.machines.map(({ status }) => status)).toEqual([
        'ran',
        'interrupted',
        'interrupted',
        'interrupted',
      ])
      expect(pids()).toHaveLength(3)
      expect(pids().filter(isAlive)).toEqual([])
    },
  )

  test('to a shell Ctrl-C is 130', async () => {
    const { stdout } = await inShell(
      `SIGFRAME vm ${tcg.join(' ')} --kernel "$KERNEL" > "$OUT" & pid=$!
       while [ -z "$(ls "$PIDS")" ]; do sleep 0.1; done; sleep 0.3
       kill -INT $pid; wait $pid; echo "exit $?"`,
      { ...env(), KERNEL: at('kernel-runs'), OUT: at('out') },
    )
    expect(stdout).toBe('exit 130\n')
    expect(readFileSync(at('out'), 'utf8')).toMatch(/\nINTERRUPTED {2}1 machine /)
    expect(pids().filter(isAlive)).toEqual([])
  })

  test('a reader that has seen enough changes nothing', async () => {
    const { stdout, stderr } = await inShell(
      `{ SIGFRAME vm ${tcg.join(' ')} --kernel "$KERNEL" --json; echo "exit $?" >&2; } | head -1`,
      { ...env(), KERNEL: at('kernel-fail') },
    )
    expect(stdout).toBe('{\n')
    expect(stderr).toBe('exit 1\n')
  })
})
