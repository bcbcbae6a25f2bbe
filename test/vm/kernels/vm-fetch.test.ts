/** `sigframe vm fetch`, compiled, in a process of its own. */
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { ended } from '../../cli/sigframe.ts'
import { type FakeDebian, fakeDebian, kernel61, kernel72 } from './fake-debian.ts'
import { until } from './until.ts'

const dist = join(import.meta.dirname, '../../../dist/lib/cli')

/** The command alone, as the program has it. */
const script = `
import { Command, CommanderError } from 'commander'
const { addVmFetch } = await import(${JSON.stringify(`${dist}/vm-fetch.js`)})
const { errorText, exitCodeFor } = await import(${JSON.stringify(`${dist}/errors.js`)})
const vm = new Command('vm').exitOverride().configureOutput({ outputError: () => undefined })
addVmFetch(vm)
try {
  await vm.parseAsync(process.argv.slice(1), { from: 'user' })
} catch (error) {
  if (!(error instanceof CommanderError && error.exitCode === 0)) {
    process.stderr.write(errorText(error))
    process.exitCode = exitCodeFor(error)
  }
}
`

let debian: FakeDebian
beforeEach(() => {
  debian = fakeDebian()
})
const children: ChildProcess[] = []
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL')
  debian.remove()
})

const start = (...words: readonly string[]): ChildProcess => {
  const child = spawn(process.execPath, ['--input-type=module', '-e', script, '--', 'fetch', ...words], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...debian.env, NO_COLOR: '1' },
  })
  children.push(child)
  return child
}
const run = (...words: readonly string[]) => ended(start(...words))

const vmlinuz = (name: string): string => join(debian.cache, 'kernels', 'debian', name, 'vmlinuz')

