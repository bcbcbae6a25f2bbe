/** Bochs: what it is told, what is missing, how its end is read; and machines of it where it is installed. */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it, type TestContext } from 'vitest'
import {
  type BochsHelp,
  helpOf,
  type Inventory,
  missingText,
  type PartName,
  parts,
} from '../../lib/vm/emulators/bochs/parts.ts'
import {
  bochsCommandLine,
  configText,
  instructionsPerSecond,
  menuText,
  names,
  scriptText,
} from '../../lib/vm/emulators/bochs/texts.ts'
import { findBochs } from '../../lib/vm/emulators/bochs.ts'
import type { FoundEmulator, Launch } from '../../lib/vm/emulators/emulator.ts'

let folder: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sigframe-bochs-'))
})

afterEach(() => {
  rmSync(folder, { recursive: true, force: true })
})

const cleared = 'xsaves,xsavec,ht,tsc_deadline_timer'

/** The words of a command line that begin so, without their beginning. */
const valuesOf = (line: string, name: string): string[] =>
  line.split(' ').flatMap(word => (word.startsWith(name) ? [word.slice(name.length)] : []))

describe('the kernel command line', () => {
  it('has what the kernel needs under Bochs', () => {
    const line = bochsCommandLine('console=ttyS0 quiet')
    expect(line.split(' ').slice(0, 2)).toEqual(['console=ttyS0,115200', 'quiet'])
    expect(valuesOf(line, 'clearcpuid=')).toEqual([cleared])
    expect(valuesOf(line, 'tsc_early_khz=')).toEqual([String(instructionsPerSecond / 1000)])
    expect(valuesOf(line, 'reboot=')).toEqual(['t'])
  })

  it.each([
    ['clearcpuid=avx512f', [`avx512f,${cleared}`]],
    ['clearcpuid=avx clearcpuid=pku,ht', ['pku,ht,xsaves,xsavec,tsc_deadline_timer']],
    ['clearcpuid=', [cleared]],
  ])('of %j clears what is asked for, too', (given, values) => {
    expect(valuesOf(bochsCommandLine(given), 'clearcpuid=')).toEqual(values)
  })

  it.each(['console=ttyS1,9600n8', 'console=tty0', 'earlyprintk=serial,ttyS0,115200'])(
    'leaves %j as it is',
    given => {
      expect(bochsCommandLine(given).split(' ')[0]).toBe(given)
    },
  )

  it('keeps every other word, in its order', () => {
    const word = fc.stringMatching(/^[a-z][a-z0-9_.=,-]{0,20}$/)
    const plain = word.filter(text => !/^(clearcpuid=|console=)/.test(text))
    fc.assert(
      fc.property(fc.array(plain, { maxLength: 20 }), words => {
        expect(bochsCommandLine(words.join(' ')).split(' ').slice(0, words.length)).toEqual(words)
      }),
    )
  })
})

describe('what the boot loader reads', () => {
  it('boots the one kernel at once, with the line as it is', () => {
    const text = menuText('a="b c" d')
    expect(text).toContain('\n  append a="b c" d\n')
    expect(text).toMatch(/^default linux\nprompt 0\n/)
  })

  it.each([
    ['a line break', 'quiet\nlabel other', 'must be printable ASCII'],
    ['other than ASCII', 'name=ü', 'must be printable ASCII'],
    ['more than the loader takes', 'a'.repeat(2001), 'must be at most 2000 characters'],
  ])('is never given %s', (_, line, limit) => {
    expect(() => menuText(line)).toThrow(limit)
  })
})

const machine = { cpu: 'corei7_skylake_x', cpus: 1, memoryMib: 1024 }

/** The lines of a configuration by what they are for. */
const directives = (text: string): Map<string, string> =>
  new Map(
    text
      .trimEnd()
      .split('\n')
      .map(line => /^([\w-]+): (.*)$/.exec(line)!.slice(1) as [string, string]),
  )

