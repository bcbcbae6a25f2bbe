/** Core files of real processes: written by gcore, and by the kernel. */
import { type ChildProcess, execFile, spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import { afterAll, expect, type TestContext, test } from 'vitest'
import type { CoreScan } from '../../lib/elf/core.ts'
import { scanCore } from '../../lib/elf/scan.ts'

const folder = mkdtempSync(join(tmpdir(), 'sigframe-real-core-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const isX86Linux = process.platform === 'linux' && process.arch === 'x64'

/** @returns the program's file; skips where it cannot be made */
const compile = (ctx: TestContext, name: string, ...flags: string[]): string => {
  if (!isX86Linux) ctx.skip('needs x86-64 Linux')
  const program = join(folder, name)
  const source = join(import.meta.dirname, `${name}.c`)
  const gcc = spawnSync('gcc', ['-O1', '-w', '-o', program, source, ...flags], { encoding: 'utf8' })
  if (gcc.error) ctx.skip('there is no gcc')
  if (gcc.status !== 0) ctx.skip(`gcc cannot make it: ${gcc.stderr.slice(0, 200)}`)
  return program
}

/** What the program says of itself. */
interface Told {
  readonly avx: boolean
  readonly frames: readonly { readonly state: string; readonly fpstate: string; readonly tid: number }[]
}

const firstLine = async (child: ChildProcess): Promise<string> => {
  for await (const line of createInterface({ input: child.stdout! })) return line
  throw new Error('it ended without a word')
}

const ended = (child: ChildProcess): Promise<unknown> =>
  child.exitCode !== null || child.signalCode !== null
    ? Promise.resolve()
    : new Promise(resolve => child.once('exit', resolve))

/** As the kernel would write one of a crash in the folder: the reason why not, or null. */
const noKernelCore = (): string | null => {
  const pattern = readFileSync('/proc/sys/kernel/core_pattern', 'utf8').trim()
  if (pattern.startsWith('|')) return 'core files are handed to a program: /proc/sys/kernel/core_pattern'
  if (pattern === '' || pattern.includes('/')) return 'core files are not written where the process is'
  return null
}

/** Runs a program that crashes. @returns its core file, and the first line that it printed */
const crash = async (
  ctx: TestContext,
  program: string,
  ...args: string[]
): Promise<[file: string, line: string]> => {
  const reason = noKernelCore()
  if (reason !== null) ctx.skip(reason)
  const cwd = mkdtempSync(join(folder, 'crash-'))
  // A core file of 256 MiB at most, in blocks of 512 bytes or 1 KiB.
  const limited = 'ulimit -c 262144 && exec "$0" "$@"'
  const child = spawn('sh', ['-c', limited, program, ...args], { cwd, stdio: ['ignore', 'pipe', 'ignore'] })
  let line = ''
  child.stdout.on('data', chunk => {
    line += chunk
  })
  await ended(child)
  const [name] = readdirSync(cwd)
  if (name === undefined) return ctx.skip(`no core file was written (${child.signalCode ?? child.exitCode})`)
  return [join(cwd, name), line]
}

const bytes = Buffer.from(Array.from({ length: 32 }, (_, i) => 0xa0 + i))
const xmmOf = (fpstate: Uint8Array, i: number): Uint8Array => fpstate.subarray(160 + 16 * i, 176 + 16 * i)
const ymmHighOf = (fpstate: Uint8Array, i: number): Uint8Array => fpstate.subarray(576 + 16 * i, 592 + 16 * i)

const byFpstate = (a: { fpstate: string }, b: { fpstate: string }): number =>
  BigInt(a.fpstate) < BigInt(b.fpstate) ? -1 : 1

const checkFrames = ({ frames, threads }: CoreScan, told: Told): void => {
  expect(
    frames.map(({ address, state, pid }) => ({ fpstate: `0x${address.toString(16)}`, state, tid: pid })),
  ).toEqual(
    told.frames
      .toSorted(byFpstate)
      .map(({ fpstate, state, tid }) => ({ fpstate, state, tid: state === 'in flight' ? tid : null })),
  )
  expect(new Set(threads.map(({ pid }) => pid))).toEqual(new Set(told.frames.map(({ tid }) => tid)))
  for (const { abi, head, fsave, fpstate, state } of frames) {
    expect({ abi, head: head?.length, fsave }).toEqual({ abi: 'x86_64', head: 440, fsave: null })
    if (state !== 'in flight') continue
    for (const i of [3, 15]) {
      expect(Buffer.from(xmmOf(fpstate, i)).equals(bytes.subarray(0, 16))).toBe(true)
      if (told.avx) expect(Buffer.from(ymmHighOf(fpstate, i)).equals(bytes.subarray(16))).toBe(true)
    }
  }
}

test('a process that waits in its handlers, by gcore', async ctx => {
  const program = compile(ctx, 'handlers', '-pthread')
  if (spawnSync('gcore', ['-h']).error) ctx.skip('there is no gcore')
  const child = spawn(program, { stdio: ['ignore', 'pipe', 'ignore'] })
  try {
    const told: Told = JSON.parse(await firstLine(child))
    const prefix = join(folder, 'gcore')
    const gcore = await promisify(execFile)('gcore', ['-o', prefix, `${child.pid}`], {
      timeout: 60_000,
    }).catch(error => error)
    const name = readdirSync(folder).find(file => file === `gcore.${child.pid}`)
    if (name === undefined) return ctx.skip(`gcore cannot: ${`${gcore.stderr}`.trim().slice(0, 200)}`)
    const scan = await scanCore(join(folder, name))
    checkFrames(scan, told)
  } finally {
    child.kill('SIGKILL')
    await ended(child)
  }
})

test('a process that crashes in a handler, by the kernel', async ctx => {
  const program = compile(ctx, 'handlers', '-pthread')
  const [file, line] = await crash(ctx, program, 'crash')
  const scan = await scanCore(file)
  checkFrames(scan, JSON.parse(line))
  // Linux 6.12 writes where the components lie.
  if (scan.layout !== null) {
    const { layout, frames } = scan
    for (const { fpstate } of frames) expect(fpstate).toHaveLength(layout.size + 4)
  }
})

test('a 32-bit process that crashes in a handler, by the kernel', async ctx => {
  const program = compile(
    ctx,
    'handlers32',
    '-m32',
    '-nostdlib',
    '-static',
    '-ffreestanding',
    '-fno-pie',
    '-no-pie',
  )
  const [file] = await crash(ctx, program)
  const { frames, threads } = await scanCore(file)
  expect(threads).toHaveLength(1)
  expect(frames.map(({ abi, state, pid }) => ({ abi, state, pid }))).toEqual([
    { abi: 'ia32', state: 'in flight', pid: threads[0]?.pid },
    { abi: 'ia32-rt', state: 'in flight', pid: threads[0]?.pid },
  ])
  for (const { fsave, head } of frames) {
    expect(fsave).toHaveLength(112)
    // The restorer or the vDSO's.
    expect(head?.some(byte => byte !== 0)).toBe(true)
  }
})
