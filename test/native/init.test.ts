/** The first process of the virtual machines: what can be seen of it without one, and one boot where there is an emulator. */
import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it, type TestContext } from 'vitest'
import { probePath } from '../../lib/native.ts'
import { type CpioEntry, packCpio } from './cpio.ts'
import { children, needsAddon } from './support.ts'

let folder: string

beforeEach(ctx => {
  needsAddon(ctx)
  folder = mkdtempSync(join(tmpdir(), 'sigframe-init-'))
})

afterEach(() => {
  if (folder) rmSync(folder, { recursive: true, force: true })
})

const initPath = (): string => join(dirname(probePath()), 'sigframe-init')

/** A static program needs none of what the environment says about libraries. */
const run = (args: readonly string[], before: readonly string[] = []) => {
  const [command, ...rest] = [...before, initPath(), ...args]
  const { status, stdout, stderr } = spawnSync(command!, rest, {
    encoding: 'utf8',
    env: { PATH: process.env.PATH },
    timeout: 20_000,
    maxBuffer: 1 << 24,
  })
  return { status, stdout, stderr }
}

const file = (text: string | Uint8Array): string => {
  const path = join(folder, 'job')
  writeFileSync(path, text)
  return path
}

const parse = (text: string | Uint8Array) => run(['--parse', file(text)])

const linesOf = (text: string): string[] => text.split('\n').slice(0, -1)

