/** capture, replay and explain of frame files, as users start them. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { SavedFrame } from '../../lib/foreign/saved.ts'
import { openSync } from '../../lib/probe/session.ts'
import { frameFileJson, readFrameFile } from '../../lib/report/frame-file.ts'
import { randomImage } from '../../lib/xstate/random.ts'
import { savedFrame } from '../foreign/frames.ts'
import { known } from '../xstate/arbitrary.ts'
import { canProbe, ended, inShell, sigframe, start } from './sigframe.ts'

let folder: string

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'sigframe-frames-'))
})

afterAll(() => {
  rmSync(folder, { recursive: true })
})

const at = (name: string): string => join(folder, name)

const fileOf = (name: string, frame: SavedFrame): string => {
  writeFileSync(at(name), frameFileJson(frame))
  return at(name)
}

const elsewhere = {
  NODE_OPTIONS: `--import=data:text/javascript,Object.defineProperty(process,'arch',{value:'arm64'})`,
}

const fits = (text: string): void => {
  for (const line of text.split('\n')) expect([...line].length).toBeLessThanOrEqual(80)
  expect(text).not.toContain('\u001b')
}

const iceLake = (): SavedFrame => savedFrame(known('ice-lake-sp'))

test.each(['capture', 'replay', 'explain'])('sigframe %s --help has examples and fits', async command => {
  const { code, stdout, stderr } = await sigframe([command, '--help'])
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  expect(stdout).toContain(`Examples:\n  sigframe ${command} `)
  expect(stdout).toContain('Exit codes: 0 ')
  fits(stdout)
})

describe.runIf(canProbe)('a frame of this host', () => {
  test.each(['x86_64', 'ia32-rt', 'ia32'])('is captured and arrives again: %s', async abi => {
    const probe = openSync()
    const lack = probe.lack(abi as 'ia32')
    await probe.close()
    const file = at(`${abi}.json`)
    const captured = await sigframe(['capture', '--abi', abi, '--seed', '7', file])
    if (lack !== null) {
      expect(captured.code).toBe(70)
      expect(captured.stderr).toContain(`no frame of ${abi}: ${lack}`)
      return
    }
    expect(captured).toMatchObject({ code: 0, stderr: '' })
    expect(captured.stdout).toMatch(new RegExp(`^Frame   ${abi}, captured, seed 7, its XSAVE area at 0x`))
    fits(captured.stdout.replace(file, ''))
    const kept = await readFrameFile(file)
    expect(kept).toMatchObject({ abi, seed: 7, source: 'captured' })
    expect(kept.image?.bytes).toEqual(randomImage(kept.layout, { seed: 7 }).bytes)
    const replayed = await sigframe(['replay', file, '--json'])
    expect(replayed).toMatchObject({ code: 0, stderr: '' })
    const told = JSON.parse(replayed.stdout)
    expect(told).toMatchObject({ outcome: 'holds', lost: [] })
    expect(told.asExpected).not.toBe(false)
    expect(told.components.map(({ name }: { name: string }) => name)).toEqual(
      kept.layout.components.map(({ name }) => name),
    )
    expect(told.components.every(({ fate }: { fate: string }) => fate === 'arrives')).toBe(true)
  })

  test('has the components that were asked for, and the same for the same seed', async () => {
    for (const name of ['a.json', 'b.json'])
      expect(await sigframe(['capture', '--component', 'sse', '--component', 'x87', at(name)])).toMatchObject(
        {
          code: 0,
        },
      )
    const [a, b] = [await readFrameFile(at('a.json')), await readFrameFile(at('b.json'))]
    expect(a.image?.bytes).toEqual(b.image?.bytes)
    expect(a.image?.bytes).toEqual(randomImage(a.layout, { seed: 1, components: ['x87', 'sse'] }).bytes)
    const { stdout } = await sigframe(['replay', at('a.json'), '--json'])
    for (const { name, fate } of JSON.parse(stdout).components)
      expect(fate).toBe(name === 'x87' || name === 'sse' ? 'arrives' : 'unused')
  })

  test('goes through a pipe', async () => {
    const { code, stdout, stderr } = await inShell('SIGFRAME capture - | SIGFRAME replay -')
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toContain('\nOutcome accepted: all that the frame has in use arrived\n')
    fits(stdout)
  })

  test('goes through sockets, as Node gives them to its children', async () => {
    const from = start(['capture', '-'])
    const to = start(['replay', '-', '--json'], { stdio: ['pipe', 'pipe', 'pipe'] })
    from.stdout?.pipe(to.stdin as NodeJS.WritableStream)
    const { code, stdout, stderr } = await ended(to)
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(JSON.parse(stdout)).toMatchObject({ outcome: 'holds' })
  })

  test('is explained here, as it was replayed', async () => {
    const file = at('here.json')
    await sigframe(['capture', file])
    const { code, stdout, stderr } = await sigframe(['explain', file])
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toContain('\nAnswer  Yes: all that the frame has in use arrives.\n')
    fits(stdout)
  })

  test('tiles are asked of the kernel for, or told to be none of this host’s', async () => {
    const { code, stderr } = await sigframe(['capture', '--component', 'xtiledata', at('tiles.json')])
    if (code !== 0) {
      expect(stderr).toMatch(/--component xtiledata is in no frame of this host|permission/)
      return
    }
    const kept = await readFrameFile(at('tiles.json'))
    expect(kept.permissions).toEqual(['xtiledata'])
    const permitted = await sigframe(['replay', '--permit', at('tiles.json'), '--json'])
    expect(JSON.parse(permitted.stdout)).toMatchObject({ outcome: 'holds' })
    // A task that has not asked: larger than its own frames.
    const other = JSON.parse((await sigframe(['replay', at('tiles.json'), '--json'])).stdout)
    expect(other.asExpected).not.toBe(false)
  })

  test('one that this kernel loses something of has exit code 1, and says what', async () => {
    // No host has a component 40: what names it is refused, whatever the kernel.
    const probe = openSync()
    const { layout } = probe
    await probe.close()
    if (!layout.xsave) return
    const frame = savedFrame(layout)
    const fpstate = frame.fpstate.slice()
    new DataView(fpstate.buffer).setBigUint64(512, layout.features | (1n << 40n), true)
    const { code, stdout } = await sigframe(['replay', fileOf('refused.json', { ...frame, fpstate })])
    expect(code).toBe(1)
    expect(stdout).toMatch(/\nOutcome rejected: SIGSEGV \(si_code 128\) at sigreturn\n/)
    expect(stdout).toContain('unsupported-xstate-bv-is-rejected')
    fits(stdout)
  })

  test('a session’s folder keeps nothing but what was written', async () => {
    const before = readdirSync(folder).length
    await sigframe(['capture', at('one-more.json')])
    expect(readdirSync(folder)).toHaveLength(before + 1)
    expect(statSync(at('one-more.json')).size).toBeGreaterThan(1000)
    const summary = JSON.parse((await sigframe(['capture', at('one-more.json'), '--json'])).stdout)
    expect(summary).toMatchObject({ file: at('one-more.json'), frame: { abi: 'x86_64', source: 'captured' } })
  })
})

describe('a frame of another machine, on another machine', () => {
  const explained = async (words: readonly string[], env = {}) => {
    const { code, stdout, stderr } = await sigframe(
      ['explain', fileOf('ice.json', iceLake()), '--json', ...words],
      env,
    )
    return { code, stderr, told: stdout === '' ? null : JSON.parse(stdout) }
  }

  test('that has all it needs, with nothing of either at hand', async () => {
    const { code, stderr, told } = await explained(['--on', 'skylake-sp'], elsewhere)
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(told).toMatchObject({ generation: 'classic', outcome: 'restored', whole: true, lost: [] })
    expect(told.on).toMatchObject({ name: 'skylake-sp', kind: 'catalogue' })
  })

  test('that has less: exit code 1, and what is lost', async () => {
    const { code, told } = await explained(['--on', 'haswell'])
    expect(code).toBe(1)
    expect(told).toMatchObject({
      outcome: 'fx-only',
      rule: 'size-above-user-size-is-fx-only',
      whole: false,
      lost: ['avx', 'opmask', 'zmm_hi256', 'hi16_zmm', 'pkru', 'mxcsr'],
    })
  })

  test('by every generation, in words', async () => {
    for (const kernel of ['classic', 'regressed', 'portable', 'larger']) {
      const { code, stdout } = await sigframe(['explain', at('ice.json'), '--on', 'zen4', '--kernel', kernel])
      expect(code).toBe(1)
      expect(stdout).toContain(`\nKernel  ${kernel}: `)
      expect(stdout).toMatch(/\nAnswer {2}(No: |Not whole)/)
      fits(stdout)
    }
  })

  test('with the values that decided', async () => {
    const { stdout } = await sigframe(['explain', at('ice.json'), '--on', 'haswell'])
    expect(stdout).toContain('size-above-user-size-is-fx-only: fx-only: xstate_size 2696, user_size 832')
    expect(stdout).toContain('size-below-576-is-fx-only: passes (xstate_size 2696)')
  })

  test('on one that a file tells of', async ctx => {
    if (!canProbe) ctx.skip('nothing can be probed here: no info')
    const { stdout } = await sigframe(['info', '--json'])
    writeFileSync(at('info.json'), stdout)
    const { told } = await explained(['--on', at('info.json')])
    expect(told.on.kind).toBe('info')
    expect(told.generation).toBe(JSON.parse(stdout).kernel.generation)
  })
})

describe('wrong usage: one line, exit code 64', () => {
  test.each<[string[], RegExp]>([
    [['capture'], /missing required argument 'file'/],
    [['capture', '/'], /FILE \/ is a folder: name a file in it/],
    [['capture', '--seed', '-1', 'x'], /It must be an integer in 0\.\.2147483647/],
    [['capture', '--abi', 'arm', 'x'], /Allowed choices are x86_64, ia32-rt, ia32, x32/],
    [['capture', '--component', 'ymm', 'x'], /Components are x87 sse avx /],
    [['capture', '--json', '-'], /the frame goes to standard output: --json would, too/],
    [['replay'], /missing required argument 'file'/],
    [['replay', '/no/such/file'], /^\/no\/such\/file cannot be read \(ENOENT/],
    [['replay', 'PROBE'], /format is "sigframe probe", must be sigframe frame/],
    [['explain', 'PROBE', '--on', 'zen4'], /layout is missing/],
    [['explain', 'ICE', '--on', 'nowhere'], /"nowhere" is no host: neither "this", nor a file, nor one of/],
    [['explain', 'ICE', '--kernel', 'newest'], /Allowed choices are classic, regressed, portable, larger/],
    [['explain', 'ICE', '--c', 'x.c'], /--c is for probe files/],
  ])('%j', async (words, message) => {
    fileOf('ice.json', iceLake())
    writeFileSync(
      at('probe.json'),
      '{"format": "sigframe probe", "version": 1, "tool": {"name": "sigframe", "version": "1"}}',
    )
    const paths: Readonly<Record<string, string>> = { PROBE: at('probe.json'), ICE: at('ice.json') }
    const { code, stdout, stderr } = await sigframe(words.map(word => paths[word] ?? word))
    expect({ code, stdout }).toEqual({ code: 64, stdout: '' })
    const [line = '', ...more] = stderr.split('\n')
    expect(line.replace(/^sigframe: /, '')).toMatch(message)
    expect(more).toEqual([''])
  })

  test('a machine that cannot probe says so, with the exit code of a skip', async () => {
    for (const words of [
      ['capture', at('x.json')],
      ['replay', fileOf('ice.json', iceLake())],
      ['explain', at('ice.json')],
    ]) {
      const { code, stdout, stderr } = await sigframe(words, elsewhere)
      expect({ code, stdout }).toEqual({ code: 4, stdout: '' })
      expect(stderr).toBe('sigframe: probing signal frames needs x86-64 Linux; this is linux arm64\n')
    }
    expect(() => readFileSync(at('x.json'))).toThrow()
  })

  test('a reader that has seen enough is none', async () => {
    const { code, stderr } = await inShell(`SIGFRAME explain ${at('ice.json')} --on zen4 | head -1`)
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  })
})