describe('the configuration', () => {
  it('has the machine, its two ports, and an end on every panic', () => {
    const found = directives(configText(machine))
    expect(found.get('cpu')).toMatch(
      /^model=corei7_skylake_x, count=1, ips=50000000, reset_on_triple_fault=0/,
    )
    expect(found.get('memory')).toBe('guest=1024, host=1024')
    expect(found.get('com1')).toBe(`enabled=1, mode=file, dev=${names.console}`)
    expect(found.get('com2')).toBe(`enabled=1, mode=file, dev=${names.data}`)
    expect(found.get('panic')).toBe('action=fatal')
    expect(['error', 'info', 'debug'].map(name => found.get(name))).toEqual(Array(3).fill('action=ignore'))
  })

  it('has no more memory than Bochs holds', () => {
    expect(directives(configText({ ...machine, memoryMib: 8192 })).get('memory')).toBe(
      'guest=2048, host=2048',
    )
  })

  it.each([
    ['cpu', { cpu: 'max, ips=1' }],
    ['cpu', { cpu: 'a\nlog: /etc/passwd' }],
    ['cpu', { cpu: '' }],
    ['cpus', { cpus: 0 }],
    ['cpus', { cpus: 9 }],
  ])('refuses a %s that is none: %j', (field, wrong) => {
    expect(() => configText({ ...machine, ...wrong })).toThrow(new RegExp(`^${field} is .*, must be `))
  })
})

const usage = `00000000000i[      ] LTDL_LIBRARY_PATH not set. using compile time default '/usr/lib/x/bochs/plugins'
Usage: bochs [flags] [bochsrc options]

  -n               no configuration file
  -q               quick start (skip configuration interface)
  -rc filename     execute debugger commands stored in file
  --help cpu       display supported CPU models and exit

========================================================================
                        Bochs x86 Emulator 2.7
              Built from SVN snapshot on August  1, 2021
========================================================================
`
const models = `Supported CPU models:

bx_generic
corei7_skylake_x
tigerlake

00000000000i[SIM   ] quit_sim called with exit code 0
`

describe('what Bochs says of itself', () => {
  it('is read', () => {
    expect(helpOf(usage, models)).toEqual({
      version: '2.7',
      models: ['bx_generic', 'corei7_skylake_x', 'tigerlake'],
      debugs: true,
      plugins: '/usr/lib/x/bochs/plugins',
    } satisfies BochsHelp)
  })

  it('is read without a debugger and plugins, too', () => {
    const other = usage.replace(/^.*(LTDL|-rc ).*\n/gm, '')
    expect(helpOf(other, models)).toMatchObject({ debugs: false, plugins: null })
  })

  it('may be nothing', () => {
    expect(helpOf('', '')).toEqual({
      version: 'of unknown version',
      models: [],
      debugs: false,
      plugins: null,
    })
  })

  it('is read of a list that ends the text, too', () => {
    expect(helpOf(usage, 'Supported CPU models:\n\na\nb\n').models).toEqual(['a', 'b'])
  })
})

describe('what is missing', () => {
  const partNames = Object.keys(parts) as PartName[]
  const all: Inventory = {
    help: helpOf(usage, models),
    display: true,
    xorriso: true,
    setpriv: true,
    files: Object.fromEntries(partNames.map(name => [name, `/x/${name}`])) as Inventory['files'],
  }

  it('is nothing where all is there', () => expect(missingText(all)).toBeNull())

  it.each<[string, Partial<Inventory>, string]>([
    ['bochs', { help: null }, 'bochs is missing'],
    ['bochs-term', { display: false }, "Bochs' display term is missing"],
    ['xorriso', { xorriso: false }, 'xorriso is missing'],
    ['util-linux', { setpriv: false }, 'setpriv is missing'],
    ...partNames.map((name): [string, Partial<Inventory>, string] => [
      parts[name].package,
      { files: { ...all.files, [name]: null } },
      `${parts[name].what} is missing`,
    ]),
  ])('is told with %s, which brings it', (name, without, what) => {
    const text = missingText({ ...all, ...without })!
    expect(text.startsWith(`${what}: `)).toBe(true)
    expect(text.split(' ')).toContain(name)
  })

  it('is told of all at once', () => {
    const none = Object.fromEntries(partNames.map(name => [name, null])) as Inventory['files']
    const text = missingText({ help: null, display: false, xorriso: false, setpriv: true, files: none })
    expect(text).toBe(
      "bochs, Bochs' display term, the BIOS, the VGA BIOS, isolinux.bin, ldlinux.c32 and xorriso are missing: " +
        'on Debian apt-get install --no-install-recommends bochs bochs-term bochsbios vgabios isolinux syslinux-common xorriso brings what it takes',
    )
  })
})