const commandLines = (): string[] =>
  readdirSync('/proc')
    .filter(name => /^\d+$/.test(name))
    .flatMap(pid => {
      try {
        return [readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')]
      } catch {
        return []
      }
    })

describe('outside of a virtual machine', () => {
  it.each([[[]], [['--chek']], [['--check', 'more']], [['--parse']], [['--rehearse']], [['--', '--check']]])(
    'it does nothing, given %j',
    args => {
      const { status, stdout, stderr } = run(args)
      expect({ status, stdout }).toEqual({ status: 64, stdout: '' })
      expect(stderr).toMatch(
        /^sigframe-init: this is the first process of a virtual machine, .*\n {2}sigframe-init --check /,
      )
    },
  )
})

describe('--check', () => {
  it('finds nothing lacking where these tests run', () => {
    const { status, stdout, stderr } = run(['--check'])
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    for (const line of linesOf(stdout)) expect(line).toMatch(/^wants CONFIG_[A-Z0-9_]+ \S.*$/)
  })

  const deny = join(import.meta.dirname, 'deny.py')
  it.for([
    ['lacks CONFIG_FUTEX', [202]],
    ['lacks CONFIG_EPOLL', [291]],
    ['lacks CONFIG_EVENTFD', [290]],
    ['lacks CONFIG_MEMFD_CREATE', [319]],
    ['lacks CONFIG_ADVISE_SYSCALLS', [28]],
    ['wants CONFIG_POSIX_TIMERS', [222]],
    ['wants CONFIG_PRINTK', [103]],
    ['wants CONFIG_USERFAULTFD', [323]],
  ] as const)('says "%s" where system call %j is not there, and nothing else', ([line, numbers], ctx) => {
    const known = linesOf(run(['--check']).stdout)
    const { status, stdout } = run(['--check'], ['python3', deny, numbers.join(',')])
    if (status === null || stdout.startsWith('refused')) ctx.skip(`needs python3 and seccomp: ${stdout}`)
    const more = linesOf(stdout).filter(told => !known.includes(told))
    if (known.some(told => told.startsWith(line))) expect(more).toEqual([])
    else expect(more).toEqual([expect.stringMatching(`^${line} \\S`)])
  })
})

describe('a job', () => {
  const printable = fc.string({
    unit: fc.integer({ min: 32, max: 126 }).map(code => String.fromCharCode(code)),
  })
  const words = fc.array(printable, { maxLength: 20 })

  it('says what was written', () => {
    const jobs = fc.record({
      seconds: fc.integer({ min: 1, max: 604_800 }),
      quiet: fc.option(fc.integer({ min: 1, max: 604_800 })),
      program: printable.map(name => `/${name}`),
      args: words,
      env: words.map(list => list.map(value => `NAME=${value}`)),
      cwd: fc.option(printable.map(name => `/${name}`)),
      newline: fc.boolean(),
    })
    fc.assert(
      fc.property(jobs, ({ seconds, quiet, program, args, env, cwd, newline }) => {
        const words = [...[program, ...args].map(word => `arg ${word}`), ...env.map(word => `env ${word}`)]
        const said = [`seconds ${seconds}`, `quiet ${quiet ?? seconds}`, ...words, `cwd ${cwd ?? '/'}`]
        const left = [quiet === null ? 'quiet ' : '-', cwd === null ? 'cwd ' : '-']
        const written = said.filter(item => !left.some(start => item.startsWith(start)))
        const { status, stdout } = parse(`${written.join('\n')}${newline ? '\n' : ''}`)
        expect({ status, lines: linesOf(stdout) }).toEqual({ status: 0, lines: said })
      }),
      { numRuns: 50 },
    )
  })

  it('takes blank lines and any order; only known items, each once but args and env', () => {
    expect(parse('cwd /a\n\narg /b\n\n\nseconds 7\n').stdout).toBe('seconds 7\nquiet 7\narg /b\ncwd /a\n')
  })

  const good = 'seconds 1\narg /a\n'
  it.each([
    ['', '- no arg: nothing to run'],
    ['seconds 1\n', '- no arg: nothing to run'],
    ['arg /a\n', '- no seconds: no limit of time'],
    ['seconds 1\narg a\n', '- the first arg is to be an absolute path'],
    ['seconds 1\narg \n', '- the first arg is to be an absolute path'],
    ['seconds 0\narg /a\n', 'line 1 - seconds is to be an integer from 1 to 604800'],
    ['seconds 604801\n', 'line 1 - seconds is to be an integer from 1 to 604800'],
    ['seconds 99999999999999999999\n', 'line 1 - seconds is to be an integer from 1 to 604800'],
    ['seconds \n', 'line 1 - seconds is to be an integer from 1 to 604800'],
    ['seconds +1\n', 'line 1 - seconds is to be an integer from 1 to 604800'],
    ['seconds 1.5\n', 'line 1 - seconds is to be an integer from 1 to 604800'],
    ['quiet 0\n', 'line 1 - quiet is to be an integer from 1 to 604800'],
    [`${good}quiet 2\nquiet 3\n`, 'line 4 - a second number of seconds'],
    [`${good}seconds 2\n`, 'line 3 - a second number of seconds'],
    [`${good}cwd /a\ncwd /a\n`, 'line 4 - a second cwd'],
    [`${good}cwd a\n`, 'line 3 - cwd is to be an absolute path'],
    [`${good}env A\n`, 'line 3 - env is to be NAME=VALUE'],
    [`${good}env =A\n`, 'line 3 - env is to be NAME=VALUE'],
    [`${good}arg\n`, "line 3 - no space behind the item's name"],
    [`${good}args b\n`, 'line 3 - no such item: there are seconds, quiet, arg, env, cwd'],
    [`${good}arg b\0\n`, '- a NUL byte'],
  ])('%j is broken', (text, why) => {
    expect(parse(text)).toEqual(broken(why))
  })

  const broken = (why: string) => ({
    status: 65,
    stdout: `broken ${join(folder, 'job')} ${why}\n`,
    stderr: '',
  })

  it('has its limits', () => {
    expect(parse(`${good}${'arg b\n'.repeat(254)}`).status).toBe(0)
    expect(parse(`${good}${'arg b\n'.repeat(255)}`)).toEqual(broken('line 257 - more than 255 of these'))
    const most = 65_536
    expect(parse(good.padEnd(most, '\n')).status).toBe(0)
    expect(parse(good.padEnd(most + 1, '\n'))).toEqual(broken('- larger than 64 KiB'))
  })

  it('that is not there, or no file', () => {
    expect(run(['--parse', join(folder, 'none')]).stdout).toMatch(/^broken .* - No such file or directory\n$/)
    expect(run(['--parse', folder]).stdout).toMatch(/^broken .* - Is a directory\n$/)
  })

  it('of any bytes gives an answer', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), bytes => {
        expect([0, 65]).toContain(parse(bytes).status)
      }),
      { numRuns: 30 },
    )
  })
})