describe('sigframe vm fetch', () => {
  test('a line for each, then that it is there', async () => {
    const line = (name: string, note: string): string => `debian:${name}  0.0 MB  ${vmlinuz(name)}  ${note}\n`
    expect(await run('7.2', '6.1')).toEqual({
      code: 0,
      signal: null,
      stdout: line('7.2.12', 'fetched') + line('6.1.192', 'fetched'),
      stderr: '',
    })
    expect((await run('7.2.12')).stdout).toBe(line('7.2.12', 'already there'))
  })

  test('one that does not exist does not keep the others away', async () => {
    const { code, stdout, stderr } = await run('7.9', '6.1')
    expect(code).toBe(1)
    expect(stdout).toMatch(/^debian:6\.1\.192 .* fetched\n$/)
    expect(stderr).toBe('sigframe: debian:7.9: there is no kernel 7.9; the nearest are 6.1.192 7.2.12\n')
  })

  test('--json', async () => {
    const { code, stdout } = await run('7.2', '7.9', '--json')
    expect(code).toBe(1)
    expect(JSON.parse(stdout)).toEqual({
      kernels: [
        {
          name: 'debian:7.2.12',
          version: '7.2.12',
          flavour: 'cloud',
          package: kernel72.name,
          packageVersion: '7.2.12-1',
          suite: 'trixie',
          path: vmlinuz('7.2.12'),
          config: join(debian.cache, 'kernels', 'debian', '7.2.12', 'config'),
          bytes: 3584,
          release: '7.2.12+test-amd64',
          fetched: true,
          durationMs: expect.any(Number),
        },
      ],
      failures: [{ version: '7.9', reason: expect.stringContaining('there is no kernel 7.9') }],
    })
  })

  test('--list, with what is in the cache, also what is to be had no longer', async () => {
    await run('7.2', '6.1')
    debian.offer([kernel72, { name: 'linux-image-6.12.43+deb13-amd64', version: '6.12.43-1' }])
    debian.configure('deb [trusted=yes] http://example.org/debian trixie main\n')
    const { code, stdout } = await run('--list')
    expect(code).toBe(0)
    expect(stdout.split('\n')).toEqual([
      expect.stringMatching(
        /^debian:6\.1\.192 {11}trixie {2}linux-image-6\.1\.0-56-cloud-amd64 +in the cache, no longer/,
      ),
      expect.stringMatching(
        /^debian:7\.2\.12 {3}20\.0 MB {2}trixie {2}linux-binary-7\.2\.12\S+ {2}in the cache$/,
      ),
      '',
    ])
    expect((await run('--list', '--flavour', 'amd64')).stdout).toMatch(/^debian:6\.12\.43-amd64 .*\n$/)
    const listed = JSON.parse((await run('--list', '--json')).stdout)
    expect(listed.available.map(({ name }: { name: string }) => name)).toEqual(['debian:7.2.12'])
    expect(listed.cached.map(({ name }: { name: string }) => name)).toEqual([
      'debian:6.1.192',
      'debian:7.2.12',
    ])
    expect(listed.problem).toBeNull()
  })

  test.each([
    [[], /^sigframe: which versions\? /],
    [['7.2', '--list'], /^sigframe: --list shows all there is: leave out 7\.2/],
    [['latest'], /^sigframe: "latest" is no version of a kernel/],
    [['7.2', '../x'], /^sigframe: "\.\.\/x" is no version/],
    [['7.2', '--flavour', 'rt'], /^sigframe: error: option '--flavour <flavour>' argument 'rt' is invalid/],
  ])('%j is wrong usage', async (words, message) => {
    const { code, stdout, stderr } = await run(...words)
    expect({ code, stdout }).toEqual({ code: 64, stdout: '' })
    expect(stderr).toMatch(message)
    expect(debian.calls()).toEqual([])
  })

  test('elsewhere than on Debian: one line, whatever was asked for, and what is in the cache all the same', async () => {
    await run('6.1')
    debian.release('trixie', 'Origin: Ubuntu\nCodename: noble\n')
    debian.configure('deb http://example.org/debian/ trixie universe\n')
    const { code, stdout, stderr } = await run('7.2', '7.3', '6.1.192')
    expect(code).toBe(70)
    expect(stdout).toMatch(/^debian:6\.1\.192 .* already there\n$/)
    expect(stderr).toMatch(
      /^sigframe: Debian's kernels cannot be fetched here: .*; pass the path of a bzImage instead\n$/,
    )
    const listed = await run('--list')
    expect(listed.code).toBe(70)
    expect(listed.stdout).toMatch(/^debian:6\.1\.192 .* in the cache, no longer to be had\n$/)
    expect(listed.stderr).toBe(stderr)
  })

  test('no network: one line, and no fault of sigframe', async () => {
    debian.set('no-network')
    const { code, stderr } = await run('7.2', '7.3')
    expect(code).toBe(70)
    expect(stderr).toMatch(
      /^sigframe: no archive .*: Failed to fetch .* Temporary failure resolving 'example\.org'\n$/,
    )
  })

  test('a cache that cannot be used: one line', async () => {
    writeFileSync(debian.cache, '')
    const { code, stderr } = await run('7.2', '6.1')
    expect(code).toBe(70)
    expect(stderr).toMatch(/^sigframe: the cache folder \S+\/cache is no folder\S* .*SIGFRAME_CACHE\n$/)
  })

  test.each(['SIGINT', 'SIGTERM'] as const)(
    '%s in the middle: nothing runs on, nothing is left',
    async signal => {
      await run('6.1')
      debian.set('hang-download')
      const child = start('6.1.192', '7.2')
      const end = ended(child)
      const pid = await until(debian.pid)
      child.kill(signal)
      expect(await end).toMatchObject({
        code: null,
        signal,
        stderr: '',
        stdout: expect.stringMatching(/^debian:6\.1\.192 /),
      })
      await until(() => !existsSync(`/proc/${pid}`))
      expect(readdirSync(join(debian.cache, 'kernels', 'debian'))).toEqual([
        kernel61.version.replace('-2', ''),
      ])
    },
  )

  test('its help has an example', async () => {
    const { code, stdout } = await run('--help')
    expect(code).toBe(0)
    expect(stdout).toMatch(/Examples:\n {2}sigframe vm fetch 7\.2\n/)
  })
})