/** Runs the script with a program in Bochs' place. */
const startScript = (bochs: string, debugs = true) => {
  const bin = join(folder, 'bin')
  mkdirSync(bin)
  writeFileSync(join(bin, 'bochs'), `#!/bin/sh\n${bochs}\n`)
  chmodSync(join(bin, 'bochs'), 0o755)
  writeFileSync(join(folder, names.script), scriptText(debugs))
  return spawn('sh', [names.script], {
    cwd: folder,
    env: { PATH: `${bin}:${process.env.PATH}` },
    stdio: ['ignore', 'ignore', 'pipe'],
    timeout: 20_000,
    killSignal: 'SIGKILL',
  })
}

const endOf = async (child: ReturnType<typeof startScript>): Promise<{ code: unknown; errors: string }> => {
  let errors = ''
  child.stderr.setEncoding('utf8').on('data', text => {
    errors += text
  })
  const [code] = await once(child, 'close')
  return { code, errors }
}

/** Ends as Bochs does: a line in the log, and 1. */
const panic = (line: string): string => `echo '00012p[X     ] >>PANIC<< ${line}' > ${names.log}; exit 1`

describe.runIf(process.platform === 'linux')('the end of Bochs', () => {
  beforeEach(ctx => {
    if (spawnSync('setpriv', ['--version']).error) ctx.skip('needs setpriv of util-linux')
  })

  it.each([
    ['a power-off', 'ACPI control: soft power off'],
    ['a triple fault', 'exception(): 3rd (13) exception with no resolution'],
  ])('by %s is a good one', async (_, line) => {
    expect(await endOf(startScript(panic(line)))).toEqual({ code: 0, errors: '' })
  })

  it('by any other panic is a bad one, with its reason', async () => {
    expect(await endOf(startScript(panic('No bootable device.')))).toEqual({
      code: 1,
      errors: 'No bootable device.\n',
    })
  })

  it('before it has a log is told, too', async () => {
    const before = "echo '00p[      ] >>PANIC<< bochsrc:4: cpu directive malformed.'; exit 3"
    expect(await endOf(startScript(before))).toEqual({
      code: 3,
      errors: 'bochsrc:4: cpu directive malformed.\n',
    })
  })

  it('is not that of an earlier one', async () => {
    writeFileSync(join(folder, names.log), 'ACPI control: soft power off\n')
    expect(await endOf(startScript('exit 4'))).toEqual({ code: 4, errors: '' })
  })

  it('starts it with its files', async () => {
    await endOf(startScript(`echo "$@"`))
    expect(readFileSync(join(folder, names.output), 'utf8')).toBe('-q -f bochsrc -rc commands\n')
  })

  it('starts it without commands where it is built without a debugger', async () => {
    await endOf(startScript(`echo "$@"`, false))
    expect(readFileSync(join(folder, names.output), 'utf8')).toBe('-q -f bochsrc\n')
  })

  it('comes when it writes without end', async () => {
    await endOf(startScript('exec cat /dev/zero'))
    expect(lstatSync(join(folder, names.output)).size).toBe(64 << 20)
  })

  it('comes with that of the shell', async () => {
    // A FIFO is at its end when its last writer is gone.
    const fifo = join(folder, 'alive')
    spawnSync('mkfifo', [fifo])
    const reader = spawn('cat', [fifo], { stdio: ['ignore', 'pipe', 'ignore'], timeout: 20_000 })
    const child = startScript(`exec 3> alive; echo here >&3; exec sleep 60`)
    const [said] = await once(reader.stdout, 'data')
    expect(String(said)).toBe('here\n')
    child.kill('SIGKILL')
    expect(await once(reader, 'exit')).toEqual([0, null])
  })
})

/** Nothing but a name here: what is asked for is refused, or the machine does not come to it. */
const spec = (more: object = {}) => ({
  kernel: join(folder, 'a =kernel'),
  initramfs: join(folder, 'initramfs'),
  cpu: 'corei7_skylake_x',
  commandLine: 'console=ttyS0',
  memoryMib: 256,
  cpus: 1,
  acceleration: 'interpreter' as const,
  folder: join(folder, 'machine $HOME'),
  ...more,
})

const noSignal = (): AbortSignal => new AbortController().signal

const bochsFor = async (ctx: TestContext): Promise<FoundEmulator> => {
  const { found, ...search } = await findBochs()
  if (found === null) return ctx.skip('missing' in search ? search.missing : 'no Bochs')
  return found
}