describe('a rehearsal', () => {
  /** A job that runs a script of sh, whose descriptor 3 is the data channel. */
  const rehearse = (script: string, { seconds = 20, more = '' } = {}) => {
    const path = file(
      `seconds ${seconds}\narg /bin/sh\narg -c\narg ${script}\nenv PATH=/bin:/usr/bin\n${more}`,
    )
    const { status, stdout, stderr } = run(['--rehearse', path])
    expect(status).toBe(0)
    expect(stdout.endsWith('\n')).toBe(true)
    return {
      lines: linesOf(stdout).filter(line => !line.startsWith('beat ')),
      all: linesOf(stdout),
      console: stderr,
    }
  }
  const start = expect.stringMatching(/^start \d+$/)

  it.each([
    ['exit 0', 'exit 0'],
    ['exit 77', 'exit 77'],
    ['kill -SEGV $$', 'killed 11'],
    ['kill -KILL $$', 'killed 9'],
  ])('of %j ends with "%s"', (script, end) => {
    expect(rehearse(script).lines).toEqual([start, end, 'end'])
  })

  it('has lines on the data channel and all else on the console, nothing to read, and no environment but its own', () => {
    const script = 'echo case 1 a/b >&3; echo out; echo err >&2; cat; env; pwd; echo result c >&3'
    const { lines, console } = rehearse(script, { more: 'env A=b c\ncwd /usr\n' })
    expect(lines).toEqual([start, 'case 1 a/b', 'result c', 'exit 0', 'end'])
    // What sh itself adds is no concern of ours.
    const told = linesOf(console).filter(line => !/^(PWD|OLDPWD|SHLVL|_)=/.test(line))
    expect(told.sort()).toEqual(['/usr', 'A=b c', 'PATH=/bin:/usr/bin', 'err', 'out'])
  })

  it('has no more descriptors than those four', () => {
    // The fifth is that of the folder, which ls reads. Who runs the tests may have left high ones open.
    const { console } = rehearse('exec ls /proc/self/fd')
    expect(linesOf(console).filter(fd => Number(fd) < 20)).toEqual(['0', '1', '2', '3', '4'])
  })

  it('brings a long line whole, and puts its beats off until it has ended', () => {
    const script = `i=0; while [ $i -lt 3 ]; do printf %0100000d 7 >&3; sleep 0.6; i=$((i+1)); done; echo >&3; sleep 1.1`
    const { lines, all } = rehearse(script)
    expect(lines.length).toBe(4)
    const digest = (text: string) => createHash('sha256').update(text).digest('hex')
    expect(digest(lines[1]!)).toBe(digest(`${'0'.repeat(99_999)}7`.repeat(3)))
    expect(all.filter(line => line.startsWith('beat ')).length).toBeGreaterThanOrEqual(2)
    for (const line of all.filter(line => line.startsWith('beat '))) expect(line).toMatch(/^beat \d+$/)
  })

  it('ends a line that the command did not', () => {
    expect(rehearse('printf half >&3; kill -KILL $$').lines).toEqual([start, 'half', 'killed 9', 'end'])
  })

  it('leaves nothing behind: neither what runs on in its place, nor what its children left', () => {
    const unique = `sleep ${process.pid}.5`
    const { lines } = rehearse(`(${unique} & sh -c "${unique} & exit" & exit) ; exit 3`)
    expect(lines).toEqual([start, 'exit 3', 'end'])
    expect(children()).toEqual([])
    expect(commandLines().filter(line => line.includes(unique))).toEqual([])
  })

  it('brings what was written right before the end', () => {
    // It is stopped until the command has ended, with a full pipe left behind.
    const script = 'kill -STOP $PPID; (sleep 0.2; kill -CONT $PPID) & printf %060000d 7 >&3; kill -KILL $$'
    const { lines } = rehearse(script)
    expect(lines.map(line => line.length)).toEqual([
      expect.any(Number),
      60_000,
      'killed 9'.length,
      'end'.length,
    ])
  })

  it('goes on when the command closes the channel', () => {
    expect(rehearse('exec 3>&-; sleep 0.2; exit 4').lines).toEqual([start, 'exit 4', 'end'])
  })

  it('ends what says nothing for too long', () => {
    const script = 'for i in 1 2 3; do echo $i >&3; sleep 0.6; done; sleep 30'
    const { lines } = rehearse(script, { more: 'quiet 1\n' })
    expect(lines.slice(1, 5)).toEqual(['1', '2', '3', 'late 1 seconds without a word'])
    expect(lines).toContain('killed 9')
  })

  it('ends what is late, and tells what every process did', () => {
    const { lines } = rehearse(
      'trap "" TERM INT; echo a >&3; printf half >&3; sleep 98 & while :; do sleep 99; done',
      {
        seconds: 1,
      },
    )
    expect(lines.slice(0, 4)).toEqual([start, 'a', 'half', 'late 1 seconds are over'])
    expect(lines.slice(-2)).toEqual(['killed 9', 'end'])
    const tasks = lines.slice(4, -2)
    for (const line of tasks) expect(line).toMatch(/^task \d+ \S+ [A-Z] \S+$/)
    expect(tasks.map(line => line.split(' ')[2]).sort()).toEqual(['sh', 'sleep', 'sleep'])
  })

  it.each([
    ['seconds 1\narg /no/where\n', 'broken /no/where - No such file or directory'],
    ['seconds 1\narg /\n', 'broken / - Permission denied'],
    ['seconds 1\narg /bin/sh\ncwd /no/where\n', 'broken /no/where - No such file or directory'],
  ])('of %j says why nothing ran', (text, line) => {
    expect(linesOf(run(['--rehearse', file(text)]).stdout)).toEqual([line, 'end'])
  })

  it('of a broken job runs nothing', () => {
    expect(linesOf(run(['--rehearse', file('arg /bin/true\n')]).stdout)).toEqual([
      `broken ${join(folder, 'job')} - no seconds: no limit of time`,
      'end',
    ])
  })
})