const start = (launch: Launch) =>
  spawn(launch.command, launch.args, {
    env: { ...process.env, ...launch.env },
    stdio: ['ignore', 'ignore', 'pipe'],
    timeout: 30_000,
    killSignal: 'SIGKILL',
  })

describe('where Bochs is installed', () => {
  beforeEach(() => {
    writeFileSync(join(folder, 'a =kernel'), 'no kernel')
    writeFileSync(join(folder, 'initramfs'), 'no archive')
    mkdirSync(join(folder, 'machine $HOME'))
  })

  it('makes a CD of kernel, archive and command line, whatever their names, and changes none', async ctx => {
    const bochs = await bochsFor(ctx)
    expect(bochs.version).toMatch(/^\d+\.\d+/)
    const launch = await bochs.prepare(spec(), noSignal())
    const image = readFileSync(join(spec().folder, names.image), 'latin1')
    for (const content of ['no kernel', 'no archive', `append ${bochsCommandLine('console=ttyS0')}\n`])
      expect(image.split(content)).toHaveLength(2)
    expect(launch.console).toBe(join(spec().folder, names.console))
    expect(launch.data).toBe(join(spec().folder, names.data))
    expect(readFileSync(spec().kernel, 'utf8')).toBe('no kernel')
    expect(readdirSync(folder).sort()).toEqual(['a =kernel', 'initramfs', 'machine $HOME'])
  })

  it('refuses a CPU that it does not have', async ctx => {
    const bochs = await bochsFor(ctx)
    await expect(bochs.prepare(spec({ cpu: 'Nehalem' }), noSignal())).rejects.toThrow(
      /^the CPU is "Nehalem", which Bochs \S+ does not have: bochs --help cpu lists what it has$/,
    )
  })

  it('says which file the CD lacks', async ctx => {
    const bochs = await bochsFor(ctx)
    await expect(bochs.prepare(spec({ kernel: join(folder, 'nowhere') }), noSignal())).rejects.toThrow(
      /^ENOENT: no such file or directory, realpath '.*nowhere'/,
    )
  })

  it('ends with the signal', async ctx => {
    const bochs = await bochsFor(ctx)
    await expect(bochs.prepare(spec(), AbortSignal.abort('enough'))).rejects.toBe('enough')
  })

  it('says why it gives up', async ctx => {
    const bochs = await bochsFor(ctx)
    const launch = await bochs.prepare(spec(), noSignal())
    rmSync(join(spec().folder, names.image))
    expect(await endOf(start(launch))).toEqual({ code: 1, errors: 'No bootable device.\n' })
  })
})

/** The command as a user has it. */
const sigframe = (...args: readonly string[]) =>
  spawnSync(process.execPath, [join(import.meta.dirname, '../../dist/lib/cli/main.js'), ...args], {
    encoding: 'utf8',
    maxBuffer: 64 << 20,
  })

describe('a kernel under Bochs', () => {
  it('has AVX-512 frames, and faults where hardware does', async ctx => {
    if (!process.env.SIGFRAME_LONG) return ctx.skip('takes minutes: SIGFRAME_LONG=1 runs it')
    const kernel = process.env.SIGFRAME_TEST_KERNEL
    if (!kernel) return ctx.skip('needs a kernel to boot: SIGFRAME_TEST_KERNEL names its file')
    if (!existsSync(kernel)) throw new Error(`SIGFRAME_TEST_KERNEL: ${kernel} is not there`)
    await bochsFor(ctx)
    const { stdout, stderr } = sigframe(
      'vm',
      'xsave_header',
      '--kernel',
      kernel,
      '--cpu',
      'skylake-x',
      '--json',
    )
    expect(stdout, stderr).not.toBe('')
    const [seen] = JSON.parse(stdout).machines
    expect(seen).toMatchObject({ status: 'ran', warnings: [], emulator: { acceleration: 'interpreter' } })
    expect(seen.bundle.host).toMatchObject({ xcr0: '0xe7', userSize: 2688 })
    const told: [string, string][] = seen.bundle.cases.map((one: Record<string, string>) => [
      one.id,
      one.verdict,
    ])
    expect(told.filter(([, verdict]) => verdict !== 'pass' && verdict !== 'skip')).toEqual([])
    // QEMU's software emulation faults on none of these.
    const verdicts = new Map(told)
    for (const name of ['mxcsr_16', 'mxcsr_31', 'reserved_528', 'reserved_535'])
      expect(verdicts.get(`xsave_header/${name}/x86_64/all`)).toBe('pass')
  })
})