describe('as the first process', () => {
  const emulator = 'qemu-system-x86_64'
  const limitMs = 120_000

  const kernelFor = (ctx: TestContext): string => {
    const kernel = process.env.SIGFRAME_TEST_KERNEL
    if (!kernel) return ctx.skip('needs a kernel to boot: SIGFRAME_TEST_KERNEL names its file')
    if (!existsSync(kernel)) throw new Error(`SIGFRAME_TEST_KERNEL: ${kernel} is not there`)
    if (spawnSync(emulator, ['--version']).error) return ctx.skip(`needs ${emulator}`)
    return kernel
  }

  /** What the two serial ports got, and how the emulator ended. */
  const boot = async (kernel: string, job: string, serialPorts = 2) => {
    const initramfs: CpioEntry[] = [
      { path: 'init', mode: 0o100755, content: readFileSync(initPath()) },
      { path: 'job', mode: 0o100644, content: Buffer.from(job) },
    ]
    writeFileSync(join(folder, 'initrd'), packCpio(initramfs))
    const ports = ['console', 'data'].slice(0, serialPorts).map(name => join(folder, name))
    const child = spawn(
      emulator,
      [
        ...['-M', 'pc', '-accel', 'tcg', '-cpu', 'max,-cx16', '-smp', '2', '-m', '256', '-no-reboot'],
        ...['-nodefaults', '-no-user-config', '-display', 'none', '-monitor', 'none'],
        ...ports.flatMap(path => ['-serial', `file:${path}`]),
        ...['-kernel', kernel, '-initrd', join(folder, 'initrd')],
        ...['-append', 'console=ttyS0 quiet panic=-1 oops=panic'],
      ],
      { stdio: ['ignore', 'ignore', 'ignore'], timeout: limitMs, killSignal: 'SIGKILL' },
    )
    const [status] = await once(child, 'exit')
    const [console = '', data = ''] = ports.map(path => readFileSync(path, 'utf8').replaceAll('\r', ''))
    return { status, console, data: linesOf(data).filter(line => !/^(beat \d+|wants .*)$/.test(line)) }
  }

  it('boots, runs its job, and turns the power off', { timeout: limitMs }, async ctx => {
    const { status, console, data } = await boot(
      kernelFor(ctx),
      'seconds 60\narg /init\narg --parse\narg /job\ncwd /tmp\n',
    )
    expect(data).toEqual([
      expect.stringMatching(/^boot 1 \d+\.\d+\S+$/),
      expect.stringMatching(/^start \d+$/),
      'exit 0',
      'end',
    ])
    expect(console).toContain('seconds 60\nquiet 60\narg /init\narg --parse\narg /job\ncwd /tmp\n')
    expect(status).toBe(0)
  })

  it('has a second port, or does with the first', { timeout: limitMs }, async ctx => {
    const { console } = await boot(kernelFor(ctx), 'seconds 60\narg /none\n', 1)
    const told = linesOf(console).flatMap(line => /^sigframe: (.*)$/.exec(line)?.[1] ?? [])
    expect(told[0]).toMatch(/^boot 1 /)
    expect(told[1]).toMatch(/^wants CONFIG_SERIAL_8250 /)
    expect(told.slice(-2)).toEqual(['broken /none - No such file or directory', 'end'])
  })
})
